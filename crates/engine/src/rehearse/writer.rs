//! Who writes in a rehearsal: rounds between the steps, and a writer beside each switch that finds out by itself where he may write.

use std::time::Duration;

use crossfade_model::Table;
use crossfade_store::{ErrorKind, Exerciser, StoreError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::error::EngineError;
use crate::switch::Sides;

/// Rows of a table that a round writes.
const ROWS: u32 = 25;
/// How often a write between two steps is tried, and the pause before it is tried again.
const WRITE_TRIES: u32 = 5;
const AGAIN: Duration = Duration::from_millis(200);
/// Pause between two writes of the writer beside a switch.
const PACE: Duration = Duration::from_millis(10);

/// The tables of both sides, in one order.
#[derive(Clone)]
pub(super) struct Tables {
    pub source: Vec<Table>,
    pub target: Vec<Table>,
}

/// Writes rounds to one store's tables.
pub(super) async fn rounds(
    exerciser: &mut dyn Exerciser,
    tables: &[Table],
    rounds: std::ops::Range<u64>,
) -> Result<u64, StoreError> {
    let mut written = 0;
    for round in rounds {
        for table in tables {
            written += patiently(exerciser, table, round).await?;
        }
    }
    Ok(written)
}

/// The migration works on these rows too: an application that waited too long, or was chosen to end a deadlock, writes again.
async fn patiently(
    exerciser: &mut dyn Exerciser,
    table: &Table,
    round: u64,
) -> Result<u64, StoreError> {
    let mut tries = 1;
    loop {
        match exerciser.exercise(table, ROWS, round).await {
            Err(error)
                if matches!(error.kind, ErrorKind::Busy | ErrorKind::Conflict)
                    && tries < WRITE_TRIES =>
            {
                tracing::debug!(error = %error, "a rehearsed write is made again");
                tries += 1;
                tokio::time::sleep(AGAIN).await;
            }
            written => return written,
        }
    }
}

/// A writer at work. Dropping it ends it.
pub(super) struct Writer {
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<u64, StoreError>>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Writer {
    /// Begins where rows come from, and goes over to the other store once this one refuses.
    pub async fn start(sides: &Sides, tables: &Tables, round: u64) -> Result<Writer, EngineError> {
        let (old, new) =
            tokio::try_join!(sides.source.open_exerciser(), sides.target.open_exerciser())?;
        let (stop, stopped) = watch::channel(false);
        let ends = [(old, tables.source.clone()), (new, tables.target.clone())];
        Ok(Writer {
            stop,
            task: tokio::spawn(write(ends, round, stopped)),
        })
    }

    /// Ends it; the rows whose writes were acknowledged.
    pub async fn end(mut self) -> Result<u64, EngineError> {
        self.stop.send_replace(true);
        match (&mut self.task).await {
            Ok(written) => Ok(written?),
            Err(error) => Err(EngineError::internal(format!("a writer ended: {error}"))),
        }
    }
}

async fn write(
    mut ends: [(Box<dyn Exerciser>, Vec<Table>); 2],
    first: u64,
    stop: watch::Receiver<bool>,
) -> Result<u64, StoreError> {
    let (mut written, mut now) = (0, 0);
    for round in first.. {
        let [old, new] = &mut ends;
        let (exerciser, tables) = if now == 0 { old } else { new };
        for table in tables {
            if *stop.borrow() {
                return Ok(written);
            }
            match exerciser.exercise(table, ROWS, round).await {
                Ok(rows) => written += rows,
                Err(error) if error.kind == ErrorKind::Connection => return Err(error),
                // closed, or about to be: the other store may take writes
                Err(_) => {
                    now = 1 - now;
                    break;
                }
            }
            tokio::time::sleep(PACE).await;
        }
        tokio::time::sleep(PACE).await;
    }
    Ok(written)
}
