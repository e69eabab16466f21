//! Where digests are computed is what the migration file says, and what is found does not depend on it.

use crossfade_trials::patience::LONG;
use crossfade_trials::seed::seed;
use crossfade_trials::shop::{self, Tables};
use crossfade_trials::workload::Options;
use crossfade_trials::{Engine, Trial};
use serde_json::Value;

fn report(trial: &Trial, code: i32) -> Value {
    trial.call(&["verify", "--json"]).expect(code).json()["report"].clone()
}

fn plant(trial: &Trial, sql: &str) {
    trial.target.run(&format!(
        "SET session_replication_role = replica; {sql}; RESET session_replication_role"
    ));
}

/// A table of every class of value that has a form in the server's SQL.
const TABLE: &str = "
    CREATE TABLE t (id bigint PRIMARY KEY, whole integer, exact numeric, words text, bytes bytea, flag boolean,
                    day date, moment timestamp, instant timestamptz);
    INSERT INTO t SELECT i, i % 7, i / 7::numeric, 'word ' || i, decode(lpad(to_hex(i), 8, '0'), 'hex'), i % 2 = 0,
        date '2024-01-01' + i, timestamp '2024-03-31 01:59:59.999999' + i * interval '1 minute',
        timestamptz '2024-10-27 00:00:00+00' + i * interval '1 minute' FROM generate_series(1, 2000) i;
    INSERT INTO t SELECT -i FROM generate_series(1, 50) i;";

#[test]
fn the_servers_find_what_is_planted_and_nothing_else() {
    for (source, target) in [
        (Engine::Pg15, Engine::Pg17),
        (Engine::Pg17, Engine::Pg18),
        (Engine::Pg18, Engine::Pg15),
    ] {
        let mut trial = Trial::new(source, target).option("reconcile_percent", 0);
        trial.tables = "[verify]\ndigests = \"server\"\n".to_owned();
        trial.source.run(TABLE);
        let running = trial.following(&[]);
        let equal = report(&trial, 0);
        let places = &equal["tables"][0]["places"];
        assert_eq!(
            (&places["source"], &places["target"]),
            (&"server".into(), &"server".into()),
            "{equal}"
        );
        plant(
            &trial,
            "UPDATE t SET whole = whole + 1 WHERE id = 1; UPDATE t SET exact = exact + 1e-16 WHERE id = 2;
             UPDATE t SET words = words || ' ' WHERE id = 3; UPDATE t SET bytes = bytes || '\\x00' WHERE id = 4;
             UPDATE t SET flag = NOT flag WHERE id = 5; UPDATE t SET day = day + 1 WHERE id = 6;
             UPDATE t SET moment = moment + interval '1 microsecond' WHERE id = 7;
             UPDATE t SET instant = instant + interval '1 hour' WHERE id = 8;
             UPDATE t SET words = '' WHERE id = -1; DELETE FROM t WHERE id = 9; INSERT INTO t VALUES (5000)",
        );
        let found = report(&trial, 2);
        let differences = found["tables"][0]["differences"].as_array().unwrap();
        let mut named: Vec<(i64, String)> = differences
            .iter()
            .map(|d| {
                let columns = d["columns"].as_array().unwrap();
                let columns: Vec<&str> = columns.iter().map(|c| c.as_str().unwrap()).collect();
                let key = d["key"].as_str().unwrap().parse().unwrap();
                (
                    key,
                    format!("{} {}", d["kind"].as_str().unwrap(), columns.join(" ")),
                )
            })
            .collect();
        named.sort();
        let wanted = [
            (-1, "changed words"),
            (1, "changed whole"),
            (2, "changed exact"),
            (3, "changed words"),
            (4, "changed bytes"),
            (5, "changed flag"),
            (6, "changed day"),
            (7, "changed moment"),
            (8, "changed instant"),
            (9, "missing "),
            (5000, "extra "),
        ];
        let wanted: Vec<(i64, String)> = wanted
            .iter()
            .map(|(key, how)| (*key, (*how).to_owned()))
            .collect();
        assert_eq!(named, wanted, "{found}");
        running.interrupt();
        running.wait(LONG).expect(0);
    }
}

#[test]
fn the_servers_raise_no_false_alarm_under_writes() {
    let seed = seed("places");
    let mut trial = Trial::new(Engine::Pg15, Engine::Pg18);
    trial.tables = "[verify]\ndigests = \"server\"\n".to_owned();
    shop::make(&trial.source, Tables::All, 500, seed);
    let writers = trial.writers(Options::new(Tables::All, 500), seed);
    let running = trial.following(&[]);
    let mut by_server = 0;
    for _ in 0..6 {
        let found = report(&trial, 0);
        let tables = found["tables"].as_array().unwrap();
        by_server += tables
            .iter()
            .filter(|t| t["places"]["source"] == "server")
            .count();
    }
    assert!(by_server > 0, "no table was summed by its server");
    let work = writers.stop();
    assert!(work.done > 0, "{work:?}");
    running.interrupt();
    running.wait(LONG).expect(0);
}

#[test]
fn the_program_sums_where_the_file_says_so_and_other_words_are_refused() {
    let mut trial = Trial::new(Engine::Pg15, Engine::Pg17);
    trial.tables = "[verify]\ndigests = \"program\"\n".to_owned();
    trial.source.run(TABLE);
    let running = trial.following(&[]);
    let places = report(&trial, 0)["tables"][0]["places"].clone();
    assert_eq!(
        (&places["source"], &places["target"]),
        (&"program".into(), &"program".into())
    );
    running.interrupt();
    running.wait(LONG).expect(0);
    let mut trial = Trial::new(Engine::Pg15, Engine::Pg17).as_superuser();
    trial.tables = "[verify]\ndigests = \"both\"\n".to_owned();
    trial.source.run(TABLE);
    trial
        .call(&["plan"])
        .expect(3)
        .says(&["`digests`", "\"server\""]);
}
