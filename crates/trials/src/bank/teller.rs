//! A teller at work.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;

use super::log::{Pen, Transfer};
use super::session::{Failure, Session};
use super::{Side, hint_file};
use crate::seed::generator;

/// Between two tries of one transfer.
const AGAIN: Duration = Duration::from_millis(10);

struct Work {
    folder: PathBuf,
    urls: [String; 2],
    accounts: u32,
    pause: u64,
    planted: bool,
    pen: Pen,
    over: AtomicBool,
}

/// Moves money until standard input ends.
///
/// # Panics
/// On wrong arguments; on what a database says that no application should hear.
pub fn teller_main() {
    let mut words = std::env::args().skip(1);
    let mut word = || words.next().expect("folder, source, target, numbers");
    let folder = PathBuf::from(word());
    let urls = [word(), word()];
    let mut number = || word().parse::<u64>().expect("a number");
    let seed = number();
    let accounts = u32::try_from(number()).expect("small");
    let tellers = number();
    let work = Arc::new(Work {
        pen: Pen::new(&folder),
        folder,
        urls,
        accounts,
        pause: number(),
        planted: number() != 0,
        over: AtomicBool::new(false),
    });
    let threads: Vec<_> = (0..tellers)
        .map(|teller| {
            let work = Arc::clone(&work);
            thread::spawn(move || Teller::new(&work, seed, teller).work())
        })
        .collect();
    let closing = Arc::clone(&work);
    thread::spawn(move || {
        let mut rest = Vec::new();
        // whatever ends it, it is the end
        let _ = std::io::stdin().read_to_end(&mut rest);
        closing.over.store(true, Ordering::Relaxed);
    });
    for thread in threads {
        if thread.join().is_err() {
            // its own words were printed; the others would wait for nothing
            std::process::exit(1);
        }
    }
}

struct Teller<'a> {
    work: &'a Work,
    number: u64,
    made: u64,
    random: StdRng,
    sessions: [Option<Session>; 2],
    side: Side,
}

impl<'a> Teller<'a> {
    fn new(work: &'a Work, seed: u64, number: u64) -> Self {
        Self {
            work,
            number,
            made: 0,
            random: generator(seed, 5_000 + number),
            sessions: [None, None],
            side: Side::Source,
        }
    }

    fn work(mut self) {
        while !self.work.over.load(Ordering::Relaxed) {
            let transfer = self.think();
            let accounts_first = self.random.random();
            self.make(&transfer, accounts_first);
            let pause = self.random.random_range(0..=self.work.pause);
            thread::sleep(Duration::from_millis(pause));
        }
    }

    fn think(&mut self) -> Transfer {
        self.made += 1;
        let payer = self.random.random_range(1..=self.work.accounts);
        let other = self.random.random_range(1..self.work.accounts);
        Transfer {
            token: format!("t{}-{}", self.number, self.made),
            payer,
            receiver: if other >= payer { other + 1 } else { other },
            amount: self.random.random_range(1..100),
        }
    }

    /// Until it is acknowledged, or nobody knows.
    fn make(&mut self, transfer: &Transfer, accounts_first: bool) {
        let begun = Instant::now();
        while !self.work.over.load(Ordering::Relaxed) {
            // without a hint the trial is over, whatever became of it
            let Some((hinted, stubborn)) = hint(&self.work.folder) else {
                return;
            };
            if !(stubborn && self.number % 2 == 1) {
                self.side = hinted;
            }
            match self.once(transfer, accounts_first) {
                Ok(number) => {
                    let millis = begun.elapsed().as_millis();
                    self.work
                        .pen
                        .acknowledged(self.side, transfer, number, millis);
                    return;
                }
                Err(Failure::Refused) => {
                    self.work.pen.refused(self.side);
                    if stubborn {
                        self.side = self.side.other();
                    }
                }
                Err(Failure::Lost(words)) => self.lost(&words),
                Err(Failure::Unknown(words)) => {
                    self.work.pen.maybe(self.side, transfer);
                    self.lost(&words);
                    return;
                }
                Err(Failure::Other(words)) => self.fail(&words),
            }
            thread::sleep(AGAIN);
        }
    }

    fn once(&mut self, transfer: &Transfer, accounts_first: bool) -> Result<i64, Failure> {
        let at = self.side as usize;
        let session = match &mut self.sessions[at] {
            Some(session) => session,
            empty => empty.insert(Session::open(&self.work.urls[at]).map_err(Failure::Lost)?),
        };
        session.transfer(transfer, accounts_first)
    }

    fn lost(&mut self, words: &str) {
        if !self.work.planted {
            self.fail(words);
        }
        self.sessions[self.side as usize] = None;
    }

    fn fail(&self, words: &str) -> ! {
        eprintln!("a teller at the {}: {words}", self.side.word());
        std::process::exit(1);
    }
}

fn hint(folder: &Path) -> Option<(Side, bool)> {
    let text = fs::read_to_string(hint_file(folder)).ok()?;
    let hint: serde_json::Value = serde_json::from_str(&text).expect("the hint is JSON");
    let side = hint["writes"].as_str().and_then(Side::of);
    Some((
        side.expect("the hint names a side"),
        hint["stubborn"] == true,
    ))
}
