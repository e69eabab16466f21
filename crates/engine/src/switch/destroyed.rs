//! `rollback --target-destroyed`: the source opens without the target's word, since a person attests that it is gone for good and what is
//! lost with it. Never done by itself, and never while the target answers.

use std::sync::Arc;
use std::time::Duration;

use crossfade_control::{AuditEntry, IntentState, SwitchOrder};
use crossfade_model::{Mode, Position, Register};
use crossfade_rules::switch::{Side, Swap, reopen_attested};
use crossfade_store::{Target, TargetState};

use crate::error::EngineError;
use crate::planning::stored_plan;
use crate::run::Migration;
use crate::switch::lane::Direction;
use crate::switch::prepare::refused;
use crate::switch::report::{Outcome, RouteChange, SwitchReport};
use crate::switch::{locate, route, tell};
use crate::verify::compare::now;

/// How long the target may take to show that it is there after all.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the position is called where nothing has come back.
const NOTHING: &str = "none";

/// The kind of the record of what was attested.
const ATTESTED: &str = "rollback.attested";

/// Opens the source. `loss_after` is the target's position up to which its changes are on the source, as `status` shows it.
///
/// # Errors
/// A refusal: the target answers, the source is open, the position is another; a run holds the lease; the source's or the control store's
/// error.
pub async fn target_destroyed(
    migration: Arc<Migration>,
    order: &SwitchOrder,
    loss_after: &str,
) -> Result<SwitchReport, EngineError> {
    let home = &migration;
    let lease = home.control.acquire().await?;
    let mut report = tell::blank(home, Direction::Reverse, order, now());
    let own = closed(home).await?;
    gone(home).await?;
    let back = Direction::Reverse.lane(&home.plan.migration);
    let state = Target::peek(home.sides.source.as_ref(), &back).await?;
    attested(home, state.as_ref(), loss_after)?;
    let to = reopen_attested(own, highest(home).await?)
        .map_err(|why| refused("switch.authority", why.to_string(), "look at `status`"))?;
    report.epoch = to.epoch;
    report.accepted_loss_after = Some(loss_after.to_owned());
    report.way_back = "Forward only with a new migration: this one's target is gone.".to_owned();
    if order.dry_run {
        return Ok(report);
    }
    let detail = serde_json::json!({
        "epoch": to.epoch,
        "owner": order.owner,
        "lost_after": loss_after,
        "from": own.to_string(),
    });
    let entry = AuditEntry::new(ATTESTED, detail.clone()).by(order.owner.as_str());
    home.control.audit(Some(&lease), entry).await?;
    let intent = home
        .control
        .record_intent(&lease, "rollback_destroyed", detail)
        .await?;
    raised(home, state.as_ref()).await?;
    let swap = Swap {
        store: Side::Source,
        from: own,
        to,
    };
    locate::make(home, &swap, false).await?;
    let done = IntentState::Done(serde_json::json!({ "authority": "source" }));
    home.control.settle_intent(&lease, intent, done).await?;
    locate::enter_phase(home, &lease, Direction::Forward).await?;
    report.routes = led(home, to.epoch).await;
    report.outcome = Outcome::Done;
    report.ended = now();
    Ok(report)
}

/// The source's register, which must be closed.
async fn closed(home: &Migration) -> Result<Register, EngineError> {
    let name = &home.plan.migration;
    match home.sides.source.standing(name).await? {
        Some(standing) if standing.register.mode != Mode::Open => Ok(standing.register),
        Some(_) => Err(refused(
            "switch.authority",
            "the source has authority for writes already",
            "there is nothing to roll back",
        )),
        None => Err(refused(
            "switch.authority",
            "the source has no register: it was never closed by a switch",
            "there is nothing to roll back",
        )),
    }
}

/// The target must not answer with a register of its own: two stores would be open.
async fn gone(home: &Migration) -> Result<(), EngineError> {
    let asked = home.sides.target.peek_standing(&home.plan.migration);
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(Some(standing))) => Err(refused(
            "switch.target_answers",
            format!(
                "the target answers, and its register says {}: it is not destroyed",
                standing.register
            ),
            "`crossfade rollback` without --target-destroyed loses nothing",
        )),
        Ok(Ok(None) | Err(_)) | Err(_) => Ok(()),
    }
}

/// What a person accepts must be what is true: the way back's checkpoint.
fn attested(
    home: &Migration,
    state: Option<&TargetState>,
    loss_after: &str,
) -> Result<(), EngineError> {
    let checkpoint: Option<Position> = state.and_then(|state| state.checkpoint);
    let known = checkpoint.map_or_else(
        || NOTHING.to_owned(),
        |position| home.source_of_back().show_position(position),
    );
    if known == loss_after.trim() {
        return Ok(());
    }
    Err(refused(
        "switch.loss_not_accepted",
        format!(
            "the target's changes have come back up to {known}, and the position that was given is {loss_after}"
        ),
        &format!(
            "what the target took after {known} is lost; to accept that: --accept-loss-after {known}"
        ),
    ))
}

/// The highest epoch that is known of either store.
async fn highest(home: &Migration) -> Result<u64, EngineError> {
    let intents = home.control.intents().await?;
    let epochs = intents.iter().filter_map(|i| i.detail["epoch"].as_u64());
    Ok(epochs.max().unwrap_or(0))
}

/// Raises the source's automatic keys beyond the rows that have come back, as far as the way back's plan names them.
async fn raised(home: &Migration, state: Option<&TargetState>) -> Result<(), EngineError> {
    let source = &home.sides.source;
    let plan = match state {
        Some(state) => stored_plan(state, source.as_ref())?,
        None => None,
    };
    if let Some(plan) = plan {
        source
            .raise_for_switch(&plan.sequences, &plan.tables)
            .await?;
    }
    Ok(())
}

/// Routes are pointed to the source; one that does not follow is told in the report.
async fn led(home: &Migration, epoch: u64) -> Vec<RouteChange> {
    if home.lead.routes.is_empty() {
        return Vec::new();
    }
    let pointed = route::once(&home.lead, &home.plan.migration, Direction::Forward, epoch).await;
    let detail = match pointed {
        Ok(()) => "points to the source".to_owned(),
        Err(error) => format!("does not follow yet: {error}"),
    };
    vec![RouteChange {
        route: "all routes".to_owned(),
        agreed_ms: None,
        attempts: 1,
        detail,
    }]
}

impl Migration {
    /// Where the way back's rows come from: for showing its positions, which needs no connection.
    fn source_of_back(&self) -> &dyn crossfade_store::Source {
        self.sides.target.as_ref()
    }
}
