//! Durable facts that live in the target, beside the rows that they speak of.
//!
//! A target keeps two tables for crossfade: one row per migration (run epoch, checkpoint), and records. A record's body
//! is the engine's; the store only keeps it, in the transaction that it is told.

use crossfade_model::Position;
use serde::{Deserialize, Serialize};

/// What a record is about. `kind` is one of the engine's words (`frontier`, `owed`, `one_key`, `ledger`, `table`, `source`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordKey {
    /// The kind.
    pub kind: String,
    /// Its name within the kind.
    pub id: String,
}

impl RecordKey {
    /// A key.
    pub fn new(kind: impl Into<String>, id: impl Into<String>) -> RecordKey {
        RecordKey {
            kind: kind.into(),
            id: id.into(),
        }
    }
}

/// A durable fact: JSON text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What it is about.
    pub key: RecordKey,
    /// What it says, as JSON.
    pub body: String,
}

/// One write of a record, in the transaction that it is given to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordWrite {
    /// Insert or replace.
    Put(Record),
    /// Delete; no error where it is not there.
    Remove(RecordKey),
}

/// What the target durably holds of a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetState {
    /// The run epoch that this tenure holds.
    pub epoch: u64,
    /// The checkpoint; `None` before the first.
    pub checkpoint: Option<Position>,
    /// All records.
    pub records: Vec<Record>,
}
