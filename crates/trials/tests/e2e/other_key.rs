//! The target's primary key is another one than the source's: what tells the source's rows apart stands beside it.

use crossfade_trials::{Database, Engine, Trial};

use super::mappings::{arrives, rows};
use super::switch::{followed, report, switch};

const MAPPED: &str = r#"
[[table]]
from = "t"
key = ["uid"]
"#;

const TABLE: &str = "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, uid varchar(40) NOT NULL UNIQUE, v integer);
    INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) SELECT i, concat('u', i), 0 FROM n;";

/// The columns of the primary key; in SQLite of a unique index that stands for it.
fn primary_key(database: &Database) -> Vec<String> {
    let sql = match database {
        Database::Postgres(_) => {
            "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
             WHERE i.indrelid = 't'::regclass AND i.indisprimary"
        }
        Database::Mysql(_) => {
            "SELECT column_name FROM information_schema.key_column_usage
             WHERE table_schema = database() AND table_name = 't' AND constraint_name = 'PRIMARY'"
        }
        Database::Sqlite(_) => {
            "SELECT i.name FROM pragma_index_list('t') AS l, pragma_index_info(l.name) AS i
             WHERE l.\"unique\" = 1 AND i.name <> 'id'"
        }
    };
    rows(database, sql)
}

/// Two rows exchange what the target's primary key is over, others change it, come, go and take what was another's.
fn changes(from: u32) -> String {
    let [a, b, c, d, e] = [from, from + 1, from + 2, from + 3, from + 4];
    format!(
        "BEGIN; UPDATE t SET uid = 'between' WHERE id = {a}; UPDATE t SET uid = 'u{a}' WHERE id = {b}; UPDATE t SET uid = 'u{b}' WHERE id = {a}; COMMIT;
         DELETE FROM t WHERE id = {c}; INSERT INTO t (id, uid, v) VALUES ({c}000, 'u{c}', 1);
         UPDATE t SET id = {d}000 WHERE id = {d}; UPDATE t SET v = v + 1, uid = 'x{e}' WHERE id = {e}"
    )
}

#[track_caller]
fn assert_same(trial: &Trial) {
    let sql = "SELECT id, uid, v FROM t";
    let (source, target) = (rows(&trial.source, sql), rows(&trial.target, sql));
    assert_eq!(source.len(), 300);
    assert_eq!(source, target);
}

/// The table is made with the key that the file asks for, and everything goes there and back.
fn made(source: Engine, target: Engine) {
    let mut trial = Trial::new(source, target).as_superuser();
    trial.tables = MAPPED.to_owned();
    trial.source.run(TABLE);
    there_and_back(&trial);
}

fn there_and_back(trial: &Trial) {
    let running = followed(trial);
    assert_eq!(primary_key(&trial.target), ["uid"], "{:?}", trial.target);
    trial.source.run(&changes(10));
    arrives(&trial.target, "SELECT 1 FROM t WHERE uid = 'x14'");
    trial.call(&["verify", "--json"]).expect(0);
    assert_same(trial);
    report(switch(trial));
    trial.target.run(&changes(20));
    arrives(&trial.source, "SELECT 1 FROM t WHERE uid = 'x24'");
    trial.call(&["verify", "--json"]).expect(0);
    report(trial.call(&["rollback", "--owner", "e2e", "--within", "30s", "--json"]));
    assert_same(trial);
    trial.source.run(&changes(30));
    arrives(&trial.target, "SELECT 1 FROM t WHERE uid = 'x34'");
    trial.call(&["verify", "--json"]).expect(0);
    assert_same(trial);
    running.ended();
}

#[test]
fn another_primary_key_is_made_from_postgres_to_postgres() {
    made(Engine::Pg15, Engine::Pg17);
}

#[test]
fn another_primary_key_is_made_from_postgres_to_mysql() {
    made(Engine::Pg17, Engine::Mysql97);
}

#[test]
fn another_primary_key_is_made_from_mysql_to_mariadb() {
    made(Engine::Mysql97, Engine::Maria118);
}

#[test]
fn another_primary_key_is_made_from_mariadb_to_postgres() {
    made(Engine::Maria1011, Engine::Pg18);
}

#[test]
fn another_primary_key_is_made_from_sqlite_to_postgres() {
    made(Engine::Sqlite, Engine::Pg18);
}

#[test]
fn another_primary_key_is_made_from_mysql_to_sqlite() {
    made(Engine::Mysql97, Engine::Sqlite);
}

/// The target's key is another one: the source's rows are told apart by a unique index beside it.
#[test]
fn a_target_may_have_another_key_beside_a_unique_index_over_the_source_s() {
    for (source, target) in [
        (Engine::Sqlite, Engine::Sqlite),
        (Engine::Mysql97, Engine::Mysql97),
        (Engine::Mysql97, Engine::Maria118),
    ] {
        let trial = Trial::new(source, target).as_superuser();
        trial.source.run(
            "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, uid varchar(40) NOT NULL, v integer);
             INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) SELECT i, concat('u', i), 0 FROM n;",
        );
        trial.target.run("CREATE TABLE t (uid varchar(40) NOT NULL PRIMARY KEY, id bigint NOT NULL UNIQUE, v bigint)");
        trial.follow();
        trial.source.run(
            "UPDATE t SET uid = 'x' WHERE id = 5; DELETE FROM t WHERE id = 6; UPDATE t SET id = 1001 WHERE id = 8;
             UPDATE t SET uid = 'y' WHERE id = 9; INSERT INTO t VALUES (2000, 'u9', 1); UPDATE t SET v = 7 WHERE id = 10",
        );
        trial.verify().says(&["equal"]);
        let sql = "SELECT id, uid, v FROM t";
        assert_eq!(
            rows(&trial.source, sql),
            rows(&trial.target, sql),
            "{target:?}"
        );
        // nothing on the source keeps two rows from having one `uid`: authority stays where it is
        switch(&trial).expect(1).says(&["told apart by (uid)"]);
        trial
            .source
            .run("UPDATE t SET v = 8 WHERE id = 11; UPDATE t SET uid = 'u13' WHERE id = 12");
    }
}

/// A table that is there already, and gets its primary key as PostgreSQL's findings say: after the load.
#[test]
fn another_primary_key_of_a_table_that_was_there_leads_back() {
    for (source, target) in [
        (Engine::Pg15, Engine::Pg17),
        (Engine::Pg17, Engine::Mysql97),
        (Engine::Maria1011, Engine::Sqlite),
    ] {
        let trial = Trial::new(source, target).as_superuser();
        trial.source.run(TABLE);
        trial
            .target
            .run("CREATE TABLE t (uid varchar(40) NOT NULL, id bigint NOT NULL UNIQUE, v bigint)");
        trial.follow();
        match trial.target {
            Database::Sqlite(_) => trial.target.run("CREATE UNIQUE INDEX u ON t (uid)"),
            _ => trial.target.run("ALTER TABLE t ADD PRIMARY KEY (uid)"),
        }
        there_and_back(&trial);
    }
}
