//! Partitioned tables: followed as one table, made with their partitions.

use crossfade_trials::compare::{TableName, differences_of, shape};
use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::{Engine, Trial};

const MAKE: &str = "
    CREATE TABLE sales (region text NOT NULL, no integer NOT NULL, amount numeric, PRIMARY KEY (region, no))
        PARTITION BY LIST (region);
    CREATE TABLE sales_north PARTITION OF sales FOR VALUES IN ('n') PARTITION BY RANGE (no);
    CREATE TABLE sales_north_1 PARTITION OF sales_north FOR VALUES FROM (MINVALUE) TO (200);
    CREATE TABLE sales_north_2 PARTITION OF sales_north FOR VALUES FROM (200) TO (MAXVALUE);
    CREATE TABLE sales_south PARTITION OF sales FOR VALUES IN ('s');
    CREATE TABLE sales_rest PARTITION OF sales DEFAULT;
    INSERT INTO sales SELECT (ARRAY['n', 's', 'x', 'y'])[1 + i % 4], i, i * 0.5 FROM generate_series(1, 700) i;";

fn changes(stage: u32) -> String {
    format!(
        "UPDATE sales SET amount = amount + 1 WHERE no % 7 = {stage};
         UPDATE sales SET region = 's' WHERE region = 'n' AND no % 5 = {stage};
         UPDATE sales SET region = 'n', no = no + 1000 WHERE region = 'x' AND no % 5 = {stage};
         DELETE FROM sales WHERE no % 11 = {stage};
         DELETE FROM sales_south WHERE no % 13 = {stage};
         INSERT INTO sales SELECT 'z', i, NULL FROM generate_series({0}, {0} + 20) i;
         UPDATE sales SET no = no + 190 WHERE region = 'n' AND no BETWEEN {1} AND {1} + 3;",
        2000 + stage * 100,
        20 + stage * 10
    )
}

#[test]
fn rows_move_between_partitions() {
    let trial = Trial::new(Engine::Pg15, Engine::Pg17).option("chunk_rows", 100);
    trial.source.run(MAKE);
    trial.change_at_every_stage(changes);
    shape::assert_same(&trial.source, &trial.target);
    for leaf in [
        "sales_north_1",
        "sales_north_2",
        "sales_south",
        "sales_rest",
    ] {
        let name = TableName::new(Some("public"), leaf);
        let found = differences_of(&trial.source, &trial.target, &[(name.clone(), name)]);
        assert!(found.is_empty(), "{found:?}");
    }
}

#[test]
fn a_partitioned_table_becomes_one_table_on_sqlite() {
    let trial = Trial::new(Engine::Pg18, Engine::Sqlite).option("chunk_rows", 100);
    trial.source.run(MAKE);
    trial.change_at_every_stage(changes);
}

#[test]
fn truncating_the_root_empties_every_partition() {
    let trial = Trial::new(Engine::Pg17, Engine::Pg18).option("chunk_rows", 100);
    trial.source.run(MAKE);
    trial.change_at_every_stage(|stage| {
        format!(
            "TRUNCATE sales; INSERT INTO sales SELECT 's', i, 1 FROM generate_series({0}, {0} + 300) i;",
            5000 + stage * 1000
        )
    });
}

fn truncated_alone(stage: u32) -> String {
    format!(
        "UPDATE sales SET amount = -1 WHERE no % 7 = {stage};
         BEGIN; INSERT INTO sales VALUES ('s', {0}, 1), ('n', {0}, 1); TRUNCATE sales_south;
         INSERT INTO sales VALUES ('s', {0} + 1, 1); COMMIT;
         TRUNCATE sales_north; INSERT INTO sales VALUES ('n', {0} + 2, 2), ('s', {0} + 3, 3);
         UPDATE sales SET region = 's' WHERE region = 'y' AND no % 5 = {stage};",
        5000 + stage * 1000
    )
}

#[test]
fn partitions_truncated_by_themselves_are_empty_on_the_target_too() {
    let trial = Trial::new(Engine::Pg15, Engine::Pg17).option("chunk_rows", 100);
    trial.source.run(MAKE);
    trial.change_at_every_stage(truncated_alone);
    // while it runs, and it goes on
    let running = trial.start(&["run"]);
    trial.source.run(&truncated_alone(3));
    trial
        .source
        .run("UPDATE sales SET amount = -2 WHERE no = 8001");
    wait_until("the run goes on", LONG, || {
        trial
            .target
            .number("SELECT count(*) FROM sales WHERE amount = -2")
            == 1
    });
    running.interrupt();
    running.wait(LONG).expect(0);
    trial.verify();
    trial.assert_equal();
}

#[test]
fn partitions_truncated_by_themselves_are_empty_on_sqlite_too() {
    let trial = Trial::new(Engine::Pg17, Engine::Sqlite).option("chunk_rows", 100);
    trial.source.run(MAKE);
    trial.change_at_every_stage(truncated_alone);
}

#[test]
fn unique_indexes_that_are_there_are_no_obstacle_to_a_new_copy() {
    let trial = Trial::new(Engine::Pg15, Engine::Pg18).option("chunk_rows", 100);
    trial.source.run(
        "CREATE TABLE days (day integer NOT NULL, no integer NOT NULL, code integer, PRIMARY KEY (day, no), UNIQUE (day, code))
            PARTITION BY RANGE (day);
         CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (1) TO (10);
         CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM (10) TO (20);
         CREATE TABLE notes (id integer PRIMARY KEY, day integer, no integer, FOREIGN KEY (day, no) REFERENCES days);
         INSERT INTO days SELECT 1 + i % 18, i, i FROM generate_series(1, 900) i;
         INSERT INTO notes SELECT i, 1 + i % 18, i FROM generate_series(10, 16) i;",
    );
    trial.follow();
    trial.source.run(
        "DELETE FROM notes WHERE day < 10; ALTER TABLE notes DROP CONSTRAINT notes_day_no_fkey",
    );
    let writers = "UPDATE days SET code = code + 100000 WHERE no % 3 = 0;
        UPDATE days SET code = code - 1 WHERE no % 3 = 1 AND day > 9;
        UPDATE days SET code = code - 99999 WHERE no % 3 = 0 AND no < 500";
    trial.source.run("TRUNCATE days_1");
    trial.die_at("chunk.before_commit", 1);
    trial.source.run(writers);
    trial.verify();
    trial.assert_equal();
}

#[test]
fn attaching_or_detaching_a_partition_stops_the_run() {
    for sql in [
        "CREATE TABLE sales_west PARTITION OF sales FOR VALUES IN ('w')",
        "ALTER TABLE sales DETACH PARTITION sales_south",
        "CREATE TABLE loose (LIKE sales); INSERT INTO loose VALUES ('w', 1, 1);
         ALTER TABLE sales ATTACH PARTITION loose FOR VALUES IN ('w')",
    ] {
        let trial = Trial::new(Engine::Pg15, Engine::Pg17);
        trial.source.run(MAKE);
        trial.follow();
        let running = trial.start(&["run"]);
        trial.source.run("UPDATE sales SET amount = 0 WHERE no = 1");
        trial.source.run(sql);
        trial.source.run("UPDATE sales SET amount = 0 WHERE no = 2");
        let outcome = running.wait(LONG);
        assert!(
            matches!(outcome.code, Some(1 | 2)),
            "{sql}:\n{}",
            outcome.text()
        );
        outcome.says(&["sales"]);
    }
}
