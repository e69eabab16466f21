//! Statements that need a strong lock for a moment, while an applier writes.

use std::time::Duration;

use crossfade_store::{ErrorKind, Result};

use crate::connect::Client;
use crate::session::Purpose;

/// How often a lock is tried for; together with the pauses at most about two minutes.
const TRIES: u64 = 300;

/// Runs a statement that waits only briefly for its locks, again and again: whoever waits for a strong lock makes all
/// later users of the table wait behind him; and giving up before the server looks for deadlocks (`deadlock_timeout`, one
/// second) means that no writer is ended for one.
///
/// # Errors
/// The server's; [`ErrorKind::Busy`] or [`ErrorKind::Conflict`] after the last try.
pub async fn patiently(client: &Client, doing: &str, sql: &str) -> Result<()> {
    client.batch(doing, "SET lock_timeout = '300ms'").await?;
    let mut tries = 1;
    let result = loop {
        match client.batch(doing, sql).await {
            Err(e) if matches!(e.kind, ErrorKind::Busy | ErrorKind::Conflict) && tries < TRIES => {
                // uneven pauses do not fall into step with a writer's
                tokio::time::sleep(Duration::from_millis(20 + tries * 37 % 110)).await;
                tries += 1;
            }
            done => break done,
        }
    };
    let usual = format!("SET lock_timeout = '{}'", Purpose::Build.lock_timeout());
    let restored = client.batch(doing, &usual).await;
    result.and(restored)
}
