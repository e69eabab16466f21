//! One attempt: takes the target, finds where to begin, starts the tasks, and ends them all at the first error.

use std::sync::Arc;
use std::time::Duration;

use crossfade_control::{CommandId, EntryId, IntentState};
use crossfade_model::TransactionId;
use crossfade_plan::Phase;
use crossfade_store::{CaptureSpec, ErrorKind, Tenure};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::acting;
use crate::apply::applier::ApplierTask;
use crate::apply::gather::Gatherer;
use crate::apply::{ahead, finish};
use crate::capture::{anew, bounds, load, start, stream, succession};
use crate::commands::{self, Order};
use crate::durable;
use crate::error::EngineError;
use crate::lookout;
use crate::parked;
use crate::progress::{Event, VerifyReport};
use crate::quarantine;
use crate::refused;
use crate::report;
use crate::run::{Run, Until, keep_report, move_phase};
use crate::sequences;
use crate::session::{Session, State, TableState};
use crate::strangers;
use crate::switch::incarnation::Incarnations;
use crate::switch::report::SwitchReport;
use crate::switch::{Direction, after, gates, keeper, locate, obey, route, seed};
use crate::verify::collect::VerifyRequest;
use crate::verify::{ask, continuous, repair};

/// How long after one task has ended its error may take to come.
const ENDING_PATIENCE: Duration = Duration::from_secs(10);

/// How long after one task has failed beyond the point of no return the switch may take to end by itself: it opens the new authority within this.
const TURNED_PATIENCE: Duration = Duration::from_secs(25);

/// How an attempt ended, when not by an error.
pub(crate) enum End {
    Stopped {
        checkpoint: String,
    },
    Followed {
        checkpoint: String,
    },
    Verified {
        report: Box<VerifyReport>,
    },
    Abort {
        command: CommandId,
        drop_target_tables: bool,
    },
    Complete {
        command: CommandId,
        owner: String,
    },
    /// Authority was given to the lane's target.
    Switched {
        report: Box<SwitchReport>,
    },
    /// The stores say that rows go the other way.
    Turned,
}

/// Runs one attempt.
pub(crate) async fn attempt(run: &Arc<Run>) -> Result<End, EngineError> {
    let migration = &run.migration;
    // before the right to write is taken: one that was taken over must not take it back once its successor has ended
    migration.control.heartbeat(&run.lease, None).await?;
    let incarnations = Incarnations::read(&migration.sides).await?;
    let tenure = tenure(run).await?;
    let incarnations = incarnations.completed(&migration.sides).await?;
    let direction = locate::settle(&run.home, &run.lease, run.observer.as_ref()).await?;
    if direction != run.direction {
        return Ok(End::Turned);
    }
    if seed::seed(migration, run.base(), tenure.as_ref()).await? {
        // what the target holds is read anew
        return Err(EngineError::Again);
    }
    let observer = run.observer.as_ref();
    if succession::settle(&migration.source, tenure.as_ref(), observer).await? {
        return Err(EngineError::Again);
    }
    let spec = CaptureSpec {
        replanned: migration.plan.replanned,
        migration: migration.plan.migration.clone(),
        tables: migration.plan.tables.clone(),
    };
    // before anything is written or emptied
    acting::none(migration.target.as_ref(), &spec.migration, &spec.tables).await?;
    let recent = recent(run).await?;
    let start = begin(run, tenure.as_ref(), &spec, &recent).await?;
    let tables = table_states(run, tenure.as_ref(), &spec, &start.capture.base).await?;
    let paused = migration.control.state().await?.paused;
    let probe = migration.source.probe(&spec.migration).await?;
    let (stop, stopped) = watch::channel(false);
    let state = State {
        tables,
        stream_waits: false,
        gate_closed: false,
        paused,
        checkpoint: start.checkpoint,
        source_end: probe.log_end,
        log_kept_bytes: probe.log_kept_bytes,
        in_flight: Default::default(),
        transactions: 0,
        applied_commit_time: 0,
        recent,
        finished: false,
        keys_awaited: false,
        parks: 1,
        parked_tried: 0,
        parked_changed: false,
        altered: None,
    };
    let (quarantine, waiting) = mpsc::channel(1);
    let session = Arc::new(Session::new(
        spec,
        Arc::clone(&migration.source),
        Arc::clone(&migration.target),
        tenure,
        incarnations,
        migration.options,
        migration.verify,
        Arc::clone(&run.observer),
        Arc::clone(&run.careful),
        quarantine,
        stopped,
        state,
    ));
    acting::told(run, &session).await?;
    let changes = session
        .source
        .open_stream(&session.spec, start.checkpoint)
        .await?;
    work(run, session, changes, waiting, stop).await
}

/// The right to write to the lane's target. A tool that stands still, or is cut off, with the fence of that store in its hand keeps
/// everybody out, us too: it is ended, as whoever looks at the register would.
async fn tenure(run: &Run) -> Result<Box<dyn Tenure>, EngineError> {
    let migration = &run.migration;
    let busy = match migration.target.acquire(&migration.plan.migration).await {
        Err(error) if error.kind == ErrorKind::Busy => error,
        Err(error) if error.kind == ErrorKind::AlreadyRunning => {
            locate::rescue(&run.home, &run.lease, run.observer.as_ref()).await?;
            return Err(error.into());
        }
        acquired => return Ok(acquired?),
    };
    let Some(who) = migration.sides.target.end_holder(run.base()).await? else {
        return Err(busy.into());
    };
    tracing::warn!(holder = %who, "a fence that was held by another process was taken from it");
    Ok(migration.target.acquire(&migration.plan.migration).await?)
}

/// Applied transactions that readers of the source may not see yet. What a process before this one has applied only the source
/// can tell; it is asked once no other process can apply any more.
async fn recent(run: &Run) -> Result<Vec<TransactionId>, EngineError> {
    let known = run.recent().clone();
    if let Some(known) = known {
        return Ok(known);
    }
    let unseen = run.migration.source.maybe_unseen().await?;
    *run.recent() = Some(unseen.clone());
    Ok(unseen)
}

/// Capture and tables: made on the first attempt, found on later ones. Intents are recorded before effects.
async fn begin(
    run: &Arc<Run>,
    tenure: &dyn Tenure,
    spec: &CaptureSpec,
    recent: &[TransactionId],
) -> Result<start::Start, EngineError> {
    let migration = &run.migration;
    let control = &migration.control;
    let fresh = durable::stored_source(tenure.state())?.is_none();
    run.observer.event(&Event::Started {
        epoch: tenure.state().epoch,
        resumed: !fresh,
    });
    let intent = if fresh {
        let detail = serde_json::json!({ "source": migration.source.label(), "target": migration.target.label() });
        Some(
            control
                .record_intent(&run.lease, "create_capture", detail)
                .await?,
        )
    } else {
        None
    };
    let marked = durable::stored_altered(tenure.state())?.is_some();
    let planned_since = *run.marked.get_or_init(|| marked);
    let started = start::start(
        &migration.source,
        &migration.target,
        tenure,
        spec,
        &migration.plan,
        planned_since,
        recent,
        run.observer.as_ref(),
    )
    .await?;
    // on the way back they are the application's own
    if run.direction == Direction::Forward {
        start::tables(&migration.target, &migration.plan, run.observer.as_ref()).await?;
    }
    if let Some(intent) = intent {
        let made = serde_json::to_value(&started.capture.made).unwrap_or_default();
        control
            .settle_intent(&run.lease, intent, IntentState::Done(made))
            .await?;
    }
    let phase = control.state().await?.phase;
    if !phase.is_followed() {
        move_phase(run, Phase::Copying).await?;
    }
    Ok(started)
}

/// The frontiers, rebuilt from durable rows; what is not loaded is cut into chunks.
async fn table_states(
    run: &Run,
    tenure: &dyn Tenure,
    spec: &CaptureSpec,
    base: &crossfade_model::Snapshot,
) -> Result<Vec<TableState>, EngineError> {
    let migration = &run.migration;
    let mut out = Vec::with_capacity(spec.tables.len());
    for mapping in &spec.tables {
        let keyed = migration.target.has_key(mapping).await?;
        let stored = durable::stored_table(tenure.state(), mapping)?;
        let whole = durable::table_state(mapping, stored.clone(), base, Vec::new(), keyed)?;
        let at_one_snapshot = durable::stored_anew(tenure.state(), mapping)?.is_some()
            && anew::is_at_one_snapshot(mapping);
        let state = if whole.frontier.progress().pending == 0 || at_one_snapshot {
            whole
        } else {
            let splits = match bounds::splits(
                migration.source.as_ref(),
                mapping,
                &migration.options,
            )
            .await
            {
                // it was altered since: none of its chunks can be loaded, which the loaders find out and the applier ends in
                // order, with a mark for the next run
                Err(EngineError::Store(e)) if e.kind == ErrorKind::SchemaMismatch => Vec::new(),
                splits => splits?,
            };
            durable::table_state(mapping, stored, base, splits, keyed)?
        };
        out.push(state);
    }
    Ok(out)
}

/// Starts all tasks and waits for the end.
async fn work(
    run: &Arc<Run>,
    session: Arc<Session>,
    changes: Box<dyn crossfade_store::ChangeStream>,
    waiting: mpsc::Receiver<refused::Waiting>,
    stop: watch::Sender<bool>,
) -> Result<End, EngineError> {
    let was_followed = run.migration.control.state().await?.phase.is_followed();
    let mut tasks: JoinSet<Result<(), EngineError>> = JoinSet::new();
    let (events, received) = mpsc::channel(stream::CHANNEL_BLOCKS);
    let (confirmed, confirmations) = watch::channel(session.lock().checkpoint);
    let (requests, asked) = mpsc::channel(4);
    let (orders, mut ordered) = mpsc::channel(4);
    tasks.spawn(stream::read(
        Arc::clone(&session),
        changes,
        events,
        confirmations,
    ));
    let (ahead, next) = mpsc::channel(ahead::WAITING);
    tasks.spawn(ahead::run(
        Arc::clone(&session),
        Gatherer::new(received, &session.options),
        ahead,
    ));
    let applier = ApplierTask::new(
        Arc::clone(&session),
        session.tenure.open_applier().await?,
        next,
        confirmed,
        asked,
    );
    tasks.spawn(applier.run());
    tasks.spawn(refused::keep(
        Arc::clone(run),
        Arc::clone(&session),
        waiting,
    ));
    tasks.spawn(parked::run(Arc::clone(&session), requests.clone()));
    for _ in 0..session.options.loaders {
        tasks.spawn(load::run(Arc::clone(&session)));
    }
    tasks.spawn(finish::run(
        Arc::clone(&session),
        run.migration.plan.sequences.clone(),
        was_followed,
        run.begun,
    ));
    tasks.spawn(lookout::run(Arc::clone(run), Arc::clone(&session)));
    tasks.spawn(strangers::run(Arc::clone(&session)));
    tasks.spawn(continuous::run(Arc::clone(&session), requests.clone()));
    tasks.spawn(report::run(Arc::clone(run), Arc::clone(&session)));
    tasks.spawn(keeper::run(Arc::clone(run), Arc::clone(&session)));
    tasks.spawn(route::keep::run(Arc::clone(run), Arc::clone(&session)));
    tasks.spawn(gates::watch::run(Arc::clone(run), Arc::clone(&session)));
    tasks.spawn(after::run(
        Arc::clone(run),
        Arc::clone(&session),
        requests.clone(),
        orders.clone(),
    ));
    tasks.spawn(commands::run(
        Arc::clone(run),
        Arc::clone(&session),
        orders,
        requests.clone(),
    ));
    let end = match until_end(run, &session, &mut tasks, &mut ordered, &requests).await {
        // whoever opens the target takes the right to fill it from all, and from this attempt as well
        Err(EngineError::Store(error)) if error.kind == ErrorKind::Fenced && session.turned() => {
            tracing::warn!(error = %error, "the switch is ended by the next attempt, which knows none of its figures");
            Err(EngineError::Again)
        }
        end => end,
    };
    stop.send_replace(true);
    session.notify();
    let end = end.map(|end| {
        end.unwrap_or_else(|| End::Stopped {
            checkpoint: session.source.show_position(session.lock().checkpoint),
        })
    });
    drain(&mut tasks).await;
    *run.recent() = Some(session.lock().recent.clone());
    *run.reached() = Some(session.lock().reached());
    report::last(run, &session).await;
    match end {
        Err(error) => Err(refused::record(run, &session, error).await),
        end => end,
    }
}

/// Lets the tasks end by themselves for a moment, then ends them.
async fn drain(tasks: &mut JoinSet<Result<(), EngineError>>) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while let Ok(Some(_)) = tokio::time::timeout_at(deadline, tasks.join_next()).await {}
    tasks.shutdown().await;
}

async fn until_end(
    run: &Arc<Run>,
    session: &Arc<Session>,
    tasks: &mut JoinSet<Result<(), EngineError>>,
    orders: &mut mpsc::Receiver<Order>,
    requests: &mpsc::Sender<VerifyRequest>,
) -> Result<Option<End>, EngineError> {
    let mut stop = run.stop.clone();
    if *stop.borrow() {
        return Ok(None);
    }
    let reached = reached(run, session, requests);
    tokio::pin!(reached);
    let mut gone = false;
    let mut held: Option<(EngineError, tokio::time::Instant)> = None;
    loop {
        let patience = held.as_ref().map(|(_, until)| *until);
        tokio::select! {
            _ = stop.changed() => return Ok(None),
            () = passed(patience) => {
                return Err(held.map_or(EngineError::Ending, |(error, _)| error));
            }
            () = tokio::time::sleep(ENDING_PATIENCE), if gone => return Err(EngineError::Ending),
            Some(order) = orders.recv() => match order {
                Order::Abort { command, drop_target_tables } => {
                    return Ok(Some(End::Abort { command, drop_target_tables }));
                }
                Order::Complete { command, owner } => {
                    return Ok(Some(End::Complete { command, owner }));
                }
                Order::Switched { report } => return Ok(Some(End::Switched { report })),
            },
            end = &mut reached, if !gone => match end {
                // what it asked has ended; why, that task says
                Err(EngineError::Ending) => gone = true,
                end => return end.map(Some),
            },
            Some(ended) = tasks.join_next() => match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) if is_held(session.turned(), &error) => {
                    tracing::warn!(error = %error, "a part of this attempt has ended while authority changes hands");
                    held.get_or_insert((error, tokio::time::Instant::now() + TURNED_PATIENCE));
                }
                Ok(Err(error)) => return Err(error),
                Err(panic) => {
                    return Err(EngineError::internal(format!("a task ended: {panic}")));
                }
            },
        }
    }
}

/// Waits until then, if ever.
async fn passed(until: Option<tokio::time::Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Beyond the point of no return this attempt has one thing left to do: to open the new authority and to tell how it went. Whoever applies
/// loses the right to by that very act, so what he and others meet now must not end the switch in front of its report.
fn is_held(turned: bool, error: &EngineError) -> bool {
    turned && matches!(error, EngineError::Store(_) | EngineError::Ending)
}

/// Waits for what the run is to reach.
async fn reached(
    run: &Arc<Run>,
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
) -> Result<End, EngineError> {
    until_finished(run, session).await?;
    // a later phase is followed too, and is left by its own commands only
    if !run.migration.control.state().await?.phase.is_followed() {
        move_phase(run, Phase::Following).await?;
    }
    match &run.until {
        Until::Switched(direction, order) => {
            let report = obey::obey(run, session, requests, *direction, order).await?;
            Ok(End::Switched {
                report: Box::new(report),
            })
        }
        Until::Stopped => std::future::pending().await,
        Until::Followed => {
            caught_up(run, session).await?;
            refuse_parked(session).await?;
            Ok(End::Followed {
                checkpoint: session.source.show_position(session.lock().checkpoint),
            })
        }
        Until::Verified(comparison) => {
            let comparison = *comparison;
            let retries = quarantine::ordered_retries(run).await?;
            let ids: Vec<EntryId> = retries.iter().flat_map(|(_, ids)| ids.clone()).collect();
            let keys = quarantine::keys(run, session, &ids).await?;
            let repaired = repair::repair(session, requests, keys).await?.rows;
            let mut report = ask::compared(run, session, requests, comparison).await?;
            keep_report(run, &mut report).await?;
            quarantine::obey_retries(run, retries, repaired, &report).await?;
            sequences::raise(session, &run.migration.plan.sequences).await?;
            Ok(End::Verified {
                report: Box::new(report),
            })
        }
    }
}

/// Waits until the target follows and is complete. It never will be while rows are parked that were not there before it was: whoever waits
/// for it is told so, once they were tried again.
async fn until_finished(run: &Run, session: &Session) -> Result<(), EngineError> {
    let waits = !matches!(run.until, Until::Stopped);
    session
        .wait_for(|state| (state.finished || waits && state.hangs()).then_some(()))
        .await
        .ok_or(EngineError::Ending)?;
    if session.lock().finished {
        return Ok(());
    }
    refuse_parked(session).await?;
    // they were taken meanwhile
    session
        .wait_for(|state| state.finished.then_some(()))
        .await
        .ok_or(EngineError::Ending)
}

/// Rows that wait in quarantine are not followed.
async fn refuse_parked(session: &Session) -> Result<(), EngineError> {
    session
        .wait_for(|state| (state.followed() || state.hangs()).then_some(()))
        .await
        .ok_or(EngineError::Ending)?;
    parked::refuse(session)
}

/// Waits until the checkpoint is where the source's end was when this was asked.
async fn caught_up(run: &Run, session: &Session) -> Result<(), EngineError> {
    let end = session.source.probe(&session.name).await?.log_end;
    session
        .wait_for(|state| (state.checkpoint >= end).then_some(()))
        .await
        .ok_or(EngineError::Ending)?;
    sequences::raise(session, &run.migration.plan.sequences).await
}
