//! Rounds in which every contender runs once, and the report of them.

use std::time::Instant;

use serde_json::{Value, json};

use super::machine;
use super::options::Options;
use super::statistics::{Ratio, Series};

/// What one run of a contender gave: the first figure is the one that counts, others are named parts of it.
pub type Figures = Vec<(&'static str, f64)>;

/// Somebody who does the work.
pub struct Contender<'a> {
    pub name: &'static str,
    /// Prepares a fresh target, does the work, checks the result, cleans up; returns the figures.
    pub run: Box<dyn FnMut() -> Figures + 'a>,
}

impl<'a> Contender<'a> {
    pub fn new(name: &'static str, run: impl FnMut() -> Figures + 'a) -> Self {
        Self {
            name,
            run: Box::new(run),
        }
    }
}

/// What is wanted of a figure: its ratio to another, or itself, at most so much.
pub struct Goal {
    pub of: &'static str,
    /// `None`: the figure itself is judged.
    pub against: Option<&'static str>,
    pub at_most: f64,
}

/// All figures of a benchmark, by name, in the order of their first appearance.
pub struct Report {
    name: &'static str,
    unit: &'static str,
    rounds: usize,
    quick: bool,
    series: Vec<(&'static str, Series)>,
    busy: usize,
    facts: Vec<(&'static str, Value)>,
}

/// Lets the contenders take turns; each round begins with another one.
pub fn hold(
    name: &'static str,
    unit: &'static str,
    options: &Options,
    contenders: &mut [Contender<'_>],
) -> Report {
    let mut contenders: Vec<_> = contenders
        .iter_mut()
        .filter(|contender| options.lets_in(contender.name))
        .collect();
    let mut report = Report {
        name,
        unit,
        rounds: options.rounds,
        quick: options.quick,
        // named here, so that the report has the contenders' order and not the first round's
        series: contenders
            .iter()
            .map(|contender| (contender.name, Series::default()))
            .collect(),
        busy: 0,
        facts: Vec::new(),
    };
    for round in 0..options.rounds {
        let step = usize::from(round > 0 && contenders.len() > 1);
        contenders.rotate_left(step);
        for contender in contenders.iter_mut() {
            let idle = machine::wait_until_quiet();
            let figures = (contender.run)();
            let note = if machine::is_quiet(idle) {
                String::new()
            } else {
                report.busy += 1;
                format!(
                    "   (the machine was busy: {:.0} % idle before)",
                    idle * 100.0
                )
            };
            let shown: Vec<String> = figures
                .iter()
                .map(|(figure, value)| format!("{figure} {value:.2} {unit}"))
                .collect();
            println!("  round {}: {}{note}", round + 1, shown.join(", "));
            for (figure, value) in figures {
                report.add(figure, value);
            }
        }
    }
    report
}

impl Report {
    fn add(&mut self, figure: &'static str, value: f64) {
        match self.series.iter_mut().find(|(name, _)| *name == figure) {
            Some((_, series)) => series.0.push(value),
            None => self.series.push((figure, Series(vec![value]))),
        }
    }

    /// Notes something for the reader that is no measurement (rows, transactions).
    pub fn fact(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.facts.push((name, value.into()));
        self
    }

    /// `None` where the contender was left out.
    fn series(&self, name: &str) -> Option<&Series> {
        let found = self.series.iter().find(|(series, _)| *series == name);
        found.map(|(_, series)| series)
    }

    /// Prints the table, the goals, and all of it as one line of JSON.
    pub fn print(&self, goals: &[Goal]) {
        let facts: Vec<String> = self
            .facts
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        println!(
            "  {}: {} rounds; {}",
            self.name,
            self.rounds,
            facts.join(", ")
        );
        println!(
            "  {:<34} {:>9} {:>19}",
            format!("({})", self.unit),
            "median",
            "least to greatest"
        );
        for (name, series) in &self.series {
            println!(
                "  {name:<34} {:>9.2} {:>8.2} to {:>7.2}",
                series.median(),
                series.least(),
                series.most()
            );
        }
        let judged: Vec<Value> = goals.iter().filter_map(|goal| self.judge(goal)).collect();
        if self.busy > 0 {
            println!(
                "  {} runs began while the machine was busy with something else",
                self.busy
            );
        }
        println!("{}", self.json(&judged));
    }

    fn judge(&self, goal: &Goal) -> Option<Value> {
        let (label, value, least, most) = match goal.against {
            Some(against) => {
                let ratio = Ratio::new(self.series(goal.of)?, self.series(against)?);
                (
                    format!("{} / {against}", goal.of),
                    ratio.of_medians,
                    ratio.least,
                    ratio.most,
                )
            }
            None => {
                let series = self.series(goal.of)?;
                (
                    goal.of.to_owned(),
                    series.median(),
                    series.least(),
                    series.most(),
                )
            }
        };
        let met = value <= goal.at_most;
        let verdict = match (self.quick, met) {
            (true, _) => "not judged",
            (false, true) => "met",
            (false, false) => "MISSED",
        };
        println!(
            "  {label:<34} {value:>9.2} {least:>8.2} to {most:>7.2}   goal at most {}: {verdict}",
            goal.at_most
        );
        Some(json!({
            "of": goal.of, "against": goal.against, "value": rounded(value), "least": rounded(least),
            "most": rounded(most), "goal": goal.at_most, "met": met,
        }))
    }

    fn json(&self, judged: &[Value]) -> Value {
        let series: serde_json::Map<String, Value> = self
            .series
            .iter()
            .map(|(name, series)| {
                let rounds: Vec<f64> = series.0.iter().copied().map(rounded).collect();
                (
                    (*name).to_owned(),
                    json!({ "median": rounded(series.median()), "rounds": rounds }),
                )
            })
            .collect();
        let facts: serde_json::Map<String, Value> = self
            .facts
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        json!({
            "bench": self.name, "unit": self.unit, "rounds": self.rounds, "quick": self.quick, "figures": series,
            "goals": judged, "facts": facts, "busy_runs": self.busy, "load": machine::load(),
        })
    }
}

/// Three digits behind the point.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Seconds that `work` takes.
pub fn seconds(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64()
}
