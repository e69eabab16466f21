//! Whole transactions: big ones, parts rolled back, unique values that change hands, cascades.

use crossfade_trials::compare::shape;
use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::{Engine, Trial};

#[test]
fn rolled_back_savepoints_of_big_transactions_leave_nothing() {
    for (source, target) in [(Engine::Pg15, Engine::Pg17), (Engine::Pg18, Engine::Sqlite)] {
        // beyond a batch, and beyond what the server keeps in memory while it decodes
        let trial = Trial::new(source, target).option("batch_changes", 500);
        trial.source.run(
            "CREATE TABLE t (k integer PRIMARY KEY, v text);
             INSERT INTO t SELECT i, 'first' FROM generate_series(1, 500) i",
        );
        let name = trial.source.postgres().name();
        trial.source.run(&format!(
            "ALTER DATABASE {name} SET logical_decoding_work_mem = '64kB'"
        ));
        trial.change_at_every_stage(|stage| {
            let from = 1000 * (1 + stage);
            format!(
                "BEGIN;
                 INSERT INTO t SELECT i, repeat('kept', 20) FROM generate_series({from}, {from} + 399) i;
                 SAVEPOINT a;
                 INSERT INTO t SELECT -i, repeat('lost', 20) FROM generate_series({from}, {from} + 3000) i;
                 UPDATE t SET v = 'lost' WHERE k < 500;
                 SAVEPOINT b;
                 DELETE FROM t WHERE k % 2 = 0;
                 RELEASE b;
                 SAVEPOINT c;
                 DELETE FROM t;
                 ROLLBACK TO c;
                 ROLLBACK TO a;
                 UPDATE t SET v = 'after {stage}' WHERE k % 3 = {stage};
                 SAVEPOINT d;
                 UPDATE t SET k = k + 100000 WHERE k % 7 = {stage};
                 RELEASE d;
                 COMMIT;
                 BEGIN; DELETE FROM t; ROLLBACK;"
            )
        });
    }
}

#[test]
fn a_transaction_of_many_batches_is_one_on_the_target() {
    let trial = Trial::new(Engine::Pg15, Engine::Pg17).option("batch_changes", 200);
    trial
        .source
        .run("CREATE TABLE t (k integer PRIMARY KEY, v integer); INSERT INTO t VALUES (0, 0)");
    trial.follow();
    let running = trial.start(&["run"]);
    trial
        .source
        .run("INSERT INTO t SELECT i, 1 FROM generate_series(1, 20000) i");
    // readers see all of it or nothing
    crossfade_trials::patience::wait_until("the rows", crossfade_trials::patience::LONG, || {
        let rows = trial.target.number("SELECT count(*) FROM t");
        assert!(rows == 1 || rows == 20_001, "{rows} rows of a transaction");
        rows > 1
    });
    running.interrupt();
    running.wait(crossfade_trials::patience::LONG).expect(0);
    trial.assert_equal();
}

#[test]
fn a_sqlite_transaction_of_many_batches_is_followed() {
    let trial = Trial::new(Engine::Sqlite, Engine::Pg18).option("batch_changes", 200);
    trial
        .source
        .run("CREATE TABLE t (k INTEGER PRIMARY KEY, v INTEGER); INSERT INTO t VALUES (0, 0)");
    trial.follow();
    trial.source.run(
        "BEGIN;
         INSERT INTO t WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 20000) SELECT i, 1 FROM s;
         SAVEPOINT a; DELETE FROM t; ROLLBACK TO a;
         UPDATE t SET v = 2 WHERE k % 2 = 0;
         DELETE FROM t WHERE k % 3 = 0;
         COMMIT",
    );
    trial.verify();
    trial.assert_equal();
}

#[test]
fn unique_values_change_hands_within_a_transaction_and_a_batch() {
    for (source, target) in [(Engine::Pg15, Engine::Pg17), (Engine::Pg17, Engine::Sqlite)] {
        let trial = Trial::new(source, target)
            .option("chunk_rows", 100)
            .option("batch_milliseconds", 500);
        trial.source.run(
            "CREATE TABLE t (k integer PRIMARY KEY, u integer UNIQUE, d integer UNIQUE DEFERRABLE INITIALLY DEFERRED, v text);
             CREATE UNIQUE INDEX t_lower ON t (lower(v)) WHERE v IS NOT NULL;
             INSERT INTO t SELECT i, i, i, 'V' || i FROM generate_series(1, 500) i",
        );
        trial.change_at_every_stage(|stage| {
            let (a, b) = (10 + stage * 20, 400 + stage * 20);
            format!(
                "BEGIN; UPDATE t SET u = -1 WHERE k = {a}; UPDATE t SET u = {a} WHERE k = {b};
                 UPDATE t SET u = {b} WHERE k = {a}; COMMIT;
                 UPDATE t SET d = CASE k WHEN {a} + 1 THEN {b} + 1 ELSE {a} + 1 END WHERE k IN ({a} + 1, {b} + 1);
                 BEGIN; DELETE FROM t WHERE k = {a} + 2; INSERT INTO t VALUES ({a} + 900, {a} + 2, {a} + 2, 'v' || ({a} + 2)); COMMIT;
                 UPDATE t SET u = NULL WHERE k = {a} + 3; UPDATE t SET u = {a} + 3 WHERE k = {b} + 3;
                 UPDATE t SET v = NULL WHERE k = {a} + 4; UPDATE t SET v = upper('v' || ({a} + 4)) WHERE k = {b} + 4;
                 UPDATE t SET k = -k WHERE k = {a} + 5; INSERT INTO t VALUES ({a} + 5, NULL, NULL, NULL);"
            )
        });
        if target != Engine::Sqlite {
            shape::assert_same(&trial.source, &trial.target);
        }
    }
}

#[test]
fn sqlite_unique_values_change_hands_and_replace_removes_rows_without_a_word() {
    for target in [Engine::Sqlite, Engine::Pg17] {
        let trial = Trial::new(Engine::Sqlite, target).option("chunk_rows", 100);
        trial.source.run(
            "CREATE TABLE t (k INTEGER PRIMARY KEY, u INTEGER UNIQUE, v TEXT);
             CREATE UNIQUE INDEX t_v ON t (v) WHERE v IS NOT NULL;
             INSERT INTO t WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 500)
             SELECT i, i, 'v' || i FROM s",
        );
        trial.change_at_every_stage(|stage| {
            let (a, b) = (10 + stage * 20, 400 + stage * 20);
            format!(
                "BEGIN; UPDATE t SET u = -1 WHERE k = {a}; UPDATE t SET u = {a} WHERE k = {b};
                 UPDATE t SET u = {b} WHERE k = {a}; COMMIT;
                 REPLACE INTO t VALUES ({a} + 900, {a} + 1, 'new {stage}');
                 REPLACE INTO t VALUES ({a} + 2, {b} + 2, 'v' || ({b} + 3));
                 UPDATE OR REPLACE t SET u = {b} + 5 WHERE k = {a} + 5;
                 UPDATE OR REPLACE t SET k = {b} + 6 WHERE k = {a} + 6;
                 INSERT INTO t VALUES ({a} + 7, 0, 'x') ON CONFLICT (k) DO UPDATE SET v = 'upserted {stage}';"
            )
        });
    }
}

#[test]
fn unique_values_change_hands_within_a_transaction_of_many_batches() {
    for (source, target) in [
        (Engine::Sqlite, Engine::Sqlite),
        (Engine::Sqlite, Engine::Pg18),
        (Engine::Pg15, Engine::Pg17),
        (Engine::Pg17, Engine::Sqlite),
    ] {
        let trial = Trial::new(source, target).option("batch_changes", 100);
        let deferrable = if source == Engine::Sqlite {
            ""
        } else {
            "DEFERRABLE"
        };
        trial.source.run(&format!(
            "CREATE TABLE t (k integer PRIMARY KEY, u integer UNIQUE {deferrable}, v text);
             INSERT INTO t WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 2000)
             SELECT i, i, 'v' || i FROM s"
        ));
        trial.follow();
        // each row takes the value of its neighbour
        trial.source.run(if source == Engine::Sqlite {
            "BEGIN; UPDATE t SET u = -u; UPDATE t SET u = 1 - u; DELETE FROM t WHERE k = 7;
             UPDATE t SET u = 8 WHERE k = 1999; COMMIT"
        } else {
            "BEGIN; UPDATE t SET u = u + 1; DELETE FROM t WHERE k = 7; UPDATE t SET u = 8 WHERE k = 1999; COMMIT"
        });
        trial.follow();
        trial.assert_equal();
    }
}

#[test]
fn foreign_keys_cascade_on_the_source_and_once_on_the_target() {
    let make = |serial: &str| {
        format!(
            "CREATE TABLE boss (k {serial} PRIMARY KEY, above integer REFERENCES boss ON DELETE SET NULL ON UPDATE CASCADE, v text);
             CREATE TABLE job (k {serial} PRIMARY KEY, boss integer REFERENCES boss ON DELETE CASCADE ON UPDATE CASCADE);
             CREATE TABLE task (k {serial} PRIMARY KEY, job integer NOT NULL REFERENCES job ON DELETE CASCADE ON UPDATE CASCADE);"
        )
    };
    let fill = "INSERT INTO boss WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 300)
                SELECT i, CASE WHEN i > 1 THEN i / 2 END, 'v' FROM s;
                INSERT INTO job SELECT k, k FROM boss;
                INSERT INTO task SELECT k, k FROM job;
                INSERT INTO task SELECT k + 1000, k FROM job;";
    for (source, target) in [
        (Engine::Pg15, Engine::Pg17),
        (Engine::Pg17, Engine::Sqlite),
        (Engine::Sqlite, Engine::Sqlite),
        (Engine::Sqlite, Engine::Pg18),
    ] {
        let trial = Trial::new(source, target).option("chunk_rows", 100);
        trial.source.run(&make("integer"));
        trial.source.run(fill);
        trial.change_at_every_stage(|stage| {
            format!(
                "DELETE FROM boss WHERE k % 10 = {stage};
                 UPDATE boss SET k = k + 10000 WHERE k % 10 = {0} AND k < 1000;
                 DELETE FROM job WHERE k % 10 = {1};
                 UPDATE job SET k = k + 20000 WHERE k % 10 = {2} AND k < 1000;",
                stage + 3,
                stage + 4,
                stage + 5
            )
        });
        if source != Engine::Sqlite && target != Engine::Sqlite {
            shape::assert_same(&trial.source, &trial.target);
        }
    }
}

#[test]
fn transactions_that_were_read_and_are_not_durable_are_counted_as_lag() {
    let trial = Trial::new(Engine::Pg15, Engine::Pg17);
    trial
        .source
        .run("CREATE TABLE t (k integer PRIMARY KEY); INSERT INTO t VALUES (0)");
    trial.follow();
    let epoch = trial.status()["progress"]["epoch"].clone();
    let progress = |what: &str| trial.status()["progress"][what].clone();
    let lag = || progress("lag")["transactions"].as_u64();
    let running = trial.start(&["run"]);
    wait_until("the run follows", LONG, || {
        progress("epoch") != epoch && progress("activity") == "following"
    });
    // nothing can be written to the table meanwhile
    let mut client = trial.target.postgres().client();
    client.batch_execute("BEGIN; LOCK TABLE t").unwrap();
    for k in 1..=7 {
        trial.source.run(&format!("INSERT INTO t VALUES ({k})"));
    }
    wait_until("all of them wait", LONG, || lag() == Some(7));
    client.batch_execute("COMMIT").unwrap();
    wait_until("none waits", LONG, || lag() == Some(0));
    running.interrupt();
    running.wait(LONG).expect(0);
    trial.assert_equal();
}
