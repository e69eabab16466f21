//! What a switch tells whoever ordered it.

use serde::{Deserialize, Serialize};

/// A switch, a rollback, or its dry run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SwitchReport {
    /// The switch's epoch.
    pub epoch: u64,
    /// It happened; false of a dry run.
    pub switched: bool,
    /// The store that has authority now, in the migration's words.
    pub authority: String,
    /// Who answers for it.
    pub owner: String,
    /// For how long writes were expected to wait, milliseconds.
    pub predicted_ms: f64,
    /// For how long they waited, milliseconds: from pausing the routes (or asking for the latch) until the routes led to the new authority.
    pub paused_ms: Option<f64>,
    /// The steps, and when each had happened, milliseconds after the window began.
    pub steps: Vec<(String, f64)>,
    /// Keys read on both sides inside the fence.
    pub keys: u64,
}
