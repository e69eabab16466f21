//! Rows that were made to differ behind the program's back: named in quarantine with their likely cause, read again by
//! their keys on either store, and resolved once they are as they were.

use std::time::Duration;

use crossfade_trials::binary::{Outcome, Running};
use crossfade_trials::{Database, Engine, Trial};
use serde_json::{Value, json};

fn quarantine(trial: &Trial, words: &[&str]) -> Outcome {
    let mut arguments = vec!["quarantine", words[0], "migration.toml", "--json"];
    arguments.extend(&words[1..]);
    Running::start(trial.folder(), &arguments, &[]).wait(Duration::from_secs(120))
}

/// Writes to table `t` of the target past what keeps others from it; the next run puts that back.
fn tamper(trial: &Trial, sql: &str) {
    match &trial.target {
        Database::Postgres(_) => trial
            .target
            .run(&format!("ALTER TABLE t DISABLE TRIGGER USER; {sql}")),
        Database::Mysql(_) => panic!("nothing is planted on MySQL"),
        Database::Sqlite(_) => {
            let triggers = trial.target.rows(
                "SELECT 'DROP TRIGGER \"' || name || '\";' FROM sqlite_schema WHERE type = 'trigger'",
            );
            let drops: Vec<String> = triggers.into_iter().flatten().flatten().collect();
            trial.target.run(&format!("{} {sql}", drops.concat()));
        }
    }
}

fn entries(trial: &Trial) -> Vec<Value> {
    let listed = quarantine(trial, &["list"]).expect(0).json();
    listed["entries"].as_array().unwrap().clone()
}

fn reveal(trial: &Trial, key: &str) -> Value {
    let entries = entries(trial);
    let entry = entries.iter().find(|e| e["key"] == key).unwrap();
    let id = entry["id"].to_string();
    quarantine(trial, &["show", &id, "--reveal"])
        .expect(0)
        .json()["now"]
        .clone()
}

#[test]
fn rows_are_named_read_again_by_their_keys_and_resolved() {
    for (source, target) in [
        (Engine::Pg15, Engine::Pg18),
        (Engine::Pg17, Engine::Sqlite),
        (Engine::Sqlite, Engine::Pg15),
    ] {
        let trial = Trial::new(source, target);
        trial.source.run(
            "CREATE TABLE t (k text NOT NULL, n bigint NOT NULL, v text, w text, PRIMARY KEY (n, k));
             INSERT INTO t VALUES ('it''s', 1, 'Grüße', 'w'), ('ü', 2, 'abc', 'x'), ('gone', 3, NULL, 'y'), ('', 4, 'v', 'w')",
        );
        trial.verify();
        assert_eq!(entries(&trial), Vec::<Value>::new());
        tamper(
            &trial,
            "UPDATE t SET v = 'GrÃ¼ÃŸe' WHERE n = 1; UPDATE t SET v = w, w = v WHERE n = 2; DELETE FROM t WHERE n = 3;
             INSERT INTO t VALUES ('more', 5, '', NULL)",
        );
        trial.call(&["verify"]).expect(2).says(&["NOT EQUAL"]);
        let short = |e: &Value| json!([e["key"], e["kind"], e["cause"], e["state"]]);
        let mut found: Vec<Value> = entries(&trial).iter().map(short).collect();
        found.sort_by_key(ToString::to_string);
        assert_eq!(
            found,
            [
                json!(["1, it's", "changed", "charset", "open"]),
                json!(["2, ü", "changed", "swapped", "open"]),
                json!(["3, gone", "missing", "unknown", "open"]),
                json!(["5, more", "extra", "unknown", "open"]),
            ]
        );
        let now = reveal(&trial, "1, it's");
        assert_eq!(now["source"], json!([["it's", "1", "Grüße", "w"]]));
        assert_eq!(now["target"], json!([["it's", "1", "GrÃ¼ÃŸe", "w"]]));
        assert_eq!(now["differ"], json!(["v"]));
        let now = reveal(&trial, "3, gone");
        assert_eq!(now["source"], json!([["gone", "3", null, "y"]]));
        assert_eq!(now["target"], json!([]));
        let now = reveal(&trial, "5, more");
        assert_eq!(now["source"], json!([]));
        assert_eq!(now["target"], json!([["more", "5", "", null]]));

        tamper(
            &trial,
            "UPDATE t SET v = 'Grüße' WHERE n = 1; UPDATE t SET v = w, w = v WHERE n = 2;
             INSERT INTO t VALUES ('gone', 3, NULL, 'y'); DELETE FROM t WHERE n = 5",
        );
        quarantine(&trial, &["retry", "--all"]).expect(0);
        trial.verify();
        for entry in entries(&trial) {
            assert_eq!(entry["state"], "resolved", "{entry}");
        }
        assert_eq!(reveal(&trial, "2, ü")["equal"], true);
        trial.assert_equal();
    }
}

#[test]
fn types_tell_the_likely_cause() {
    let trial = Trial::new(Engine::Pg17, Engine::Pg15);
    trial.source.run(
        "CREATE TABLE t (k integer PRIMARY KEY, at timestamptz, n numeric, d double precision, j jsonb, b bytea);
         INSERT INTO t SELECT i, '2024-03-31 01:30:00.123456+00', 12.345, 0.1, '{\"a\": 1}', '\\x0102' FROM generate_series(1, 6) i",
    );
    trial.verify();
    tamper(
        &trial,
        "UPDATE t SET at = at + interval '1 hour' WHERE k = 1; UPDATE t SET at = date_trunc('milliseconds', at) WHERE k = 2;
         UPDATE t SET n = 12.35 WHERE k = 3; UPDATE t SET d = 0.1::real WHERE k = 4;
         UPDATE t SET j = '{\"a\": 1.0}', at = NULL WHERE k = 5; UPDATE t SET b = '\\x01020000' WHERE k = 6",
    );
    trial.call(&["verify", "--json"]).expect(2);
    let short = |e: &Value| json!([e["key"], e["cause"]]);
    let mut found: Vec<Value> = entries(&trial).iter().map(short).collect();
    found.sort_by_key(ToString::to_string);
    assert_eq!(
        found,
        [
            json!(["1", "time_zone"]),
            json!(["2", "fraction_of_second"]),
            json!(["3", "precision"]),
            json!(["4", "float_width"]),
            json!(["5", "several"]),
            json!(["6", "padding"]),
        ]
    );
}

#[test]
fn rows_without_key_are_entries_too() {
    let trial = Trial::new(Engine::Pg15, Engine::Pg17);
    trial.source.run(
        "CREATE TABLE t (a integer, b text); ALTER TABLE t REPLICA IDENTITY FULL;
         INSERT INTO t VALUES (1, 'x'), (1, 'x'), (2, 'secret')",
    );
    trial.verify();
    tamper(
        &trial,
        "DELETE FROM t WHERE a = 2; INSERT INTO t VALUES (1, 'x'), (7, 'new')",
    );
    trial.call(&["verify", "--json"]).expect(2);
    let entries = entries(&trial);
    let kinds: Vec<&Value> = entries.iter().map(|e| &e["kind"]).collect();
    assert_eq!(kinds.iter().filter(|k| **k == "missing").count(), 1);
    assert_eq!(kinds.iter().filter(|k| **k == "extra").count(), 2);
    for entry in &entries {
        let id = entry["id"].to_string();
        let shown = quarantine(&trial, &["show", &id]).expect(0);
        assert!(!shown.text().contains("secret"));
        let now = quarantine(&trial, &["show", &id, "--reveal"])
            .expect(0)
            .json()["now"]
            .clone();
        let rows = |side: &str| now[side].as_array().unwrap().len();
        match (rows("source"), rows("target")) {
            (1, 0) => assert_eq!(now["source"][0][1], "secret"),
            (0, 1) => assert_eq!(now["target"][0][1], "new"),
            (2, 3) => assert_eq!(now["source"][0][1], "x"),
            other => panic!("{other:?}: {now}"),
        }
    }
}
