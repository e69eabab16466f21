//! Events that begin a transaction and name it.
//!
//! MySQL: MySQL internals, `Gtid_event` (`libs/mysql/binlog/event/control_events.h`) and, for tagged ones, "MySQL serialization
//! library". MariaDB: MariaDB knowledge base, "GTID_EVENT".

use bytes::Bytes;
use crossfade_store::ErrorKind;

use crate::cursor::{Cursor, text};
use crate::error::{Error, Result};
use crate::gtid::{Gtid, MariadbGtid, MysqlGtid};

/// A transaction is announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Its name; `None` for an anonymous one.
    pub gtid: Option<Gtid>,
    /// When it committed on this server, in microseconds since the Unix epoch; 0 where the event does not say.
    pub committed_at: i64,
    /// MariaDB's flags; 0 for MySQL.
    pub(crate) flags: u8,
    /// Whether it is MariaDB's event, which also begins the transaction.
    pub(crate) mariadb: bool,
}

/// Not enclosed by a begin and an end: one statement alone (MariaDB, `FL_STANDALONE`).
const STANDALONE: u8 = 1;
/// Is an XA COMMIT or ROLLBACK of what was prepared before (`FL_COMPLETED_XA`).
const COMPLETED_XA: u8 = 128;

impl Announced {
    /// Whether the event itself begins a transaction that an end will close.
    pub(crate) fn begins(&self) -> bool {
        self.mariadb && self.flags & (STANDALONE | COMPLETED_XA) == 0
    }

    /// Reads `GTID_LOG_EVENT` and `ANONYMOUS_GTID_LOG_EVENT`.
    pub(crate) fn read_mysql(body: Bytes, anonymous: bool) -> Result<Announced> {
        const WHAT: &str = "a GTID event";
        let mut cursor = Cursor::new(body);
        cursor.skip(1, WHAT)?;
        let server = cursor.array::<16>(WHAT)?;
        let number = cursor.u64(WHAT)?;
        let mut committed_at = 0;
        // the logical clock, from 5.7 on; the commit's time, from 8.0 on
        if !cursor.is_empty() && cursor.u8(WHAT)? == 2 {
            cursor.skip(16, WHAT)?;
            if cursor.len() >= 7 {
                // the highest bit says that the time on the original server follows
                committed_at = cursor.uint(7, WHAT)? & ((1 << 55) - 1);
            }
        }
        Ok(Announced {
            gtid: (!anonymous).then(|| Gtid::Mysql(MysqlGtid::new(server, None, number))),
            committed_at: micros(committed_at),
            flags: 0,
            mariadb: false,
        })
    }

    /// Reads `GTID_TAGGED_LOG_EVENT` (MySQL 8.3 and later): a message of numbered fields of variable length.
    pub(crate) fn read_tagged(body: Bytes) -> Result<Announced> {
        const WHAT: &str = "a tagged GTID event";
        let mut cursor = Cursor::new(body);
        // the format's version is encoded as a number of its own
        if variable(&mut cursor)? != 1 {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "binlog.tagged_gtid",
                "a tagged GTID is written in an unknown version",
            ));
        }
        let _size = variable(&mut cursor)?;
        let _last_required = variable(&mut cursor)?;
        let (mut server, mut number, mut tag, mut committed_at) = (None, None, None, 0);
        while !cursor.is_empty() {
            match variable(&mut cursor)? {
                0 => drop(variable(&mut cursor)?),
                1 => {
                    let mut bytes = [0; 16];
                    for byte in &mut bytes {
                        *byte = u8::try_from(variable(&mut cursor)?)
                            .map_err(|_| Error::corrupt("a GTID's server is no UUID"))?;
                    }
                    server = Some(bytes);
                }
                // signed numbers have their sign in the lowest bit
                2 => number = Some(variable(&mut cursor)? >> 1),
                3 => {
                    let length = usize::try_from(variable(&mut cursor)?).unwrap_or(usize::MAX);
                    tag = Some(text(&cursor.take(length, WHAT)?)).filter(|tag| !tag.is_empty());
                }
                6 => committed_at = variable(&mut cursor)?,
                // logical clock, times, length, versions, commit group's ticket: one number each
                4..=11 => drop(variable(&mut cursor)?),
                _ => break,
            }
        }
        let (Some(server), Some(number)) = (server, number) else {
            return Err(Error::short(WHAT));
        };
        Ok(Announced {
            gtid: Some(Gtid::Mysql(MysqlGtid::new(server, tag, number))),
            committed_at: micros(committed_at),
            flags: 0,
            mariadb: false,
        })
    }

    /// Reads MariaDB's `GTID_EVENT`; the server is in the header.
    pub(crate) fn read_mariadb(body: Bytes, server: u32, timestamp: u32) -> Result<Announced> {
        const WHAT: &str = "a GTID event";
        let mut cursor = Cursor::new(body);
        let sequence = cursor.u64(WHAT)?;
        let domain = cursor.u32(WHAT)?;
        let flags = cursor.u8(WHAT)?;
        // behind: the group commit's number, the XA transaction's identity; the events that follow tell what is needed
        Ok(Announced {
            gtid: Some(Gtid::Mariadb(MariadbGtid {
                domain,
                server,
                sequence,
            })),
            committed_at: i64::from(timestamp) * 1_000_000,
            flags,
            mariadb: true,
        })
    }
}

fn micros(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(0)
}

/// A number of the serialization library: as many ones at the low end of the first byte as bytes follow.
pub(crate) fn variable(cursor: &mut Cursor) -> Result<u64> {
    const WHAT: &str = "a number of a tagged GTID";
    let first = cursor.u8(WHAT)?;
    let more = first.trailing_ones() as usize;
    if more >= 8 {
        return cursor.u64(WHAT);
    }
    let rest = cursor.uint(more, WHAT)?;
    // the ones and a zero are no part of the number
    let low = if more == 7 {
        0
    } else {
        u64::from(first) >> (more + 1)
    };
    Ok(low | rest << (7 - more))
}

/// The identity of an XA transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Xid {
    /// The format.
    pub format: u32,
    /// The global part.
    pub global: Bytes,
    /// The branch.
    pub branch: Bytes,
}

impl Xid {
    /// As the servers write it into statements: `X'…',X'…',1`, in lower case.
    pub(crate) fn written(&self) -> String {
        let hex = |bytes: &[u8]| crossfade_model::hex::encode(bytes);
        format!(
            "x'{}',x'{}',{}",
            hex(&self.global),
            hex(&self.branch),
            self.format
        )
    }
}

/// The end of the first phase of an XA transaction, or of one in a single phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XaPrepare {
    /// It is committed by this alone.
    pub one_phase: bool,
    /// Who it is.
    pub xid: Xid,
}

impl XaPrepare {
    pub(crate) fn read(body: Bytes) -> Result<XaPrepare> {
        const WHAT: &str = "an XA PREPARE";
        let mut cursor = Cursor::new(body);
        let one_phase = cursor.u8(WHAT)? != 0;
        let format = cursor.u32(WHAT)?;
        let length = |cursor: &mut Cursor| cursor.u32(WHAT).map(|length| length as usize);
        let (global, branch) = (length(&mut cursor)?, length(&mut cursor)?);
        Ok(XaPrepare {
            one_phase,
            xid: Xid {
                format,
                global: cursor.take(global, WHAT)?,
                branch: cursor.take(branch, WHAT)?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn variable_numbers_have_their_length_in_the_first_byte() {
        for (bytes, number) in [
            (&[0][..], 0),
            (&[2], 1),
            (&[254], 127),
            (&[0b0000_0001, 0b10], 128),
            (&[0b1111_1101, 0xff], (1 << 14) - 1),
            (&[0x7f, 1, 0, 0, 0, 0, 0, 0], 1),
            (&[0xff, 1, 0, 0, 0, 0, 0, 0, 0x80], (1 << 63) | 1),
        ] {
            let mut cursor = Cursor::new(Bytes::copy_from_slice(bytes));
            assert_eq!(variable(&mut cursor).unwrap(), number, "{bytes:?}");
            assert!(cursor.is_empty());
        }
        assert!(variable(&mut Cursor::new(Bytes::from_static(&[1]))).is_err());
    }
}
