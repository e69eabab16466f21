//! TRUNCATE, which names no rows.

use crossfade_trials::{Engine, Trial};

const MAKE: &str = "
    CREATE TABLE parent (k integer PRIMARY KEY, v text);
    CREATE TABLE child (k integer PRIMARY KEY, parent integer REFERENCES parent);
    CREATE TABLE beside (k serial PRIMARY KEY, v text);
    INSERT INTO parent SELECT i, 'v' FROM generate_series(1, 600) i;
    INSERT INTO child SELECT i, i FROM generate_series(1, 600) i;
    INSERT INTO beside (v) SELECT 'v' FROM generate_series(1, 600) i;";

fn truncated(target: Engine) {
    let trial = Trial::new(Engine::Pg15, target).option("chunk_rows", 100);
    trial.source.run(MAKE);
    trial.change_at_every_stage(|stage| {
        let from = stage * 1000;
        let rows = format!("generate_series({from} + 1, {from} + 250) i");
        match stage {
            // with what refers to it, and filled again in the same transaction, with rows before and after
            0 => format!(
                "BEGIN; INSERT INTO parent SELECT -i, 'early' FROM {rows};
                 TRUNCATE parent CASCADE; INSERT INTO parent SELECT i, 'late' FROM {rows};
                 INSERT INTO child SELECT i, i FROM {rows}; COMMIT;"
            ),
            1 => format!(
                "TRUNCATE beside RESTART IDENTITY; INSERT INTO beside (v) SELECT 'again' FROM {rows};
                 BEGIN; TRUNCATE parent, child; SAVEPOINT s; INSERT INTO parent SELECT i, 'kept' FROM {rows};
                 SAVEPOINT s2; TRUNCATE parent CASCADE; ROLLBACK TO s2; COMMIT;"
            ),
            _ => format!(
                "BEGIN; TRUNCATE beside; ROLLBACK; TRUNCATE child;
                 INSERT INTO child SELECT i, NULL FROM {rows}; TRUNCATE child; INSERT INTO child VALUES (1, NULL);"
            ),
        }
    });
}

#[test]
fn truncated_tables_are_emptied_at_every_stage() {
    truncated(Engine::Pg17);
}

#[test]
fn truncated_tables_are_emptied_on_sqlite() {
    truncated(Engine::Sqlite);
}

#[test]
fn a_table_without_key_is_truncated_while_it_is_copied() {
    let trial = Trial::new(Engine::Pg17, Engine::Pg18);
    trial.source.run(
        "CREATE TABLE t (a integer); ALTER TABLE t REPLICA IDENTITY FULL;
         INSERT INTO t SELECT i % 5 FROM generate_series(1, 900) i;
         CREATE TABLE u (k integer PRIMARY KEY); INSERT INTO u SELECT generate_series(1, 900)",
    );
    trial.change_at_every_stage(|stage| {
        format!(
            "INSERT INTO t VALUES (7); TRUNCATE t; INSERT INTO t VALUES ({stage}), ({stage}), (8);"
        )
    });
}
