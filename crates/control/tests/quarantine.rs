//! The quarantine in the SQLite control store, on real files.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use crossfade_control::quarantine::{
    Compared, ComparedTable, Filter, KeySide, LONGEST_KEY, MOST_WAITING, Recorded, RowKey, Seen,
};
use crossfade_control::{
    Command, CommandState, ControlError, ControlStore, Entry, EntryId, EntryState, Lease,
    QuarantineStore, SqliteControl, Verdict,
};
use crossfade_model::Cell;
use serde_json::json;

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = SqliteControl::path_beside(&directory.path().join("m.toml"));
    (directory, path)
}

fn open(path: &Path) -> SqliteControl {
    SqliteControl::open(path, "m").unwrap()
}

fn seen(key: i64, kind: &str, columns: &[&str]) -> Seen {
    Seen {
        key: RowKey {
            digest: format!("digest {key}"),
            text: key.to_string(),
            cells: vec![Cell::Integer(key)],
            side: KeySide::Source,
        },
        kind: kind.to_owned(),
        columns: columns.iter().map(|c| (*c).to_owned()).collect(),
        cause: "unknown".to_owned(),
        why: "no rule explains it".to_owned(),
    }
}

fn table(name: &str, complete: bool, seen: Vec<Seen>) -> ComparedTable {
    ComparedTable {
        name: name.to_owned(),
        seen,
        complete,
    }
}

async fn record(
    store: &SqliteControl,
    lease: &Lease,
    position: &str,
    tables: Vec<ComparedTable>,
) -> Recorded {
    let compared = Compared {
        position: position.to_owned(),
        tables,
    };
    store.record_compared(lease, compared).await.unwrap()
}

async fn all(store: &SqliteControl) -> Vec<Entry> {
    let filter = Filter {
        limit: 1000,
        ..Filter::default()
    };
    store.quarantine(filter).await.unwrap().entries
}

fn states(entries: &[Entry]) -> Vec<(i64, EntryState)> {
    entries.iter().map(|e| (e.id.0, e.state)).collect()
}

#[tokio::test]
async fn an_entry_seen_again_keeps_what_it_was_and_one_gone_is_resolved() {
    let (_directory, path) = place();
    let store = open(&path);
    let lease = store.acquire().await.unwrap();
    let found = vec![seen(1, "changed", &["a"]), seen(2, "missing", &[])];
    let recorded = record(&store, &lease, "p1", vec![table("t", true, found)]).await;
    assert_eq!((recorded.new, recorded.again, recorded.resolved), (2, 0, 0));
    let before = store.entry(EntryId(1)).await.unwrap();
    assert_eq!(before.state, EntryState::Open);
    assert_eq!(before.key.cells, [Cell::Integer(1)]);
    assert_eq!(before.times_seen, 1);
    store
        .classify(
            EntryId(1),
            Verdict::Expected,
            " Ada ".to_owned(),
            "rounded on purpose".to_owned(),
        )
        .await
        .unwrap();

    let again = vec![Seen {
        cause: "precision".to_owned(),
        ..seen(1, "changed", &["a"])
    }];
    let recorded = record(&store, &lease, "p2", vec![table("t", true, again)]).await;
    assert_eq!((recorded.new, recorded.again, recorded.resolved), (0, 1, 1));
    let entry = store.entry(EntryId(1)).await.unwrap();
    assert_eq!(entry.state, EntryState::Classified);
    assert_eq!(entry.first_seen, before.first_seen);
    assert_eq!(entry.times_seen, 2);
    assert_eq!(
        (entry.position.as_str(), entry.cause.as_str()),
        ("p2", "precision")
    );
    let classification = entry.classification.unwrap();
    assert_eq!(classification.by, "Ada");
    assert_eq!(classification.verdict, Verdict::Expected);
    let gone = store.entry(EntryId(2)).await.unwrap();
    assert_eq!(gone.state, EntryState::Resolved);
    assert_eq!(gone.resolution.unwrap().position, "p2");

    // back again: the same entry, waiting
    let back = vec![seen(1, "changed", &["a"]), seen(2, "extra", &[])];
    record(&store, &lease, "p3", vec![table("t", true, back)]).await;
    let back = store.entry(EntryId(2)).await.unwrap();
    assert_eq!(
        (back.state, back.kind.as_str()),
        (EntryState::Open, "extra")
    );
    assert_eq!(back.resolution, None);
    assert_eq!(all(&store).await.len(), 2);
}

#[tokio::test]
async fn a_classification_does_not_cover_another_difference_of_the_row() {
    let (_directory, path) = place();
    let store = open(&path);
    let lease = store.acquire().await.unwrap();
    let of = |columns: &[&str]| vec![table("t", true, vec![seen(1, "changed", columns)])];
    record(&store, &lease, "p1", of(&["a"])).await;
    let said = |why: &str| {
        store.classify(
            EntryId(1),
            Verdict::Expected,
            "Ada".to_owned(),
            why.to_owned(),
        )
    };
    assert_eq!(said("known").await.unwrap().state, EntryState::Classified);
    record(&store, &lease, "p2", of(&["a", "b"])).await;
    let entry = store.entry(EntryId(1)).await.unwrap();
    assert_eq!(entry.state, EntryState::Open);
    assert_eq!(entry.classification.unwrap().reason, "known");
    record(&store, &lease, "p3", of(&["a"])).await;
    assert_eq!(
        store.entry(EntryId(1)).await.unwrap().state,
        EntryState::Classified
    );
    record(
        &store,
        &lease,
        "p4",
        vec![table("t", true, vec![seen(1, "extra", &[])])],
    )
    .await;
    assert_eq!(
        store.entry(EntryId(1)).await.unwrap().state,
        EntryState::Open
    );
}

#[tokio::test]
async fn only_a_complete_comparison_of_its_table_resolves_an_entry() {
    let (_directory, path) = place();
    let store = open(&path);
    let lease = store.acquire().await.unwrap();
    let first = vec![
        table("t", true, vec![seen(1, "missing", &[])]),
        table("u", true, vec![seen(1, "missing", &[])]),
    ];
    record(&store, &lease, "p1", first).await;
    let recorded = record(&store, &lease, "p2", vec![table("t", false, Vec::new())]).await;
    assert_eq!(recorded.resolved, 0);
    assert_eq!(
        states(&all(&store).await),
        [(1, EntryState::Open), (2, EntryState::Open)]
    );
    assert_eq!(store.state().await.unwrap().quarantine.unlisted_tables, 1);
    record(&store, &lease, "p3", vec![table("t", true, Vec::new())]).await;
    assert_eq!(
        states(&all(&store).await),
        [(1, EntryState::Resolved), (2, EntryState::Open)]
    );
    let counts = store.state().await.unwrap().quarantine;
    assert_eq!(
        (counts.open, counts.resolved, counts.unlisted_tables),
        (1, 1, 0)
    );
}

#[tokio::test]
async fn entries_are_listed_by_state_and_table_and_page_by_page() {
    let (_directory, path) = place();
    let store = open(&path);
    let lease = store.acquire().await.unwrap();
    let rows = |n: i64| (0..n).map(|k| seen(k, "missing", &[])).collect();
    let both = vec![table("t", true, rows(5)), table("u", true, rows(2))];
    record(&store, &lease, "p1", both).await;
    store
        .classify(
            EntryId(2),
            Verdict::Bug,
            "Ada".to_owned(),
            "lost".to_owned(),
        )
        .await
        .unwrap();
    let ask = |state, table: Option<&str>, after, limit| {
        store.quarantine(Filter {
            state,
            table: table.map(str::to_owned),
            after,
            limit,
        })
    };
    let ids = |entries: &[Entry]| entries.iter().map(|e| e.id.0).collect::<Vec<_>>();
    let page = ask(None, Some("t"), None, 3).await.unwrap();
    assert_eq!(
        (ids(&page.entries), page.next),
        (vec![1, 2, 3], Some(EntryId(3)))
    );
    let page = ask(None, Some("t"), page.next, 3).await.unwrap();
    assert_eq!((ids(&page.entries), page.next), (vec![4, 5], None));
    let page = ask(Some(EntryState::Classified), None, None, 9)
        .await
        .unwrap();
    assert_eq!(ids(&page.entries), [2]);
    let page = ask(Some(EntryState::Open), Some("u"), None, 9)
        .await
        .unwrap();
    assert_eq!(ids(&page.entries), [6, 7]);
    // none is no limit that could be asked for
    assert_eq!(ask(None, None, None, 0).await.unwrap().entries.len(), 1);
}

#[tokio::test]
async fn a_retry_marks_all_or_none_and_its_end_takes_the_marks_off() {
    let (_directory, path) = place();
    let store = open(&path);
    let lease = store.acquire().await.unwrap();
    let rows = (1..=4).map(|k| seen(k, "missing", &[])).collect();
    record(&store, &lease, "p1", vec![table("t", true, rows)]).await;
    for (id, verdict) in [(2, Verdict::Bug), (3, Verdict::Expected)] {
        store
            .classify(
                EntryId(id),
                verdict,
                "Ada".to_owned(),
                "so it is".to_owned(),
            )
            .await
            .unwrap();
    }
    let unknown = store.retry(Some(vec![EntryId(1), EntryId(9)])).await;
    assert!(
        matches!(unknown, Err(ControlError::NoEntry { id: EntryId(9) })),
        "{unknown:?}"
    );
    assert_eq!(store.state().await.unwrap().quarantine.retrying, 0);
    assert!(store.open_commands().await.unwrap().is_empty());

    let (command, ids) = store.retry(None).await.unwrap().unwrap();
    assert_eq!(ids, [EntryId(1), EntryId(2), EntryId(4)]);
    assert_eq!(
        store.command(command).await.unwrap().command,
        Command::Retry { ids }
    );
    let twice = store.retry(Some(vec![EntryId(1)])).await.unwrap_err();
    assert_eq!(twice.exit_code(), 2, "{twice}");
    assert_eq!(store.retry(None).await.unwrap(), None);
    // a person's word meanwhile does not end the retry
    store
        .classify(
            EntryId(4),
            Verdict::Bug,
            "Ada".to_owned(),
            "lost".to_owned(),
        )
        .await
        .unwrap();

    store.acknowledge(&lease, command).await.unwrap();
    let left = (2..=4).map(|k| seen(k, "missing", &[])).collect();
    record(&store, &lease, "p2", vec![table("t", true, left)]).await;
    let asked = (1..=5).map(EntryId).collect();
    assert_eq!(
        store.entry_states(asked).await.unwrap(),
        [
            (EntryId(1), EntryState::Resolved),
            (EntryId(2), EntryState::Retrying),
            (EntryId(3), EntryState::Classified),
            (EntryId(4), EntryState::Retrying),
        ]
    );
    store.finish(&lease, command, Ok(json!({}))).await.unwrap();
    assert_eq!(
        states(&all(&store).await),
        [
            (1, EntryState::Resolved),
            (2, EntryState::Classified),
            (3, EntryState::Classified),
            (4, EntryState::Classified),
        ]
    );
    let resolved = store.retry(Some(vec![EntryId(1)])).await.unwrap_err();
    assert_eq!(resolved.exit_code(), 2, "{resolved}");

    let (command, _) = store.retry(Some(vec![EntryId(3)])).await.unwrap().unwrap();
    assert!(store.withdraw(command).await.unwrap());
    assert_eq!(
        store.entry(EntryId(3)).await.unwrap().state,
        EntryState::Classified
    );
}

#[tokio::test]
async fn an_unfinished_retry_outlives_its_run() {
    let (_directory, path) = place();
    let store = open(&path);
    let lease = store.acquire().await.unwrap();
    record(
        &store,
        &lease,
        "p1",
        vec![table("t", true, vec![seen(1, "extra", &[])])],
    )
    .await;
    let (command, _) = store.retry(None).await.unwrap().unwrap();
    store.acknowledge(&lease, command).await.unwrap();
    drop((lease, store));

    let store = open(&path);
    let _lease = store.acquire().await.unwrap();
    assert_eq!(
        store.command(command).await.unwrap().state,
        CommandState::Posted
    );
    assert_eq!(
        store.entry(EntryId(1)).await.unwrap().state,
        EntryState::Retrying
    );
}

#[tokio::test]
async fn a_classification_needs_a_name_a_reason_and_an_entry_that_waits() {
    let (_directory, path) = place();
    let store = open(&path);
    let lease = store.acquire().await.unwrap();
    record(
        &store,
        &lease,
        "p1",
        vec![table("t", true, vec![seen(1, "extra", &[])])],
    )
    .await;
    let say = |id: i64, by: &str, reason: &str| {
        store.classify(EntryId(id), Verdict::Bug, by.to_owned(), reason.to_owned())
    };
    let long = "x".repeat(5000);
    for (id, by, reason, exit) in [
        (1, "", "so", 3),
        (1, "Ada", " \n", 3),
        (1, "Ada", long.as_str(), 3),
        (2, "Ada", "so", 3),
    ] {
        let refused = say(id, by, reason).await.unwrap_err();
        assert_eq!(refused.exit_code(), exit, "{refused}");
    }
    assert_eq!(store.entry(EntryId(1)).await.unwrap().classification, None);
    record(&store, &lease, "p2", vec![table("t", true, Vec::new())]).await;
    let resolved = say(1, "Ada", "so").await.unwrap_err();
    assert_eq!(resolved.exit_code(), 2, "{resolved}");
}

#[tokio::test]
async fn what_finds_no_room_is_counted_and_what_is_gone_makes_room() {
    let (_directory, path) = place();
    let store = open(&path);
    let lease = store.acquire().await.unwrap();
    let most = MOST_WAITING.cast_signed();
    let rows = |from: i64, to: i64| (from..to).map(|k| seen(k, "missing", &[])).collect();
    let recorded = record(
        &store,
        &lease,
        "p1",
        vec![table("t", true, rows(0, most + 7))],
    )
    .await;
    assert_eq!((recorded.new, recorded.not_kept), (MOST_WAITING, 7));
    let counts = store.state().await.unwrap().quarantine;
    assert_eq!((counts.open, counts.not_kept), (MOST_WAITING, 7));
    // an entry that is there is updated, however full it is
    let recorded = record(
        &store,
        &lease,
        "p2",
        vec![table("t", true, rows(0, most + 7))],
    )
    .await;
    assert_eq!(
        (recorded.new, recorded.again, recorded.not_kept),
        (0, MOST_WAITING, 7)
    );
    let recorded = record(
        &store,
        &lease,
        "p3",
        vec![table("t", true, rows(10, most + 7))],
    )
    .await;
    assert_eq!(
        (recorded.new, recorded.resolved, recorded.not_kept),
        (7, 10, 0)
    );
    assert_eq!(store.state().await.unwrap().quarantine.not_kept, 0);
}

#[tokio::test]
async fn long_keys_are_cut() {
    let (_directory, path) = place();
    let store = open(&path);
    let lease = store.acquire().await.unwrap();
    let mut long = seen(1, "changed", &["a"]);
    long.key.text = "é".repeat(LONGEST_KEY + 1);
    long.key.cells = vec![Cell::Text(vec![b'k'; 40_000].into())];
    record(&store, &lease, "p1", vec![table("t", true, vec![long])]).await;
    let entry = store.entry(EntryId(1)).await.unwrap();
    assert_eq!(entry.key.text.chars().count(), LONGEST_KEY);
    assert_eq!(entry.key.cells, []);
}

#[tokio::test]
async fn a_run_that_was_overtaken_records_nothing() {
    let (_directory, path) = place();
    let store = open(&path);
    let old = store.acquire().await.unwrap();
    let lock = PathBuf::from(format!("{}.lock", path.display()));
    std::fs::remove_file(lock).unwrap();
    let _new = store.acquire().await.unwrap();
    let compared = Compared {
        position: "p".to_owned(),
        tables: vec![table("t", true, vec![seen(1, "extra", &[])])],
    };
    let refused = store.record_compared(&old, compared).await;
    assert!(
        matches!(refused, Err(ControlError::Superseded { .. })),
        "{refused:?}"
    );
    assert_eq!(all(&store).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_and_operators_write_at_once_and_nothing_is_lost() {
    let (_directory, path) = place();
    let store = open(&path);
    let lease = store.acquire().await.unwrap();
    let rows = || (1..=40).map(|k| seen(k, "changed", &["a"])).collect();
    record(&store, &lease, "p0", vec![table("t", true, rows())]).await;
    let operators: Vec<_> = (0..4)
        .map(|n| {
            let other = open(&path);
            tokio::spawn(async move {
                for id in (1..=40).filter(|id| id % 4 == n) {
                    let by = format!("operator {n}");
                    other
                        .classify(EntryId(id), Verdict::Expected, by, "known".to_owned())
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for n in 1..=20 {
        record(
            &store,
            &lease,
            &format!("p{n}"),
            vec![table("t", true, rows())],
        )
        .await;
    }
    for operator in operators {
        operator.await.unwrap();
    }
    for entry in all(&store).await {
        assert_eq!(entry.state, EntryState::Classified);
        assert_eq!(entry.times_seen, 21);
        assert_eq!(
            entry.classification.unwrap().by,
            format!("operator {}", entry.id.0 % 4)
        );
    }
}

/// The first format, as it was shipped.
const FIRST: &str = "
    CREATE TABLE migration (one INTEGER PRIMARY KEY CHECK (one = 1), name TEXT NOT NULL, phase TEXT NOT NULL DEFAULT 'planned',
        paused INTEGER NOT NULL DEFAULT 0, epoch INTEGER NOT NULL DEFAULT 0, holder TEXT, progress_at INTEGER, progress TEXT,
        report TEXT) STRICT;
    CREATE TABLE intent (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, detail TEXT NOT NULL, recorded INTEGER NOT NULL,
        epoch INTEGER NOT NULL, state TEXT NOT NULL, outcome TEXT) STRICT;
    CREATE TABLE command (id INTEGER PRIMARY KEY AUTOINCREMENT, command TEXT NOT NULL, posted INTEGER NOT NULL, state TEXT NOT NULL,
        outcome TEXT) STRICT;
    PRAGMA application_id = 2019976259;
    PRAGMA user_version = 1;
    INSERT INTO migration (one, name, phase, paused, epoch) VALUES (1, 'm', 'following', 1, 4);
    INSERT INTO command (command, posted, state) VALUES ('{\"command\":\"pause\"}', 1, 'posted');
";

#[tokio::test]
async fn a_file_of_the_first_format_is_brought_up_to_date_with_all_it_holds() {
    let (_directory, path) = place();
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(FIRST).unwrap();
    drop(old);
    let store = open(&path);
    let state = store.state().await.unwrap();
    assert_eq!(state.phase, crossfade_plan::Phase::Following);
    assert!(state.paused && state.quarantine.is_empty());
    assert_eq!(store.open_commands().await.unwrap().len(), 1);
    let lease = store.acquire().await.unwrap();
    assert_eq!(lease.epoch, 5);
    record(
        &store,
        &lease,
        "p1",
        vec![table("t", true, vec![seen(1, "extra", &[])])],
    )
    .await;
    drop((lease, store));
    assert_eq!(all(&open(&path)).await.len(), 1);
}
