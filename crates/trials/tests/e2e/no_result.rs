//! Rows for which an expression of the mapping has no result, in the copy and in the stream: each waits in quarantine with its key and the
//! reason, everything else goes on, and what has a result again comes without another word.

use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::{Engine, Trial};

const MAPPING: &str = r#"
[[table]]
from = "t"
[table.columns]
flag = "cast(flag as boolean)"
half = { expression = "12 / n", forward_only = true }
"#;

fn parked(trial: &Trial) -> u64 {
    let status = trial.status();
    status["progress"]["parked"].as_u64().unwrap_or_default()
}

fn rows(trial: &Trial, what: &str) -> i64 {
    trial
        .target
        .number(&format!("SELECT count(*) FROM t WHERE {what}"))
}

#[test]
fn a_row_without_a_result_waits_and_the_others_go_on() {
    for (source, target) in [
        (Engine::Mysql97, Engine::Pg17),
        (Engine::Pg15, Engine::Maria118),
        (Engine::Sqlite, Engine::Sqlite),
    ] {
        let mut trial = Trial::new(source, target).option("chunk_rows", 100);
        trial.tables = MAPPING.to_owned();
        trial.source.run(
            "CREATE TABLE t (id integer PRIMARY KEY, flag integer, n integer);
             INSERT INTO t VALUES (1, 1, 1), (2, 0, 2), (3, 7, 3), (4, NULL, 4)",
        );
        // in the copy
        let ended = trial.call(&["run", "--until", "followed", "--json"]);
        assert_eq!(ended.code, Some(1), "{}", ended.text());
        ended.says(&["key 3", "column flag", "mapping.value"]);
        assert_eq!(trial.target.number("SELECT count(*) FROM t"), 3);
        trial.source.run("UPDATE t SET flag = 1 WHERE id = 3");
        let running = trial.following(&[]);
        assert_eq!(rows(&trial, "id = 3"), 1);
        // in the stream: one that comes, one that was there, one that has a result at once again, and others
        trial.source.run(
            "INSERT INTO t VALUES (5, 1, 0); UPDATE t SET flag = 9 WHERE id = 1; UPDATE t SET flag = 8 WHERE id = 2;
             UPDATE t SET flag = 1 WHERE id = 2; INSERT INTO t VALUES (6, 1, 6)",
        );
        wait_until("everything else is there", LONG, || {
            rows(&trial, "id = 6") == 1 && parked(&trial) == 2
        });
        let listed = trial.call(&["quarantine", "list", "--json"]).expect(0);
        listed.says(&["flag", "half", "a division by zero"]);
        trial
            .call(&["switch", "writes", "--owner", "e2e", "--within", "30s"])
            .expect(2)
            .says(&["rows_parked"]);
        trial
            .call(&["verify", "--json"])
            .expect(2)
            .says(&["\"1\"", "\"5\""]);
        trial
            .source
            .run("UPDATE t SET n = 4 WHERE id = 5; UPDATE t SET flag = 0 WHERE id = 1");
        wait_until("nothing waits", LONG, || parked(&trial) == 0);
        trial.call(&["verify", "--json"]).expect(0);
        assert_eq!(rows(&trial, "id = 5 AND half = 3"), 1);
        assert_eq!(trial.target.number("SELECT count(*) FROM t"), 6);
        // the log is read again from before them: they are behind it
        running.ended();
        trial.follow();
    }
}

/// The table is read by its own columns, and not by those that the mapping makes of them.
#[test]
fn rows_of_a_mapped_table_are_repaired() {
    let mut trial = Trial::new(Engine::Pg15, Engine::Pg17).as_superuser();
    trial.tables = MAPPING.to_owned();
    trial.source.run(
        "CREATE TABLE t (id integer PRIMARY KEY, flag integer, n integer);
         INSERT INTO t VALUES (1, 1, 1), (2, 0, 2), (3, 1, 3)",
    );
    let running = trial.following(&[]);
    trial.target.run(
        "SET session_replication_role = replica; UPDATE t SET half = 99 WHERE id = 1; DELETE FROM t WHERE id = 2; RESET session_replication_role",
    );
    trial.call(&["verify", "--json"]).expect(2);
    trial.call(&["verify", "--repair", "--json"]).expect(0);
    trial.call(&["verify", "--json"]).expect(0);
    assert_eq!(rows(&trial, "half = 12 OR half = 6 AND NOT flag"), 2);
    running.ended();
}
