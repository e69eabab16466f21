//! Chaos: seeded migrations under live writes in which the process, the servers, the sessions, the disk and the capture
//! fail, and whose two sides must be equal at the end.

pub mod capture;
pub mod control;
mod place;
pub mod plan;
pub mod points;
pub mod proxy;
mod quota;
mod run;
pub mod switch;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

pub use run::run;

use plan::Plan;
use points::POINTS;

/// How often each thing happened.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<String, usize>);

impl Tally {
    fn count(&mut self, what: &str) {
        self.add(what, 1);
    }

    fn add(&mut self, what: &str, times: usize) {
        *self.0.entry(what.to_owned()).or_default() += times;
    }

    /// One line each.
    #[must_use]
    pub fn lines(&self) -> String {
        let lines: Vec<String> = self
            .0
            .iter()
            .map(|(what, times)| format!("{times:>6}  {what}"))
            .collect();
        lines.join("\n")
    }

    /// One line each, and the points at which no process died.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut lines = vec![self.lines()];
        let never: Vec<&str> = POINTS
            .iter()
            .copied()
            .filter(|point| !self.0.contains_key(*point))
            .collect();
        if !never.is_empty() {
            lines.push(format!("no process died at: {}", never.join(", ")));
        }
        lines.join("\n")
    }
}

/// Runs `count` seeds from `from` on, and gives those that failed.
#[must_use]
pub fn seeds(from: u64, count: u64) -> Vec<u64> {
    let servers = control::Servers::partner();
    let mut tally = Tally::default();
    let mut failed = Vec::new();
    let begun = Instant::now();
    for seed in from..from + count {
        let plan = Plan::new(seed);
        eprintln!(
            "seed {seed}: {:?} to {:?}, {} rows, {:?}{}",
            plan.source,
            plan.target,
            plan.rows,
            plan.options,
            if plan.asynchronous_commit {
                ", asynchronous commit"
            } else {
                ""
            }
        );
        let since = Instant::now();
        // the panic's own message was printed where it arose
        let ended = catch_unwind(AssertUnwindSafe(|| run(&plan, servers, &mut tally)));
        let word = if ended.is_ok() { "equal" } else { "FAILED" };
        eprintln!(
            "seed {seed}: {word} after {:.1} s",
            since.elapsed().as_secs_f64()
        );
        if ended.is_err() {
            failed.push(seed);
        }
    }
    eprintln!("{}", tally.summary());
    eprintln!(
        "{count} seeds from {from} in {:.0} s, {} failed {failed:?}",
        begun.elapsed().as_secs_f64(),
        failed.len()
    );
    failed
}
