//! The durable state of a migration apart from its rows: phase, intents, commands, reports, rows in
//! quarantine, who runs it.
//!
//! Never row progress (that lives in the target, in the transactions that it speaks of), never a secret, and of rows nothing
//! but keys. Whoever reads
//! it may act on old knowledge: what decides is looked at in the two stores.

mod error;
mod lock;
pub mod quarantine;
mod sqlite;
mod state;
mod store;

pub use error::ControlError;
pub use quarantine::{Entry, EntryId, EntryState, QuarantineCounts, QuarantineStore, Verdict};
pub use sqlite::SqliteControl;
pub use state::{
    Command, CommandId, CommandState, Comparison, ControlState, Holder, Intent, IntentId,
    IntentState, Lease, PostedCommand, VerifyLayer,
};
pub use store::ControlStore;
