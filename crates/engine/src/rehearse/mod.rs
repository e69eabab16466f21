//! A rehearsal: everything that a switch and its way back do, on copies of both stores, with writes in between and a proof behind each
//! step, timed. The real source is read, by a copy of its own that ends before the rest begins; the real target is not
//! touched.

mod act;
mod report;
mod scene;
mod writer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossfade_control::{AuditEntry, ControlError, ControlStore};
use crossfade_plan::MigrationFile;
use crossfade_store::Scratch;
use tokio::sync::watch;

pub use report::{Paused, Proved, RehearsalReport, RehearsalStep};

use crate::error::EngineError;
use crate::planning::prepare;
use crate::progress::Observer;
use crate::switch::Sides;
use crate::verify::compare::now;
use scene::Scene;

/// Opens the control store of a migration of this name, anew.
pub type OpenControl = dyn Fn(&str) -> Result<Arc<dyn ControlStore>, ControlError> + Send + Sync;

/// What is to be rehearsed, and how.
pub struct Rehearsal {
    /// The migration's file.
    pub file: MigrationFile,
    /// Its own stores.
    pub sides: Sides,
    /// An empty database for the copy of the source; `None`: one is made beside it.
    pub scratch_source: Option<Box<dyn Scratch>>,
    /// An empty database for the copy of the target; `None`: one is made beside it.
    pub scratch_target: Option<Box<dyn Scratch>>,
    /// The migration's control store: the outcome is recorded there.
    pub control: Arc<dyn ControlStore>,
    /// Control stores for what the rehearsal runs.
    pub open_control: Box<OpenControl>,
    /// Who answers for it.
    pub owner: String,
    /// The time box of each switch in it.
    pub within: Duration,
    /// Leave the copies where they are.
    pub keep: bool,
}

/// The kind of a rehearsal's record in the audit log.
pub const REHEARSAL: &str = "rehearsal";

/// Rehearses, and removes what it has made, whatever came of it. What did not pass is told in the report; it is recorded, too.
///
/// # Errors
/// It could not begin: a finding that blocks, a store that cannot be read, scratch databases that may not be made.
pub async fn rehearse(
    asked: Rehearsal,
    observer: Arc<dyn Observer>,
    mut stop: watch::Receiver<bool>,
) -> Result<RehearsalReport, EngineError> {
    let (source, target) = (&asked.sides.source, &asked.sides.target);
    let real = prepare(&asked.file, source.as_ref(), target.as_ref()).await?;
    if real.plan.is_blocked() {
        return Err(EngineError::Refused {
            findings: real.plan.findings,
        });
    }
    let (from, to) = tokio::try_join!(
        crossfade_store::Source::identity(source.as_ref()),
        crossfade_store::Source::identity(target.as_ref())
    )?;
    let mut report = RehearsalReport::blank(&asked, real.plan.hash(), from, to, now());
    let mut asked = asked;
    let mut scene = Scene::set(&mut asked, &mut report).await?;
    let begun = Instant::now();
    let outcome = tokio::select! {
        outcome = act::act(&asked, &mut scene, &mut report, &observer) => outcome,
        _ = stop.wait_for(|stop| *stop) => Err(EngineError::stopped(
            "rehearse.stopped",
            "the rehearsal was told to stop",
            "give it again",
        )),
    };
    if let Err(error) = &outcome {
        report.why = Some(error.to_string());
        report.fix = error.fix();
    }
    report.passed = outcome.is_ok();
    report.took_ms = report::millis(begun.elapsed());
    report.left = scene.strike(asked.keep).await;
    report.finished = now();
    let entry = AuditEntry::new(REHEARSAL, report.record()).by(asked.owner.clone());
    asked.control.audit(None, entry).await?;
    Ok(report)
}
