//! A switch from its order to its report.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crossfade_control::{CommandId, SwitchOrder};
use tokio::sync::mpsc;

use crate::commands::Order;
use crate::error::EngineError;
use crate::run::Run;
use crate::session::Session;
use crate::switch::Direction;
use crate::switch::answer::SwitchAnswer;
use crate::switch::locate;
use crate::switch::prepare::{self, Prepared, refused};
use crate::switch::report::SwitchReport;
use crate::switch::window::{self, Switched};
use crate::verify::collect::VerifyRequest;

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
    let answer = if ordered.begun_before && turned && !ordered.order.dry_run {
        // this process's predecessor, or its own last attempt, did not come to say so
        Ok(SwitchReport::found(run, &ordered.order))
    } else if ordered.begun_before {
        Err(EngineError::stopped(
            "switch.interrupted",
            "it was interrupted before authority was given: nothing has changed hands",
            "Give the command again",
        ))
    } else {
        let outcome = obey(run, session, requests, ordered.direction, &ordered.order).await;
        if matches!(outcome, Err(EngineError::Ending)) {
            return Ok(());
        }
        if let Ok(report) = &outcome {
            switched = report.switched.then(|| Box::new(report.clone()));
        }
        outcome
    };
    let failed = answer.is_err();
    let answer = serde_json::to_value(SwitchAnswer::from(answer)).map_err(|e| e.to_string());
    let told = control.finish(&run.lease, ordered.command, answer).await;
    // one that failed after 'given' has been finished all the same: rows go the other way now
    if failed && (locate::likely(&run.home).await).is_ok_and(|now| now != run.direction) {
        told?;
        return Err(EngineError::Again);
    }
    if let Some(report) = switched {
        let _ = orders.send(Order::Switched { report }).await;
    }
    Ok(told?)
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
    let outcome = obeyed(run, session, requests, order).await;
    // after a switch the attempt ends: what waited must not begin again in between
    if !outcome.as_ref().is_ok_and(|report| report.switched) {
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
    let begun = Instant::now();
    let prepared = prepare::prepare(run, session, requests, order).await?;
    tracing::info!(
        seconds = begun.elapsed().as_secs_f64(),
        predicted_ms = prepared.predicted_ms,
        "ready to fire"
    );
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
        return Ok(report(run, order, &prepared, None));
    }
    let switched = window::pass(run, session, requests, order, &prepared).await?;
    Ok(report(run, order, &prepared, Some(switched)))
}

impl SwitchReport {
    /// Of a switch that happened, and whose process did not come to tell how.
    fn found(run: &Run, order: &SwitchOrder) -> SwitchReport {
        SwitchReport {
            epoch: 0,
            switched: true,
            authority: run.direction.source_word().to_owned(),
            owner: order.owner.clone(),
            predicted_ms: 0.0,
            paused_ms: None,
            steps: Vec::new(),
            keys: 0,
        }
    }
}

fn report(
    run: &Run,
    order: &SwitchOrder,
    prepared: &Prepared,
    switched: Option<Switched>,
) -> SwitchReport {
    let authority = match &switched {
        Some(_) => run.direction.target_word(),
        None => run.direction.source_word(),
    };
    let steps = switched
        .as_ref()
        .map(|s| s.steps.clone())
        .unwrap_or_default();
    SwitchReport {
        epoch: prepared.epoch,
        switched: switched.is_some(),
        authority: authority.to_owned(),
        owner: order.owner.clone(),
        predicted_ms: prepared.predicted_ms,
        paused_ms: steps.last().map(|(_, at)| *at),
        steps: steps
            .into_iter()
            .map(|(step, at)| (step.to_owned(), at))
            .collect(),
        keys: switched.map_or(0, |s| s.keys),
    }
}
