//! Rows that did not match, from the comparison that finds them until they are gone, by the built program alone.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const FILE: &str = "[migration]\nname = \"m\"\n[source]\nurl = \"sqlite:source.db\"\n[target]\nurl = \"sqlite:target.db\"\n";

/// Something that stands in no row's key.
const SECRET: &str = "nobody-may-read-this";

struct Place(tempfile::TempDir);

impl Place {
    /// A migration that was verified.
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        std::fs::write(place.0.path().join("m.toml"), FILE).unwrap();
        let source = place.open("source.db");
        source.pragma_update(None, "journal_mode", "wal").unwrap();
        source
            .execute_batch(&format!(
                "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v TEXT, w TEXT);
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
                 INSERT INTO t SELECT i, '{SECRET} ' || i, 'w' || i FROM n;"
            ))
            .unwrap();
        place.last(0, &["run", "m.toml", "--until", "verified", "--json"]);
        place
    }

    fn open(&self, name: &str) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(self.0.path().join(name)).unwrap();
        connection.busy_timeout(Duration::from_secs(20)).unwrap();
        connection
    }

    /// Writes to the target, past the guards on its tables: each run puts them back.
    fn tamper(&self, sql: &str) {
        let target = self.open("target.db");
        let mut guards = target
            .prepare("SELECT 'DROP TRIGGER \"' || name || '\";' FROM sqlite_schema WHERE type = 'trigger'")
            .unwrap();
        let drops: Vec<String> = guards
            .query_map([], |r| r.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        target
            .execute_batch(&format!(
                "BEGIN IMMEDIATE; {} {sql}; COMMIT",
                drops.concat()
            ))
            .unwrap();
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

    fn run(&self, code: i32, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {text}{error}"
        );
        output
    }

    /// What is printed for people.
    fn text(&self, code: i32, arguments: &[&str]) -> String {
        String::from_utf8(self.run(code, arguments).stdout).unwrap()
    }

    /// The last JSON value.
    fn last(&self, code: i32, arguments: &[&str]) -> Value {
        let output = self.run(code, arguments);
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(text.lines().last().unwrap_or_default())
            .unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    fn entries(&self, more: &[&str]) -> Vec<Value> {
        let arguments = [&["quarantine", "list", "m.toml", "--json"], more].concat();
        self.last(0, &arguments)["entries"]
            .as_array()
            .unwrap()
            .clone()
    }

    fn wait(&self, what: &str, wanted: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        loop {
            let status = self.last(0, &["status", "m.toml", "--json"]);
            if wanted(&status) {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "never {what}: {status}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
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

#[test]
fn found_classified_revealed_and_resolved() {
    let place = Place::new();
    assert_eq!(place.entries(&[]), Vec::<Value>::new());
    place.tamper(
        "UPDATE t SET w = w || '  ' WHERE id = 7; UPDATE t SET v = w, w = v WHERE id = 8;
         DELETE FROM t WHERE id = 9; INSERT INTO t VALUES (99, 'stranger', NULL)",
    );
    let report = place.last(2, &["verify", "m.toml", "--json"]);
    let differences = &report["report"]["tables"][0]["differences"];
    assert_eq!(differences[0]["cause"], "padding");
    assert!(differences[0].get("row_key").is_none());

    let entries = place.entries(&[]);
    let short = |e: &Value| json!([e["key"], e["kind"], e["columns"], e["cause"], e["state"]]);
    let mut found: Vec<Value> = entries.iter().map(short).collect();
    found.sort_by_key(ToString::to_string);
    assert_eq!(
        found,
        [
            json!(["7", "changed", ["w"], "padding", "open"]),
            json!(["8", "changed", ["v", "w"], "swapped", "open"]),
            json!(["9", "missing", [], "unknown", "open"]),
            json!(["99", "extra", [], "unknown", "open"]),
        ]
    );
    let id = |key: &str| {
        let entry = entries.iter().find(|e| e["key"] == key).unwrap();
        entry["id"].to_string()
    };
    let status = place.last(0, &["status", "m.toml", "--json"]);
    assert_eq!(status["quarantine"]["open"], 4);

    // a person says what it is
    let seven = id("7");
    let said = place.last(
        0,
        &[
            "quarantine",
            "classify",
            "m.toml",
            &seven,
            "--as",
            "expected",
            "--by",
            "Ada",
            "--reason",
            "padded on purpose",
            "--json",
        ],
    );
    assert_eq!(said["entry"]["state"], "classified");
    assert_eq!(said["entry"]["classification"]["by"], "Ada");
    assert_eq!(place.entries(&["--state", "open"]).len(), 3);
    assert_eq!(place.entries(&["--table", "other"]).len(), 0);
    let status = place.text(0, &["status", "m.toml"]);
    assert!(
        status.contains("Quarantine: 3 open, 1 classified, 0 retrying, 0 resolved"),
        "{status}"
    );

    // values only where they were asked for, read from both sides
    let shown = place.text(0, &["quarantine", "show", "m.toml", &seven]);
    assert!(
        shown.contains("padding") && shown.contains("padded on purpose"),
        "{shown}"
    );
    assert!(!shown.contains("w7"), "{shown}");
    let shown = place.text(0, &["quarantine", "show", "m.toml", &seven, "--reveal"]);
    assert!(
        shown.contains(&format!("source: id=7, v={SECRET} 7, w*=w7"))
            && shown.contains(&format!("target: id=7, v={SECRET} 7, w*=w7  ")),
        "{shown}"
    );
    let reveal = |key: &str| {
        let shown = place.last(
            0,
            &[
                "quarantine",
                "show",
                "m.toml",
                &id(key),
                "--reveal",
                "--json",
            ],
        );
        shown["now"].clone()
    };
    assert_eq!(reveal("9")["target"], json!([]));
    assert_eq!(reveal("9")["source"][0][2], "w9");
    assert_eq!(reveal("99")["source"], json!([]));
    assert_eq!(reveal("99")["target"], json!([["99", "stranger", null]]));
    assert_eq!(reveal("8")["differ"], json!(["v", "w"]));

    // seen again it is the same entry, as it was classified; what is gone is resolved, also where no run is active
    place.tamper("DELETE FROM t WHERE id = 99");
    place.last(2, &["verify", "m.toml", "--json"]);
    assert_eq!(place.entries(&["--state", "open"]).len(), 2);
    let resolved = place.entries(&["--state", "resolved"]);
    assert_eq!(resolved.len(), 1);
    assert_eq!(resolved[0]["key"], "99");
    assert!(resolved[0]["resolution"]["position"].is_string());
    let classified = place.entries(&["--state", "classified"]);
    assert_eq!(classified[0]["id"].to_string(), seven);
    assert_eq!(classified[0]["first_seen"], entries[0]["first_seen"]);
    assert_eq!(classified[0]["times_seen"], 2);
    let now = reveal("99");
    assert_eq!((&now["source"], &now["target"]), (&json!([]), &json!([])));
    assert_eq!(now["equal"], true);

    // a comparison of its own obeys a retry that was ordered before: the row is read again on the source, and no other
    place.last(0, &["quarantine", "retry", "m.toml", &id("9"), "--json"]);
    assert_eq!(place.entries(&["--state", "retrying"]).len(), 1);
    place.last(2, &["verify", "m.toml", "--json"]);
    assert_eq!(place.entries(&["--state", "retrying"]).len(), 0);
    let open = place.entries(&["--state", "open"]);
    assert_eq!(open.len(), 1);
    assert_eq!(open[0]["key"], "8");
    assert_eq!(reveal("9")["equal"], true);

    let files = std::fs::read_dir(place.0.path()).unwrap();
    let kept = files.filter_map(|f| {
        let path = f.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("m.toml.control")
            .then(|| std::fs::read(path).unwrap())
    });
    for bytes in kept {
        let found = bytes.windows(SECRET.len()).any(|w| w == SECRET.as_bytes());
        assert!(!found, "the control store holds values");
    }
}

#[test]
fn what_cannot_be_done_is_refused_with_its_reason() {
    let place = Place::new();
    place.tamper("DELETE FROM t WHERE id = 9");
    place.last(2, &["verify", "m.toml", "--json"]);
    let classify = |id: &str, by: &str, reason: &str| {
        vec![
            "quarantine".to_owned(),
            "classify".to_owned(),
            "m.toml".to_owned(),
            id.to_owned(),
            "--as".to_owned(),
            "bug".to_owned(),
            "--by".to_owned(),
            by.to_owned(),
            "--reason".to_owned(),
            reason.to_owned(),
            "--json".to_owned(),
        ]
    };
    let refused = |code: i32, arguments: &[String]| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        place.last(code, &arguments)["error"]["code"].clone()
    };
    assert_eq!(
        refused(3, &classify("7", "Ada", "so")),
        "quarantine.no_entry"
    );
    assert_eq!(
        refused(3, &classify("1", "Ada", " ")),
        "quarantine.unwritten"
    );
    assert_eq!(refused(3, &classify("1", "", "so")), "quarantine.unwritten");
    let long = "x".repeat(5000);
    assert_eq!(
        refused(3, &classify("1", "Ada", &long)),
        "quarantine.too_long"
    );
    // the command line itself
    place.run(
        3,
        &[
            "quarantine",
            "classify",
            "m.toml",
            "1",
            "--as",
            "bug",
            "--by",
            "Ada",
        ],
    );
    place.run(
        3,
        &[
            "quarantine",
            "classify",
            "m.toml",
            "1",
            "--as",
            "fine",
            "--by",
            "A",
            "--reason",
            "b",
        ],
    );
    place.run(3, &["quarantine", "retry", "m.toml"]);
    place.run(3, &["quarantine", "retry", "m.toml", "1", "--all"]);
    place.run(3, &["quarantine", "show", "m.toml", "one"]);

    let ordered = place.last(0, &["quarantine", "retry", "m.toml", "1", "--json"]);
    assert_eq!(
        ordered,
        json!({ "ids": [1], "running": false, "result": null })
    );
    let again = place.last(2, &["quarantine", "retry", "m.toml", "1", "--json"]);
    assert_eq!(again["error"]["code"], "quarantine.state");

    let other = Place(tempfile::tempdir().unwrap());
    std::fs::write(other.0.path().join("m.toml"), FILE).unwrap();
    let source = other.open("source.db");
    source
        .execute_batch("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY)")
        .unwrap();
    assert_eq!(other.entries(&[]), Vec::<Value>::new());
    let error = other.last(2, &["quarantine", "show", "m.toml", "1", "--json"]);
    assert_eq!(error["error"]["code"], "quarantine.not_begun");
    assert!(
        !other.0.path().join("m.toml.control").exists(),
        "looking makes nothing"
    );
}

#[test]
fn a_retry_is_obeyed_by_the_run_and_by_the_next_one_where_there_is_none() {
    let place = Place::new();
    place.tamper("DELETE FROM t WHERE id = 9; UPDATE t SET v = 'other' WHERE id = 10");
    place.last(2, &["verify", "m.toml", "--json"]);
    let ordered = place.last(0, &["quarantine", "retry", "m.toml", "--all", "--json"]);
    assert_eq!(ordered["ids"].as_array().unwrap().len(), 2);
    assert_eq!(place.entries(&["--state", "retrying"]).len(), 2);

    let _running = Running(place.command(&["run", "m.toml"]).spawn().unwrap());
    place.wait("obeyed", |s| {
        s["running"] == true && s["quarantine"]["retrying"] == 0
    });
    assert_eq!(place.entries(&["--state", "resolved"]).len(), 2);

    // while a run is active the answer is waited for
    place.tamper("UPDATE t SET v = 'other' WHERE id = 12");
    place.last(2, &["verify", "m.toml", "--json"]);
    let twelve = place.entries(&["--state", "open"])[0]["id"].clone();
    let words = [
        "quarantine",
        "retry",
        "m.toml",
        &twelve.to_string(),
        "--json",
    ];
    let answer = place.last(0, &words);
    assert_eq!(answer["running"], true);
    assert_eq!(answer["result"]["repaired"], 1);
    assert_eq!(answer["result"]["resolved"], json!([twelve]));
    assert_eq!(answer["result"]["remaining"], json!([]));
    place.last(0, &["verify", "m.toml", "--json"]);
    let none = place.last(0, &["quarantine", "retry", "m.toml", "--all", "--json"]);
    assert_eq!(none["ids"], json!([]));

    // paused: obeyed after `resume`
    place.tamper("DELETE FROM t WHERE id = 11");
    place.last(2, &["verify", "m.toml", "--json"]);
    place.run(0, &["pause", "m.toml"]);
    let paused = place.text(0, &["quarantine", "retry", "m.toml", "--all"]);
    assert!(paused.contains("paused"), "{paused}");
    assert_eq!(place.entries(&["--state", "retrying"]).len(), 1);
    place.run(0, &["resume", "m.toml"]);
    place.wait("obeyed", |s| s["quarantine"]["retrying"] == 0);
    assert_eq!(place.entries(&["--state", "open"]).len(), 0);
    place.last(0, &["verify", "m.toml", "--json"]);
}
