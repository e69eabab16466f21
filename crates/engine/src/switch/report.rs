//! The report of a switch or rollback, for a ticket: what was done, by whom, on what evidence, and how long writers waited. Pure data;
//! serialized as it stands, its fields are documented (docs/json.md) and stable. Names and numbers, never a cell's value.

mod markdown;
#[cfg(test)]
mod tests;

use crossfade_control::Traffic;
use crossfade_rules::gates::GateResult;
use serde::{Deserialize, Serialize};

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// To the target.
    Switch,
    /// Back to the source.
    Rollback,
}

/// A store's part in the migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Where rows came from.
    Source,
    /// Where rows went to.
    Target,
}

/// A store of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// Its part.
    pub part: Part,
    /// Its name for people, without secrets.
    pub store: String,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// Traffic has changed hands.
    Done,
    /// Nothing was tried: what would happen was looked at.
    DryRun,
    /// A gate or a finding refused; nothing was begun.
    Refused {
        /// Why.
        why: String,
    },
    /// The fence was lifted, and nothing has changed.
    Released {
        /// Why.
        why: String,
    },
    /// No store takes writes until this is resolved.
    Blocked {
        /// Why, and what ends it.
        why: String,
    },
}

/// For how long writers waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pause {
    /// Milliseconds that were predicted from measured rates.
    pub predicted_ms: Option<u64>,
    /// Milliseconds between the last write that the probe made before and the first after.
    pub measured_ms: Option<u64>,
    /// Milliseconds of the time box.
    pub within_ms: u64,
}

/// A step that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What, a stable word: the step of its intent.
    pub step: String,
    /// Milliseconds from the report's beginning to its own.
    pub at_ms: u64,
    /// Milliseconds that it took.
    pub took_ms: u64,
    /// What is worth knowing, in words.
    pub detail: String,
}

/// The last comparison, inside the fence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofSummary {
    /// Everything was equal.
    pub equal: bool,
    /// The position at which both sides were compared, for people.
    pub position: String,
    /// Keys that were read on both sides inside the fence.
    pub keys: u64,
    /// Ranges that were proven before and not touched since.
    pub ranges: u64,
    /// Rows that differ.
    pub differences: u64,
}

/// A sequence or automatic key that was raised on the store that took authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raised {
    /// Its name there.
    pub name: String,
    /// What it stood at; `None` where it was never used.
    pub from: Option<i64>,
    /// What it stands at.
    pub to: i64,
}

/// What was told to send traffic elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteChange {
    /// The route: its kind and place, without secrets.
    pub route: String,
    /// Milliseconds from the report's beginning until it agreed; `None`: it does not yet, and is told again and again.
    pub agreed_ms: Option<u64>,
    /// How often it was told.
    pub attempts: u32,
    /// What it answered, or what is wrong.
    pub detail: String,
}

/// The report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchReport {
    /// The migration.
    pub migration: String,
    /// The plan's hash.
    pub plan: String,
    /// Which way.
    pub act: Act,
    /// What changed hands.
    pub traffic: Traffic,
    /// Who answers for it.
    pub owner: String,
    /// The process that did it: `user@host`.
    pub by: String,
    /// When it began, milliseconds since the Unix epoch.
    pub began: i64,
    /// When it ended, milliseconds since the Unix epoch.
    pub ended: i64,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Who had it.
    pub from: Side,
    /// Who was to have it.
    pub to: Side,
    /// The epoch of the registers.
    pub epoch: u64,
    /// The gates, with their overrides.
    pub gates: Vec<GateResult>,
    /// For how long writers waited.
    pub pause: Pause,
    /// Microseconds, rounded up, that the armed fence costs a statement that writes, as measured just before; `None` where it was not.
    #[serde(default)]
    pub fence_cost_us: Option<u64>,
    /// The steps, in their order.
    pub steps: Vec<Step>,
    /// The position of the mark behind the last write before, for people.
    pub barrier: Option<String>,
    /// Where the changes begin that the other store makes under its own authority, for people.
    pub beginning: Option<String>,
    /// The comparison inside the fence.
    pub proof: Option<ProofSummary>,
    /// Sequences and automatic keys that were raised.
    pub sequences: Vec<Raised>,
    /// Routes that were changed.
    pub routes: Vec<RouteChange>,
    /// Others' sessions that were ended because they kept the fence from closing: who and from where.
    pub ended_sessions: Vec<String>,
    /// Attested: what was written on the destroyed target after this position is lost.
    pub accepted_loss_after: Option<String>,
    /// What to do to go back, and what that keeps.
    pub way_back: String,
    /// The audit log's last hash when this was written.
    pub audit_head: Option<String>,
}

/// A text in which nothing means anything to Markdown.
pub(crate) fn escaped(text: &str) -> String {
    markdown::text(text)
}

impl SwitchReport {
    /// As Markdown, for a ticket.
    #[must_use]
    pub fn markdown(&self) -> String {
        markdown::render(self)
    }
}
