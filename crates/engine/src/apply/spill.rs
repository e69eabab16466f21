//! A source transaction too big for memory, kept in a temporary file until its commit record was read.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use bytes::Bytes;
use crossfade_model::{Cell, Change, Row, TableId};

/// Bytes of one stored change at most: above it the file is damaged.
const MOST_BYTES: usize = 1 << 31;

/// Changes written to a file that has no name and goes with the process.
#[derive(Debug)]
pub(crate) struct Spill {
    writer: BufWriter<File>,
    changes: u64,
    buffer: Vec<u8>,
}

impl Spill {
    /// An empty spill in the system's folder for temporary files.
    pub fn new() -> std::io::Result<Spill> {
        Ok(Spill {
            writer: BufWriter::with_capacity(1 << 18, tempfile::tempfile()?),
            changes: 0,
            buffer: Vec::new(),
        })
    }

    /// Appends a change.
    pub fn push(&mut self, change: &Change) -> std::io::Result<()> {
        self.buffer.clear();
        encode(change, &mut self.buffer);
        let length = u32::try_from(self.buffer.len())
            .map_err(|_| std::io::Error::other("a change of more than 4 GiB"))?;
        self.writer.write_all(&length.to_le_bytes())?;
        self.writer.write_all(&self.buffer)?;
        self.changes += 1;
        Ok(())
    }

    /// Changes in it.
    pub fn len(&self) -> u64 {
        self.changes
    }

    /// Reads it from the beginning; any number of times.
    pub fn reader(&mut self) -> std::io::Result<SpillReader> {
        self.writer.flush()?;
        let mut file = self.writer.get_ref().try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(SpillReader {
            reader: BufReader::with_capacity(1 << 18, file),
            left: self.changes,
        })
    }
}

/// Reads a spill.
#[derive(Debug)]
pub(crate) struct SpillReader {
    reader: BufReader<File>,
    left: u64,
}

impl SpillReader {
    /// Some next changes, at most `changes` and about `bytes`; empty after the last.
    pub fn next(&mut self, changes: usize, bytes: usize) -> std::io::Result<Vec<Change>> {
        let mut out = Vec::new();
        let mut weight = 0;
        while self.left > 0 && out.len() < changes && weight < bytes {
            let mut length = [0; 4];
            self.reader.read_exact(&mut length)?;
            let length = u32::from_le_bytes(length) as usize;
            if length > MOST_BYTES {
                return Err(damaged());
            }
            let mut block = vec![0; length];
            self.reader.read_exact(&mut block)?;
            let change = Decoder {
                block: Bytes::from(block),
                at: 0,
            }
            .change()
            .ok_or_else(damaged)?;
            weight += change.weight();
            self.left -= 1;
            out.push(change);
        }
        Ok(out)
    }
}

fn damaged() -> std::io::Error {
    std::io::Error::new(
        std::io::ErrorKind::InvalidData,
        "the temporary file of a big transaction is damaged",
    )
}

fn encode(change: &Change, out: &mut Vec<u8>) {
    match change {
        Change::Insert { table, row } => {
            out.push(0);
            out.extend_from_slice(&table.0.to_le_bytes());
            encode_row(row, out);
        }
        Change::Update { table, before, row } => {
            out.push(1 + u8::from(before.is_some()));
            out.extend_from_slice(&table.0.to_le_bytes());
            if let Some(before) = before {
                encode_row(before, out);
            }
            encode_row(row, out);
        }
        Change::Upsert { table, row } => {
            out.push(3);
            out.extend_from_slice(&table.0.to_le_bytes());
            encode_row(row, out);
        }
        Change::Delete { table, before } => {
            out.push(4);
            out.extend_from_slice(&table.0.to_le_bytes());
            encode_row(before, out);
        }
        Change::Unclear { table, key } => {
            out.push(7);
            out.extend_from_slice(&table.0.to_le_bytes());
            encode_row(key, out);
        }
        Change::Filtered { table } => {
            out.push(8);
            out.extend_from_slice(&table.0.to_le_bytes());
        }
        Change::Truncate { tables } => {
            out.push(5);
            out.extend_from_slice(&(tables.len() as u32).to_le_bytes());
            for table in tables {
                out.extend_from_slice(&table.0.to_le_bytes());
            }
        }
        Change::TruncatePartitions { table } => {
            out.push(6);
            out.extend_from_slice(&table.0.to_le_bytes());
        }
    }
}

fn encode_row(row: &Row, out: &mut Vec<u8>) {
    out.extend_from_slice(&(row.0.len() as u32).to_le_bytes());
    for cell in &row.0 {
        match cell {
            Cell::Null => out.push(0),
            Cell::Unchanged => out.push(1),
            Cell::Integer(i) => {
                out.push(2);
                out.extend_from_slice(&i.to_le_bytes());
            }
            Cell::Real(r) => {
                out.push(3);
                out.extend_from_slice(&r.to_bits().to_le_bytes());
            }
            Cell::TextForm(b) => encode_bytes(4, b, out),
            Cell::Text(b) => encode_bytes(5, b, out),
            Cell::Blob(b) => encode_bytes(6, b, out),
            Cell::Unfit(b) => encode_bytes(7, b, out),
        }
    }
}

fn encode_bytes(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

struct Decoder {
    block: Bytes,
    at: usize,
}

impl Decoder {
    fn take(&mut self, length: usize) -> Option<Bytes> {
        let end = self.at.checked_add(length)?;
        (end <= self.block.len()).then(|| {
            let slice = self.block.slice(self.at..end);
            self.at = end;
            slice
        })
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|b| b[0])
    }

    fn word(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.as_ref().try_into().ok()?))
    }

    fn long(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.as_ref().try_into().ok()?))
    }

    fn bytes(&mut self) -> Option<Bytes> {
        let length = self.word()? as usize;
        self.take(length)
    }

    fn row(&mut self) -> Option<Row> {
        let count = self.word()? as usize;
        let mut cells = Vec::with_capacity(count.min(4096));
        for _ in 0..count {
            cells.push(match self.byte()? {
                0 => Cell::Null,
                1 => Cell::Unchanged,
                2 => Cell::Integer(self.long()? as i64),
                3 => Cell::Real(f64::from_bits(self.long()?)),
                4 => Cell::TextForm(self.bytes()?),
                5 => Cell::Text(self.bytes()?),
                6 => Cell::Blob(self.bytes()?),
                7 => Cell::Unfit(self.bytes()?),
                _ => return None,
            });
        }
        Some(Row(cells))
    }

    fn change(mut self) -> Option<Change> {
        let tag = self.byte()?;
        if tag == 5 {
            let count = self.word()?;
            let tables = (0..count)
                .map(|_| self.word().map(TableId))
                .collect::<Option<Vec<_>>>()?;
            return Some(Change::Truncate { tables });
        }
        let table = TableId(self.word()?);
        Some(match tag {
            0 => Change::Insert {
                table,
                row: self.row()?,
            },
            1 => Change::Update {
                table,
                before: None,
                row: self.row()?,
            },
            2 => Change::Update {
                table,
                before: Some(self.row()?),
                row: self.row()?,
            },
            3 => Change::Upsert {
                table,
                row: self.row()?,
            },
            4 => Change::Delete {
                table,
                before: self.row()?,
            },
            6 => Change::TruncatePartitions { table },
            7 => Change::Unclear {
                table,
                key: self.row()?,
            },
            8 => Change::Filtered { table },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn changes_come_back_as_they_went_in_and_twice() {
        let row = Row(vec![
            Cell::Null,
            Cell::Unchanged,
            Cell::Integer(-1),
            Cell::Real(-0.0),
            Cell::TextForm(Bytes::from_static(b"\\x00")),
            Cell::Text(Bytes::from_static(b"")),
            Cell::Blob(Bytes::from_static(&[0, 255])),
        ]);
        let table = TableId(7);
        let changes = vec![
            Change::Insert {
                table,
                row: row.clone(),
            },
            Change::Update {
                table,
                before: None,
                row: row.clone(),
            },
            Change::Update {
                table,
                before: Some(row.clone()),
                row: row.clone(),
            },
            Change::Upsert {
                table,
                row: row.clone(),
            },
            Change::Unclear {
                table,
                key: row.clone(),
            },
            Change::Filtered { table },
            Change::Delete { table, before: row },
            Change::Truncate {
                tables: vec![TableId(1), TableId(2)],
            },
            Change::TruncatePartitions { table },
        ];
        let mut spill = Spill::new().unwrap();
        for change in &changes {
            spill.push(change).unwrap();
        }
        for _ in 0..2 {
            let mut reader = spill.reader().unwrap();
            let mut back = Vec::new();
            loop {
                let some = reader.next(4, usize::MAX).unwrap();
                if some.is_empty() {
                    break;
                }
                back.extend(some);
            }
            assert_eq!(back, changes);
        }
    }
}
