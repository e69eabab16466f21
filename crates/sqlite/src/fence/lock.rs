//! Taking the write lock, which is the latch.

use std::time::{Duration, Instant};

use crossfade_process::Process;
use crossfade_store::{ErrorKind, Result};
use rusqlite::Connection;

use crate::conn::{PATIENCE, Place, Purpose};
use crate::error::kind_of;
use crate::fence::holder;
use crate::fence::register;

/// Between two tries. SQLite's own waiting writers ask every 100 ms in the end: who asks more often comes first.
const PAUSE: Duration = Duration::from_millis(1);

/// What a commit is given at least, for readers of a moment.
pub(crate) const SHORTEST: Duration = Duration::from_millis(200);

/// Opens a connection whose commits a loss of power does not take back, in every journal mode.
pub(crate) fn open(place: &Place) -> Result<Connection> {
    let connection = place.open(Purpose::Write)?;
    durable(place, &connection)?;
    Ok(connection)
}

/// `EXTRA` also syncs the directory out of which a rollback journal was removed (SQLite documentation, "PRAGMA synchronous").
pub(crate) fn durable(place: &Place, connection: &Connection) -> Result<()> {
    connection
        .pragma_update(None, "synchronous", "EXTRA")
        .map_err(place.failed("cannot open a writing connection"))
}

/// Begins a writing transaction: nobody else's is under way. [`ErrorKind::Busy`], naming who was in the way, after `within`.
pub(crate) fn begin(connection: &Connection, place: &Place, within: Duration) -> Result<()> {
    let failed = place.failed("cannot take the write lock");
    let begun = Instant::now();
    connection.busy_timeout(Duration::ZERO).map_err(&failed)?;
    let outcome = loop {
        match connection.execute_batch("BEGIN IMMEDIATE") {
            Err(e) if kind_of(&e) == ErrorKind::Busy => {
                if begun.elapsed() >= within {
                    break Err(busy(place));
                }
                std::thread::sleep(PAUSE);
            }
            other => break other.map_err(&failed),
        }
    };
    connection.busy_timeout(PATIENCE).map_err(&failed)?;
    outcome
}

/// Rounds of [`begin_written_down`]: as often may others write themselves down in between.
const ROUNDS: usize = 8;

/// The same, with this process written down in the register before, in a transaction of its own: another process can end this one if it
/// is stopped while it holds the lock. Without a register nobody is written down.
pub(crate) fn begin_written_down(
    connection: &Connection,
    place: &Place,
    migration: &str,
    within: Duration,
) -> Result<()> {
    let begun = Instant::now();
    let left = || within.saturating_sub(begun.elapsed());
    let Some(this) = Process::this() else {
        return begin(connection, place, within);
    };
    let failed = place.failed("cannot write down who holds the fence");
    for _ in 0..ROUNDS {
        begin(connection, place, left())?;
        let registered = register::mode(connection, migration).map_err(&failed)?;
        let holder = register::holder(connection, migration).map_err(&failed)?;
        if registered.is_none() || holder.as_ref() == Some(&this) {
            return Ok(());
        }
        register::set_holder(connection, migration, &this).map_err(&failed)?;
        commit(connection, place, left().max(SHORTEST))?;
    }
    Err(busy(place))
}

/// The error for a lock that could not be had in time.
pub(crate) fn busy(place: &Place) -> crossfade_store::StoreError {
    place
        .error(ErrorKind::Busy, "sqlite.busy", holder::in_the_way(place))
        .fix("Wait until its transaction has ended, or end it")
}

/// Commits. With a rollback journal readers can keep the commit from the file: after `within` it is rolled back, and nothing has changed
/// ([`ErrorKind::Busy`]); for a commit that waits keeps new readers out.
pub(crate) fn commit(connection: &Connection, place: &Place, within: Duration) -> Result<()> {
    let failed = place.failed("cannot commit");
    connection.busy_timeout(within).map_err(&failed)?;
    let outcome = connection.execute_batch("COMMIT");
    if outcome.is_err() {
        rollback(connection);
    }
    connection.busy_timeout(PATIENCE).map_err(&failed)?;
    outcome.map_err(|e| match kind_of(&e) {
        ErrorKind::Busy => place
            .error(
                ErrorKind::Busy,
                "sqlite.readers",
                format!(
                    "readers keep the change from the file, whose journal mode is not WAL; {}",
                    holder::open_in(place)
                ),
            )
            .fix("Run PRAGMA journal_mode=WAL on the file once, or end the readers' transactions"),
        _ => failed(e),
    })
}

/// Ends the transaction without effect.
pub(crate) fn rollback(connection: &Connection) {
    if !connection.is_autocommit() {
        // where it fails SQLite has rolled back by itself
        let _ = connection.execute_batch("ROLLBACK");
    }
}
