//! Definitions in the log of MySQL and MariaDB that take rows, or change values, and say so in ways that are easily missed.

use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::{Engine, Trial};

fn stops_at_an_altered_table(trial: &Trial) {
    trial
        .call(&["run", "--until", "followed"])
        .expect(1)
        .says(&["t", "altered"]);
}

fn is_equal(trial: &Trial) {
    trial.follow();
    trial.verify().says(&["equal"]);
    trial.assert_equal();
}

/// A table may be called by a word that is not reserved, and a comment begin in more than one way.
#[test]
fn a_truncate_of_a_table_that_is_called_tables_empties_it() {
    for (source, target) in [
        (Engine::Mysql97, Engine::Maria118),
        (Engine::Maria118, Engine::Pg17),
    ] {
        let trial = Trial::new(source, target);
        for table in ["tables", "online", "t"] {
            trial.source.run(&format!(
                "CREATE TABLE {table} (id integer PRIMARY KEY, v integer)"
            ));
            trial
                .source
                .run(&format!("INSERT INTO {table} VALUES (1, 1), (2, 2)"));
        }
        trial.follow();
        trial.source.run("TRUNCATE TABLE tables");
        trial.source.run("TRUNCATE online");
        trial.source.run("TRUNCATE TABLE --\tall\n t");
        trial.source.run("INSERT INTO t VALUES (3, 3)");
        is_equal(&trial);
        assert_eq!(trial.target.number("SELECT count(*) FROM t"), 1);
    }
}

/// Duplicates go without a trace in the log.
#[test]
fn an_alter_ignore_that_deletes_duplicates_copies_the_table_anew() {
    let trial = Trial::new(Engine::Maria118, Engine::Mysql97).as_superuser();
    trial.source.run(
        "CREATE TABLE t (id integer PRIMARY KEY, a integer);
         INSERT INTO t VALUES (1, 7), (2, 7), (3, 8)",
    );
    trial.follow();
    trial.source.run("ALTER IGNORE TABLE t ADD UNIQUE (a)");
    trial.source.run("UPDATE t SET a = 9 WHERE id = 3");
    stops_at_an_altered_table(&trial);
    is_equal(&trial);
    assert_eq!(trial.target.number("SELECT count(*) FROM t"), 2);
}

/// The target was altered as the source seems to have been: by its columns nothing but a column came.
#[test]
fn a_table_that_was_swapped_for_one_with_another_column_is_copied_anew() {
    for (source, target) in [
        (Engine::Mysql97, Engine::Mysql97),
        (Engine::Maria118, Engine::Pg17),
    ] {
        let trial = Trial::new(source, target).as_superuser();
        trial.source.run(
            "CREATE TABLE t (id integer PRIMARY KEY, a integer);
             INSERT INTO t VALUES (1, 7), (2, 7), (3, 8)",
        );
        trial.follow();
        trial.source.run("CREATE TABLE n LIKE t");
        trial.source.run("ALTER TABLE n ADD c integer");
        trial.source.run("RENAME TABLE t TO old, n TO t");
        trial.source.run("INSERT INTO t VALUES (9, 9, 9)");
        stops_at_an_altered_table(&trial);
        trial.source.run("DROP TABLE old");
        trial.target.run("ALTER TABLE t ADD c integer");
        is_equal(&trial);
        assert_eq!(trial.target.number("SELECT count(*) FROM t"), 1);
    }
}

#[test]
fn two_tables_that_have_changed_names_are_both_copied_anew() {
    let trial = Trial::new(Engine::Mysql97, Engine::Maria118).as_superuser();
    for (table, row) in [("t", 1), ("u", 2)] {
        trial.source.run(&format!(
            "CREATE TABLE {table} (id integer PRIMARY KEY); INSERT INTO {table} VALUES ({row})"
        ));
    }
    trial.follow();
    trial
        .source
        .run("RENAME TABLE t TO x, u TO t, x TO u; INSERT INTO u VALUES (3)");
    stops_at_an_altered_table(&trial);
    is_equal(&trial);
    assert_eq!(trial.target.number("SELECT id FROM t"), 2);
}

/// Values that are rounded and columns that come back empty leave no row in the target's log.
#[test]
fn an_alter_of_the_target_that_changes_values_is_a_strangers() {
    for (source, target) in [
        (Engine::Pg17, Engine::Mysql97),
        (Engine::Mysql97, Engine::Maria118),
    ] {
        let trial = Trial::new(source, target).option("reconcile_percent", 0);
        trial.source.run(
            "CREATE TABLE t (id integer PRIMARY KEY, v decimal(10,2), w varchar(20));
             INSERT INTO t VALUES (1, 1.25, 'a'), (2, 2, 'b')",
        );
        let running = trial.following(&[]);
        trial.call(&["verify"]).expect(0);
        let strangers = |count: u64, proven: bool| {
            let status = trial.status();
            status["strangers"]["writes"] == count
                && status["progress"]["proof"]["everything"] == proven
        };
        // its own definitions are none
        wait_until("everything is proven", LONG, || strangers(0, true));
        trial
            .target
            .run("ALTER TABLE t ADD COLUMN extra integer, ADD INDEX i (w), COMMENT = 'x'");
        trial.target.run("ALTER TABLE t MODIFY v decimal(10,0)");
        trial.target.run("ALTER TABLE t MODIFY v decimal(10,2)");
        wait_until("the definitions are counted", LONG, || strangers(2, false));
        trial
            .call(&["verify"])
            .expect(2)
            .says(&["DIFFERENT", "not this migration's"]);
        trial.call(&["verify", "--repair"]).expect(0);
        wait_until("everything is proven again", LONG, || strangers(2, true));
        running.ended();
    }
}

/// The comma between the words of a set is as wide as the characters of its column.
#[test]
fn sets_in_wide_character_sets_are_read_from_the_log() {
    for (source, target) in [
        (Engine::Mysql97, Engine::Pg17),
        (Engine::Maria118, Engine::Maria118),
    ] {
        let trial = Trial::new(source, target);
        trial.source.run(
            "CREATE TABLE t (id integer PRIMARY KEY, a SET('a','é','b') CHARACTER SET ucs2, b SET('x','y') CHARACTER SET utf16le,
                             c SET('x','y','€') CHARACTER SET utf32, d SET('é','y') CHARACTER SET latin1)",
        );
        trial
            .source
            .run("INSERT INTO t VALUES (1, 'a,b', 'x,y', 'x,€', 'é,y')");
        trial.follow();
        trial
            .source
            .run("INSERT INTO t VALUES (2, 'a,é,b', 'x,y', 'y,€', 'é,y'), (3, '', 'y', NULL, '')");
        is_equal(&trial);
        assert_eq!(
            trial.target.text("SELECT a FROM t WHERE id = 2").as_deref(),
            Some("a,é,b")
        );
    }
}
