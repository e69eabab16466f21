//! Several mappings share one table, each with its part of the rows or of the columns: the exact statements that took one part's
//! rows for another's.

use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::{Database, Engine, Trial};

use super::mappings::{arrives, rows};
use super::switch::{followed, report, rollback, switch};

/// `people` is split by columns, `items` by rows; `note` stays behind.
const PARTS: &str = r#"
[[table]]
from = "people"
to = "person"
drop = ["street"]

[[table]]
from = "people"
to = "address"
drop = ["name"]

[[table]]
from = "items"
to = "a"
where = "kind = 1"
drop = ["note"]

[[table]]
from = "items"
to = "b"
where = "kind = 2"
drop = ["note"]
"#;

/// `berlin` and `paris` are merged, and told apart by their `kind`.
const MERGED: &str = r#"
[[table]]
from = "berlin"
to = "shops"
target_where = "kind = 1"

[[table]]
from = "paris"
to = "shops"
target_where = "kind = 2"
"#;

fn made(source: Engine, target: Engine) -> Trial {
    let mut trial = Trial::new(source, target).as_superuser();
    trial.tables = PARTS.to_owned();
    trial.source.run(
        "CREATE TABLE people (id integer NOT NULL PRIMARY KEY, name varchar(40), street varchar(40));
         CREATE TABLE items (id integer NOT NULL PRIMARY KEY, kind integer NOT NULL, note varchar(40) DEFAULT 'none');
         INSERT INTO people WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) SELECT i, concat('n', i), concat('s', i) FROM n;
         INSERT INTO items SELECT id, 1 + id % 2, concat('note', id) FROM people;",
    );
    trial
}

/// Proven, switched, and proven the other way round.
fn over(trial: &Trial) -> crossfade_trials::binary::Running {
    let running = followed(trial);
    report(switch(trial));
    trial.call(&["verify", "--json"]).expect(0);
    running
}

/// What the source has under a key: nothing, or the row.
#[track_caller]
fn becomes(database: &Database, sql: &str, expected: &[&str]) {
    wait_until(&format!("{sql} is {expected:?}"), LONG, || {
        rows(database, sql) == expected
    });
}

/// A row is not there any more as one part says, and is as the other says: no proof passes that.
fn one_part_goes(statement: &str, source: Engine, target: Engine) {
    let trial = made(source, target);
    let running = over(&trial);
    let row = "SELECT name, street FROM people WHERE id = 5";
    trial.target.run(statement);
    becomes(&trial.source, row, &[]);
    let refused = rollback(&trial);
    assert_ne!(refused.code, Some(0), "{statement}: {}", refused.text());
    // the row as it is on the store that takes writes
    assert_eq!(
        rows(&trial.target, "SELECT name FROM person WHERE id = 5"),
        ["n5"]
    );
    trial
        .call(&["verify", "--json"])
        .expect(2)
        .says(&["person"]);
    // the other part goes as well: that is a whole row's delete
    trial.target.run(&statement.replace("address", "person"));
    trial.call(&["verify", "--json"]).expect(0);
    report(rollback(&trial));
    assert_eq!(rows(&trial.source, row), [""; 0]);
    running.ended();
}

#[test]
fn a_delete_of_one_part_of_a_row_is_a_difference_of_the_other_part() {
    one_part_goes(
        "DELETE FROM address WHERE id = 5",
        Engine::Pg15,
        Engine::Pg18,
    );
    one_part_goes(
        "DELETE FROM address WHERE id = 5",
        Engine::Sqlite,
        Engine::Mysql97,
    );
}

#[test]
fn a_truncate_of_one_part_is_a_difference_of_the_other_part() {
    one_part_goes("TRUNCATE address", Engine::Pg17, Engine::Pg17);
}

/// DELETE from one part and INSERT into the other, in one transaction and in both directions, with what the source alone has of the
/// row; proven by keys that are read on both sides by themselves.
fn moves(source: Engine, target: Engine) {
    let trial = made(source, target);
    let mut running = over(&trial);
    trial.target.run(
        "BEGIN; DELETE FROM b WHERE id = 5; INSERT INTO a VALUES (5, 1); COMMIT;
         BEGIN; DELETE FROM a WHERE id = 6; INSERT INTO b VALUES (6, 2); COMMIT;
         BEGIN; INSERT INTO a VALUES (7, 1); DELETE FROM b WHERE id = 7; COMMIT;",
    );
    let sql = "SELECT id, kind, note FROM items WHERE id BETWEEN 5 AND 8";
    wait_until("the moved rows arrive", LONG, || {
        assert!(running.is_running(), "{}", running.stdout_so_far());
        rows(&trial.source, "SELECT kind FROM items WHERE id = 7") == ["1"]
    });
    assert_eq!(
        rows(&trial.source, sql),
        ["5|1|note5", "6|2|note6", "7|1|note7", "8|1|note8"],
        "{source:?} to {target:?}"
    );
    // without `verify`: the touched keys alone are read
    report(rollback(&trial));
    // and in one transaction on the source, which is one table there
    trial
        .source
        .run("UPDATE items SET kind = 2 WHERE id = 5; UPDATE items SET kind = 1 WHERE id = 6");
    arrives(&trial.target, "SELECT 1 FROM a WHERE id = 6");
    trial.call(&["verify", "--json"]).expect(0);
    running.ended();
}

#[test]
fn a_row_moves_between_parts_in_one_transaction_on_postgres() {
    moves(Engine::Pg15, Engine::Pg18);
}

#[test]
fn a_row_moves_between_parts_in_one_transaction_on_mysql() {
    moves(Engine::Mysql97, Engine::Mysql97);
}

#[test]
fn a_row_moves_between_parts_in_one_transaction_on_sqlite() {
    moves(Engine::Sqlite, Engine::Sqlite);
}

/// Forward, from the source that is named later to the one that is named before it.
#[test]
fn a_row_moves_from_one_merged_source_to_another_in_one_transaction() {
    for (source, target) in [
        (Engine::Pg15, Engine::Pg18),
        (Engine::Sqlite, Engine::Mysql97),
    ] {
        let mut trial = Trial::new(source, target).as_superuser();
        trial.tables = MERGED.to_owned();
        trial.source.run(
            "CREATE TABLE berlin (id integer NOT NULL PRIMARY KEY, kind integer NOT NULL, name varchar(40));
             CREATE TABLE paris (id integer NOT NULL PRIMARY KEY, kind integer NOT NULL, name varchar(40));
             INSERT INTO berlin VALUES (1, 1, 'b1'), (2, 1, 'b2'); INSERT INTO paris VALUES (5, 2, 'p5'), (6, 2, 'p6');",
        );
        let mut running = followed(&trial);
        trial.source.run(
            "BEGIN; DELETE FROM paris WHERE id = 5; INSERT INTO berlin VALUES (5, 1, 'moved'); COMMIT",
        );
        wait_until("the moved row arrives", LONG, || {
            assert!(running.is_running(), "{}", running.stdout_so_far());
            rows(&trial.target, "SELECT kind, name FROM shops WHERE id = 5") == ["1|moved"]
        });
        trial.call(&["verify", "--json"]).expect(0);
        running.ended();
    }
}

/// The row is the same, by the log: what the source alone has of it goes along.
#[test]
fn a_row_that_changes_its_key_keeps_the_columns_that_were_not_moved() {
    for (source, target) in [
        (Engine::Pg15, Engine::Pg18),
        (Engine::Mysql97, Engine::Mysql97),
    ] {
        let trial = made(source, target);
        let running = over(&trial);
        trial.target.run("UPDATE a SET id = 60 WHERE id = 8; UPDATE person SET id = 70 WHERE id = 9; UPDATE address SET id = 70 WHERE id = 9");
        // a whole image after it, and two changes of the key in one
        trial.target.run(
            "BEGIN; UPDATE b SET id = 61 WHERE id = 9; UPDATE b SET id = 62 WHERE id = 61; UPDATE b SET kind = 2 WHERE id = 62; COMMIT;
             BEGIN; UPDATE person SET id = 71 WHERE id = 10; UPDATE address SET id = 71, street = 'new' WHERE id = 10; COMMIT",
        );
        becomes(
            &trial.source,
            "SELECT id, name, street FROM people WHERE id IN (9, 10, 71)",
            &["71|n10|new"],
        );
        assert_eq!(
            rows(
                &trial.source,
                "SELECT id, kind, note FROM items WHERE id IN (8, 9, 60, 61, 62)"
            ),
            ["60|1|note8", "62|2|note9"],
            "{source:?} to {target:?}"
        );
        assert_eq!(
            rows(
                &trial.source,
                "SELECT id, name, street FROM people WHERE id IN (9, 70)"
            ),
            ["70|n9|s9"]
        );
        report(rollback(&trial));
        running.ended();
    }
}

/// Keys that the sources hold apart, and the target's index equal: the row that is there is the other source's, and is not taken away.
#[test]
fn a_key_that_the_target_holds_equal_to_another_parts_stops_and_overwrites_nothing() {
    let mut trial = Trial::new(Engine::Sqlite, Engine::Sqlite);
    trial.tables = MERGED.to_owned();
    trial.source.run(
        "CREATE TABLE berlin (code text COLLATE NOCASE NOT NULL PRIMARY KEY, kind integer NOT NULL);
         CREATE TABLE paris (code text COLLATE NOCASE NOT NULL PRIMARY KEY, kind integer NOT NULL);
         INSERT INTO berlin VALUES ('ABC', 1), ('DEF', 1); INSERT INTO paris VALUES ('xyz', 2);",
    );
    let mut running = followed(&trial);
    trial.source.run("INSERT INTO paris VALUES ('abc', 2)");
    wait_until("the run stops", LONG, || {
        assert_eq!(
            rows(&trial.target, "SELECT code, kind FROM shops"),
            ["ABC|1", "DEF|1", "xyz|2"]
        );
        !running.is_running()
    });
    let said = running.stdout_so_far();
    assert!(said.contains("mapping.others_row"), "{said}");
}

/// A copy in parts that died is taken up by snapshots that show more: what they show under a key that the other source's row holds is
/// not written over it.
#[test]
fn a_copy_in_parts_that_is_taken_up_again_overwrites_nothing_of_the_other_part() {
    let mut trial = Trial::new(Engine::Pg15, Engine::Pg17)
        .option("chunk_rows", 100)
        .option("loaders", 1);
    trial.tables = MERGED.to_owned();
    trial.source.run(
        "CREATE TABLE berlin (code numeric NOT NULL PRIMARY KEY, kind integer NOT NULL, body text);
         CREATE TABLE paris (code numeric NOT NULL PRIMARY KEY, kind integer NOT NULL, body text);
         INSERT INTO berlin SELECT i, 1, repeat('x', 100) FROM generate_series(1, 600) i;
         INSERT INTO paris SELECT 1000 + i, 2, repeat('x', 100) FROM generate_series(1, 600) i;
         ANALYZE;",
    );
    // one is copied whole, the other in part
    trial.die_at("part.after_commit", 8);
    let copied = |kind: u32| {
        let sql = format!("SELECT count(*) FROM shops WHERE kind = {kind}");
        trial.target.number(&sql)
    };
    let (partial, kind, key) = match (copied(1), copied(2)) {
        (600, 1..600) => ("paris", 2, 5),
        (1..600, 600) => ("berlin", 1, 1005),
        other => panic!("{other:?}"),
    };
    trial.source.run(&format!(
        "INSERT INTO {partial} VALUES ({key}, {kind}, 'other')"
    ));
    let mut running = trial.start(&["run", "--json"]);
    wait_until("the run stops, or has followed", LONG, || {
        !running.is_running() || running.stdout_so_far().contains("followed\",\"position")
    });
    assert_eq!(
        rows(
            &trial.target,
            &format!("SELECT kind, length(body) FROM shops WHERE code = {key}")
        ),
        [format!("{}|100", 3 - kind)],
        "{}",
        running.stdout_so_far()
    );
}
