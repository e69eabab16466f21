//! `rehearse`: a switch and its way back on copies, of which nothing stays.

use std::path::PathBuf;

use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::{Database, Engine, Trial};
use serde_json::Value;

use crate::switch::made;

const REHEARSE: [&str; 4] = ["rehearse", "--owner", "e2e", "--json"];

/// Files of the trial's folder that are not its own.
fn strangers(trial: &Trial) -> Vec<PathBuf> {
    let own = [
        "source.db",
        "target.db",
        "migration.toml",
        "migration.toml.control",
    ];
    let mut found: Vec<PathBuf> = std::fs::read_dir(trial.folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            !own.iter().any(|own| {
                let rest = name.strip_prefix(own);
                rest.is_some_and(|rest| ["", "-wal", "-shm", "-journal", ".lock"].contains(&rest))
            })
        })
        .collect();
    found.sort();
    found
}

/// What a rehearsal could leave on a server, and on the source itself.
fn left(trial: &Trial) -> Vec<String> {
    let mut found = Vec::new();
    for database in [&trial.source, &trial.target] {
        if matches!(database, Database::Sqlite(_)) {
            let sql = "SELECT name FROM sqlite_master WHERE name LIKE '%crossfade%'";
            found.extend(database.rows(sql).into_iter().flatten().flatten());
            continue;
        }
        if matches!(database, Database::Mysql(_)) {
            let like = format!("{}%|_rehearsal|_%", &trial.name[..trial.name.len().min(20)]);
            let sql = format!(
                "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE '{like}' ESCAPE '|'
                 UNION ALL SELECT TABLE_NAME FROM information_schema.TABLES
                     WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME LIKE '%crossfade%'"
            );
            found.extend(database.rows(&sql).into_iter().flatten().flatten());
            continue;
        }
        // no name of a trial is longer than what of it stands in the names of copies
        let like = format!("{}%_rehearsal_%", &trial.name[..trial.name.len().min(20)]);
        let sql = format!(
            "SELECT datname::text FROM pg_database WHERE datname LIKE '{like}'
             UNION ALL SELECT slot_name::text FROM pg_replication_slots WHERE slot_name LIKE 'crossfade_{like}'
             UNION ALL SELECT pubname::text FROM pg_publication
             UNION ALL SELECT nspname::text FROM pg_namespace WHERE nspname = 'crossfade'"
        );
        found.extend(database.rows(&sql).into_iter().flatten().flatten());
    }
    found
}

fn recorded(trial: &Trial) -> Value {
    // a record a line
    let log = trial.call(&["log", "--json"]).expect(0).stdout;
    let found: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|record: &Value| record["kind"] == "rehearsal")
        .collect();
    assert_eq!(found.len(), 1, "{log}");
    assert_eq!(found[0]["who"], "e2e");
    found[0]["detail"].clone()
}

fn passes(trial: &Trial, words: &[&str]) -> Value {
    let source = trial.source.rows("SELECT * FROM t ORDER BY id");
    let outcome = trial.call(words).expect(0);
    let report = outcome.json()["report"].clone();
    assert_eq!(report["passed"], true, "{report}");
    assert_eq!(report["left"], serde_json::json!([]), "{report}");
    assert_eq!(report["rows"], 2_099, "{report}");
    assert!(report["written"].as_u64().unwrap() > 0, "{report}");
    for switch in ["switch", "rollback"] {
        for figure in ["predicted_ms", "measured_ms"] {
            let known = report[switch][figure].is_u64();
            assert!(known, "{switch} {figure}: {}", outcome.text());
        }
    }
    let after: Vec<&Value> = (report["proofs"].as_array().unwrap().iter())
        .inspect(|proof| assert!(proof["equal"] == true && proof["rows"] == 2_099, "{proof}"))
        .map(|proof| &proof["after"])
        .collect();
    assert_eq!(after, ["writes", "switch", "rollback"]);
    let detail = recorded(trial);
    let mut fields: Vec<&str> = detail
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "finished",
            "passed",
            "plan",
            "rollback_ms",
            "source",
            "switch_ms",
            "target"
        ]
    );
    let plan = trial.call(&["plan", "--json"]).expect(0).json();
    assert_eq!(detail["plan"], plan["hash"]);
    assert_eq!(detail["passed"], true);
    assert_eq!(source, trial.source.rows("SELECT * FROM t ORDER BY id"));
    assert_eq!(left(trial), [""; 0]);
    assert!(strangers(trial).is_empty(), "{:?}", strangers(trial));
    report
}

#[test]
fn a_rehearsal_passes_and_leaves_nothing_from_postgres_to_postgres() {
    let trial = made(Engine::Pg15, Engine::Pg17);
    trial.source.run("CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE p (id integer, m mood, PRIMARY KEY (id)) PARTITION BY RANGE (id);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100); CREATE TABLE free (a text);
        ALTER TABLE free REPLICA IDENTITY FULL;
        CREATE TABLE made (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, twice integer GENERATED ALWAYS AS (2) STORED)");
    passes(&trial, &REHEARSE);
    // the real target was not touched
    let tables = "SELECT 1 FROM pg_class WHERE relname IN ('t', 'u', 'p')";
    assert!(trial.target.rows(tables).is_empty());
}

#[test]
fn a_rehearsal_passes_and_leaves_nothing_from_sqlite_to_sqlite() {
    let trial = made(Engine::Sqlite, Engine::Sqlite);
    passes(&trial, &REHEARSE);
    assert!(
        trial
            .target
            .rows("SELECT name FROM sqlite_master")
            .is_empty()
    );
}

#[test]
fn a_rehearsal_passes_and_leaves_nothing_from_mysql_to_mariadb() {
    let trial = made(Engine::Mysql97, Engine::Maria118);
    passes(&trial, &REHEARSE);
    assert_eq!(left(&trial), [""; 0]);
}

#[test]
fn a_rehearsal_passes_between_engines_while_the_migration_itself_runs() {
    for (source, target) in [
        (Engine::Pg17, Engine::Sqlite),
        (Engine::Sqlite, Engine::Pg18),
    ] {
        let trial = made(source, target);
        let running = crate::switch::followed(&trial);
        let report = trial.call(&REHEARSE).expect(0).json()["report"].clone();
        assert_eq!(report["passed"], true, "{report}");
        assert_eq!(recorded(&trial)["passed"], true);
        trial
            .source
            .run("INSERT INTO t (id, a) VALUES (95001, 'on')");
        crate::switch::arrives(&trial.target, 95001, "on");
        running.ended();
        trial.assert_equal();
    }
}

#[test]
fn databases_that_are_given_are_left_empty() {
    let trial = made(Engine::Pg17, Engine::Pg17);
    let [from, to] = [(); 2].map(|()| Database::create(Engine::Pg17, trial.folder(), ""));
    let (source, target) = (from.url(), to.url());
    let words = [
        "rehearse",
        "--owner",
        "e2e",
        "--json",
        "--scratch-source",
        &source,
        "--scratch-target",
        &target,
    ];
    passes(&trial, &words);
    for database in [&from, &to] {
        let sql = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace";
        assert!(database.rows(sql).is_empty(), "{:?}", database.rows(sql));
        assert!(
            database
                .rows("SELECT 1 FROM pg_namespace WHERE nspname = 'crossfade'")
                .is_empty()
        );
    }
    // the migration's own are none
    for own in [&trial.source, &trial.target] {
        let own = own.url();
        let words = ["rehearse", "--owner", "e2e", "--scratch-target", &own];
        trial
            .call(&words)
            .expect(2)
            .says(&["rehearse.same_database"]);
    }
    // nor is one with tables of these names
    from.run("CREATE TABLE t (id integer PRIMARY KEY, x integer)");
    let words = ["rehearse", "--owner", "e2e", "--scratch-source", &source];
    trial.call(&words).expect(1).says(&["Did not pass"]);
    assert_eq!(
        from.rows("SELECT count(*) FROM t")[0][0].as_deref(),
        Some("0")
    );
}

#[test]
fn a_role_that_may_make_no_databases_is_told_how() {
    let mut trial = made(Engine::Pg15, Engine::Pg17);
    trial.least_privileges = true;
    trial
        .call(&REHEARSE)
        .expect(2)
        .says(&["CREATEDB", "--scratch-source"]);
    trial
        .call(&["log", "--json"])
        .expect(0)
        .never_says("rehearsal");
}

#[test]
fn what_did_not_pass_is_recorded_and_removed_too() {
    let trial = made(Engine::Pg15, Engine::Sqlite);
    let words = ["rehearse", "--owner", "e2e", "--json", "--within", "1ms"];
    let report = trial.call(&words).expect(1).json()["report"].clone();
    assert_eq!(report["passed"], false);
    assert!(
        report["why"]
            .as_str()
            .unwrap()
            .contains("switch.over_budget"),
        "{report}"
    );
    let detail = recorded(&trial);
    assert_eq!(detail["passed"], false);
    assert_eq!(detail["switch_ms"], Value::Null);
    assert_eq!(left(&trial), [""; 0]);
    assert!(strangers(&trial).is_empty(), "{:?}", strangers(&trial));
}

#[test]
fn a_rehearsal_that_is_interrupted_leaves_nothing() {
    for engine in [Engine::Pg17, Engine::Sqlite] {
        let trial = made(engine, engine);
        let running = trial.start(&REHEARSE);
        let there = || match engine {
            Engine::Sqlite => (strangers(&trial).iter())
                .any(|path| path.to_string_lossy().contains("_rehearsal_1_source")),
            _ => !left(&trial).is_empty(),
        };
        wait_until("the copies are made", LONG, there);
        running.interrupt();
        running.wait(LONG).expect(1).says(&["rehearse.stopped"]);
        assert_eq!(left(&trial), [""; 0]);
        assert!(strangers(&trial).is_empty(), "{:?}", strangers(&trial));
    }
}

#[test]
fn copies_that_are_kept_are_named() {
    let trial = made(Engine::Sqlite, Engine::Sqlite);
    let words = ["rehearse", "--owner", "e2e", "--json", "--keep"];
    let report = trial.call(&words).expect(0).json()["report"].clone();
    let left = report["left"].as_array().unwrap();
    assert_eq!(left.len(), 2, "{report}");
    assert!(strangers(&trial).len() >= 2);
    // the next one takes other names
    let again = trial.call(&REHEARSE).expect(0).json()["report"].clone();
    assert_ne!(report["scratch_source"], again["scratch_source"]);
}
