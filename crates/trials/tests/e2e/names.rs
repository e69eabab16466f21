//! Names that must be quoted, and several schemas.

use crossfade_trials::compare::{differences, quote, shape};
use crossfade_trials::{Engine, Trial};

const NAMES: &[&str] = &[
    "MixedCase",
    "with space",
    "with\"quote",
    "it's",
    "dot.ted",
    "Grüße",
    "日本語",
    "select",
    "🦀",
    "tab\tname",
    "back\\slash",
    "$dollar$",
    "per%cent",
];

fn make(name: &str) -> String {
    let (table, key, value) = (
        quote(name),
        quote(&format!("k {name}")),
        quote(&format!("v {name}")),
    );
    format!(
        "CREATE TABLE {table} ({key} integer NOT NULL PRIMARY KEY, {value} text, \"K\" integer, \"k\" text);
         CREATE INDEX {} ON {table} ({value});
         INSERT INTO {table} WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 150)
         SELECT i, 'v' || i, i, 'k' FROM s;",
        quote(&format!("index of {name}"))
    )
}

fn changes(name: &str, stage: u32) -> String {
    let (table, key, value) = (
        quote(name),
        quote(&format!("k {name}")),
        quote(&format!("v {name}")),
    );
    format!(
        "UPDATE {table} SET {value} = 'stage' WHERE {key} % 7 = {stage};
         UPDATE {table} SET {key} = {key} + 1000 WHERE {key} % 11 = {stage};
         DELETE FROM {table} WHERE {key} % 13 = {stage};"
    )
}

#[test]
fn odd_names_are_quoted_everywhere() {
    let trial = Trial::new(Engine::Pg15, Engine::Pg18).option("chunk_rows", 100);
    for name in NAMES {
        trial.source.run(&make(name));
    }
    trial.change_at_every_stage(|stage| NAMES.iter().map(|name| changes(name, stage)).collect());
    shape::assert_same(&trial.source, &trial.target);
}

#[test]
fn odd_names_are_quoted_in_sqlite_too() {
    for target in [Engine::Sqlite, Engine::Pg17] {
        let trial = Trial::new(Engine::Sqlite, target).option("chunk_rows", 100);
        for name in NAMES {
            // SQLite's columns differ in more than case
            trial
                .source
                .run(&make(name).replace("\"k\" text", "\"l\" text"));
        }
        trial
            .change_at_every_stage(|stage| NAMES.iter().map(|name| changes(name, stage)).collect());
    }
}

#[test]
fn tables_of_one_name_in_several_schemas_stay_apart() {
    for target in [Engine::Pg17, Engine::Sqlite] {
        let trial = Trial::new(Engine::Pg15, target).option("chunk_rows", 100);
        for schema in ["public", "Other Schema", "third"] {
            trial.source.run(&format!(
                "CREATE SCHEMA IF NOT EXISTS {0};
                 CREATE TABLE {0}.t (k integer PRIMARY KEY, v text);
                 INSERT INTO {0}.t SELECT i, '{schema}' FROM generate_series(1, 150) i",
                quote(schema)
            ));
        }
        // a reference across schemas
        trial.source.run(
            "CREATE TABLE third.child (k integer PRIMARY KEY, t integer REFERENCES \"Other Schema\".t ON DELETE CASCADE);
             INSERT INTO third.child SELECT i, i FROM generate_series(1, 150) i",
        );
        trial.change_at_every_stage(|stage| {
            format!(
                "UPDATE public.t SET v = 'stage' WHERE k % 7 = {stage};
                 DELETE FROM \"Other Schema\".t WHERE k % 7 = {stage};
                 UPDATE third.t SET k = k + 1000 WHERE k % 7 = {stage};"
            )
        });
        assert_eq!(differences(&trial.source, &trial.target), [""; 0]);
    }
}
