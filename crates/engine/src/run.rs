//! A run: attempts from the durable state, one after another, until the end, an order to stop, or an error that a person
//! must act on.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crossfade_control::{CommandId, Comparison, ControlStore, Lease, SwitchOrder};
use crossfade_model::TransactionId;
use crossfade_plan::shadow::Shadow;
use crossfade_plan::verify_options::VerifyOptions;
use crossfade_plan::{AbortConditions, Phase, Plan, Projection, RunOptions, Standbys};
use crossfade_rules::gates::GateLimits;
use crossfade_store::{ErrorKind, Made, Recovery, Source, Target};
use tokio::sync::watch;

use crate::attempt::{self, End};
use crate::error::EngineError;
use crate::evidence;
use crate::layer_report::Layer;
use crate::lifecycle;
use crate::progress::{Event, Observer, RunOutcome, VerifyReport};
use crate::quarantine;
use crate::retry::{Reached, Retries};
use crate::switch::prepare::refused;
use crate::switch::{Direction, Lead, Sides, lane, locate, tell};
use crate::verify::compare::now;

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
    /// Both stores once more, each able to play the other's part.
    pub sides: Sides,
    /// Where traffic goes.
    pub lead: Arc<Lead>,
    /// What a switch asks for.
    pub gates: GateLimits,
    /// Where the numbers of shadow reads are, with the whole path.
    pub shadow: Option<Shadow>,
    /// What is watched after it.
    pub abort_conditions: AbortConditions,
    /// Who must hold what a switch has done before authority is given away; of this lane's source and target.
    pub standbys: Standbys,
}

/// When a run ends by itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Until {
    /// When told to.
    Stopped,
    /// When the target follows and has caught up with the source's end.
    Followed,
    /// When it follows and this comparison has been made.
    Verified(Comparison),
    /// When it follows and authority for writes has been given to the side that it fills, as ordered.
    Switched(Direction, SwitchOrder),
}

/// What outlives attempts.
pub(crate) struct Run {
    /// The migration as its file has it.
    pub home: Arc<Migration>,
    /// Which way rows go now.
    pub direction: Direction,
    /// The migration as this lane sees it.
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
    /// The migration's name; the lane's is in its plan.
    pub fn base(&self) -> &str {
        &self.home.plan.migration
    }

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
    if migration.control.state().await?.phase == Phase::Retired {
        return Err(refused(
            "run.completed",
            "the migration is completed: the target has authority, and nothing follows it",
            "begin a new migration, in a file of its own",
        ));
    }
    let lease = Arc::new(migration.control.acquire().await?);
    let result = lanes(&migration, &lease, until, &observer, &stop).await;
    let why = match &result {
        Ok(outcome) => match outcome {
            RunOutcome::Stopped { .. } => "told to stop".to_owned(),
            RunOutcome::Followed { .. } => "followed".to_owned(),
            RunOutcome::Verified { .. } => "verified".to_owned(),
            RunOutcome::Aborted { .. } => "aborted".to_owned(),
            RunOutcome::Switched { .. } => "switched".to_owned(),
            RunOutcome::Completed { .. } => "completed".to_owned(),
        },
        Err(error) => error.to_string(),
    };
    observer.event(&Event::Stopped { why });
    result
}

/// Runs the lane that the stores' registers name; after a switch, the other one.
async fn lanes(
    home: &Arc<Migration>,
    lease: &Arc<Lease>,
    until: Until,
    observer: &Arc<dyn Observer>,
    stop: &watch::Receiver<bool>,
) -> Result<RunOutcome, EngineError> {
    let begun = Instant::now();
    loop {
        let Some((direction, migration)) = lane_to_run(home, observer, stop).await? else {
            return Ok(RunOutcome::Stopped { checkpoint: None });
        };
        let run = Arc::new(Run {
            migration,
            home: Arc::clone(home),
            direction,
            lease: Arc::clone(lease),
            until: until.clone(),
            observer: Arc::clone(observer),
            stop: stop.clone(),
            begun,
            careful: Arc::new(AtomicBool::new(false)),
            repaired: AtomicBool::new(false),
            recent: Mutex::new(None),
            reached: Mutex::new(None),
            marked: OnceLock::new(),
        });
        if let Some(outcome) = attempts(&run).await? {
            return Ok(outcome);
        }
        // it was done, by an attempt that did not come to say so
        if let Until::Switched(ordered, order) = &until
            && *ordered == direction
        {
            let report = Box::new(tell::found(&run, direction, order, now()));
            return Ok(RunOutcome::Switched { report });
        }
        if *stop.borrow() {
            return Ok(RunOutcome::Stopped { checkpoint: None });
        }
    }
}

/// The lane that rows go by now; `None` where the run is told to stop. A store that is away when authority has just changed hands is waited for as
/// at any other time.
async fn lane_to_run(
    home: &Arc<Migration>,
    observer: &Arc<dyn Observer>,
    stop: &watch::Receiver<bool>,
) -> Result<Option<(Direction, Arc<Migration>)>, EngineError> {
    let begun = Instant::now();
    let mut retries = Retries::new(patience(home));
    loop {
        let found = async {
            let direction = locate::likely(home).await?;
            Ok((direction, lane::of(home, direction).await?))
        };
        let error = match found.await {
            Ok(found) => return Ok(Some(found)),
            Err(error) => error,
        };
        if !passing(&error, retries.tries()) {
            return Err(error);
        }
        let Some(pause) = retries.failed(begun.elapsed(), None) else {
            return Err(error);
        };
        if !waited(&error, pause, retries.tries(), observer, stop).await {
            return Ok(None);
        }
    }
}

fn patience(migration: &Migration) -> Duration {
    Duration::from_secs(u64::from(migration.options.retry_seconds))
}

/// Tells of an error that may pass, and waits; false where the run is told to stop.
async fn waited(
    error: &EngineError,
    pause: Duration,
    attempt: u32,
    observer: &Arc<dyn Observer>,
    stop: &watch::Receiver<bool>,
) -> bool {
    tracing::warn!(error = %error, "attempt failed, trying again");
    observer.event(&Event::Retrying {
        error: error.to_string(),
        after_seconds: pause.as_secs_f64(),
        attempt,
    });
    let mut stop = stop.clone();
    tokio::select! {
        // nobody is left to tell it more
        _ = stop.wait_for(|stop| *stop) => false,
        () = tokio::time::sleep(pause) => true,
    }
}

/// Attempts until the run has an outcome; `None` where rows go the other way from now on.
async fn attempts(run: &Arc<Run>) -> Result<Option<RunOutcome>, EngineError> {
    let mut retries = Retries::new(patience(&run.migration));
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
            return Ok(Some(RunOutcome::Stopped { checkpoint: None }));
        }
        let reached = *run.reached();
        let Some(pause) = retries.failed(run.begun.elapsed(), reached) else {
            return Err(error);
        };
        if !waited(&error, pause, retries.tries(), &run.observer, &run.stop).await {
            return Ok(Some(RunOutcome::Stopped { checkpoint: None }));
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

async fn ended(run: &Arc<Run>, end: End) -> Result<Option<RunOutcome>, EngineError> {
    match end {
        End::Turned => Ok(None),
        End::Switched { report } => Ok(match run.until {
            Until::Switched(..) => Some(RunOutcome::Switched { report }),
            _ => None,
        }),
        End::Stopped { checkpoint } => Ok(Some(RunOutcome::Stopped {
            checkpoint: Some(checkpoint),
        })),
        End::Followed { checkpoint } => Ok(Some(RunOutcome::Followed { checkpoint })),
        End::Verified { report } => Ok(Some(RunOutcome::Verified { report })),
        End::Abort {
            command,
            drop_target_tables,
        } => {
            let removed = lifecycle::remove(&run.home, &run.lease, drop_target_tables).await;
            let removed = ended_by(run, command, removed).await?;
            Ok(Some(RunOutcome::Aborted { removed }))
        }
        End::Complete { command, owner } => {
            let removed = lifecycle::retire(&run.home, &run.lease, &owner).await;
            let removed = ended_by(run, command, removed).await?;
            Ok(Some(RunOutcome::Completed { removed }))
        }
    }
}

/// Tells whoever ended the migration what was removed.
async fn ended_by(
    run: &Run,
    command: CommandId,
    removed: Result<Vec<Made>, EngineError>,
) -> Result<Vec<Made>, EngineError> {
    let result = match &removed {
        Ok(removed) => Ok(serde_json::to_value(removed).unwrap_or_default()),
        Err(error) => Err(error.to_string()),
    };
    run.migration
        .control
        .finish(&run.lease, command, result)
        .await?;
    removed
}

/// Moves the control store's phase forward; a phase that is already there is no error. On the way back the phase stays what the
/// switch has made it.
pub(crate) async fn move_phase(run: &Run, to: Phase) -> Result<(), EngineError> {
    if run.direction == Direction::Reverse {
        return Ok(());
    }
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
