//! Servers that are to be ready: one that was just started, several side by side.

use std::process::Child;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use crate::failure::{Context, Failure, Result};

/// How long a server may take to start or to stop.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until our child is ready.
///
/// # Errors
/// When it ends before, or is not ready in time: then it was killed.
pub fn wait(mut child: Child, name: &str, ready: impl Fn(u32) -> bool) -> Result<Child> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context(|| "cannot watch the server")? {
            return Err(Failure::new(format!(
                "{name} ended while starting: {status}"
            )));
        }
        if ready(child.id()) {
            return Ok(child);
        }
        if began.elapsed() > PATIENCE {
            // Ours, just started, and it has not answered in time.
            let _ = child.kill();
            let _ = child.wait();
            return Err(Failure::new(format!(
                "{name} was not ready after {PATIENCE:?}"
            )));
        }
        sleep(Duration::from_millis(20));
    }
}

/// Starts a server for each of `all`, all at once, into `started`.
///
/// # Errors
/// When one does not start; those that did are in `started`.
pub fn side_by_side<T: Sync, S: Send>(
    all: &[T],
    started: &mut Vec<S>,
    start: impl Fn(&T) -> Result<S> + Sync,
) -> Result<()> {
    let made: Vec<Result<S>> = thread::scope(|scope| {
        let start = &start;
        let threads: Vec<_> = all
            .iter()
            .map(|one| scope.spawn(move || start(one)))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(Failure::new("starting a server panicked")))
            })
            .collect()
    });
    let mut failure = None;
    for server in made {
        match server {
            Ok(server) => started.push(server),
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(()), Err)
}
