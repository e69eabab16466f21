//! Values of a row's image as cells.
//!
//! | type | cell |
//! | --- | --- |
//! | integers | [`Cell::TextForm`], decimal |
//! | `DECIMAL` | `TextForm`, with all digits of its scale |
//! | `FLOAT`, `DOUBLE` | [`Cell::Real`], to the bit (a single widened) |
//! | `DATE`, `TIME`, `DATETIME` | `TextForm` as `SELECT` shows it, with the column's digits of a second; zero dates stay |
//! | `TIMESTAMP` | `TextForm` as `SELECT` shows it in the time zone `+00:00` |
//! | `YEAR` | `TextForm`, four digits |
//! | `CHAR`, `VARCHAR`, `TEXT` | `TextForm`, in the column's own character set ([`Column::collation`]) |
//! | `ENUM` | `TextForm`, the word, in the column's own character set |
//! | `SET` | [`Cell::Integer`], the bits of its members: [`Column::members`] are the words, each in the column's own character set |
//! | `JSON` (MySQL) | `TextForm`, the text that `SELECT` shows, UTF-8 |
//! | `BINARY`, `VARBINARY`, `BLOB`, `BIT`, `GEOMETRY`, `VECTOR` | [`Cell::Blob`], the bytes that `SELECT` gives; `BINARY` filled up with zeros |
//!
//! MariaDB's `UUID`, `INET4` and `INET6` are bytes in the log, and the log does not say what they are: they come as `Blob`s,
//! see [`mariadb`]. Its `JSON` is text.
//!
//! Sources: MySQL internals, `libs/mysql/binlog/event/rows_event.h` and "Data Type Storage Requirements" in the reference
//! manual; MariaDB knowledge base, "Rows_event_v1/v2".

mod decimal;
mod json;
pub mod mariadb;
mod number;
mod temporal;

use bytes::{Bytes, BytesMut};
use crossfade_model::Cell;
use crossfade_store::ErrorKind;

use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::event::column::ColumnType;
use crate::event::table_map::{BINARY, Column};

/// The text of a MySQL server's binary JSON document, as `SELECT` shows it.
///
/// # Errors
/// Bytes that are no such document.
pub fn json_text(document: &[u8]) -> Result<String> {
    let mut out = Vec::new();
    json::write(document, &mut out)?;
    String::from_utf8(out).map_err(|_| Error::corrupt("a JSON document holds what is not UTF-8"))
}

/// Texts are written into blocks that many cells share, no allocation a cell: of the size that the rows which are read may need, and no more
/// than this. A block lives as long as the last of its cells.
const BLOCK: usize = 16 * 1024;

/// Reads values. Strings and bytes are slices of the event.
#[derive(Debug)]
pub(crate) struct Values {
    mariadb: bool,
    block: BytesMut,
    block_size: usize,
    scratch: Vec<u8>,
}

impl Values {
    /// For rows that take so many bytes in the log.
    pub fn new(mariadb: bool, bytes: usize) -> Values {
        Values {
            mariadb,
            block: BytesMut::new(),
            // numbers and times are about twice as long as texts
            block_size: bytes.saturating_mul(2).clamp(64, BLOCK),
            scratch: Vec::new(),
        }
    }

    /// Reads the value of a column that is not NULL.
    pub fn read(&mut self, column: &Column, from: &mut Cursor) -> Result<Cell> {
        const WHAT: &str = "a value";
        match column.kind {
            ColumnType::Integer { bytes } => self.integer(column, bytes, from),
            ColumnType::Decimal { precision, scale } => {
                self.text(|out| decimal::write(precision, scale, from, out))
            }
            ColumnType::Float => {
                let value = f32::from_bits(from.u32(WHAT)?);
                Ok(Cell::Real(value.into()))
            }
            ColumnType::Double => Ok(Cell::Real(f64::from_bits(from.u64(WHAT)?))),
            ColumnType::Year => self.text(|out| temporal::write_year(from, out)),
            ColumnType::Date => self.text(|out| temporal::write_date(from, out)),
            ColumnType::Time { digits } => self.text(|out| temporal::write_time(digits, from, out)),
            ColumnType::Datetime { digits } => {
                self.text(|out| temporal::write_datetime(digits, from, out))
            }
            ColumnType::Timestamp { digits } => {
                self.text(|out| temporal::write_timestamp(digits, from, out))
            }
            ColumnType::OldTemporal { code } => self.old_temporal(column, code, from),
            ColumnType::Bit { bytes } => Ok(Cell::Blob(from.take(bytes.into(), WHAT)?)),
            ColumnType::Enum { bytes } => {
                let ordinal = from.uint(bytes.into(), WHAT)?;
                enumerated(column, ordinal)
            }
            ColumnType::Set { bytes } => {
                let bits = from.uint(bytes.into(), WHAT)?;
                set(column, bits)
            }
            ColumnType::Char { max } => {
                let length = from.uint(if max > 255 { 2 } else { 1 }, WHAT)? as usize;
                fixed(column, from.take(length, WHAT)?, max.into())
            }
            ColumnType::Varchar { max } => {
                let length = from.uint(if max > 255 { 2 } else { 1 }, WHAT)? as usize;
                string(column, from.take(length, WHAT)?)
            }
            ColumnType::Blob { length } => string(column, long(length, from)?),
            ColumnType::Geometry { length } | ColumnType::Vector { length } => {
                Ok(Cell::Blob(long(length, from)?))
            }
            ColumnType::Json { length } => {
                let document = long(length, from)?;
                self.text(|out| json::write(&document, out))
            }
            ColumnType::Unknown { code } => Err(unknown(column, code)),
        }
    }

    /// The text of a JSON document after differences.
    pub fn changed_json(&mut self, document: &[u8], differences: Bytes) -> Result<Cell> {
        self.text(|out| json::tree::write_changed(document, differences, out))
    }

    /// Writes a text into the shared block.
    fn text(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<Cell> {
        self.scratch.clear();
        write(&mut self.scratch)?;
        if self.block.capacity() < self.scratch.len() {
            self.block = BytesMut::with_capacity(self.block_size.max(self.scratch.len()));
        }
        self.block.extend_from_slice(&self.scratch);
        Ok(Cell::TextForm(self.block.split().freeze()))
    }

    fn integer(&mut self, column: &Column, bytes: u8, from: &mut Cursor) -> Result<Cell> {
        let value = from.uint(bytes.into(), "an integer")?;
        let unused = 64 - 8 * u32::from(bytes.clamp(1, 8));
        self.text(|out| {
            if column.unsigned {
                number::write_integer(false, value, out);
            } else {
                // the sign bit is the highest of its own bytes
                let signed = (value << unused) as i64 >> unused;
                number::write_integer(signed < 0, signed.unsigned_abs(), out);
            }
            Ok(())
        })
    }

    /// In MariaDB the old forms may hold fractions, whose length the log does not tell.
    fn old_temporal(&mut self, column: &Column, code: u8, from: &mut Cursor) -> Result<Cell> {
        if self.mariadb {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "binlog.old_temporal",
                format!(
                    "column {} keeps times in the form of before MySQL 5.6",
                    column.name
                ),
            )
            .fix("SET GLOBAL mysql56_temporal_format = ON; ALTER TABLE … FORCE; then copy anew"));
        }
        self.text(|out| temporal::write_old(code, from, out))
    }
}

/// A value behind its length.
pub(crate) fn long(length: u8, from: &mut Cursor) -> Result<Bytes> {
    let length = from.uint(length.into(), "a long value's length")?;
    from.take(length as usize, "a long value")
}

fn string(column: &Column, bytes: Bytes) -> Result<Cell> {
    match column.collation {
        Some(BINARY) => Ok(Cell::Blob(bytes)),
        Some(_) => Ok(Cell::TextForm(bytes)),
        None => Err(Error::new(
            ErrorKind::Setting,
            "binlog.row_metadata",
            format!(
                "the log does not tell the character set of column {}",
                column.name
            ),
        )
        .fix("SET GLOBAL binlog_row_metadata = 'FULL'; then copy anew")),
    }
}

/// The log leaves out what fills a value up: blanks, which `SELECT` does not show either, and a binary value's zeros,
/// which it does.
fn fixed(column: &Column, bytes: Bytes, max: usize) -> Result<Cell> {
    if column.collation != Some(BINARY) || bytes.len() >= max {
        return string(column, bytes);
    }
    let mut filled = bytes.to_vec();
    filled.resize(max, 0);
    Ok(Cell::Blob(filled.into()))
}

/// The word of an ordinal; 0 is the empty word that stands for a wrong value.
fn enumerated(column: &Column, ordinal: u64) -> Result<Cell> {
    let Some(place) = ordinal.checked_sub(1) else {
        return Ok(Cell::TextForm(Bytes::new()));
    };
    usize::try_from(place)
        .ok()
        .and_then(|place| column.words.get(place))
        .map(|word| Cell::TextForm(word.clone()))
        .ok_or_else(|| no_word(column))
}

/// The words cannot be put together here: what a comma is depends on the column's character set.
fn set(column: &Column, bits: u64) -> Result<Cell> {
    if 64 - bits.leading_zeros() as usize > column.words.len() {
        return Err(no_word(column));
    }
    // 64 members at most: the sign is the last one's bit
    Ok(Cell::Integer(bits as i64))
}

fn no_word(column: &Column) -> Error {
    Error::corrupt(format!(
        "column {} holds a value that is none of its words",
        column.name
    ))
}

fn unknown(column: &Column, code: u8) -> Error {
    let error = Error::new(
        ErrorKind::Unsupported,
        "binlog.type",
        format!(
            "column {} is of a type ({code}) that is not read from the log",
            column.name
        ),
    );
    match code {
        140 | 141 => {
            error.fix("ALTER TABLE … MODIFY the column without COMPRESSED; then copy anew")
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Most events hold one short row: a full block for each would be most of the memory of a backlog.
    #[test]
    fn a_small_event_holds_a_small_block() {
        let mut values = Values::new(false, 20);
        let cell = values.text(|out| {
            out.extend_from_slice(b"12");
            Ok(())
        });
        assert_eq!(cell.ok(), Some(Cell::TextForm(Bytes::from_static(b"12"))));
        assert!(values.block.capacity() < 64);
    }
}
