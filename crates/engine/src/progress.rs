//! What a run shows of itself: progress snapshots and events. Serialized as they stand for `--json`
//! and for the control store; their fields are documented and stable.

use crossfade_plan::Phase;
use crossfade_rules::gates::GateResult;
use crossfade_rules::ledger::LedgerCounts;
use crossfade_store::Made;
use serde::{Deserialize, Serialize};

use crate::switch::Direction;
use crate::switch::report::SwitchReport;
pub use crate::verify_report::{Difference, DifferenceKind, Places, TableVerify, VerifyReport};

/// Sees what a run does. Called from the run's tasks: must return at once.
pub trait Observer: Send + Sync {
    /// A snapshot, a few times a second at most.
    fn progress(&self, progress: &Progress);
    /// Something happened once.
    fn event(&self, event: &Event);
}

/// An observer that looks away.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn progress(&self, _: &Progress) {}
    fn event(&self, _: &Event) {}
}

/// How far one table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum TableState {
    /// No chunk is loaded.
    #[default]
    Waiting,
    /// Some chunks are loaded or being loaded.
    Copying,
    /// All chunks are loaded; the key is being built.
    BuildingKey,
    /// All chunks are loaded.
    Copied,
    /// All chunks are loaded and the checkpoint is at or beyond every horizon of this table.
    Following,
}

/// One table's part of the work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableProgress {
    /// Name on the source.
    pub name: String,
    /// Rows by the source's estimate when the plan was made.
    pub estimated_rows: u64,
    /// Rows written by finished chunks and by the ones under way.
    pub copied_rows: u64,
    /// Chunks; 0 before the table was split.
    pub chunks_total: u64,
    /// Chunks whose frontier is durable.
    pub chunks_loaded: u64,
    /// How far it is.
    pub state: TableState,
}

/// Source end minus checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
pub struct Lag {
    /// Bytes of source log, where positions are bytes.
    pub bytes: Option<u64>,
    /// Transactions read from the log and not yet durable in the target.
    pub transactions: u64,
    /// Seconds since the oldest change that is not yet durable was committed; 0 where there is none.
    pub seconds: f64,
}

/// One table's durable ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableLedger {
    /// Name on the source.
    pub name: String,
    /// The counts at the checkpoint.
    pub counts: LedgerCounts,
    /// Captured equals the sum of the others.
    pub balanced: bool,
}

/// A snapshot of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// When, milliseconds since the Unix epoch.
    pub at: i64,
    /// The run epoch in the target.
    pub epoch: u64,
    /// The phase.
    pub phase: Phase,
    /// The run obeys a `pause`.
    pub paused: bool,
    /// What it does now, in a few words (`copying`, `building keys`, `following`, `verifying`, `waiting to connect again`).
    pub activity: String,
    /// The tables, in plan order.
    pub tables: Vec<TableProgress>,
    /// Rows copied, all tables, all runs.
    pub copied_rows: u64,
    /// Rows copied per second, recently.
    pub rows_per_second: f64,
    /// Changes made durable in the target by this run.
    pub applied_changes: u64,
    /// Changes per second, recently.
    pub changes_per_second: f64,
    /// The durable position, for people; `None` before the first.
    pub checkpoint: Option<String>,
    /// The source's log end, for people; `None` before it was first read.
    pub source_end: Option<String>,
    /// Source end minus checkpoint.
    pub lag: Lag,
    /// Bytes (or rows of the change table) of log that the source keeps back for this migration.
    pub log_kept_bytes: u64,
    /// The durable ledger, in plan order.
    pub ledger: Vec<TableLedger>,
    /// Readers of the target see prefixes of the source's history.
    pub followed: bool,
    /// Rows that the target refused: they wait in quarantine, everything else goes on.
    #[serde(default)]
    pub parked: u64,
    /// What this migration has made on the source.
    pub made: Vec<Made>,
    /// The last comparison.
    pub last_verified: Option<VerifySummary>,
    /// What is proven; `None` before anything was read for it.
    #[serde(default)]
    pub proof: Option<ProofProgress>,
    /// Writes on the target that are not this migration's.
    #[serde(default)]
    pub strangers: StrangersSeen,
    /// Which way rows go.
    #[serde(default)]
    pub direction: Direction,
    /// The gates of the next switch in this direction, as they were last judged; empty before.
    #[serde(default)]
    pub gates: Vec<GateResult>,
}

/// Writes on the target that are not this migration's, as the target has noted them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct StrangersSeen {
    /// Rows and truncates that are noted one by one.
    pub writes: u64,
    /// There were more than are noted.
    pub more: bool,
    /// The latest, oldest first.
    pub latest: Vec<StrangerWrite>,
    /// Tables of the target whose marks somebody has taken off or switched off, or whose log cannot be read: writes on them can no longer be seen.
    pub unseen: Vec<String>,
}

impl StrangersSeen {
    /// Nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.writes == 0 && !self.more && self.unseen.is_empty()
    }
}

/// One write of a stranger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrangerWrite {
    /// Name on the target.
    pub table: String,
    /// `insert`, `update`, `delete`, `truncate`, or `more`: rows that found no room.
    pub operation: String,
    /// The key columns' values as text, `, ` between them; `None` where the write has none.
    pub key: Option<String>,
    /// When, by the target's clock, milliseconds since the Unix epoch.
    pub at: i64,
    /// Who, from where, by which program, as far as the target knows.
    pub who: String,
}

/// What is proven while the target follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProofProgress {
    /// Ranges that the tables are cut into.
    pub ranges: u64,
    /// Ranges that were read on both sides and found equal, but for their touched keys.
    pub proven: u64,
    /// Ranges that were not read yet, or in which too much has changed since.
    pub unproven: u64,
    /// Ranges that differed when they were last read.
    pub differ: u64,
    /// Keys that have changed since their range was read: their values are the stream's word only.
    pub touched_keys: u64,
    /// Every range is proven and no key is touched.
    pub everything: bool,
    /// The proven range that was read longest ago.
    pub oldest: Option<RangeProof>,
}

/// When a range was proven.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RangeProof {
    /// Its table's name on the source.
    pub table: String,
    /// The position at which both sides were equal, for people.
    pub position: String,
    /// When it was read, milliseconds since the Unix epoch.
    pub read: i64,
}

/// Rows that were read again because they differed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Repair {
    /// Rows that were read again on the source, and written as they are there. Unverified until the comparison that
    /// follows has read them again.
    pub rows: u64,
    /// Why nothing, or not everything, was repaired.
    pub refused: Option<String>,
}

/// Something that happened once in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// The run has the right to write.
    Started {
        /// The run epoch in the target.
        epoch: u64,
        /// There was durable state to go on from.
        resumed: bool,
    },
    /// Something was made on the source.
    CaptureCreated {
        /// What.
        made: Vec<Made>,
        /// The first position of the stream, for people.
        position: String,
    },
    /// Another server has taken the source's place, and has all that was applied.
    Succeeded {
        /// Who it is.
        identity: String,
        /// Where its log goes on, for people.
        position: String,
    },
    /// The target's tables are there.
    TablesCreated {
        /// How many.
        tables: usize,
    },
    /// All chunks of a table are loaded.
    TableCopied {
        /// Name on the source.
        table: String,
        /// Rows.
        rows: u64,
    },
    /// The target is the source as of the checkpoint from now on.
    Followed {
        /// The position, for people.
        position: String,
        /// Seconds since this run started.
        seconds: f64,
    },
    /// A comparison ended.
    Verified {
        /// Its outcome.
        summary: VerifySummary,
    },
    /// `pause` was obeyed.
    Paused,
    /// `resume` was obeyed.
    Resumed,
    /// Something failed that may work later: all is torn down and begun again from what is durable.
    Retrying {
        /// What failed, without secrets and values.
        error: String,
        /// Seconds until the next try.
        after_seconds: f64,
        /// Tries so far, without progress between them.
        attempt: u32,
    },
    /// Somebody else has written to a followed table of the target.
    Stranger {
        /// What.
        #[serde(flatten)]
        write: StrangerWrite,
    },
    /// A condition of `[abort_conditions]` no longer holds; told once until it holds again.
    Alarm {
        /// `reverse_lag`, `drift`, `probe`.
        condition: String,
        /// What shows it, in words.
        what: String,
        /// Authority is given back because of it, where that loses nothing.
        rollback: bool,
    },
    /// Something that a person should know.
    Warning {
        /// What.
        what: String,
    },
    /// The run has ended.
    Stopped {
        /// Why, in a few words.
        why: String,
    },
}

/// The outcome of a comparison, in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerifySummary {
    /// Everything is equal.
    pub equal: bool,
    /// The position at which both sides were compared, for people.
    pub position: String,
    /// When it ended, milliseconds since the Unix epoch.
    pub finished: i64,
    /// How long it took.
    pub seconds: f64,
    /// Tables compared.
    pub tables: usize,
    /// Rows compared.
    pub rows: u64,
    /// Rows that differ (as far as they were listed).
    pub differences: u64,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum RunOutcome {
    /// It was told to stop, and has, after a whole batch.
    Stopped {
        /// The checkpoint, for people.
        checkpoint: Option<String>,
    },
    /// `Until::Followed` was reached.
    Followed {
        /// The checkpoint, for people.
        checkpoint: String,
    },
    /// `Until::Verified` was reached. The two sides may differ: look at [`VerifyReport::equal`].
    Verified {
        /// The comparison.
        report: Box<VerifyReport>,
    },
    /// `abort` was obeyed.
    Aborted {
        /// What was removed.
        removed: Vec<Made>,
    },
    /// `complete` was obeyed.
    Completed {
        /// What was removed.
        removed: Vec<Made>,
    },
    /// `Until::Switched` was reached, or its dry run.
    Switched {
        /// The switch.
        report: Box<SwitchReport>,
    },
}
