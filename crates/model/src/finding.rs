//! What a plan found out before anything was made.

use serde::{Deserialize, Serialize};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Does not stop the migration, but somebody should decide.
    Warning,
    /// The migration does not start.
    Blocks,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable code, such as `postgres.wal_level`.
    pub code: String,
    /// How much it matters.
    pub severity: Severity,
    /// Which store (`source`, `target`), or `file`.
    pub place: String,
    /// The table, where there is one.
    pub table: Option<String>,
    /// What was found.
    pub what: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Finding {
    /// A finding without table or fix.
    pub fn new(
        code: impl Into<String>,
        severity: Severity,
        place: impl Into<String>,
        what: impl Into<String>,
    ) -> Finding {
        Finding {
            code: code.into(),
            severity,
            place: place.into(),
            table: None,
            what: what.into(),
            fix: None,
        }
    }

    /// A finding that blocks.
    pub fn blocks(
        code: impl Into<String>,
        place: impl Into<String>,
        what: impl Into<String>,
    ) -> Finding {
        Finding::new(code, Severity::Blocks, place, what)
    }

    /// With what to do.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Finding {
        self.fix = Some(fix.into());
        self
    }

    /// With the table.
    #[must_use]
    pub fn table(mut self, table: impl Into<String>) -> Finding {
        self.table = Some(table.into());
        self
    }
}
