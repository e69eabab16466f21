//! What people do with entries.

use crossfade_control::quarantine::Filter;
use crossfade_control::{
    Command, CommandState, ControlError, ControlStore, Entry, EntryId, EntryState, QuarantineStore,
    Verdict,
};
use serde_json::json;

use super::{all, open, place, record, seen, states, table};

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
