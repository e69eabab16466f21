//! Writes on a target that are not the migration's: what the target itself notes of them.

use crossfade_model::{Cell, TableName};

/// A write of somebody else, as the target has noted it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stranger {
    /// What names the entry for [`crate::Target::told_strangers`]; `None` for an entry that stands for writes which found no room.
    pub id: Option<i64>,
    /// The target's table; of a partitioned table the root.
    pub table: TableName,
    /// What was written.
    pub operation: Written,
    /// The cells of the key as the target hands them over, in key order; `None` where the write has none: all of the table
    /// may have changed.
    pub key: Option<Vec<Cell>>,
    /// When, by the target's clock, milliseconds since the Unix epoch.
    pub at: i64,
    /// Who, from where, by which program, as far as the target knows.
    pub who: String,
    /// It was told to a person.
    pub told: bool,
}

/// What a stranger has done to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Written {
    /// A row came.
    Insert,
    /// A row was changed.
    Update,
    /// A row went.
    Delete,
    /// All rows went.
    Truncate,
    /// Other rows took the place of the table's, or of a part of them, without being named (a partition that was exchanged, another table of
    /// its name).
    Exchange,
    /// Rows were written that found no room in the list.
    More,
}

/// What a target knows of strangers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Strangers {
    /// Entries, oldest first. Bounded by the store.
    pub entries: Vec<Stranger>,
    /// Up to where the entries go, for the next call; `None` where the target notes nothing.
    pub seen: Option<String>,
    /// Tables whose marks were there and are no more, or are switched off: nothing is noted of what is written to them.
    pub unseen: Vec<TableName>,
    /// What was written by now was not all looked at: the next call goes on.
    pub is_behind: bool,
}
