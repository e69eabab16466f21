//! Which tables' rows are wanted, and which of their columns must be there.

use std::collections::HashSet;

/// Says of a table, by database and name, what is wanted of it. Asked once per definition in the log: names of columns that a
/// table does not have any more are no error here.
pub type Wanted = Box<dyn Fn(&str, &str) -> Interest + Send + Sync>;

/// What is wanted of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interest {
    /// Nothing: its rows are not read at all.
    Nothing,
    /// Rows with every column that the log defines.
    Whole,
    /// Rows that have at least these columns; any other may be missing and comes as [`crossfade_model::Cell::Unchanged`] then.
    ///
    /// MariaDB 11.8 logs generated columns (stored ones too) and the hidden ones behind unique keys of long columns
    /// (`DB_ROW_HASH_1`) only of new rows, not of updates and deletes, though it defines them; MySQL and MariaDB 10.11 log all.
    Columns(HashSet<String>),
}

impl Interest {
    pub(crate) fn needs(&self, column: &str) -> bool {
        match self {
            Interest::Nothing => false,
            Interest::Whole => true,
            Interest::Columns(columns) => columns.contains(column),
        }
    }
}
