//! Keys of many types, copied in chunks, changed before, between and after; and rows whose key changes.

use crossfade_trials::{Engine, Trial};

/// A kind of key: the column's declaration and an expression that makes the key of row `i`.
type Kind = (&'static str, &'static str, &'static str);

const POSTGRES_KINDS: &[Kind] = &[
    ("k_int", "k integer", "i - 300"),
    ("k_big", "k bigint", "i * 9000000000000 - 4000000000000000"),
    ("k_small", "k smallint", "(i - 300)::smallint"),
    ("k_uuid", "k uuid", "md5(i::text)::uuid"),
    (
        "k_bytea",
        "k bytea",
        "decode(substr(md5(i::text), 1, 2 + 2 * (i % 9)) || CASE WHEN i % 2 = 0 THEN '00' ELSE '' END || to_hex(1048576 + i), 'hex')",
    ),
    ("k_date", "k date", "date '1999-06-01' + i"),
    (
        "k_stamp",
        "k timestamptz",
        "timestamptz '1969-12-31 12:00:00+00' + i * interval '1 hour 1 microsecond'",
    ),
    (
        "k_text",
        "k text COLLATE \"und-x-icu\"",
        "(ARRAY['a', 'B', 'é', 'Z', 'ß', '-', '_', ' '])[1 + i % 8] || i",
    ),
    (
        "k_text_c",
        "k text COLLATE \"C\"",
        "(ARRAY['a', 'B', 'é', 'Z', 'ß', '-', '_', ' '])[1 + i % 8] || i",
    ),
    ("k_varchar", "k varchar(40)", "'Key ' || i"),
    ("k_numeric", "k numeric(30,10)", "i * 1.0000000001 - 300"),
    ("k_bool_int", "k boolean, k2 integer", "i % 2 = 0, i"),
];

fn make(kind: &Kind, rows: u32) -> String {
    let (table, columns, key) = kind;
    let names = names(columns);
    format!(
        "CREATE TABLE {table} ({columns}, n integer, v text, PRIMARY KEY ({names}));
         INSERT INTO {table} ({names}, n, v) SELECT {key}, i, 'first ' || i FROM generate_series(1, {rows}) i;"
    )
}

fn names(columns: &str) -> String {
    let names: Vec<&str> = columns
        .split(", ")
        .filter_map(|column| column.split(' ').next())
        .collect();
    names.join(", ")
}

/// Updates, deletes, inserts and changes of key all over the table, different ones at each stage.
fn changes((table, columns, key): &Kind, stage: u32) -> String {
    let names = names(columns);
    let rows = 600;
    let from = rows + 1 + stage * 50;
    format!(
        "UPDATE {table} SET v = 'stage {stage}' WHERE n % 7 = {stage};
         DELETE FROM {table} WHERE n % 11 = {stage};
         INSERT INTO {table} ({names}, n, v)
         SELECT {key}, i, 'new' FROM generate_series({from}, {from} + 40) i;
         UPDATE {table} t SET ({names}) = (SELECT {key} FROM (SELECT n + 2000 + {stage} * 1000 AS i) s)
         WHERE n % 13 = {stage};"
    )
}

fn all_kinds(target: Engine, kinds: &[Kind]) {
    let trial = Trial::new(Engine::Pg15, target).option("chunk_rows", 150);
    for kind in kinds {
        trial.source.run(&make(kind, 600));
    }
    trial.change_at_every_stage(|stage| kinds.iter().map(|kind| changes(kind, stage)).collect());
}

#[test]
fn keys_of_every_kind_are_copied_in_chunks_and_followed() {
    all_kinds(Engine::Pg18, POSTGRES_KINDS);
}

#[test]
fn keys_of_every_kind_go_to_sqlite() {
    all_kinds(Engine::Sqlite, POSTGRES_KINDS);
}

/// Composite keys, WITHOUT ROWID, text with a collation, blobs: SQLite's own ways.
const SQLITE: &str = "
    CREATE TABLE plain (k INTEGER PRIMARY KEY, n INTEGER, v TEXT);
    CREATE TABLE composite (a TEXT NOT NULL, b INTEGER NOT NULL, n INTEGER, v TEXT, PRIMARY KEY (b, a)) WITHOUT ROWID;
    CREATE TABLE nocase (k TEXT NOT NULL COLLATE NOCASE PRIMARY KEY, n INTEGER, v TEXT);
    CREATE TABLE blob (k BLOB NOT NULL PRIMARY KEY, n INTEGER, v TEXT);
    CREATE TABLE counted (k INTEGER PRIMARY KEY AUTOINCREMENT, n INTEGER, v TEXT);";

/// Table, key columns, and their values for row `@`.
const SQLITE_KINDS: &[(&str, &str, &str)] = &[
    ("plain", "k", "@"),
    ("composite", "a, b", "'a' || (@ % 5), @"),
    ("nocase", "k", "'Key' || @"),
    ("blob", "k", "CAST('k' || @ AS BLOB)"),
    ("counted", "k", "@"),
];

fn sqlite_to(target: Engine) {
    let trial = Trial::new(Engine::Sqlite, target).option("chunk_rows", 150);
    trial.source.run(SQLITE);
    let series = |from: u32, to: u32| {
        format!(
            "WITH RECURSIVE s(i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM s WHERE i < {to})"
        )
    };
    for (table, names, key) in SQLITE_KINDS {
        let key = key.replace('@', "i");
        trial.source.run(&format!(
            "INSERT INTO {table} ({names}, n, v) {} SELECT {key}, i, 'first ' || i FROM s",
            series(1, 600)
        ));
    }
    trial.change_at_every_stage(|stage| {
        let from = 601 + stage * 50;
        let mut sql = "BEGIN;".to_owned();
        for (table, names, key) in SQLITE_KINDS {
            let moved = key.replace('@', &format!("(n + 2000 + {stage} * 1000)"));
            let key = key.replace('@', "i");
            sql.push_str(&format!(
                "UPDATE {table} SET v = 'stage {stage}' WHERE n % 7 = {stage};
                 DELETE FROM {table} WHERE n % 11 = {stage};
                 INSERT INTO {table} ({names}, n, v) {} SELECT {key}, i, 'new' FROM s;
                 UPDATE {table} SET ({names}) = ({moved}) WHERE n % 13 = {stage};",
                series(from, from + 40)
            ));
        }
        sql + "COMMIT;"
    });
}

#[test]
fn sqlite_keys_of_every_kind_are_followed() {
    sqlite_to(Engine::Sqlite);
}

#[test]
fn sqlite_keys_of_every_kind_go_to_postgres() {
    sqlite_to(Engine::Pg17);
}

#[test]
fn keys_move_from_loaded_to_pending_chunks_and_back() {
    let trial = Trial::new(Engine::Pg17, Engine::Pg18)
        .option("chunk_rows", 100)
        .option("loaders", 1);
    trial.source.run(
        "CREATE TABLE t (k integer PRIMARY KEY, v text);
         INSERT INTO t SELECT i, 'first' FROM generate_series(1, 1000) i",
    );
    trial.die_at("chunk.after_commit", 4);
    // both ways at once, some over several hops in one transaction, some back to where they were
    trial.source.run(
        "BEGIN;
         UPDATE t SET k = k + 5000 WHERE k % 10 = 1;
         UPDATE t SET k = -k WHERE k BETWEEN 700 AND 800;
         UPDATE t SET k = k - 5000 WHERE k > 5500;
         COMMIT;
         UPDATE t SET k = k + 10000 WHERE k % 10 = 2;
         UPDATE t SET k = k - 10000, v = 'back' WHERE k > 10000;
         DELETE FROM t WHERE k % 10 = 3;
         INSERT INTO t SELECT i, 'again' FROM generate_series(3, 1000, 10) i WHERE i % 20 = 3",
    );
    trial.follow();
    trial.assert_equal();
}

#[test]
fn two_rows_change_keys_with_each_other() {
    let trial = Trial::new(Engine::Pg15, Engine::Pg17).option("chunk_rows", 100);
    trial.source.run(
        "CREATE TABLE t (k integer PRIMARY KEY, v text);
         INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 400) i",
    );
    trial.change_at_every_stage(|stage| {
        let (one, other) = (1 + stage, 390 + stage);
        format!(
            "BEGIN;
             UPDATE t SET k = -1 WHERE k = {one};
             UPDATE t SET k = {one} WHERE k = {other};
             UPDATE t SET k = {other} WHERE k = -1;
             COMMIT"
        )
    });
}
