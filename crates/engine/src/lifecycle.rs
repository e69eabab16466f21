//! What is done to a migration that nobody runs: abort; and what the target says of it: status.

use std::sync::Arc;

use crossfade_control::{IntentState, Lease};
use crossfade_model::TableMapping;
use crossfade_plan::{Phase, Plan};
use crossfade_rules::ledger::LedgerCounts;
use crossfade_store::{Made, Source, TargetState};
use serde::{Deserialize, Serialize};

use crate::durable::{self, SourceRecord};
use crate::error::EngineError;
use crate::run::Migration;

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

pub(crate) async fn remove(
    migration: &Migration,
    lease: &Lease,
    drop_target_tables: bool,
) -> Result<Vec<Made>, EngineError> {
    let name = &migration.plan.migration;
    let control = &migration.control;
    let detail = serde_json::json!({ "drop_target_tables": drop_target_tables });
    let intent = control.record_intent(lease, "abort", detail).await?;
    let mut removed = migration.source.remove_capture(name).await?;
    let tables: Vec<TableMapping> = if drop_target_tables {
        migration.plan.own_tables()
    } else {
        Vec::new()
    };
    removed.extend(migration.target.remove(name, &tables).await?);
    let listed = serde_json::to_value(&removed).unwrap_or_default();
    control
        .settle_intent(lease, intent, IntentState::Done(listed))
        .await?;
    let phase = control.state().await?.phase;
    if phase != Phase::Aborted {
        control.move_phase(lease, phase, Phase::Aborted).await?;
    }
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
            name: mapping.source.name.to_string(),
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
