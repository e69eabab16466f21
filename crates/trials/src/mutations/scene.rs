//! One migration that follows while a writer works, and comparisons of it.

use std::collections::HashMap;

use serde_json::Value;

use super::pair::Pair;
use super::schema::{self, Table};
use super::side::Side;
use super::writer::Writer;
use crate::binary::{Outcome, Running};
use crate::database::{Dialect, Engine};
use crate::patience::{LONG, wait_until};
use crate::trial::Trial;

/// The migration's databases and file, before anything runs.
pub fn prepare(pair: Pair) -> Trial {
    let trial = Trial::new(pair.source, pair.target);
    schema::make(&trial.source, trial.target.dialect());
    let postgres = |engine: Engine| !engine.is_sqlite() && !engine.is_mysql();
    if postgres(pair.source) && postgres(pair.target) {
        trial.target.run(schema::POSTGRES_BEFORE);
    }
    trial
}

/// A migration at work.
pub struct Scene<'a> {
    trial: &'a Trial,
    running: Option<Running>,
    /// Writes to the source.
    pub writer: Writer,
    /// Where rows come from.
    pub source: Side<'a>,
    /// Where rows go to.
    pub target: Side<'a>,
    claims: HashMap<(String, String), String>,
}

impl<'a> Scene<'a> {
    /// Runs the migration until it follows, and keeps it running.
    pub fn open(trial: &'a Trial, seed: u64) -> Self {
        let claims = claims(&trial.call(&["plan", "--json"]).expect(0));
        let running = following(trial);
        trial.source.run(schema::AFTERWARDS);
        wait_until("the last changes come", LONG, || {
            let sql = "SELECT (SELECT count(*) FROM pairs WHERE a = 90) * 10
                            + (SELECT count(*) FROM pairs WHERE a = 91 AND one = 'last write')";
            trial.target.number(sql) == 1
        });
        Self {
            trial,
            running: Some(running),
            writer: Writer::start(trial, seed),
            source: Side::keep(trial, &trial.source, "source"),
            target: Side::keep(trial, &trial.target, "target"),
            claims,
        }
    }

    /// Both dialects: the source's and the target's.
    pub fn dialects(&self) -> (Dialect, Dialect) {
        (self.trial.source.dialect(), self.trial.target.dialect())
    }

    /// The migration.
    pub fn trial(&self) -> &Trial {
        self.trial
    }

    /// What the program claims of a column's comparison.
    pub fn claim(&self, table: &str, column: &str) -> Option<&str> {
        let key = (table.to_owned(), column.to_owned());
        self.claims.get(&key).map(String::as_str)
    }

    /// Calls `verify`.
    pub fn verify(&self) -> Outcome {
        self.trial.start(&["verify", "--json"]).wait(LONG)
    }

    /// Starts the run again where it has ended; gives what it said then.
    pub fn revive(&mut self) -> Option<String> {
        if self.running.as_mut().is_some_and(Running::is_running) {
            return None;
        }
        let said = self.running.take().map(|ended| ended.wait(LONG).stderr);
        self.running = Some(following(self.trial));
        said
    }

    /// Waits until the target has everything that the source has; the writer must be held.
    pub fn settle(&self) {
        self.trial
            .source
            .run("DELETE FROM few WHERE id = 5000; INSERT INTO few VALUES (5000, 'settled')");
        let count = "SELECT count(*) FROM few WHERE id = 5000";
        wait_until("the target has come", LONG, || {
            self.trial.target.number(count) == 1
        });
        self.trial.source.run("DELETE FROM few WHERE id = 5000");
        wait_until("the target has come", LONG, || {
            self.trial.target.number(count) == 0
        });
    }

    /// The migration's tables.
    pub fn tables(&self) -> impl Iterator<Item = &'static Table> {
        let (source, target) = self.dialects();
        schema::tables(source, target)
    }

    /// A table of the migration.
    pub fn table(&self, name: &str) -> Option<&'static Table> {
        self.tables().find(|table| table.name == name)
    }
}

/// A run that follows.
fn following(trial: &Trial) -> Running {
    let mut running = trial.start(&["run", "--json"]);
    wait_until("the target follows", LONG, || {
        assert!(
            running.is_running(),
            "the run has ended:\n{}\n{}",
            running.stdout_so_far(),
            running.stderr_so_far()
        );
        running.stdout_so_far().contains("\"event\":\"followed\"")
    });
    running
}

/// A table's name without its schema.
pub fn bare(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, name)| name)
}

fn claims(planned: &Outcome) -> HashMap<(String, String), String> {
    let plan = planned.json();
    let mut claims = HashMap::new();
    for table in array(&plan["tables"]) {
        let name = bare(text(&table["source"]));
        for column in array(&table["columns"]) {
            let key = (name.to_owned(), text(&column["source"]).to_owned());
            claims.insert(key, text(&column["compared"]).to_owned());
        }
    }
    claims
}

/// The members of an array.
///
/// # Panics
/// When it is none.
pub fn array(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("no array: {value}"))
}

/// A text.
///
/// # Panics
/// When it is none.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}
