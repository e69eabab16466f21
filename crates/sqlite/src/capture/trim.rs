//! Removing logged keys that the target durably holds: little by little, seldom, and never in the application's way.

use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};

use crate::capture::names;
use crate::error::kind_of;
use crate::sql::names::quote;

/// Rows that one transaction removes: it holds the write lock for a few milliseconds.
const BATCH: u64 = 10_000;

/// Between two transactions while much is to be removed.
const SHORT_PAUSE: Duration = Duration::from_millis(100);

/// Between two transactions otherwise.
const LONG_PAUSE: Duration = Duration::from_secs(1);

/// How long to wait for the application's lock: it goes first, the next round will do.
const PATIENCE: Duration = Duration::from_millis(20);

/// The trimming of one change table.
pub(crate) struct Trimmer {
    change: String,
    state: String,
    /// Changes up to here were removed.
    trimmed: u64,
    last: Option<Instant>,
}

impl Trimmer {
    pub fn new(migration: &str, trimmed: u64) -> Trimmer {
        Trimmer {
            change: quote(&names::change_table(migration)),
            state: quote(&names::state_table(migration)),
            trimmed,
            last: None,
        }
    }

    fn due(&self, confirmed: u64) -> bool {
        let waiting = confirmed.saturating_sub(self.trimmed);
        let pause = if waiting >= BATCH {
            SHORT_PAUSE
        } else {
            LONG_PAUSE
        };
        // the row at the checkpoint stays: it shows that the file still has the history that the target is at
        waiting > 1 && self.last.is_none_or(|last| last.elapsed() >= pause)
    }

    /// Removes some rows before `confirmed` if it is time to. A busy file is left alone.
    pub fn step(
        &mut self,
        connection: &mut Connection,
        confirmed: u64,
        usual_patience: Duration,
    ) -> rusqlite::Result<()> {
        if !self.due(confirmed) {
            return Ok(());
        }
        self.last = Some(Instant::now());
        connection.busy_timeout(PATIENCE)?;
        let outcome = self.remove(connection, confirmed);
        connection.busy_timeout(usual_patience)?;
        match outcome {
            Err(e) if kind_of(&e) == crossfade_store::ErrorKind::Busy => Ok(()),
            other => other,
        }
    }

    /// Removes everything before `position`, batch by batch, with the connection's own patience.
    pub fn skip(&mut self, connection: &mut Connection, position: u64) -> rusqlite::Result<()> {
        while self.trimmed < position.saturating_sub(1) {
            self.remove(connection, position)?;
        }
        Ok(())
    }

    fn remove(&mut self, connection: &mut Connection, confirmed: u64) -> rusqlite::Result<()> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let lowest: Option<u64> = transaction
            .prepare_cached(&format!("SELECT min(seq) FROM {}", self.change))?
            .query_row([], |r| r.get(0))?;
        let below = confirmed.min(lowest.unwrap_or(confirmed).saturating_add(BATCH));
        transaction
            .prepare_cached(&format!(
                "DELETE FROM {0} WHERE seq < ?1 AND seq < (SELECT max(seq) FROM {0})",
                self.change
            ))?
            .execute([below])?;
        transaction
            .prepare_cached(&format!(
                "UPDATE {} SET trimmed = max(trimmed, ?1)",
                self.state
            ))?
            .execute([below - 1])?;
        transaction.commit()?;
        self.trimmed = self.trimmed.max(below - 1);
        Ok(())
    }
}
