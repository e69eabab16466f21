//! `switch reads`: reads are led to the target, or back, through the routes. Authority for writes stays where it is: nothing is fenced,
//! and what the target answers may be behind by the lag.

use crossfade_control::{IntentState, SwitchOrder, Traffic};
use crossfade_plan::Phase;
use crossfade_route as routes;

use crate::error::EngineError;
use crate::parked;
use crate::run::Run;
use crate::session::Session;
use crate::switch::lane::Direction;
use crate::switch::prepare::refused;
use crate::switch::report::{Outcome, RouteChange, SwitchReport};
use crate::switch::{gates, prepare, route, tell};
use crate::verify::compare::now;

/// The intent's kind.
const INTENT: &str = "switch_reads";

/// Whether the order sends all reads back to where writes are.
pub(crate) fn back(order: &SwitchOrder) -> bool {
    matches!(
        order.what,
        Traffic::Reads {
            percent: Some(0),
            ..
        }
    )
}

/// Leads reads as ordered.
///
/// # Errors
/// A refusal: no route, the target has authority already, a gate. A route that could not be pointed: give the order again, it brings about
/// a state.
pub(crate) async fn lead(
    run: &Run,
    session: &Session,
    order: &SwitchOrder,
) -> Result<SwitchReport, EngineError> {
    let Traffic::Reads { percent, tenant } = &order.what else {
        return Err(EngineError::internal("the order is about writes"));
    };
    let lead = &run.home.lead;
    if lead.routes.is_empty() {
        return Err(route::without_routes());
    }
    if run.direction == Direction::Reverse {
        return Err(refused(
            "switch.authority",
            "the target has authority for writes: reads of the source would be behind",
            "`crossfade rollback` takes both back",
        ));
    }
    parked::finished(session).await?;
    let mut report = tell::blank(&run.home, run.direction, order, now());
    report.traffic = order.what.clone();
    let back = back(order);
    prepare::refuse(route::check(lead).await?)?;
    if !back {
        report.gates = gates::for_reads(run, session, order).await?;
    }
    report.epoch = epoch(run).await?;
    if order.dry_run {
        return Ok(report);
    }
    let control = &run.migration.control;
    let detail =
        serde_json::json!({ "what": order.what, "owner": order.owner, "epoch": report.epoch });
    let intent = control.record_intent(&run.lease, INTENT, detail).await?;
    let turn = lead.turn().await;
    let pointed = pointed(run, report.epoch, *percent, tenant.clone()).await;
    drop(turn);
    let state = match &pointed {
        Ok(_) => IntentState::Done(serde_json::Value::Null),
        Err(error) => IntentState::Failed(error.to_string()),
    };
    control.settle_intent(&run.lease, intent, state).await?;
    report.routes = pointed.map_err(|error| route::unready(&error))?;
    enter(run, back).await?;
    report.outcome = Outcome::Done;
    report.ended = now();
    Ok(report)
}

/// The registers' epoch: reads change hands beside it, and a route refuses what is older.
async fn epoch(run: &Run) -> Result<u64, EngineError> {
    let sides = &run.home.sides;
    let (source, target) = tokio::try_join!(
        sides.source.peek_standing(run.base()),
        sides.target.peek_standing(run.base())
    )?;
    let epochs = [source, target].into_iter().flatten();
    Ok(epochs.map(|s| s.register.epoch).max().unwrap_or(0))
}

/// Points the routes; going back takes the tenants along that were led by themselves.
async fn pointed(
    run: &Run,
    epoch: u64,
    percent: Option<u8>,
    tenant: Option<String>,
) -> Result<Vec<RouteChange>, routes::RouteError> {
    let lead = &run.home.lead;
    let to = |side| lead.ends.destination(side, epoch, run.base());
    let traffic = match tenant {
        Some(tenant) => routes::Traffic::ReadsOfTenant(tenant),
        None => routes::Traffic::Reads {
            percent: percent.unwrap_or(100),
        },
    };
    lead.routes
        .point(&to(routes::Side::Target), &traffic)
        .await?;
    if percent == Some(0) {
        for (_, shown) in lead.routes.shows().await {
            let led = shown?.tenants.into_iter();
            for (tenant, _) in led.filter(|(_, to)| to.side == routes::Side::Target) {
                let tenant = routes::Traffic::ReadsOfTenant(tenant);
                lead.routes
                    .point(&to(routes::Side::Source), &tenant)
                    .await?;
            }
        }
    }
    let shown = lead.routes.shows().await;
    Ok(shown
        .into_iter()
        .map(|(label, state)| RouteChange {
            route: label,
            agreed_ms: None,
            attempts: 1,
            detail: match state {
                Ok(state) => state.detail,
                Err(error) => error.to_string(),
            },
        })
        .collect())
}

/// Brings the phase along.
async fn enter(run: &Run, back: bool) -> Result<(), EngineError> {
    let control = &run.migration.control;
    let now = control.state().await?.phase;
    let to = if back {
        Phase::Following
    } else {
        Phase::ReadsSwitched
    };
    if now != to {
        control.move_phase(&run.lease, now, to).await?;
    }
    Ok(())
}
