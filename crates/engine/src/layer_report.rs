//! What comparisons beside the full one find. Serialized as they stand; their fields are documented and stable.

use crossfade_store::Measure;
use serde::{Deserialize, Serialize};

/// What a comparison has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Every row of every table, and the projections.
    #[default]
    Full,
    /// Numbers that each store has computed of its columns.
    Aggregate,
    /// A share of the rows.
    Sample,
    /// The projections alone.
    Projections,
    /// The keys that have changed since they were last proven; what was proven before stays so.
    Touched,
}

/// What a layer found, beside the tables.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LayerReport {
    /// What was read.
    #[serde(default)]
    pub layer: Layer,
    /// Measures of the tables' columns; only in an aggregate comparison.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aggregates: Vec<TableAggregates>,
    /// What share was read; only in a sampled comparison.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleReport>,
    /// The projections.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub projections: Vec<ProjectionReport>,
}

impl LayerReport {
    /// Without values of cells.
    pub(crate) fn forget_values(&mut self) {
        let differences = self.aggregates.iter_mut().flat_map(|t| &mut t.differences);
        for difference in differences.filter(|d| d.measure.is_some_and(Measure::is_value)) {
            difference.source = None;
            difference.target = None;
        }
        let rows = self.projections.iter_mut().flat_map(|p| &mut p.differences);
        for difference in rows {
            difference.source_row = None;
            difference.target_row = None;
        }
    }
}

/// The measures of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableAggregates {
    /// Name on the source.
    pub name: String,
    /// Rows on the source.
    pub rows: u64,
    /// Measures that were compared, the row count among them.
    pub measures: u64,
    /// Columns of which only NULLs were counted, since their values have no measure that is alike on both sides.
    pub not_compared: Vec<String>,
    /// What differs.
    pub differences: Vec<AggregateDifference>,
    /// Nothing does.
    pub equal: bool,
}

/// A measure that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AggregateDifference {
    /// The column on the source; `None` for the count of rows.
    pub column: Option<String>,
    /// What was measured; `None` for the count of rows.
    pub measure: Option<Measure>,
    /// On the source; `None` for NULL, and for a least or greatest value that was not asked for.
    pub source: Option<String>,
    /// On the target.
    pub target: Option<String>,
}

/// What a sampled comparison has read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleReport {
    /// Per cent of the rows that were asked for.
    pub percent: f64,
    /// What chose them: the same seed chooses the same ranges of the same keys.
    pub seed: u64,
    /// By table.
    pub tables: Vec<TableSample>,
}

/// What a sampled comparison has read of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSample {
    /// Name on the source.
    pub name: String,
    /// How.
    pub how: SampledBy,
    /// Ranges or parts that were read.
    pub read: u64,
    /// Of so many, of about the same size.
    pub of: u64,
}

/// How a table was sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SampledBy {
    /// Ranges of keys, on both sides: missing, extra and changed rows are found.
    Ranges,
    /// Rows of parts of the source's table, looked up by key on the target: missing and changed rows are found.
    Keys,
    /// It is small: all of it, on both sides.
    Whole,
    /// It has no key and is big: nothing was read.
    LeftOut,
}

/// The comparison of a projection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectionReport {
    /// Its name in the migration file.
    pub name: String,
    /// The position at which both sides were read, for people.
    pub position: String,
    /// Rows on the source.
    pub rows: u64,
    /// Both sides give the same rows.
    pub equal: bool,
    /// Rows that differ, at most as many as the engine lists.
    pub differences: Vec<crate::progress::Difference>,
    /// More rows differ than are listed.
    pub more: bool,
    /// Why it could not be compared, with a stable code in brackets before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
