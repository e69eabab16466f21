//! Another operator, with a control store of his own, while the first one's process stands still or is cut off.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use super::{OLD, Scene, order};
use crate::bank::Side;
use crate::binary::{Outcome, Running};
use crate::chaos::switch::plan::Ending;
use crate::database::Database;
use crate::patience::LONG;

/// The control store of the second one.
const SECOND: &str = "second.control";

impl Scene<'_> {
    /// Another operator's next command, with what the control store said before the order.
    pub(super) fn second(&mut self, file: &str, ordered: &Running) {
        fs::copy(
            self.trial.folder().join(OLD),
            self.trial.folder().join(SECOND),
        )
        .expect("the control store can be copied");
        let mut words = match self.plan.ending {
            Ending::Run => vec!["run", "--until", "followed"],
            Ending::Again => order(self.plan.rollback, "30s"),
        };
        words.extend(["--control", SECOND]);
        let own = words.iter().take_while(|w| !w.starts_with('-')).count();
        words.insert(own, file);
        for _ in 0..30 {
            let outcome = Running::start(self.trial.folder(), &words, &[]).wait(LONG);
            if outcome.code != Some(2) || !outcome.text().contains("already_running") {
                self.ended_by(&outcome);
                return;
            }
            // it says who is to be ended: a session of the first, or the first
            self.one_at_most("another is refused");
            match session_in_the_way(&outcome) {
                Some(process) => self.end_session(process),
                None => {
                    self.running.as_ref().unwrap_or(ordered).shoot();
                    self.tally.count("first ones killed by hand");
                    // the shell that gave the order finds nobody to obey it any more, and is at it itself
                    sleep(Duration::from_secs(1));
                }
            }
        }
        panic!("the first one's sessions have no end");
    }

    /// Another operator under the same control store.
    pub(super) fn taken_over_here(&mut self) {
        self.trial
            .call(&["take-over", "--owner", "chaos"])
            .expect(0);
        let words = match self.plan.ending {
            Ending::Run => vec!["run", "--until", "followed"],
            Ending::Again => order(self.plan.rollback, "30s"),
        };
        for _ in 0..30 {
            let outcome = self.trial.call(&words);
            // the shell that gave the order found nobody to obey it, and is at it itself
            let text = outcome.text();
            let at_it = ["being run by another", "switch.busy"];
            if outcome.code != Some(2) || !at_it.iter().any(|word| text.contains(word)) {
                self.ended_by(&outcome);
                return;
            }
            sleep(Duration::from_secs(1));
        }
        panic!("somebody else runs the migration, and does not end");
    }

    /// As the message says, and an administrator would.
    fn end_session(&mut self, process: u32) {
        let sql = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE pid = {process} AND datname = current_database() AND application_name LIKE 'crossfade%'"
        );
        let mut ended = 0;
        for side in [Side::Source, Side::Target] {
            match self.database(side) {
                Database::Postgres(database) => ended += database.rows(&sql).len(),
                Database::Mysql(database) => {
                    let kill = format!("KILL {process}");
                    ended += usize::from(database.try_run(&kill).is_ok());
                }
                Database::Sqlite(_) => {}
            }
        }
        self.tally.add("sessions ended by hand", ended);
        // its locks go a moment later
        sleep(Duration::from_millis(200));
    }
}

/// The server process that a refusal names: of a run that stands still.
fn session_in_the_way(outcome: &Outcome) -> Option<u32> {
    let text = outcome.text();
    let (_, after) = text
        .split_once("server process ")
        .or_else(|| text.split_once("(connection "))?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
