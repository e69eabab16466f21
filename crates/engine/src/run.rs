//! A run: attempts from the durable state, one after another, until the end, an order to stop, or an error that a person
//! must act on.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crossfade_control::{Comparison, ControlStore, Lease};
use crossfade_model::TransactionId;
use crossfade_plan::{Phase, Plan, RunOptions};
use crossfade_store::{ErrorKind, Recovery, Source, Target};
use tokio::sync::watch;

use crate::attempt::{self, End};
use crate::error::EngineError;
use crate::evidence;
use crate::lifecycle;
use crate::progress::{Event, Observer, RunOutcome, VerifyReport};
use crate::quarantine;

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
    /// Transactions that earlier attempts have applied and that no probe has been known to see.
    pub recent: Mutex<Vec<TransactionId>>,
    /// The first attempt found the mark of an altered table: the plan was made with it in sight.
    pub marked: OnceLock<bool>,
}

impl Run {
    /// Takes what earlier attempts have left, or leaves it to the next.
    pub fn recent(&self) -> std::sync::MutexGuard<'_, Vec<TransactionId>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
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
        recent: Mutex::new(Vec::new()),
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
    let mut failing_since: Option<Instant> = None;
    let mut tries = 0u32;
    loop {
        let begun = Instant::now();
        let error = match attempt::attempt(run).await {
            Ok(end) => return ended(run, end).await,
            Err(error) => error,
        };
        // also when told to stop: an error that a person must act on is no quiet end
        if !passing(&error, tries) {
            return Err(error);
        }
        if *run.stop.borrow() {
            return Ok(RunOutcome::Stopped { checkpoint: None });
        }
        // an attempt that worked for a while was progress
        if begun.elapsed() > Duration::from_secs(30) {
            failing_since = None;
            tries = 0;
        }
        tries += 1;
        let since = *failing_since.get_or_insert(begun);
        if since.elapsed() > patience {
            return Err(error);
        }
        let pause = Duration::from_millis(100 << tries.min(6));
        tracing::warn!(error = %error, "attempt failed, trying again");
        run.observer.event(&Event::Retrying {
            error: error.to_string(),
            after_seconds: pause.as_secs_f64(),
            attempt: tries,
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
