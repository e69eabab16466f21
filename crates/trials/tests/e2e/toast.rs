//! PostgreSQL's log leaves out large values that did not change.

use crossfade_trials::patience::LONG;
use crossfade_trials::{Engine, Trial};

const MAKE: &str = "
    CREATE TABLE t (k integer PRIMARY KEY, n integer NOT NULL DEFAULT 0, big text, bigger bytea);
    ALTER TABLE t ALTER big SET STORAGE EXTERNAL, ALTER bigger SET STORAGE EXTERNAL;
    INSERT INTO t SELECT i, 0, repeat(md5(i::text), 100), decode(repeat(md5((-i)::text), 150), 'hex')
    FROM generate_series(1, 600) i;";

/// Something for every way in which an image can lack its large values.
fn changes(stage: u32) -> String {
    let place = |i: u32| format!("k % 20 = {}", i + stage * 6);
    format!(
        "UPDATE t SET n = n + 1 WHERE {0};
         UPDATE t SET n = n + 1, big = 'short' WHERE {1};
         UPDATE t SET k = k + 10000 * ({stage} + 1) WHERE {2};
         BEGIN;
         UPDATE t SET n = n + 1 WHERE {3};
         UPDATE t SET k = k - 20000 WHERE {3};
         UPDATE t SET n = n + 1 WHERE k < 0;
         UPDATE t SET k = k + 20000, big = NULL WHERE k < 0;
         COMMIT;
         BEGIN;
         DELETE FROM t WHERE {4};
         INSERT INTO t SELECT i, 5, repeat('x', 4000), NULL FROM generate_series(1, 600) i WHERE i % 20 = {5};
         UPDATE t SET n = n + 1 WHERE {4};
         COMMIT;",
        place(0),
        place(1),
        place(2),
        place(3),
        place(4),
        4 + stage * 6
    )
}

fn unchanged(target: Engine) {
    let trial = Trial::new(Engine::Pg15, target).option("chunk_rows", 100);
    trial.source.run(MAKE);
    trial.change_at_every_stage(changes);
}

#[test]
fn unchanged_large_values_are_kept_at_every_stage() {
    unchanged(Engine::Pg18);
}

#[test]
fn unchanged_large_values_are_kept_on_their_way_to_sqlite() {
    unchanged(Engine::Sqlite);
}

#[test]
fn unchanged_large_values_survive_a_crash_between_reading_again_and_applying() {
    let trial = Trial::new(Engine::Pg17, Engine::Pg18)
        .option("chunk_rows", 100)
        .option("loaders", 1);
    trial.source.run(MAKE);
    trial.die_at("chunk.after_commit", 2);
    // a key that moves from where rows are loaded to where they are not, and the other way
    trial.source.run(
        "UPDATE t SET k = k + 10000 WHERE k % 10 = 1;
         UPDATE t SET k = k - 20000 WHERE k % 10 = 2;
         UPDATE t SET n = n + 1",
    );
    trial.die_at("reread.read", 1);
    trial
        .source
        .run("UPDATE t SET n = n + 1, k = -k WHERE k % 10 = 5");
    trial.follow();
    trial.assert_equal();
}

#[test]
fn unchanged_large_values_that_cannot_be_read_again_since_the_table_was_altered_are_copied_anew() {
    let trial = Trial::new(Engine::Pg15, Engine::Pg17)
        .option("chunk_rows", 100)
        .option("loaders", 1);
    trial.source.run(MAKE);
    trial.die_at("chunk.after_commit", 2);
    // keys that come to where rows are loaded from where they are not, in the old shape
    trial
        .source
        .run("UPDATE t SET k = k - 20000, n = 1 WHERE k % 10 = 2");
    let running = trial.start(&["run"]);
    running.freeze();
    trial
        .source
        .run("ALTER TABLE t ADD extra integer DEFAULT 7");
    trial.source.run("UPDATE t SET n = n + 1 WHERE k < 0");
    running.go_on();
    running.wait(LONG).expect(1).says(&["t", "altered"]);
    trial
        .target
        .run("ALTER TABLE t ADD extra integer DEFAULT 7");
    trial.verify();
    trial.assert_equal();
}

#[test]
fn unchanged_large_values_in_a_table_without_key_identify_the_row() {
    let trial = Trial::new(Engine::Pg15, Engine::Pg17);
    trial.source.run(
        "CREATE TABLE t (n integer, big text);
         ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
         ALTER TABLE t REPLICA IDENTITY FULL;
         INSERT INTO t SELECT i % 3, repeat(md5((i % 5)::text), 100) FROM generate_series(1, 60) i",
    );
    trial.follow();
    trial.source.run(
        "UPDATE t SET n = 7 WHERE ctid IN (SELECT ctid FROM t WHERE n = 1 LIMIT 3);
         DELETE FROM t WHERE ctid IN (SELECT ctid FROM t WHERE n = 2 LIMIT 4)",
    );
    trial.verify();
    trial.assert_equal();
}
