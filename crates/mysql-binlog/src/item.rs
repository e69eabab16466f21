//! What a log brings, in commit order.

use std::sync::Arc;

use crate::event::rows::RowChange;
use crate::event::table_map::TableMap;
use crate::gtid::Gtid;
use crate::position::LogPosition;

/// One item of the stream. Between [`Item::Begin`] and [`Item::Commit`] or [`Item::Abort`] come only changes, rewinds and
/// definitions of that transaction; a big transaction comes in pieces, before its end was read.
///
/// Cells of strings are slices of their event, which holds some rows of one table (8 KiB, or one row that is longer): what is to
/// be kept for long should be copied.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A transaction begins that has changes of wanted tables, or a definition inside.
    Begin(Begin),
    /// One of its changes.
    Change(Change),
    /// The transaction went back to a savepoint after some of its changes had been handed over: only the first `kept` of
    /// them count. Where they had not, nothing is told.
    Rewind {
        /// How many of the transaction's changes remain.
        kept: u64,
    },
    /// The transaction that began did not happen: rolled back, or left open by a crash.
    Abort(End),
    /// It ends.
    Commit(End),
    /// A statement that defines something (DDL, privileges): by itself, or inside a transaction (CREATE TABLE … SELECT).
    Definition(Definition),
    /// Nothing of what is wanted up to here: transactions of other tables, idle time.
    Passed(End),
}

/// A transaction's beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    /// Its name; `None` where transactions have none (MySQL with `gtid_mode = OFF`).
    pub gtid: Option<Gtid>,
    /// When it committed, in microseconds since the Unix epoch by the source's clock; in MariaDB to the second, when its
    /// last statement began; 0 where the log does not say.
    pub committed_at: i64,
    /// Where it begins in the log: a stream that starts here brings it whole.
    pub start: LogPosition,
}

/// A change of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The table, as it was then.
    pub table: Arc<TableMap>,
    /// What was done; cells in the order of the table's columns.
    pub row: RowChange,
}

impl Change {
    /// Bytes it holds in memory, for budgets; not exact.
    pub fn weight(&self) -> usize {
        std::mem::size_of::<Change>() + self.row.weight()
    }
}

/// Where something ended: a stream that starts here brings what comes after it, and nothing before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The place behind it.
    pub position: LogPosition,
    /// The transaction that ended, to be added to what was seen; `None` where none did or it has no name.
    pub gtid: Option<Gtid>,
}

/// A definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The transaction's beginning.
    pub begin: Begin,
    /// The session's default database; may be empty.
    pub database: String,
    /// The statement, as the session or the server wrote it, with replacement characters where it is not UTF-8.
    pub sql: String,
    /// False where the session wrote in another character set than UTF-8: names in the text may not be what they seem.
    pub is_utf8: bool,
    /// The session's `sql_mode`, which says how the text is taken apart; `None` where the log does not tell it.
    pub sql_mode: Option<u64>,
    /// Its end; `None` inside a transaction, which ends by itself.
    pub end: Option<End>,
}

/// Items and about how much memory they hold.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub items: Vec<Item>,
    pub weight: usize,
}

impl Batch {
    pub fn push(&mut self, item: Item) {
        self.weight += match &item {
            Item::Change(change) => change.weight(),
            _ => std::mem::size_of::<Item>(),
        };
        // idle time needs to be told once
        if let (Item::Passed(End { gtid: None, .. }), Some(Item::Passed(last))) =
            (&item, self.items.last_mut())
            && let Item::Passed(End { position, .. }) = item
        {
            last.position = position;
            return;
        }
        self.items.push(item);
    }
}
