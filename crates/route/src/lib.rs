//! Where traffic goes: files that applications watch, programs, webhooks and PgBouncer.
//!
//! A route is a hint that is retried until it agrees. Who may write is said by the stores' own registers alone: a route that lags, or
//! lies, costs an application waiting or a refused write, never a second authority. A pause of a route is no fence either; it
//! spares applications errors.
//!
//! | module | holds |
//! | --- | --- |
//! | [`route`] | the contract: what a route can do, and how it says what it shows |
//! | [`destination`] | where to, for which traffic |
//! | [`config`] | what a migration says of its routes |
//! | [`routes`] | all routes of a migration, moved in order |
//! | `file` | a JSON file that applications watch |
//! | `exec`, `webhook` | a program, an HTTP address that is told |
//! | `pgbouncer` | PgBouncer's console and file |
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod again;
pub mod config;
pub mod destination;
pub mod error;
mod exec;
mod file;
mod pgbouncer;
pub mod route;
pub mod routes;
mod time;
mod told;
mod webhook;

pub use config::{
    ExecConfig, FileConfig, PgBouncerConfig, PgBouncerEntry, RouteConfig, RouteKind, WebhookConfig,
};
pub use destination::{Destination, End, Ends, Side, Traffic};
pub use error::{RouteError, RouteErrorKind};
pub use route::{Held, Paused, Route, RouteFinding, RouteState, TenantRoute};
pub use routes::Routes;

/// Opens a migration's routes, in the order in which they are written. Connects to nothing.
///
/// # Errors
/// [`RouteErrorKind::Usage`] where something is written that no route can use.
pub fn open(
    config: &RouteConfig,
    migration: &str,
    ends: &Ends,
) -> Result<Vec<Box<dyn Route>>, RouteError> {
    config
        .routes
        .iter()
        .map(|kind| open_one(kind, migration, ends))
        .collect()
}

fn open_one(kind: &RouteKind, migration: &str, ends: &Ends) -> Result<Box<dyn Route>, RouteError> {
    Ok(match kind {
        RouteKind::File(config) => Box::new(file::FileRoute::new(config, migration, ends)),
        RouteKind::PgBouncer(config) => {
            Box::new(pgbouncer::PgBouncerRoute::new(config, migration, ends)?)
        }
        RouteKind::Exec(config) => Box::new(exec::ExecRoute::new(config, migration, ends)?),
        RouteKind::Webhook(config) => {
            Box::new(webhook::WebhookRoute::new(config, migration, ends)?)
        }
    })
}
