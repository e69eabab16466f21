//! Where an attempt begins: a fresh capture, or the checkpoint of the run before.

use std::sync::Arc;

use crossfade_model::{Position, TransactionId};
use crossfade_plan::Plan;
use crossfade_rules::resume::{Live, ResumePlan, Stored, check_resume};
use crossfade_store::{CaptureSpec, CaptureStart, ErrorKind, Source, StoreError, Target, Tenure};

use crate::capture::{altered, anew};
use crate::durable::{self, Anew, SourceRecord, table_word};
use crate::error::EngineError;
use crate::kill;
use crate::planning::{plan_record, stored_plan};
use crate::progress::{Event, Observer};
use crate::session::Altered;

/// Where the stream begins.
pub(crate) struct Start {
    pub capture: CaptureStart,
    pub checkpoint: Position,
}

/// Makes the capture and its first checkpoint, or checks that the stored checkpoint fits the source that is there.
/// `planned_since`: the plan was made after the mark of an altered table was left, where there is one. `recent`: applied
/// transactions that readers of the source may not see yet.
#[allow(clippy::too_many_arguments)]
pub(crate) async fn start(
    source: &Arc<dyn Source>,
    target: &Arc<dyn Target>,
    tenure: &dyn Tenure,
    spec: &CaptureSpec,
    plan: &Plan,
    planned_since: bool,
    recent: &[TransactionId],
    observer: &dyn Observer,
) -> Result<Start, EngineError> {
    match durable::stored_source(tenure.state())? {
        Some(stored) => {
            let start = resume(source, target, tenure, spec, stored).await?;
            let checkpoint = start.checkpoint;
            match durable::stored_altered(tenure.state())? {
                Some(altered) if planned_since => {
                    let marked = (&altered, recent);
                    replan(target, tenure, plan, checkpoint, marked, observer).await?;
                }
                // of an attempt of this very run, which did not hear that its mark was kept
                Some(altered) => {
                    return Err(altered::stop(
                        source.as_ref(),
                        &spec.tables,
                        checkpoint,
                        altered,
                    ));
                }
                None => {}
            }
            anew::begin(tenure, &spec.tables, checkpoint, recent, observer).await?;
            Ok(start)
        }
        None => fresh(source, tenure, spec, plan, observer).await,
    }
}

/// The run before ended at an altered table, and the target was matched: the new plan holds from the checkpoint on. Tables
/// whose rows moved past the log are emptied with their frontiers; the attempt then begins again.
async fn replan(
    target: &Arc<dyn Target>,
    tenure: &dyn Tenure,
    plan: &Plan,
    checkpoint: Position,
    (altered, recent): (&Altered, &[TransactionId]),
    observer: &dyn Observer,
) -> Result<(), EngineError> {
    let state = tenure.state();
    let tables = match stored_plan(state, target.as_ref())? {
        Some(old) => altered::to_copy_anew(&old, plan, altered)?,
        None => Vec::new(),
    };
    let mut applier = tenure.open_applier().await?;
    applier.begin().await?;
    applier
        .records(&[plan_record(plan)?, durable::altered_gone()])
        .await?;
    for mapping in plan.tables.iter().filter(|t| tables.contains(&t.id)) {
        let why = Anew {
            what: format!(
                "it was altered in a way that moves rows past the log ({})",
                altered.what
            ),
            owed: recent.to_vec(),
            begun: true,
        };
        anew::empty(applier.as_mut(), state, mapping, why, observer).await?;
    }
    applier.commit(state.checkpoint, checkpoint).await?;
    if tables.is_empty() {
        return Ok(());
    }
    Err(EngineError::Again)
}

async fn fresh(
    source: &Arc<dyn Source>,
    tenure: &dyn Tenure,
    spec: &CaptureSpec,
    plan: &Plan,
    observer: &dyn Observer,
) -> Result<Start, EngineError> {
    let capture = source.create_capture(spec).await?;
    kill::point("capture.created");
    observer.event(&Event::CaptureCreated {
        made: capture.made.clone(),
        position: source.show_position(capture.position),
    });
    let record = SourceRecord {
        identity: source.identity().await?,
        start: capture.clone(),
        tables: spec.tables.iter().map(table_word).collect(),
    };
    let mut records = vec![durable::source_record(&record)?, plan_record(plan)?];
    let mark = source.mark(capture.position);
    records.extend(durable::mark_record(capture.position, mark)?);
    let mut applier = tenure.open_applier().await?;
    applier.begin().await?;
    applier.records(&records).await?;
    applier.commit(None, capture.position).await?;
    kill::point("capture.recorded");
    Ok(Start {
        checkpoint: capture.position,
        capture,
    })
}

async fn resume(
    source: &Arc<dyn Source>,
    target: &Arc<dyn Target>,
    tenure: &dyn Tenure,
    spec: &CaptureSpec,
    stored: SourceRecord,
) -> Result<Start, EngineError> {
    let words: Vec<String> = spec.tables.iter().map(table_word).collect();
    if words != stored.tables {
        return Err(EngineError::stopped(
            "engine.tables_changed",
            "the migration's list of tables is not the one that it began with",
            "Restore the list in the migration file, or `abort` and begin again",
        ));
    }
    let identity = source.identity().await?;
    let is_there =
        source.capabilities().captures_in_place || !source.made(&spec.migration).await?.is_empty();
    let probe = source.probe(&spec.migration).await?;
    let live = Live {
        identity: identity.identity.clone(),
        capture: is_there.then(|| identity.identity.clone()),
        // what the source was told is checked where the stream opens
        confirmed: None,
        end: probe.log_end,
    };
    let before = Stored {
        identity: stored.identity.identity.clone(),
        capture: stored.identity.identity.clone(),
        checkpoint: tenure.state().checkpoint,
    };
    let checkpoint = match check_resume(Some(&before), Some(&stored.start.position), &live) {
        Ok(ResumePlan::From(checkpoint)) => checkpoint,
        Ok(ResumePlan::FromStart | ResumePlan::Fresh) => stored.start.position,
        Err(refusal) => {
            return Err(StoreError::new(
                ErrorKind::WrongStore,
                "engine.resume",
                target.label(),
                describe(source.as_ref(), &refusal),
            )
            .fix("Nothing was changed. Go back to the source that this migration began with, or `abort` and begin again")
            .into());
        }
    };
    Ok(Start {
        capture: stored.start,
        checkpoint,
    })
}

fn describe(
    source: &dyn Source,
    refusal: &crossfade_rules::resume::ResumeRefusal<String, Position>,
) -> String {
    use crossfade_rules::resume::ResumeRefusal as R;
    match refusal {
        R::DifferentSource { .. } => {
            "the source is not the one that this target was copied from (another server, timeline or file)"
                .to_owned()
        }
        R::CaptureGone => {
            "the source no longer keeps the changes since the checkpoint: the slot or change table is gone"
                .to_owned()
        }
        R::DifferentCapture { .. } => {
            "the source's capture was made again: changes in between are missing".to_owned()
        }
        R::SkippedAhead { confirmed, .. } => format!(
            "the source would continue at {}, after the checkpoint: changes in between would be lost",
            source.show_position(*confirmed)
        ),
        R::SourceSetBack { end, checkpoint } => format!(
            "the source's log ends at {}, before the checkpoint {}: the source was set back",
            source.show_position(*end),
            source.show_position(*checkpoint)
        ),
    }
}

/// Makes the target's tables; what is there stays.
pub(crate) async fn tables(
    target: &Arc<dyn Target>,
    plan: &Plan,
    observer: &dyn Observer,
) -> Result<(), EngineError> {
    target
        .create_tables(&plan.types, &plan.sequences, &plan.tables)
        .await?;
    kill::point("tables.created");
    observer.event(&Event::TablesCreated {
        tables: plan.tables.len(),
    });
    Ok(())
}
