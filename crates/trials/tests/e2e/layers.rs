//! The layers of `verify` beside the full comparison: equal under writes, and a planted difference found.

use crossfade_trials::binary::Outcome;
use crossfade_trials::database::Database;
use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::seed::seed;
use crossfade_trials::shop::{self, Tables};
use crossfade_trials::workload::Options;
use crossfade_trials::{Engine, Trial};
use serde_json::Value;

/// A table that no writer touches, for both dialects.
const STILL: &str = "
CREATE TABLE still (id INTEGER PRIMARY KEY, n numeric(12,2), s text, ok boolean);
WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < 2000)
INSERT INTO still SELECT i, i * 0.25, 'row ' || i, NULL FROM g;";

/// One over what writers change, one over what they do not.
const PROJECTIONS: &str = r#"
[[projection]]
name = "balances"
source = "SELECT active, count(*) AS n, sum(id) AS ids FROM accounts GROUP BY active"
target = "SELECT active, count(*) AS n, sum(id) AS ids FROM accounts GROUP BY active"
key = ["active"]

[[projection]]
name = "tens"
source = "SELECT id / 10 AS ten, count(*) AS n, max(s) AS s FROM still GROUP BY id / 10"
target = "SELECT id / 10 AS ten, count(*) AS n, max(s) AS s FROM still GROUP BY id / 10"
key = ["ten"]

[[projection]]
name = "last"
source = "SELECT id, n FROM still WHERE id >= 699 AND id <= 701"
target = "SELECT id, n FROM still WHERE id >= 699 AND id <= 701"
key = ["id"]
"#;

/// Changes the target behind its guards.
fn plant(target: &Database, sql: &str) {
    match target {
        Database::Postgres(_) => {
            target.run(&format!("ALTER TABLE still DISABLE TRIGGER USER; {sql}"));
        }
        Database::Mysql(_) => panic!("no layer is planted on MySQL"),
        Database::Sqlite(_) => {
            let guards = target.rows(
                "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'still'",
            );
            for guard in guards {
                let name = guard[0].clone().unwrap();
                target.run(&format!("DROP TRIGGER \"{name}\""));
            }
            target.run(sql);
        }
    }
}

struct Layers {
    trial: Trial,
}

impl Layers {
    fn verify(&self, words: &[&str]) -> Outcome {
        let mut all = vec!["verify"];
        all.extend(words);
        self.trial.call(&all)
    }

    fn report(&self, words: &[&str], code: i32) -> Value {
        let mut all = words.to_vec();
        all.push("--json");
        report_of(&self.verify(&all).expect(code))
    }
}

/// The report: the last line, after those of a run where none was active.
fn report_of(outcome: &Outcome) -> Value {
    let last = outcome.stdout.lines().last().unwrap();
    serde_json::from_str::<Value>(last).unwrap()["report"].clone()
}

fn of_table<'a>(list: &'a Value, table: &str) -> &'a Value {
    let list = list.as_array().unwrap();
    let named = |t: &&Value| t["name"].as_str().unwrap().ends_with(table);
    list.iter().find(named).unwrap()
}

/// Every layer beside writers, by the run that is active; then without it, with a difference.
fn layers_under_writes(what: &str, source: Engine, target: Engine) {
    let seed = seed(what);
    let mut trial = Trial::new(source, target);
    let tables = Tables::between(trial.source.dialect(), trial.target.dialect());
    shop::make(&trial.source, tables, 1_000, seed);
    trial.source.run(STILL);
    trial.follow();
    trial.tables = PROJECTIONS.to_owned();
    let layers = Layers { trial };
    let writers = layers.trial.writers(Options::new(tables, 1_000), seed);
    let mut run = layers.trial.start(&["run"]);
    // other commands write the file again, which the run must have read
    wait_until("the run", LONG, || {
        let said = format!("{}{}", run.stdout_so_far(), run.stderr_so_far());
        assert!(run.is_running(), "{said}");
        said.contains("followed at")
    });

    let report = layers.report(&["--aggregate"], 0);
    assert_eq!(report["layer"], "aggregate");
    let still = of_table(&report["aggregates"], "still");
    assert_eq!(still["rows"], 2000);
    let report = layers.report(&["--sample", "25%", "--seed", "5"], 0);
    assert_eq!(report["sample"]["seed"], 5);
    assert!(
        of_table(&report["tables"], "still")["rows"]
            .as_u64()
            .unwrap()
            >= 400
    );

    let report = layers.report(&["--projections"], 0);
    let tens = of_table(&report["projections"], "tens");
    assert_eq!((&tens["rows"], &tens["equal"]), (&201.into(), &true.into()));
    let report = layers.report(&[], 0);
    assert_eq!(report["projections"].as_array().unwrap().len(), 3);

    run.interrupt();
    run.wait(LONG).expect(0);
    writers.stop();
    layers.verify(&["--aggregate"]).expect(0).says(&["equal"]);
    differences(&layers);
}

fn differences(layers: &Layers) {
    let target = &layers.trial.target;
    plant(target, "UPDATE still SET n = n + 0.01 WHERE id = 700");
    plant(target, "DELETE FROM still WHERE id = 2000");
    let report = layers.report(&["--aggregate"], 2);
    assert_eq!(report["equal"], false);
    let still = of_table(&report["aggregates"], "still");
    let found = |column: Value, measure: Value| {
        let list = still["differences"].as_array().unwrap();
        let same = |d: &&Value| d["column"] == column && d["measure"] == measure;
        list.iter().find(same).cloned()
    };
    let rows = found(Value::Null, Value::Null).unwrap();
    assert_eq!(
        (&rows["source"], &rows["target"]),
        (&"2000".into(), &"1999".into())
    );
    let sum = found("n".into(), "sum".into()).unwrap();
    assert_eq!(sum["source"], "500250");
    assert_eq!(sum["target"], "499750.01");
    let greatest = found("id".into(), "greatest".into()).unwrap();
    assert_eq!(
        greatest["source"],
        Value::Null,
        "a cell's value is not shown"
    );
    let shown = layers.report(&["--aggregate", "--show-rows"], 2);
    assert!(shown.to_string().contains("\"1999\""));

    projections_differ(layers);
    let all = layers.report(&["--sample", "100%"], 2);
    let keys = keys_of(&all);
    assert_eq!(keys, ["2000", "700"]);
    // a seed that does not read the rows that differ, and one that does
    let some =
        |seed: u32| layers.verify(&["--sample", "10", "--seed", &seed.to_string(), "--json"]);
    let codes: Vec<_> = (0..6).map(|seed| some(seed).code.unwrap()).collect();
    assert_eq!(
        some(3).code.unwrap(),
        codes[3],
        "the same seed reads the same"
    );
    assert!(codes.contains(&0), "{codes:?}: a sample is no whole");
    let found = (0..60)
        .map(|seed| some(seed + 100))
        .find(|o| o.code == Some(2));
    let report = report_of(&found.expect("found by some seed"));
    assert!(
        keys_of(&report)
            .iter()
            .all(|key| ["2000", "700"].contains(&key.as_str()))
    );
    layers
        .verify(&["--sample", "0"])
        .expect(3)
        .says(&["0.0001"]);
    layers.verify(&["--sample", "1%", "--aggregate"]).expect(3);
}

fn projections_differ(layers: &Layers) {
    let report = layers.report(&["--projections"], 2);
    let of = |name: &str| of_table(&report["projections"], name).clone();
    assert_eq!(of("balances")["equal"], true);
    let tens = &of("tens")["differences"];
    assert_eq!(tens.as_array().unwrap().len(), 1);
    assert_eq!(
        (&tens[0]["kind"], &tens[0]["key"]),
        (&"missing".into(), &"200".into())
    );
    let last = &of("last")["differences"];
    assert_eq!(
        (&last[0]["kind"], &last[0]["key"]),
        (&"changed".into(), &"700".into())
    );
    assert_eq!(last[0]["columns"], serde_json::json!(["n"]));
    assert_eq!(last[0]["source_row"], Value::Null);
    layers
        .verify(&["--projections"])
        .expect(2)
        .says(&["NOT EQUAL", "key 700"]);
}

fn keys_of(report: &Value) -> Vec<String> {
    let still = of_table(&report["tables"], "still");
    let list = still["differences"].as_array().unwrap();
    let keys = list.iter().map(|d| d["key"].as_str().unwrap().to_owned());
    keys.collect()
}

#[test]
fn layers_from_postgres_to_postgres() {
    layers_under_writes("layers 15 to 17", Engine::Pg15, Engine::Pg17);
}

#[test]
fn layers_from_postgres_to_sqlite() {
    layers_under_writes("layers 17 to SQLite", Engine::Pg17, Engine::Sqlite);
}

#[test]
fn layers_from_sqlite_to_sqlite() {
    layers_under_writes("layers SQLite", Engine::Sqlite, Engine::Sqlite);
}
