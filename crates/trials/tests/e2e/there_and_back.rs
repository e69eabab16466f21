//! Values of every type, from every engine to every engine and home again: rows that came over are written anew on the target
//! under other keys, after authority has changed hands, and the source must have in them what it had before.

use std::collections::BTreeMap;

use crossfade_trials::database::Dialect;
use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::seed::{VARIABLE, generator, seed};
use crossfade_trials::{Database, Engine, Trial};

use crate::switch::{followed, report, rollback, switch};
use crate::values::TYPES;
use crate::values_generated::{Ends, Value, generated, is_written_alike};
use crate::values_listed::lists;

/// Columns of one table.
const TOGETHER: usize = 16;

/// The values of a column by the keys of its table's rows, each in the words of the server that has it, so that two have the same words only where they are the same.
fn held(
    database: &Database,
    (column, kind): (usize, &str),
    same_engine: bool,
) -> BTreeMap<i64, Option<String>> {
    let base = kind.split(['(', ' ']).next().unwrap_or(kind);
    let v = format!("v{column}");
    let value = match (database.dialect(), base) {
        // another engine has no scale of its own for every value
        (Dialect::Postgres, "numeric") if !same_engine && !kind.ends_with("[]") => {
            format!("trim_scale({v})::text")
        }
        (Dialect::Postgres, _) => format!("{v}::text"),
        // a text's quotes end at a character NUL
        (Dialect::Sqlite, _) => format!(
            "typeof({v}) || CASE WHEN typeof({v}) = 'text' THEN hex({v}) ELSE quote({v}) END"
        ),
        // a single is printed with six digits
        (Dialect::Mysql, "float") => format!("concat({v} + 0e0, '')"),
        (
            Dialect::Mysql,
            "binary" | "varbinary" | "blob" | "tinyblob" | "mediumblob" | "longblob" | "bit"
            | "point" | "linestring" | "polygon" | "geometrycollection" | "geometry" | "vector"
            | "char" | "varchar" | "text" | "tinytext" | "mediumtext" | "longtext",
        ) => format!("hex({v})"),
        (Dialect::Mysql, _) => format!("concat({v}, '')"),
    };
    let table = column / TOGETHER;
    database
        .rows(&format!("SELECT k, {value} FROM t{table}"))
        .into_iter()
        .map(|row| {
            let mut cells = row.into_iter();
            let key = cells.next().flatten().expect("a key");
            let value = cells.next().flatten();
            let value = if same_engine {
                value
            } else {
                value.map(unsigned)
            };
            (key.parse().expect("a number"), value)
        })
        .collect()
}

/// A value, but that both zeros are one.
fn unsigned(value: String) -> String {
    if value == "-0" { "0".to_owned() } else { value }
}

/// Rows that the application writes on the target begin here: `k` again is at `COPIES + k`, or was renamed to `RENAMED + k`.
const COPIES: i64 = 100_000;
const RENAMED: i64 = 200_000;
/// The same words written on each side: on the target `i` values under `FRESH + i`, on the source under `TWINS + i`.
const FRESH: i64 = 300_000;
const TWINS: i64 = 500_000;

/// Both sides are equal by the program's own word.
fn assert_verified(trial: &Trial, what: &str, types: &[(&str, &[&str])]) {
    let outcome = trial.call(&["verify", "--show-rows"]);
    let lines = outcome
        .stdout
        .lines()
        .filter(|line| !line.contains("equal  "));
    let told: Vec<&str> = lines.take(40).collect();
    let kinds: Vec<_> = types.iter().map(|(kind, _)| *kind).enumerate().collect();
    assert_eq!(
        outcome.code,
        Some(0),
        "{what}: {}\nits columns are v0 and so on: {kinds:?}",
        told.join("\n")
    );
}

fn there_and_back(source: Engine, target: Engine) {
    let what = format!("there and back, {source:?} to {target:?}");
    let seed = seed(&what);
    let what = format!("{what}, {VARIABLE}={seed}");
    let ends = Ends { source, target };
    let types: Vec<(&str, &[&str])> = lists(source, target)
        .into_iter()
        .flatten()
        .copied()
        .collect();
    let trial = Trial::new(source, target)
        .as_superuser()
        .option("chunk_rows", 100);
    if trial.source.dialect() == Dialect::Postgres {
        let mut having = vec![&trial.source];
        having.extend((trial.target.dialect() == Dialect::Postgres).then_some(&trial.target));
        for database in having {
            database.run("CREATE EXTENSION hstore");
        }
        trial.source.run(TYPES);
    }
    let same_engine = matches!(
        (trial.source.dialect(), trial.target.dialect()),
        (Dialect::Postgres, Dialect::Postgres)
    );
    let mut values: Vec<Vec<String>> = Vec::new();
    // in the words of the source, and of the target
    let mut twins: Vec<Vec<String>> = Vec::new();
    let mut fresh: Vec<Vec<String>> = Vec::new();
    for (column, (kind, edges)) in types.iter().enumerate() {
        let mut random = generator(seed, column as u64);
        let mut some = |n: usize| -> Vec<Value> {
            (0..n).map(|_| generated(kind, ends, &mut random)).collect()
        };
        let written = |values: &[Value], dialect: Dialect| {
            let words = values.iter().map(|value| value.sql(dialect));
            words.chain(["NULL".to_owned()]).collect::<Vec<_>>()
        };
        let new = some(if is_written_alike(kind, ends) { 5 } else { 0 });
        twins.push(written(&new, trial.source.dialect()));
        fresh.push(written(&new, trial.target.dialect()));
        let edges = edges.iter().map(|e| (*e).to_owned());
        let more = written(&some(20), trial.source.dialect());
        values.push(edges.chain(more).collect());
    }
    let tables = types.len().div_ceil(TOGETHER);
    let columns = |table: usize| table * TOGETHER..types.len().min((table + 1) * TOGETHER);
    // a row of the so many-th value of each column
    let row = |table: usize, k: i64, of: &[Vec<String>], i: usize| {
        let cells = columns(table).map(|column| of[column][i % of[column].len()].as_str());
        let cells: Vec<&str> = cells.collect();
        format!("({k}, {})", cells.join(", "))
    };
    for table in 0..tables {
        let declared: Vec<String> = columns(table)
            .map(|column| format!("v{column} {}", types[column].0))
            .collect();
        let most = columns(table).map(|column| values[column].len()).max();
        let old = (0..3 * most.unwrap_or(0)).map(|i| row(table, i as i64, &values, i));
        let twins = (0..6).map(|i| row(table, TWINS + i as i64, &twins, i));
        let rows: Vec<String> = old.chain(twins).collect();
        trial.source.run(&format!(
            "CREATE TABLE t{table} (k integer PRIMARY KEY, {}); INSERT INTO t{table} VALUES {}",
            declared.join(", "),
            rows.join(", ")
        ));
    }
    let before: Vec<_> = types
        .iter()
        .enumerate()
        .map(|(column, (kind, _))| held(&trial.source, (column, kind), same_engine))
        .collect();
    let mut running = followed(&trial);
    // a third of the rows comes by the stream
    for table in 0..tables {
        trial.source.run(&format!(
            "UPDATE t{table} SET k = k + 50000 WHERE k < 1000 AND k % 3 = 0; UPDATE t{table} SET k = k - 50000 WHERE k >= 50000 AND k < 60000"
        ));
    }
    report(switch(&trial));
    for table in 0..tables {
        let copied: Vec<String> = columns(table).map(|column| format!("v{column}")).collect();
        let new: Vec<String> = (0..6)
            .map(|i| row(table, FRESH + i as i64, &fresh, i))
            .collect();
        trial.target.run(&format!(
            "INSERT INTO t{table} SELECT k + {COPIES}, {} FROM t{table} WHERE k < 1000; DELETE FROM t{table} WHERE k < 1000 AND k % 4 = 1;
             UPDATE t{table} SET k = k + {RENAMED} WHERE k < 1000 AND k % 4 = 2; INSERT INTO t{table} VALUES {}",
            copied.join(", "),
            new.join(", ")
        ));
    }
    assert_verified(&trial, &what, &types);
    report(rollback(&trial));
    for (column, (kind, _)) in types.iter().enumerate() {
        let mut expected = BTreeMap::new();
        for (k, value) in &before[column] {
            let mut is = |k: i64| expected.insert(k, value.clone());
            if *k >= TWINS {
                is(*k);
                is(*k - TWINS + FRESH);
                continue;
            }
            is(*k + COPIES);
            match k % 4 {
                1 => {}
                2 => drop(is(*k + RENAMED)),
                _ => drop(is(*k)),
            }
        }
        let found = held(&trial.source, (column, kind), same_engine);
        let wrong: Vec<_> = expected
            .iter()
            .filter(|(k, value)| found.get(k) != Some(*value))
            .map(|(k, value)| (k, value, found.get(k)))
            .take(5)
            .collect();
        assert!(
            wrong.is_empty(),
            "{what}: {kind}: (key, expected, found) {wrong:?}"
        );
        assert_eq!(found.len(), expected.len(), "{what}: {kind}: rows too many");
    }
    // and both sides are what they should be by the program's own word
    trial.source.run("DELETE FROM t0");
    wait_until("the target follows again", LONG, || {
        assert!(running.is_running(), "{}", running.stdout_so_far());
        trial.target.number("SELECT count(*) FROM t0") == 0
    });
    assert_verified(&trial, &what, &types);
    running.ended();
}

/// Each has a test.
pub(crate) const PAIRS: &[(Engine, Engine)] = &[
    (Engine::Pg15, Engine::Pg18),
    (Engine::Pg17, Engine::Mysql97),
    (Engine::Pg18, Engine::Maria118),
    (Engine::Pg17, Engine::Sqlite),
    (Engine::Mysql97, Engine::Pg18),
    (Engine::Mysql97, Engine::Mysql97),
    (Engine::Mysql97, Engine::Maria118),
    (Engine::Mysql97, Engine::Sqlite),
    (Engine::Maria118, Engine::Pg17),
    (Engine::Maria1011, Engine::Mysql97),
    (Engine::Maria1011, Engine::Maria118),
    (Engine::Maria118, Engine::Sqlite),
    (Engine::Sqlite, Engine::Pg18),
    (Engine::Sqlite, Engine::Mysql97),
    (Engine::Sqlite, Engine::Maria118),
    (Engine::Sqlite, Engine::Sqlite),
];

#[test]
fn values_of_postgres_to_postgres_and_back() {
    there_and_back(Engine::Pg15, Engine::Pg18);
}

#[test]
fn values_of_postgres_to_mysql_and_back() {
    there_and_back(Engine::Pg17, Engine::Mysql97);
}

#[test]
fn values_of_postgres_to_mariadb_and_back() {
    there_and_back(Engine::Pg18, Engine::Maria118);
}

#[test]
fn values_of_postgres_to_sqlite_and_back() {
    there_and_back(Engine::Pg17, Engine::Sqlite);
}

#[test]
fn values_of_mysql_to_postgres_and_back() {
    there_and_back(Engine::Mysql97, Engine::Pg18);
}

#[test]
fn values_of_mysql_to_mysql_and_back() {
    there_and_back(Engine::Mysql97, Engine::Mysql97);
}

#[test]
fn values_of_mysql_to_mariadb_and_back() {
    there_and_back(Engine::Mysql97, Engine::Maria118);
}

#[test]
fn values_of_mysql_to_sqlite_and_back() {
    there_and_back(Engine::Mysql97, Engine::Sqlite);
}

#[test]
fn values_of_mariadb_to_postgres_and_back() {
    there_and_back(Engine::Maria118, Engine::Pg17);
}

#[test]
fn values_of_mariadb_to_mysql_and_back() {
    there_and_back(Engine::Maria1011, Engine::Mysql97);
}

#[test]
fn values_of_mariadb_to_mariadb_and_back() {
    there_and_back(Engine::Maria1011, Engine::Maria118);
}

#[test]
fn values_of_mariadb_to_sqlite_and_back() {
    there_and_back(Engine::Maria118, Engine::Sqlite);
}

#[test]
fn values_of_sqlite_to_postgres_and_back() {
    there_and_back(Engine::Sqlite, Engine::Pg18);
}

#[test]
fn values_of_sqlite_to_mysql_and_back() {
    there_and_back(Engine::Sqlite, Engine::Mysql97);
}

#[test]
fn values_of_sqlite_to_mariadb_and_back() {
    there_and_back(Engine::Sqlite, Engine::Maria118);
}

#[test]
fn values_of_sqlite_to_sqlite_and_back() {
    there_and_back(Engine::Sqlite, Engine::Sqlite);
}

/// Rows that a time identifies, alone or with others, are found on the way back, however the store writes the same time.
fn keys_of_time(source: Engine, target: Engine, make: &str) {
    let trial = Trial::new(source, target)
        .as_superuser()
        .option("chunk_rows", 100);
    trial.source.run(make);
    let mut running = followed(&trial);
    report(switch(&trial));
    trial.target.run(
        "UPDATE t SET v = v + 10 WHERE v = 1 OR v = 2 OR v = 3; DELETE FROM t WHERE v = 4 OR v = 5;
         UPDATE t SET d = 8 WHERE v = 6; INSERT INTO t (at, d, v) VALUES ('2025-05-05 05:05:05.500000', 1, 100)",
    );
    let values = "SELECT v, d FROM t ORDER BY v";
    let expected: Vec<Vec<Option<String>>> = [(6, 8), (11, 1), (12, 1), (13, 1), (100, 1)]
        .map(|(v, d): (i32, i32)| vec![Some(v.to_string()), Some(d.to_string())])
        .to_vec();
    wait_until("the changes come back", LONG, || {
        assert!(running.is_running(), "{}", running.stdout_so_far());
        trial.source.rows(values) == expected
    });
    trial.call(&["verify", "--json"]).expect(0);
    report(rollback(&trial));
    trial
        .source
        .run("UPDATE t SET v = 200 WHERE v = 11; DELETE FROM t WHERE v = 12 OR v = 100");
    wait_until("the target follows again", LONG, || {
        assert!(running.is_running(), "{}", running.stdout_so_far());
        trial.target.number("SELECT sum(v) FROM t") == 6 + 13 + 200
    });
    trial.call(&["verify", "--json"]).expect(0);
    running.ended();
}

#[test]
fn keys_of_instants_of_postgres_in_mysql_and_back() {
    let make = "CREATE TABLE t (at timestamptz, d integer, v integer, PRIMARY KEY (at, d));
        INSERT INTO t VALUES ('2024-01-01 12:00:00+00', 1, 1), ('2024-01-01 12:00:00.05+00', 1, 2), ('2024-01-01 12:00:00.123456+00', 1, 3),
            ('2024-01-02 12:00:00+00', 1, 4), ('2024-01-02 12:00:00.5+00', 1, 5), ('2024-01-03 12:00:00.25+00', 1, 6)";
    keys_of_time(Engine::Pg17, Engine::Mysql97, make);
    keys_of_time(Engine::Pg15, Engine::Maria118, make);
}

#[test]
fn keys_of_times_of_sqlite_in_mysql_and_back() {
    let make = "CREATE TABLE t (at DATETIME NOT NULL, d INTEGER NOT NULL, v INTEGER, PRIMARY KEY (at, d));
        INSERT INTO t VALUES ('2024-01-01 12:00:00', 1, 1), ('2024-01-01 12:00:00.050000', 1, 2), ('2024-01-01 12:00:00.123456', 1, 3),
            ('2024-01-02 12:00:00.000000', 1, 4), ('2024-01-02 12:00:00.50', 1, 5), ('2024-01-03 12:00:00.250', 1, 6)";
    keys_of_time(Engine::Sqlite, Engine::Mysql97, make);
}
