//! The audit log, on real files; its chain is computed here once more by the rule that docs/audit.md states.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use crossfade_control::quarantine::{Compared, ComparedTable, KeySide, RowKey, Seen};
use crossfade_control::{
    AuditEntry, AuditId, AuditRecord, Command, Comparison, ControlError, ControlStore, EntryId,
    IntentState, Override, QuarantineStore as _, SqliteControl, SwitchOrder, Traffic, Verdict,
};
use crossfade_plan::Phase;
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = SqliteControl::path_beside(&directory.path().join("m.toml"));
    (directory, path)
}

fn order(owner: &str) -> SwitchOrder {
    SwitchOrder {
        what: Traffic::Writes,
        owner: owner.to_owned(),
        within_ms: 30_000,
        dry_run: false,
        kill_blockers: true,
        overrides: vec![Override {
            gate: "rehearsal".to_owned(),
            reason: "rehearsed by hand".to_owned(),
        }],
    }
}

async fn all(store: &SqliteControl) -> Vec<AuditRecord> {
    store.audit_log(None, 1000).await.unwrap()
}

/// The rule of docs/audit.md, over the table as it lies in the file: the head, or the first record that does not hold.
fn recomputed(path: &Path) -> Result<String, i64> {
    let connection = Connection::open(path).unwrap();
    let mut statement = connection
        .prepare("SELECT id, record, previous, hash FROM audit ORDER BY id")
        .unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut head = "0".repeat(64);
    let mut number = 0;
    while let Some(row) = rows.next().unwrap() {
        let (id, record): (i64, String) = (row.get(0).unwrap(), row.get(1).unwrap());
        let (previous, hash): (String, String) = (row.get(2).unwrap(), row.get(3).unwrap());
        number += 1;
        let digest = Sha256::digest(format!("{head}\n{record}").as_bytes());
        let expected: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let says: Value = serde_json::from_str(&record).unwrap();
        if id != number || previous != head || hash != expected || says["id"] != json!(number) {
            return Err(number);
        }
        head = hash;
    }
    Ok(head)
}

/// A few records of several kinds.
async fn filled(path: &Path) -> SqliteControl {
    let store = SqliteControl::open(path, "m").unwrap();
    let lease = store.acquire().await.unwrap();
    let step = json!({ "epoch": 7, "share": 0.1 });
    let intent = store
        .record_intent(&lease, "fence", step.clone())
        .await
        .unwrap();
    let done = IntentState::Done(json!({ "position": "0/1" }));
    store.settle_intent(&lease, intent, done).await.unwrap();
    let command = store.post(Command::Switch(order("ada"))).await.unwrap();
    store.acknowledge(&lease, command).await.unwrap();
    let paused = json!({ "pause_ms": 12 });
    store.finish(&lease, command, Ok(paused)).await.unwrap();
    let entry = AuditEntry::new("gate.override", json!({ "gate": "lag" })).by("grace");
    store.audit(Some(&lease), entry).await.unwrap();
    store
}

#[tokio::test]
async fn what_is_kept_is_recorded_with_who_answers_for_it() {
    let (_directory, path) = place();
    let store = filled(&path).await;
    let lease = store.acquire().await.unwrap();
    store
        .move_phase(&lease, Phase::Planned, Phase::Copying)
        .await
        .unwrap();
    let key = RowKey {
        digest: "d".to_owned(),
        text: "1".to_owned(),
        cells: Vec::new(),
        side: KeySide::Source,
    };
    let seen = Seen {
        key,
        kind: "extra".to_owned(),
        columns: Vec::new(),
        cause: "unknown".to_owned(),
        why: "why".to_owned(),
    };
    let compared = Compared {
        position: "p".to_owned(),
        tables: vec![ComparedTable {
            name: "t".to_owned(),
            seen: vec![seen],
            complete: true,
        }],
    };
    store.record_compared(&lease, compared).await.unwrap();
    store
        .classify(
            EntryId(1),
            Verdict::Expected,
            "joan".to_owned(),
            "a test row".to_owned(),
        )
        .await
        .unwrap();
    let pause = store.post(Command::Pause).await.unwrap();
    assert!(store.withdraw(pause).await.unwrap());
    store.set_paused(&lease, true).await.unwrap();
    store.set_paused(&lease, true).await.unwrap();

    let records = all(&store).await;
    let kinds: Vec<&str> = records.iter().map(|r| r.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "intent.recorded",
            "intent.settled",
            "command.posted",
            "command.finished",
            "gate.override",
            "phase",
            "quarantine.classified",
            "command.posted",
            "command.withdrawn",
            "paused",
        ]
    );
    assert_eq!(
        records[0].detail,
        json!({ "intent": 1, "step": "fence", "detail": { "epoch": 7, "share": 0.1 }, "lease": 1 })
    );
    assert_eq!(records[1].detail["outcome"], json!({ "position": "0/1" }));
    assert_eq!(records[2].who, "ada");
    assert_eq!(
        records[2].detail["what"]["overrides"][0]["reason"],
        "rehearsed by hand"
    );
    assert_eq!(records[3].who, "ada");
    assert_eq!(records[4].who, "grace");
    assert_eq!(
        records[5].detail,
        json!({ "from": "planned", "to": "copying" })
    );
    assert_eq!(records[6].who, "joan");
    let person = &records[0].who;
    assert!(person.contains('@') && !person.starts_with('@'), "{person}");
    assert_eq!(records[7].who, *person);

    let check = store.verify_audit().await.unwrap();
    assert_eq!((check.records, check.broken), (10, None));
    assert_eq!(recomputed(&path), Ok(check.head));
}

#[tokio::test]
async fn a_commands_result_is_not_recorded_as_it_may_hold_rows() {
    let (_directory, path) = place();
    let store = SqliteControl::open(&path, "m").unwrap();
    let lease = store.acquire().await.unwrap();
    let command = store
        .post(Command::Verify(Comparison::default()))
        .await
        .unwrap();
    let result = Ok(json!({ "rows": ["a cell's value"] }));
    store.finish(&lease, command, result).await.unwrap();
    store.forget_result(command).await.unwrap();
    let records = all(&store).await;
    assert_eq!(
        records[1].detail,
        json!({ "command": 1, "what": "verify", "state": "done" })
    );
    assert!(records.iter().all(|r| !r.record.contains("a cell's")));
}

#[tokio::test]
async fn what_is_refused_leaves_no_record_and_what_fails_is_not_kept() {
    let (_directory, path) = place();
    let store = filled(&path).await;
    let before = all(&store).await.len();
    let nobody = store.post(Command::Switch(order("  "))).await;
    assert!(
        matches!(nobody, Err(ControlError::Unwritten { what: "the owner" })),
        "{nobody:?}"
    );
    let mut wordless = order("ada");
    wordless.overrides[0].reason = String::new();
    assert!(store.post(Command::Rollback(wordless)).await.is_err());
    let nobody = Command::Complete {
        owner: String::new(),
    };
    assert!(store.post(nobody).await.is_err());
    let kindless = store.audit(None, AuditEntry::new(" ", json!({}))).await;
    assert!(kindless.is_err());
    assert!(store.open_commands().await.unwrap().is_empty());

    let old = store.acquire().await.unwrap();
    std::fs::remove_file(format!("{}.lock", path.display())).unwrap();
    let _new = store.acquire().await.unwrap();
    let late = store
        .audit(Some(&old), AuditEntry::new("late", json!({})))
        .await;
    assert!(
        matches!(late, Err(ControlError::Superseded { .. })),
        "{late:?}"
    );
    assert_eq!(all(&store).await.len(), before);

    // a command whose record cannot be written is not kept either
    let other = Connection::open(&path).unwrap();
    other
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END",
        )
        .unwrap();
    assert!(store.post(Command::Pause).await.is_err());
    assert!(store.open_commands().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_table_is_appended_to_only() {
    let (_directory, path) = place();
    let store = filled(&path).await;
    let other = Connection::open(&path).unwrap();
    for statement in [
        "UPDATE audit SET record = '{}' WHERE id = 2",
        "DELETE FROM audit WHERE id = 5",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit (id, record, previous, hash) SELECT id, '{}', previous, hash FROM audit WHERE id = 2",
        "INSERT INTO audit (id, record, previous, hash) VALUES (9, '{}', '', '')",
        "INSERT INTO audit (id, record, previous, hash) VALUES (6, '{}', '', '')",
    ] {
        let refused = other.execute(statement, []).unwrap_err();
        assert!(
            refused.to_string().contains("appended to only"),
            "{statement}: {refused}"
        );
    }
    assert_eq!(store.verify_audit().await.unwrap().broken, None);
}

#[tokio::test]
async fn a_log_that_was_tampered_with_is_broken_where_it_was() {
    const FREE: &str = "DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_not_removed;";
    // `true`: the end was cut off, which the chain by itself does not show; the highest number that ever was does
    for (tampering, at, cut_off) in [
        (
            "UPDATE audit SET record = replace(record, 'ada', 'eve') WHERE id = 3",
            3,
            false,
        ),
        (
            "UPDATE audit SET record = record || ' ' WHERE id = 1",
            1,
            false,
        ),
        (
            "UPDATE audit SET previous = hash, hash = previous WHERE id = 4",
            4,
            false,
        ),
        ("DELETE FROM audit WHERE id = 2", 2, false),
        ("DELETE FROM audit WHERE id = 1", 1, false),
        ("DELETE FROM audit WHERE id = 5", 5, true),
        ("DELETE FROM audit", 1, true),
        (
            "UPDATE audit SET id = 9 WHERE id = 2; UPDATE audit SET id = 2 WHERE id = 3; UPDATE audit SET id = 3 WHERE id = 9",
            2,
            false,
        ),
    ] {
        let (_directory, path) = place();
        let store = filled(&path).await;
        let other = Connection::open(&path).unwrap();
        other.execute_batch(FREE).unwrap();
        other.execute_batch(tampering).unwrap();
        let check = store.verify_audit().await.unwrap();
        let broken = check
            .broken
            .unwrap_or_else(|| panic!("not found: {tampering}"));
        assert_eq!(broken.id, AuditId(at), "{tampering}: {}", broken.what);
        assert_eq!(check.records, at.unsigned_abs() - 1, "{tampering}");
        assert_eq!(recomputed(&path).is_ok(), cut_off, "{tampering}");
    }
}

#[tokio::test]
async fn a_long_log_is_listed_in_pages_and_checked_whole() {
    let (_directory, path) = place();
    drop(SqliteControl::open(&path, "m").unwrap());
    let mut connection = Connection::open(&path).unwrap();
    let t = connection.transaction().unwrap();
    let mut head = "0".repeat(64);
    for id in 1..=2500 {
        let record = json!({ "id": id, "at": id, "kind": "k", "who": "w", "detail": null });
        let record = record.to_string();
        let digest = Sha256::digest(format!("{head}\n{record}"));
        let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        t.execute(
            "INSERT INTO audit (id, record, previous, hash) VALUES (?1, ?2, ?3, ?4)",
            rusqlite::params![id, record, head, hash],
        )
        .unwrap();
        head = hash;
    }
    t.commit().unwrap();
    let store = SqliteControl::open(&path, "m").unwrap();
    let check = store.verify_audit().await.unwrap();
    assert_eq!((check.records, &check.head), (2500, &head));
    assert_eq!(check.broken, None);
    let page = store.audit_log(Some(AuditId(2000)), 2).await.unwrap();
    assert_eq!(
        page.iter().map(|r| r.id.0).collect::<Vec<_>>(),
        [2001, 2002]
    );
    assert_eq!(page[1].previous, page[0].hash);
    let next = store
        .audit(None, AuditEntry::new("k", json!(1)))
        .await
        .unwrap();
    assert_eq!(next, AuditId(2501));
}

#[tokio::test]
async fn a_detail_that_is_too_long_is_named_by_its_hash() {
    let (_directory, path) = place();
    let store = SqliteControl::open(&path, "m").unwrap();
    let long = json!({ "text": "ä".repeat(200 << 10) });
    let entry = AuditEntry::new("k", long.clone());
    store.audit(None, entry).await.unwrap();
    let record = all(&store).await.remove(0);
    let bytes = long.to_string().len();
    assert_eq!(record.detail["too_long"]["bytes"], json!(bytes));
    assert!(record.record.len() < 300);
    assert_eq!(store.verify_audit().await.unwrap().broken, None);
}

#[tokio::test]
async fn a_file_of_the_second_format_gets_a_log_and_keeps_what_it_holds() {
    let (_directory, path) = place();
    let store = SqliteControl::open(&path, "m").unwrap();
    store.post(Command::Pause).await.unwrap();
    drop(store);
    let old = Connection::open(&path).unwrap();
    old.execute_batch("DROP TABLE audit; PRAGMA user_version = 2;")
        .unwrap();
    drop(old);
    let store = SqliteControl::open(&path, "m").unwrap();
    assert_eq!(store.open_commands().await.unwrap().len(), 1);
    assert!(all(&store).await.is_empty());
    assert_eq!(store.verify_audit().await.unwrap().records, 0);
    store.post(Command::Resume).await.unwrap();
    assert_eq!(all(&store).await[0].id, AuditId(1));
}

#[test]
fn orders_are_kept_under_stable_names() {
    let mut asked = order("ada");
    asked.what = Traffic::Reads {
        percent: Some(10),
        tenant: None,
    };
    for (command, kept) in [
        (
            Command::Switch(order("ada")),
            json!({ "command": "switch", "what": "writes", "owner": "ada", "within_ms": 30_000, "dry_run": false,
                "kill_blockers": true, "overrides": [{ "gate": "rehearsal", "reason": "rehearsed by hand" }] }),
        ),
        (
            Command::Rollback(asked),
            json!({ "command": "rollback", "what": { "reads": { "percent": 10, "tenant": null } }, "owner": "ada",
                "within_ms": 30_000, "dry_run": false, "kill_blockers": true,
                "overrides": [{ "gate": "rehearsal", "reason": "rehearsed by hand" }] }),
        ),
        (
            Command::Complete {
                owner: "ada".to_owned(),
            },
            json!({ "command": "complete", "owner": "ada" }),
        ),
    ] {
        assert_eq!(serde_json::to_value(&command).unwrap(), kept);
        assert_eq!(serde_json::from_value::<Command>(kept).unwrap(), command);
    }
    let least = json!({ "command": "switch", "owner": "ada", "within_ms": 1 });
    let Command::Switch(least) = serde_json::from_value(least).unwrap() else {
        panic!("another command")
    };
    assert_eq!(least.what, Traffic::Writes);
    assert!(!least.kill_blockers && least.overrides.is_empty());
}
