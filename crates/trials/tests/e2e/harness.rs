//! The tools themselves: writers write, and the comparison sees what it should see.

use std::time::Duration;

use crossfade_trials::compare::{TableName, differences, differences_of, shape};
use crossfade_trials::database::Dialect;
use crossfade_trials::seed::seed;
use crossfade_trials::shop::{self, Tables};
use crossfade_trials::workload::{Options, Writers};
use crossfade_trials::{Engine, Trial};

#[test]
fn writers_change_every_table_of_the_shop_on_both_engines() {
    let seed = seed("writers");
    for (engine, tables) in [
        (Engine::Sqlite, Tables::Common),
        (Engine::Pg15, Tables::All),
    ] {
        let trial = Trial::new(engine, engine);
        for database in [&trial.source, &trial.target] {
            shop::make(database, tables, 300, seed);
        }
        assert_eq!(differences(&trial.source, &trial.target), [""; 0]);
        let mut options = Options::new(tables, 300);
        options.pause = 0;
        let writers = Writers::start(&trial.source, options, seed);
        std::thread::sleep(Duration::from_secs(4));
        let work = writers.stop();
        assert!(work.refused * 2 < work.done, "{engine:?}: {work:?}");
        for table in crossfade_trials::compare::tables(&trial.source) {
            let found = differences_of(
                &trial.source,
                &trial.target,
                &[(table.clone(), table.clone())],
            );
            assert!(!found.is_empty(), "{engine:?}: no writer changes {table:?}");
        }
        assert_eq!(
            shape::shape(&trial.source),
            shape::shape(&trial.target),
            "{engine:?}: writers do not change the shape"
        );
    }
}

#[test]
fn the_comparison_sees_what_differs_and_nothing_else_between_engines() {
    let trial = Trial::new(Engine::Pg17, Engine::Sqlite);
    trial.source.run(
        "CREATE TABLE t (id bigint PRIMARY KEY, b boolean, f double precision, d numeric, y bytea, m timestamptz, s text);
         INSERT INTO t VALUES (1, true, 0.1, 1.50, '\\x00ff', '2024-01-02 03:04:05.5+00', 'x'),
                              (2, NULL, NULL, NULL, NULL, NULL, NULL), (3, false, 'NaN', 'NaN', '', 'infinity', '')",
    );
    trial.target.run(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, b BOOLEAN, f REAL, d TEXT, y BLOB, m TEXT, s TEXT);
         INSERT INTO t VALUES (1, 1, 0.1, '1.5', x'00ff', '2024-01-02 03:04:05.500', 'x'),
                              (2, NULL, NULL, NULL, NULL, NULL, NULL), (3, 0, 'NaN', 'NaN', x'', 'infinity', '')",
    );
    let equal = || differences(&trial.source, &trial.target).is_empty();
    assert!(equal(), "{:?}", differences(&trial.source, &trial.target));
    for (change, back) in [
        ("b = 0", "b = 1"),
        ("b = 't'", "b = 1"),
        ("f = 0.10000000000000002", "f = 0.1"),
        ("d = '1.51'", "d = '1.5'"),
        ("y = '00ff'", "y = x'00ff'"),
        ("m = '2024-01-02 03:04:05.6'", "m = '2024-01-02 03:04:05.5'"),
        ("s = 'x '", "s = 'x'"),
        ("s = NULL", "s = 'x'"),
    ] {
        trial
            .target
            .run(&format!("UPDATE t SET {change} WHERE id = 1"));
        assert!(!equal(), "{change} is not seen");
        trial
            .target
            .run(&format!("UPDATE t SET {back} WHERE id = 1"));
        assert!(equal(), "{back}");
    }
    for (change, back) in [
        (
            "UPDATE t SET s = '' WHERE id = 2",
            "UPDATE t SET s = NULL WHERE id = 2",
        ),
        (
            "DELETE FROM t WHERE id = 2",
            "INSERT INTO t (id) VALUES (2)",
        ),
        (
            "INSERT INTO t (id) VALUES (4)",
            "DELETE FROM t WHERE id = 4",
        ),
        ("ALTER TABLE t ADD extra TEXT", "ALTER TABLE t DROP extra"),
    ] {
        trial.target.run(change);
        assert!(!equal(), "{change} is not seen");
        trial.target.run(back);
        assert!(equal(), "{back}");
    }
    let absent = (
        TableName::new(Some("public"), "t"),
        TableName::new(None, "u"),
    );
    assert!(!differences_of(&trial.source, &trial.target, &[absent]).is_empty());
    assert_eq!(trial.target.dialect(), Dialect::Sqlite);
}

/// A file that no `mod` names is not even compiled, and nothing else says so.
#[test]
fn every_file_of_tests_is_run() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e");
    let main = std::fs::read_to_string(folder.join("main.rs")).unwrap();
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let line = format!("mod {name};");
        assert!(
            name == "main" || main.lines().any(|l| l == line),
            "{name}.rs is in no `mod`"
        );
    }
}
