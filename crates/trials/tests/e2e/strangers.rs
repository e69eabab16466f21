//! Writes on the target that are not the program's: told with table, key and time, by the target's own marks.

use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::{Engine, Trial};
use serde_json::{Value, json};

fn events(stdout: &str, kind: &str) -> Vec<Value> {
    let lines = stdout.lines().filter_map(|l| serde_json::from_str(l).ok());
    let events = lines.map(|line: Value| line["event"].clone());
    events.filter(|event| event["event"] == kind).collect()
}

/// Past the guard.
fn plant(trial: &Trial, sql: &str) {
    trial.target.run(&format!(
        "SET session_replication_role = replica; {sql}; RESET session_replication_role"
    ));
}

fn keys(events: &[Value]) -> Value {
    let key = |e: &Value| json!([e["table"], e["operation"], e["key"]]);
    events.iter().map(key).collect()
}

fn causes(report: &Value) -> Value {
    let differences = report["tables"][0]["differences"].as_array();
    let differences = differences.into_iter().flatten();
    differences.map(|d| json!([d["key"], d["cause"]])).collect()
}

#[test]
fn a_strangers_write_is_told_with_its_key_and_is_the_cause_of_the_difference() {
    for (source, target) in [
        (Engine::Pg15, Engine::Pg17),
        (Engine::Sqlite, Engine::Pg18),
        (Engine::Pg18, Engine::Pg15),
    ] {
        let trial = Trial::new(source, target).option("reconcile_percent", 0);
        trial.source.run(
            "CREATE TABLE t (id integer PRIMARY KEY, a text);
             INSERT INTO t VALUES (1, 'a'), (2, 'a'), (3, 'a'), (4, 'a'), (5, 'a');",
        );
        let running = trial.following(&[]);
        trial.call(&["verify"]).expect(0);
        trial
            .source
            .run("UPDATE t SET a = 'b' WHERE id = 4; INSERT INTO t VALUES (6, 'a')");
        wait_until("the changes arrive", LONG, || {
            trial
                .target
                .rows("SELECT id FROM t WHERE a = 'b' OR id = 6")
                .len()
                == 2
        });
        trial.call(&["verify", "--touched"]).expect(0);
        plant(
            &trial,
            "UPDATE t SET a = 'x' WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (9, 'x'); UPDATE t SET a = a WHERE id = 3",
        );
        wait_until("the strangers are counted", LONG, || {
            let status = trial.status();
            status["strangers"]["writes"] == 4 && status["progress"]["proof"]["everything"] == false
        });
        trial.call(&["status"]).expect(0).says(&[
            "STRANGERS have written to the target: 4 writes noted",
            "public.t: update of the row with key 1",
        ]);
        let report = trial.call(&["verify", "--touched", "--json"]).expect(2);
        let cause = json!([["1", "stranger"], ["2", "stranger"], ["9", "stranger"]]);
        assert_eq!(causes(&report.json()["report"]), cause);
        let report = trial.call(&["verify", "--json"]).expect(2);
        assert_eq!(causes(&report.json()["report"]), cause);
        trial.call(&["verify", "--repair"]).expect(0);
        assert_eq!(trial.status()["strangers"]["writes"], 4);
        let stdout = running.ended().stdout;
        let told = events(&stdout, "stranger");
        let expected = json!([
            ["public.t", "update", "1"],
            ["public.t", "delete", "2"],
            ["public.t", "insert", "9"],
            ["public.t", "update", "3"],
        ]);
        assert_eq!(keys(&told), expected, "{stdout}");
        assert!(told.iter().all(|e| e["at"].as_i64() > Some(0)));
        // without a run the target is asked; what was told is not told again, what came meanwhile is
        assert_eq!(trial.status()["strangers"]["writes"], 4);
        plant(&trial, "TRUNCATE t");
        let running = trial.following(&[]);
        wait_until("the truncate is told", LONG, || {
            running.stdout_so_far().contains("\"truncate\"")
        });
        let report = trial.call(&["verify", "--json"]).expect(2);
        assert_eq!(causes(&report.json()["report"])[0][1], "stranger");
        let stdout = running.ended().stdout;
        let told = events(&stdout, "stranger");
        assert_eq!(keys(&told), json!([["public.t", "truncate", null]]));
        trial.call(&["abort"]).expect(0);
        let left = "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'crossfade%'
                    UNION ALL SELECT nspname FROM pg_namespace WHERE nspname = 'crossfade'";
        assert!(trial.target.rows(left).is_empty());
    }
}

/// As an administrator would: the guards are taken off, and put back.
fn unguarded(trial: &Trial, table: &str, sql: &str) {
    let guards = trial.target.rows(&format!(
        "SELECT trigger_name, concat('CREATE TRIGGER `', trigger_name, '` ', action_timing, ' ', event_manipulation, ' ON {table} FOR EACH ROW ', action_statement)
         FROM information_schema.triggers WHERE event_object_table = '{table}' AND trigger_schema = database()",
    ));
    assert_eq!(guards.len(), 3);
    let texts = guards.iter().flatten().flatten();
    let texts: Vec<&str> = texts.map(String::as_str).collect();
    for guard in texts.chunks(2) {
        trial.target.run(&format!("DROP TRIGGER `{}`", guard[0]));
    }
    for statement in sql.split("; ") {
        trial.target.run(statement);
    }
    for guard in texts.chunks(2) {
        trial.target.run(guard[1]);
    }
}

fn sorted(causes: Value) -> Vec<String> {
    let causes = causes.as_array().cloned().unwrap_or_default();
    let mut causes: Vec<String> = causes.iter().map(Value::to_string).collect();
    causes.sort();
    causes
}

#[test]
fn what_passes_the_guards_of_mysql_and_mariadb_is_told_from_their_log() {
    for (source, target) in [
        (Engine::Pg17, Engine::Mysql97),
        (Engine::Mysql97, Engine::Maria1011),
    ] {
        let trial = Trial::new(source, target).option("reconcile_percent", 0);
        trial
            .source
            .run("CREATE TABLE t (id integer PRIMARY KEY, a varchar(20))");
        trial
            .source
            .run("INSERT INTO t VALUES (1, 'a'), (2, 'a'), (3, 'a'), (4, 'a'), (5, 'a')");
        let running = trial.following(&[]);
        trial.call(&["verify"]).expect(0);
        trial.source.run("UPDATE t SET a = 'b' WHERE id = 4");
        wait_until("the change arrives", LONG, || {
            !trial
                .target
                .rows("SELECT id FROM t WHERE a = 'b'")
                .is_empty()
        });
        trial.call(&["verify", "--touched"]).expect(0);
        unguarded(
            &trial,
            "t",
            "UPDATE t SET a = 'x' WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (9, 'x'); UPDATE t SET id = 13 WHERE id = 3",
        );
        wait_until("the strangers are counted", LONG, || {
            let status = trial.status();
            status["strangers"]["writes"] == 5 && status["strangers"]["unseen"] == json!([])
        });
        let report = trial.call(&["verify", "--json"]).expect(2);
        let expected = ["1", "13", "2", "3", "9"].map(|key| json!([key, "stranger"]).to_string());
        assert_eq!(sorted(causes(&report.json()["report"])), expected);
        // neither what the stream brings nor what repairs is a stranger's
        trial.call(&["verify", "--repair"]).expect(0);
        trial.source.run("UPDATE t SET a = 'c' WHERE id = 5");
        trial.call(&["verify"]).expect(0);
        assert_eq!(trial.status()["strangers"]["writes"], 5);
        let stdout = running.ended().stdout;
        let told = events(&stdout, "stranger");
        let expected = json!([
            ["t", "update", "1"],
            ["t", "delete", "2"],
            ["t", "insert", "9"],
            ["t", "update", "13"],
            ["t", "update", "3"],
        ]);
        assert_eq!(keys(&told), expected, "{stdout}");
        assert!(told.iter().all(|e| e["at"].as_i64() > Some(0)));
        // what is written while nothing runs is told by the next run, and what was told is not told again
        unguarded(&trial, "t", "INSERT INTO t VALUES (10, 'x')");
        trial.target.run("TRUNCATE t");
        assert_eq!(trial.status()["strangers"]["writes"], 5);
        let running = trial.following(&[]);
        wait_until("the truncate is told", LONG, || {
            running.stdout_so_far().contains("\"truncate\"")
        });
        let report = trial.call(&["verify", "--json"]).expect(2);
        assert_eq!(causes(&report.json()["report"])[0][1], "stranger");
        let stdout = running.ended().stdout;
        let expected = json!([["t", "insert", "10"], ["t", "truncate", null]]);
        assert_eq!(keys(&events(&stdout, "stranger")), expected, "{stdout}");
        trial.call(&["status"]).expect(0).says(&[
            "STRANGERS have written to the target: 7 writes noted",
            "t: insert of the row with key 10",
        ]);
        trial.call(&["abort"]).expect(0);
        let left = "SELECT table_name FROM information_schema.tables
                    WHERE table_schema = database() AND table_name LIKE '|_crossfade%' ESCAPE '|'";
        assert!(trial.target.rows(left).is_empty());
    }
}

/// Whatever a key is made of, the log's form of it is the one that a comparison knows the row by.
#[test]
fn a_strangers_key_in_the_log_is_that_of_the_row_that_differs() {
    let trial = Trial::new(Engine::Mysql97, Engine::Maria118).option("reconcile_percent", 0);
    trial.source.run(
        "CREATE TABLE w (b varbinary(4), d datetime(3), i timestamp(6), s varchar(10) CHARACTER SET latin1, m decimal(8,2), n bigint unsigned, v integer,
                         PRIMARY KEY (b, d, i, s, m, n))",
    );
    trial.source.run(
        "INSERT INTO w VALUES (x'00ff', '2024-01-02 03:04:05.600', '2024-01-02 03:04:05', 'ä', -1.5, 18446744073709551615, 1),
                              (x'', '2024-01-02', '2024-01-02 03:04:05.000001', '', 0, 0, 1)",
    );
    let running = trial.following(&[]);
    trial.call(&["verify"]).expect(0);
    unguarded(&trial, "w", "UPDATE w SET v = 2");
    wait_until("the strangers are counted", LONG, || {
        trial.status()["strangers"]["writes"] == 2
    });
    let report = trial.call(&["verify", "--json"]).expect(2);
    let found = sorted(causes(&report.json()["report"]));
    let stdout = running.ended().stdout;
    let told = events(&stdout, "stranger");
    let told: Vec<&str> = told.iter().filter_map(|e| e["key"].as_str()).collect();
    let whole = r"\x00ff, 2024-01-02 03:04:05.600, 2024-01-02 03:04:05.000000+00, ä, -1.50, 18446744073709551615";
    assert!(told.contains(&whole), "{told:?}");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found.iter().all(|row| row.ends_with("\"stranger\"]")),
        "{found:?}"
    );
}

#[test]
fn marks_that_somebody_takes_off_are_told_once() {
    for (source, target, off, table) in [
        (
            Engine::Pg15,
            Engine::Pg17,
            "ALTER TABLE t DISABLE TRIGGER crossfade_stranger",
            "public.t",
        ),
        (
            Engine::Sqlite,
            Engine::Sqlite,
            "DROP TRIGGER _crossfade_guard_update_t",
            "t",
        ),
    ] {
        let trial = Trial::new(source, target).option("reconcile_percent", 0);
        trial
            .source
            .run("CREATE TABLE t (id integer PRIMARY KEY, a text)");
        let running = trial.following(&[]);
        trial.call(&["verify"]).expect(0);
        trial.target.run(off);
        wait_until("it is noticed", LONG, || {
            let status = trial.status();
            status["strangers"]["unseen"] == json!([table])
                && status["progress"]["proof"]["everything"] == false
        });
        trial
            .call(&["status"])
            .expect(0)
            .says(&["can no longer be seen"]);
        trial.call(&["verify"]).expect(0);
        let stdout = running.ended().stdout;
        let about = |stdout: &str| {
            let warnings = events(stdout, "warning").into_iter();
            let about =
                warnings.filter(|w| w["what"].as_str().is_some_and(|w| w.contains("strangers")));
            about.count()
        };
        assert_eq!(about(&stdout), 1, "{stdout}");
        assert_eq!(trial.status()["strangers"]["unseen"], json!([table]));
        let running = trial.following(&[]);
        wait_until("it is seen again", LONG, || {
            trial.status()["strangers"]["unseen"] == json!([])
        });
        assert_eq!(about(&running.ended().stdout), 1);
        trial.call(&["abort"]).expect(0);
    }
}
