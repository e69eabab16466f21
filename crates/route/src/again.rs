//! Trying again, with growing waits in between, a bounded number of times and within a bounded time.

use std::time::{Duration, Instant};

use crate::RouteError;

/// The first wait; each further one is twice as long, up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// Tries once and up to `retries` times more, as long as the error is one that can pass and another try can begin before `end`. A try is told how
/// much time is left.
pub(crate) async fn again<T, F>(
    retries: u32,
    end: Option<Instant>,
    mut one: impl FnMut(Option<Duration>) -> F,
) -> Result<T, RouteError>
where
    F: Future<Output = Result<T, RouteError>>,
{
    let mut wait = FIRST;
    let mut left = retries;
    loop {
        let time = end.map(|end| end.saturating_duration_since(Instant::now()));
        let error = match one(time).await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let too_late = end.is_some_and(|end| Instant::now() + wait >= end);
        if left == 0 || too_late || !error.kind.can_retry() {
            return Err(error);
        }
        left -= 1;
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST);
    }
}
