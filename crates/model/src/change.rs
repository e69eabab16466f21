//! What a source's log says: transactions, and the changes that each made.

use serde::{Deserialize, Serialize};

use crate::cell::Row;
use crate::mapping::TableId;
use crate::position::{Position, TransactionId};

/// One row's change. Rows hold the cells of the mapped source table, in its column order.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A new row; complete.
    Insert {
        /// The table.
        table: TableId,
        /// The row.
        row: Row,
    },
    /// A row that was there before. `row` may hold unchanged columns.
    Update {
        /// The table.
        table: TableId,
        /// The old key's cells (other columns NULL) where the key changed, or the whole old row where the log has it.
        before: Option<Row>,
        /// The row after.
        row: Row,
    },
    /// The row as it is at the end of the captured transaction, whatever it was before (capture by keys).
    Upsert {
        /// The table.
        table: TableId,
        /// The row; complete.
        row: Row,
    },
    /// A row that is gone.
    Delete {
        /// The table.
        table: TableId,
        /// The old key's cells (other columns NULL), or the whole old row.
        before: Row,
    },
    /// The row of this key was written, and what it is now the log does not say: it must be read.
    Unclear {
        /// The table.
        table: TableId,
        /// The key's cells (other columns NULL).
        key: Row,
    },
    /// A change that the mapping drops: neither before nor after it the row is one that is moved.
    Filtered {
        /// The table.
        table: TableId,
    },
    /// All rows of these tables are gone.
    Truncate {
        /// The tables.
        tables: Vec<TableId>,
    },
    /// The rows of this table that lie in some of its partitions are gone. Which rows these are, the log does not say.
    TruncatePartitions {
        /// The table.
        table: TableId,
    },
}

impl Change {
    /// Bytes this change holds in memory, for budgets; not exact.
    pub fn weight(&self) -> usize {
        32 + match self {
            Change::Insert { row, .. }
            | Change::Upsert { row, .. }
            | Change::Delete { before: row, .. }
            | Change::Unclear { key: row, .. } => row.weight(),
            Change::Update { before, row, .. } => {
                row.weight() + before.as_ref().map_or(0, Row::weight)
            }
            Change::Truncate { tables } => tables.len() * 4,
            Change::Filtered { .. } | Change::TruncatePartitions { .. } => 0,
        }
    }
}

/// The identity of a committed source transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transaction {
    /// Who it is, for [`crate::Snapshot::sees`].
    pub id: TransactionId,
    /// When it committed, in microseconds since the Unix epoch, by the source's clock; 0 where the log does not say.
    pub committed_at: i64,
}

/// One event of a source's change stream. Only committed transactions come, whole, in commit order, never interleaved.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamEvent {
    /// A committed transaction begins.
    Begin(Transaction),
    /// One of its changes.
    Change(Change),
    /// It ends. `end` is the position to resume after it: a stream opened at `end` does not bring it again.
    Commit {
        /// The transaction's end.
        end: Position,
    },
    /// Nothing to apply up to here: the stream has passed this position between transactions.
    Progress(Position),
    /// The table's shape in the log is not the one that was planned. No change after it was read.
    SchemaChanged {
        /// The table.
        table: TableId,
        /// What differs, in words, for the operator.
        what: String,
        /// Tables whose rows may be others than the log says, whatever columns they have: another table took their name or their rows.
        moved: Vec<TableId>,
    },
}

/// Tables were planned anew, where the stream had come to an altered one: the next definition that alters one, no row of a mapped table
/// before it, is part of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replanned {
    /// The checkpoint at which it was done.
    pub checkpoint: Position,
    /// The log's end before the source was described: what it holds beyond may not be in the plan.
    pub log_end: Position,
    /// That definition moved rows past the log, and the tables which it names are copied anew.
    #[serde(default)]
    pub moved: bool,
}
