//! Authority changes hands, and back, and again, under a running `run`.

use crossfade_trials::binary::{Outcome, Running};
use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::{Database, Engine, Trial};
use serde_json::Value;

const ROWS: u32 = 2_000;

pub(crate) fn made(source: Engine, target: Engine) -> Trial {
    let trial = Trial::new(source, target).as_superuser();
    if source.is_mysql() {
        // MariaDB writes no cascades to its log
        trial.source.run(&format!(
            "CREATE TABLE t (id integer PRIMARY KEY, a text, b boolean, n numeric(12, 2));
             CREATE TABLE u (id integer PRIMARY KEY, t integer, a text, FOREIGN KEY (t) REFERENCES t (id));
             INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
                 SELECT i, 'a' || i, i % 2 = 0, i FROM n;
             INSERT INTO u SELECT id, id, a FROM t WHERE id < 100;"
        ));
        return trial;
    }
    let actions = if target.is_mariadb() {
        ""
    } else {
        "ON DELETE CASCADE"
    };
    trial.source.run(&format!(
        "CREATE TABLE t (id integer PRIMARY KEY, a text, b boolean, n numeric(12, 2));
         CREATE TABLE u (id integer PRIMARY KEY, t integer REFERENCES t (id) {actions}, a text);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         INSERT INTO t SELECT i, 'a' || i, i % 2 = 0, i FROM n;
         INSERT INTO u SELECT id, id, a FROM t WHERE id < 100;"
    ));
    trial
}

pub(crate) fn followed(trial: &Trial) -> Running {
    let running = trial.following(&[]);
    trial.call(&["verify", "--json"]).expect(0);
    running
}

pub(crate) fn switch(trial: &Trial) -> Outcome {
    trial.call(&[
        "switch", "writes", "--owner", "e2e", "--within", "30s", "--json",
    ])
}

pub(crate) fn rollback(trial: &Trial) -> Outcome {
    trial.call(&["rollback", "--owner", "e2e", "--within", "30s", "--json"])
}

pub(crate) fn report(outcome: Outcome) -> Value {
    let report = outcome.expect(0).json()["report"].clone();
    assert_eq!(report["outcome"], "done", "{report}");
    assert!(report["pause"]["measured_ms"].is_u64(), "{report}");
    assert!(report["fence_cost_us"].is_u64(), "{report}");
    report
}

pub(crate) fn refuses(database: &Database, sql: &str) {
    let refused = database.try_run(sql);
    let why = refused.expect_err("a closed store took a write");
    assert!(why.contains("crossfade"), "{why}");
}

pub(crate) fn arrives(database: &Database, id: u32, a: &str) {
    let sql = format!("SELECT 1 FROM t WHERE id = {id} AND a = '{a}'");
    wait_until("the change arrives", LONG, || {
        database.rows(&sql).len() == 1
    });
}

fn there_and_back_and_there_again(source: Engine, target: Engine) {
    let trial = made(source, target);
    // what MySQL calls boolean is a small integer, on whatever it is moved to
    let truth = |sql: &str| match source.is_mysql() {
        true => sql.replace("true", "1").replace("false", "0"),
        false => sql.to_owned(),
    };
    let running = followed(&trial);
    refuses(&trial.target, "INSERT INTO t (id, a) VALUES (90001, 'x')");
    trial
        .call(&[
            "switch",
            "writes",
            "--owner",
            "e2e",
            "--within",
            "30s",
            "--dry-run",
        ])
        .expect(0)
        .says(&["µs a statement"]);
    report(switch(&trial));
    refuses(&trial.source, "INSERT INTO t (id, a) VALUES (90002, 'x')");
    refuses(&trial.source, "UPDATE t SET a = 'x' WHERE id = 1");
    trial.target.run(&truth(
            "INSERT INTO t VALUES (91001, 'there', true, 1.5);
             UPDATE t SET a = 'changed', b = false WHERE id = 5; UPDATE t SET id = 91002 WHERE id = 1500;
             DELETE FROM u WHERE id = 7; DELETE FROM t WHERE id = 7",
        ));
    arrives(&trial.source, 91001, "there");
    arrives(&trial.source, 5, "changed");
    trial.call(&["verify", "--json"]).expect(0);
    report(rollback(&trial));
    refuses(&trial.target, "INSERT INTO t (id, a) VALUES (90003, 'x')");
    trial
            .source
            .run(&truth("INSERT INTO t VALUES (92001, 'back', false, 2); DELETE FROM u WHERE id = 8; DELETE FROM t WHERE id = 8"));
    arrives(&trial.target, 92001, "back");
    trial.call(&["verify", "--json"]).expect(0);
    report(switch(&trial));
    trial
        .target
        .run(&truth("INSERT INTO t VALUES (93001, 'again', true, 3)"));
    arrives(&trial.source, 93001, "again");
    refuses(&trial.source, "DELETE FROM t WHERE id = 93001");
    running.ended();
    trial.assert_equal();
}

/// No write is lost, on either side.
#[test]
fn authority_goes_there_and_back_from_postgres_to_postgres() {
    there_and_back_and_there_again(Engine::Pg15, Engine::Pg17);
}

#[test]
fn authority_goes_there_and_back_from_sqlite_to_sqlite() {
    there_and_back_and_there_again(Engine::Sqlite, Engine::Sqlite);
}

#[test]
fn authority_goes_there_and_back_from_postgres_to_sqlite() {
    there_and_back_and_there_again(Engine::Pg17, Engine::Sqlite);
}

#[test]
fn authority_goes_there_and_back_from_mysql_to_mysql() {
    there_and_back_and_there_again(Engine::Mysql97, Engine::Mysql97);
}

#[test]
fn authority_goes_there_and_back_from_mysql_to_postgres() {
    there_and_back_and_there_again(Engine::Mysql97, Engine::Pg18);
}

#[test]
fn authority_goes_there_and_back_from_mysql_to_sqlite() {
    there_and_back_and_there_again(Engine::Mysql97, Engine::Sqlite);
}

#[test]
fn authority_goes_there_and_back_from_mysql_to_mariadb_118() {
    there_and_back_and_there_again(Engine::Mysql97, Engine::Maria118);
}

#[test]
fn authority_goes_there_and_back_from_mariadb_1011_to_118() {
    there_and_back_and_there_again(Engine::Maria1011, Engine::Maria118);
}

#[test]
fn authority_goes_there_and_back_from_mariadb_118_to_postgres() {
    there_and_back_and_there_again(Engine::Maria118, Engine::Pg17);
}

#[test]
fn authority_goes_there_and_back_from_mariadb_1011_to_sqlite() {
    there_and_back_and_there_again(Engine::Maria1011, Engine::Sqlite);
}

#[test]
fn authority_goes_there_and_back_from_mariadb_1011_to_mysql() {
    there_and_back_and_there_again(Engine::Maria1011, Engine::Mysql97);
}

#[test]
fn authority_goes_there_and_back_from_postgres_to_mysql() {
    there_and_back_and_there_again(Engine::Pg15, Engine::Mysql97);
}

#[test]
fn authority_goes_there_and_back_from_postgres_to_mariadb_118() {
    there_and_back_and_there_again(Engine::Pg17, Engine::Maria118);
}

#[test]
fn authority_goes_there_and_back_from_sqlite_to_mysql() {
    there_and_back_and_there_again(Engine::Sqlite, Engine::Mysql97);
}

#[test]
fn authority_goes_there_and_back_from_sqlite_to_mariadb_1011() {
    there_and_back_and_there_again(Engine::Sqlite, Engine::Maria1011);
}

#[test]
fn authority_goes_there_and_back_from_sqlite_to_postgres() {
    there_and_back_and_there_again(Engine::Sqlite, Engine::Pg18);
}
