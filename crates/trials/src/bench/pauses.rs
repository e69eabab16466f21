//! The pauses that applications see around some moments, and how they are told.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// What the goals are, milliseconds.
const MEDIAN: f64 = 150.0;
const WORST: f64 = 500.0;

/// The longest transaction around each of some moments, milliseconds, and what the program said of each.
#[derive(Default)]
pub struct Pauses {
    pub seen: Vec<f64>,
    pub told: Vec<f64>,
    /// What each step took, milliseconds, in the program's order.
    pub steps: Vec<(String, Vec<f64>)>,
}

impl Pauses {
    pub fn note_steps(&mut self, report: &Value) {
        for step in report["steps"].as_array().into_iter().flatten() {
            let name = step["step"].as_str().expect("a step has a name");
            let took = step["took_ms"].as_f64().unwrap_or_default();
            match self.steps.iter_mut().find(|(known, _)| known == name) {
                Some((_, all)) => all.push(took),
                None => self.steps.push((name.to_owned(), vec![took])),
            }
        }
    }
}

/// The pause that a switch has measured, milliseconds.
pub fn measured(report: &Value) -> f64 {
    assert_eq!(report["outcome"], "done", "{report}");
    report["pause"]["measured_ms"].as_f64().expect("a pause")
}

/// Prints the pauses of all moments, and their median and worst.
pub fn print(name: &str, rows: u32, clients: u32, pauses: &Pauses, transactions: usize) {
    let list = |pauses: &[f64]| {
        let all: Vec<String> = pauses.iter().map(|ms| format!("{ms:.0}")).collect();
        all.join(" ")
    };
    let median = middle(&pauses.seen);
    let worst = pauses.seen.iter().copied().fold(0.0, f64::max);
    println!(
        "{name}: {} rows, {transactions} transactions of {clients} clients, 0 errors\n  longest transaction around each, ms: {}\n  \
         median {median:.0} ms (goal {MEDIAN:.0}), worst {worst:.0} ms (goal {WORST:.0})",
        rows,
        list(&pauses.seen),
    );
    if !pauses.told.is_empty() {
        println!(
            "  pauses as crossfade reports them, ms: {}",
            list(&pauses.told)
        );
        let each = |(step, all): &(String, Vec<f64>)| format!("{step} {:.0}", middle(all));
        let steps: Vec<String> = pauses.steps.iter().map(each).collect();
        println!("  steps, median ms: {}", steps.join(", "));
    }
}

fn middle(all: &[f64]) -> f64 {
    let mut sorted = all.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// Microseconds since the Unix epoch.
pub fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    u64::try_from(since.as_micros()).expect("before the year 586,000")
}

/// Its transactions: when each ended and how long it took, microseconds.
pub struct Log(pub Vec<(u64, u64)>);

impl Log {
    pub fn transactions(&self) -> usize {
        self.0.len()
    }

    /// The longest transaction that was under way in a window, milliseconds.
    pub fn longest(&self, (from, until): (u64, u64)) -> f64 {
        let inside = |(ended, took): &&(u64, u64)| *ended >= from && ended - took <= until;
        let longest = self.0.iter().filter(inside).map(|(_, took)| *took).max();
        // microseconds far below 2^53
        longest.expect("transactions went on") as f64 / 1000.0
    }
}
