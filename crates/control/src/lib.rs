//! The durable state of a migration apart from its rows: phase, intents, commands, reports, who runs it.
//!
//! Never row progress (that lives in the target, in the transactions that it speaks of), and never a secret. Whoever reads
//! it may act on old knowledge: what decides is looked at in the two stores.

mod error;
mod lock;
mod sqlite;
mod state;
mod store;

pub use error::ControlError;
pub use sqlite::SqliteControl;
pub use state::{
    Command, CommandId, CommandState, ControlState, Holder, Intent, IntentId, IntentState, Lease,
    PostedCommand, VerifyLayer,
};
pub use store::ControlStore;
