//! A comparison that reads slowly finds what every other finds, beside writers as at rest.

use crossfade_trials::patience::LONG;
use crossfade_trials::seed::seed;
use crossfade_trials::shop::{self, Tables};
use crossfade_trials::workload::Options;
use crossfade_trials::{Engine, Trial};
use serde_json::Value;

fn report(trial: &Trial, code: i32) -> Value {
    let said = trial.call(&["verify", "--gentle", "--json"]).expect(code);
    said.json()["report"].clone()
}

#[test]
fn a_gentle_comparison_finds_what_is_planted_and_raises_no_false_alarm() {
    let seed = seed("gentle");
    for (source, target) in [
        (Engine::Pg15, Engine::Pg17),
        (Engine::Sqlite, Engine::Pg18),
        (Engine::Pg17, Engine::Sqlite),
    ] {
        let tables = if source.is_sqlite() || target.is_sqlite() {
            Tables::Common
        } else {
            Tables::All
        };
        let trial = Trial::new(source, target);
        shop::make(&trial.source, tables, 400, seed);
        trial.source.run(
            "CREATE TABLE still (id integer PRIMARY KEY, a text);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
             INSERT INTO still SELECT i, 'some text of the row ' || i FROM n",
        );
        let writers = trial.writers(Options::new(tables, 400), seed);
        let running = trial.following(&[]);
        for _ in 0..2 {
            let found = report(&trial, 0);
            assert_eq!(found["equal"], true, "{found}");
        }
        let work = writers.stop();
        assert!(work.done > 0, "{work:?}");
        if !target.is_sqlite() {
            trial.target.run(
                "SET session_replication_role = replica; UPDATE still SET a = a || ' ' WHERE id = 777;
                 RESET session_replication_role",
            );
            let found = report(&trial, 2);
            let tables = found["tables"].as_array().unwrap();
            let mut named = tables
                .iter()
                .flat_map(|t| t["differences"].as_array().unwrap());
            assert_eq!(
                named.next().map(|d| &d["key"]),
                Some(&"777".into()),
                "{found}"
            );
            assert!(named.next().is_none(), "{found}");
        }
        running.interrupt();
        running.wait(LONG).expect(0);
    }
}
