//! What gates are judged from: plain values. `None` is "could not be found out".

use serde::{Deserialize, Serialize};

/// All that is known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// How far the target is behind.
    pub lag: Option<LagEvidence>,
    /// What is proven equal.
    pub proof: Option<ProofEvidence>,
    /// Rows in quarantine.
    pub quarantine: Option<QuarantineEvidence>,
    /// Writes on the target that are not the migration's.
    pub strangers: Option<StrangersEvidence>,
    /// Whether mapped columns can be taken back.
    pub mapping: Option<MappingEvidence>,
    /// The last rehearsal.
    pub rehearsal: Option<RehearsalEvidence>,
    /// Reads that were sent to both sides.
    pub shadow: Option<ShadowEvidence>,
    /// Whether others can change the tables' shapes.
    pub ddl: Option<DdlFreeze>,
}

/// What a [`super::LagWindow`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LagEvidence {
    /// The 99th percentile in milliseconds; `None` without a sample.
    pub p99_ms: Option<u64>,
    /// For how long it was watched without a gap, in milliseconds, up to the window's length.
    pub covered_ms: u64,
    /// Samples in the window.
    pub samples: u64,
}

/// What is proven equal, over all tables.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProofEvidence {
    /// Ranges that were never read on both sides, or in which too much has changed since.
    pub unproven: u64,
    /// Ranges that differed when they were last read.
    pub different: u64,
    /// Keys that have changed since their range was read: the stream's word, until they are read inside the fence.
    pub touched: u64,
    /// The age of the oldest proof in milliseconds; `None` where nothing is proven.
    pub oldest_age_ms: Option<u64>,
    /// Its position, for people.
    pub position: Option<String>,
}

/// Rows in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QuarantineEvidence {
    /// Nobody has said what they are.
    pub open: u64,
    /// Held to be a bug.
    pub bugs: u64,
    /// A retry is ordered or under way.
    pub retrying: u64,
    /// Held to be as they should be.
    pub expected: u64,
    /// Rows that differ and found no room, and tables whose differences could not all be named.
    pub unlisted: u64,
}

/// Writes on the target that are not the migration's, since *followed*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StrangersEvidence {
    /// Writes that nobody was told of yet.
    pub untold: u64,
    /// Writes whose rows were not read again and found equal since.
    pub unresolved: u64,
    /// Tables where a write could go unseen: marks or fence taken off or switched off.
    pub unseen_tables: u64,
}

/// Whether mapped columns can be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MappingEvidence {
    /// Columns that are moved.
    pub columns: u64,
    /// Those that cannot be taken back exactly.
    pub lossy: Vec<LossyColumn>,
}

/// A column that a rollback cannot take back exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossyColumn {
    /// Its table's name on the source.
    pub table: String,
    /// Its name on the source.
    pub column: String,
    /// What the way back would lose.
    pub loses: String,
    /// The migration file declares it.
    pub declared: bool,
}

/// Whether it was done before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RehearsalEvidence {
    /// Never.
    Never,
    /// The last one.
    Last(Rehearsal),
}

/// A rehearsal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// Milliseconds since it ended.
    pub age_ms: u64,
    /// It came to its end and everything was proven equal.
    pub passed: bool,
    /// It was of this plan, by its hash.
    pub same_plan: bool,
    /// The tables had the shape that they have now.
    pub same_schema: bool,
    /// It ran on these servers, of these versions.
    pub same_servers: bool,
}

/// Reads that were sent to both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ShadowEvidence {
    /// Reads that were compared.
    pub compared: u64,
    /// Those whose answers differ.
    pub different: u64,
}

/// Whether others can change the tables' shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DdlFreeze {
    /// The store refuses it.
    Frozen,
    /// The store cannot refuse it, or was not asked to yet; it is noticed, and the switch then stops before anything changes hands.
    Watched,
    /// Nothing refuses it yet.
    Open,
}
