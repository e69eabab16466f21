//! The gates of a switch: named conditions, each judged from evidence that somebody else has gathered.
//!
//! # How the engine uses it
//!
//! It fills an [`Evidence`] with what it knows; what it could not find out stays `None`, and its gate is then [`State::Unknown`], never met.
//! [`judge`] gives every gate with its evidence in words, whether it gets better or worse since `before`, and what to do. [`overridden`]
//! marks those that a person passes with a reason. [`refusing`] is what stands in the way; empty: the switch may begin.
//!
//! | gate | is met when |
//! | --- | --- |
//! | `lag` | the 99th percentile of markers' round trips over the whole window is within the limit |
//! | `proof` | every range is proven, none differs, and the oldest proof is young enough; keys touched since are read inside the fence |
//! | `quarantine` | empty, or all that waits there is classified as expected |
//! | `strangers` | no write on the target since *followed* that is not the migration's, and none that could go unseen |
//! | `invertible` | every mapped column can be taken back, or is declared lossy for the rollback |
//! | `rehearsal` | the last rehearsal passed, lately, for this plan, schema and servers |
//! | `shadow` | reads that were sent to both sides agree; only where that is configured |
//! | `ddl_frozen` | others cannot change the tables' shapes, or it is noticed where they can |

mod each;
mod evidence;
mod lag;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use evidence::{
    DdlFreeze, Evidence, LagEvidence, LossyColumn, MappingEvidence, ProofEvidence,
    QuarantineEvidence, Rehearsal, RehearsalEvidence, ShadowEvidence, StrangersEvidence,
};
pub use lag::LagWindow;

/// A gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// How far the target is behind.
    Lag,
    /// What shows that both sides are equal.
    Proof,
    /// Rows that did not match.
    Quarantine,
    /// Writes on the target that are not the migration's.
    Strangers,
    /// The way back keeps every column.
    Invertible,
    /// It was done before, on a copy.
    Rehearsal,
    /// Reads of both sides agree.
    Shadow,
    /// Nobody changes the tables' shapes meanwhile.
    DdlFrozen,
}

impl Gate {
    /// All gates, in the order in which they are shown.
    pub const ALL: [Gate; 8] = [
        Gate::Lag,
        Gate::Proof,
        Gate::Quarantine,
        Gate::Strangers,
        Gate::Invertible,
        Gate::Rehearsal,
        Gate::Shadow,
        Gate::DdlFrozen,
    ];

    /// The stable word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Gate::Lag => "lag",
            Gate::Proof => "proof",
            Gate::Quarantine => "quarantine",
            Gate::Strangers => "strangers",
            Gate::Invertible => "invertible",
            Gate::Rehearsal => "rehearsal",
            Gate::Shadow => "shadow",
            Gate::DdlFrozen => "ddl_frozen",
        }
    }
}

impl std::fmt::Display for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

impl std::str::FromStr for Gate {
    type Err = ();

    fn from_str(word: &str) -> Result<Gate, ()> {
        Gate::ALL
            .into_iter()
            .find(|gate| gate.word() == word)
            .ok_or(())
    }
}

/// What the gates ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateLimits {
    /// Milliseconds that the 99th percentile of the lag may be. Default 5 s.
    pub lag_ms: u64,
    /// Milliseconds over which the lag is to stay within it. Default 60 s.
    pub lag_window_ms: u64,
    /// Milliseconds that the oldest proof may be old. Default one day.
    pub proof_age_ms: u64,
    /// Days that the last rehearsal may be old; `None`: none is asked for. Default 14: who has never seen the way back should not need it
    /// first in an emergency.
    pub rehearsal_days: Option<u32>,
    /// What shadow reads are to show; `None`: they are not configured. Default `None`.
    pub shadow: Option<ShadowLimits>,
}

/// What shadow reads are to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowLimits {
    /// Reads that are to be compared at least.
    pub least_reads: u64,
    /// Of a million reads, so many may differ.
    pub most_different_per_million: u64,
}

impl Default for GateLimits {
    fn default() -> Self {
        GateLimits {
            lag_ms: 5_000,
            lag_window_ms: 60_000,
            proof_age_ms: 86_400_000,
            rehearsal_days: Some(14),
            shadow: None,
        }
    }
}

/// How a gate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It holds.
    Met,
    /// It does not.
    Unmet,
    /// Nobody asks for it.
    NotConfigured,
    /// It could not be found out. Refuses, as [`State::Unmet`] does.
    Unknown,
}

impl State {
    /// The stable word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            State::Met => "met",
            State::Unmet => "unmet",
            State::NotConfigured => "not_configured",
            State::Unknown => "unknown",
        }
    }
}

/// Where a gate is heading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trend {
    /// Nearer to being met, or further within its limit.
    Better,
    /// As before.
    Same,
    /// Further from it.
    Worse,
}

/// A judged gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateResult {
    /// The gate.
    pub name: Gate,
    /// How it stands.
    pub state: State,
    /// What shows it, in words; names and numbers, never a cell's value.
    pub evidence: String,
    /// Since the evidence before; `None` where nothing is known of then, or the gate is no number.
    pub trend: Option<Trend>,
    /// What to do; empty where the gate does not refuse.
    pub fix: String,
    /// Why it is passed although it is not met, in the words of who answers for it.
    pub overridden: Option<String>,
}

impl GateResult {
    /// It stands in the way.
    #[must_use]
    pub fn refuses(&self) -> bool {
        matches!(self.state, State::Unmet | State::Unknown) && self.overridden.is_none()
    }
}

/// A gate that a person passes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateOverride {
    /// The gate.
    pub gate: Gate,
    /// Why.
    pub reason: String,
}

/// Judges every gate, in the order of [`Gate::ALL`]. `before` is earlier evidence, for the trend.
#[must_use]
pub fn judge(
    limits: &GateLimits,
    evidence: &Evidence,
    before: Option<&Evidence>,
) -> Vec<GateResult> {
    Gate::ALL
        .into_iter()
        .map(|gate| {
            let judged = each::judge(gate, limits, evidence);
            GateResult {
                name: gate,
                state: judged.state,
                evidence: judged.evidence,
                trend: before.and_then(|before| trend(gate, before, evidence)),
                fix: judged.fix,
                overridden: None,
            }
        })
        .collect()
}

/// Marks the gates that are passed with a reason. A gate that does not refuse stays unmarked, and so does one whose reason is blank. Where
/// a gate is named twice, the last reason counts.
#[must_use]
pub fn overridden(mut results: Vec<GateResult>, overrides: &[GateOverride]) -> Vec<GateResult> {
    for result in &mut results {
        let reason = overrides
            .iter()
            .rev()
            .find(|o| o.gate == result.name && !o.reason.trim().is_empty());
        if let (true, Some(o)) = (result.refuses(), reason) {
            result.overridden = Some(o.reason.trim().to_owned());
        }
    }
    results
}

/// The gates that stand in the way.
pub fn refusing(results: &[GateResult]) -> impl Iterator<Item = &GateResult> {
    results.iter().filter(|result| result.refuses())
}

/// How a gate's measure has moved.
fn trend(gate: Gate, before: &Evidence, now: &Evidence) -> Option<Trend> {
    let (before, now) = (each::measure(gate, before)?, each::measure(gate, now)?);
    Some(match now.cmp(&before) {
        std::cmp::Ordering::Less => Trend::Better,
        std::cmp::Ordering::Equal => Trend::Same,
        std::cmp::Ordering::Greater => Trend::Worse,
    })
}
