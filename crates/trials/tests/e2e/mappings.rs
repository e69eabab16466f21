//! Rows that are not carried as they are: filtered, renamed, made by expressions, left out, split and merged. What is expected is
//! calculated here, from the source's own columns.

use std::sync::atomic::{AtomicBool, Ordering};

use crossfade_trials::binary::Running;
use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::seed::{generator, seed};
use crossfade_trials::{Database, Engine, Trial};
use rand::Rng as _;

use super::switch::{followed, report, switch};

/// Rows at the beginning.
const ROWS: u32 = 900;

/// What the file says: `items` is split by a filter, its columns are renamed, replaced, added and left out.
const SPLIT: &str = r#"
[[table]]
from = "items"
to = "wares"
where = "shop = 42 AND price >= 1"
drop = ["last"]
key = ["zone", "number"]
[table.columns]
number = "id"
zone = "'EU'"
price = "cast(price * 100 as bigint)"
name = { expression = "'Mr ' || first", reverse = "substring(name, 4)" }

[[table]]
from = "items"
to = "others"
where = "NOT (shop = 42 AND price >= 1)"
drop = ["note", "first", "price"]
[table.columns]
name = { expression = "upper(last)", forward_only = true }
"#;

fn make(database: &Database) {
    let text = if database_is_mysql(database) {
        "varchar(200)"
    } else {
        "text"
    };
    database.run(&format!(
        "CREATE TABLE items (id integer NOT NULL PRIMARY KEY, shop integer NOT NULL, first {text} NOT NULL, last {text}, price numeric(12, 2), note {text});
         INSERT INTO items WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
             SELECT i, 40 + i % 4, concat('f', i), concat('l', i), i % 50 * 0.25, 'note' FROM n;
         CREATE INDEX of_shop ON items (shop);"
    ));
}

fn database_is_mysql(database: &Database) -> bool {
    matches!(database, Database::Mysql(_))
}

/// Hundredths, in the database's own words.
fn cents(database: &Database, column: &str) -> String {
    match database {
        Database::Postgres(_) => format!("({column} * 100)::bigint"),
        Database::Mysql(_) => format!("CAST({column} * 100 AS SIGNED)"),
        Database::Sqlite(_) => format!("CAST(round({column} * 100) AS INTEGER)"),
    }
}

/// The rows of a query, one text each, in order.
pub(super) fn rows(database: &Database, sql: &str) -> Vec<String> {
    let shown = |row: &Vec<Option<String>>| {
        let cells = row
            .iter()
            .map(|cell| cell.clone().unwrap_or_else(|| "NULL".to_owned()));
        cells.collect::<Vec<_>>().join("|")
    };
    let mut out: Vec<String> = database.rows(sql).iter().map(shown).collect();
    out.sort();
    out
}

/// What the mapping should make of the source, and what the target has.
#[track_caller]
fn assert_mapped(source: &Database, target: &Database) {
    let of_source = format!(
        "SELECT id, shop, first, last, {}, note FROM items",
        cents(source, "price")
    );
    let (mut wares, mut others) = (Vec::new(), Vec::new());
    for row in source.rows(&of_source) {
        let text = |at: usize| row[at].clone().unwrap_or_else(|| "NULL".to_owned());
        let price: Option<i64> = row[4].as_ref().map(|c| c.parse().unwrap());
        match (row[1].as_deref() == Some("42"), price.map(|p| p >= 100)) {
            (true, Some(true)) => wares.push(format!(
                "{}|42|{}|{}|EU|Mr {}",
                text(0),
                text(4),
                text(5),
                text(2)
            )),
            (true, None) => {}
            _ => {
                let name = row[3]
                    .as_ref()
                    .map_or("NULL".to_owned(), |last| last.to_uppercase());
                others.push(format!("{}|{}|{name}", text(0), text(1)));
            }
        }
    }
    wares.sort();
    others.sort();
    let found = rows(
        target,
        "SELECT number, shop, price, note, zone, name FROM wares",
    );
    assert_eq!(found, wares);
    assert_eq!(rows(target, "SELECT id, shop, name FROM others"), others);
    assert!(!wares.is_empty() && !others.is_empty());
}

/// Writes at random until told to stop: rows enter and leave the filter, change their key, come and go.
fn write(source: &Database, seed: u64, stop: &AtomicBool) {
    let mut random = generator(seed, 1);
    let mut next = 10_000;
    while !stop.load(Ordering::Relaxed) {
        let id = random.random_range(1..=ROWS);
        let sql = match random.random_range(0..8) {
            0 => {
                next += 1;
                format!(
                    "INSERT INTO items VALUES ({next}, {}, 'n{next}', NULL, {}, NULL)",
                    40 + next % 4,
                    next % 7
                )
            }
            1 => format!("DELETE FROM items WHERE id = {id}"),
            2 => {
                next += 1;
                format!("UPDATE items SET id = {next} WHERE id = {id}")
            }
            3 => format!(
                "UPDATE items SET shop = {} WHERE id = {id}",
                41 + random.random_range(0..2)
            ),
            4 => format!("UPDATE items SET price = NULL WHERE id = {id}"),
            5 => format!(
                "UPDATE items SET price = {}.25 WHERE id = {id}",
                random.random_range(0..4)
            ),
            6 => format!(
                "UPDATE items SET first = 'x{}', note = 'n' WHERE id = {id}",
                random.random_range(0..9)
            ),
            _ => format!(
                "UPDATE items SET last = 'y{}' WHERE id = {id}",
                random.random_range(0..9)
            ),
        };
        // whoever is in the way of another has not written
        let _ = source.try_run(&sql);
    }
}

/// The writer stops however the test ends.
pub(super) struct Stop<'a>(pub(super) &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn split_under_writes(what: &str, source: Engine, target: Engine) {
    let seed = seed(what);
    let mut trial = Trial::new(source, target).option("chunk_rows", 100);
    trial.tables = SPLIT.to_owned();
    make(&trial.source);
    trial.urls();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        scope.spawn(|| write(&trial.source, seed, &stop));
        trial.verify().says(&["equal"]);
        trial.verify().says(&["equal"]);
    });
    trial.follow();
    assert_mapped(&trial.source, &trial.target);
    trial.call(&["abort", "--drop-target-tables"]).expect(0);
}

#[test]
fn a_table_is_split_and_its_columns_made_from_postgres_to_postgres() {
    split_under_writes("15 to 18", Engine::Pg15, Engine::Pg18);
}

#[test]
fn a_table_is_split_and_its_columns_made_from_postgres_to_mysql() {
    split_under_writes("17 to 9.7", Engine::Pg17, Engine::Mysql97);
}

#[test]
fn a_table_is_split_and_its_columns_made_from_mysql_to_postgres() {
    split_under_writes("9.7 to 17", Engine::Mysql97, Engine::Pg17);
}

#[test]
fn a_table_is_split_and_its_columns_made_from_mariadb_to_sqlite() {
    split_under_writes("10.11 to SQLite", Engine::Maria1011, Engine::Sqlite);
}

#[test]
fn a_table_is_split_and_its_columns_made_from_sqlite_to_mariadb() {
    split_under_writes("SQLite to 11.8", Engine::Sqlite, Engine::Maria118);
}

#[test]
fn a_table_is_split_and_its_columns_made_from_sqlite_to_sqlite() {
    split_under_writes("SQLite to SQLite", Engine::Sqlite, Engine::Sqlite);
}

#[test]
fn a_table_is_split_and_its_columns_made_from_mysql_to_mysql() {
    split_under_writes("9.7 to 9.7", Engine::Mysql97, Engine::Mysql97);
}

/// The same rows, whatever has happened between: by stages, with a crash in each.
#[test]
fn what_enters_and_leaves_the_filter_at_every_stage_of_the_copy_is_where_it_belongs() {
    for (source, target) in [
        (Engine::Pg15, Engine::Pg17),
        (Engine::Mysql97, Engine::Pg17),
        (Engine::Sqlite, Engine::Sqlite),
    ] {
        let mut trial = Trial::new(source, target).option("chunk_rows", 100);
        trial.tables = SPLIT.to_owned();
        make(&trial.source);
        let changes = |stage: u32| {
            trial.source.run(&format!(
                "UPDATE items SET shop = 42 WHERE id % 11 = {stage};
                 UPDATE items SET shop = 41 WHERE id % 13 = {stage};
                 UPDATE items SET price = 0.5 WHERE id % 17 = {stage};
                 UPDATE items SET id = id + 5000 WHERE id % 19 = {stage} AND id < 5000;
                 DELETE FROM items WHERE id % 23 = {stage};"
            ));
        };
        trial.die_at("capture.recorded", 1);
        changes(0);
        trial.die_at("chunk.after_commit", 3);
        changes(1);
        trial.follow();
        assert_mapped(&trial.source, &trial.target);
        changes(2);
        trial.verify();
        assert_mapped(&trial.source, &trial.target);
    }
}

/// The log leaves out what did not change and is stored outside the row: the filter asks for it.
/// Rows as they are, and as they would be moved, before anything is made.
#[test]
fn plan_shows_rows_before_and_after() {
    for source in [Engine::Pg15, Engine::Sqlite, Engine::Maria1011] {
        let mut trial = Trial::new(source, Engine::Pg17).as_superuser();
        trial.tables = SPLIT.to_owned();
        make(&trial.source);
        let shown = trial.call(&["plan", "--preview", "20"]).expect(0).stdout;
        let table = |from: &str, to: &str| {
            let (_, rest) = shown.split_once(from).unwrap_or_else(|| panic!("{shown}"));
            rest.split(to).next().unwrap_or_default().to_owned()
        };
        // item 6: shop 42, price 1.50
        let wares = table("wares", "others");
        assert!(
            wares.contains("before") && wares.contains("after"),
            "{shown}"
        );
        assert!(wares.contains("Mr f6") && wares.contains("150"), "{shown}");
        assert!(!wares.contains("Mr f7"), "{shown}");
        assert!(shown.contains("L7"), "{shown}");
        assert_eq!(
            trial
                .target
                .rows("SELECT 1 FROM pg_tables WHERE schemaname = 'public'")
                .len(),
            0
        );
    }
}

#[test]
fn a_filter_over_a_column_that_the_log_leaves_out_reads_the_row_again() {
    let mut trial = Trial::new(Engine::Pg15, Engine::Pg17).option("chunk_rows", 100);
    trial.tables = "[[table]]\nfrom = \"t\"\nwhere = \"left(body, 1) = 'a'\"\n".to_owned();
    trial.source.run(
        "CREATE TABLE t (id integer PRIMARY KEY, n integer, body text); ALTER TABLE t ALTER body SET STORAGE EXTERNAL;
         INSERT INTO t SELECT i, 0, repeat(chr(97 + i % 2), 5000) FROM generate_series(1, 300) i",
    );
    trial.die_at("chunk.after_commit", 1);
    trial
        .source
        .run("UPDATE t SET n = 1 WHERE id % 3 = 0; UPDATE t SET id = id + 1000 WHERE id % 7 = 0");
    trial.follow();
    trial.source.run("UPDATE t SET n = 2 WHERE id % 5 = 0; UPDATE t SET body = repeat('b', 4000) WHERE id % 8 = 0");
    trial.source.run("UPDATE t SET n = 3 WHERE id % 8 = 0; UPDATE t SET body = repeat('a', 4000) WHERE id % 9 = 0");
    trial.verify();
    let sql = "SELECT id, n, length(body), left(body, 1) FROM t";
    assert_eq!(
        rows(&trial.target, sql),
        rows(&trial.source, &format!("{sql} WHERE left(body, 1) = 'a'"))
    );
}

#[test]
fn a_truncate_empties_what_was_made_of_the_table() {
    for target in [Engine::Pg17, Engine::Mysql97] {
        let mut trial = Trial::new(Engine::Pg15, target);
        trial.tables = SPLIT.to_owned();
        make(&trial.source);
        trial.follow();
        trial.source.run("TRUNCATE items; INSERT INTO items VALUES (1, 42, 'a', 'b', 5, NULL), (2, 1, 'a', 'b', 5, NULL)");
        trial.verify();
        assert_mapped(&trial.source, &trial.target);
    }
}

fn names(trial: &mut Trial) {
    trial.tables = "[[table]]\nfrom = \"items\"\nto = \"wares\"\n[table.columns]\nnumber = \"id\"\nstore = \"shop\"\nremark = \"note\"\n".to_owned();
}

/// Names alone lead back by themselves.
#[test]
fn renamed_columns_go_there_and_back() {
    for (source, target) in [
        (Engine::Pg15, Engine::Mysql97),
        (Engine::Sqlite, Engine::Pg17),
        (Engine::Mysql97, Engine::Maria118),
    ] {
        let mut trial = Trial::new(source, target).as_superuser();
        names(&mut trial);
        make(&trial.source);
        let running = followed(&trial);
        report(switch(&trial));
        trial.target.run("INSERT INTO wares VALUES (70001, 1, 'there', 'x', 2.5, NULL); UPDATE wares SET store = 7 WHERE number = 3; DELETE FROM wares WHERE number = 4");
        arrives(
            &trial.source,
            "SELECT 1 FROM items WHERE id = 70001 AND first = 'there'",
        );
        trial.call(&["verify", "--json"]).expect(0);
        report(trial.call(&["rollback", "--owner", "e2e", "--within", "30s", "--json"]));
        trial
            .source
            .run("UPDATE items SET note = 'back' WHERE id = 70001");
        arrives(
            &trial.target,
            "SELECT 1 FROM wares WHERE number = 70001 AND remark = 'back'",
        );
        trial.call(&["verify", "--json"]).expect(0);
        running.ended();
        let of_source = format!(
            "SELECT id, shop, first, last, {}, note FROM items",
            cents(&trial.source, "price")
        );
        let of_target = format!(
            "SELECT number, store, first, last, {}, remark FROM wares",
            cents(&trial.target, "price")
        );
        assert_eq!(
            rows(&trial.source, &of_source),
            rows(&trial.target, &of_target)
        );
    }
}

pub(super) fn arrives(database: &Database, sql: &str) {
    wait_until("the change arrives", LONG, || database.rows(sql).len() == 1);
}

/// Two tables go to one, under live writes, and a third part of it is written there by hand before: nobody's row is touched but
/// one's own.
#[test]
fn two_tables_are_merged_into_one_and_stay_apart() {
    let pairs = [
        (Engine::Pg15, Engine::Pg18),
        (Engine::Pg17, Engine::Sqlite),
        (Engine::Sqlite, Engine::Mysql97),
        (Engine::Mysql97, Engine::Maria1011),
        (Engine::Maria118, Engine::Pg17),
    ];
    for (source, target) in pairs {
        let mut trial = Trial::new(source, target).option("chunk_rows", 100);
        trial.tables = r#"
[[table]]
from = "berlin"
to = "shops"
key = ["town", "id"]
[table.columns]
town = "'B'"

[[table]]
from = "paris"
to = "shops"
key = ["town", "id"]
[table.columns]
town = "'P'"
name = "nom"
"#
        .to_owned();
        let text = if database_is_mysql(&trial.source) {
            "varchar(100)"
        } else {
            "text"
        };
        trial.source.run(&format!(
            "CREATE TABLE berlin (id integer NOT NULL PRIMARY KEY, name {text}, extra integer);
             CREATE TABLE paris (id integer NOT NULL PRIMARY KEY, nom {text}, floor integer NOT NULL);
             INSERT INTO berlin WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) SELECT i, concat('b', i), i FROM n;
             INSERT INTO paris SELECT id, concat('p', id), id % 7 FROM berlin WHERE id < 150;"
        ));
        trial.die_at("chunk.after_commit", 2);
        trial.source.run("UPDATE berlin SET name = 'x' WHERE id < 20; DELETE FROM paris WHERE id = 3; UPDATE paris SET id = 1000 WHERE id = 4; DELETE FROM berlin WHERE id = 5");
        trial.follow();
        let truncate =
            if database_is_mysql(&trial.source) || matches!(trial.source, Database::Sqlite(_)) {
                "DELETE FROM paris"
            } else {
                "TRUNCATE paris"
            };
        trial.source.run(&format!("{truncate}; INSERT INTO paris VALUES (7, 'new', 3); UPDATE berlin SET extra = NULL WHERE id = 7"));
        trial.verify().says(&["equal"]);
        let mut expected = rows(
            &trial.source,
            "SELECT 'B', id, name, extra, NULL FROM berlin",
        );
        expected.extend(rows(
            &trial.source,
            "SELECT 'P', id, nom, NULL, floor FROM paris",
        ));
        assert_eq!(
            rows(
                &trial.target,
                "SELECT town, id, name, extra, floor FROM shops"
            ),
            expected,
            "{source:?} to {target:?}"
        );
        assert_eq!(expected.len(), 200);
    }
}

/// What the target's table has besides stays, whatever is written.
#[test]
fn columns_that_only_the_target_has_keep_their_values() {
    for (source, target) in [
        (Engine::Pg15, Engine::Pg18),
        (Engine::Sqlite, Engine::Mysql97),
        (Engine::Pg17, Engine::Sqlite),
        (Engine::Sqlite, Engine::Maria1011),
    ] {
        let trial = Trial::new(source, target).as_superuser();
        trial.source.run(
            "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, a integer NOT NULL UNIQUE, b integer);
             INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) SELECT i, i, i FROM n;",
        );
        trial.target.run("CREATE TABLE t (id bigint NOT NULL PRIMARY KEY, a bigint NOT NULL, b bigint, own varchar(20) DEFAULT 'none')");
        let running = trial.following(&[]);
        let own = |sql: &str| match &trial.target {
            // past the guard, as its administrator
            Database::Postgres(_) => trial
                .target
                .run(&format!("SET session_replication_role = replica; {sql}")),
            Database::Mysql(_) | Database::Sqlite(_) => unguarded(&trial.target, sql),
        };
        own("UPDATE t SET own = concat('own', id)");
        trial.target.run("CREATE UNIQUE INDEX one_a ON t (a)");
        // a plain update, a unique value that moves around, and a row that comes
        trial.source.run("UPDATE t SET b = 100 WHERE id = 1");
        trial.source.run(
            "BEGIN; UPDATE t SET a = -1 WHERE id = 2; UPDATE t SET a = 2 WHERE id = 3; UPDATE t SET a = 3 WHERE id = 2; INSERT INTO t VALUES (60, 60, 60); COMMIT",
        );
        let mut running = running;
        wait_until("the change arrives", LONG, || {
            assert!(running.is_running(), "{}", running.stdout_so_far());
            trial.target.rows("SELECT 1 FROM t WHERE id = 60").len() == 1
        });
        running.ended();
        let found = rows(
            &trial.target,
            "SELECT id, a, b, own FROM t WHERE id IN (1, 2, 3, 60)",
        );
        assert_eq!(
            found,
            ["1|1|100|own1", "2|3|2|own2", "3|2|3|own3", "60|60|60|none"],
            "{target:?}"
        );
    }
}

/// Writes to a guarded table: the guards are taken off and put back.
fn unguarded(database: &Database, sql: &str) {
    let list = match database {
        Database::Sqlite(_) => "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 't'",
        _ => "SELECT trigger_name, concat('CREATE TRIGGER `', trigger_name, '` ', action_timing, ' ', event_manipulation, ' ON t FOR EACH ROW ', action_statement)
              FROM information_schema.triggers WHERE event_object_table = 't' AND trigger_schema = database()",
    };
    let triggers = database.rows(list);
    assert!(!triggers.is_empty());
    let quote = if database_is_mysql(database) {
        "`"
    } else {
        "\""
    };
    for trigger in &triggers {
        database.run(&format!(
            "DROP TRIGGER {quote}{}{quote}",
            trigger[0].as_ref().unwrap()
        ));
    }
    database.run(sql);
    for trigger in &triggers {
        database.run(trigger[1].as_ref().unwrap());
    }
}

/// Splits, constants, undone expressions and left-out columns lead back; what nothing gives back is named before, and stays as it was.
#[test]
fn mapped_rows_go_back_and_forth() {
    let pairs = [
        (Engine::Pg15, Engine::Pg18),
        (Engine::Sqlite, Engine::Sqlite),
        (Engine::Pg17, Engine::Mysql97),
        (Engine::Mysql97, Engine::Pg17),
        (Engine::Sqlite, Engine::Maria118),
    ];
    for (source, target) in pairs {
        let mut trial = Trial::new(source, target).as_superuser();
        trial.tables = r#"
[[table]]
from = "items"
to = "wares"
where = "shop = 42"
drop = ["last", "shop", "first"]
key = ["zone", "number"]
[table.columns]
number = "id"
zone = "'EU'"
cents = { expression = "cast(price * 100 as bigint)" }
price = { expression = "price * 2", forward_only = false }
name = { expression = "'Mr ' || first" }
"#
        .to_owned();
        make(&trial.source);
        trial.source.run("DELETE FROM items WHERE price IS NULL");
        let planned = trial.call(&["plan", "--json"]).expect(0).json();
        let back = planned["tables"][0]["way_back"].clone();
        assert_eq!(back["kept"], serde_json::json!(["last"]), "{back}");
        let mut running = followed(&trial);
        // `cents` is made of a column that is given back by another
        trial
            .call(&[
                "switch", "writes", "--owner", "e2e", "--within", "30s", "--json",
            ])
            .expect(2)
            .says(&["cents"]);
        let order = [
            "switch",
            "writes",
            "--owner",
            "e2e",
            "--within",
            "30s",
            "--json",
            "--override",
            "invertible=derived from price",
        ];
        report(trial.call(&order));
        trial.target.run(
            "INSERT INTO wares (number, zone, cents, price, name, note) VALUES (70001, 'EU', 250, 5, 'Mr there', NULL);
             UPDATE wares SET name = 'Mr new', note = 'changed' WHERE number = 6; DELETE FROM wares WHERE number = 10; UPDATE wares SET number = 70002 WHERE number = 14",
        );
        arrives_by(
            &mut running,
            &trial.source,
            "SELECT 1 FROM items WHERE id = 70002",
        );
        // what was not moved goes with the row, where the log says which row it was
        let last = match target {
            Engine::Sqlite => "NULL",
            _ => "l14",
        };
        assert_eq!(
            rows(&trial.source, "SELECT last FROM items WHERE id = 70002"),
            [last],
            "{source:?} to {target:?}"
        );
        arrives(
            &trial.source,
            "SELECT 1 FROM items WHERE id = 70001 AND first = 'there' AND shop = 42 AND price = 2.5",
        );
        assert_eq!(
            rows(
                &trial.source,
                "SELECT id, shop, first, last, note FROM items WHERE id = 6"
            ),
            ["6|42|new|l6|changed"]
        );
        assert_eq!(
            rows(&trial.source, "SELECT id FROM items WHERE id IN (10, 14)"),
            [""; 0]
        );
        // rows that the mapping does not move are where they were
        let others = rows(
            &trial.source,
            "SELECT id, shop, first, last FROM items WHERE shop <> 42",
        );
        assert_eq!(
            others.len(),
            rows(&trial.source, "SELECT id FROM items").len()
                - rows(&trial.target, "SELECT number FROM wares").len()
        );
        trial.call(&["verify", "--json"]).expect(0);
        report(trial.call(&[
            "rollback",
            "--owner",
            "e2e",
            "--within",
            "30s",
            "--json",
            "--override",
            "invertible=derived from price",
        ]));
        trial.source.run("UPDATE items SET first = 'back' WHERE id = 70001; UPDATE items SET shop = 42 WHERE id = 7");
        arrives(
            &trial.target,
            "SELECT 1 FROM wares WHERE number = 70001 AND name = 'Mr back'",
        );
        arrives_by(
            &mut running,
            &trial.target,
            "SELECT 1 FROM wares WHERE number = 7",
        );
        trial.call(&["verify", "--json"]).expect(0);
        running.ended();
    }
}

fn arrives_by(running: &mut Running, database: &Database, sql: &str) {
    wait_until(sql, LONG, || {
        assert!(running.is_running(), "{}", running.stdout_so_far());
        database.rows(sql).len() == 1
    });
}
