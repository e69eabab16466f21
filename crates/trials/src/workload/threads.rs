//! Writers on a server: some threads, each with a session of its own that is made again when it is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Work;
use super::transactions::{Options, Transactions};
use crate::database::Dialect;

/// How many write at the same time.
const WRITERS: u64 = 3;

/// A session of one writer.
pub(super) trait Writer: Sized {
    /// `None` where the server is down.
    fn open(url: &str) -> Option<Self>;

    /// One transaction; false where it was refused for a reason that is to be expected. Any other is a failure of the trial.
    fn run(&mut self, steps: &[String]) -> bool;

    /// Ends what a refusal has left open; false where the session is lost.
    fn roll_back(&mut self) -> bool;
}

/// The writers of one database.
#[derive(Debug)]
pub struct Threads {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Work>>,
}

impl Threads {
    pub(super) fn start<W: Writer>(
        url: &str,
        dialect: Dialect,
        options: Options,
        seed: u64,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..WRITERS)
            .map(|part| {
                let (url, stop) = (url.to_owned(), Arc::clone(&stop));
                let transactions = Transactions::new(dialect, options, seed, part);
                thread::spawn(move || write::<W>(&url, transactions, options, &stop))
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

fn write<W: Writer>(
    url: &str,
    mut transactions: Transactions,
    options: Options,
    stop: &AtomicBool,
) -> Work {
    let mut work = Work::default();
    let mut session: Option<W> = None;
    while !stop.load(Ordering::Relaxed) {
        let Some(open) = session.as_mut() else {
            // the server may be down for a while
            session = W::open(url);
            if session.is_none() {
                thread::sleep(Duration::from_millis(50));
            }
            continue;
        };
        if open.run(&transactions.make()) {
            work.done += 1;
        } else {
            work.refused += 1;
            if !open.roll_back() {
                session = None;
            }
        }
        thread::sleep(Duration::from_millis(options.pause));
    }
    work
}
