//! What a switch asks for: gates that are not met refuse it, with their evidence; what passes them is written down.

use crossfade_trials::binary::Outcome;
use crossfade_trials::patience::LONG;
use crossfade_trials::{Engine, Trial};
use serde_json::Value;

fn made(source: Engine, target: Engine, gates: &str) -> Trial {
    // nothing is proven but by a command
    let mut trial = Trial::new(source, target)
        .as_superuser()
        .option("reconcile_percent", 0);
    trial.gates = gates.to_owned();
    trial.source.run(
        "CREATE TABLE t (id integer PRIMARY KEY, a text);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
         INSERT INTO t SELECT i, 'a' || i FROM n;",
    );
    trial
}

fn switch(trial: &Trial, more: &[&str]) -> Outcome {
    let mut words = vec![
        "switch", "writes", "--owner", "e2e", "--within", "30s", "--json",
    ];
    words.extend(more);
    trial.call(&words)
}

/// A gate of an answer: its state.
fn state(gates: &Value, name: &str) -> String {
    let gates = gates["gates"].as_array().unwrap();
    let gate = gates.iter().find(|gate| gate["name"] == name).unwrap();
    gate["state"].as_str().unwrap().to_owned()
}

/// The codes of the findings that refused.
fn codes(outcome: &Outcome) -> Vec<String> {
    let failure = &outcome.json()["error"];
    let findings = failure["findings"].as_array().unwrap();
    let code = |finding: &Value| finding["code"].as_str().unwrap().to_owned();
    findings.iter().map(code).collect()
}

fn records(trial: &Trial, kind: &str) -> Vec<Value> {
    let log = trial.call(&["log", "--json"]).expect(0);
    let lines = log.stdout.lines();
    let records = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|record| record["kind"] == kind).collect()
}

fn unmet_gates_refuse(source: Engine, target: Engine) {
    let trial = made(source, target, "lag_window_seconds = 2\n");
    let before = trial.call(&["gates", "--json"]).expect(2);
    assert!(
        before.text().contains("switch.not_begun"),
        "{}",
        before.text()
    );
    let running = trial.following(&[]);
    // nobody has read both sides, and nobody has rehearsed
    let refused = switch(&trial, &[]).expect(2);
    assert_eq!(codes(&refused), ["gate.proof", "gate.rehearsal"]);
    trial.call(&["verify", "--json"]).expect(0);
    let gates = trial.call(&["gates", "--json"]).expect(2).json();
    assert_eq!(gates["direction"], "forward");
    assert_eq!(gates["running"], true);
    for met in [
        "lag",
        "proof",
        "quarantine",
        "strangers",
        "invertible",
        "ddl_frozen",
    ] {
        assert_eq!(state(&gates, met), "met", "{gates}");
    }
    assert_eq!(state(&gates, "rehearsal"), "unmet");
    assert_eq!(state(&gates, "shadow"), "not_configured");
    let refused = switch(&trial, &[]).expect(2);
    assert_eq!(codes(&refused), ["gate.rehearsal"]);
    // nothing was closed
    trial
        .source
        .run("INSERT INTO t VALUES (90001, 'still here')");
    let reason = "rehearsal=done by hand on a copy";
    let report = switch(&trial, &["--override", reason]).expect(0).json()["report"].clone();
    assert_eq!(report["outcome"], "done", "{report}");
    let shown = report["gates"].as_array().unwrap();
    let passed: Vec<&Value> = shown
        .iter()
        .filter(|g| !g["overridden"].is_null())
        .collect();
    assert_eq!(passed.len(), 1, "{report}");
    assert_eq!(passed[0]["name"], "rehearsal");
    assert_eq!(passed[0]["overridden"], "done by hand on a copy");
    // each judgement is in the log: three switches, two of them refused
    let judged = records(&trial, "gates");
    let refusals: Vec<u64> = judged
        .iter()
        .map(|r| r["detail"]["refused"].as_u64().unwrap())
        .collect();
    assert_eq!(refusals, [2, 1, 0], "{judged:?}");
    assert!(judged.iter().all(|record| record["who"] == "e2e"));
    running.interrupt();
    running.wait(LONG).expect(0);
    // without a run only what is durable is known, and the way is back now
    let gates = trial.call(&["gates", "--json"]).expect(2).json();
    assert_eq!(gates["direction"], "reverse");
    assert_eq!(gates["running"], false);
    assert_eq!(state(&gates, "lag"), "unknown");
    assert_eq!(state(&gates, "proof"), "unknown");
    assert_eq!(state(&gates, "rehearsal"), "not_configured");
    assert_eq!(state(&gates, "quarantine"), "met");
}

#[test]
fn gates_that_are_not_met_refuse_from_postgres_to_postgres() {
    unmet_gates_refuse(Engine::Pg15, Engine::Pg17);
}

#[test]
fn gates_that_are_not_met_refuse_from_sqlite_to_sqlite() {
    unmet_gates_refuse(Engine::Sqlite, Engine::Sqlite);
}

/// A switch without a run follows, proves, and gives authority away.
#[test]
fn a_switch_without_a_run_proves_first() {
    let gates = "lag_window_seconds = 2\nrehearsal = \"off\"\n";
    let trial = made(Engine::Sqlite, Engine::Sqlite, gates);
    trial.follow();
    let done = switch(&trial, &[]).expect(0);
    assert!(
        done.stdout.contains("\"outcome\":\"done\""),
        "{}",
        done.text()
    );
    assert!(
        done.stdout.contains("the lag is watched for another"),
        "{}",
        done.text()
    );
    trial.target.run("INSERT INTO t VALUES (90001, 'there')");
    let refused = trial.source.try_run("INSERT INTO t VALUES (90002, 'x')");
    assert!(refused.is_err());
}

/// A row that differs is no matter of opinion: overriding the gate passes what was not read, never what is known to differ.
#[test]
fn a_difference_refuses_whatever_is_overridden() {
    let gates = "lag_window_seconds = 2\nrehearsal = \"off\"\n";
    let trial = made(Engine::Pg17, Engine::Pg18, gates);
    let running = trial.following(&[]);
    trial
        .target
        .run("SET session_replication_role = replica; UPDATE t SET a = 'other' WHERE id = 7");
    trial.call(&["verify", "--json"]).expect(2);
    let gates = trial.call(&["gates", "--json"]).expect(2).json();
    assert_eq!(state(&gates, "proof"), "unmet", "{gates}");
    assert_eq!(state(&gates, "quarantine"), "unmet", "{gates}");
    let forced = [
        "--override",
        "proof=x",
        "--override",
        "quarantine=x",
        "--override",
        "strangers=x",
    ];
    let refused = switch(&trial, &forced).expect(2);
    assert_eq!(codes(&refused), ["gate.proof"], "{}", refused.text());
    trial
        .source
        .run("INSERT INTO t VALUES (90001, 'still here')");
    trial.call(&["verify", "--repair", "--json"]).expect(0);
    let report = switch(&trial, &[]).expect(0).json()["report"].clone();
    assert_eq!(report["outcome"], "done", "{report}");
    running.interrupt();
    running.wait(LONG).expect(0);
}

/// A column that only the target has would be lost on the way back: it is named before anything is closed.
#[test]
fn a_column_of_the_target_alone_refuses_by_name() {
    let gates = "lag_window_seconds = 2\nrehearsal = \"off\"\n";
    for (source, target) in [
        (Engine::Pg17, Engine::Pg15),
        (Engine::Sqlite, Engine::Sqlite),
    ] {
        let trial = made(source, target, gates);
        let running = trial.following(&[]);
        trial.call(&["verify", "--json"]).expect(0);
        trial.target.run("ALTER TABLE t ADD COLUMN extra integer");
        let refused = switch(&trial, &[]).expect(2);
        assert_eq!(codes(&refused), ["gate.invertible"]);
        assert!(refused.stdout.contains("t.extra"), "{}", refused.text());
        trial
            .source
            .run("INSERT INTO t VALUES (90001, 'still here')");
        running.interrupt();
        running.wait(LONG).expect(0);
    }
}

/// What one command writes down, another reads.
#[test]
fn a_rehearsal_lets_the_switch_through() {
    let trial = made(Engine::Sqlite, Engine::Sqlite, "lag_window_seconds = 2\n");
    let running = trial.following(&[]);
    trial.call(&["verify", "--json"]).expect(0);
    let refused = switch(&trial, &[]).expect(2);
    assert_eq!(codes(&refused), ["gate.rehearsal"]);
    trial
        .call(&["rehearse", "--owner", "e2e", "--json"])
        .expect(0);
    switch(&trial, &[]).expect(0);
    running.interrupt();
    running.wait(LONG).expect(0);
}

/// Reads that the application compares: their numbers are looked at, and only while somebody keeps them.
#[test]
fn shadow_reads_that_differ_refuse_the_switch() {
    let limits = "lag_window_seconds = 2\n\n[shadow]\nfile = \"numbers.json\"\nleast_reads = 100\ndifferent_per_million = 1000\n";
    let trial = made(Engine::Sqlite, Engine::Sqlite, limits);
    let numbers = trial.folder().join("numbers.json");
    let keep = |text: &str| std::fs::write(&numbers, text).unwrap();
    let running = trial.following(&[]);
    trial.call(&["verify", "--json"]).expect(0);
    // a rehearsal has no shadow reads to show
    trial
        .call(&["rehearse", "--owner", "e2e", "--json"])
        .expect(0);
    for (text, expected) in [
        (None, "unknown"),
        (Some("{\"compared\": 99, \"different\": 0}"), "unknown"),
        (Some("{\"compared\": 99"), "unknown"),
        (Some("{\"compared\": 10000, \"different\": 11}"), "unmet"),
        (
            Some("{\"compared\": 10000, \"different\": 10, \"since\": \"noon\"}"),
            "met",
        ),
    ] {
        text.into_iter().for_each(keep);
        let gates = trial.call(&["gates", "--json"]).json();
        assert_eq!(state(&gates, "shadow"), expected, "{text:?} {gates}");
        if expected != "met" {
            assert_eq!(codes(&switch(&trial, &[]).expect(2)), ["gate.shadow"]);
        }
    }
    // nobody has written it for a long time
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7_200);
    let file = std::fs::File::options().write(true).open(&numbers).unwrap();
    file.set_modified(long_ago).unwrap();
    let gates = trial.call(&["gates", "--json"]).json();
    assert_eq!(state(&gates, "shadow"), "unknown", "{gates}");
    // nor is it from tomorrow
    keep("{\"compared\": 20000, \"different\": 0}");
    let tomorrow = std::time::SystemTime::now() + std::time::Duration::from_secs(86_400);
    let file = std::fs::File::options().write(true).open(&numbers).unwrap();
    file.set_modified(tomorrow).unwrap();
    let gates = trial.call(&["gates", "--json"]).json();
    assert_eq!(state(&gates, "shadow"), "unknown", "{gates}");
    keep("{\"compared\": 20000, \"different\": 0}");
    switch(&trial, &[]).expect(0);
    running.interrupt();
    running.wait(LONG).expect(0);
}

/// Where the target's user may not read the log there, nobody watches: that nothing was seen is no evidence.
#[test]
fn strangers_that_nobody_watches_are_unknown() {
    for target in [Engine::Mysql97, Engine::Maria118] {
        let trial = made(
            Engine::Pg17,
            target,
            "lag_window_seconds = 2\nrehearsal = \"off\"\n",
        );
        let administrator = trial.target.mysql().own_administrator();
        let user = administrator["mysql://".len()..]
            .split(':')
            .next()
            .unwrap()
            .to_owned();
        trial.target.run(&format!(
            "REVOKE REPLICATION SLAVE ON *.* FROM '{user}'@'%'"
        ));
        let source = trial.source.url();
        let trial = trial.by_way_of(source, administrator);
        let running = trial.following(&[]);
        trial.call(&["verify", "--json"]).expect(0);
        let gates = trial.call(&["gates", "--json"]).expect(2).json();
        assert_eq!(state(&gates, "strangers"), "unknown", "{gates}");
        let grant = "GRANT REPLICATION SLAVE";
        assert!(gates.to_string().contains(grant), "{gates}");
        running.ended();
        trial
            .target
            .run(&format!("GRANT REPLICATION SLAVE ON *.* TO '{user}'@'%'"));
        let running = trial.following(&[]);
        let gates = trial.call(&["gates", "--json"]).json();
        assert_eq!(state(&gates, "strangers"), "met", "{gates}");
        running.ended();
    }
}
