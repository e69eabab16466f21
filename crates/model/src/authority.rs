//! A store's own word on whether it takes writes: its register.

use serde::{Deserialize, Serialize};

use crate::{Position, Snapshot};

/// What a register says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The store takes writes.
    Open,
    /// It takes none: it never had authority, or a switch holds its fence. It may reopen alone if it was open before.
    Fenced,
    /// It has given authority away: it may not reopen unless the other store has refused the same epoch.
    Given,
    /// It has declined the epoch.
    Refused,
}

impl Mode {
    /// The mode's word, as stores keep it.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Open => "open",
            Mode::Fenced => "fenced",
            Mode::Given => "given",
            Mode::Refused => "refused",
        }
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

impl std::str::FromStr for Mode {
    type Err = ();

    fn from_str(word: &str) -> Result<Mode, ()> {
        [Mode::Open, Mode::Fenced, Mode::Given, Mode::Refused]
            .into_iter()
            .find(|mode| mode.word() == word)
            .ok_or(())
    }
}

/// A store's register. Changed by compare-and-swap only, under the latch that every writer shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Register {
    /// The mode.
    pub mode: Mode,
    /// The switch that it speaks of. Only ever rises.
    pub epoch: u64,
}

impl Register {
    /// A register.
    pub fn new(mode: Mode, epoch: u64) -> Register {
        Register { mode, epoch }
    }
}

impl std::fmt::Display for Register {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.mode, self.epoch)
    }
}

/// Where the changes of a store begin that were made under its own authority: noted in the store itself, before it opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beginning {
    /// The switch that gave it authority.
    pub epoch: u64,
    /// Its log's position: everything that was applied to it lies before, every write of the application after.
    pub position: Position,
    /// A snapshot that sees all that lies before and nothing after.
    pub snapshot: Snapshot,
    /// Whose log the position is a place in, where another server can answer under the same address later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogOwner>,
}

/// The server whose log a position is a place in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogOwner {
    /// Its identity, as the store tells it.
    pub identity: String,
    /// What the store keeps with a checkpoint at that position.
    pub mark: Option<String>,
}

/// The name of the lane in which changes go back to a migration's source. What a lane makes on stores is named by it. No migration's
/// name has a `-`.
pub fn reverse_lane(migration: &str) -> String {
    format!("{migration}-back")
}
