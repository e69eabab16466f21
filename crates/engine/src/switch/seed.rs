//! How a lane begins whose target already holds every row: from the position at which its source took authority, with every
//! chunk loaded at a snapshot that sees just what lies before. Going forward again after a rollback begins so, too: no new copy.

use std::collections::HashSet;

use crossfade_model::{Beginning, Position};
use crossfade_rules::frontier::{Bounds, FrontierRow};
use crossfade_rules::switch::{LaneStart, lane_start};
use crossfade_store::{CaptureStart, RecordKey, RecordWrite, TargetState, Tenure};
use serde::{Deserialize, Serialize};

use crate::durable::{self, ChunkRecord, SourceRecord, table_word};
use crate::error::EngineError;
use crate::planning::plan_record;
use crate::run::Migration;

/// Which switch a lane began with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seed {
    epoch: u64,
}

const SEED: &str = "seed";

/// Begins the lane `migration` where its source, by its own word, took authority, unless that was done. True where it was done now:
/// what the target holds is to be read anew.
///
/// # Errors
/// The stores'.
pub(crate) async fn seed(
    migration: &Migration,
    base: &str,
    tenure: &dyn Tenure,
) -> Result<bool, EngineError> {
    let state = tenure.state();
    let Some(standing) = migration.sides.source.peek_standing(base).await? else {
        return Ok(false);
    };
    let Some(beginning) = standing.beginning else {
        return Ok(false);
    };
    match lane_start(standing.register, beginning.epoch, seeded(state)?) {
        Some(LaneStart::AtBeginning) => {}
        Some(LaneStart::GoOn) | None => return Ok(false),
    }
    let beginning = migration.source.placed(beginning, state.checkpoint);
    let records = records(migration, state, &beginning).await?;
    let mut applier = tenure.open_applier().await?;
    applier.begin().await?;
    applier.records(&records).await?;
    applier.commit(state.checkpoint, beginning.position).await?;
    Ok(true)
}

fn seeded(state: &TargetState) -> Result<Option<u64>, EngineError> {
    let seed: Option<Seed> = durable::stored_one(state, SEED)?;
    Ok(seed.map(|seed| seed.epoch))
}

/// Everything that says where the lane is, replaced.
async fn records(
    migration: &Migration,
    state: &TargetState,
    beginning: &Beginning,
) -> Result<Vec<RecordWrite>, EngineError> {
    let mut identity = migration.source.identity().await?;
    // another server may answer by now: whoever begins again finds out what it has of this one's log
    if let Some(log) = &beginning.log {
        identity.identity.clone_from(&log.identity);
    }
    let source = SourceRecord {
        identity,
        start: CaptureStart {
            position: beginning.position,
            base: beginning.snapshot.clone(),
            made: migration.source.made(&migration.plan.migration).await?,
        },
        tables: migration.plan.tables.iter().map(table_word).collect(),
    };
    // what was before is forgotten
    let mut out: Vec<RecordWrite> = state
        .records
        .iter()
        .filter(|record| record.key.kind != "ledger")
        .map(|record| RecordWrite::Remove(record.key.clone()))
        .collect();
    out.push(durable::source_record(&source)?);
    let mark = beginning.log.as_ref().and_then(|log| log.mark.clone());
    out.extend(durable::mark_record(beginning.position, mark)?);
    out.push(plan_record(&migration.plan)?);
    for mapping in &migration.plan.tables {
        let row = FrontierRow {
            bounds: Bounds::everything(),
            snapshot: beginning.snapshot.clone(),
            horizon: beginning.position,
            mixed: false,
            complete: true,
        };
        let chunk: FrontierRow<_, _, Position> = row;
        out.push(durable::chunk_record(
            mapping,
            &ChunkRecord {
                table: table_word(mapping),
                row: chunk,
                low: Vec::new(),
                high: Vec::new(),
                rows: 0,
                seen: None,
            },
        )?);
    }
    let epoch = beginning.epoch;
    out.push(durable::put(SEED, SEED.to_owned(), &Seed { epoch })?);
    let put: HashSet<RecordKey> = (out.iter())
        .filter_map(|write| match write {
            RecordWrite::Put(record) => Some(record.key.clone()),
            RecordWrite::Remove(_) => None,
        })
        .collect();
    out.retain(|write| !matches!(write, RecordWrite::Remove(key) if put.contains(key)));
    Ok(out)
}
