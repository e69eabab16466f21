//! MySQL and MariaDB, from and to all engines, under live writes.

use std::sync::atomic::{AtomicBool, Ordering};

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
    // nothing that the program writes itself is taken for somebody else's
    let status = trial.status();
    assert_eq!(status["strangers"]["writes"], 0, "{status}");
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

/// Whoever refers and whoever is referred to change in every transaction while foreign keys are added: nobody waits for ever.
#[test]
fn foreign_keys_are_added_while_both_tables_change_all_the_time() {
    for target in [Engine::Maria1011, Engine::Mysql97] {
        let trial = Trial::new(Engine::Pg15, target).as_superuser();
        trial.source.run(
            "CREATE TABLE genre (id integer PRIMARY KEY);
             CREATE TABLE track (id integer PRIMARY KEY, genre integer REFERENCES genre, price integer NOT NULL);
             CREATE TABLE line (id integer PRIMARY KEY, track integer REFERENCES track, quantity integer NOT NULL);
             INSERT INTO genre SELECT generate_series(1, 20); INSERT INTO track SELECT i, i % 20 + 1, 1 FROM generate_series(1, 2000) i;
             INSERT INTO line SELECT i, i % 2000 + 1, 1 FROM generate_series(1, 4000) i",
        );
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _stop = Stop(&stop);
            scope.spawn(|| {
                let mut n = 0;
                while !stop.load(Ordering::Relaxed) {
                    n = n % 2000 + 1;
                    trial.source.run(&format!(
                        "BEGIN; UPDATE line SET quantity = quantity + 1 WHERE id = {n}; UPDATE track SET price = price + 1 WHERE id = {n}; COMMIT"
                    ));
                }
            });
            trial.follow();
        });
        trial.verify().says(&["equal"]);
        trial.assert_equal();
        let keys = "SELECT count(*) FROM information_schema.table_constraints WHERE constraint_schema = database() AND constraint_type = 'FOREIGN KEY'";
        assert_eq!(trial.target.number(keys), 2);
    }
}

/// Ends the writer, whatever happens.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
