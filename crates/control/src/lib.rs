//! The durable state of a migration apart from its rows: phase, intents, commands, reports, rows in
//! quarantine, who runs it, and what was done by whom.
//!
//! Never row progress (that lives in the target, in the transactions that it speaks of), never a secret, and of rows nothing
//! but keys. Whoever reads
//! it may act on old knowledge: what decides is looked at in the two stores.

pub mod audit;
mod error;
mod lock;
pub mod quarantine;
mod sqlite;
mod state;
mod store;
mod switch;

pub use audit::{AuditCheck, AuditEntry, AuditId, AuditRecord, Break};
pub use error::ControlError;
pub use quarantine::{Entry, EntryId, EntryState, QuarantineCounts, QuarantineStore, Verdict};
pub use sqlite::SqliteControl;
pub use state::{
    Command, CommandId, CommandState, Comparison, ControlState, Holder, Intent, IntentId,
    IntentState, Lease, PostedCommand, VerifyLayer,
};
pub use store::ControlStore;
pub use switch::{Override, SwitchOrder, Traffic};
