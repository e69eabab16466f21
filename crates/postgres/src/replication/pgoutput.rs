//! Reads the messages of the `pgoutput` plugin, protocol version 1, text format.
//!
//! Source of the layout: PostgreSQL documentation, "Logical Replication Message Formats". Version 1 hands over whole
//! committed transactions: rolled-back transactions and savepoints never show. The reader is pure, takes any bytes
//! without a panic, and copies no cell: cells are slices of the message.

use bytes::Bytes;
use crossfade_model::Cell;
use crossfade_store::planted::{Planted, planted};

/// Microseconds between the Unix epoch and PostgreSQL's (2000-01-01).
pub const EPOCH_SHIFT_MICROS: i64 = 946_684_800_000_000;

/// A message that is not one of the plugin's, or is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {offset} of a change message")]
pub struct Malformed {
    /// What is wrong.
    pub what: &'static str,
    /// Where, from the message's first byte.
    pub offset: usize,
}

/// One column of a [`Relation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationColumn {
    /// Part of the replica identity.
    pub identity: bool,
    /// The name.
    pub name: String,
    /// The type's OID.
    pub type_oid: u32,
    /// The type's modifier, -1 where it has none.
    pub type_modifier: i32,
}

/// What the log says of a table, before the first change that follows its definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The OID by which changes name it.
    pub oid: u32,
    /// Its schema; empty for `pg_catalog`.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The replica identity's letter (`pg_class.relreplident`): `d` key, `i` index, `f` whole row, `n` none.
    pub replica_identity: u8,
    /// The published columns.
    pub columns: Vec<RelationColumn>,
}

/// The old image of a changed row.
#[derive(Debug, Clone, PartialEq)]
pub struct OldTuple {
    /// The whole row (`O`); otherwise only the replica identity's columns are filled, others are NULL (`K`).
    pub whole: bool,
    /// The cells, in the relation's order.
    pub cells: Vec<Cell>,
}

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A transaction begins.
    Begin {
        /// Its top-level transaction id.
        xid: u32,
        /// Its commit time in microseconds since the Unix epoch.
        committed_at: i64,
    },
    /// It ends.
    Commit {
        /// The position after the commit record.
        end: u64,
    },
    /// A table's definition.
    Relation(Relation),
    /// A new row.
    Insert {
        /// The table's OID.
        relation: u32,
        /// Its cells.
        new: Vec<Cell>,
    },
    /// A changed row.
    Update {
        /// The table's OID.
        relation: u32,
        /// The old image, where the log has one.
        old: Option<OldTuple>,
        /// The cells after.
        new: Vec<Cell>,
    },
    /// A removed row.
    Delete {
        /// The table's OID.
        relation: u32,
        /// The old image.
        old: OldTuple,
    },
    /// Emptied tables.
    Truncate {
        /// Their OIDs.
        relations: Vec<u32>,
    },
    /// An origin or a type's name: nothing that rows depend on.
    Other,
}

/// Reads one message.
///
/// # Errors
/// [`Malformed`] for everything that is not exactly one message of the protocol.
pub fn parse(message: &Bytes) -> Result<Message, Malformed> {
    let mut reader = Reader {
        bytes: message,
        at: 0,
    };
    let parsed = match reader.u8()? {
        b'B' => {
            reader.u64()?;
            let committed_at = reader.i64()?.saturating_add(EPOCH_SHIFT_MICROS);
            let xid = reader.u32()?;
            Message::Begin { xid, committed_at }
        }
        b'C' => {
            reader.u8()?;
            reader.u64()?;
            let end = reader.u64()?;
            reader.i64()?;
            Message::Commit { end }
        }
        b'R' => Message::Relation(relation(&mut reader)?),
        b'I' => {
            let relation = reader.u32()?;
            reader.expect(b'N', "an insert without a new row")?;
            let new = reader.tuple()?;
            Message::Insert { relation, new }
        }
        b'U' => update(&mut reader)?,
        b'D' => {
            let relation = reader.u32()?;
            let whole = match reader.u8()? {
                b'K' => false,
                b'O' => true,
                _ => return Err(reader.before("a delete without an old row")),
            };
            let cells = reader.tuple()?;
            Message::Delete {
                relation,
                old: OldTuple { whole, cells },
            }
        }
        b'T' => {
            let count = reader.count_u32("a negative count of tables")?;
            reader.u8()?;
            let mut relations = Vec::with_capacity(count.min(reader.left() / 4));
            for _ in 0..count {
                relations.push(reader.u32()?);
            }
            Message::Truncate { relations }
        }
        b'O' => {
            reader.u64()?;
            reader.string()?;
            Message::Other
        }
        b'Y' => {
            reader.u32()?;
            reader.string()?;
            reader.string()?;
            Message::Other
        }
        _ => return Err(reader.before("an unknown kind of message")),
    };
    if reader.left() > 0 {
        return Err(reader.here("more bytes than the message has"));
    }
    Ok(parsed)
}

fn relation(reader: &mut Reader<'_>) -> Result<Relation, Malformed> {
    let oid = reader.u32()?;
    let schema = reader.string()?;
    let name = reader.string()?;
    let replica_identity = reader.u8()?;
    let count = reader.count_u16()?;
    let mut columns = Vec::with_capacity(count.min(reader.left() / 10));
    for _ in 0..count {
        columns.push(RelationColumn {
            identity: reader.u8()? & 1 == 1,
            name: reader.string()?,
            type_oid: reader.u32()?,
            type_modifier: reader.u32()? as i32,
        });
    }
    Ok(Relation {
        oid,
        schema,
        name,
        replica_identity,
        columns,
    })
}

fn update(reader: &mut Reader<'_>) -> Result<Message, Malformed> {
    let relation = reader.u32()?;
    let mut tag = reader.u8()?;
    let mut old = None;
    if matches!(tag, b'K' | b'O') {
        old = Some(OldTuple {
            whole: tag == b'O',
            cells: reader.tuple()?,
        });
        tag = reader.u8()?;
    }
    if tag != b'N' {
        return Err(reader.before("an update without a new row"));
    }
    let new = reader.tuple()?;
    Ok(Message::Update { relation, old, new })
}

struct Reader<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl Reader<'_> {
    fn here(&self, what: &'static str) -> Malformed {
        Malformed {
            what,
            offset: self.at,
        }
    }

    fn before(&self, what: &'static str) -> Malformed {
        Malformed {
            what,
            offset: self.at.saturating_sub(1),
        }
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let found = self
            .bytes
            .get(self.at..)
            .and_then(|rest| rest.first_chunk::<N>())
            .ok_or_else(|| self.here("the message is cut off"))?;
        self.at += N;
        Ok(*found)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[b]| b)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    /// A count of columns; never negative.
    fn count_u16(&mut self) -> Result<usize, Malformed> {
        let count = i16::from_be_bytes(self.array()?);
        usize::try_from(count).map_err(|_| self.here("a negative count of columns"))
    }

    fn count_u32(&mut self, what: &'static str) -> Result<usize, Malformed> {
        let count = i32::from_be_bytes(self.array()?);
        usize::try_from(count).map_err(|_| self.here(what))
    }

    fn expect(&mut self, tag: u8, what: &'static str) -> Result<(), Malformed> {
        if self.u8()? == tag {
            Ok(())
        } else {
            Err(self.before(what))
        }
    }

    /// A string that ends in a zero byte.
    fn string(&mut self) -> Result<String, Malformed> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|b| *b == 0)
            .ok_or_else(|| self.here("a name without an end"))?;
        let text = std::str::from_utf8(&rest[..length])
            .map_err(|_| self.here("a name that is not UTF-8"))?;
        let text = text.to_owned();
        self.at += length + 1;
        Ok(text)
    }

    fn tuple(&mut self) -> Result<Vec<Cell>, Malformed> {
        let count = self.count_u16()?;
        // each column takes at least its kind's byte: a false count reserves no more than the message is long
        let mut cells = Vec::with_capacity(count.min(self.left()));
        for _ in 0..count {
            cells.push(match self.u8()? {
                b't' => {
                    let length = self.count_u32("a negative length of a value")?;
                    if length > self.left() {
                        return Err(self.here("a value is cut off"));
                    }
                    let from = self.at;
                    self.at += length;
                    let lost = usize::from(length > 20 && planted(Planted::Decoder));
                    Cell::TextForm(self.bytes.slice(from..self.at - lost))
                }
                b'n' => Cell::Null,
                b'u' => Cell::Unchanged,
                // binary values come only where they are asked for
                _ => return Err(self.before("an unknown kind of value")),
            });
        }
        Ok(cells)
    }
}

#[cfg(test)]
mod tests;
