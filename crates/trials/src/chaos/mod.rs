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

use crate::database::Engine;
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

/// Which seeds are run.
#[derive(Debug, Clone, Copy)]
pub struct Seeds {
    /// The first that may be.
    pub from: u64,
    /// How many.
    pub count: u64,
    /// Only those with a MySQL or MariaDB side.
    pub only_mysql: bool,
}

impl Seeds {
    /// What the seeds stand for; `sides` tells the engines of that.
    fn plans<P>(
        self,
        plan: impl Fn(u64) -> P,
        sides: impl Fn(&P) -> [Engine; 2],
    ) -> impl Iterator<Item = P> {
        let wanted =
            move |plan: &P| !self.only_mysql || sides(plan).into_iter().any(Engine::is_mysql);
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        (self.from..).map(plan).filter(wanted).take(count)
    }
}

impl std::fmt::Display for Seeds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let only = match self.only_mysql {
            true => " with a MySQL or MariaDB side",
            false => "",
        };
        write!(f, "{} seeds{only} from {}", self.count, self.from)
    }
}

/// Runs the seeds, and gives those that failed.
#[must_use]
pub fn run_seeds(seeds: &Seeds) -> Vec<u64> {
    let servers = control::Servers::partner();
    let mut tally = Tally::default();
    let mut failed = Vec::new();
    let begun = Instant::now();
    for plan in seeds.plans(Plan::new, |plan| [plan.source, plan.target]) {
        let seed = plan.seed;
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
        "{seeds} in {:.0} s, {} failed {failed:?}",
        begun.elapsed().as_secs_f64(),
        failed.len()
    );
    failed
}
