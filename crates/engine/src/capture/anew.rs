//! A table whose copy cannot be followed any further: emptied together with its frontier, and copied once more, while the stream
//! goes on from the checkpoint.
//!
//! What the old copy had applied does not come again, so the new one's snapshots must see it. Nearly all of it is seen by every
//! reader long since; what may not be is owed to the whole table.

use crossfade_model::{Position, TableMapping, TransactionId};
use crossfade_rules::frontier::{Bounds, OwedRow};
use crossfade_store::{
    Applier, ChunkRange, Effect, MergeMode, RecordKey, RecordWrite, TargetState, Tenure,
};

use crate::durable::{self, Anew};
use crate::error::EngineError;
use crate::progress::{Event, Observer};

#[cfg(test)]
#[path = "anew_tests.rs"]
mod tests;

/// Empties the tables that the run before has marked. `recent`: applied transactions that readers may not see yet.
///
/// # Errors
/// [`EngineError::Again`] where there was one: what is durable is another now.
pub(crate) async fn begin(
    tenure: &dyn Tenure,
    tables: &[TableMapping],
    checkpoint: Position,
    recent: &[TransactionId],
    observer: &dyn Observer,
) -> Result<(), EngineError> {
    let state = tenure.state();
    let mut due = Vec::new();
    for mapping in tables {
        if let Some(anew) = durable::stored_anew(state, mapping)?
            && is_due(state, mapping, &anew)?
        {
            due.push((mapping, anew));
        }
    }
    if due.is_empty() {
        return Ok(());
    }
    let mut applier = tenure.open_applier().await?;
    applier.begin().await?;
    for (mapping, mut anew) in due {
        anew.owed.extend(recent);
        empty(applier.as_mut(), state, mapping, anew, observer).await?;
    }
    applier.commit(state.checkpoint, checkpoint).await?;
    Err(EngineError::Again)
}

/// Whether the table is to be emptied: not done yet, or done and the new copy cannot be gone on with.
fn is_due(state: &TargetState, mapping: &TableMapping, anew: &Anew) -> Result<bool, EngineError> {
    if !anew.begun {
        return Ok(true);
    }
    let stored = durable::stored_table(state, mapping)?;
    let partial = stored.frontier.chunks.iter().any(|chunk| !chunk.complete);
    Ok(partial && is_at_one_snapshot(mapping))
}

/// Whether a new copy must be of one time: unique indexes may be there already, and refuse rows of different times.
pub(crate) fn is_at_one_snapshot(mapping: &TableMapping) -> bool {
    mapping.target.indexes.iter().any(|index| index.unique)
}

/// Takes away a table's rows and what says that they were copied, in the open target transaction.
pub(crate) async fn empty(
    applier: &mut dyn Applier,
    state: &TargetState,
    mapping: &TableMapping,
    anew: Anew,
    observer: &dyn Observer,
) -> Result<(), EngineError> {
    observer.event(&Event::Warning {
        what: format!(
            "the copy of {} begins again: {}",
            mapping.called(),
            anew.what
        ),
    });
    let clear = Effect::Clear(ChunkRange::All);
    applier.apply(mapping, &clear, MergeMode::Fast).await?;
    applier.records(&records(state, mapping, anew)?).await?;
    Ok(())
}

fn records(
    state: &TargetState,
    mapping: &TableMapping,
    mut anew: Anew,
) -> Result<Vec<RecordWrite>, EngineError> {
    anew.begun = true;
    anew.owed.sort_unstable();
    anew.owed.dedup();
    let owed: Vec<_> = anew
        .owed
        .iter()
        .map(|&transaction| OwedRow {
            bounds: Bounds::everything(),
            transaction,
        })
        .collect();
    let written = [
        durable::owed_record(mapping, &owed)?,
        durable::anew_record(mapping, &anew)?,
    ];
    let kept = |record: &RecordWrite| written.iter().all(|w| key_of(w) != key_of(record));
    let mut records = durable::forget_copy(state, mapping);
    records.retain(kept);
    records.extend(written);
    Ok(records)
}

fn key_of(record: &RecordWrite) -> &RecordKey {
    match record {
        RecordWrite::Put(record) => &record.key,
        RecordWrite::Remove(key) => key,
    }
}
