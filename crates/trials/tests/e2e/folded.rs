//! Keys that a store holds equal and that are not the same: 'a' and 'A' under a collation without regard to case. On the source one row
//! is renamed from the one to the other, and nowhere may the row of one be taken for the other's.

use std::collections::BTreeMap;

use crossfade_trials::seed::{generator, seed};
use crossfade_trials::{Database, Engine, Trial};
use rand::Rng as _;
use rand::rngs::StdRng;

/// Keys that differ in more than case.
const KEYS: u32 = 500;

fn make(database: &Database) {
    let key = match database {
        Database::Mysql(_) => "varchar(20) COLLATE utf8mb4_general_ci",
        // PostgreSQL's types of this kind are refused by the plan
        _ => "text COLLATE NOCASE",
    };
    database.run(&format!(
        "CREATE TABLE t (k {key} NOT NULL PRIMARY KEY, n integer NOT NULL, big varchar(4000))"
    ));
}

/// What the source holds: by number the key's spelling.
#[derive(Default)]
struct Rows {
    spelled: BTreeMap<u32, String>,
}

fn spelling(number: u32, random: &mut StdRng) -> String {
    format!("key {number} x")
        .chars()
        .map(|c| match random.random_bool(0.5) {
            true => c.to_ascii_uppercase(),
            false => c,
        })
        .collect()
}

impl Rows {
    fn change(&mut self, random: &mut StdRng) -> String {
        let (number, other) = (random.random_range(0..KEYS), random.random_range(0..KEYS));
        let n = random.random_range(0..1000);
        let new = spelling(number, random);
        let Some(old) = self.spelled.get(&number).cloned() else {
            self.spelled.insert(number, new.clone());
            let big = "b".repeat(3000);
            return format!("INSERT INTO t VALUES ('{new}', {n}, '{big}');");
        };
        match random.random_range(0..6) {
            0 => {
                self.spelled.remove(&number);
                format!("DELETE FROM t WHERE k = '{old}';")
            }
            1 if !self.spelled.contains_key(&other) => {
                let moved = spelling(other, random);
                self.spelled.remove(&number);
                self.spelled.insert(other, moved.clone());
                format!("UPDATE t SET k = '{moved}', n = {n} WHERE k = '{old}';")
            }
            2 => {
                self.spelled.insert(number, new.clone());
                format!(
                    "DELETE FROM t WHERE k = '{old}'; INSERT INTO t VALUES ('{new}', {n}, NULL);"
                )
            }
            3 => format!("UPDATE t SET n = {n} WHERE k = '{old}';"),
            _ => {
                self.spelled.insert(number, new.clone());
                format!("UPDATE t SET k = '{new}', n = {n} WHERE k = '{old}';")
            }
        }
    }

    fn transaction(&mut self, random: &mut StdRng) -> String {
        let changes: String = (0..random.random_range(1..6))
            .map(|_| self.change(random))
            .collect();
        format!("BEGIN; {changes} COMMIT")
    }
}

fn keys_change_their_case(source: Engine, target: Engine, batch_changes: u64) {
    let seed = seed("folded");
    let mut random = generator(seed, 1);
    let trial = Trial::new(source, target)
        .option("chunk_rows", 100)
        .option("batch_changes", batch_changes);
    make(&trial.source);
    let mut rows = Rows::default();
    let mut write = |count: u32| {
        for _ in 0..count {
            let sql = rows.transaction(&mut random);
            trial.source.run(&sql);
        }
    };
    write(400);
    trial.die_at("capture.recorded", 1);
    write(60);
    trial.die_at("part.after_commit", 2);
    write(60);
    trial.follow();
    trial.assert_equal();
    write(60);
    trial.die_at("apply.before_commit", 1);
    write(60);
    let running = trial.following(&[]);
    write(200);
    running.interrupt();
    running.wait(crossfade_trials::patience::LONG).expect(0);
    trial.verify();
    trial.assert_equal();
}

#[test]
fn keys_change_their_case_from_mysql_to_mysql() {
    keys_change_their_case(Engine::Mysql97, Engine::Mysql97, 500);
}

#[test]
fn keys_change_their_case_from_mysql_to_mysql_in_small_batches() {
    keys_change_their_case(Engine::Mysql97, Engine::Mysql97, 3);
}

#[test]
fn keys_change_their_case_from_mariadb_to_mariadb() {
    keys_change_their_case(Engine::Maria1011, Engine::Maria118, 3);
}

#[test]
fn keys_change_their_case_from_sqlite_to_sqlite() {
    keys_change_their_case(Engine::Sqlite, Engine::Sqlite, 3);
}
