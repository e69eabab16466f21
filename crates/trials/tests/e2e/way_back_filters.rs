//! What the application writes on the target after a switch, where the source has no place for it: rows outside the filter, rows of other
//! tables that go to the same one, columns and constants that nothing carries. Nothing of it may be lost with a rollback in silence.

use std::time::Duration;

use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::{Database, Engine, Trial};

use super::mappings::{arrives, rows};
use super::switch::{followed, report, rollback, switch};

fn parked(trial: &Trial) -> u64 {
    let status = trial.status();
    status["progress"]["parked"].as_u64().unwrap_or_default()
}

/// Waits until so many rows wait in quarantine.
#[track_caller]
fn waits(trial: &Trial, count: u64) {
    wait_until("rows wait", LONG, || parked(trial) == count);
}

fn text(database: &Database) -> &'static str {
    match database {
        Database::Mysql(_) => "varchar(100)",
        Database::Postgres(_) | Database::Sqlite(_) => "text",
    }
}

fn numbers(most: u32) -> String {
    format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {most})")
}

/// `UPDATE orders SET status = 'archived'` where the archived ones are not moved: the source's row was deleted, and the proof was equal.
#[test]
fn a_row_that_leaves_the_filter_on_the_target_is_not_deleted_on_the_source() {
    for (source, target) in [
        (Engine::Pg15, Engine::Pg18),
        (Engine::Mysql97, Engine::Pg17),
    ] {
        let mut trial = Trial::new(source, target).as_superuser();
        trial.tables =
            "[[table]]\nfrom = \"orders\"\nwhere = \"status <> 'archived'\"\n".to_owned();
        let text = text(&trial.source);
        trial.source.run(&format!(
            "CREATE TABLE orders (id integer NOT NULL PRIMARY KEY, status {text}, note {text});
             INSERT INTO orders {} SELECT i, 'open', 'n' FROM n;
             INSERT INTO orders VALUES (100, 'archived', 'old')",
            numbers(20)
        ));
        let running = followed(&trial);
        report(switch(&trial));
        trial.target.run(
            "UPDATE orders SET status = 'archived' WHERE id = 7; UPDATE orders SET status = NULL WHERE id = 8;
             INSERT INTO orders VALUES (70, 'archived', 'new'); UPDATE orders SET note = 'after' WHERE id = 9",
        );
        arrives(
            &trial.source,
            "SELECT 1 FROM orders WHERE id = 9 AND note = 'after'",
        );
        waits(&trial, 3);
        assert_eq!(
            rows(&trial.source, "SELECT * FROM orders WHERE id IN (7, 8, 70)"),
            ["7|open|n", "8|open|n"]
        );
        trial
            .call(&["quarantine", "list", "--json"])
            .expect(0)
            .says(&["it has no place on the way back"]);
        rollback(&trial).expect(2).says(&["rows_parked"]);
        trial.call(&["verify", "--json"]).expect(2);
        // back into the filter, and gone
        trial.target.run(
            "UPDATE orders SET status = 'open', note = 'again' WHERE id = 7; DELETE FROM orders WHERE id IN (8, 70)",
        );
        waits(&trial, 0);
        assert_eq!(
            rows(
                &trial.source,
                "SELECT * FROM orders WHERE id IN (7, 8, 70, 100)"
            ),
            ["100|archived|old", "7|open|again"]
        );
        trial.call(&["verify", "--json"]).expect(0);
        report(rollback(&trial));
        running.ended();
    }
}

fn merged(source: Engine, target: Engine, key: &str, first_of_paris: u32) -> Trial {
    let mut trial = Trial::new(source, target).as_superuser();
    trial.tables = format!(
        "[[table]]\nfrom = \"berlin\"\nto = \"shops\"\n{key}\n[table.columns]\ntown = \"'B'\"\n
         [[table]]\nfrom = \"paris\"\nto = \"shops\"\n{key}\n[table.columns]\ntown = \"'P'\"\n"
    );
    let text = text(&trial.source);
    trial.source.run(&format!(
        "CREATE TABLE berlin (id integer NOT NULL PRIMARY KEY, name {text});
         CREATE TABLE paris (id integer NOT NULL PRIMARY KEY, name {text}, floor integer);
         INSERT INTO berlin {0} SELECT i, concat('b', i) FROM n;
         INSERT INTO paris {0} SELECT {first_of_paris} + i, concat('p', i), i FROM n;",
        numbers(9)
    ));
    trial
}

fn both(trial: &Trial) -> Vec<String> {
    let mut out = rows(&trial.source, "SELECT id, name FROM berlin");
    out.push("and".to_owned());
    out.extend(rows(&trial.source, "SELECT id, name, floor FROM paris"));
    out
}

/// `DELETE FROM shops WHERE town = 'P' AND id = 3` took row 3 of Berlin, too; `UPDATE shops SET floor = 3 WHERE town = 'B'` went nowhere.
#[test]
fn rows_of_two_tables_with_the_same_keys_stay_apart_on_the_way_back() {
    for (source, target) in [
        (Engine::Pg15, Engine::Pg18),
        (Engine::Pg17, Engine::Mysql97),
        (Engine::Sqlite, Engine::Sqlite),
    ] {
        let trial = merged(source, target, "key = [\"town\", \"id\"]", 0);
        trial.source.run("DELETE FROM paris WHERE id = 9");
        let mut running = followed(&trial);
        report(switch(&trial));
        trial.target.run(
            "DELETE FROM shops WHERE town = 'P' AND id = 3; UPDATE shops SET name = 'x' WHERE town = 'P' AND id = 4;
             UPDATE shops SET id = 40 WHERE town = 'P' AND id = 5; UPDATE shops SET floor = 3 WHERE town = 'B' AND id = 6;
             UPDATE shops SET name = 'y' WHERE town = 'B' AND id = 7; UPDATE shops SET town = 'P' WHERE town = 'B' AND id = 9",
        );
        arrives(&trial.source, "SELECT 1 FROM paris WHERE id = 9");
        waits(&trial, 1);
        let expected = [
            "1|b1",
            "2|b2",
            "3|b3",
            "4|b4",
            "5|b5",
            "6|b6",
            "7|y",
            "8|b8",
            "and",
            "1|p1|1",
            "2|p2|2",
            "40|p5|5",
            "4|x|4",
            "6|p6|6",
            "7|p7|7",
            "8|p8|8",
            "9|b9|NULL",
        ];
        assert_eq!(both(&trial), expected, "{source:?}");
        rollback(&trial).expect(2).says(&["rows_parked"]);
        trial
            .target
            .run("UPDATE shops SET floor = NULL WHERE town = 'B' AND id = 6");
        waits(&trial, 0);
        trial.call(&["verify", "--json"]).expect(0);

        // nobody's, and no key of either table stands for it
        trial
            .target
            .run("INSERT INTO shops (town, id, name) VALUES ('X', 1, 'stray')");
        let ended = running.wait(Duration::from_secs(60));
        assert_eq!(ended.code, Some(1), "{}", ended.text());
        ended.says(&["mapping.nobodys_row"]);
        let refused = rollback(&trial);
        assert_ne!(refused.code, Some(0), "{}", refused.text());
        refused.says(&["mapping.nobodys_row"]);
        trial.target.run(
            "DELETE FROM shops WHERE town = 'X'; UPDATE shops SET name = 'z' WHERE town = 'B' AND id = 8",
        );
        running = trial.following(&[]);
        arrives(
            &trial.source,
            "SELECT 1 FROM berlin WHERE id = 8 AND name = 'z'",
        );
        trial.call(&["verify", "--json"]).expect(0);
        rollback(&trial).expect(0);
        running.ended();
    }
}

/// Without the constant in the key the way back of Berlin had no filter: rows of Paris were carried to it as well.
#[test]
fn rows_told_apart_by_a_constant_outside_the_key_go_back_to_their_own_table() {
    for (source, target) in [
        (Engine::Pg15, Engine::Pg17),
        (Engine::Mysql97, Engine::Pg18),
    ] {
        let trial = merged(source, target, "", 100);
        let running = followed(&trial);
        report(switch(&trial));
        trial.target.run(
            "INSERT INTO shops (town, id, name, floor) VALUES ('P', 120, 'new', 2); INSERT INTO shops (town, id, name) VALUES ('B', 20, 'new');
             UPDATE shops SET name = 'x' WHERE id = 101; DELETE FROM shops WHERE id IN (2, 102)",
        );
        arrives(&trial.source, "SELECT 1 FROM paris WHERE id = 120");
        arrives(&trial.source, "SELECT 1 FROM berlin WHERE id = 20");
        assert_eq!(rows(&trial.source, "SELECT id, name FROM berlin").len(), 9);
        assert_eq!(
            rows(
                &trial.source,
                "SELECT id, name FROM paris WHERE id < 103 OR id > 109"
            ),
            ["101|x", "120|new"]
        );
        trial.call(&["verify", "--json"]).expect(0);
        // nobody's: each of the two tells of it, and has what it had
        trial
            .target
            .run("INSERT INTO shops (town, id, name) VALUES ('X', 500, 'stray'); UPDATE shops SET town = 'X' WHERE id = 103");
        waits(&trial, 4);
        assert_eq!(
            rows(&trial.source, "SELECT id, name FROM paris WHERE id = 103"),
            ["103|p3"]
        );
        rollback(&trial).expect(2).says(&["rows_parked"]);
        trial
            .target
            .run("DELETE FROM shops WHERE id = 500; UPDATE shops SET town = 'P' WHERE id = 103");
        waits(&trial, 0);
        trial.call(&["verify", "--json"]).expect(0);
        report(rollback(&trial));
        running.ended();
    }
}

/// `where` was given up as a whole where one column of it is dropped, and what was written over a constant went nowhere.
#[test]
fn a_filter_is_asked_of_the_columns_that_are_carried_and_a_constant_stays_one() {
    for (source, target) in [
        (Engine::Pg15, Engine::Pg18),
        (Engine::Pg17, Engine::Maria118),
    ] {
        let mut trial = Trial::new(source, target).as_superuser();
        trial.tables = "[[table]]\nfrom = \"items\"\nwhere = \"shop_id = 42 AND Region = 'EU'\"\ndrop = [\"shop_id\"]\n
            [table.columns]\nzone = \"'EU'\"\nlevel = \"3\"\n"
            .to_owned();
        trial.source.run(&format!(
            "CREATE TABLE items (id integer NOT NULL PRIMARY KEY, shop_id integer, region text, note text);
             INSERT INTO items {} SELECT i, 41 + i % 2, CASE WHEN i < 15 THEN 'EU' ELSE 'US' END, 'n' FROM n",
            numbers(20)
        ));
        let running = followed(&trial);
        assert_eq!(trial.target.number("SELECT count(*) FROM items"), 7);
        report(switch(&trial));
        trial.target.run(
            "UPDATE items SET region = 'US' WHERE id = 1; UPDATE items SET zone = 'US' WHERE id = 3; UPDATE items SET level = 4 WHERE id = 5;
             UPDATE items SET note = 'after' WHERE id = 7; INSERT INTO items (id, region, note, zone, level) VALUES (30, 'EU', 'new', 'EU', 3)",
        );
        arrives(
            &trial.source,
            "SELECT 1 FROM items WHERE id = 30 AND shop_id = 42",
        );
        waits(&trial, 3);
        assert_eq!(
            rows(
                &trial.source,
                "SELECT id, region, note FROM items WHERE id IN (1, 3, 5, 7)"
            ),
            ["1|EU|n", "3|EU|n", "5|EU|n", "7|EU|after"]
        );
        trial.call(&["verify", "--json"]).expect(2);
        trial.target.run(
            "UPDATE items SET region = 'EU' WHERE id = 1; UPDATE items SET zone = 'EU' WHERE id = 3; UPDATE items SET level = 3 WHERE id = 5",
        );
        waits(&trial, 0);
        trial.call(&["verify", "--json"]).expect(0);
        report(rollback(&trial));
        running.ended();
    }
}

/// A migration that has begun goes by what it was planned with: a changed way back was passed over without a word.
#[test]
fn a_way_back_that_is_changed_after_the_beginning_is_told() {
    let mut trial = Trial::new(Engine::Pg15, Engine::Pg17).as_superuser();
    let tables = "[[table]]\nfrom = \"t\"\n[table.columns]\nfull = { expression = \"upper(name)\", forward_only = true }\nplace = \"name\"\n";
    trial.tables = tables.to_owned();
    trial
        .source
        .run("CREATE TABLE t (id integer PRIMARY KEY, name text); INSERT INTO t VALUES (1, 'a')");
    trial.follow();
    for changed in [
        tables.replace(", forward_only = true", ""),
        tables.replace("forward_only = true", "reverse = \"lower(full)\""),
        tables.replace("place = \"name\"\n", ""),
        tables.replace(
            "from = \"t\"\n",
            "from = \"t\"\ntarget_where = \"id > 0\"\n",
        ),
        tables.replace(
            "from = \"t\"\n",
            "from = \"t\"\nkey = [\"id\", \"place\"]\n",
        ),
    ] {
        trial.tables = changed.clone();
        trial.write_file();
        let planned = trial.call(&["plan", "--json"]);
        assert_eq!(planned.code, Some(2), "{changed}: {}", planned.text());
        planned.says(&["drift.file"]);
    }
    trial.tables = tables.to_owned();
    trial.write_file();
    trial.call(&["plan", "--json"]).expect(0);
}
