//! The contract of a route.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Destination, RouteError, Side, Traffic};

/// What a check found; `place` is `route`.
pub type RouteFinding = crossfade_model::Finding;

/// What is known of a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// Read back from the route: nothing runs through it, and nothing begins.
    Proven,
    /// It was asked and agreed; whether applications hold is not to be seen here.
    Asked,
    /// It does not hold transactions: clients meet the fence.
    NotHeld,
}

/// The outcome of a pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// What is known of it.
    pub held: Held,
    /// How long it took.
    pub took: Duration,
    /// What it rests on, for people.
    pub evidence: String,
}

/// The reads of one tenant, as a route shows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantRoute {
    /// Where its reads go.
    pub side: Side,
    /// The switch that said so.
    pub epoch: u64,
}

/// What a route shows. `None` is what it cannot tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteState {
    /// The highest epoch that it has seen.
    pub epoch: Option<u64>,
    /// Where writes go.
    pub writes: Option<Side>,
    /// How much of the reads goes to the target, in percent.
    pub target_reads_percent: Option<u8>,
    /// Tenants whose reads are routed by themselves.
    pub tenants: BTreeMap<String, TenantRoute>,
    /// Whether it holds new transactions.
    pub paused: Option<bool>,
    /// The same for people, with what it points to that is neither side.
    pub detail: String,
}

/// Something that leads traffic to one of two stores.
///
/// Every call is bounded in time by itself. Every call may be repeated: it brings about a state, it is no event. A call that names
/// an epoch below what the route has seen is refused with [`crate::RouteErrorKind::StaleEpoch`] by routes that remember
/// epochs: `file`, and `pgbouncer` on one machine.
#[async_trait]
pub trait Route: Send + Sync {
    /// The kind's word: `file`, `exec`, `webhook`, `pgbouncer`.
    fn kind(&self) -> &'static str;

    /// What people call it, without secrets.
    fn label(&self) -> String;

    /// Whether it can lead this traffic by itself.
    fn can(&self, traffic: &Traffic) -> bool;

    /// Looks before anything begins: reachable, version, pooling mode, permissions. Changes nothing that traffic notices. What speaks
    /// against the route is a finding, also that it cannot be reached.
    ///
    /// # Errors
    /// Only where not even a finding can be made.
    async fn check(&self) -> Result<Vec<RouteFinding>, RouteError>;

    /// Holds new transactions and waits for those that run, at most `within`. What it then says was read back from the route, since a
    /// reply is no proof. After an error nothing is held, as far as the route could be reached.
    async fn pause(&self, epoch: u64, within: Duration) -> Result<Paused, RouteError>;

    /// Leads traffic there. Idempotent by migration and epoch; may be called paused or not.
    async fn point(&self, to: &Destination, traffic: &Traffic) -> Result<(), RouteError>;

    /// Lets transactions go on; not paused is no error.
    async fn resume(&self, epoch: u64) -> Result<(), RouteError>;

    /// What it leads where, now.
    async fn shows(&self) -> Result<RouteState, RouteError>;
}
