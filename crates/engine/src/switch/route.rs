//! The routes beside a switch: paused before the fence so that applications see a pause and no error, pointed to the new authority after
//! it. Never the fence, and never asked who has authority: a route that lags or lies costs waiting or refused writes.

mod agree;
pub(crate) mod keep;
pub(crate) mod paused;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossfade_model::{Finding, Severity};
use crossfade_route::{Destination, Ends, RouteError, Routes, Side, Traffic};

use crate::error::EngineError;
use crate::progress::{Event, Observer};
use crate::session::Session;
use crate::switch::lane::Direction;
use crate::switch::prepare::refused;

/// Pause between two tries of leading traffic to where authority is.
const AGAIN: Duration = Duration::from_millis(500);

/// For how long a run leads a route before it goes on with the way back: whoever looks after the routes leads it from then on.
const LEADING: Duration = Duration::from_secs(15);

/// A migration's routes and the two ends that they lead to.
pub struct Lead {
    /// The routes, in the order of the file.
    pub routes: Routes,
    /// How both sides are reached, without secrets.
    pub ends: Ends,
    /// The epoch for which a route may wait still.
    owed: Mutex<Option<u64>>,
    /// Who leads routes takes turns: a switch, an order about reads, whoever looks after them.
    turn: tokio::sync::Mutex<()>,
}

impl Lead {
    /// Routes that were opened.
    pub fn new(routes: Routes, ends: Ends) -> Lead {
        Lead {
            routes,
            ends,
            owed: Mutex::new(None),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// No routes: applications are led by their owners.
    pub fn none() -> Lead {
        Lead::new(Routes::new(Vec::new()), Ends::default())
    }

    /// Waits until nobody else leads them.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The epoch for which a route may wait still.
    fn owed(&self) -> Option<u64> {
        *self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Routes are paused, or may be, for this epoch; `None`: none waits any more.
    fn owe(&self, epoch: Option<u64>) {
        *self.owed.lock().unwrap_or_else(PoisonError::into_inner) = epoch;
    }
}

pub(crate) use agree::agree;

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

/// Holds new transactions. After an error nothing is held, as far as the routes could be reached.
pub(crate) async fn pause(lead: &Lead, epoch: u64, within: Duration) -> Result<(), EngineError> {
    if lead.routes.is_empty() {
        return Ok(());
    }
    lead.owe(Some(epoch));
    let paused = lead.routes.pause(epoch, within).await;
    paused.map(drop).map_err(|error| unready(&error))
}

/// Nothing was given: transactions go on where they went.
pub(crate) async fn resume(lead: &Lead, epoch: u64, observer: &dyn Observer) {
    if lead.routes.is_empty() {
        return;
    }
    match lead.routes.resume(epoch).await {
        Ok(()) => lead.owe(None),
        Err(error) => observer.event(&Event::Warning {
            what: format!("a route could not be resumed yet: {error}"),
        }),
    }
}

/// Leads writes to the lane's new authority; true once every route agrees. A process that is there for the switch alone does so for as long
/// as it takes; a run has the way back to begin, and looks after the routes beside it.
pub(crate) async fn lead(
    lead: &Lead,
    migration: &str,
    to: Direction,
    epoch: u64,
    session: &Session,
    alone: bool,
) -> bool {
    let begun = Instant::now();
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
        let long = !alone && begun.elapsed() > LEADING;
        if long || !error.kind.can_retry() || session.stopping() {
            return false;
        }
        tokio::time::sleep(AGAIN).await;
    }
    true
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
    lead.owe(None);
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
