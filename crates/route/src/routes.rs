//! All routes of a migration, moved in order.

use std::time::{Duration, Instant};

use crate::{
    Destination, Ends, Paused, Route, RouteConfig, RouteError, RouteErrorKind, RouteFinding,
    RouteState, Traffic, open,
};

/// No call of a route takes longer, in seconds, whatever its own bounds say.
const LONGEST: u64 = 120;

/// All routes of a migration, in the order of its file. None is fine: every call then does nothing.
pub struct Routes {
    routes: Vec<Box<dyn Route>>,
}

impl Routes {
    /// Routes that were opened.
    pub fn new(routes: Vec<Box<dyn Route>>) -> Routes {
        Routes { routes }
    }

    /// Opens what a migration says.
    ///
    /// # Errors
    /// As [`open`].
    pub fn open(config: &RouteConfig, migration: &str, ends: &Ends) -> Result<Routes, RouteError> {
        open(config, migration, ends).map(Routes::new)
    }

    /// The routes.
    pub fn all(&self) -> &[Box<dyn Route>] {
        &self.routes
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// Checks every route.
    ///
    /// # Errors
    /// The first that could not even be checked.
    pub async fn check(&self) -> Result<Vec<RouteFinding>, RouteError> {
        let mut findings = Vec::new();
        for route in &self.routes {
            findings.extend(bounded(&**route, "check", route.check()).await?);
        }
        Ok(findings)
    }

    /// Pauses all, in order, at most `within` together. Where one cannot be paused, those that were are resumed in reverse: for
    /// use before the point of no return.
    ///
    /// # Errors
    /// Why one could not be paused. Where one could not be resumed afterwards, that stands in the error's fix: its clients hang.
    pub async fn pause(&self, epoch: u64, within: Duration) -> Result<Vec<Paused>, RouteError> {
        let end = Instant::now() + within;
        let mut paused = Vec::new();
        for (index, route) in self.routes.iter().enumerate() {
            let left = end.saturating_duration_since(Instant::now());
            match bounded(&**route, "pause", route.pause(epoch, left)).await {
                Ok(done) => paused.push(done),
                Err(error) => return Err(self.release(epoch, index, error).await),
            }
        }
        Ok(paused)
    }

    /// Resumes the routes up to and with the one that failed: its outcome may be unknown.
    async fn release(&self, epoch: u64, failed: usize, error: RouteError) -> RouteError {
        let mut hanging = Vec::new();
        for route in self.routes.iter().take(failed + 1).rev() {
            if let Err(problem) = bounded(&**route, "resume", route.resume(epoch)).await {
                // A later switch has it now: what it holds is no longer ours to let go.
                if problem.kind != RouteErrorKind::StaleEpoch {
                    hanging.push(problem.to_string());
                }
            }
        }
        if hanging.is_empty() {
            return error;
        }
        error.fix(format!(
            "and what was paused could not be resumed; resume it by hand: {}",
            hanging.join("; ")
        ))
    }

    /// Points every route that can lead this traffic. All are tried, also after one has failed; to be called again until there is no error.
    ///
    /// # Errors
    /// The first failure; [`RouteErrorKind::Unsupported`] where there are routes and none can lead this traffic.
    pub async fn point(&self, to: &Destination, traffic: &Traffic) -> Result<(), RouteError> {
        let able: Vec<_> = self.routes.iter().filter(|r| r.can(traffic)).collect();
        if let (true, Some(route)) = (able.is_empty(), self.routes.first()) {
            return Err(RouteError::new(
                RouteErrorKind::Unsupported,
                "route.traffic",
                route.label(),
                format!("no route of this migration can lead {traffic} by itself"),
            )
            .fix("add a route that can: `file`, `exec` or `webhook`"));
        }
        let mut first = Ok(());
        for route in able {
            let done = bounded(&**route, "point", route.point(to, traffic)).await;
            first = first.and(done);
        }
        first
    }

    /// Resumes all, in order. All are tried; to be called again until there is no error.
    ///
    /// # Errors
    /// The first failure.
    pub async fn resume(&self, epoch: u64) -> Result<(), RouteError> {
        let mut first = Ok(());
        for route in &self.routes {
            let done = bounded(&**route, "resume", route.resume(epoch)).await;
            first = first.and(done);
        }
        first
    }

    /// What each shows, with its label, in order.
    pub async fn shows(&self) -> Vec<(String, Result<RouteState, RouteError>)> {
        let mut all = Vec::new();
        for route in &self.routes {
            let shown = bounded(&**route, "shows", route.shows()).await;
            all.push((route.label(), shown));
        }
        all
    }
}

async fn bounded<T>(
    route: &dyn Route,
    action: &str,
    call: impl Future<Output = Result<T, RouteError>>,
) -> Result<T, RouteError> {
    match tokio::time::timeout(Duration::from_secs(LONGEST), call).await {
        Ok(done) => done,
        Err(_) => Err(RouteError::new(
            RouteErrorKind::Timeout,
            "route.timeout",
            route.label(),
            format!("{action} was not done within {LONGEST} s"),
        )),
    }
}
