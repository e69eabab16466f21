//! The routes beside a switch: paused before the fence so that applications see a pause and no error, pointed to the new authority after
//! it. Never the fence, and never asked who has authority: a route that lags or lies costs waiting or refused writes.

use std::time::Duration;

use crossfade_model::{Finding, Severity};
use crossfade_route::{Destination, Ends, RouteError, Routes, Side, Traffic};

use crate::error::EngineError;
use crate::progress::{Event, Observer};
use crate::session::Session;
use crate::switch::lane::Direction;
use crate::switch::prepare::refused;

/// Pause between two tries of leading traffic to where authority is.
const AGAIN: Duration = Duration::from_millis(500);

/// A migration's routes and the two ends that they lead to.
pub struct Lead {
    /// The routes, in the order of the file.
    pub routes: Routes,
    /// How both sides are reached, without secrets.
    pub ends: Ends,
}

impl Lead {
    /// No routes: applications are led by their owners.
    pub fn none() -> Lead {
        Lead {
            routes: Routes::new(Vec::new()),
            ends: Ends::default(),
        }
    }
}

/// The side that has authority while rows go this way.
fn authority(direction: Direction) -> Side {
    match direction {
        Direction::Forward => Side::Source,
        Direction::Reverse => Side::Target,
    }
}

/// What speaks against the routes.
pub(crate) async fn check(lead: &Lead) -> Result<Vec<Finding>, EngineError> {
    match lead.routes.check().await {
        Ok(findings) => Ok(findings),
        Err(error) => Err(unready(&error)),
    }
}

/// Holds new transactions. After an error nothing is held.
pub(crate) async fn pause(lead: &Lead, epoch: u64, within: Duration) -> Result<(), EngineError> {
    if lead.routes.is_empty() {
        return Ok(());
    }
    let paused = lead.routes.pause(epoch, within).await;
    paused.map(drop).map_err(|error| unready(&error))
}

/// Nothing was given: transactions go on where they went.
pub(crate) async fn resume(lead: &Lead, epoch: u64, observer: &dyn Observer) {
    if lead.routes.is_empty() {
        return;
    }
    if let Err(error) = lead.routes.resume(epoch).await {
        observer.event(&Event::Warning {
            what: format!("a route could not be resumed: {error}"),
        });
    }
}

/// Leads writes to the lane's new authority, for as long as it takes or this process lives: the next attempt goes on.
pub(crate) async fn lead(
    lead: &Lead,
    migration: &str,
    to: Direction,
    epoch: u64,
    session: &Session,
) {
    let mut told = false;
    while let Err(error) = once(lead, migration, to, epoch).await {
        if !told {
            session.observer.event(&Event::Warning {
                what: format!(
                    "authority has changed hands, and a route does not follow yet: {error}"
                ),
            });
            told = true;
        }
        if !error.kind.can_retry() || session.stopping() {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

pub(crate) async fn once(
    lead: &Lead,
    migration: &str,
    to: Direction,
    epoch: u64,
) -> Result<(), RouteError> {
    if lead.routes.is_empty() {
        return Ok(());
    }
    let destination = lead.ends.destination(authority(to), epoch, migration);
    lead.routes.point(&destination, &Traffic::Writes).await?;
    lead.routes.resume(epoch).await?;
    reads_follow(lead, &destination).await
}

/// Reads go where writes go: what follows is behind. Where no route can lead reads by themselves, they went along.
async fn reads_follow(lead: &Lead, authority: &Destination) -> Result<(), RouteError> {
    let all = Traffic::Reads { percent: 100 };
    if !lead.routes.all().iter().any(|route| route.can(&all)) {
        return Ok(());
    }
    lead.routes.point(authority, &all).await?;
    for (_, shown) in lead.routes.shows().await {
        let elsewhere = shown?.tenants.into_iter();
        for (tenant, _) in elsewhere.filter(|(_, to)| to.side != authority.side) {
            let tenant = Traffic::ReadsOfTenant(tenant);
            lead.routes.point(authority, &tenant).await?;
        }
    }
    Ok(())
}

/// A process that begins finds the routes as the one before has left them: whatever does not lead to the authority is pointed there,
/// whatever still waits goes on. `interrupted`: the epoch of a switch whose process did not come to its end. Before the first switch a
/// route is its owner's.
pub(crate) async fn agree(
    lead: &Lead,
    migration: &str,
    direction: Direction,
    epoch: u64,
    interrupted: Option<u64>,
    observer: &dyn Observer,
) {
    if lead.routes.is_empty() || (epoch == 0 && interrupted.is_none()) {
        return;
    }
    let side = authority(direction);
    let (mut strays, mut waits) = (false, false);
    for (label, shown) in lead.routes.shows().await {
        let (stray, waiting) = match &shown {
            Ok(state) => (
                epoch > 0 && state.writes.is_some_and(|to| to != side),
                state.paused.unwrap_or(interrupted.is_some()),
            ),
            Err(_) => (epoch > 0, true),
        };
        if stray || waiting {
            let what = if stray {
                "does not lead writes to"
            } else {
                "waits before"
            };
            observer.event(&Event::Warning {
                what: format!(
                    "route {label} {what} the {}: that is put right",
                    side.word()
                ),
            });
        }
        strays |= stray;
        waits |= waiting;
    }
    let mut done = Ok(());
    if strays {
        let destination = lead.ends.destination(side, epoch, migration);
        done = lead.routes.point(&destination, &Traffic::Writes).await;
    }
    if waits {
        let resumed = lead
            .routes
            .resume(interrupted.unwrap_or(0).max(epoch))
            .await;
        done = done.and(resumed);
    }
    if let Err(error) = done {
        observer.event(&Event::Warning {
            what: format!("a route could not be put right: {error}"),
        });
    }
}

/// Before the point of no return a route that does not do its part refuses the switch.
pub(crate) fn unready(error: &RouteError) -> EngineError {
    EngineError::Refused {
        findings: vec![
            Finding::new(
                error.code,
                Severity::Blocks,
                &error.route,
                error.what.clone(),
            )
            .fix(error.fix.clone().unwrap_or_else(|| {
                "nothing has changed; see that the route can be reached".to_owned()
            })),
        ],
    }
}

/// The order names traffic that no route can lead.
pub(crate) fn without_routes() -> EngineError {
    refused(
        "route.none",
        "the migration file has no [route]: nothing can lead reads",
        "add one (docs/route.md)",
    )
}
