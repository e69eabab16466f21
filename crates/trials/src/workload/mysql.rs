//! Writers on MySQL and MariaDB: some threads, each with a session of its own that is made again when it is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Work;
use super::transactions::{Options, Transactions};
use crate::database::Dialect;
use crate::mysql::{MysqlDatabase, Refusal, Session};

/// How many write at the same time.
const WRITERS: u64 = 3;

/// The writers of one database.
#[derive(Debug)]
pub struct Threads {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Work>>,
}

impl Threads {
    pub(super) fn start(database: &MysqlDatabase, options: Options, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..WRITERS)
            .map(|part| {
                let (url, stop) = (database.url(), Arc::clone(&stop));
                let transactions = Transactions::new(Dialect::Mysql, options, seed, part);
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
    let mut session: Option<Session> = None;
    while !stop.load(Ordering::Relaxed) {
        let Some(open) = session.as_mut() else {
            // the server may be down for a while
            session = Session::open(url).ok();
            if session.is_none() {
                thread::sleep(Duration::from_millis(50));
            }
            continue;
        };
        let steps = transactions.make();
        match steps.iter().try_for_each(|step| open.run(step)) {
            Ok(()) => work.done += 1,
            Err(refusal) => {
                assert!(is_expected(&refusal), "a writer: {refusal}");
                work.refused += 1;
                if open.run("ROLLBACK").is_err() {
                    session = None;
                }
            }
        }
        thread::sleep(Duration::from_millis(options.pause));
    }
    work
}

/// Conflicts of two writers, and whatever a server says that is killed or restarted; never a mistake in the SQL.
fn is_expected(refusal: &Refusal) -> bool {
    // unique and foreign keys, deadlocks, waits for locks, a shutdown, no room, a server that reads only
    const KNOWN: [u16; 15] = [
        1062, 1451, 1452, 1761, 1557, 1213, 1205, 1053, 1021, 1114, 1290, 1836, 1927, 1317, 1020,
    ];
    refusal.code.is_none_or(|code| KNOWN.contains(&code))
}
