//! What `status` says of who takes writes, and of the lane at work, in every phase of a switch.

use crossfade_trials::binary::Outcome;
use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::{Engine, Trial};

use crate::switch::followed;

fn made(source: Engine, target: Engine) -> Trial {
    let trial = Trial::new(source, target).as_superuser();
    trial.source.run(
        "CREATE TABLE t (id integer PRIMARY KEY, a text);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
         INSERT INTO t SELECT i, 'a' || i FROM n;",
    );
    trial
}

fn order(trial: &Trial, words: &[&str]) -> Outcome {
    let mut all = words.to_vec();
    all.extend(["--owner", "e2e", "--within", "30s", "--json"]);
    trial.call(&all)
}

fn status_is_true_in_every_phase(source: Engine, target: Engine) {
    let trial = made(source, target);
    let running = followed(&trial);
    let status = trial.status();
    assert_eq!(status["writes"], "source");
    assert_eq!(status["direction"], "forward");
    order(&trial, &["switch", "writes"]).expect(0);
    trial.target.run("INSERT INTO t VALUES (90001, 'there')");
    wait_until("the way back carries and is shown", LONG, || {
        let status = trial.status();
        assert_eq!(status["writes"], "target", "{status}");
        let progress = &status["progress"];
        progress["direction"] == "reverse"
            && progress["ledger"][0]["counts"]["applied"] == 1
            && progress["gates"]
                .as_array()
                .is_some_and(|gates| gates.len() == 8)
    });
    let status = trial.status();
    assert_eq!(status["phase"], "writes_switched");
    assert_eq!(status["direction"], "reverse");
    assert!(status["blocked"].is_null(), "{status}");
    assert_eq!(status["authority"]["source"]["mode"], "given");
    assert_eq!(status["authority"]["target"]["mode"], "open");
    assert!(!status["made"].as_array().unwrap().is_empty());
    assert!(!status["made_on_target"].as_array().unwrap().is_empty());
    assert_eq!(status["ledger_balanced"], true);
    trial.call(&["status"]).expect(0).says(&[
        "writes: the target",
        "back: from the target to the source",
        "Registers  source given@1; target open@1",
        "gates ",
        "`rollback` is the same switch",
        "Made on the target",
    ]);
    running.ended();
    // without a run: the same, from what is durable
    let status = trial.status();
    assert_eq!(status["direction"], "reverse");
    assert_eq!(status["writes"], "target");
    assert_eq!(status["durable"]["tables"][0]["ledger"]["applied"], 1);
    trial
        .call(&["status"])
        .expect(0)
        .says(&["durable in the source"]);
    let running = followed(&trial);
    order(&trial, &["rollback"]).expect(0);
    let status = trial.status();
    assert_eq!(status["writes"], "source");
    assert_eq!(status["direction"], "forward");
    assert_eq!(status["authority"]["source"]["mode"], "open");
    running.ended();
}

#[test]
fn status_is_true_in_every_phase_from_postgres_to_postgres() {
    status_is_true_in_every_phase(Engine::Pg17, Engine::Pg15);
}

#[test]
fn status_is_true_in_every_phase_from_sqlite_to_sqlite() {
    status_is_true_in_every_phase(Engine::Sqlite, Engine::Sqlite);
}

/// Killed after authority was given and before it was taken: no store takes writes, which is said with what ends it.
#[test]
fn a_switch_that_died_in_between_is_told_as_blocked() {
    for (source, target) in [
        (Engine::Sqlite, Engine::Sqlite),
        (Engine::Pg18, Engine::Pg17),
    ] {
        let trial = made(source, target);
        trial.follow();
        let killed = [("CROSSFADE_KILL", "switch.given:1")];
        let words = [
            "switch", "writes", "--owner", "e2e", "--within", "30s", "--json",
        ];
        let died = trial.start_with(&words, &killed).wait(LONG);
        assert!(died.code.is_none(), "{}", died.text());
        let status = trial.status();
        assert!(status["writes"].is_null(), "{status}");
        assert!(
            status["blocked"]
                .as_str()
                .unwrap()
                .contains("not taken yet")
        );
        trial.call(&["status"]).expect(0).says(&[
            "writes: BLOCKED, unknown",
            "`rollback` lets the target take it",
        ]);
        let running = trial.start(&["run", "--json"]);
        wait_until("the target has taken it", LONG, || {
            trial.status()["writes"] == "target"
        });
        trial.target.run("INSERT INTO t VALUES (90001, 'there')");
        running.ended();
    }
}

/// While a switch is near and after it others cannot change the tables' shapes; a rollback, and the end, let them again.
#[test]
fn shapes_are_frozen_from_the_switch_to_its_end() {
    let trial = made(Engine::Pg15, Engine::Pg18);
    let running = followed(&trial);
    let alter = "ALTER TABLE t ADD COLUMN z integer";
    let frozen = |database: &crossfade_trials::Database| {
        let why = database
            .try_run(alter)
            .expect_err("a frozen shape was changed");
        assert!(why.contains("crossfade migration"), "{why}");
    };
    let report = order(&trial, &["switch", "writes"]).expect(0).json()["report"].clone();
    let gates = report["gates"].as_array().unwrap();
    let ddl = gates
        .iter()
        .find(|gate| gate["name"] == "ddl_frozen")
        .unwrap();
    assert!(
        ddl["evidence"].as_str().unwrap().contains("are refused"),
        "{ddl}"
    );
    frozen(&trial.target);
    frozen(&trial.source);
    trial.call(&["verify", "--json"]).expect(0);
    order(&trial, &["rollback"]).expect(0);
    wait_until("the freeze is lifted", LONG, || {
        let sql = "SELECT 1 FROM pg_event_trigger";
        trial.source.rows(sql).is_empty() && trial.target.rows(sql).is_empty()
    });
    trial.call(&["verify", "--json"]).expect(0);
    order(&trial, &["switch", "writes"]).expect(0);
    frozen(&trial.source);
    trial
        .call(&["complete", "--owner", "e2e", "--json"])
        .expect(0);
    running.wait(LONG).expect(0);
    trial.target.run(alter);
    trial.source.run(alter);
}

/// After the switch a write on the old side that is not ours, past the fence as only a superuser gets, is told within seconds.
#[test]
fn a_write_on_the_old_side_is_told_with_who_made_it() {
    let trial = made(Engine::Pg17, Engine::Pg15);
    let running = followed(&trial);
    order(&trial, &["switch", "writes"]).expect(0);
    // the marks of the way back are there
    wait_until("the old side is watched", LONG, || {
        trial.status()["progress"]["direction"] == "reverse"
            && running
                .stdout_so_far()
                .matches("\"followed\",\"position\"")
                .count()
                == 2
    });
    let off = trial.source.text(
        "SELECT string_agg(format('ALTER TABLE t DISABLE TRIGGER %I', tgname), ';') FROM pg_trigger
         WHERE tgrelid = 't'::regclass AND tgname LIKE '%latch%'",
    )
    .unwrap();
    trial
        .source
        .run(&format!("SET event_triggers = off; {off}"));
    trial
        .source
        .run("SET application_name = 'old-batch-job'; UPDATE t SET a = 'late' WHERE id = 11");
    wait_until("it is told", LONG, || {
        let told = running.stdout_so_far();
        told.lines().any(|line| {
            line.contains("\"stranger\"")
                && line.contains("old-batch-job")
                && line.contains("\"11\"")
        })
    });
    wait_until("it is shown", LONG, || {
        trial.status()["strangers"]["writes"] == 1
    });
    running.ended();
}

/// What `[abort_conditions]` says is done by itself: an alarm, or authority goes back, and no write is lost.
fn a_failing_probe_takes_authority_back(source: Engine, target: Engine) {
    let mut trial = made(source, target);
    trial.tables = "[abort_conditions]\naction = \"rollback\"\n[abort_conditions.probe]\nquery = \"SELECT a FROM health\"\n\
                    every_seconds = 1\nwindow_seconds = 2\nerror_percent = 50\n"
        .to_owned();
    let running = followed(&trial);
    // on the target only, and not followed
    trial.target.run("CREATE TABLE health (a integer)");
    order(&trial, &["switch", "writes"]).expect(0);
    trial.target.run("INSERT INTO t VALUES (90001, 'there')");
    wait_until("the way back works", LONG, || {
        trial.source.rows("SELECT 1 FROM t WHERE id = 90001").len() == 1
    });
    assert_eq!(trial.status()["writes"], "target");
    assert!(!running.stdout_so_far().contains("\"alarm\""), "too early");
    trial.target.run("DROP TABLE health");
    wait_until("authority goes back", LONG, || {
        trial.status()["writes"] == "source"
    });
    assert!(running.stdout_so_far().contains("\"condition\":\"probe\""));
    trial.source.run("INSERT INTO t VALUES (90002, 'back')");
    let log = trial.call(&["log", "--json"]).expect(0).stdout;
    let count = |kind: &str| log.matches(&format!("\"kind\":\"{kind}\"")).count();
    assert_eq!(count("abort_condition"), 1, "{log}");
    assert_eq!(count("abort_condition.rollback"), 1, "{log}");
    trial.call(&["verify", "--json"]).expect(0);
    running.ended();
}

#[test]
fn a_failing_probe_takes_authority_back_from_postgres_to_postgres() {
    a_failing_probe_takes_authority_back(Engine::Pg15, Engine::Pg17);
}

#[test]
fn a_failing_probe_takes_authority_back_from_sqlite_to_sqlite() {
    a_failing_probe_takes_authority_back(Engine::Sqlite, Engine::Sqlite);
}

/// The target is gone: its position must be attested as it is, and the source opens beyond every epoch.
#[test]
fn a_destroyed_target_is_left_behind_by_attestation_only() {
    let trial = made(Engine::Sqlite, Engine::Sqlite);
    let running = followed(&trial);
    order(&trial, &["switch", "writes"]).expect(0);
    trial.target.run("INSERT INTO t VALUES (90001, 'there')");
    wait_until("the change comes back", LONG, || {
        trial.source.rows("SELECT 1 FROM t WHERE id = 90001").len() == 1
    });
    running.ended();
    let attest = |position: &str| {
        order(
            &trial,
            &[
                "rollback",
                "--target-destroyed",
                "--accept-loss-after",
                position,
            ],
        )
    };
    let checkpoint = trial.status()["checkpoint"].as_str().unwrap().to_owned();
    attest(&checkpoint)
        .expect(2)
        .says(&["switch.target_answers"]);
    let place = trial.target.sqlite().path().to_owned();
    std::fs::remove_file(place).unwrap();
    attest("12")
        .expect(2)
        .says(&["switch.loss_not_accepted", &checkpoint]);
    let refused = trial.source.try_run("INSERT INTO t VALUES (90002, 'x')");
    assert!(refused.is_err());
    let report = attest(&checkpoint).expect(0).json()["report"].clone();
    assert_eq!(
        report["accepted_loss_after"],
        checkpoint.as_str(),
        "{report}"
    );
    assert_eq!(report["epoch"], 2, "{report}");
    trial.source.run("INSERT INTO t VALUES (90002, 'back')");
    let log = trial.call(&["log", "--json"]).expect(0);
    log.says(&["rollback.attested"]);
}

/// Reads are led through the route, in part and back, and writes stay where they are.
#[test]
fn reads_go_to_the_target_and_back_through_the_route() {
    let mut trial = made(Engine::Sqlite, Engine::Sqlite);
    let without = followed(&trial);
    order(&trial, &["switch", "reads"])
        .expect(2)
        .says(&["route.none"]);
    without.ended();
    let file = trial.folder().join("route.json");
    trial.tables = "[[route]]\nkind = \"file\"\npath = \"route.json\"\n".to_owned();
    let running = followed(&trial);
    let percent = || {
        let text = std::fs::read_to_string(&file).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    order(&trial, &["switch", "reads", "--percent", "25"]).expect(0);
    assert!(percent().to_string().contains("25"), "{}", percent());
    let status = trial.status();
    assert_eq!(status["phase"], "reads_switched", "{status}");
    assert_eq!(status["writes"], "source");
    order(&trial, &["switch", "reads", "--tenant", "acme"]).expect(0);
    assert!(percent().to_string().contains("acme"), "{}", percent());
    order(&trial, &["switch", "reads", "--percent", "0"]).expect(0);
    assert_eq!(trial.status()["phase"], "following");
    trial.source.run("INSERT INTO t VALUES (90002, 'here')");
    // reads go where writes go, and back with them
    order(&trial, &["switch", "writes"]).expect(0);
    let reads = || percent()["reads"]["target_percent"].as_u64();
    wait_until("reads have followed", LONG, || reads() == Some(100));
    order(&trial, &["switch", "reads"])
        .expect(2)
        .says(&["switch.authority"]);
    wait_until("the way back works", LONG, || {
        trial.status()["progress"]["direction"] == "reverse"
    });
    trial.call(&["verify", "--json"]).expect(0);
    order(&trial, &["rollback"]).expect(0);
    wait_until("reads are back", LONG, || reads() == Some(0));
    running.ended();
}
