//! One value of one column, in the form in which its store handed it over.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hex;

/// A cell as captured or read.
///
/// Cells are carried in the source's own encoding and decoded only where a digest, a key or another engine needs it.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// SQL NULL.
    Null,
    /// The log did not carry this column because its value did not change (PostgreSQL: unchanged TOAST).
    /// It is not NULL; the value is in the row that the change was made to.
    Unchanged,
    /// The store's text output form of a typed value (PostgreSQL: the type's output function under pinned session
    /// settings: ISO dates, `\x` bytes, `t`/`f`, UTC, UTF-8). A slice of the network buffer.
    TextForm(Bytes),
    /// A 64-bit integer of a store with dynamic types.
    Integer(i64),
    /// A double of a store with dynamic types.
    Real(f64),
    /// A text value of a store with dynamic types, UTF-8 (not guaranteed valid: SQLite does not check).
    Text(Bytes),
    /// A binary value of a store with dynamic types.
    Blob(Bytes),
    /// An expression of the mapping has no result for the row's values: why, in words without a value of theirs. No store takes
    /// it, and no value is equal to it.
    Unfit(Bytes),
}

impl Cell {
    /// Bytes this cell holds in memory, for budgets; not exact.
    pub fn weight(&self) -> usize {
        std::mem::size_of::<Cell>()
            + match self {
                Cell::TextForm(b) | Cell::Text(b) | Cell::Blob(b) | Cell::Unfit(b) => b.len(),
                _ => 0,
            }
    }
}

/// Durable as a short text: a letter for the kind, then the value (bytes in hexadecimal digits, doubles by their bits), so
/// that any bytes survive.
impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&match self {
            Cell::Null => "n".to_owned(),
            Cell::Unchanged => "u".to_owned(),
            Cell::TextForm(b) => format!("f{}", hex::encode(b)),
            Cell::Integer(i) => format!("i{i}"),
            Cell::Real(r) => format!("r{:016x}", r.to_bits()),
            Cell::Text(b) => format!("t{}", hex::encode(b)),
            Cell::Blob(b) => format!("b{}", hex::encode(b)),
            Cell::Unfit(b) => format!("x{}", hex::encode(b)),
        })
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Cell, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| serde::de::Error::custom("not a stored cell"))
    }
}

fn parse(text: &str) -> Option<Cell> {
    let kind = text.chars().next()?;
    let rest = text.get(kind.len_utf8()..)?;
    let bytes = || hex::decode(rest).map(Bytes::from);
    match kind {
        'n' if rest.is_empty() => Some(Cell::Null),
        'u' if rest.is_empty() => Some(Cell::Unchanged),
        'f' => bytes().map(Cell::TextForm),
        'i' => rest.parse().ok().map(Cell::Integer),
        'r' => u64::from_str_radix(rest, 16)
            .ok()
            .map(|bits| Cell::Real(f64::from_bits(bits))),
        't' => bytes().map(Cell::Text),
        'b' => bytes().map(Cell::Blob),
        'x' => bytes().map(Cell::Unfit),
        _ => None,
    }
}

/// The cells of one row, in the order of its table's columns. A column that is not captured (a generated one) is absent
/// from the table's column list, so positions always match.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Row(pub Vec<Cell>);

impl Row {
    /// True where no column is [`Cell::Unchanged`].
    pub fn is_complete(&self) -> bool {
        !self.0.iter().any(|c| matches!(c, Cell::Unchanged))
    }

    /// Fills this row's unchanged columns from `older`, an earlier image of the same row.
    pub fn fill_unchanged_from(&mut self, older: &Row) {
        for (cell, old) in self.0.iter_mut().zip(&older.0) {
            if matches!(cell, Cell::Unchanged) {
                *cell = old.clone();
            }
        }
    }

    /// Bytes this row holds in memory, for budgets; not exact.
    pub fn weight(&self) -> usize {
        24 + self.0.iter().map(Cell::weight).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn stored_cells_come_back_to_the_bit() {
        let bytes = Bytes::from_static(&[0, 255, b'a']);
        for cell in [
            Cell::Null,
            Cell::Unchanged,
            Cell::Unfit(bytes.clone()),
            Cell::TextForm(bytes.clone()),
            Cell::Integer(i64::MIN),
            Cell::Real(-0.0),
            Cell::Text(bytes.clone()),
            Cell::Blob(Bytes::new()),
        ] {
            let text = serde_json::to_string(&cell).unwrap();
            let back: Cell = serde_json::from_str(&text).unwrap();
            assert_eq!(format!("{back:?}"), format!("{cell:?}"));
        }
        for text in ["\"\"", "\"q\"", "\"f0\"", "\"n1\"", "\"é\"", "\"fé\""] {
            assert!(serde_json::from_str::<Cell>(text).is_err(), "{text}");
        }
    }
}
