//! One value of one column, in the form in which its store handed it over.

use bytes::Bytes;

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
}

impl Cell {
    /// Bytes this cell holds in memory, for budgets; not exact.
    pub fn weight(&self) -> usize {
        std::mem::size_of::<Cell>()
            + match self {
                Cell::TextForm(b) | Cell::Text(b) | Cell::Blob(b) => b.len(),
                _ => 0,
            }
    }
}

/// The cells of one row, in the order of its table's columns. A column that is not captured (a generated one) is absent
/// from the table's column list, so positions always match.
#[derive(Debug, Clone, PartialEq, Default)]
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
