//! One migration that follows, compared again and again.

use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::binary::{Outcome, Running};
use crate::database::{Database, Engine};
use crate::mysql::MysqlDatabase;
use crate::patience::{LONG, wait_until};
use crate::trial::Trial;

/// How long one comparison may take before it counts as stuck.
const ROUND: Duration = Duration::from_secs(900);

/// A migration and its name.
pub struct Lane {
    name: &'static str,
    /// The migration.
    pub trial: Trial,
}

/// What came of the comparisons.
#[derive(Debug, Default)]
pub struct Tally {
    /// Comparisons that ended.
    pub rounds: u64,
    /// Rows that they read of each side.
    pub rows: u64,
    /// Keys that were changing meanwhile, compared one by one.
    pub moving: u64,
    /// Comparisons that gave up since too much changed meanwhile.
    pub busy: u64,
    /// Transactions of the application.
    pub transactions: u64,
    /// What comparisons said that found a difference.
    pub alarms: Vec<String>,
}

impl Tally {
    /// One line.
    pub fn summary(&self) -> String {
        format!(
            "{} rounds, {} rows, {} keys in motion, {} given up as too busy, {} transactions meanwhile, {} false alarms",
            self.rounds,
            self.rows,
            self.moving,
            self.busy,
            self.transactions,
            self.alarms.len()
        )
    }

    fn count(&mut self, outcome: &Outcome) {
        let lines = outcome.stdout.lines();
        let mut lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let report = lines.find_map(|line| line.get("report").cloned());
        match (outcome.code, report) {
            (Some(0), Some(report)) if report["equal"] == true => {
                self.rounds += 1;
                let tables = report["tables"].as_array().into_iter().flatten();
                for table in tables {
                    self.rows += table["rows"].as_u64().unwrap_or(0);
                    self.moving += table["stream_proven_keys"].as_u64().unwrap_or(0);
                }
            }
            (Some(2), _) => {
                self.rounds += 1;
                self.alarms
                    .push(format!("{}\n{}", outcome.stdout, outcome.stderr));
            }
            (Some(1), None) if outcome.stdout.contains("verify.too_busy") => self.busy += 1,
            _ => panic!("neither equal nor not:\n{}", outcome.text()),
        }
    }
}

impl Lane {
    /// A migration between empty databases.
    pub fn new(name: &'static str, source: Engine, target: Engine) -> Self {
        Self {
            name,
            trial: Trial::new(source, target),
        }
    }

    /// The same from a database of its own on the server of a URL, which speaks MySQL's protocol.
    pub fn from(name: &'static str, server: String, target: Engine) -> Self {
        let folder = TempDir::with_prefix("crossfade-trial-").expect("a folder can be made");
        let source = Database::Mysql(MysqlDatabase::create_at(server));
        let target = Database::create(target, folder.path(), "target");
        Self {
            name,
            trial: Trial::between(folder, source, target),
        }
    }

    /// Runs until the target follows.
    pub fn follow(&self) -> Running {
        let mut running = self.trial.start(&["run", "--json"]);
        wait_until("the target follows", LONG, || {
            assert!(
                running.is_running(),
                "the run has ended:\n{}",
                running.stderr_so_far()
            );
            running.stdout_so_far().contains("\"event\":\"followed\"")
        });
        running
    }

    /// Compares until the time is over, once at least; `between` is done after each comparison.
    pub fn compare(
        &self,
        mut running: Running,
        until: Instant,
        mut between: impl FnMut(),
    ) -> Tally {
        let mut tally = Tally::default();
        let mut said = Instant::now();
        loop {
            let outcome = self.trial.start(&["verify", "--json"]).wait(ROUND);
            assert!(
                running.is_running(),
                "{}: the run has ended:\n{}",
                self.name,
                running.stderr_so_far()
            );
            tally.count(&outcome);
            if said.elapsed() > Duration::from_secs(60) {
                said = Instant::now();
                let (rounds, alarms) = (tally.rounds, tally.alarms.len());
                println!("{}: {rounds} rounds, {alarms} false alarms", self.name);
            }
            if Instant::now() >= until {
                break;
            }
            between();
        }
        running.interrupt();
        running.wait(ROUND).expect(0);
        tally
    }

    /// Follows to the end of what was written, and compares by code that shares nothing with the program.
    pub fn end(&self) {
        let words = ["run", "--until", "followed"];
        self.trial.start(&words).wait(ROUND).expect(0);
        self.trial.assert_equal();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: i32, stdout: &str) -> Outcome {
        Outcome {
            call: String::new(),
            code: Some(code),
            stdout: stdout.to_owned(),
            stderr: String::new(),
            took: Duration::ZERO,
        }
    }

    #[test]
    fn a_difference_is_an_alarm_and_giving_up_is_none() {
        let mut tally = Tally::default();
        let report = |equal: bool| {
            format!(
                "{{\"report\":{{\"equal\":{equal},\"tables\":[{{\"rows\":7,\"stream_proven_keys\":2}}]}}}}\n"
            )
        };
        tally.count(&said(0, &report(true)));
        tally.count(&said(2, &report(false)));
        tally.count(&said(1, "{\"error\":{\"what\":\"[verify.too_busy] …\"}}\n"));
        assert_eq!(
            (tally.rounds, tally.rows, tally.moving, tally.busy),
            (2, 7, 2, 1)
        );
        assert_eq!(tally.alarms.len(), 1);
    }

    #[test]
    #[should_panic(expected = "neither equal nor not")]
    fn an_error_ends_the_lane() {
        Tally::default().count(&said(1, "{\"error\":{\"what\":\"…\"}}\n"));
    }
}
