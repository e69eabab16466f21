//! The frame around every event: header, body, checksum (MySQL internals, "Binlog Event Header"; worklog 2540,
//! "Replication event checksums"; MariaDB knowledge base, "2-Binlog Event Header").

use bytes::Bytes;
use crossfade_store::ErrorKind;

use super::kind;
use crate::cursor::Cursor;
use crate::error::{Error, Result};

/// Length of the header of version 4 of the format, the only one since MySQL 5.0.
pub(crate) const HEADER: usize = 19;

const CHECKSUM: usize = 4;

/// The file is being written (`LOG_EVENT_BINLOG_IN_USE_F`): not counted into the checksum.
const IN_USE: u16 = 0x1;
/// Made by the server for this stream, not in the file (`LOG_EVENT_ARTIFICIAL_F`).
const ARTIFICIAL: u16 = 0x20;
/// May be left out by one who does not know it (`LOG_EVENT_IGNORABLE_F`).
const IGNORABLE: u16 = 0x80;

/// What stands before every event's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// When the statement began, in seconds since the Unix epoch; 0 for events made for the stream.
    pub timestamp: u32,
    /// The event's type.
    pub kind: u8,
    /// The server that wrote it first.
    pub server_id: u32,
    /// Bytes of header, body and checksum.
    pub size: u32,
    /// The lower 32 bits of the offset of the next event in the file; 0 for events made for the stream.
    pub next: u32,
    /// Flags.
    pub flags: u16,
}

impl Header {
    /// Reads the first 19 bytes.
    pub(crate) fn read(cursor: &mut Cursor) -> Result<Header> {
        const WHAT: &str = "its header";
        Ok(Header {
            timestamp: cursor.u32(WHAT)?,
            kind: cursor.u8(WHAT)?,
            server_id: cursor.u32(WHAT)?,
            size: cursor.u32(WHAT)?,
            next: cursor.u32(WHAT)?,
            flags: cursor.u16(WHAT)?,
        })
    }

    /// Whether it was made for this stream and stands in no file.
    pub fn is_artificial(&self) -> bool {
        self.flags & ARTIFICIAL != 0 || self.next == 0
    }

    /// Whether one who does not know it may leave it out.
    pub fn is_ignorable(&self) -> bool {
        self.flags & IGNORABLE != 0
    }
}

/// Whether events end with a checksum (`binlog_checksum`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// None.
    Off,
    /// CRC-32 of everything before.
    Crc32,
}

impl Checksum {
    fn from_number(number: u8) -> Result<Checksum> {
        match number {
            0 => Ok(Checksum::Off),
            1 => Ok(Checksum::Crc32),
            other => Err(Error::new(
                ErrorKind::Unsupported,
                "binlog.checksum",
                format!("the log's checksums are of an unknown kind ({other})"),
            )
            .fix("SET GLOBAL binlog_checksum = 'CRC32'")),
        }
    }
}

/// One event without its checksum, which was right.
#[derive(Debug, Clone)]
pub(crate) struct Framed {
    pub header: Header,
    pub body: Bytes,
}

/// Parts a whole event, as it came in one packet.
///
/// A format description has a checksum whatever algorithm it names for the others (MySQL: `Format_description_log_event::write`),
/// but where it names none and is sent to begin in the middle of a file, the server changes it and not its checksum. All others
/// have one if `checksum` says so.
///
/// # Errors
/// A length that is not the packet's, a wrong checksum.
pub(crate) fn frame(event: Bytes, checksum: Checksum) -> Result<Framed> {
    let mut cursor = Cursor::new(event.clone());
    let header = Header::read(&mut cursor)?;
    if header.size as usize != event.len() {
        return Err(Error::corrupt(
            "an event's length is not that of its packet",
        ));
    }
    let description = header.kind == kind::FORMAT_DESCRIPTION;
    let summed = checksum == Checksum::Crc32 || description;
    let end = cursor
        .len()
        .checked_sub(if summed { CHECKSUM } else { 0 })
        .ok_or_else(|| Error::short("its checksum"))?;
    let body = cursor.take(end, "its body")?;
    let changed = description && header.next == 0 && described_checksum(&event)? == Checksum::Off;
    if summed && !changed {
        verify(&header, &event)?;
    }
    Ok(Framed { header, body })
}

/// The algorithm that a format description names: the byte before its checksum.
pub(crate) fn described_checksum(event: &[u8]) -> Result<Checksum> {
    event
        .len()
        .checked_sub(CHECKSUM + 1)
        .filter(|at| *at >= HEADER)
        .and_then(|at| event.get(at))
        .ok_or_else(|| Error::short("a format description"))
        .and_then(|number| Checksum::from_number(*number))
}

fn verify(header: &Header, event: &[u8]) -> Result<()> {
    let Some((counted, told)) = event.split_last_chunk::<CHECKSUM>() else {
        return Err(Error::short("its checksum"));
    };
    let told = u32::from_le_bytes(*told);
    let right = crc32fast::hash(counted) == told
        || (header.kind == kind::FORMAT_DESCRIPTION && without_in_use(header, counted) == told);
    if right {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Corrupt,
        "binlog.checksum",
        format!(
            "an event of type {} that ends at {} has a wrong checksum",
            header.kind, header.next
        ),
    )
    .fix("Check the server's log with mysqlbinlog --verify-binlog-checksum; a damaged log cannot be followed"))
}

/// The checksum of a format description of a file in use: the server sets the flag later, without writing the checksum anew.
fn without_in_use(header: &Header, counted: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(counted.get(..HEADER - 2).unwrap_or_default());
    hasher.update(&(header.flags & !IN_USE).to_le_bytes());
    hasher.update(counted.get(HEADER..).unwrap_or_default());
    hasher.finalize()
}
