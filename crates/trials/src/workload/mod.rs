//! Seeded writers: what an application does to its database, and some things that few applications do.

mod mysql;
mod postgres;
mod sqlite;
mod threads;
pub mod transactions;
pub mod values;

use crate::database::Database;
use crate::mysql::Session;
pub use sqlite::writer_main;
use threads::Threads;
pub use transactions::Options;

/// What writers have done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Transactions that ended as they should: committed, or rolled back on purpose.
    pub done: u64,
    /// Transactions that the database refused: a conflict of two writers, a lost connection.
    pub refused: u64,
}

/// Writers at work. Dropping it stops them.
#[derive(Debug)]
pub enum Writers {
    /// Threads with a session each.
    Server(threads::Threads),
    /// Another process.
    Sqlite(sqlite::Process),
}

impl Writers {
    /// Starts writing. The same seed makes the same transactions, though not in the same interleaving.
    ///
    /// # Panics
    /// When the writers cannot be started.
    #[must_use]
    pub fn start(database: &Database, options: Options, seed: u64) -> Self {
        let dialect = database.dialect();
        match database {
            Database::Postgres(_) => Self::Server(Threads::start::<::postgres::Client>(
                &database.url(),
                dialect,
                options,
                seed,
            )),
            Database::Mysql(_) => Self::Server(Threads::start::<Session>(
                &database.url(),
                dialect,
                options,
                seed,
            )),
            Database::Sqlite(sqlite) => {
                Self::Sqlite(sqlite::Process::start(sqlite.path(), options, seed))
            }
        }
    }

    /// Stops after the transactions under way.
    ///
    /// # Panics
    /// When a writer has failed, or has done nothing.
    pub fn stop(self) -> Work {
        let work = match self {
            Self::Server(threads) => threads.stop(),
            Self::Sqlite(process) => process.stop(),
        };
        assert!(work.done > 0, "the writers did nothing: {work:?}");
        eprintln!(
            "writers: {} transactions, {} refused",
            work.done, work.refused
        );
        work
    }
}
