//! The quarantine of differences: where a row that did not match waits until a person has said what it is.
//!
//! An entry names its row by the key, which may be shown; no other cell of the row is ever stored.

use async_trait::async_trait;
use crossfade_model::Cell;
use serde::{Deserialize, Serialize};

use crate::{CommandId, ControlError, Lease};

/// Entries of a migration that wait (all but resolved ones) at most. What does not fit is counted.
pub const MOST_WAITING: u64 = 10_000;
/// Resolved entries that are kept at most; the newest.
pub const MOST_RESOLVED: u64 = 10_000;
/// Entries that [`QuarantineStore::quarantine`] returns at once, at most.
pub const MOST_LISTED: u32 = 1000;
/// Characters of a key's text that are kept at most.
pub const LONGEST_KEY: usize = 1000;
/// Bytes of a key's cells that are kept at most; of a longer key none are, and its row cannot be read by it.
pub const LONGEST_KEY_CELLS: usize = 64 << 10;
/// Characters of a reason at most.
pub const LONGEST_REASON: usize = 4000;
/// Characters of a person's name at most.
pub const LONGEST_NAME: usize = 200;

/// The number of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryId(pub i64);

impl std::fmt::Display for EntryId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The side whose row the key's cells were taken from: they are in that store's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeySide {
    /// The source.
    Source,
    /// The target: the row is there only.
    Target,
}

/// What names a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RowKey {
    /// A digest of the key in canonical form, the same whichever side it is read on; of the whole row where the table has no key,
    /// which names that row without showing it.
    pub digest: String,
    /// The key's values as text, for people.
    pub text: String,
    /// The key's cells in key order; none for a table without key.
    pub cells: Vec<Cell>,
    /// Whose form the cells have.
    pub side: KeySide,
}

/// A row that a comparison found to differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// What names the row.
    pub key: RowKey,
    /// How it differs: `missing`, `extra`, `changed`.
    pub kind: String,
    /// The columns that differ.
    pub columns: Vec<String>,
    /// The likely cause, a stable word.
    pub cause: String,
    /// The likely cause in a sentence.
    pub why: String,
}

/// What a comparison found in one table.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparedTable {
    /// Name on the source.
    pub name: String,
    /// The rows that differ.
    pub seen: Vec<Seen>,
    /// All rows that differ are named: an entry that is not among them is resolved.
    pub complete: bool,
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// The position at which both sides were compared, for people.
    pub position: String,
    /// The tables that were compared; others keep their entries as they are.
    pub tables: Vec<ComparedTable>,
}

/// What became of a comparison's differences.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Entries that are new.
    pub new: u64,
    /// Entries that were there and were seen again.
    pub again: u64,
    /// Entries that the comparison no longer shows, and which are resolved.
    pub resolved: u64,
    /// Rows that differ and found no room.
    pub not_kept: u64,
}

/// Where an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryState {
    /// Nobody has said what it is.
    Open,
    /// A person has.
    Classified,
    /// A retry is ordered or under way.
    Retrying,
    /// A later comparison has not shown it any more.
    Resolved,
}

impl EntryState {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            EntryState::Open => "open",
            EntryState::Classified => "classified",
            EntryState::Retrying => "retrying",
            EntryState::Resolved => "resolved",
        }
    }
}

/// What a person holds a difference to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is as it should be.
    Expected,
    /// It is not.
    Bug,
}

impl Verdict {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Expected => "expected",
            Verdict::Bug => "bug",
        }
    }
}

/// What a person has said of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classification {
    /// What it is.
    pub verdict: Verdict,
    /// Who says so.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When, milliseconds since the Unix epoch.
    pub at: i64,
}

/// When and where an entry was no longer shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// When, milliseconds since the Unix epoch.
    pub at: i64,
    /// The position of the comparison, for people.
    pub position: String,
}

/// A row that did not match.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number.
    pub id: EntryId,
    /// The table's name on the source.
    pub table: String,
    /// What names the row.
    pub key: RowKey,
    /// How it differs, as last seen.
    pub kind: String,
    /// The columns that differ, as last seen.
    pub columns: Vec<String>,
    /// The likely cause, a stable word.
    pub cause: String,
    /// The likely cause in a sentence.
    pub why: String,
    /// The position at which it was last seen, for people.
    pub position: String,
    /// When it was first seen, milliseconds since the Unix epoch.
    pub first_seen: i64,
    /// When it was last seen, milliseconds since the Unix epoch.
    pub last_seen: i64,
    /// Comparisons that have shown it.
    pub times_seen: u64,
    /// Where it stands.
    pub state: EntryState,
    /// What a person has said of it. Kept when it is seen again; if it then differs in another way than was classified, its
    /// state is open nevertheless.
    pub classification: Option<Classification>,
    /// When and where it was no longer shown.
    pub resolution: Option<Resolution>,
}

/// Which entries are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this state.
    pub state: Option<EntryState>,
    /// Only of this table (name on the source).
    pub table: Option<String>,
    /// Only after this entry: the page's end before.
    pub after: Option<EntryId>,
    /// So many at most; [`MOST_LISTED`] at most.
    pub limit: u32,
}

/// Some entries, by number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Entry>,
    /// There are more after this one.
    pub next: Option<EntryId>,
}

/// How many entries there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineCounts {
    /// Nobody has said what they are.
    pub open: u64,
    /// A person has.
    pub classified: u64,
    /// Of these: held to be a bug.
    pub bugs: u64,
    /// A retry is ordered or under way.
    pub retrying: u64,
    /// No longer shown.
    pub resolved: u64,
    /// Rows that differed in their table's last comparison and found no room.
    pub not_kept: u64,
    /// Tables whose last comparison could not name all rows that differ.
    pub unlisted_tables: u64,
}

impl QuarantineCounts {
    /// True where nothing is or was quarantined.
    pub fn is_empty(&self) -> bool {
        *self == QuarantineCounts::default()
    }
}

/// Keeps the differences of one migration. A part of [`crate::ControlStore`].
#[async_trait]
pub trait QuarantineStore: Send + Sync {
    /// Records what a comparison found, in one transaction: a row seen for the first time becomes an entry; one seen again keeps
    /// number, first time and classification; entries of a completely compared table that are not among its rows are resolved.
    async fn record_compared(
        &self,
        lease: &Lease,
        compared: Compared,
    ) -> Result<Recorded, ControlError>;

    /// Records a row that the target refused, before a run ends with it: a new entry, or the one of this row again. `None` where
    /// there is no room. A later complete comparison of the table that does not show the row resolves it.
    async fn record_refused(
        &self,
        lease: &Lease,
        table: String,
        seen: Seen,
        position: String,
    ) -> Result<Option<EntryId>, ControlError>;

    /// Entries, by number, page by page.
    async fn quarantine(&self, filter: Filter) -> Result<Page, ControlError>;

    /// One entry; [`ControlError::NoEntry`] where there is none.
    async fn entry(&self, id: EntryId) -> Result<Entry, ControlError>;

    /// The states of entries; those that are gone are left out.
    async fn entry_states(
        &self,
        ids: Vec<EntryId>,
    ) -> Result<Vec<(EntryId, EntryState)>, ControlError>;

    /// Keeps what a person says of an entry that is not resolved; the last word counts. One that is being retried goes on being
    /// retried, and is classified afterwards.
    async fn classify(
        &self,
        id: EntryId,
        verdict: Verdict,
        by: String,
        reason: String,
    ) -> Result<Entry, ControlError>;

    /// Marks entries for retry and posts [`crate::Command::Retry`], in one transaction: all of them or none. Without `ids`: all
    /// that are open or held to be a bug; `None` where there is none. The mark goes when the command ends.
    async fn retry(
        &self,
        ids: Option<Vec<EntryId>>,
    ) -> Result<Option<(CommandId, Vec<EntryId>)>, ControlError>;
}

/// A person's words: not empty, and bounded.
pub(crate) fn written(
    what: &'static str,
    text: &str,
    longest: usize,
) -> Result<String, ControlError> {
    let text = text.trim();
    let found = text.chars().count();
    if found == 0 {
        return Err(ControlError::Unwritten { what });
    }
    if found > longest {
        return Err(ControlError::TooLong { what, longest });
    }
    Ok(text.to_owned())
}
