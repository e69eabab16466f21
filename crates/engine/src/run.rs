//! A run: attempts from the durable state, one after another, until the end, an order to stop, or an error that a person
//! must act on.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crossfade_control::{Comparison, ControlStore, Lease};
use crossfade_model::TransactionId;
use crossfade_plan::verify_options::VerifyOptions;
use crossfade_plan::{Phase, Plan, Projection, RunOptions};
use crossfade_store::{ErrorKind, Recovery, Source, Target};
use tokio::sync::watch;

use crate::attempt::{self, End};
use crate::error::EngineError;
use crate::evidence;
use crate::layer_report::Layer;
use crate::lifecycle;
use crate::progress::{Event, Observer, RunOutcome, VerifyReport};
use crate::quarantine;
use crate::retry::{Reached, Retries};

/// A checked migration with its stores.
pub struct Migration {
    /// The plan.
    pub plan: Plan,
    /// Where rows come from.
    pub source: Arc<dyn Source>,
    /// Where rows go to.
    pub target: Arc<dyn Target>,
    /// Phase, commands, reports.
    pub control: Arc<dyn ControlStore>,
    /// Queries that must give the same rows on both sides.
    pub projections: Vec<Projection>,
    /// How to compare.
    pub verify: VerifyOptions,
    /// How to work.
    pub options: RunOptions,
}

/// When a run ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// When told to.
    Stopped,
    /// When the target follows and has caught up with the source's end.
    Followed,
    /// When it follows and this comparison has been made.
    Verified(Comparison),
}

/// What outlives attempts.
pub(crate) struct Run {
    pub migration: Arc<Migration>,
    pub lease: Arc<Lease>,
    pub until: Until,
    pub observer: Arc<dyn Observer>,
    pub stop: watch::Receiver<bool>,
    pub begun: Instant,
    pub careful: Arc<AtomicBool>,
    /// The one comparison of a run that ends with it has begun to repair.
    pub repaired: AtomicBool,
    /// Transactions that earlier attempts have applied and that no probe has been known to see; `None` before the first.
    pub recent: Mutex<Option<Vec<TransactionId>>>,
    /// How far the attempt at work, or the last, came; `None` where it did not come to work.
    pub reached: Mutex<Option<Reached>>,
    /// The first attempt found the mark of an altered table: the plan was made with it in sight.
    pub marked: OnceLock<bool>,
}

impl Run {
    /// Takes what earlier attempts have left, or leaves it to the next.
    pub fn recent(&self) -> std::sync::MutexGuard<'_, Option<Vec<TransactionId>>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the attempt came.
    pub fn reached(&self) -> std::sync::MutexGuard<'_, Option<Reached>> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a migration.
///
/// # Errors
/// See [`EngineError`]; what is durable stays, and a later run goes on from it.
pub async fn run(
    migration: Arc<Migration>,
    until: Until,
    observer: Arc<dyn Observer>,
    stop: watch::Receiver<bool>,
) -> Result<RunOutcome, EngineError> {
    if migration.plan.is_blocked() {
        return Err(EngineError::Refused {
            findings: migration.plan.findings.clone(),
        });
    }
    let lease = Arc::new(migration.control.acquire().await?);
    let run = Arc::new(Run {
        migration,
        lease,
        until,
        observer,
        stop,
        begun: Instant::now(),
        careful: Arc::new(AtomicBool::new(false)),
        repaired: AtomicBool::new(false),
        recent: Mutex::new(None),
        reached: Mutex::new(None),
        marked: OnceLock::new(),
    });
    let result = attempts(&run).await;
    let why = match &result {
        Ok(outcome) => match outcome {
            RunOutcome::Stopped { .. } => "told to stop".to_owned(),
            RunOutcome::Followed { .. } => "followed".to_owned(),
            RunOutcome::Verified { .. } => "verified".to_owned(),
            RunOutcome::Aborted { .. } => "aborted".to_owned(),
        },
        Err(error) => error.to_string(),
    };
    run.observer.event(&Event::Stopped { why });
    result
}

async fn attempts(run: &Arc<Run>) -> Result<RunOutcome, EngineError> {
    let patience = Duration::from_secs(u64::from(run.migration.options.retry_seconds));
    let mut retries = Retries::new(patience);
    loop {
        run.reached().take();
        let error = match attempt::attempt(run).await {
            Ok(end) => return ended(run, end).await,
            Err(EngineError::Again) => {
                retries.begun_again();
                continue;
            }
            Err(error) => error,
        };
        // also when told to stop: an error that a person must act on is no quiet end
        if !passing(&error, retries.tries()) {
            return Err(error);
        }
        if *run.stop.borrow() {
            return Ok(RunOutcome::Stopped { checkpoint: None });
        }
        let reached = *run.reached();
        let Some(pause) = retries.failed(run.begun.elapsed(), reached) else {
            return Err(error);
        };
        tracing::warn!(error = %error, "attempt failed, trying again");
        run.observer.event(&Event::Retrying {
            error: error.to_string(),
            after_seconds: pause.as_secs_f64(),
            attempt: retries.tries(),
        });
        let mut stop = run.stop.clone();
        tokio::select! {
            _ = stop.changed() => return Ok(RunOutcome::Stopped { checkpoint: None }),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Whether an error may pass by itself.
fn passing(error: &EngineError, tries: u32) -> bool {
    match error {
        EngineError::Store(e) => {
            e.recovery() == Recovery::Retry
                // our own predecessor's connections may take a moment to go
                || (tries > 0 && e.kind == ErrorKind::AlreadyRunning)
        }
        EngineError::Ending => true,
        _ => false,
    }
}

async fn ended(run: &Arc<Run>, end: End) -> Result<RunOutcome, EngineError> {
    match end {
        End::Stopped { checkpoint } => Ok(RunOutcome::Stopped {
            checkpoint: Some(checkpoint),
        }),
        End::Followed { checkpoint } => Ok(RunOutcome::Followed { checkpoint }),
        End::Verified { report } => Ok(RunOutcome::Verified { report }),
        End::Abort {
            command,
            drop_target_tables,
        } => {
            let control = &run.migration.control;
            let removed = lifecycle::remove(&run.migration, &run.lease, drop_target_tables).await;
            match removed {
                Ok(removed) => {
                    let result = serde_json::to_value(&removed).unwrap_or_default();
                    control.finish(&run.lease, command, Ok(result)).await?;
                    Ok(RunOutcome::Aborted { removed })
                }
                Err(error) => {
                    control
                        .finish(&run.lease, command, Err(error.to_string()))
                        .await?;
                    Err(error)
                }
            }
        }
    }
}

/// Moves the control store's phase forward; a phase that is already there is no error.
pub(crate) async fn move_phase(run: &Run, to: Phase) -> Result<(), EngineError> {
    let control = &run.migration.control;
    let now = control.state().await?.phase;
    if now != to {
        control.move_phase(&run.lease, now, to).await?;
    }
    Ok(())
}

/// Keeps a comparison's report where `status` finds it, and its differences in quarantine; enters what a person has said of
/// them.
pub(crate) async fn keep_report(run: &Run, report: &mut VerifyReport) -> Result<(), EngineError> {
    // only a full comparison shows the sides equal
    if report.layers.layer != Layer::Full {
        return Ok(());
    }
    quarantine::record(run, report).await?;
    evidence::classify(run, report).await?;
    let value = serde_json::to_value(report.without_rows().without_evidence())
        .map_err(|e| EngineError::internal(format!("a report could not be written: {e}")))?;
    run.migration
        .control
        .store_report(&run.lease, value)
        .await?;
    run.observer.event(&Event::Verified {
        summary: report.summary(),
    });
    Ok(())
}
