//! The pause that applications see when authority changes hands between two servers of MySQL, or MariaDB's and MySQL's: writers that go to the other
//! server when they are refused, switched and rolled back again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rand::Rng;

use super::mysql::{self, MysqlPlace, Server};
use super::options::Options;
use super::pauses::{Log, Pauses, measured, now, print};
use super::product::Product;
use crate::mysql::{Refusal, Session};
use crate::seed::{generator, seed};

/// Writers at the same time.
const WRITERS: u32 = 4;
/// Between two transactions of a writer: it is the pause that is measured, not how fast the follower is.
const REST: Duration = Duration::from_millis(2);
/// Between two switches: the follower comes close again, and the writers work undisturbed.
const BETWEEN: Duration = Duration::from_secs(3);
/// Between two tries of one transaction.
const AGAIN: Duration = Duration::from_millis(2);

pub fn mysql(options: &Options) {
    run("switch-mysql", Server::Source, options);
}

pub fn mariadb(options: &Options) {
    run("switch-mariadb", Server::Mariadb, options);
}

/// To MySQL from that server, and back.
fn run(name: &str, from: Server, options: &Options) {
    let rows = options.size(1_000_000, 10_000);
    let (source, target) = (
        MysqlPlace::new(from, "bench"),
        MysqlPlace::new(Server::Target, "bench"),
    );
    mysql::make(&source, rows);
    target.create();
    let more = "[gates]\nrehearsal = \"off\"\nlag_window_seconds = 5\n";
    let product = Product::with(&source.url(), &target.url(), more);
    product.run_until_followed();
    let running = product.start("run", &[]);
    thread::sleep(Duration::from_secs(1));
    product.start("verify", &[]).wait();
    let writers = Writers::start([&source, &target], rows);
    thread::sleep(BETWEEN);
    let mut windows = Vec::new();
    let mut pauses = Pauses::default();
    for round in 0..options.rounds * 2 {
        product.start("verify", &[]).wait();
        let words = if round % 2 == 0 {
            "switch writes"
        } else {
            "rollback"
        };
        let from = now();
        let ended = product
            .start(words, &["--owner", "bench", "--within", "10s"])
            .wait();
        windows.push((from, now()));
        pauses.told.push(measured(ended.report()));
        pauses.note_steps(ended.report());
        thread::sleep(BETWEEN);
    }
    let log = writers.stop();
    let peak = running.stop().peak;
    pauses.seen = windows.iter().map(|window| log.longest(*window)).collect();
    print(name, rows, WRITERS, &pauses, log.transactions());
    println!("  peak of the run's resident memory: {peak:.0} MB");
    source.drop();
    target.drop();
}

struct Writers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<(u64, u64)>>>,
}

impl Writers {
    fn start(places: [&MysqlPlace; 2], rows: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seed = seed("switch-mysql");
        let threads = (0..WRITERS)
            .map(|part| {
                let stop = Arc::clone(&stop);
                let mut writer = Writer {
                    sessions: places.map(MysqlPlace::session),
                    side: 0,
                };
                let mut random = generator(seed, 8_000 + u64::from(part));
                thread::spawn(move || {
                    let mut log = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let mut row = || random.random_range(1..=rows);
                        log.push(writer.write([row(), row(), row()]));
                        thread::sleep(REST);
                    }
                    log
                })
            })
            .collect();
        Self { stop, threads }
    }

    fn stop(self) -> Log {
        self.stop.store(true, Ordering::Relaxed);
        let all = self
            .threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a writer has failed"));
        Log(all.collect())
    }
}

struct Writer {
    sessions: [Session; 2],
    side: usize,
}

impl Writer {
    /// One transaction, on whichever server takes it; when it ended and how long it took from the first try, microseconds.
    fn write(&mut self, rows: [u32; 3]) -> (u64, u64) {
        let begun = Instant::now();
        loop {
            let session = &mut self.sessions[self.side];
            match session.run(&transaction(rows)) {
                Ok(()) => {
                    let took = begun.elapsed().as_micros();
                    return (now(), u64::try_from(took).expect("no thousand years"));
                }
                Err(refusal) => {
                    let elsewhere = goes_elsewhere(&refusal);
                    mysql::run(session, "ROLLBACK");
                    if elsewhere {
                        self.side = 1 - self.side;
                    }
                    thread::sleep(AGAIN);
                }
            }
        }
    }
}

fn transaction([one, other, third]: [u32; 3]) -> String {
    format!(
        "BEGIN; UPDATE sbtest SET k = k + 1 WHERE id = {one}; UPDATE sbtest SET c = reverse(c) WHERE id = {other};
         UPDATE sbtest SET amount = amount + 1, seen = now() WHERE id = {third}; COMMIT"
    )
}

/// Whether the other server has authority; false where the same transaction is tried here again.
fn goes_elsewhere(refusal: &Refusal) -> bool {
    const READ_ONLY: u16 = 1792;
    const CONFLICTS: [u16; 2] = [1205, 1213];
    match refusal.code {
        Some(READ_ONLY) if refusal.text.contains("crossfade") => true,
        // the guards of a target that has not had authority yet
        Some(1644) if refusal.text.contains("crossfade") => true,
        Some(code) if CONFLICTS.contains(&code) => false,
        _ => panic!("a writer: {refusal}"),
    }
}
