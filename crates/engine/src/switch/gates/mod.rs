//! The gates of a switch: gathered while a run follows, judged before anything is done and again before the fence fires, and shown to
//! whoever asks. The rules are [`crossfade_rules::gates`].
//!
//! A rollback asks for less: nobody rehearses an emergency, and its lag is watched for seconds only.

pub(crate) mod evidence;
mod shadow;
pub(crate) mod watch;

use std::time::{Duration, Instant};

use crossfade_control::{AuditEntry, SwitchOrder};
use crossfade_model::Finding;
use crossfade_rules::gates::{
    DdlFreeze, Evidence, Gate, GateLimits, GateOverride, GateResult, LagEvidence, State, judge,
    overridden, refusing,
};
use serde::{Deserialize, Serialize};

use crate::error::EngineError;
use crate::progress::Event;
use crate::run::{Migration, Run};
use crate::session::Session;
use crate::switch::lane::Direction;
use crate::switch::locate;

/// Milliseconds for which the lag is to be watched before a rollback.
const BACK_WINDOW_MS: u64 = 5_000;
/// How often the lag's window is looked at while it fills.
const LOOK: Duration = Duration::from_millis(100);
/// Windows of the lag that are waited for at most.
const WINDOWS: u32 = 3;
/// What the window may take longer than its length.
const SPARE: Duration = Duration::from_secs(10);

/// The kind of the record in the audit log that says how the gates stood.
const JUDGED: &str = "gates";

/// How the gates stand, for whoever asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gates {
    /// Which way authority would go: away from the migration's source, or back.
    pub direction: Direction,
    /// A run has gathered the evidence; without one most of it is not known.
    pub running: bool,
    /// The gates, in the order in which they are shown.
    pub gates: Vec<GateResult>,
}

/// What the gates of this lane ask for.
pub(crate) fn limits(run: &Run) -> GateLimits {
    of_lane(&run.home, run.direction)
}

fn of_lane(home: &Migration, direction: Direction) -> GateLimits {
    match direction {
        Direction::Forward => home.gates,
        Direction::Reverse => GateLimits {
            lag_window_ms: home.gates.lag_window_ms.min(BACK_WINDOW_MS),
            rehearsal_days: None,
            // they were compared before the switch
            shadow: None,
            ..home.gates
        },
    }
}

/// Judges what is known of this lane.
pub(crate) fn judged(run: &Run, session: &Session, evidence: &Evidence) -> Vec<GateResult> {
    let mut results = {
        let watch = session.gates();
        in_lane(&run.home, run.direction, evidence, watch.before())
    };
    if let Some(unwatched) = session.strangers.unwatched() {
        let unknown = results
            .iter_mut()
            .find(|r| r.name == Gate::Strangers && r.state == State::Unknown);
        if let Some(result) = unknown {
            result.evidence = format!("nobody notes them: {}", unwatched.what);
            result.fix = unwatched.fix;
        }
    }
    results
}

fn in_lane(
    home: &Migration,
    direction: Direction,
    evidence: &Evidence,
    before: Option<&Evidence>,
) -> Vec<GateResult> {
    let mut results = judge(&of_lane(home, direction), evidence, before);
    for result in &mut results {
        if direction == Direction::Reverse && result.name == Gate::Rehearsal {
            result.evidence = "a rollback asks for none".to_owned();
        }
    }
    results
}

/// How the gates stand in a running attempt, looked at now.
pub(crate) async fn now(run: &Run, session: &Session) -> Result<Gates, EngineError> {
    let mapping = evidence::mapping(run).await;
    let evidence = evidence::gather(run, session, mapping).await?;
    Ok(Gates {
        direction: run.direction,
        running: true,
        gates: judged(run, session, &evidence),
    })
}

/// How the gates stand by what is durable, where no run is active.
///
/// # Errors
/// The stores' registers or the control store cannot be read.
pub async fn durable(home: &Migration) -> Result<Gates, EngineError> {
    let direction = locate::likely(home).await?;
    let evidence = evidence::durable(home, direction).await?;
    Ok(Gates {
        direction,
        running: false,
        gates: in_lane(home, direction, &evidence, None),
    })
}

/// Refuses early, before anything is armed, what no preparation would change. Where only time is missing, it passes here.
///
/// # Errors
/// Gates that refuse; a store's error.
pub(crate) async fn early(
    run: &Run,
    session: &Session,
    order: &SwitchOrder,
) -> Result<(), EngineError> {
    session.gates().forget_shapes();
    let lag = lag_watched(run, session, order).await?;
    let mut results = passed(run, session, order, lag).await?;
    // what strangers have written is read again, and shapes are frozen, by the preparation
    results.retain(|result| !matches!(result.name, Gate::Strangers | Gate::DdlFrozen));
    if refusing(&results).next().is_some() {
        told(run, order, &results).await?;
    }
    refuse(&results)
}

/// Judges with everything prepared, and writes down how the gates stood.
///
/// # Errors
/// Gates that refuse, all of them named; the control store's error.
pub(crate) async fn ready(
    run: &Run,
    session: &Session,
    order: &SwitchOrder,
) -> Result<Vec<GateResult>, EngineError> {
    // whatever was slow meanwhile may have made a gap in it
    let lag = lag_watched(run, session, order).await?;
    let results = passed(run, session, order, lag).await?;
    told(run, order, &results).await?;
    refuse(&results)?;
    Ok(results)
}

/// Judges what a switch of reads asks for: nothing of the way back, since nothing is written.
///
/// # Errors
/// As [`ready`].
pub(crate) async fn for_reads(
    run: &Run,
    session: &Session,
    order: &SwitchOrder,
) -> Result<Vec<GateResult>, EngineError> {
    let lag = lag_watched(run, session, order).await?;
    let mut results = passed(run, session, order, lag).await?;
    results.retain(|result| {
        !matches!(
            result.name,
            Gate::Invertible | Gate::Rehearsal | Gate::DdlFrozen
        )
    });
    told(run, order, &results).await?;
    refuse(&results)?;
    Ok(results)
}

/// Whether the order passes this gate whatever its evidence.
pub(crate) fn passes(order: &SwitchOrder, gate: Gate) -> bool {
    order.overrides.iter().any(|o| o.gate == gate.word())
}

/// The gates now, with the order's overrides; the lag as it was when its window was full.
async fn passed(
    run: &Run,
    session: &Session,
    order: &SwitchOrder,
    lag: LagEvidence,
) -> Result<Vec<GateResult>, EngineError> {
    let overrides: Vec<GateOverride> = order
        .overrides
        .iter()
        .filter_map(|o| {
            Some(GateOverride {
                gate: o.gate.parse().ok()?,
                reason: o.reason.clone(),
            })
        })
        .collect();
    // what was seen a moment ago holds: the proof is to be fresh when the fence fires
    let mapping = watch::mapping(run, session).await;
    let mut evidence = evidence::gather(run, session, mapping).await?;
    evidence.lag = Some(lag);
    Ok(overridden(judged(run, session, &evidence), &overrides))
}

async fn told(run: &Run, order: &SwitchOrder, results: &[GateResult]) -> Result<(), EngineError> {
    let detail = serde_json::json!({
        "to": run.direction.target_word(),
        "dry_run": order.dry_run,
        "refused": refusing(results).count(),
        "gates": results,
    });
    let entry = AuditEntry::new(JUDGED, detail).by(order.owner.as_str());
    run.migration.control.audit(Some(&run.lease), entry).await?;
    Ok(())
}

fn refuse(results: &[GateResult]) -> Result<(), EngineError> {
    let findings: Vec<Finding> = refusing(results)
        .map(|result| {
            Finding::blocks(
                format!("gate.{}", result.name),
                "switch",
                format!(
                    "gate {} is {}: {}",
                    result.name,
                    result.state.word(),
                    result.evidence
                ),
            )
            .fix(result.fix.clone())
        })
        .collect();
    if findings.is_empty() {
        Ok(())
    } else {
        Err(EngineError::Refused { findings })
    }
}

/// Waits until the lag was watched for the whole window: a run that has just begun is not refused for that. A lag beyond its limit, and
/// one that nobody asks for, is not waited for.
async fn lag_watched(
    run: &Run,
    session: &Session,
    order: &SwitchOrder,
) -> Result<LagEvidence, EngineError> {
    if order.overrides.iter().any(|o| o.gate == Gate::Lag.word()) {
        return Ok(session.gates().lag());
    }
    let limits = limits(run);
    let begun = Instant::now();
    // a gap in the samples (a store, or this machine, that is slow for a moment) begins the window anew
    let longest = Duration::from_millis(limits.lag_window_ms) * WINDOWS + SPARE;
    let mut said = false;
    loop {
        let lag = session.gates().lag();
        let too_long = lag.p99_ms.is_some_and(|p99| p99 > limits.lag_ms);
        if too_long || lag.covered_ms >= limits.lag_window_ms || begun.elapsed() > longest {
            return Ok(lag);
        }
        if session.stopping() {
            return Err(EngineError::Ending);
        }
        if !said {
            let left = limits.lag_window_ms.saturating_sub(lag.covered_ms);
            session.observer.event(&Event::Warning {
                what: format!(
                    "before the switch the lag is watched for another {} s",
                    left.div_ceil(1_000)
                ),
            });
            said = true;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Has both stores refuse changes of the tables' shapes by others, where they can.
///
/// # Errors
/// A store's error; that it cannot is none.
pub(crate) async fn freeze(
    run: &Run,
    session: &Session,
    ours: &[crossfade_model::Table],
    theirs: &[crossfade_model::Table],
) -> Result<(), EngineError> {
    let sides = &run.migration.sides;
    let source = sides.source.freeze_ddl(run.base(), ours, true).await?;
    let target = sides.target.freeze_ddl(run.base(), theirs, true).await?;
    session.gates().ddl = Some(if source && target {
        DdlFreeze::Frozen
    } else {
        DdlFreeze::Watched
    });
    Ok(())
}

/// Lets shapes be changed again on both stores: no switch is near, or nothing is left of it. What fails here is told and no error: the
/// next attempt does it.
pub(crate) async fn thaw(run: &Run, session: &Session) {
    session.gates().ddl = None;
    let sides = &run.migration.sides;
    for (store, target) in [(&sides.source, false), (&sides.target, true)] {
        let tables: Vec<crossfade_model::Table> = session
            .tables()
            .iter()
            .map(|t| if target { &t.target } else { &t.source })
            .cloned()
            .collect();
        if let Err(error) = store.freeze_ddl(run.base(), &tables, false).await {
            tracing::warn!(error = %error, "the tables' shapes are still frozen");
        }
    }
}

/// The gates in one line, for `status`: how many are met, then what stands in the way.
#[must_use]
pub fn line(results: &[GateResult]) -> String {
    let asked = |r: &&GateResult| r.state != State::NotConfigured;
    let count = results.iter().filter(asked).count();
    let met = results.iter().filter(|r| r.state == State::Met).count();
    let mut line = format!("{met} of {count} met");
    for result in refusing(results) {
        line.push_str(&format!("; {}: {}", result.name, result.evidence));
    }
    line
}
