//! MySQL and MariaDB, from and to all engines, under live writes.

use crossfade_trials::seed::seed;
use crossfade_trials::shop::{self, Tables};
use crossfade_trials::workload::Options;
use crossfade_trials::{Engine, Trial};

/// Verified under live writes, then followed to their end, then equal by a comparison of our own; then nothing is left.
fn migrates_under_writes(what: &str, source: Engine, target: Engine) {
    let seed = seed(what);
    let trial = Trial::new(source, target);
    shop::make(&trial.source, Tables::Common, 1_500, seed);
    let writers = trial.writers(Options::new(Tables::Common, 1_500), seed);
    trial.verify().says(&["equal"]);
    writers.stop();
    trial.follow();
    trial.assert_equal();
    trial.call(&["abort", "--drop-target-tables"]).expect(0);
    let left = crossfade_trials::compare::tables(&trial.target);
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn mysql_to_mysql_under_writes() {
    migrates_under_writes("MySQL to MySQL", Engine::Mysql97, Engine::Mysql97);
}

#[test]
fn mysql_to_mariadb_118_under_writes() {
    migrates_under_writes("MySQL to 11.8", Engine::Mysql97, Engine::Maria118);
}

#[test]
fn mysql_to_postgres_18_under_writes() {
    migrates_under_writes("MySQL to 18", Engine::Mysql97, Engine::Pg18);
}

#[test]
fn mysql_to_sqlite_under_writes() {
    migrates_under_writes("MySQL to SQLite", Engine::Mysql97, Engine::Sqlite);
}

#[test]
fn mariadb_1011_to_118_under_writes() {
    migrates_under_writes("10.11 to 11.8", Engine::Maria1011, Engine::Maria118);
}

#[test]
fn mariadb_1011_to_mysql_under_writes() {
    migrates_under_writes("10.11 to MySQL", Engine::Maria1011, Engine::Mysql97);
}

#[test]
fn mariadb_118_to_postgres_17_under_writes() {
    migrates_under_writes("11.8 to 17", Engine::Maria118, Engine::Pg17);
}

#[test]
fn mariadb_1011_to_sqlite_under_writes() {
    migrates_under_writes("10.11 to SQLite", Engine::Maria1011, Engine::Sqlite);
}

#[test]
fn postgres_15_to_mysql_under_writes() {
    migrates_under_writes("15 to MySQL", Engine::Pg15, Engine::Mysql97);
}

#[test]
fn postgres_17_to_mariadb_118_under_writes() {
    migrates_under_writes("17 to 11.8", Engine::Pg17, Engine::Maria118);
}

#[test]
fn sqlite_to_mysql_under_writes() {
    migrates_under_writes("SQLite to MySQL", Engine::Sqlite, Engine::Mysql97);
}

#[test]
fn sqlite_to_mariadb_1011_under_writes() {
    migrates_under_writes("SQLite to 10.11", Engine::Sqlite, Engine::Maria1011);
}
