//! Three defects planted in the program itself, each where the target and what the stream predicts of it come out alike and
//! wrong. The stream has nothing to say against it; a comparison reads the source, and has.
//!
//! They exist in debug builds only, which the trials drive.

use std::thread;

use crossfade_trials::binary::Running;
use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::{Database, Engine, Trial};
use serde_json::Value;

const LONG_TEXT: &str = "a text of more than twenty bytes";

fn following(trial: &Trial, defect: &str) -> Running {
    trial.following(&[("CROSSFADE_PLANTED", defect)])
}

fn report(trial: &Trial, words: &[&str], code: i32) -> Value {
    let words: Vec<&str> = ["verify", "--json"].iter().chain(words).copied().collect();
    trial.call(&words).expect(code).json()["report"].clone()
}

/// How the rows of the first table differ, and their keys.
fn named(report: &Value) -> Vec<(String, String)> {
    let differences = report["tables"][0]["differences"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    differences
        .iter()
        .map(|d| (text(&d["kind"]), text(&d["key"])))
        .collect()
}

fn changed(keys: &[u32]) -> Vec<(String, String)> {
    keys.iter()
        .map(|key| ("changed".to_owned(), key.to_string()))
        .collect()
}

/// `t` with 100 rows of two texts.
fn made(source: Engine, target: Engine) -> Trial {
    let trial = Trial::new(source, target).option("reconcile_percent", 0);
    trial.source.run(
        "CREATE TABLE t (id integer PRIMARY KEY, a text, b text);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
         INSERT INTO t SELECT i, 'a', 'b' FROM n",
    );
    trial
}

/// A row that is written once, and one that is written all the time: what the stream says of the latter is all that a
/// comparison has, and that is equal; the former is read.
fn in_the_stream(defect: &str) {
    let trial = made(Engine::Pg15, Engine::Pg17);
    let running = following(&trial, defect);
    trial
        .source
        .run(&format!("UPDATE t SET a = '{LONG_TEXT}' WHERE id = 2"));
    wait_until("the change arrives", LONG, || {
        trial
            .target
            .number("SELECT count(*) FROM t WHERE id = 2 AND (a, b) <> ('a', 'b')")
            == 1
    });
    // the ledger knows of nothing
    assert_eq!(trial.status()["ledger_balanced"], true);
    let Database::Postgres(source) = &trial.source else {
        panic!("no server")
    };
    let hot = format!(
        "DO $$ BEGIN LOOP
             UPDATE t SET a = '{LONG_TEXT}' WHERE id = 1; COMMIT;
             UPDATE t SET a = 'another {LONG_TEXT}' WHERE id = 1; COMMIT;
         END LOOP; END $$"
    );
    let mut client = source.client();
    client
        .batch_execute("SET application_name = 'hot'")
        .unwrap();
    let writer = thread::spawn(move || client.batch_execute(&hot).unwrap_err());
    wait_until("the writer writes", LONG, || {
        trial
            .target
            .number("SELECT count(*) FROM t WHERE id = 1 AND (a, b) <> ('a', 'b')")
            == 1
    });
    // it is moving in nearly every comparison; in one in which it happens to rest it is read, and named, too
    let by_stream = |found: &Value| found["tables"][0]["stream_proven_keys"].as_u64();
    let moving = |found: &Value| by_stream(found) == Some(1) && named(found) == changed(&[2]);
    let mut found = report(&trial, &[], 2);
    for _ in 0..20 {
        if moving(&found) {
            break;
        }
        found = report(&trial, &[], 2);
    }
    let _ = trial.source.rows(
        "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE application_name = 'hot' AND datname = current_database()",
    );
    writer.join().unwrap();
    assert!(moving(&found), "{found}");
    // at rest it is read, too
    let found = report(&trial, &[], 2);
    assert_eq!(named(&found), changed(&[1, 2]), "{found}");
    running.ended();
}

#[test]
fn a_value_that_the_decoder_cuts_is_found_by_reading_the_source() {
    in_the_stream("decoder");
}

#[test]
fn two_columns_that_the_mapping_exchanges_are_found_by_reading_the_source() {
    in_the_stream("mapping");
}

#[test]
fn a_row_that_the_copier_loses_is_found_by_reading_both_sides() {
    for (source, target) in [
        (Engine::Pg15, Engine::Sqlite),
        (Engine::Sqlite, Engine::Pg18),
    ] {
        let trial = made(source, target);
        let running = following(&trial, "copier");
        assert_eq!(trial.status()["ledger_balanced"], true);
        assert_eq!(trial.target.number("SELECT count(*) FROM t"), 99);
        // nothing was touched, so nothing that the stream has said is wrong
        let touched = report(&trial, &["--touched"], 2);
        assert!(
            touched["tables"].as_array().unwrap().is_empty(),
            "{touched}"
        );
        let found = report(&trial, &[], 2);
        assert_eq!(
            named(&found),
            [("missing".to_owned(), "100".to_owned())],
            "{found}"
        );
        running.ended();
    }
}
