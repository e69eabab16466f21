//! Certificates of real comparisons: made under writes, checked offline, and each side read again by who may read it only.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crossfade_trials::binary::{Outcome, Running};
use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::seed::seed;
use crossfade_trials::shop::{self, Tables};
use crossfade_trials::workload::Options;
use crossfade_trials::{Database, Engine, Trial};
use serde_json::{Value, json};

fn certificate(folder: &Path, words: &[&str]) -> Outcome {
    let words: Vec<&str> = ["certificate"].iter().chain(words).copied().collect();
    let outcome = Running::start(folder, &words, &[]).wait(LONG);
    eprintln!("{:?}: {}", outcome.code, outcome.call);
    outcome
}

fn check(trial: &Trial, words: &[&str]) -> Outcome {
    let words: Vec<&str> = ["check"].iter().chain(words).copied().collect();
    certificate(trial.folder(), &words)
}

pub(crate) fn make_key(trial: &Trial) {
    certificate(trial.folder(), &["keygen", "-o", "team.key"]).expect(0);
}

/// `verify` with a certificate of this name; what it says on its last line.
pub(crate) fn certified(trial: &Trial, name: &str, more: &[&str], code: i32) -> Value {
    let words = [
        "verify",
        "--json",
        "--certificate",
        name,
        "--signing-key",
        "team.key",
    ];
    let words: Vec<&str> = words.iter().chain(more).copied().collect();
    let outcome = trial.call(&words).expect(code);
    let line = outcome.stdout.lines().last().expect("a line");
    serde_json::from_str(line).expect("JSON")
}

/// What a certificate states.
pub(crate) fn stated(trial: &Trial, name: &str) -> Value {
    let text = std::fs::read_to_string(trial.folder().join(name)).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["certificate"].clone()
}

/// The URL of somebody who may read the tables, and nothing else.
fn reader(trial: &Trial, database: &Database) -> String {
    let Database::Postgres(postgres) = database else {
        return database.url();
    };
    let role = format!("reader_{}", trial.name);
    postgres.make_role(
        &role,
        &format!(
            "CREATE ROLE \"{role}\" LOGIN PASSWORD 'not-a-secret';
             GRANT USAGE ON SCHEMA public TO \"{role}\"; GRANT SELECT ON ALL TABLES IN SCHEMA public TO \"{role}\""
        ),
    );
    postgres.url_of(&role, "not-a-secret")
}

/// Writes to the target past what keeps others from it.
fn plant(trial: &Trial, sql: &str) {
    match &trial.target {
        Database::Postgres(_) => trial.target.run(&format!(
            "SET session_replication_role = replica; {sql}; RESET session_replication_role"
        )),
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

fn made_under_writes_and_checked(what: &str, source: Engine, target: Engine) {
    let seed = seed(what);
    let trial = Trial::new(source, target);
    let tables = Tables::between(trial.source.dialect(), trial.target.dialect());
    shop::make(&trial.source, tables, 2_000, seed);
    make_key(&trial);
    let writers = trial.writers(Options::new(tables, 2_000), seed);
    let running = trial.following(&[]);
    // by the run, while the writers write
    let told = certified(&trial, "under.json", &[], 0);
    assert_eq!(told["certificate"]["equal"], true, "{told}");
    assert!(!told.to_string().contains("_digest"), "{told}");
    let offline = ["--key", "team.key.pub", "--migration", "migration.toml"];
    check(&trial, &[&["under.json"], &offline[..]].concat())
        .expect(0)
        .says(&["EQUAL at position", "the key that was given"]);
    let under = stated(&trial, "under.json");
    assert_eq!(under["salt"], told["report"]["salt"]);
    writers.stop();
    running.interrupt();
    running.wait(LONG).expect(0);
    trial.follow();

    // by itself, when nobody writes
    certified(&trial, "still.json", &[], 0);
    assert_ne!(stated(&trial, "still.json")["salt"], under["salt"]);
    let sides = [
        ("source", reader(&trial, &trial.source)),
        ("target", reader(&trial, &trial.target)),
    ];
    let as_stated = || {
        for (side, url) in &sides {
            let words = ["still.json", "--against", url, "--side", side, "--json"];
            let read = check(&trial, &words).expect(0).json();
            let read = &read["certificate"]["against"];
            assert_eq!(
                (&read["equal"], &read["side"]),
                (&json!(true), &json!(side))
            );
            let rows = |t: &Value| t["rows"].as_u64().unwrap_or_default();
            let read = read["tables"].as_array().unwrap();
            assert!(read.iter().map(rows).sum::<u64>() > 1_000, "{read:?}");
            check(&trial, &["still.json", "--against", url])
                .expect(0)
                .says(&["AS STATED", side]);
        }
    };
    as_stated();
    trial.call(&["abort"]).expect(0);
    as_stated();
    let changed = trial
        .target
        .text("SELECT max(place) FROM seats")
        .expect("a seat");
    plant(
        &trial,
        &format!("UPDATE seats SET note = 'behind' WHERE place = {changed}"),
    );
    let read = check(&trial, &["still.json", "--against", &sides[1].1, "--json"]).expect(2);
    let read = read.json()["certificate"].clone();
    assert_eq!(read["equal"], true, "the certificate itself is as it was");
    let different: Vec<&Value> = read["against"]["tables"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    let different: Vec<&str> = different
        .into_iter()
        .filter(|t| t["equal"] == false)
        .map(|t| t["name"].as_str().unwrap())
        .collect();
    assert_eq!(different.len(), 1, "{read}");
    assert!(different[0].ends_with("seats"), "{different:?}");
    check(&trial, &["still.json", "--against", &sides[1].1])
        .expect(2)
        .says(&["NOT AS STATED", "Rows that were written after position"]);
}

#[test]
fn postgres_to_postgres_under_writes() {
    made_under_writes_and_checked("certificate 15 to 17", Engine::Pg15, Engine::Pg17);
}

#[test]
fn postgres_to_sqlite_under_writes() {
    made_under_writes_and_checked("certificate 17 to SQLite", Engine::Pg17, Engine::Sqlite);
}

#[test]
fn sqlite_to_sqlite_under_writes() {
    made_under_writes_and_checked("certificate SQLite", Engine::Sqlite, Engine::Sqlite);
}

/// A table of a few rows on both sides.
fn small(source: Engine, target: Engine) -> Trial {
    let trial = Trial::new(source, target);
    trial.source.run(
        "CREATE TABLE t (id integer PRIMARY KEY, a text);
         CREATE TABLE u (id integer PRIMARY KEY, a text);
         INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'); INSERT INTO u VALUES (1, 'x')",
    );
    make_key(&trial);
    trial.follow();
    trial
}

#[test]
fn what_cannot_be_used_is_told_before_the_comparison_and_nothing_is_half_written() {
    let trial = small(Engine::Sqlite, Engine::Sqlite);
    let mine = trial.folder().join("mine.json");
    std::fs::write(&mine, "mine").unwrap();
    let verify = |name: &str, key: &str| {
        trial
            .call(&["verify", "--certificate", name, "--signing-key", key])
            .expect(3)
    };
    verify("mine.json", "team.key").says(&["certificate.exists"]);
    verify("new.json", "none.key").says(&["certificate.key"]);
    verify("new.json", "team.key.pub").says(&["certificate.key"]);
    trial
        .call(&["verify", "--certificate", "new.json"])
        .expect(3);
    assert_eq!(std::fs::read(&mine).unwrap(), b"mine");
    assert!(!trial.folder().join("new.json").exists());

    certified(&trial, "new.json", &[], 0);
    check(&trial, &["new.json", "--key", "team.key.pub"]).expect(0);
    certificate(trial.folder(), &["keygen", "-o", "other.key"]).expect(0);
    check(&trial, &["new.json", "--key", "other.key.pub"])
        .expect(1)
        .says(&["certificate.signer"]);
    let other = trial.file_text(&trial.source.url(), &trial.target.url());
    let other = other.replace(&trial.name, "another");
    std::fs::write(trial.folder().join("other.toml"), other).unwrap();
    check(&trial, &["new.json", "--migration", "other.toml"])
        .expect(1)
        .says(&["certificate.wrong_migration"]);
    let mut bytes = std::fs::read(trial.folder().join("new.json")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(trial.folder().join("flipped.json"), bytes).unwrap();
    check(&trial, &["flipped.json", "--against", &trial.source.url()]).expect(1);

    let against =
        |url: &str, code: i32| check(&trial, &["new.json", "--against", url]).expect(code);
    std::fs::copy(
        trial.folder().join("new.json"),
        trial.folder().join("no.db"),
    )
    .unwrap();
    against("sqlite:none.db", 1).never_says("AS STATED");
    against("sqlite:no.db", 3).never_says("AS STATED");
    against("${NOT_SET_ANYWHERE}", 3).says(&["NOT_SET_ANYWHERE"]);
    against("elsewhere", 3).says(&["usage.url"]);
    let empty = Database::create(Engine::Sqlite, trial.folder(), "stranger");
    against(&empty.url(), 3).says(&["certificate.side"]);
    check(
        &trial,
        &["new.json", "--against", &empty.url(), "--side", "target"],
    )
    .never_says("AS STATED");
}

#[test]
fn a_store_that_goes_away_in_the_middle_makes_no_statement() {
    let trial = small(Engine::Pg15, Engine::Sqlite);
    certified(&trial, "c.json", &[], 0);
    let url = reader(&trial, &trial.source);
    let mut client = trial.source.postgres().client();
    client
        .batch_execute("BEGIN; LOCK TABLE u IN ACCESS EXCLUSIVE MODE")
        .unwrap();
    let words = ["certificate", "check", "c.json", "--against", &url];
    let running = Running::start(trial.folder(), &words, &[]);
    wait_until("the reading waits and is ended", LONG, || {
        let ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE datname = current_database() AND application_name = 'crossfade:snapshot'
                       AND wait_event_type = 'Lock'";
        !trial.source.rows(ended).is_empty()
    });
    running.wait(LONG).expect(1).never_says("AS STATED");
    client.batch_execute("ROLLBACK").unwrap();
    check(&trial, &["c.json", "--against", &url])
        .expect(0)
        .says(&["AS STATED"]);
}

#[test]
fn the_salts_hash_is_durable_before_the_reads_and_the_salt_is_told_after_the_end() {
    let trial = small(Engine::Pg15, Engine::Pg17);
    let kept = || {
        let control = crossfade_trials::sqlite::open(&trial.control());
        let mut statement = control
            .prepare("SELECT state, detail, coalesce(outcome, ''), recorded FROM intent WHERE kind = 'verify' ORDER BY id")
            .unwrap();
        let rows = statement.query_map([], |r| {
            Ok((
                r.get::<_, String>(0)?,
                r.get::<_, String>(1)?,
                r.get::<_, String>(2)?,
                r.get::<_, i64>(3)?,
            ))
        });
        rows.unwrap().map(Result::unwrap).collect::<Vec<_>>()
    };
    let run = trial.following(&[]);
    let mut client = trial.source.postgres().client();
    client
        .batch_execute("BEGIN; LOCK TABLE u IN ACCESS EXCLUSIVE MODE")
        .unwrap();
    let words = [
        "verify",
        "--certificate",
        "c.json",
        "--signing-key",
        "team.key",
    ];
    let running = trial.start(&words);
    wait_until("the comparison has begun", LONG, || !kept().is_empty());
    let (state, detail, outcome, _) = kept().remove(0);
    assert_eq!((state.as_str(), outcome.as_str()), ("open", ""));
    let detail: Value = serde_json::from_str(&detail).unwrap();
    let fields: Vec<&String> = detail.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["commitment"], "{detail}");
    run.kill();
    running.kill();
    assert!(!trial.folder().join("c.json").exists());
    client.batch_execute("ROLLBACK").unwrap();
    trial.call(&["status"]).expect(0).never_says("Unsettled");

    certified(&trial, "c.json", &[], 0);
    let kept = kept();
    assert_eq!(kept[0].0, "failed");
    assert!(!kept[0].2.contains("salt"), "{kept:?}");
    let certificate = stated(&trial, "c.json");
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    // the order that the killed run had taken is carried out, too: before this one or after it
    let of_this = |detail: &str| parsed(detail)["commitment"] == certificate["commitment"];
    let (state, detail, outcome, recorded) = kept.iter().find(|k| of_this(&k.1)).unwrap();
    assert_eq!(state, "done");
    assert_eq!(parsed(detail)["commitment"], certificate["commitment"]);
    assert_eq!(parsed(outcome)["salt"], certificate["salt"]);
    assert!(Some(*recorded) <= certificate["started"].as_i64());
}

#[test]
fn differences_stand_in_it_as_a_person_has_classified_them() {
    let trial = small(Engine::Pg15, Engine::Pg17);
    plant(
        &trial,
        "UPDATE t SET a = 'other' WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (9, 'more')",
    );
    certified(&trial, "differs.json", &[], 2);
    let differs = stated(&trial, "differs.json");
    assert_eq!(differs["equal"], false);
    let table = &differs["tables"][0];
    assert_eq!(table["differences"].as_array().map(Vec::len), Some(3));
    assert_eq!(table["differences"][0]["classification"], Value::Null);
    assert_eq!(table["expected"]["source"]["rows"], 0);
    check(&trial, &["differs.json"])
        .expect(2)
        .says(&["NOT CLASSIFIED"]);

    let quarantine = |words: &[&str]| {
        let all: Vec<&str> = ["quarantine", words[0], "migration.toml"]
            .iter()
            .chain(&words[1..])
            .copied()
            .collect();
        Running::start(trial.folder(), &all, &[])
            .wait(LONG)
            .expect(0)
    };
    let classify = |id: &str, verdict: &str| {
        let reason = ["--by", "Ada", "--reason", "cleaned on purpose"];
        quarantine(&[&["classify", id, "--as", verdict], &reason[..]].concat());
    };
    let entries = quarantine(&["list", "--json"]).json()["entries"].clone();
    let ids: Vec<String> = entries
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["id"].to_string())
        .collect();
    for id in &ids {
        classify(id, "expected");
    }
    let told = certified(&trial, "expected.json", &[], 0);
    assert_eq!(told["report"]["equal"], false);
    trial.call(&["verify"]).expect(0).says(&[
        "equal but for 3 differences that a person expects",
        "cleaned on purpose",
    ]);
    let expected = stated(&trial, "expected.json");
    assert_eq!(expected["equal"], true);
    let table = &expected["tables"][0];
    let rows = |side: &str| table["expected"][side]["rows"].as_u64();
    assert_eq!((rows("source"), rows("target")), (Some(2), Some(2)));
    let said = &table["differences"][2]["classification"];
    assert_eq!(
        (&said["by"], &said["verdict"]),
        (&json!("Ada"), &json!("expected"))
    );
    // the sums are of all rows that each side has
    for database in [&trial.source, &trial.target] {
        check(
            &trial,
            &["expected.json", "--against", &reader(&trial, database)],
        )
        .expect(0);
    }

    classify(&ids[0], "bug");
    certified(&trial, "bug.json", &[], 2);
    check(&trial, &["bug.json"]).expect(2).says(&["A BUG"]);
    // and a comparison after a repair says that there was one
    certified(&trial, "repaired.json", &["--repair"], 0);
    let repaired = stated(&trial, "repaired.json");
    assert_eq!(repaired["tables"][0]["differences"], json!([]));
    let reads = repaired["independent"].to_string();
    assert!(
        reads.contains("3 rows that differed: read again on the source"),
        "{reads}"
    );
    trial.assert_equal();
}

/// Ends a writer when it is dropped.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Rows that are written all the time and stay what they are: at every position each side's sums are the same.
#[test]
fn sums_are_of_the_whole_tables_also_where_the_stream_proves_keys() {
    for (source, target) in [
        (Engine::Pg15, Engine::Pg17),
        (Engine::Sqlite, Engine::Sqlite),
    ] {
        let trial = small(source, target);
        let run = trial.following(&[]);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    trial.source.run(&format!(
                        "BEGIN; UPDATE t SET a = a WHERE id < 3; INSERT INTO t VALUES (10 + {number}, 'gone');
                         DELETE FROM t WHERE id > 10; DELETE FROM u; INSERT INTO u VALUES (1, 'x'); COMMIT"
                    ));
                }
            });
            // also where an assertion fails: the scope waits for the writer
            let stopping = Stop(&stop);
            let mut tries = 0;
            wait_until("keys are proven by the stream", LONG, || {
                tries += 1;
                certified(&trial, &format!("{tries}.json"), &[], 0);
                let stated = stated(&trial, &format!("{tries}.json"));
                let tables = stated["tables"].as_array().unwrap();
                let by_stream = |t: &Value| t["stream_proven_keys"].as_u64().unwrap_or_default();
                tables.iter().all(|t| by_stream(t) > 0)
            });
            let name = format!("{tries}.json");
            let reads = stated(&trial, &name)["independent"].to_string();
            assert!(
                reads.contains("changed between the two readings"),
                "{reads}"
            );
            for (side, url) in [
                ("source", trial.source.url()),
                ("target", trial.target.url()),
            ] {
                check(&trial, &[&name, "--against", &url, "--side", side])
                    .expect(0)
                    .says(&["AS STATED"]);
            }
            drop(stopping);
            writer.join().unwrap();
        });
        run.interrupt();
        run.wait(LONG).expect(0);
    }
}
