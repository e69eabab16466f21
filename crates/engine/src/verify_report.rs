//! What a comparison found. Serialized as it stands; its fields are documented and stable.

use crossfade_control::quarantine::{Classification, RowKey};
use crossfade_model::BucketSum;
use crossfade_store::SumPlace;
use serde::{Deserialize, Serialize};

use crate::evidence::Evidence;
use crate::layer_report::LayerReport;
use crate::progress::{ProofProgress, Repair, VerifySummary};
use crate::sequences::SequenceVerify;
use crate::verify::cause::Cause;

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

/// One row that differs. The rows' values go to the operator who asked for them, never to a log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// How.
    pub kind: DifferenceKind,
    /// The key columns' values as text, `, ` between them; for a table without key the row's number in the list.
    pub key: String,
    /// Columns whose values differ.
    pub columns: Vec<String>,
    /// The likely cause.
    #[serde(default)]
    pub cause: Cause,
    /// The likely cause in a sentence, with the columns' names and without values.
    #[serde(default)]
    pub why: String,
    /// What a person has said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classification: Option<Classification>,
    /// What names the row in quarantine. Not for people.
    #[serde(skip)]
    pub row_key: Option<RowKey>,
    /// The source's row as text, in mapping order, NULL as `None`.
    pub source_row: Option<Vec<Option<String>>>,
    /// The target's row.
    pub target_row: Option<Vec<Option<String>>>,
    /// The digest of the source's row; of no row where there is none, or none that is whole.
    #[serde(
        default,
        with = "crossfade_model::sum_text",
        skip_serializing_if = "is_of_no_row"
    )]
    pub source_digest: BucketSum,
    /// The digest of the target's row.
    #[serde(
        default,
        with = "crossfade_model::sum_text",
        skip_serializing_if = "is_of_no_row"
    )]
    pub target_digest: BucketSum,
}

fn is_of_no_row(sum: &BucketSum) -> bool {
    sum.rows == 0
}

/// The comparison of one table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableVerify {
    /// Name on the source.
    pub name: String,
    /// Mapped columns' names, the order of rows in [`Difference`].
    pub columns: Vec<String>,
    /// Rows read on the source.
    pub rows: u64,
    /// Sum of the digests of all rows that the source has at the report's position, by the reading and, for keys that changed
    /// meanwhile, by the stream.
    #[serde(with = "crossfade_model::sum_text")]
    pub source: BucketSum,
    /// Sum of the digests of all rows that the target has there.
    #[serde(with = "crossfade_model::sum_text")]
    pub target: BucketSum,
    /// Keys that were changing while the sides were read, and were compared one by one with the stream's last image.
    pub stream_proven_keys: u64,
    /// Where the digests of the two sums were computed.
    #[serde(default)]
    pub places: Places,
    /// The table is equal.
    pub equal: bool,
    /// Rows that differ, at most as many as the engine lists.
    pub differences: Vec<Difference>,
    /// More rows differ than are listed.
    pub more: bool,
}

/// Where a table's digests were computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Places {
    /// The source's.
    pub source: SumPlace,
    /// The target's.
    pub target: SumPlace,
}

/// The comparison of all tables at one position.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// The position, for people.
    pub position: String,
    /// When it began, milliseconds since the Unix epoch.
    pub started: i64,
    /// When it ended, milliseconds since the Unix epoch.
    pub finished: i64,
    /// The tables, in plan order.
    pub tables: Vec<TableVerify>,
    /// Everything that was compared is equal.
    pub equal: bool,
    /// The sequences that the target has in the place of the source's; only in a full comparison.
    #[serde(default)]
    pub sequences: Vec<SequenceVerify>,
    /// What is proven after it.
    #[serde(default)]
    pub proof: Option<ProofProgress>,
    /// What was repaired before it, where that was asked for and rows differed.
    #[serde(default)]
    pub repair: Option<Repair>,
    /// The salt of the digests, 64 hexadecimal digits. It is told after the comparison has ended; a server that computes
    /// digests itself gets it with the first reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// SHA-256 of the salt, which was durable in the control store before the first row was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commitment: Option<String>,
    /// What else a certificate states, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Box<Evidence>>,
    /// What was read, and what was found beside the tables.
    #[serde(flatten)]
    pub layers: LayerReport,
}

impl DifferenceKind {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            DifferenceKind::Missing => "missing",
            DifferenceKind::Extra => "extra",
            DifferenceKind::Changed => "changed",
        }
    }
}

impl VerifyReport {
    /// The report without rows' values: they go to whoever asked for them, not to a file.
    #[must_use]
    pub fn without_rows(&self) -> VerifyReport {
        let mut report = self.clone();
        for difference in report.tables.iter_mut().flat_map(|t| &mut t.differences) {
            difference.source_row = None;
            difference.target_row = None;
        }
        report.layers.forget_values();
        report
    }

    /// The outcome in short.
    pub fn summary(&self) -> VerifySummary {
        VerifySummary {
            equal: self.equal,
            position: self.position.clone(),
            finished: self.finished,
            seconds: (self.finished - self.started) as f64 / 1000.0,
            tables: self.tables.len(),
            rows: self.tables.iter().map(|t| t.rows).sum(),
            differences: self.tables.iter().map(|t| t.differences.len() as u64).sum(),
        }
    }
}
