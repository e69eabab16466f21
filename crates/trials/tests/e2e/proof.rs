//! What is proven while a run follows: touched keys alone, and ranges read again and again.

use std::time::Duration;

use crossfade_trials::binary::Running;
use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::{Engine, Trial};
use serde_json::Value;

const ROWS: u32 = 3_000;

fn made(source: Engine, target: Engine, percent: u64) -> (Trial, Running) {
    let trial = Trial::new(source, target).option("reconcile_percent", percent);
    trial.source.run(&format!(
        "CREATE TABLE t (id integer PRIMARY KEY, a text);
         CREATE TABLE u (id integer PRIMARY KEY, a text);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         INSERT INTO t SELECT i, 'a' || i FROM n;
         INSERT INTO u SELECT id, a FROM t WHERE id < 100;"
    ));
    let running = trial.following(&[]);
    (trial, running)
}

/// Until the target shows this many rows under a condition.
fn arrived(trial: &Trial, condition: &str, rows: usize) {
    let sql = format!("SELECT id FROM t WHERE {condition}");
    wait_until("the changes arrive", LONG, || {
        trial.target.rows(&sql).len() == rows
    });
}

fn report(trial: &Trial, words: &[&str], code: i32) -> Value {
    let words: Vec<&str> = ["verify", "--json"].iter().chain(words).copied().collect();
    trial.call(&words).expect(code).json()["report"].clone()
}

fn rows_of(report: &Value) -> u64 {
    let tables = report["tables"].as_array().expect("tables");
    tables.iter().filter_map(|t| t["rows"].as_u64()).sum()
}

/// Behind the program's back: past the guard, and marked as nobody's.
fn plant(trial: &Trial, sql: &str) {
    trial.target.run(&format!(
        "SET session_replication_role = replica; {sql}; RESET session_replication_role"
    ));
}

#[test]
fn what_was_proven_stays_so_and_only_touched_keys_are_read() {
    for (source, target) in [
        (Engine::Pg15, Engine::Pg17),
        (Engine::Sqlite, Engine::Sqlite),
        (Engine::Pg17, Engine::Sqlite),
        (Engine::Sqlite, Engine::Pg18),
    ] {
        let (trial, running) = made(source, target, 0);
        let first = report(&trial, &["--touched"], 2);
        assert!(first["proof"]["unproven"].as_u64() > Some(0), "{first}");
        assert_eq!(rows_of(&report(&trial, &[], 0)), u64::from(ROWS) + 99);
        trial.source.run(
            "UPDATE t SET a = 'new' WHERE id <= 700; DELETE FROM t WHERE id > 2990;
             INSERT INTO t VALUES (9999, 'new'); UPDATE t SET id = 8888 WHERE id = 9",
        );
        arrived(&trial, "a = 'new' OR id > 2990", 701);
        let touched = report(&trial, &["--touched"], 0);
        assert_eq!(rows_of(&touched), 700 + 10 + 1 + 1, "{touched}");
        assert_eq!(touched["proof"]["everything"], true, "{touched}");
        assert_eq!(rows_of(&report(&trial, &["--touched"], 0)), 0);
        running.ended();
        trial
            .call(&["verify", "--touched"])
            .expect(2)
            .says(&["no `run` is active"]);
    }
}

#[test]
fn a_touched_row_that_differs_is_named_and_its_range_differs_until_it_is_read_whole() {
    let (trial, running) = made(Engine::Pg15, Engine::Pg17, 0);
    report(&trial, &[], 0);
    trial
        .source
        .run("UPDATE t SET a = 'new' WHERE id IN (5, 6)");
    arrived(&trial, "a = 'new'", 2);
    plant(&trial, "UPDATE t SET a = 'other' WHERE id = 5");
    let found = report(&trial, &["--touched"], 2);
    let table = &found["tables"][0];
    assert_eq!(table["differences"][0]["key"], "5", "{found}");
    assert_eq!(table["differences"].as_array().map(Vec::len), Some(1));
    plant(&trial, "UPDATE t SET a = 'new' WHERE id = 5");
    let found = report(&trial, &["--touched"], 2);
    assert_eq!(found["proof"]["differ"], 1, "{found}");
    report(&trial, &[], 0);
    let found = report(&trial, &["--touched"], 0);
    assert_eq!(found["proof"]["everything"], true, "{found}");
    running.ended();
}

#[test]
fn ranges_are_read_again_while_following_and_a_strangers_write_is_told() {
    let (trial, mut running) = made(Engine::Pg15, Engine::Pg17, 100);
    let proof = |trial: &Trial| trial.status()["progress"]["proof"].clone();
    wait_until("everything is proven", LONG, || {
        proof(&trial)["everything"] == true
    });
    plant(&trial, "UPDATE t SET a = 'other' WHERE id = 1234");
    wait_until("the difference is told", LONG, || {
        assert!(running.is_running());
        running
            .stdout_so_far()
            .contains("table public.t: 1 rows differ")
    });
    assert_eq!(proof(&trial)["differ"], 1);
    plant(&trial, "UPDATE t SET a = 'a1234' WHERE id = 1234");
    wait_until("everything is proven again", LONG, || {
        std::thread::sleep(Duration::from_millis(200));
        proof(&trial)["everything"] == true
    });
    let oldest = proof(&trial)["oldest"].clone();
    assert!(oldest["read"].as_i64() > Some(0), "{oldest}");
    running.ended();
}

#[test]
fn rows_that_differ_are_read_again_through_the_stream_and_no_newer_change_is_lost() {
    for (source, target) in [(Engine::Pg15, Engine::Pg17), (Engine::Sqlite, Engine::Pg18)] {
        let (trial, running) = made(source, target, 0);
        plant(
            &trial,
            "UPDATE t SET a = 'other' WHERE id IN (5, 6);
             DELETE FROM t WHERE id = 7; INSERT INTO t VALUES (5555, 'nobody''s')",
        );
        let refused = report(&trial, &["--repair", "--max-rows", "3"], 2);
        assert_eq!(refused["repair"]["rows"], 0, "{refused}");
        let why = refused["repair"]["refused"].as_str().unwrap_or_default();
        assert!(why.contains("4 rows differ, 3 may be repaired"), "{why}");
        assert!(
            why.contains("the likely cause of 4 of them: stranger"),
            "{why}"
        );
        // changes to the same rows come while they are repaired
        let writing = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for n in 0..40 {
                    trial.source.run(&format!(
                        "UPDATE t SET a = 'w{n}' WHERE id IN (6, 7, 8);
                         DELETE FROM t WHERE id = 9; INSERT INTO t VALUES (9, 'n{n}')"
                    ));
                    std::thread::sleep(Duration::from_millis(50));
                }
            });
            let repaired = report(&trial, &["--repair"], 0);
            writer.join().expect("the writer");
            repaired
        });
        assert!(writing["repair"]["rows"].as_u64() >= Some(2), "{writing}");
        arrived(&trial, "a IN ('w39', 'n39')", 4);
        trial.assert_equal();
        report(&trial, &[], 0);
        running.ended();
    }
}

#[test]
fn a_repair_that_the_target_refuses_leaves_the_run_at_work() {
    let trial = Trial::new(Engine::Pg17, Engine::Pg18).option("reconcile_percent", 0);
    trial.source.run(
        "CREATE TABLE t (id integer PRIMARY KEY, a text UNIQUE);
         INSERT INTO t SELECT i, 'a' || i FROM generate_series(1, 50) i",
    );
    let mut running = trial.following(&[]);
    // a stranger's row has taken the unique value of one that is missing
    plant(
        &trial,
        "DELETE FROM t WHERE id = 7; INSERT INTO t VALUES (77, 'a7')",
    );
    report(&trial, &[], 2);
    let quarantine = |words: &[&str]| {
        let mut all = vec!["quarantine", words[0], "migration.toml", "--json"];
        all.extend(&words[1..]);
        Running::start(trial.folder(), &all, &[]).wait(LONG)
    };
    let list = quarantine(&["list"]).expect(0).json();
    let entries = list["entries"].as_array().expect("entries");
    let seven = entries.iter().find(|e| e["key"] == "7").expect("missing")["id"].to_string();
    let answer = quarantine(&["retry", &seven]).expect(2).json();
    assert_eq!(answer["result"]["repaired"], 0, "{answer}");
    assert!(running.is_running(), "{}", running.stdout_so_far());
    trial.source.run("INSERT INTO t VALUES (100, 'after')");
    arrived(&trial, "a = 'after'", 1);
    // both at once are no conflict
    let repaired = report(&trial, &["--repair"], 0);
    assert_eq!(repaired["repair"]["rows"], 2, "{repaired}");
    trial.assert_equal();
    running.ended();
}
