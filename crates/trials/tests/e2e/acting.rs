//! Triggers of applications on a table that a lane writes: they have fired where its rows come from.

use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::{Engine, Trial};

use crate::switch::{arrives, followed, report, rollback, switch};

const TABLES: &str = "CREATE TABLE t (id integer PRIMARY KEY, a varchar(20));
    CREATE TABLE items (id integer PRIMARY KEY, order_id integer);
    INSERT INTO t VALUES (1, 'a'), (2, 'b'); INSERT INTO items VALUES (1, 1), (2, 1), (3, 2);";

/// What makes the trigger, as an application has it, and as it may stay.
fn triggers(engine: Engine) -> [Vec<&'static str>; 2] {
    if engine.is_mysql() {
        return [
            vec![
                "CREATE TRIGGER gone AFTER DELETE ON t FOR EACH ROW DELETE FROM items WHERE order_id = OLD.id",
            ],
            vec![
                "DROP TRIGGER gone",
                "CREATE TRIGGER gone AFTER DELETE ON t FOR EACH ROW own: BEGIN
                   IF @_crossfade_migration IS NOT NULL THEN LEAVE own; END IF;
                   DELETE FROM items WHERE order_id = OLD.id; END",
            ],
        ];
    }
    [
        vec![
            "CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN DELETE FROM public.items WHERE order_id = OLD.id; RETURN NULL; END'",
            "CREATE TRIGGER gone AFTER DELETE ON t FOR EACH ROW EXECUTE FUNCTION gone()",
            "ALTER TABLE t ENABLE ALWAYS TRIGGER gone",
        ],
        vec!["ALTER TABLE t ENABLE TRIGGER gone"],
    ]
}

fn refusal(engine: Engine) -> &'static str {
    match engine.is_mysql() {
        true => "mysql.target_triggers",
        false => "postgres.trigger_in_the_way",
    }
}

/// Every change of a row is written as one that goes and one that comes: a trigger on the old side would take the row's items with it.
#[test]
fn a_trigger_on_the_source_that_the_way_back_would_fire() {
    for (source, target) in [
        (Engine::Mysql97, Engine::Pg17),
        (Engine::Maria1011, Engine::Sqlite),
        (Engine::Pg17, Engine::Mysql97),
    ] {
        let trial = Trial::new(source, target).as_superuser();
        let [loud, quiet] = triggers(source);
        trial.source.run(TABLES);
        for statement in loud {
            trial.source.run(statement);
        }
        trial
            .call(&["plan"])
            .expect(0)
            .says(&[refusal(source), "the switch will be refused"]);
        let running = followed(&trial);
        switch(&trial).expect(2).says(&[refusal(source)]);
        trial.source.run("INSERT INTO t VALUES (3, 'still')");
        arrives(&trial.target, 3, "still");

        for statement in quiet {
            trial.source.run(statement);
        }
        report(switch(&trial));
        trial.target.run("UPDATE t SET a = 'there' WHERE id = 1");
        arrives(&trial.source, 1, "there");
        assert_eq!(trial.source.number("SELECT count(*) FROM items"), 3);
        // the application's own deletes take items with them when writes are here again
        trial.call(&["verify", "--json"]).expect(0);
        report(rollback(&trial));
        trial.source.run("DELETE FROM t WHERE id = 2");
        wait_until("its item is gone there too", LONG, || {
            trial.target.number("SELECT count(*) FROM items") == 2
        });
        running.ended();
        trial.assert_equal();
    }
}

#[test]
fn a_trigger_that_appears_on_the_target_while_rows_are_written_ends_the_run() {
    for target in [Engine::Mysql97, Engine::Maria1011, Engine::Pg17] {
        let trial = Trial::new(Engine::Pg18, target).as_superuser();
        trial.source.run(TABLES);
        let running = followed(&trial);
        let [loud, quiet] = triggers(target);
        for statement in loud {
            trial.target.run(statement);
        }
        let outcome = running.wait(LONG);
        outcome
            .expect(2)
            .says(&[refusal(target), "known to nobody"]);
        trial.call(&["run"]).expect(2).says(&[refusal(target)]);
        for statement in quiet {
            trial.target.run(statement);
        }
        let running = followed(&trial);
        trial.source.run("UPDATE t SET a = 'more' WHERE id = 1");
        arrives(&trial.target, 1, "more");
        running.ended();
        trial.assert_equal();
    }
}

/// Nobody writes there but the application, whose triggers they are.
#[test]
fn triggers_of_the_side_with_authority_stop_neither_the_run_nor_a_rollback() {
    let (source, target) = (Engine::Pg18, Engine::Mysql97);
    let trial = Trial::new(source, target).as_superuser();
    trial.source.run(TABLES);
    let running = followed(&trial);
    report(switch(&trial));
    let [loud, _] = triggers(target);
    for statement in loud {
        trial.target.run(statement);
    }
    trial.target.run("UPDATE t SET a = 'there' WHERE id = 1");
    arrives(&trial.source, 1, "there");
    running.ended();

    let running = trial.start(&["run"]);
    trial.target.run("DELETE FROM t WHERE id = 2");
    wait_until("the row and its item are gone here too", LONG, || {
        trial.source.number("SELECT count(*) FROM items") == 2
    });
    trial.call(&["verify", "--json"]).expect(0);
    report(rollback(&trial));
    // now it would write there
    let ended = running.wait(LONG);
    ended.expect(2).says(&["after a rollback", refusal(target)]);
    trial.source.run("INSERT INTO t VALUES (4, 'home')");
}
