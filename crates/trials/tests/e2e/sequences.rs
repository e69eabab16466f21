//! Sequences of the target: raised while following, compared, and named where they would hand out a value again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::{Database, Engine, Trial};
use serde_json::Value;

fn report(trial: &Trial, words: &[&str], code: i32) -> Value {
    let words: Vec<&str> = ["verify", "--json"].iter().chain(words).copied().collect();
    trial.call(&words).expect(code).json()["report"].clone()
}

/// The sequences that differ, and how.
fn wrong(report: &Value) -> Vec<(String, String)> {
    let sequences = report["sequences"].as_array().unwrap();
    let wrong = sequences.iter().filter(|s| s["equal"] != true);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    wrong
        .map(|s| (text(&s["name"]), text(&s["problem"])))
        .collect()
}

fn one(name: &str, problem: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), problem.to_owned())]
}

const POSTGRES: &str = "
    CREATE TABLE t (id serial PRIMARY KEY, a text);
    CREATE TABLE u (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text);
    CREATE SEQUENCE loose CACHE 50;
    CREATE SEQUENCE down INCREMENT BY -3;
    CREATE SEQUENCE round MAXVALUE 7 CYCLE;
    CREATE SEQUENCE unused;
    CREATE SEQUENCE \"Set, not used\" MINVALUE -10;
    SELECT setval('\"Set, not used\"', 70, false);
    INSERT INTO t (a) SELECT 'a' FROM generate_series(1, 50);
    INSERT INTO u (a) SELECT 'a' FROM generate_series(1, 50);
    SELECT nextval('loose'), nextval('down'), nextval('round');";

#[test]
fn what_is_set_back_dropped_or_goes_by_another_step_is_named_and_nothing_else() {
    let trial = Trial::new(Engine::Pg17, Engine::Pg15).option("reconcile_percent", 0);
    trial.source.run(POSTGRES);
    let running = trial.following(&[]);
    let first = report(&trial, &[], 0);
    assert_eq!(
        first["sequences"].as_array().map(Vec::len),
        Some(7),
        "{first}"
    );
    for (planted, back, name, problem) in [
        (
            "SELECT setval('t_id_seq', 49)",
            "SELECT setval('t_id_seq', 50)",
            "public.t_id_seq",
            "behind",
        ),
        (
            "ALTER TABLE u ALTER id RESTART",
            "SELECT setval('u_id_seq', 1000)",
            "public.u_id_seq",
            "behind",
        ),
        (
            "SELECT setval('down', -1, false)",
            "SELECT setval('down', -400)",
            "public.down",
            "behind",
        ),
        (
            "ALTER TABLE u ALTER id DROP IDENTITY",
            "ALTER TABLE u ALTER id ADD GENERATED ALWAYS AS IDENTITY (START 2000)",
            "public.u_id_seq",
            "missing",
        ),
        (
            "ALTER SEQUENCE down INCREMENT BY -2",
            "ALTER SEQUENCE down INCREMENT BY -3",
            "public.down",
            "increment",
        ),
        (
            "DROP SEQUENCE loose",
            "CREATE SEQUENCE loose START 9999",
            "public.loose",
            "missing",
        ),
    ] {
        trial.target.run(planted);
        let found = report(&trial, &[], 2);
        assert_eq!(wrong(&found), one(name, problem), "{planted}: {found}");
        assert!(
            found["tables"]
                .as_array()
                .unwrap()
                .iter()
                .all(|t| t["equal"] == true)
        );
        trial.target.run(back);
        // one that was made anew may be another's: the comparing role must read it
        trial.target.run("DO $$ BEGIN IF to_regclass('loose') IS NOT NULL THEN
             EXECUTE format('ALTER SEQUENCE loose OWNER TO %I', (SELECT tableowner FROM pg_tables WHERE tablename = 't'));
             END IF; END $$");
        report(&trial, &[], 0);
    }
    trial.call(&["verify"]).expect(0).says(&["7 sequences"]);
    // what was set back is raised by a repair
    trial.target.run("SELECT setval('t_id_seq', 3)");
    report(&trial, &["--repair"], 0);
    assert_eq!(trial.target.number("SELECT last_value FROM t_id_seq"), 50);
    trial.target.run("SELECT setval('t_id_seq', 3)");
    trial
        .call(&["verify"])
        .expect(2)
        .says(&["public.t_id_seq", "hand out values again"]);
    running.ended();
}

#[test]
fn sequences_that_move_all_the_time_are_no_difference() {
    let trial = Trial::new(Engine::Pg17, Engine::Pg18).option("reconcile_percent", 0);
    trial.source.run(POSTGRES);
    let running = trial.following(&[]);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let Database::Postgres(source) = &trial.source else {
                    panic!("no server")
                };
                let mut client = source.client();
                let mut turn = 0_u32;
                while !stop.load(Ordering::Relaxed) {
                    turn += 1;
                    let again = turn.is_multiple_of(50);
                    // also back: whatever the source hands out again, the target must not
                    client
                        .batch_execute(&format!(
                            "INSERT INTO t (a) VALUES ('w') ON CONFLICT DO NOTHING; INSERT INTO u (a) VALUES ('w');
                             SELECT nextval('loose'), nextval('down'), nextval('round'), nextval('\"Set, not used\"');
                             BEGIN; SELECT nextval('loose'); ROLLBACK;
                             SELECT CASE WHEN {again} THEN setval('loose', 5) END;"
                        ))
                        .unwrap();
                }
            });
        }
        for _ in 0..8 {
            let found = report(&trial, &[], 0);
            assert_eq!(wrong(&found), []);
        }
        stop.store(true, Ordering::Relaxed);
    });
    running.ended();
}

#[test]
fn counters_of_files_are_compared_with_servers_and_with_files() {
    for (source, target) in [
        (Engine::Sqlite, Engine::Sqlite),
        (Engine::Sqlite, Engine::Pg18),
        (Engine::Pg15, Engine::Sqlite),
    ] {
        let trial = Trial::new(source, target).option("reconcile_percent", 0);
        let made = if source.is_sqlite() {
            "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT);
             CREATE TABLE plain (id INTEGER PRIMARY KEY, a TEXT);"
        } else {
            "CREATE TABLE t (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, a text);
             CREATE TABLE plain (id bigint PRIMARY KEY, a text);"
        };
        trial.source.run(made);
        trial.source.run(
            "INSERT INTO t (a) VALUES ('a'), ('b'), ('c'); DELETE FROM t WHERE id = 3;
             INSERT INTO plain VALUES (1, 'a'), (9, 'b')",
        );
        let running = trial.following(&[]);
        let first = report(&trial, &[], 0);
        let sequences = first["sequences"].as_array().unwrap();
        let t = sequences
            .iter()
            .find(|s| s["name"].as_str().unwrap().contains('t'))
            .unwrap();
        assert_eq!(
            (&t["source"], &t["target"]),
            (&3.into(), &3.into()),
            "{first}"
        );
        // a file's table without a counter may lose its highest row: nothing is behind then
        trial.source.run("DELETE FROM plain WHERE id = 9");
        wait_until("the change arrives", LONG, || {
            trial.target.number("SELECT count(*) FROM plain") == 1
        });
        report(&trial, &[], 0);
        let (planted, back) = if target.is_sqlite() {
            (
                "UPDATE sqlite_sequence SET seq = 2 WHERE name = 't'",
                "UPDATE sqlite_sequence SET seq = 3 WHERE name = 't'",
            )
        } else {
            (
                "SELECT setval(pg_get_serial_sequence('t', 'id'), 2)",
                "SELECT setval(pg_get_serial_sequence('t', 'id'), 3)",
            )
        };
        trial.target.run(planted);
        let found = report(&trial, &[], 2);
        assert_eq!(wrong(&found).len(), 1, "{found}");
        assert_eq!(wrong(&found)[0].1, "behind", "{found}");
        trial.target.run(back);
        report(&trial, &[], 0);
        running.ended();
    }
}
