//! MySQL and MariaDB are two: what one prints is made on the other in its own words.

use crossfade_trials::{Engine, Trial};

use super::mappings::{arrives, rows};
use super::switch::{followed, report, switch};

/// Tables with the server's own newest collation, in a key too, and a hidden column: made, followed, switched and rolled back.
fn there_and_back(source: Engine, target: Engine) {
    let trial = Trial::new(source, target).as_superuser();
    trial.source.run(
        "CREATE TABLE t (code varchar(20) NOT NULL PRIMARY KEY, name varchar(20) NOT NULL UNIQUE, note text, old varchar(20) CHARACTER SET utf8mb3, hidden integer INVISIBLE DEFAULT 3);
         INSERT INTO t (code, name, note) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
             SELECT concat('c', i), concat('Né', i), 'COLLATE utf8mb4_0900_ai_ci' FROM n;",
    );
    let running = followed(&trial);
    let all = "SELECT code, name, note, hidden FROM t";
    trial.source.run("UPDATE t SET code = 'C1' WHERE code = 'c1'; UPDATE t SET name = 'x', hidden = 4 WHERE code = 'c2'; DELETE FROM t WHERE code = 'C3'");
    trial
        .source
        .run("INSERT INTO t (code, name) VALUES ('last', 'Last')");
    arrives(&trial.target, "SELECT 1 FROM t WHERE code = 'LAST'");
    trial.call(&["verify", "--json"]).expect(0);
    assert_eq!(rows(&trial.source, all), rows(&trial.target, all));
    // hidden there too, and compared as on the source
    assert_eq!(
        trial.target.rows("SELECT * FROM t WHERE code = 'C4'")[0].len(),
        4
    );
    report(switch(&trial));
    trial.target.run(
        "UPDATE t SET name = 'y' WHERE name = 'X'; INSERT INTO t (code, name) VALUES ('back', 'b')",
    );
    arrives(&trial.source, "SELECT 1 FROM t WHERE code = 'BACK'");
    report(trial.call(&["rollback", "--owner", "e2e", "--within", "30s", "--json"]));
    trial.call(&["verify", "--json"]).expect(0);
    assert_eq!(rows(&trial.source, all), rows(&trial.target, all));
    running.ended();
}

#[test]
fn tables_of_mariadb_118_are_made_on_mysql() {
    there_and_back(Engine::Maria118, Engine::Mysql97);
}

#[test]
fn tables_of_mysql_are_made_on_mariadb_1011() {
    there_and_back(Engine::Mysql97, Engine::Maria1011);
}

/// Types that the other flavor lacks are told by `plan`, and kept in a table that is made by hand.
#[test]
fn types_that_the_other_flavor_lacks_are_refused_or_kept_as_text() {
    let trial = Trial::new(Engine::Maria118, Engine::Mysql97).as_superuser();
    trial.source.run(
        "CREATE TABLE t (id uuid NOT NULL PRIMARY KEY, six inet6, four inet4);
         INSERT INTO t VALUES ('123e4567-e89b-12d3-a456-426614174000', '::1', '1.2.3.4'), ('123e4567-e89b-12d3-a456-426614174001', NULL, NULL);",
    );
    trial
        .call(&["plan"])
        .expect(2)
        .says(&["mysql.type", "id uuid", "six inet6", "four inet4"]);
    trial.target.run("CREATE TABLE t (id char(36) NOT NULL PRIMARY KEY, six varchar(45), four varchar(45)) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin");
    trial.follow();
    trial.source.run(
        "INSERT INTO t VALUES ('223e4567-e89b-12d3-a456-426614174000', 'fe80::2', '10.0.0.1'); UPDATE t SET six = '::2' WHERE four = '1.2.3.4';
         DELETE FROM t WHERE four IS NULL",
    );
    trial.verify().says(&["equal"]);
    let sql = "SELECT id, six, four FROM t";
    assert_eq!(rows(&trial.source, sql), rows(&trial.target, sql));
}
