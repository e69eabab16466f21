//! What can go wrong with the control store.

use crate::quarantine::{EntryId, EntryState};

/// An error of the control store.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Another process runs this migration.
    #[error(
        "this migration is being run by another process{}",
        .holder.as_ref().map(|h| format!(" (process {} on {})", h.process, h.host)).unwrap_or_default()
    )]
    Held {
        /// The other process, where it has said who it is.
        holder: Option<crate::Holder>,
    },
    /// A newer run has taken over: this one must end.
    #[error("another run of this migration has taken over (epoch {stored}, this one holds {held})")]
    Superseded {
        /// The epoch of this process.
        held: u64,
        /// The epoch in the store.
        stored: u64,
    },
    /// The store was written by a newer version of crossfade.
    #[error("{store} has format {found}, this version of crossfade reads up to {known}")]
    Newer {
        /// The control store.
        store: String,
        /// Its format.
        found: i64,
        /// The newest format that this version reads.
        known: i64,
    },
    /// The store belongs to another migration.
    #[error("{store} belongs to the migration `{found}`, not `{expected}`")]
    WrongMigration {
        /// The control store.
        store: String,
        /// The migration that it holds.
        found: String,
        /// The migration of the file.
        expected: String,
    },
    /// The file is there but is no control store.
    #[error("{store} is not a control store of crossfade: {what}")]
    NotControl {
        /// The file.
        store: String,
        /// What is wrong.
        what: String,
    },
    /// The phase was not the expected one: somebody else moved it.
    #[error("the phase is {found}, not {expected}")]
    PhaseMoved {
        /// What the caller held it to be.
        expected: crossfade_plan::Phase,
        /// What it is.
        found: crossfade_plan::Phase,
    },
    /// There is no such command or intent.
    #[error("{store} has no {what}")]
    Missing {
        /// The control store.
        store: String,
        /// What was looked for.
        what: String,
    },
    /// The quarantine has no such entry.
    #[error("the quarantine has no entry {id}")]
    NoEntry {
        /// What was looked for.
        id: EntryId,
    },
    /// An entry of the quarantine stands where this cannot be done with it.
    #[error("entry {id} of the quarantine is {}", match .state {
        EntryState::Resolved => "resolved: a later comparison has not shown it any more",
        EntryState::Retrying => "being retried already",
        EntryState::Open => "open",
        EntryState::Classified => "classified",
    })]
    EntryState {
        /// The entry.
        id: EntryId,
        /// Where it stands.
        state: EntryState,
    },
    /// A person's words are missing.
    #[error("{what} is empty")]
    Unwritten {
        /// What was to be said.
        what: &'static str,
    },
    /// A person's words are too long.
    #[error("{what} is longer than {longest} characters")]
    TooLong {
        /// What was said.
        what: &'static str,
        /// Characters at most.
        longest: usize,
    },
    /// Reading or writing failed.
    #[error("{store}: {what}")]
    Failed {
        /// The control store.
        store: String,
        /// What happened.
        what: String,
        /// The cause.
        #[source]
        cause: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl ControlError {
    /// What to do next.
    pub fn fix(&self) -> String {
        match self {
            ControlError::Held { .. } => {
                "wait for it to end or stop it; `crossfade status` shows what it does, and `pause`, `verify` and `abort` reach it; `crossfade take-over` where it stands still"
                    .to_owned()
            }
            ControlError::Superseded { .. } => "let the newer run work; this one has ended".to_owned(),
            ControlError::Newer { .. } => "use the version of crossfade that wrote it, or a later one".to_owned(),
            ControlError::WrongMigration { store, .. } => format!(
                "give the migration its old name back, or move {store} away if the old migration is over"
            ),
            ControlError::NotControl { store, .. } => format!(
                "move {store} away; a control store can be lost without loss of rows, the target knows how far it is"
            ),
            ControlError::PhaseMoved { .. } => "look at `crossfade status` and try again".to_owned(),
            ControlError::Missing { .. } => "look at `crossfade status`".to_owned(),
            ControlError::NoEntry { .. } => "`crossfade quarantine list` shows the entries".to_owned(),
            ControlError::EntryState { state, .. } => match state {
                EntryState::Retrying => "wait for the retry to end; `crossfade quarantine show` shows where the entry stands",
                _ => "there is nothing to do with it; `crossfade quarantine list --state open` shows what waits",
            }
            .to_owned(),
            ControlError::Unwritten { .. } => {
                "say who and why: others will rely on it".to_owned()
            }
            ControlError::TooLong { .. } => "say it shorter, and name where more is written".to_owned(),
            ControlError::Failed { .. } => {
                "check that the directory of the migration file can be written and has space left".to_owned()
            }
        }
    }

    /// The program's exit code: 1 failed, 2 refused, 3 bad usage or file.
    pub fn exit_code(&self) -> u8 {
        match self {
            ControlError::Held { .. } | ControlError::EntryState { .. } => 2,
            ControlError::NoEntry { .. }
            | ControlError::Unwritten { .. }
            | ControlError::TooLong { .. }
            | ControlError::Newer { .. }
            | ControlError::WrongMigration { .. }
            | ControlError::NotControl { .. } => 3,
            _ => 1,
        }
    }
}
