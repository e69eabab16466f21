//! What is done to a migration that nobody runs: abort; and what the target says of it: status.

use std::sync::Arc;

use crossfade_control::{ControlStore, IntentId, IntentState, Lease};
use crossfade_model::{TableMapping, reverse_lane};
use crossfade_plan::{Phase, Plan};
use crossfade_rules::ledger::LedgerCounts;
use crossfade_store::{Made, Source, Store, Target, TargetState, Tenure};
use serde::{Deserialize, Serialize};

use crate::durable::{self, SourceRecord};
use crate::error::EngineError;
use crate::progress::Silent;
use crate::run::Migration;
use crate::switch::prepare::refused;
use crate::switch::{Direction, Sides, locate};

/// Ends a migration that no process runs: removes what was made on the source, and crossfade's own rows on the target.
///
/// # Errors
/// A run holds the lease; a store's error. What was removed before stays removed, and `abort` can be given again.
pub async fn abort(
    migration: Arc<Migration>,
    drop_target_tables: bool,
) -> Result<Vec<Made>, EngineError> {
    let lease = migration.control.acquire().await?;
    remove(&migration, &lease, drop_target_tables).await
}

/// Ends a migration whose target has authority and that no process runs: the way back is given up, what was made on both sides is
/// removed, the old tables stay, closed.
///
/// # Errors
/// As [`abort`]; the source has authority.
pub async fn complete(migration: Arc<Migration>, owner: &str) -> Result<Vec<Made>, EngineError> {
    let lease = migration.control.acquire().await?;
    retire(&migration, &lease, owner).await
}

/// What `complete` would remove.
///
/// # Errors
/// A store that cannot be read.
pub async fn leftovers(migration: &Migration) -> Result<Vec<Made>, EngineError> {
    let base = &migration.plan.migration;
    let mut found = made_of_lanes(&migration.sides.source, base, Direction::Forward).await?;
    found.extend(made_on_target(&migration.sides, base).await?);
    Ok(found)
}

/// All that the migration has made on its source: for the way there, for the way back, and the fence.
///
/// # Errors
/// The store's.
pub async fn made_on_source(sides: &Sides, base: &str) -> crossfade_store::Result<Vec<Made>> {
    let mut found = made_of_lanes(&sides.source, base, Direction::Forward).await?;
    found.extend(sides.source.fence_made(base).await?);
    Ok(found)
}

/// All that the migration has made on its target but the tables.
///
/// # Errors
/// The store's.
pub async fn made_on_target(sides: &Sides, base: &str) -> crossfade_store::Result<Vec<Made>> {
    let mut found = made_of_lanes(&sides.target, base, Direction::Reverse).await?;
    found.extend(sides.target.fence_made(base).await?);
    Ok(found)
}

/// What both lanes have made on a store that `from` begins at, without the fence.
async fn made_of_lanes(
    store: &Arc<dyn Store>,
    base: &str,
    from: Direction,
) -> crossfade_store::Result<Vec<Made>> {
    let mut found = Source::made(store.as_ref(), &from.lane(base)).await?;
    found.extend(Target::made(store.as_ref(), &from.other().lane(base)).await?);
    Ok(found)
}

/// The right to write to both sides, where there was ever a register: nobody switches while what a switch rests on is taken away.
async fn alone(migration: &Migration) -> Result<Vec<Box<dyn Tenure>>, EngineError> {
    let base = &migration.plan.migration;
    let mut held = Vec::new();
    for (store, direction) in [
        (&migration.sides.target, Direction::Forward),
        (&migration.sides.source, Direction::Reverse),
    ] {
        if store.peek_standing(base).await?.is_some() {
            held.push(store.acquire(&direction.lane(base)).await?);
        }
    }
    Ok(held)
}

/// An earlier order of this kind was begun and did not come to its end: it goes on where it was, whatever the registers say, which may be gone by now.
async fn begun(migration: &Migration, kind: &str) -> Result<bool, EngineError> {
    let state = migration.control.state().await?;
    Ok(state.open_intents.iter().any(|intent| intent.kind == kind))
}

pub(crate) async fn retire(
    migration: &Arc<Migration>,
    lease: &Lease,
    owner: &str,
) -> Result<Vec<Made>, EngineError> {
    let held = alone(migration).await?;
    if !begun(migration, "complete").await?
        && locate::settle(migration, lease, &Silent).await? == Direction::Forward
    {
        return Err(refused(
            "complete.authority",
            "the source has authority for writes",
            "`crossfade switch writes` first; to give the migration up, `crossfade abort`",
        ));
    }
    let base = &migration.plan.migration;
    let control = &migration.control;
    let detail = serde_json::json!({ "owner": owner });
    let intent = control.record_intent(lease, "complete", detail).await?;
    let back = reverse_lane(base);
    let (old, new) = (&migration.sides.source, &migration.sides.target);
    let mut removed = new.remove_capture(&back).await?;
    removed.extend(old.remove_capture(base).await?);
    // the freeze of the new tables goes with their fence
    old.freeze_ddl(base, &[], false).await?;
    drop(held);
    // the old tables' fence stays: nobody is to write where nobody reads any more
    removed.extend(old.remove(&back, &[]).await?);
    // what lets writes through goes last: its guards ask it
    removed.extend(new.remove(base, &[]).await?);
    removed.extend(new.remove_fence(base).await?);
    settled(control.as_ref(), lease, intent, &removed, Phase::Retired).await?;
    Ok(removed)
}

/// Says what became of an intent that ends the migration, and moves the phase.
async fn settled(
    control: &dyn ControlStore,
    lease: &Lease,
    intent: IntentId,
    removed: &[Made],
    to: Phase,
) -> Result<(), EngineError> {
    let listed = serde_json::to_value(removed).unwrap_or_default();
    control
        .settle_intent(lease, intent, IntentState::Done(listed))
        .await?;
    let phase = control.state().await?.phase;
    if phase != to {
        control.move_phase(lease, phase, to).await?;
    }
    Ok(())
}

pub(crate) async fn remove(
    migration: &Arc<Migration>,
    lease: &Lease,
    drop_target_tables: bool,
) -> Result<Vec<Made>, EngineError> {
    let name = &migration.plan.migration;
    let control = &migration.control;
    let held = alone(migration).await?;
    if !begun(migration, "abort").await?
        && locate::settle(migration, lease, &Silent).await? == Direction::Reverse
    {
        return Err(refused(
            "abort.authority",
            "the target has authority for writes: aborting would leave what was written there behind",
            "`crossfade rollback` first; to stay with the target, `crossfade complete`",
        ));
    }
    let detail = serde_json::json!({ "drop_target_tables": drop_target_tables });
    let intent = control.record_intent(lease, "abort", detail).await?;
    let back = reverse_lane(name);
    let (source, target) = (&migration.sides.source, &migration.sides.target);
    let mut removed = source.remove_capture(name).await?;
    removed.extend(target.remove_capture(&back).await?);
    removed.extend(source.remove_fence(name).await?);
    drop(held);
    removed.extend(source.remove(&back, &[]).await?);
    removed.extend(target.remove_fence(name).await?);
    let tables: Vec<TableMapping> = if drop_target_tables {
        migration.plan.own_tables()
    } else {
        Vec::new()
    };
    removed.extend(target.remove(name, &tables).await?);
    settled(control.as_ref(), lease, intent, &removed, Phase::Aborted).await?;
    Ok(removed)
}

/// One table as the target durably holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DurableTable {
    /// Name on the source.
    pub name: String,
    /// Rows in loaded chunks.
    pub copied_rows: u64,
    /// Loaded chunks.
    pub chunks_loaded: u64,
    /// The ledger.
    pub ledger: LedgerCounts,
}

/// What the target durably holds of a migration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DurableStatus {
    /// The run epoch.
    pub epoch: u64,
    /// The checkpoint, for people.
    pub checkpoint: Option<String>,
    /// Who the source is and where its capture began.
    pub source: Option<SourceRecord>,
    /// The tables, in plan order.
    pub tables: Vec<DurableTable>,
}

/// Reads what the target durably holds, without taking it; `None` where nothing was begun.
///
/// # Errors
/// The target cannot be read.
pub async fn status(migration: &Migration) -> Result<Option<DurableStatus>, EngineError> {
    let Some(state) = migration.target.peek(&migration.plan.migration).await? else {
        return Ok(None);
    };
    durable_status(&migration.plan, migration.source.as_ref(), &state).map(Some)
}

/// What a state of the target says, table by table of `plan`.
///
/// # Errors
/// A stored row that cannot be read.
pub fn durable_status(
    plan: &Plan,
    source: &dyn Source,
    state: &TargetState,
) -> Result<DurableStatus, EngineError> {
    let mut tables = Vec::new();
    for mapping in &plan.tables {
        let stored = durable::stored_table(state, mapping)?;
        tables.push(DurableTable {
            name: mapping.called(),
            copied_rows: stored.copied_rows,
            chunks_loaded: stored.frontier.chunks.iter().filter(|c| c.complete).count() as u64,
            ledger: stored.ledger,
        });
    }
    Ok(DurableStatus {
        epoch: state.epoch,
        checkpoint: state
            .checkpoint
            .map(|position| source.show_position(position)),
        source: durable::stored_source(state)?,
        tables,
    })
}
