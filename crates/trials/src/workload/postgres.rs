//! Writers on PostgreSQL: some threads, each with a session of its own that is made again when it is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use postgres::Client;

use super::Work;
use super::transactions::{Options, Transactions};
use crate::database::Dialect;
use crate::postgres::{PostgresDatabase, connect, describe};

/// How many write at the same time.
const WRITERS: u64 = 3;

/// The writers of one database.
#[derive(Debug)]
pub struct Threads {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Work>>,
}

impl Threads {
    pub(super) fn start(database: &PostgresDatabase, options: Options, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..WRITERS)
            .map(|part| {
                let (url, stop) = (database.url(), Arc::clone(&stop));
                let transactions = Transactions::new(Dialect::Postgres, options, seed, part);
                thread::spawn(move || write(&url, transactions, options, &stop))
            })
            .collect();
        Self { stop, threads }
    }

    pub(super) fn stop(mut self) -> Work {
        self.end()
    }

    fn end(&mut self) -> Work {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Work::default();
        for thread in self.threads.drain(..) {
            match thread.join() {
                Ok(work) => {
                    all.done += work.done;
                    all.refused += work.refused;
                }
                // a second panic while one is under way would end the process without a word
                Err(_) if thread::panicking() => eprintln!("a writer failed too"),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.end();
    }
}

fn write(url: &str, mut transactions: Transactions, options: Options, stop: &AtomicBool) -> Work {
    let mut work = Work::default();
    let mut session: Option<Client> = None;
    while !stop.load(Ordering::Relaxed) {
        let Some(client) = session.as_mut() else {
            // the server may be down for a while
            session = connect(url, None).ok();
            if session.is_none() {
                thread::sleep(Duration::from_millis(50));
            }
            continue;
        };
        match run(client, &transactions.make()) {
            Ok(()) => work.done += 1,
            Err(error) => {
                assert!(is_expected(&error), "a writer: {}", describe(&error));
                work.refused += 1;
                if client.batch_execute("ROLLBACK").is_err() {
                    session = None;
                }
            }
        }
        thread::sleep(Duration::from_millis(options.pause));
    }
    work
}

fn run(client: &mut Client, steps: &[String]) -> Result<(), postgres::Error> {
    steps.iter().try_for_each(|step| client.batch_execute(step))
}

/// Conflicts of two writers, and whatever a server says that is killed or restarted; never a mistake in the SQL.
fn is_expected(error: &postgres::Error) -> bool {
    match error.code() {
        None => true,
        // unique and foreign keys, deadlocks, shutdowns, disk full
        Some(code) => ["23505", "23503", "40", "57P", "53", "25P02", "08", "55P03"]
            .iter()
            .any(|known| code.code().starts_with(known)),
    }
}
