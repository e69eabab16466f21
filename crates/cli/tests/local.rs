//! The whole way of a small migration between two SQLite files, by the built program alone.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const FILE: &str = "[migration]\nname = \"m\"\n[source]\nurl = \"sqlite:source.db\"\n[target]\nurl = \"sqlite:target.db\"\n";

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        std::fs::write(place.0.path().join("m.toml"), FILE).unwrap();
        let source = place.open("source.db");
        source.pragma_update(None, "journal_mode", "wal").unwrap();
        source
            .execute_batch(
                "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v TEXT);
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
                 INSERT INTO t SELECT i, 'value ' || i FROM n;",
            )
            .unwrap();
        place
    }

    fn open(&self, name: &str) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(self.0.path().join(name)).unwrap();
        connection.busy_timeout(Duration::from_secs(20)).unwrap();
        connection
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crossfade"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs to success and returns the last JSON value.
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        let text = String::from_utf8_lossy(&output.stdout);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {text}{error}");
        last(&output)
    }

    /// Waits until `status` says what is wanted.
    fn wait(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let status = self.json(&["status", "m.toml", "--json"]);
            if wanted(&status) {
                return status;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "never {what}: {status}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn last(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().last().unwrap_or_default())
        .unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// A `run` in the background; killed where a test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // it may have ended by itself
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn made_on(connection: &rusqlite::Connection) -> i64 {
    connection
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%crossfade%'",
            [],
            |r| r.get(0),
        )
        .unwrap()
}

#[test]
fn copied_verified_tampered_noticed_aborted_and_begun_again() {
    let place = Place::new();
    let outcome = place.json(&["run", "m.toml", "--until", "verified", "--json"]);
    assert_eq!(outcome["outcome"]["outcome"], "verified");
    assert_eq!(outcome["outcome"]["report"]["equal"], true);
    assert_eq!(outcome["outcome"]["report"]["tables"][0]["rows"], 500);

    let status = place.json(&["status", "m.toml", "--json"]);
    assert_eq!(status["phase"], "following");
    assert_eq!(status["report"]["equal"], true);
    assert_eq!(status["ledger_balanced"], true);
    assert_eq!(status["running"], false);
    assert!(!status["made"].as_array().unwrap().is_empty());

    let target = place.open("target.db");
    let guards: Vec<String> = target
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |r| r.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    for guard in guards {
        target
            .execute_batch(&format!("DROP TRIGGER \"{guard}\""))
            .unwrap();
    }
    target
        .execute_batch("UPDATE t SET v = 'other' WHERE id = 7; DELETE FROM t WHERE id = 9")
        .unwrap();
    let output = place.run(&["verify", "m.toml", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let differences = last(&output)["report"]["tables"][0]["differences"].clone();
    assert_eq!(differences[0]["kind"], "changed");
    assert_eq!(differences[0]["key"], "7");
    assert_eq!(differences[0]["columns"], serde_json::json!(["v"]));
    assert_eq!(
        differences[0]["source_row"],
        Value::Null,
        "values are for --show-rows"
    );
    assert_eq!(differences[1]["kind"], "missing");
    let output = place.run(&["verify", "m.toml", "--show-rows"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("source: id=7, v=value 7") && text.contains("target: id=7, v=other"),
        "{text}"
    );
    assert!(text.contains("NOT EQUAL"), "{text}");

    place.json(&["abort", "m.toml", "--drop-target-tables", "--json"]);
    assert_eq!(made_on(&place.open("source.db")), 0);
    assert_eq!(
        place.json(&["status", "m.toml", "--json"])["phase"],
        "aborted"
    );
    let outcome = place.json(&["run", "m.toml", "--until", "verified", "--json"]);
    assert_eq!(outcome["outcome"]["report"]["equal"], true);
}

#[test]
fn a_running_run_obeys_other_shells_and_frees_its_lock_when_it_is_killed() {
    let place = Place::new();
    let mut running = Running(place.command(&["run", "m.toml"]).spawn().unwrap());
    let status = place.wait("following", |s| {
        s["phase"] == "following" && s["running"] == true
    });
    assert_eq!(status["holder"]["process"], running.0.id());

    let second = place.run(&["run", "m.toml", "--json"]);
    assert_eq!(second.status.code(), Some(2));
    assert_eq!(last(&second)["error"]["code"], "control.held");

    assert_eq!(
        place.json(&["verify", "m.toml", "--json"])["report"]["equal"],
        true
    );
    assert_eq!(place.json(&["pause", "m.toml", "--json"])["running"], true);
    place.wait("paused", |s| s["progress"]["paused"] == true);
    place
        .open("source.db")
        .execute_batch("INSERT INTO t VALUES (1000, 'late')")
        .unwrap();
    std::thread::sleep(Duration::from_millis(700));
    let late = |place: &Place| -> i64 {
        place
            .open("target.db")
            .query_row("SELECT count(*) FROM t WHERE id = 1000", [], |r| r.get(0))
            .unwrap()
    };
    assert_eq!(late(&place), 0, "a paused run applies nothing");

    running.0.kill().unwrap();
    running.0.wait().unwrap();
    assert_eq!(
        place.json(&["status", "m.toml", "--json"])["running"],
        false,
        "killed, and free at once"
    );
    assert_eq!(
        place.json(&["status", "m.toml", "--json"])["paused"],
        true,
        "a pause outlives the run"
    );

    running = Running(place.command(&["run", "m.toml"]).spawn().unwrap());
    place.wait("running again", |s| {
        s["running"] == true && s["progress"]["epoch"] == 2
    });
    assert_eq!(place.json(&["resume", "m.toml", "--json"])["running"], true);
    let begun = Instant::now();
    while late(&place) == 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "a resumed run goes on"
        );
        std::thread::sleep(Duration::from_millis(100));
    }

    let removed = place.json(&["abort", "m.toml", "--json"]);
    assert!(!removed["removed"].as_array().unwrap().is_empty());
    let ended = running.0.wait().unwrap();
    assert_eq!(ended.code(), Some(0));
    assert_eq!(made_on(&place.open("source.db")), 0);
    assert_eq!(late(&place), 1, "the target's rows stay");
}

#[test]
fn an_interrupt_stops_cleanly_and_the_next_run_goes_on() {
    let place = Place::new();
    let running = place.command(&["run", "m.toml", "--json"]).spawn().unwrap();
    place.wait("following", |s| {
        s["phase"] == "following" && s["running"] == true
    });
    let killed = Command::new("kill")
        .args(["-INT", &running.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let output = running.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let outcome = last(&output);
    assert_eq!(outcome["outcome"]["outcome"], "stopped");
    assert!(outcome["outcome"]["checkpoint"].is_string());
    let output = place.run(&["run", "m.toml", "--until", "followed", "--json"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("\"resumed\":true"), "{text}");
    assert_eq!(last(&output)["outcome"]["outcome"], "followed");
}
