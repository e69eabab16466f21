//! What runs record, and what the file holds.

use std::path::PathBuf;

use crossfade_control::quarantine::{Compared, LONGEST_KEY, MOST_WAITING, Seen};
use crossfade_control::{
    ControlError, ControlStore, EntryId, EntryState, QuarantineStore, Verdict,
};
use crossfade_model::Cell;

use super::{all, open, place, record, seen, states, table};

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
