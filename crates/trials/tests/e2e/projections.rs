//! Pairs of queries that cannot be compared: each is told with what is wrong, before or at the comparison, and the next one is made as if
//! it had not been.

use crossfade_trials::{Engine, Trial};
use serde_json::Value;

const TABLE: &str =
    "CREATE TABLE t (id integer PRIMARY KEY, shop integer NOT NULL, cents integer NOT NULL);
    INSERT INTO t VALUES (1, 1, 100), (2, 1, 250), (3, 2, 70), (4, 2, 5)";

fn projection(source: &str, target: &str, key: &str) -> String {
    format!(
        "[[projection]]\nname = \"one\"\nsource = \"{source}\"\ntarget = \"{target}\"\nkey = [\"{key}\"]\n"
    )
}

/// The same query on both sides.
fn of_both(sql: &str, key: &str) -> String {
    projection(sql, sql, key)
}

const GOOD: &str = "SELECT shop, count(*) AS n, sum(cents) AS cents FROM t GROUP BY shop";

fn equal(trial: &mut Trial) {
    trial.tables = of_both(GOOD, "shop");
    let said = trial.call(&["verify", "--projections", "--json"]).expect(0);
    let last = said.stdout.lines().last().unwrap_or_default();
    let report: Value = serde_json::from_str(last).unwrap();
    let found = &report["report"]["projections"][0];
    assert_eq!((&found["rows"], &found["equal"]), (&2.into(), &true.into()));
}

#[test]
fn queries_that_cannot_be_compared_are_told() {
    for (source, target) in [
        (Engine::Pg15, Engine::Mysql97),
        (Engine::Maria118, Engine::Pg17),
        (Engine::Sqlite, Engine::Sqlite),
    ] {
        let mut trial = Trial::new(source, target);
        trial.source.run(TABLE);
        trial.follow();
        equal(&mut trial);
        let other = "SELECT shop, count(*) AS many FROM t GROUP BY shop";
        let planned = [
            (of_both("SELECT shop, FROM t", "shop"), "projection.query"),
            (
                of_both("SELECT nothing FROM t", "nothing"),
                "projection.query",
            ),
            (of_both("SELECT id FROM absent", "id"), "projection.query"),
            (of_both(GOOD, "id"), "projection.key"),
            (projection(GOOD, other, "shop"), "projection.columns"),
        ];
        for (text, code) in planned {
            trial.tables = text;
            trial
                .call(&["plan", "--json"])
                .expect(2)
                .says(&[code, "one"]);
            let told = trial.call(&["verify", "--projections", "--json"]);
            assert!(told.code != Some(0), "{}", told.text());
            told.says(&["one"]);
        }
        trial.tables = of_both("DELETE FROM t", "id");
        trial.call(&["plan"]).expect(3).says(&["not a query"]);
        let random = match trial.source.dialect() {
            crossfade_trials::database::Dialect::Mysql => "rand()",
            _ => "random()",
        };
        let theirs = match trial.target.dialect() {
            crossfade_trials::database::Dialect::Mysql => "rand()",
            _ => "random()",
        };
        let of = |random: &str| format!("SELECT id, {random} AS r FROM t");
        for (text, code) in [
            (
                of_both("SELECT shop, cents FROM t", "shop"),
                "projection.key_not_unique",
            ),
            (
                projection(&of(random), &of(theirs), "id"),
                "projection.not_deterministic",
            ),
        ] {
            trial.tables = text;
            let told = trial.call(&["verify", "--projections", "--json"]);
            assert!(told.code != Some(0), "{}", told.text());
            told.says(&[code, "one"]);
        }
        if source == Engine::Pg15 {
            let deletes = "WITH gone AS (DELETE FROM t RETURNING id) SELECT id FROM gone";
            trial.tables = projection(deletes, "SELECT id FROM t", "id");
            let told = trial.call(&["verify", "--projections", "--json"]);
            assert!(told.code != Some(0), "{}", told.text());
        }
        assert_eq!(trial.source.number("SELECT count(*) FROM t"), 4);
        equal(&mut trial);
        trial.assert_equal();
    }
}
