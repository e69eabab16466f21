//! Bad input of a switch. Whatever it is, nothing changes hands: the source takes writes, the target refuses them, and they arrive.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossfade_trials::binary::Outcome;
use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::{Engine, Trial};

use crate::switch::{arrives, followed, made, refuses, report, switch};

fn switch_within(trial: &Trial, within: &str, more: &[&str]) -> Outcome {
    let mut words = vec!["switch", "writes", "--owner", "e2e", "--within", within];
    words.extend(more);
    trial.call(&words)
}

/// The source takes a write, the target refuses it, and it arrives there.
fn nothing_changed_hands(trial: &Trial, id: u32) {
    trial
        .source
        .run(&format!("INSERT INTO t (id, a) VALUES ({id}, 'still')"));
    refuses(
        &trial.target,
        &format!("INSERT INTO t (id, a) VALUES ({}, 'x')", id + 1),
    );
    arrives(&trial.target, id, "still");
}

fn followed_from(source: Engine, target: Engine) -> (Trial, crossfade_trials::binary::Running) {
    let trial = made(source, target);
    let running = followed(&trial);
    (trial, running)
}

#[test]
fn before_it_is_followed() {
    for engine in [Engine::Sqlite, Engine::Pg17] {
        let trial = made(engine, engine);
        switch(&trial).expect(2).says(&["switch.not_begun"]);
        trial.die_at("chunk.after_commit", 1);
        switch(&trial).expect(2).says(&["switch.not_followed"]);
        let running = followed(&trial);
        nothing_changed_hands(&trial, 90_001);
        running.ended();
    }
}

#[test]
fn from_two_shells_at_once() {
    for (source, target) in [
        (Engine::Pg17, Engine::Pg18),
        (Engine::Sqlite, Engine::Sqlite),
    ] {
        let (trial, running) = followed_from(source, target);
        let words = ["switch", "writes", "--owner", "e2e", "--within", "30s"];
        let shells = [(); 2].map(|()| trial.start(&words));
        let outcomes = shells.map(|shell| shell.wait(LONG));
        let mut codes: Vec<Option<i32>> = outcomes.iter().map(|o| o.code).collect();
        codes.sort_unstable();
        assert_eq!(codes, [Some(0), Some(2)], "{outcomes:?}");
        // once, and to one side
        refuses(&trial.source, "INSERT INTO t (id, a) VALUES (90002, 'x')");
        trial
            .target
            .run("INSERT INTO t (id, a) VALUES (90001, 'there')");
        arrives(&trial.source, 90_001, "there");
        running.ended();
        trial.assert_equal();
    }
}

#[test]
fn without_an_owner_and_below_the_prediction() {
    let (trial, running) = followed_from(Engine::Pg15, Engine::Pg17);
    trial
        .call(&["switch", "writes"])
        .expect(3)
        .says(&["--owner"]);
    trial.call(&["rollback"]).expect(3).says(&["--owner"]);
    switch_within(&trial, "1ms", &[]).expect(2).says(&[
        "switch.over_budget",
        "writes would wait for about",
        "the time box is 1 ms",
    ]);
    nothing_changed_hands(&trial, 90_001);
    running.ended();
}

#[test]
fn with_a_prepared_transaction_that_was_left_behind() {
    let (trial, running) = followed_from(Engine::Pg15, Engine::Pg17);
    let name = &trial.name;
    trial.source.run(&format!(
        "BEGIN; UPDATE t SET a = 'prepared' WHERE id = 3; PREPARE TRANSACTION '{name}'"
    ));
    let outcome = switch_within(&trial, "2s", &["--kill-blockers"]);
    nothing_changed_hands(&trial, 90_001);
    trial.source.run(&format!("COMMIT PREPARED '{name}'"));
    outcome.expect(2).says(&[
        &format!("prepared transaction \"{name}\" of role"),
        "COMMIT PREPARED",
    ]);
    arrives(&trial.target, 3, "prepared");
    report(switch(&trial));
    running.ended();
    trial.assert_equal();
}

#[test]
fn with_a_transaction_that_stays_open() {
    let (trial, running) = followed_from(Engine::Pg17, Engine::Pg15);
    let mut open = trial.source.postgres().client();
    open.batch_execute("BEGIN; UPDATE t SET a = 'open' WHERE id = 3")
        .unwrap();
    let pid: i32 = open
        .query_one("SELECT pg_backend_pid()", &[])
        .unwrap()
        .get(0);
    switch_within(&trial, "2s", &[])
        .expect(2)
        .says(&[&format!("server process {pid}, idle in transaction")]);
    nothing_changed_hands(&trial, 90_001);
    assert!(
        open.query_one("SELECT 1", &[]).is_ok(),
        "it was not asked to be ended"
    );
    switch_within(&trial, "10s", &["--kill-blockers"]).expect(0);
    assert!(open.query_one("SELECT 1", &[]).is_err(), "it is ended");
    refuses(&trial.source, "INSERT INTO t (id, a) VALUES (90002, 'x')");
    trial
        .target
        .run("INSERT INTO t (id, a) VALUES (90003, 'there')");
    arrives(&trial.source, 90_003, "there");
    running.ended();
    trial.assert_equal();
}

/// Moves money, one transfer after another, on whichever side takes it; returns the acknowledged ones.
fn transfers(trial: &Trial, stop: &AtomicBool) -> BTreeSet<i64> {
    let mut sides = [
        trial.source.postgres().client(),
        trial.target.postgres().client(),
    ];
    let (mut now, mut acknowledged) = (0, BTreeSet::new());
    for id in 1.. {
        let sql = format!(
            "BEGIN; UPDATE account SET balance = balance - 1 WHERE id = 1;
             UPDATE account SET balance = balance + 1 WHERE id = 2; INSERT INTO transfer VALUES ({id}); COMMIT"
        );
        while let Err(error) = sides[now].batch_execute(&sql) {
            let why = error.as_db_error().expect("an answer of the server");
            assert!(why.message().contains("crossfade"), "{why}");
            sides[now].batch_execute("ROLLBACK").unwrap();
            now = 1 - now;
            thread::sleep(Duration::from_millis(5));
        }
        acknowledged.insert(id);
        // a program built for tests follows no writer at full speed
        thread::sleep(Duration::from_millis(2));
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    acknowledged
}

#[test]
fn with_commits_that_do_not_wait_for_the_log() {
    let trial = made(Engine::Pg15, Engine::Pg17);
    trial.source.run(
        "CREATE TABLE account (id integer PRIMARY KEY, balance integer); INSERT INTO account VALUES (1, 1000000), (2, 0);
         CREATE TABLE transfer (id bigint PRIMARY KEY)",
    );
    for database in [&trial.source, &trial.target] {
        let name = database.postgres().name();
        database.run(&format!(
            "ALTER DATABASE {name} SET synchronous_commit = off"
        ));
    }
    let running = followed(&trial);
    let stop = AtomicBool::new(false);
    let acknowledged = thread::scope(|scope| {
        let writer = scope.spawn(|| transfers(&trial, &stop));
        thread::sleep(Duration::from_secs(1));
        let there = switch(&trial);
        let proven = trial.call(&["verify", "--json"]);
        let back = trial.call(&["rollback", "--owner", "e2e", "--within", "30s", "--json"]);
        thread::sleep(Duration::from_millis(300));
        // whatever came of it, the writer ends before anything is asserted
        stop.store(true, Ordering::Relaxed);
        let acknowledged = writer.join();
        report(there);
        proven.expect(0);
        report(back);
        acknowledged.unwrap()
    });
    let last = acknowledged.last().unwrap();
    let arrived = || {
        trial
            .target
            .number(&format!("SELECT count(*) FROM transfer WHERE id = {last}"))
            == 1
    };
    wait_until("the last transfer arrives", LONG, arrived);
    running.ended();
    for database in [&trial.source, &trial.target] {
        let rows = database.rows("SELECT id FROM transfer");
        let there: BTreeSet<i64> = (rows.into_iter().flatten().flatten())
            .map(|id| id.parse().unwrap())
            .collect();
        assert_eq!(there, acknowledged);
        assert_eq!(
            database.number("SELECT sum(balance) FROM account"),
            1_000_000
        );
        let moved = database.number("SELECT balance FROM account WHERE id = 2");
        assert_eq!(moved, acknowledged.len() as i64);
    }
    trial.assert_equal();
}

/// Whether the fence is in a table of the source.
fn is_armed(trial: &Trial, table: &str) -> bool {
    let sql = format!(
        "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'crossfade\\_latch%' AND tgrelid = '{table}'::regclass"
    );
    trial.source.number(&sql) > 0
}

#[test]
fn with_triggers_that_were_switched_off_and_on_again() {
    let trial = made(Engine::Pg17, Engine::Pg18);
    // the last table, by name and by age
    trial.source.run("CREATE TABLE v (id integer PRIMARY KEY)");
    let running = followed(&trial);
    let [mut last, mut writer] = [(); 2].map(|()| trial.source.postgres().client());
    last.batch_execute("BEGIN; INSERT INTO v VALUES (1)")
        .unwrap();
    thread::scope(|scope| {
        let switched = scope.spawn(|| switch_within(&trial, "30s", &[]));
        wait_until("two tables are armed", LONG, || {
            is_armed(&trial, "t") && is_armed(&trial, "u")
        });
        // the fence cannot be fired while this is open
        writer
            .batch_execute("BEGIN; UPDATE t SET a = a WHERE id = 1")
            .unwrap();
        last.batch_execute("COMMIT").unwrap();
        wait_until("the last one is armed", LONG, || is_armed(&trial, "v"));
        let others = trial.source.try_run("ALTER TABLE u DISABLE TRIGGER USER");
        let why = others.expect_err("shapes are frozen for others");
        assert!(why.contains("being switched"), "{why}");
        // somebody whom the freeze takes for one of the program's own
        trial.source.run(
            "SET application_name = 'crossfade:trial'; DO $$ DECLARE name text; BEGIN
                 SELECT tgname INTO STRICT name FROM pg_trigger WHERE tgname LIKE 'crossfade\\_latch%' AND tgrelid = 'u'::regclass;
                 EXECUTE format('ALTER TABLE u DISABLE TRIGGER %I', name);
                 EXECUTE format('ALTER TABLE u ENABLE TRIGGER %I', name);
             END $$",
        );
        writer.batch_execute("COMMIT").unwrap();
        let refused = switched.join().unwrap();
        refused
            .expect(2)
            .says(&["switch.fence", "public.u does not fire under every"]);
    });
    nothing_changed_hands(&trial, 90_001);
    // it is put right by the next one
    report(switch(&trial));
    running.ended();
    trial.assert_equal();
}

#[test]
fn with_a_partition_that_is_made_meanwhile() {
    let trial = made(Engine::Pg17, Engine::Pg18);
    trial.source.run(
        "CREATE TABLE p (id integer PRIMARY KEY, a text) PARTITION BY RANGE (id);
         CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
         CREATE TABLE v (id integer PRIMARY KEY)",
    );
    let running = followed(&trial);
    let mut last = trial.source.postgres().client();
    last.batch_execute("BEGIN; INSERT INTO v VALUES (1)")
        .unwrap();
    thread::scope(|scope| {
        let switched = scope.spawn(|| switch_within(&trial, "30s", &[]));
        wait_until("the tables before it are armed", LONG, || {
            is_armed(&trial, "p1")
        });
        let partition = "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)";
        let others = trial.source.try_run(partition);
        let why = others.expect_err("shapes are frozen for others");
        assert!(why.contains("being switched"), "{why}");
        // somebody whom the freeze takes for one of the program's own
        trial.source.run(&format!(
            "SET application_name = 'crossfade:trial'; {partition}"
        ));
        trial.source.run("INSERT INTO p VALUES (11, 'new')");
        last.batch_execute("COMMIT").unwrap();
        let outcome = switched.join().unwrap();
        assert_ne!(outcome.code, Some(0), "{}", outcome.text());
    });
    // a table of another shape ends the run in order
    running.wait(LONG).expect(1).says(&["partition"]);
    trial
        .source
        .run("INSERT INTO t (id, a) VALUES (90001, 'still')");
    refuses(&trial.target, "INSERT INTO t (id, a) VALUES (90002, 'x')");
    trial
        .target
        .run("CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)");
    let running = followed(&trial);
    arrives(&trial.target, 90_001, "still");
    // nobody was watching who else wrote to the new partition of the target, and a person has to say that it does not matter
    let passed = ["--json", "--override", "strangers=the partition is new"];
    report(switch_within(&trial, "30s", &passed));
    refuses(&trial.source, "INSERT INTO p VALUES (12, 'x')");
    refuses(&trial.source, "INSERT INTO p2 VALUES (12, 'x')");
    running.ended();
    trial.assert_equal();
}

#[test]
fn with_a_way_back_that_cannot_be_laid() {
    let mut trial = made(Engine::Pg15, Engine::Pg17);
    // the target's role may not read the log
    trial.least_privileges = true;
    let planned = trial.call(&["plan"]).expect(0);
    planned.says(&["warning", "the switch will be refused", "REPLICATION"]);
    let running = followed(&trial);
    switch(&trial).expect(2);
    nothing_changed_hands(&trial, 90_001);
    running.ended();
}

/// A program that is a route, writes down what it is asked, and fails at one action.
fn program(folder: &Path, fails_at: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join("route.sh");
    let text = format!(
        "#!/bin/sh\necho \"$CROSSFADE_ACTION\" >> '{}'\n[ \"$CROSSFADE_ACTION\" != {fails_at} ]\n",
        folder.join("asked").display()
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[test]
fn with_a_route_that_is_down() {
    for fails_at in ["check", "pause"] {
        let mut trial = made(Engine::Sqlite, Engine::Sqlite);
        let program = program(trial.folder(), fails_at);
        trial.tables =
            format!("[route]\nkind = \"exec\"\ncommand = [\"{program}\"]\nretries = 0\n");
        let running = followed(&trial);
        switch(&trial).expect(2).says(&["route"]);
        nothing_changed_hands(&trial, 90_001);
        running.ended();
        let asked = std::fs::read_to_string(trial.folder().join("asked")).unwrap();
        let asked: Vec<&str> = asked.lines().collect();
        assert!(!asked.contains(&"point"), "{asked:?}");
        assert_eq!(asked.contains(&"resume"), fails_at == "pause", "{asked:?}");
    }
}
