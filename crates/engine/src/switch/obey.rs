//! A switch from its order to its report.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crossfade_control::{CommandId, Comparison, SwitchOrder, Traffic};
use crossfade_rules::gates::Gate;
use tokio::sync::mpsc;

use crate::commands::Order;
use crate::error::EngineError;
use crate::run::{Run, Until, keep_report};
use crate::session::Session;
use crate::switch::Direction;
use crate::switch::answer::SwitchAnswer;
use crate::switch::prepare::{self, millis, refused};
use crate::switch::probe::Measuring;
use crate::switch::report::{Outcome, SwitchReport};
use crate::switch::{gates, keeper, locate, reads, tell, window};
use crate::verify::ask;
use crate::verify::collect::VerifyRequest;
use crate::verify::compare::now;

/// An order whose attempt ended before authority was given.
pub(crate) const INTERRUPTED: &str = "switch.interrupted";

/// An order from another shell.
pub(crate) struct Ordered {
    pub command: CommandId,
    /// An earlier attempt had taken it.
    pub begun_before: bool,
    /// The lane whose source is to give authority away.
    pub direction: Direction,
    pub order: SwitchOrder,
}

/// Does what another shell has ordered, and tells it.
pub(crate) async fn by_command(
    run: &Arc<Run>,
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    orders: &mpsc::Sender<Order>,
    ordered: Ordered,
) -> Result<(), EngineError> {
    let control = &run.migration.control;
    let turned = ordered.direction != run.direction;
    let mut switched = None;
    let writes = ordered.order.what == Traffic::Writes;
    let answer = if ordered.begun_before && turned && writes && !ordered.order.dry_run {
        // this process's predecessor, or its own last attempt, did not come to say so
        Ok(tell::found(run, ordered.direction, &ordered.order, now()))
    } else if ordered.begun_before && writes {
        Err(EngineError::stopped(
            INTERRUPTED,
            "it was interrupted before authority was given: nothing has changed hands",
            "Give the command again",
        ))
    } else if !control.state().await?.phase.is_followed() {
        Err(not_followed())
    } else {
        let outcome = obey(run, session, requests, ordered.direction, &ordered.order).await;
        match outcome {
            Err(EngineError::Ending) => return Ok(()),
            // the next attempt knows how it ended, and says so
            Err(EngineError::Again) => return Err(EngineError::Again),
            _ => {}
        }
        if let Ok(report) = &outcome {
            let turns = report.outcome == Outcome::Done && report.traffic == Traffic::Writes;
            switched = turns.then(|| Box::new(report.clone()));
        }
        outcome
    };
    let answer = serde_json::to_value(SwitchAnswer::from(answer)).map_err(|e| e.to_string());
    let told = control.finish(&run.lease, ordered.command, answer).await;
    if let Some(report) = switched {
        let _ = orders.send(Order::Switched { report }).await;
    }
    Ok(told?)
}

/// Nobody who orders a switch means to wait for a copy, and to have authority change hands in the middle of the night.
pub(crate) fn not_followed() -> EngineError {
    refused(
        "switch.not_followed",
        "the target does not follow yet: rows are still being copied",
        "wait until `crossfade status` says that it follows",
    )
}

/// Does what was ordered; with `dry_run` everything up to firing.
///
/// # Errors
/// Nothing has changed hands, unless the error is that this process must end: see [`window::pass`].
pub(crate) async fn obey(
    run: &Arc<Run>,
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    direction: Direction,
    order: &SwitchOrder,
) -> Result<SwitchReport, EngineError> {
    if order.what != Traffic::Writes {
        if direction == run.direction {
            proven_first(run, session, requests, order).await?;
        }
        return reads::lead(run, session, order).await;
    }
    if direction != run.direction {
        return Err(refused(
            "switch.authority",
            format!(
                "authority for writes is with the {} already",
                run.direction.source_word()
            ),
            match run.direction {
                Direction::Forward => {
                    "there is nothing to roll back; `crossfade switch writes` gives it away"
                }
                Direction::Reverse => "`crossfade rollback` takes it back",
            },
        ));
    }
    let busy = session.switch.swap(true, Ordering::SeqCst);
    if busy {
        return Err(refused(
            "switch.busy",
            "a switch is at work already",
            "wait for it: `status` shows where it is",
        ));
    }
    // from here on nobody else leads the routes
    drop(run.home.lead.turn().await);
    let outcome = obeyed(run, session, requests, order).await;
    // after a switch the attempt ends: what waited must not begin again in between
    if !outcome
        .as_ref()
        .is_ok_and(|report| report.outcome == Outcome::Done)
    {
        keeper::disarm(run, session).await;
        if run.direction == Direction::Forward {
            gates::thaw(run, session).await;
        }
        session.switch.store(false, Ordering::SeqCst);
    }
    outcome
}

async fn obeyed(
    run: &Arc<Run>,
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    order: &SwitchOrder,
) -> Result<SwitchReport, EngineError> {
    let began = now();
    let begun = Instant::now();
    let mut report = tell::blank(&run.home, run.direction, order, began);
    proven_first(run, session, requests, order).await?;
    let mut prepared = prepare::prepare(run, session, requests, order).await?;
    tell::prepared(&mut report, &prepared, now());
    if prepared.predicted_ms > order.within_ms as f64 {
        return Err(refused(
            "switch.over_budget",
            format!(
                "writes would wait for about {:.0} ms, and the time box is {} ms",
                prepared.predicted_ms, order.within_ms
            ),
            "give it more time with --within, or switch at a quieter time",
        ));
    }
    if order.dry_run {
        return Ok(report);
    }
    let measuring = match prepared.probes.take() {
        Some(probes) => Some(Measuring::begin(probes).await),
        None => None,
    };
    let offset = millis(begun.elapsed());
    let passed = window::pass(run, session, requests, order, &prepared, measuring.as_ref());
    let switched = passed.await?;
    let measured = match measuring {
        Some(measuring) => measuring.end().await,
        None => None,
    };
    tell::switched(&mut report, run, &switched, offset, now());
    if let Some(measured) = measured {
        report.pause.measured_ms = Some(tell::whole(millis(measured)));
    }
    // for people; the next attempt would do it
    if let Err(error) = locate::enter_phase(&run.home, &run.lease, run.direction.other()).await {
        tracing::warn!(error = %error, "the phase is entered by the next attempt");
    }
    Ok(report)
}

/// What was not read yet is read now, with writers undisturbed: a run that is there for the switch alone has read nothing, and the way back
/// must not wait until somebody has compared. Not where the proof is passed, nor for reads that go back to where writes are.
async fn proven_first(
    run: &Arc<Run>,
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    order: &SwitchOrder,
) -> Result<(), EngineError> {
    let alone = matches!(run.until, Until::Switched(..));
    if !alone && run.direction == Direction::Forward {
        return Ok(());
    }
    let unread = || {
        let proofs = session.proofs();
        let progress = proofs
            .as_ref()
            .map(|p| p.progress(|at| session.source.show_position(at)));
        progress.is_none_or(|p| p.unproven > 0)
    };
    if gates::passes(order, Gate::Proof)
        || reads::back(order)
        || !session.lock().finished
        || !unread()
    {
        return Ok(());
    }
    let mut report = ask::compared(run, session, requests, Comparison::default()).await?;
    keep_report(run, &mut report).await
}
