//! What a certificate states. The fields are stable: within one format they keep their names, meanings and order, none is
//! added and none goes. No cell's value stands here, except those of keys of rows that differ.

use crossfade_model::{BucketSum, Canonical, sum_text};
use serde::{Deserialize, Serialize};

use crate::mapping::Mapping;

/// The name of the file format, before its number.
pub const FORMAT_NAME: &str = "crossfade-certificate/";
/// The newest format that this version reads, and the one it writes.
pub const FORMAT: u32 = 1;

/// The format's name and number, as the body states them.
pub fn format() -> String {
    format!("{FORMAT_NAME}{FORMAT}")
}

/// Everything that a certificate states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// Name and number of the format (see [`format()`]). First, so that no other signed text can be taken for a certificate.
    pub format: String,
    /// The version of crossfade that made the comparison.
    pub crossfade: String,
    /// The migration's name.
    pub migration: String,
    /// The plan's hash, 64 hexadecimal digits.
    pub plan_hash: String,
    /// The source.
    pub source: StoreIdentity,
    /// The target.
    pub target: StoreIdentity,
    /// The position at which both sides were compared, for people.
    pub position: String,
    /// When the comparison began, milliseconds since the Unix epoch.
    pub started: i64,
    /// When it ended, milliseconds since the Unix epoch.
    pub finished: i64,
    /// How much was compared.
    pub layer: Layer,
    /// The salt of the digests, 64 hexadecimal digits. It was secret until both sides were read.
    pub salt: String,
    /// SHA-256 of the salt's 32 bytes, 64 hexadecimal digits; durable before the first row was read.
    pub commitment: String,
    /// Everything that was compared is equal, but for differences that a person expects.
    pub equal: bool,
    /// The tables, in plan order.
    pub tables: Vec<TableProof>,
    /// The tables' mappings, one a table in the same order.
    pub mappings: Vec<Mapping>,
    /// Queries that had to give the same rows on both sides.
    pub projections: Vec<Projection>,
    /// Sequences and what both sides hold. They say nothing about `equal`: a target's may be ahead.
    pub sequences: Vec<SequenceValues>,
    /// The reads that did not rely on the stream, in words. At least one: what the stream predicts is no proof by itself.
    pub independent: Vec<String>,
    /// What a person decided against the program's advice.
    pub overrides: Vec<Override>,
}

/// One of the two stores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreIdentity {
    /// The engine's name in the plan (`postgres`, `sqlite`).
    pub engine: String,
    /// Where it was, without secrets.
    pub label: String,
    /// Engine and version, for people.
    pub version: String,
    /// Who the store is (a system identifier, a file's identity).
    pub identity: String,
}

/// How much was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Every row of every table.
    Full,
    /// Some rows, chosen by the salt.
    Sample,
    /// Counts and other totals.
    Aggregate,
    /// The rows that changed since an earlier comparison.
    Touched,
}

/// A side of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Where rows come from.
    Source,
    /// Where rows go to.
    Target,
}

/// Where digests were computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In crossfade, from the rows it read.
    Program,
    /// In the store's server.
    Server,
}

/// The comparison of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableProof {
    /// Name on the source.
    pub source_name: String,
    /// Name on the target.
    pub target_name: String,
    /// Rows that were compared on the source. In the full layer: all it had at the position.
    pub rows: u64,
    /// Sum of the source's row digests as of the position, the rows that only the stream proves included.
    #[serde(with = "sum_text")]
    pub source: BucketSum,
    /// Sum of the target's row digests, the same rows.
    #[serde(with = "sum_text")]
    pub target: BucketSum,
    /// Where the source's digests were computed.
    pub source_computed: Place,
    /// Where the target's digests were computed.
    pub target_computed: Place,
    /// Keys that were changing while the sides were read: the source's row is known from its log only.
    pub stream_proven_keys: u64,
    /// The compared columns, in the order in which a row's digest takes them.
    pub columns: Vec<ColumnClaim>,
    /// Columns of the target that were not compared.
    pub excluded: Vec<Excluded>,
    /// The table is equal, but for differences that a person expects.
    pub equal: bool,
    /// The part of both sums that belongs to differences that a person expects.
    pub expected: Expected,
    /// Rows that differ.
    pub differences: Vec<Difference>,
    /// More rows differ than are listed.
    pub more: bool,
}

/// A compared column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnClaim {
    /// Name on the source.
    pub source: String,
    /// Name on the target.
    pub target: String,
    /// The form in which both sides' values were compared.
    pub canonical: Canonical,
    /// The equivalence that this claims, in words ([`Canonical::claim`]).
    pub claim: String,
}

impl ColumnClaim {
    /// A column with the claim of its canonical form.
    pub fn new(column: &crossfade_model::ColumnMapping) -> ColumnClaim {
        ColumnClaim {
            source: column.source.clone(),
            target: column.target.clone(),
            canonical: column.canonical,
            claim: column.canonical.claim().to_owned(),
        }
    }
}

/// A column of the target that was not compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Excluded {
    /// Its name.
    pub column: String,
    /// Why (it is generated, it has a default of the target's own).
    pub why: String,
}

/// Digests of the rows of differences that a person expects. Without them both sums must be equal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// On the source: rows that are missing on the target or changed.
    #[serde(with = "sum_text")]
    pub source: BucketSum,
    /// On the target: rows that are extra or changed.
    #[serde(with = "sum_text")]
    pub target: BucketSum,
}

/// How a row differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// On the source only.
    Missing,
    /// On the target only.
    Extra,
    /// On both, with other values.
    Changed,
}

/// A row that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// How.
    pub kind: DifferenceKind,
    /// The key, as text.
    pub key: String,
    /// Source columns whose values differ; empty unless the row is changed.
    pub columns: Vec<String>,
    /// The likely cause, where one is known.
    pub cause: Option<String>,
    /// What a person has said about it.
    pub classification: Option<Classification>,
}

impl Difference {
    /// A person expects it.
    pub fn is_expected(&self) -> bool {
        self.classification
            .as_ref()
            .is_some_and(|c| c.verdict == Verdict::Expected)
    }
}

/// What a person has said about a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classification {
    /// The verdict.
    pub verdict: Verdict,
    /// Who says so.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When, milliseconds since the Unix epoch.
    pub at: i64,
}

/// A person's verdict on a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is as it should be.
    Expected,
    /// It is a defect.
    Bug,
}

/// A query on each side that must give the same rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Projection {
    /// Its name.
    pub name: String,
    /// What the source gave.
    pub source: ProjectionResult,
    /// What the target gave.
    pub target: ProjectionResult,
    /// Both gave the same.
    pub equal: bool,
}

/// What a projection gave on one side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectionResult {
    /// Rows.
    pub rows: u64,
    /// Digest over them, hexadecimal digits.
    pub digest: String,
}

/// A sequence, or what stands for one, on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceValues {
    /// Its name on the source.
    pub name: String,
    /// The last value that the source handed out; `None` where it handed out none.
    pub source: Option<i64>,
    /// The last value that the target handed out.
    pub target: Option<i64>,
}

/// What a person decided against the program's advice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// What was decided, and what it costs.
    pub what: String,
    /// Who decided.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When, milliseconds since the Unix epoch.
    pub at: i64,
}
