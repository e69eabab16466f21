//! Every direction under live writes.

use crossfade_trials::seed::seed;
use crossfade_trials::shop::{self, Tables};
use crossfade_trials::workload::Options;
use crossfade_trials::{Engine, Trial};

/// Verified under live writes, then followed to their end, then equal by a comparison of our own.
fn migrates_under_writes(what: &str, source: Engine, target: Engine) {
    let seed = seed(what);
    let trial = Trial::new(source, target);
    let tables = Tables::between(trial.source.dialect(), trial.target.dialect());
    shop::make(&trial.source, tables, 3_000, seed);
    let writers = trial.writers(Options::new(tables, 3_000), seed);
    trial.verify().says(&["equal"]);
    writers.stop();
    trial.follow();
    trial.assert_equal();
}

#[test]
fn postgres_15_to_17_under_writes() {
    migrates_under_writes("15 to 17", Engine::Pg15, Engine::Pg17);
}

#[test]
fn postgres_17_to_18_under_writes() {
    migrates_under_writes("17 to 18", Engine::Pg17, Engine::Pg18);
}

#[test]
fn sqlite_to_sqlite_under_writes() {
    migrates_under_writes("SQLite to SQLite", Engine::Sqlite, Engine::Sqlite);
}

#[test]
fn sqlite_to_postgres_18_under_writes() {
    migrates_under_writes("SQLite to 18", Engine::Sqlite, Engine::Pg18);
}

#[test]
fn postgres_15_to_sqlite_under_writes() {
    migrates_under_writes("15 to SQLite", Engine::Pg15, Engine::Sqlite);
}
