//! A gentle writer on the source: a few transactions a second, never on the mutations' rows.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use super::schema::{LIVE, LIVE_ROWS};
use crate::database::{Database, Dialect};
use crate::mysql;
use crate::postgres::describe;
use crate::seed::generator;
use crate::sqlite;
use crate::trial::Trial;

/// Between two transactions.
const PAUSE: Duration = Duration::from_millis(40);

/// A thread that writes until it is dropped.
#[derive(Debug)]
pub struct Writer {
    stop: Arc<AtomicBool>,
    turn: Arc<Mutex<()>>,
    done: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

enum Session {
    Postgres(postgres::Client),
    Mysql(mysql::Session),
    Sqlite(rusqlite::Connection),
}

impl Session {
    fn run(&mut self, sql: &str) {
        let ran = match self {
            Self::Postgres(client) => client.batch_execute(sql).map_err(|error| describe(&error)),
            Self::Mysql(session) => run_on_mysql(session, sql).map_err(|error| error.to_string()),
            Self::Sqlite(connection) => connection
                .execute_batch(sql)
                .map_err(|error| error.to_string()),
        };
        ran.unwrap_or_else(|error| panic!("the writer: {error}\nin: {sql}"));
    }
}

/// One that runs into a deadlock with a mutation's own writes is left out: nothing of it was written.
fn run_on_mysql(session: &mut mysql::Session, sql: &str) -> Result<(), mysql::Refusal> {
    const CONFLICTS: [u16; 2] = [1205, 1213];
    match session.run(sql) {
        Err(refusal) if refusal.code.is_some_and(|code| CONFLICTS.contains(&code)) => {
            session.run("ROLLBACK")
        }
        ran => ran,
    }
}

impl Writer {
    /// Starts writing.
    pub fn start(trial: &Trial, seed: u64) -> Self {
        let (source, target) = (&trial.source, trial.target.dialect());
        let mut session = match source {
            Database::Postgres(database) => Session::Postgres(database.client()),
            Database::Sqlite(database) => Session::Sqlite(sqlite::open(database.path())),
            Database::Mysql(database) => Session::Mysql(database.session()),
        };
        let dialect = source.dialect();
        let mut random = generator(seed, 77);
        let stop = Arc::new(AtomicBool::new(false));
        let turn = Arc::new(Mutex::new(()));
        let done = Arc::new(AtomicU64::new(0));
        let (stopped, my_turn, counted) = (Arc::clone(&stop), Arc::clone(&turn), Arc::clone(&done));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                {
                    let _turn = my_turn.lock().expect("nobody panics with the turn");
                    session.run(&transaction(&mut random, dialect, target));
                }
                counted.fetch_add(1, Ordering::Relaxed);
                thread::sleep(PAUSE);
            }
        });
        Self {
            stop,
            turn,
            done,
            thread: Some(thread),
        }
    }

    /// Keeps the writer from writing as long as the value lives.
    pub fn hold(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().expect("the writer does not panic")
    }

    /// Transactions that it has committed.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        if matches!(ended, Some(Err(_))) && !thread::panicking() {
            panic!("the writer failed");
        }
    }
}

/// What one transaction does: updates of hot rows and of any, a row that comes, a row that goes.
fn transaction(random: &mut StdRng, dialect: Dialect, target: Dialect) -> String {
    let row = LIVE + random.random_range(0..LIVE_ROWS);
    let hot = LIVE + random.random_range(0..5);
    let new = LIVE + LIVE_ROWS + random.random_range(0..200);
    // the last two write to a table that not every pair has
    let only = match dialect {
        Dialect::Postgres => target != Dialect::Mysql,
        Dialect::Mysql => true,
        Dialect::Sqlite => false,
    };
    let kinds = if only { 6 } else { 4 };
    let what = match (random.random_range(0..kinds), dialect) {
        (0, _) => {
            format!("UPDATE rich SET whole = whole + 1, words = words || '.' WHERE id = {row}")
        }
        (1, _) => format!("UPDATE pairs SET one = other, other = one WHERE a = {row}"),
        (2, _) => format!("DELETE FROM pairs WHERE a = {new}"),
        (3, Dialect::Mysql) => format!(
            "INSERT INTO pairs VALUES ({new}, 'new', 'one', NULL) ON DUPLICATE KEY UPDATE one = left(pairs.one || '+', 200)"
        ),
        (3, _) => format!(
            "INSERT INTO pairs VALUES ({new}, 'new', 'one', NULL) ON CONFLICT (a, b) DO UPDATE SET one = pairs.one || '+'"
        ),
        // the key stays the same under its collation
        (4, Dialect::Mysql) => format!("UPDATE folds SET k = upper(k) WHERE whose = {row}"),
        (_, Dialect::Mysql) => {
            format!("UPDATE folds SET k = lower(k), v = left(v || '.', 40) WHERE whose = {hot}")
        }
        (4, _) => format!("INSERT INTO bag VALUES ({row}, 'live', 1.50), ({row}, 'live', 1.50)"),
        _ => format!("DELETE FROM bag WHERE a BETWEEN {row} AND {row} + 100"),
    };
    // no row comes of it: what a sequence hands out is in no log
    let number = match dialect {
        Dialect::Postgres => "SELECT nextval(pg_get_serial_sequence('rich', 'id'));",
        Dialect::Sqlite | Dialect::Mysql => "",
    };
    format!("BEGIN; {number} {what}; UPDATE rich SET whole = whole + 1 WHERE id = {hot}; COMMIT")
}
