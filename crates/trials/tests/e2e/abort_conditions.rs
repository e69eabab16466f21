//! What `[abort_conditions]` says is done by itself after a switch of writes, and no more than that.

use crossfade_trials::binary::Running;
use crossfade_trials::database::Database;
use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::{Engine, Trial};

use crate::switch::{arrives, followed, refuses, switch};

/// After a switch, with these conditions and a write that has come back.
fn switched(source: Engine, target: Engine, conditions: &str) -> (Trial, Running) {
    let mut trial = Trial::new(source, target)
        .as_superuser()
        .option("reconcile_percent", 50);
    trial.source.run(
        "CREATE TABLE t (id integer PRIMARY KEY, a text);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
         INSERT INTO t SELECT i, 'a' || i FROM n;",
    );
    trial.tables = format!("[abort_conditions]\n{conditions}");
    let running = followed(&trial);
    switch(&trial).expect(0);
    trial.target.run("INSERT INTO t VALUES (90001, 'there')");
    arrives(&trial.source, 90001, "there");
    assert_eq!(trial.status()["writes"], "target");
    (trial, running)
}

fn alarmed(running: &Running, condition: &str) -> bool {
    let word = format!("\"condition\":\"{condition}\"");
    let said = running.stdout_so_far();
    said.lines()
        .any(|line| line.contains("\"alarm\"") && line.contains(&word))
}

fn recorded(trial: &Trial, kind: &str) -> usize {
    let log = trial.call(&["log", "--json"]).expect(0).stdout;
    log.matches(&format!("\"kind\":\"{kind}\"")).count()
}

/// Authority is at the source again, once, and the stores are equal.
fn taken_back(trial: &Trial, running: Running, condition: &str) {
    wait_until("authority goes back", LONG, || {
        trial.status()["writes"] == "source"
    });
    assert!(alarmed(&running, condition), "{}", running.stdout_so_far());
    assert_eq!(recorded(trial, "abort_condition"), 1);
    assert_eq!(recorded(trial, "abort_condition.rollback"), 1);
    trial.source.run("INSERT INTO t VALUES (90002, 'back')");
    refuses(&trial.target, "INSERT INTO t VALUES (90003, 'x')");
    arrives(&trial.target, 90002, "back");
    trial.call(&["verify", "--json"]).expect(0);
    running.ended();
    trial.assert_equal();
}

/// Changes a row of a closed PostgreSQL store behind everything that guards it, as a bug in the way back would.
fn plant(database: &Database) {
    let triggers = "SELECT string_agg(format('ALTER TABLE t %s TRIGGER %I', word, tgname), ';')
        FROM pg_trigger WHERE tgrelid = 't'::regclass AND NOT tgisinternal";
    let each = |word: &str| {
        let sql = triggers.replace("word,", &format!("'{word}',"));
        database.text(&sql).unwrap()
    };
    database.run(&format!(
        "BEGIN; SET LOCAL event_triggers = off; {}; UPDATE t SET a = 'planted' WHERE id = 7; {}; COMMIT",
        each("DISABLE"),
        each("ENABLE ALWAYS")
    ));
}

#[test]
fn a_difference_takes_authority_back_where_drift_says_so() {
    let (trial, running) = switched(Engine::Pg17, Engine::Pg15, "drift = \"rollback\"\n");
    plant(&trial.source);
    taken_back(&trial, running, "drift");
    let sql = "SELECT 1 FROM t WHERE id = 7 AND a = 'a7'";
    assert_eq!(trial.source.rows(sql).len(), 1);
}

/// The file asks for a rollback on everything else.
#[test]
fn a_difference_is_only_told_where_drift_says_no_more() {
    let (trial, running) = switched(
        Engine::Pg17,
        Engine::Pg15,
        "action = \"rollback\"\nreverse_lag_seconds = 600\n",
    );
    plant(&trial.source);
    wait_until("it is told", LONG, || alarmed(&running, "drift"));
    // whatever was to be done by itself would be done by the time that all is read once more
    trial.call(&["verify", "--json"]).expect(2);
    assert_eq!(trial.status()["writes"], "target");
    assert_eq!(recorded(&trial, "abort_condition"), 1);
    assert_eq!(recorded(&trial, "abort_condition.rollback"), 0);
    trial.target.run("INSERT INTO t VALUES (90002, 'still')");
    arrives(&trial.source, 90002, "still");
    running.ended();
}

#[test]
fn a_slow_probe_takes_authority_back_where_action_says_so() {
    let (trial, running) = switched(
        Engine::Pg15,
        Engine::Pg17,
        "action = \"rollback\"\n[abort_conditions.probe]\nquery = \"SELECT pg_sleep(seconds) FROM health\"\n\
         every_seconds = 2\nwindow_seconds = 2\nlatency_milliseconds = 400\n",
    );
    // its answers are errors before, which this file has no limit for
    trial
        .target
        .run("CREATE TABLE health (seconds double precision); INSERT INTO health VALUES (0)");
    wait_until("the probe is asked", LONG, || {
        let sql = "SELECT 1 FROM pg_stat_user_tables WHERE relname = 'health' AND seq_scan > 2";
        trial.target.rows(sql).len() == 1
    });
    assert!(!alarmed(&running, "probe"), "too early");
    trial.target.run("UPDATE health SET seconds = 0.8");
    taken_back(&trial, running, "probe");
}

#[test]
fn a_failing_probe_is_only_told_where_action_says_no_more() {
    let (trial, running) = switched(
        Engine::Sqlite,
        Engine::Sqlite,
        "[abort_conditions.probe]\nquery = \"SELECT a FROM nowhere\"\nevery_seconds = 1\nwindow_seconds = 2\nerror_percent = 50\n",
    );
    wait_until("it is told", LONG, || alarmed(&running, "probe"));
    trial.call(&["verify", "--json"]).expect(0);
    assert_eq!(trial.status()["writes"], "target");
    assert_eq!(recorded(&trial, "abort_condition.rollback"), 0);
    trial.target.run("INSERT INTO t VALUES (90002, 'still')");
    running.ended();
}

/// The old side's applier waits behind somebody who has the table.
#[test]
fn a_way_back_that_lags_takes_authority_back_once_it_can_drain() {
    let (trial, running) = switched(
        Engine::Pg15,
        Engine::Pg17,
        "action = \"rollback\"\nreverse_lag_seconds = 1\n",
    );
    let mut holder = trial.source.postgres().client();
    holder
        .batch_execute("BEGIN; LOCK TABLE t IN SHARE MODE")
        .unwrap();
    trial.target.run("INSERT INTO t VALUES (90004, 'late')");
    wait_until("it is told", LONG, || alarmed(&running, "reverse_lag"));
    assert_eq!(trial.status()["writes"], "target");
    holder.batch_execute("COMMIT").unwrap();
    taken_back(&trial, running, "reverse_lag");
    arrives(&trial.source, 90004, "late");
}
