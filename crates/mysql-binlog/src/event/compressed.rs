//! Events that are compressed: MariaDB's, one by one, and MySQL's, a transaction at a time.

use std::io::{Cursor as IoCursor, ErrorKind as IoKind, Read};

use bytes::Bytes;
use crossfade_store::ErrorKind;

use super::header::HEADER;
use crate::cursor::Cursor;
use crate::error::{Error, Result};

/// MariaDB's compressed part of an event: a byte of algorithm and of the length's length, the length big-endian, zlib
/// (MariaDB knowledge base, "Compressing Events to Reduce Size of the Binary Log"; `binlog_buf_uncompress`).
pub(crate) fn inflate(part: Bytes, most: usize) -> Result<Bytes> {
    const WHAT: &str = "a compressed event";
    let mut cursor = Cursor::new(part);
    let head = cursor.u8(WHAT)?;
    let (algorithm, width) = (head >> 4 & 7, usize::from(head & 7));
    if algorithm != 0 || !(1..=4).contains(&width) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "binlog.compression",
            format!("an event is compressed in an unknown way ({head:#04x})"),
        )
        .fix("SET GLOBAL log_bin_compress = OFF; then copy anew"));
    }
    let length = cursor.uint_be(width, WHAT)? as usize;
    if length > most {
        return Err(too_big(length as u64, most));
    }
    let compressed = cursor.rest();
    let mut out = Vec::new();
    flate2::read::ZlibDecoder::new(&*compressed)
        .take(length as u64 + 1)
        .read_to_end(&mut out)
        .map_err(|_| Error::corrupt("a compressed event cannot be inflated"))?;
    if out.len() != length {
        return Err(Error::corrupt(
            "a compressed event has another length than it says",
        ));
    }
    Ok(out.into())
}

pub(crate) fn too_big(length: u64, most: usize) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "binlog.event_too_big",
        format!("an event of {length} bytes is beyond the limit of {most} bytes"),
    )
}

/// A compressed transaction's events, inflated as they are read (MySQL internals, "Transaction_payload_event"; worklog 3549):
/// memory holds the compressed bytes and one event, however big the transaction is.
pub(crate) struct Payload {
    source: Source,
    most: usize,
}

enum Source {
    Plain(Cursor),
    Zstd(Box<zstd::stream::read::Decoder<'static, IoCursor<Bytes>>>),
}

/// The largest window that is accepted: 2^27 bytes, zstd's own default limit.
const WINDOW_LOG: u32 = 27;

impl Payload {
    /// Reads the fields before the payload: type and length, then the value; a type of 0 ends them.
    pub fn open(body: Bytes, most: usize) -> Result<Payload> {
        const WHAT: &str = "a compressed transaction";
        let mut cursor = Cursor::new(body);
        let (mut size, mut algorithm) = (None, None);
        loop {
            let field = cursor.lenenc(WHAT)?;
            if field == 0 {
                break;
            }
            let mut value = Cursor::new(cursor.lenenc_bytes(WHAT)?);
            match field {
                1 => size = Some(value.length(WHAT)?),
                2 => algorithm = Some(value.lenenc(WHAT)?),
                _ => {}
            }
        }
        let size = size.unwrap_or(cursor.len());
        let payload = cursor.take(size, WHAT)?;
        let source = match algorithm {
            Some(0) => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(IoCursor::new(payload))
                    .map_err(|_| Error::corrupt("a compressed transaction cannot be inflated"))?;
                decoder
                    .window_log_max(WINDOW_LOG)
                    .map_err(|_| Error::corrupt("a compressed transaction cannot be inflated"))?;
                Source::Zstd(Box::new(decoder))
            }
            Some(255) => Source::Plain(Cursor::new(payload)),
            _ => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "binlog.compression",
                    "a transaction is compressed in an unknown way",
                )
                .fix("SET GLOBAL binlog_transaction_compression = OFF; then copy anew"));
            }
        };
        Ok(Payload { source, most })
    }

    /// The next whole event, without a checksum; `None` after the last.
    pub fn next_event(&mut self) -> Result<Option<Bytes>> {
        let mut head = [0; HEADER];
        if !self.fill(&mut head)? {
            return Ok(None);
        }
        // the length stands at bytes 9 to 12
        let length = Cursor::new(Bytes::copy_from_slice(&head[9..13])).u32("a header")? as usize;
        if length > self.most {
            return Err(too_big(length as u64, self.most));
        }
        let rest = length
            .checked_sub(HEADER)
            .ok_or_else(|| Error::short("its header"))?;
        let mut event = Vec::with_capacity(length.min(1 << 20));
        event.extend_from_slice(&head);
        self.append(rest, &mut event)?;
        Ok(Some(event.into()))
    }

    /// Fills the buffer; false where there was nothing left before it.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<bool> {
        let mut filled = Vec::with_capacity(buffer.len());
        let taken = self.read(buffer.len(), &mut filled)?;
        if taken == 0 {
            return Ok(false);
        }
        if taken < buffer.len() {
            return Err(Error::short("a compressed transaction"));
        }
        buffer.copy_from_slice(&filled);
        Ok(true)
    }

    fn append(&mut self, length: usize, out: &mut Vec<u8>) -> Result<()> {
        match self.read(length, out)? {
            taken if taken == length => Ok(()),
            _ => Err(Error::short("a compressed transaction")),
        }
    }

    fn read(&mut self, length: usize, out: &mut Vec<u8>) -> Result<usize> {
        match &mut self.source {
            Source::Plain(left) => {
                let bytes = left.take(length.min(left.len()), "a transaction")?;
                out.extend_from_slice(&bytes);
                Ok(bytes.len())
            }
            Source::Zstd(decoder) => match decoder.take(length as u64).read_to_end(out) {
                Ok(taken) => Ok(taken),
                Err(e) if e.kind() == IoKind::OutOfMemory => Err(too_big(length as u64, self.most)),
                Err(_) => Err(Error::corrupt(
                    "a compressed transaction cannot be inflated",
                )),
            },
        }
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payload").finish_non_exhaustive()
    }
}
