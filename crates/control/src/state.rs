//! What a control store holds.

use std::any::Any;

use crossfade_plan::Phase;
use serde::{Deserialize, Serialize};

use crate::ControlError;
use crate::quarantine::{EntryId, QuarantineCounts};
use crate::switch::{self, SwitchOrder};

/// A process that runs, or ran, a migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id.
    pub process: u32,
    /// Host name.
    pub host: String,
    /// When it took the lease, milliseconds since the Unix epoch.
    pub started: i64,
    /// When it last showed that it lives, milliseconds since the Unix epoch.
    pub seen: i64,
    /// Its epoch in this store (not the target's run epoch).
    pub epoch: u64,
}

/// The right to run a migration. Freed when it is dropped, and by the operating system when the process dies.
pub struct Lease {
    /// Raised by one with each lease.
    pub epoch: u64,
    pub(crate) _guard: Box<dyn Any + Send + Sync>,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lease({})", self.epoch)
    }
}

/// The number of an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IntentId(pub i64);

/// What became of an intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentState {
    /// Recorded; whether it happened is to be found out by looking at the stores.
    Open,
    /// It happened; with what is worth knowing, as JSON.
    Done(serde_json::Value),
    /// It did not happen, and why.
    Failed(String),
}

/// A step that cannot be taken back, recorded before it was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Its number.
    pub id: IntentId,
    /// The step: `create_capture`, `create_tables`, `abort`; `verify`, whose detail holds the salt's hash; the switch's own.
    pub kind: String,
    /// What exactly, as JSON.
    pub detail: serde_json::Value,
    /// When it was recorded, milliseconds since the Unix epoch.
    pub recorded: i64,
    /// What became of it.
    pub state: IntentState,
}

/// The number of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CommandId(pub i64);

/// What a comparison reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifyLayer {
    /// Every row of every table, and the projections.
    #[default]
    Full,
    /// Numbers that each store computes of its columns.
    Aggregate,
    /// A share of the rows.
    Sample {
        /// Of a million rows, so many.
        millionths: u32,
        /// What chooses them.
        seed: u64,
    },
    /// The projections alone.
    Projections,
    /// The keys that have changed since they were last proven; what was proven before stays so.
    Touched,
}

/// A comparison that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Comparison {
    /// What it reads.
    #[serde(default)]
    pub layer: VerifyLayer,
    /// The result is to hold the values of rows that differ.
    #[serde(default)]
    pub show_rows: bool,
    /// Read rows that differ again through the stream, if they are no more than this.
    #[serde(default)]
    pub repair_rows: Option<u64>,
    /// The result is to hold what a certificate states.
    #[serde(default)]
    pub evidence: bool,
    /// Both sides are read slowly, so that whoever works there feels little; of a full comparison.
    #[serde(default)]
    pub gentle: bool,
}

/// What an operator wants a running `run` to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "command")]
pub enum Command {
    /// Stop copying and applying after the current batch, stay connected; durable.
    Pause,
    /// Go on.
    Resume,
    /// Compare both sides now.
    Verify(Comparison),
    /// Try again to make rows equal that are in quarantine. Posted by [`crate::QuarantineStore::retry`], which marks them.
    Retry {
        /// The entries.
        ids: Vec<EntryId>,
    },
    /// End the migration and remove what was made on the source.
    Abort {
        /// Drop the tables that the migration made on the target, too.
        drop_target_tables: bool,
    },
    /// Say how the gates of a switch stand now.
    Gates,
    /// Give traffic to the target.
    Switch(SwitchOrder),
    /// Give it back to the source.
    Rollback(SwitchOrder),
    /// End the migration where the target has authority: the reverse stream stops, leftovers go.
    Complete {
        /// Who answers for it.
        owner: String,
    },
}

impl Command {
    /// The stable word.
    pub fn word(&self) -> &'static str {
        match self {
            Command::Pause => "pause",
            Command::Resume => "resume",
            Command::Verify(_) => "verify",
            Command::Retry { .. } => "retry",
            Command::Abort { .. } => "abort",
            Command::Gates => "gates",
            Command::Switch(_) => "switch",
            Command::Rollback(_) => "rollback",
            Command::Complete { .. } => "complete",
        }
    }

    /// Who answers for it, where the command says so.
    pub fn owner(&self) -> Option<&str> {
        match self {
            Command::Switch(order) | Command::Rollback(order) => Some(&order.owner),
            Command::Complete { owner } => Some(owner),
            _ => None,
        }
    }

    /// A command is refused before it is kept where a person's words in it are missing or too long.
    pub(crate) fn check(&self) -> Result<(), ControlError> {
        match self {
            Command::Switch(order) | Command::Rollback(order) => order.check(),
            Command::Complete { owner } => switch::owner(owner),
            _ => Ok(()),
        }
    }
}

/// How far a command is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandState {
    /// Nobody has taken it.
    Posted,
    /// A run works on it.
    Acknowledged,
    /// Done, with its result as JSON.
    Done(serde_json::Value),
    /// It failed, and why.
    Failed(String),
}

/// A command in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostedCommand {
    /// Its number.
    pub id: CommandId,
    /// What is wanted.
    pub command: Command,
    /// When it was posted, milliseconds since the Unix epoch.
    pub posted: i64,
    /// How far it is.
    pub state: CommandState,
}

/// All that the store holds, read at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ControlState {
    /// The migration.
    pub migration: String,
    /// The phase, as the last run knew it.
    pub phase: Phase,
    /// `pause` was given and not taken back.
    pub paused: bool,
    /// The process that holds or last held the lease.
    pub holder: Option<Holder>,
    /// A process holds the lease now.
    pub running: bool,
    /// The last snapshot of a run's progress, for people to read; and when it was made. Never relied upon.
    pub progress: Option<(i64, serde_json::Value)>,
    /// The last report of a comparison.
    pub report: Option<serde_json::Value>,
    /// Intents that are still open.
    pub open_intents: Vec<Intent>,
    /// How many rows are in quarantine.
    pub quarantine: QuarantineCounts,
}
