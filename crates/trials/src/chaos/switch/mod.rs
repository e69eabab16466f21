//! Chaos of the switch: at a named point of a switch or a rollback, with tellers at work, the process is killed, stands still, loses
//! its sessions, its servers, its way to them, the pooler before the applications or its memory. There is never a moment with two stores that take writes, one command
//! ends what was left half done, and the bank's books are right.

pub mod plan;
pub mod points;
mod pooled;
mod run;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

pub use run::run;

use super::control::Servers;
use super::{Seeds, Tally};
use plan::Plan;

/// Runs the seeds, and gives those that failed.
#[must_use]
pub fn run_seeds(seeds: &Seeds) -> Vec<u64> {
    let servers = Servers::partner();
    let mut tally = Tally::default();
    let mut failed = Vec::new();
    let begun = Instant::now();
    for plan in seeds.plans(Plan::new, |plan| [plan.source, plan.target]) {
        let seed = plan.seed;
        eprintln!("seed {seed}: {plan:?}");
        let since = Instant::now();
        // the panic's own message was printed where it arose
        let ended = catch_unwind(AssertUnwindSafe(|| run(&plan, servers, &mut tally)));
        let word = if ended.is_ok() { "right" } else { "FAILED" };
        eprintln!(
            "seed {seed}: {word} after {:.1} s",
            since.elapsed().as_secs_f64()
        );
        if ended.is_err() {
            failed.push(seed);
        }
    }
    eprintln!("{}", tally.lines());
    eprintln!(
        "switch: {seeds} in {:.0} s, {} failed {failed:?}",
        begun.elapsed().as_secs_f64(),
        failed.len()
    );
    failed
}
