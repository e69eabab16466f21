//! The audit log, and orders that are refused before anything is done, by the built program alone.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::{Command, Stdio};

use serde_json::Value;

const FILE: &str = "[migration]\nname = \"m\"\n[source]\nurl = \"sqlite:source.db\"\n[target]\nurl = \"sqlite:target.db\"\n";

struct Place(tempfile::TempDir);

impl Place {
    /// A migration that was verified.
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        std::fs::write(place.0.path().join("m.toml"), FILE).unwrap();
        let source = rusqlite::Connection::open(place.0.path().join("source.db")).unwrap();
        source.pragma_update(None, "journal_mode", "wal").unwrap();
        source
            .execute_batch(
                "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'no record may hold this')",
            )
            .unwrap();
        place.run(0, &["run", "m.toml", "--until", "verified", "--json"]);
        place
    }

    /// What is printed to standard output.
    fn run(&self, code: i32, arguments: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_crossfade"))
            .args(arguments)
            .current_dir(self.0.path())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {text}{error}"
        );
        text
    }

    fn values(&self, code: i32, arguments: &[&str]) -> Vec<Value> {
        let text = self.run(code, arguments);
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[test]
fn the_log_tells_what_was_done_and_shows_itself_whole() {
    let place = Place::new();
    let records = place.values(0, &["log", "m.toml", "--json"]);
    let kinds: Vec<&str> = records
        .iter()
        .map(|r| r["kind"].as_str().unwrap())
        .collect();
    for kind in ["intent.recorded", "intent.settled", "phase"] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    let steps: Vec<&str> = records
        .iter()
        .filter_map(|r| r["detail"]["step"].as_str())
        .collect();
    assert!(steps.contains(&"create_capture") && steps.contains(&"verify"));
    for (before, record) in records.iter().zip(&records[1..]) {
        assert_eq!(record["previous"], before["hash"]);
        let hashed: Value = serde_json::from_str(record["record"].as_str().unwrap()).unwrap();
        assert_eq!(hashed["detail"], record["detail"]);
    }
    let text = place.run(0, &["log", "m.toml"]);
    assert_eq!(text.lines().count(), records.len());
    assert!(!text.contains("no record may"), "{text}");

    let last = records.last().unwrap();
    let since = (records.len() - 1).to_string();
    let tail = place.values(0, &["log", "m.toml", "--json", "--since", &since]);
    assert_eq!(tail.iter().collect::<Vec<_>>(), [last]);

    let check = place.values(0, &["log", "m.toml", "--check", "--json"]);
    assert_eq!(check[0]["records"], records.len());
    assert_eq!(check[0]["head"], last["hash"]);
    assert_eq!(check[0]["broken"], Value::Null);

    let control = rusqlite::Connection::open(place.0.path().join("m.toml.control")).unwrap();
    control
        .execute_batch(
            "DROP TRIGGER audit_is_not_changed; UPDATE audit SET record = replace(record, '@', '#') WHERE id = 2",
        )
        .unwrap();
    let told = place.run(1, &["log", "m.toml", "--check"]);
    assert!(told.contains("broken at record 2"), "{told}");
    let check = place.values(1, &["log", "m.toml", "--check", "--json"]);
    assert_eq!(check[0]["broken"]["id"], 2);
    assert_eq!(check[0]["records"], 1);
}

#[test]
fn a_log_is_read_without_the_databases_and_makes_nothing() {
    let place = Place(tempfile::tempdir().unwrap());
    let file = FILE.replace("sqlite:source.db", "postgres://app:${UNSET_HERE}@old/shop");
    std::fs::write(place.0.path().join("m.toml"), file).unwrap();
    let told = place.run(0, &["log", "m.toml"]);
    assert!(told.contains("has not begun"), "{told}");
    let check = place.values(0, &["log", "m.toml", "--check", "--json"]);
    assert_eq!(check[0]["records"], 0);
    assert!(!place.0.path().join("m.toml.control").exists());
}

#[test]
fn an_order_without_owner_gate_or_reason_is_bad_usage() {
    let place = Place(tempfile::tempdir().unwrap());
    std::fs::write(place.0.path().join("m.toml"), FILE).unwrap();
    for more in [
        &["switch", "writes", "m.toml"][..],
        &["rollback", "m.toml"],
        &["complete", "m.toml"],
        &["switch", "writes", "m.toml", "--owner", " "],
        &[
            "switch",
            "writes",
            "m.toml",
            "--owner",
            "ada",
            "--override",
            "lag",
        ],
        &[
            "switch", "reads", "m.toml", "--owner", "ada", "--within", "30",
        ],
    ] {
        place.run(3, more);
    }
    assert!(!place.0.path().join("m.toml.control").exists());
}
