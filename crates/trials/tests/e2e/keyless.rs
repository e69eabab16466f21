//! Tables without a key: multisets of whole rows.

use crossfade_trials::{Engine, Trial};

const MAKE: &str = "
    CREATE TABLE t (a integer, b text, c numeric);
    ALTER TABLE t REPLICA IDENTITY FULL;
    INSERT INTO t SELECT i % 4, CASE WHEN i % 3 = 0 THEN NULL ELSE 'b' || i % 2 END, 1.50
    FROM generate_series(1, 500) i;";

fn changes(stage: u32) -> String {
    let some = |n: u32, rows: u32| {
        format!("ctid IN (SELECT ctid FROM t WHERE a = {n} ORDER BY ctid LIMIT {rows})")
    };
    format!(
        "INSERT INTO t SELECT {stage}, NULL, NULL FROM generate_series(1, 7);
         DELETE FROM t WHERE {0};
         UPDATE t SET b = NULL WHERE {1};
         BEGIN;
         INSERT INTO t VALUES (9, 'gone', 1), (9, 'gone', 1), (9, 'gone', 1.0);
         DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t WHERE a = 9);
         COMMIT;
         UPDATE t SET a = a WHERE {2};",
        some(stage, 5),
        some(3, 4),
        some(0, 3)
    )
}

#[test]
fn equal_rows_are_counted() {
    let trial = Trial::new(Engine::Pg15, Engine::Pg18);
    trial.source.run(MAKE);
    trial.source.run(
        "CREATE TABLE u (k integer PRIMARY KEY); INSERT INTO u SELECT generate_series(1, 900)",
    );
    trial.change_at_every_stage(changes);
}

#[test]
fn equal_rows_are_counted_on_their_way_to_sqlite() {
    let trial = Trial::new(Engine::Pg17, Engine::Sqlite);
    trial.source.run(MAKE);
    trial.source.run(
        "CREATE TABLE u (k integer PRIMARY KEY); INSERT INTO u SELECT generate_series(1, 900)",
    );
    trial.change_at_every_stage(changes);
}

#[test]
fn a_table_without_any_identity_is_refused_with_the_statement_that_helps() {
    let trial = Trial::new(Engine::Pg15, Engine::Pg17).as_superuser();
    trial.source.run("CREATE TABLE bare (a integer, b text)");
    trial
        .call(&["run", "--until", "followed"])
        .expect(2)
        .says(&["public.bare", "REPLICA IDENTITY FULL"]);
    crossfade_trials::chaos::capture::assert_gone(&trial.source);
    assert!(crossfade_trials::compare::tables(&trial.target).is_empty());
    trial
        .source
        .run("ALTER TABLE bare REPLICA IDENTITY FULL; INSERT INTO bare VALUES (1, 'x')");
    trial.follow();
    trial.assert_equal();
}

#[test]
fn a_unique_index_can_stand_for_the_key() {
    let trial = Trial::new(Engine::Pg17, Engine::Pg18).option("chunk_rows", 100);
    trial.source.run(
        "CREATE TABLE t (a integer NOT NULL, b text NOT NULL, c text);
         CREATE UNIQUE INDEX t_b_a ON t (b, a);
         ALTER TABLE t REPLICA IDENTITY USING INDEX t_b_a;
         INSERT INTO t SELECT i, 'b' || i % 7, 'c' FROM generate_series(1, 500) i",
    );
    trial.change_at_every_stage(|stage| {
        format!(
            "UPDATE t SET c = 'stage' WHERE a % 7 = {stage};
             UPDATE t SET b = 'moved {stage}' WHERE a % 11 = {stage};
             DELETE FROM t WHERE a % 13 = {stage};"
        )
    });
}
