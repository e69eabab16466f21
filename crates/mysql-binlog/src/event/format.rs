//! Format description and rotation (MySQL internals, "FORMAT_DESCRIPTION_EVENT", "ROTATE_EVENT").

use bytes::Bytes;
use crossfade_store::ErrorKind;

use super::header::Checksum;
use super::kind;
use crate::cursor::{Cursor, text};
use crate::error::{Error, Result};

/// What a file says of the events in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// The server that wrote the file.
    pub server_version: String,
    /// When a server began the file by starting, in seconds since the Unix epoch; 0 where it only went on from another
    /// file. A start ends what a crash left open in the file before.
    pub server_started: u32,
    /// Whether its events end with a checksum.
    pub checksum: Checksum,
    post_headers: Bytes,
}

impl Format {
    /// The length of the fixed part of an event's body; `None` where the server did not know the type.
    pub(crate) fn post_header(&self, kind: u8) -> Option<usize> {
        let at = usize::from(kind).checked_sub(1)?;
        self.post_headers.get(at).map(|length| usize::from(*length))
    }

    /// Whether MariaDB wrote the file.
    pub(crate) fn is_of_mariadb(&self) -> bool {
        self.server_version.contains("MariaDB")
    }

    /// Reads a body (the last byte is the checksum's algorithm).
    pub(crate) fn read(body: Bytes, checksum: Checksum) -> Result<Format> {
        const WHAT: &str = "a format description";
        let mut cursor = Cursor::new(body);
        let version = cursor.u16(WHAT)?;
        let server_version = cursor.take(50, WHAT)?;
        let server_started = cursor.u32(WHAT)?;
        let header = cursor.u8(WHAT)?;
        if version != 4 || header != 19 {
            return Err(unsupported(format!(
                "the log is of version {version} with headers of {header} bytes"
            )));
        }
        let lengths = cursor
            .len()
            .checked_sub(1)
            .ok_or_else(|| Error::short(WHAT))?;
        let format = Format {
            server_version: text(
                server_version
                    .split(|byte| *byte == 0)
                    .next()
                    .unwrap_or_default(),
            ),
            server_started,
            checksum,
            post_headers: cursor.take(lengths, WHAT)?,
        };
        // the layouts that this decoder reads; table ids of 4 bytes went away before MySQL 5.1.18
        for (kind, expected) in [
            (kind::QUERY, 13),
            (kind::TABLE_MAP, 8),
            (kind::WRITE_ROWS_V1, 8),
            (kind::WRITE_ROWS, 10),
        ] {
            // MySQL 9 gives no length to types that it no longer writes
            let length = format.post_header(kind).unwrap_or(0);
            if length != expected && length != 0 {
                return Err(unsupported(format!(
                    "the log of {} has another layout of events of type {kind}",
                    format.server_version
                )));
            }
        }
        Ok(format)
    }
}

fn unsupported(what: String) -> Error {
    Error::new(ErrorKind::Unsupported, "binlog.version", what)
        .fix("Servers from MySQL 5.7 and MariaDB 10.5 on write a log that can be followed")
}

/// The next file and where to read on in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotate {
    /// The file's name.
    pub file: String,
    /// The offset in it.
    pub offset: u64,
}

impl Rotate {
    pub(crate) fn read(body: Bytes) -> Result<Rotate> {
        let mut cursor = Cursor::new(body);
        let offset = cursor.u64("a rotation")?;
        Ok(Rotate {
            file: text(&cursor.rest()),
            offset,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_description_of_another_version_is_refused() {
        let mut body = vec![0; 2 + 50 + 4 + 1 + 40 + 1];
        body[0] = 4;
        body[56] = 19;
        body[57 + 18] = 8;
        assert!(Format::read(body.clone().into(), Checksum::Off).is_ok());
        for (at, value) in [(0, 3), (56, 27), (57 + 18, 6)] {
            let mut other = body.clone();
            other[at] = value;
            let refused = Format::read(other.into(), Checksum::Off).unwrap_err();
            assert_eq!(refused.code, "binlog.version");
        }
        assert!(Format::read(body[..57].to_vec().into(), Checksum::Off).is_err());
    }
}
