//! One database held: its clients wait, none has a server connection.

use std::time::{Duration, Instant};

use crate::pgbouncer::console::{Console, quoted};
use crate::pgbouncer::{LOOK, PATIENCE, PgBouncerRoute, state};
use crate::{Held, Paused, RouteError, RouteErrorKind};

/// What a pause rests on.
const PROOF: &str = "SHOW DATABASES says paused, SHOW POOLS no server connection in use";

/// How often it must show no pause in a row where it is not known whether one that was asked for has arrived.
const CALM: u32 = 50;

/// A database of a PgBouncer, to be held or let go.
pub(crate) struct Hold<'a> {
    pub(crate) route: &'a PgBouncerRoute,
    pub(crate) console: &'a Console,
    pub(crate) name: &'a str,
}

impl Hold<'_> {
    /// Pauses it, at most until `within` after `began`. After an error it is not paused, as far as the console could be reached.
    pub(crate) async fn pause(
        &self,
        began: Instant,
        within: Duration,
        end_clients: bool,
    ) -> Result<Paused, RouteError> {
        let asked = self.route.console().await?;
        let command = format!("PAUSE {}", quoted(self.name));
        let mut seen = false;
        // The reply is awaited by nobody: it is no proof. But an error is an answer.
        let waited = tokio::select! {
            biased;
            error = async {
                match asked.wait(&command).await {
                    Err(error) => error,
                    Ok(_) => std::future::pending().await,
                }
            } => Err(error),
            waited = self.until_paused(began, within, end_clients, &mut seen) => waited,
        };
        let problem = match waited {
            Ok(Some(paused)) => return Ok(paused),
            Ok(None) => self.busy(within).await,
            Err(error) => error,
        };
        match self.release(asked, seen).await {
            Ok(()) => Err(problem),
            Err(error) => Err(problem.fix(error.to_string())),
        }
    }

    async fn busy(&self, within: Duration) -> RouteError {
        let who = state::holders(self.console, self.name).await;
        let what = format!(
            "could not be paused within {} ms: in use by {}",
            within.as_millis(),
            who.unwrap_or_default()
        );
        self.route
            .error(RouteErrorKind::Busy, "route.pgbouncer_busy", what)
            .fix("end the transactions that are open, allow more time, or say `end_clients = true`")
    }

    /// Waits until the pause shows. `Ok(None)`: not in time.
    async fn until_paused(
        &self,
        began: Instant,
        within: Duration,
        end_clients: bool,
        seen: &mut bool,
    ) -> Result<Option<Paused>, RouteError> {
        let mut ended = false;
        while began.elapsed() < within {
            // in this order: once it shows paused, no connection is handed out any more
            let shown = state::expected(self.console, self.name, &self.route.label).await?;
            *seen |= shown.paused;
            if shown.paused && state::in_use(self.console, self.name).await? == 0 {
                return Ok(Some(Paused {
                    held: Held::Proven,
                    took: began.elapsed(),
                    evidence: match ended {
                        false => PROOF.to_owned(),
                        true => format!(
                            "{PROOF}; clients were ended: what they had under way is the server's to end"
                        ),
                    },
                }));
            }
            if end_clients && !ended && began.elapsed() * 2 > within {
                let command = format!("KILL {}", quoted(self.name));
                self.console.run(&command).await?;
                ended = true;
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(None)
    }

    /// Takes a pause back that was not reached, and waits until that shows. `asked` is dropped first, so that its PAUSE cannot come
    /// later than the RESUME without being seen.
    async fn release(&self, asked: Console, seen: bool) -> Result<(), RouteError> {
        drop(asked);
        let end = Instant::now() + PATIENCE;
        let mut calm = 0;
        loop {
            let shown = state::expected(self.console, self.name, &self.route.label).await?;
            if shown.paused {
                calm = 0;
                self.resume().await?;
            } else if seen || calm > CALM {
                return Ok(());
            } else {
                calm += 1;
            }
            if Instant::now() > end {
                let what = "a pause that was given up could not be taken back";
                return Err(self
                    .route
                    .error(RouteErrorKind::Timeout, "route.pgbouncer_paused", what)
                    .fix(format!("on the console: RESUME {}", quoted(self.name))));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Lets clients go on; not paused is no error.
    pub(crate) async fn resume(&self) -> Result<(), RouteError> {
        let command = format!("RESUME {}", quoted(self.name));
        let answered = self.console.run(&command).await;
        let shown = state::expected(self.console, self.name, &self.route.label).await?;
        match (answered, shown.paused) {
            // that it was not paused any more is told as an error
            (_, false) => Ok(()),
            (Err(error), true) => Err(error),
            (Ok(_), true) => Err(self.route.error(
                RouteErrorKind::Failed,
                "route.pgbouncer_paused",
                "RESUME was answered, but it is still paused",
            )),
        }
    }
}
