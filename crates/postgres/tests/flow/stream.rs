//! The stream: whole transactions in commit order, and positions that can be resumed.

use std::time::{Duration, Instant};

use crossfade_model::{Change, Position, StreamEvent, TableId};
use crossfade_postgres::{capture, lsn, replication};
use crossfade_store::ErrorKind;

use crate::kit::{Db, Follow, full, row};
use crate::support::SERVERS;

const T: TableId = TableId(0);

#[tokio::test]
async fn changes_come_as_whole_transactions_with_ids_that_the_base_snapshot_does_not_see() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run("CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t VALUES (1, 'a')")
            .await;
        let mut follow = Follow::begin(&db.store(), "whole", &["t"]).await;
        db.run(
            "BEGIN; INSERT INTO t VALUES (2, NULL); UPDATE t SET note = '' WHERE id = 1; COMMIT;",
        )
        .await;
        db.run("UPDATE t SET id = 3 WHERE id = 2; DELETE FROM t WHERE id = 1")
            .await;
        let whole = follow.transactions(2).await;
        assert_eq!(
            whole[0].changes,
            [
                Change::Insert {
                    table: T,
                    row: row(&[Some("2"), None])
                },
                Change::Update {
                    table: T,
                    before: None,
                    row: full(&["1", ""])
                },
            ]
        );
        assert_eq!(
            whole[1].changes,
            [
                Change::Update {
                    table: T,
                    before: Some(row(&[Some("2"), None])),
                    row: row(&[Some("3"), None])
                },
                Change::Delete {
                    table: T,
                    before: row(&[Some("1"), None])
                },
            ]
        );
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_micros() as i64;
        for transaction in &whole {
            assert!(!follow.start.base.sees(transaction.transaction.id));
            assert!((now - transaction.transaction.committed_at).abs() < 120_000_000);
        }
        follow.end().await;
        db.drop().await;
    }
}

#[tokio::test]
async fn what_was_rolled_back_to_a_savepoint_never_shows_however_large() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run("CREATE TABLE t (id int PRIMARY KEY, note text)")
            .await;
        let mut follow = Follow::begin(&db.store(), "savepoints", &["t"]).await;
        // beyond logical_decoding_work_mem (64 MB): the server spills, and would stream if it were asked to
        db.run(
            "BEGIN;
             INSERT INTO t VALUES (1, 'kept');
             SAVEPOINT a;
             INSERT INTO t SELECT g, repeat('x', 900) FROM generate_series(1000, 101000) g;
             ROLLBACK TO a;
             INSERT INTO t VALUES (2, 'kept');
             SAVEPOINT b;
             INSERT INTO t VALUES (3, 'kept');
             RELEASE b;
             COMMIT",
        )
        .await;
        db.run("BEGIN; INSERT INTO t VALUES (4, 'gone'); ROLLBACK")
            .await;
        db.run("INSERT INTO t VALUES (5, 'kept')").await;
        let whole = follow.transactions(2).await;
        assert_eq!(whole[0].changes.len(), 3);
        assert_eq!(whole[1].changes.len(), 1);
        follow.end().await;
        db.drop().await;
    }
}

#[tokio::test]
async fn a_large_transaction_comes_in_pieces_and_in_order() {
    let db = Db::create(SERVERS[0]).await;
    db.run("CREATE TABLE t (id int PRIMARY KEY, note text)")
        .await;
    let mut follow = Follow::begin(&db.store(), "large", &["t"]).await;
    db.run("INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(1, 60000) g")
        .await;
    let mut ids = Vec::new();
    let mut calls = 0;
    'all: loop {
        let events = follow.stream.next().await.unwrap();
        assert!(events.len() <= 4000);
        calls += 1;
        for event in events {
            match event {
                StreamEvent::Change(Change::Insert { row, .. }) => ids.push(row.0[0].clone()),
                StreamEvent::Commit { .. } => break 'all,
                _ => {}
            }
        }
    }
    let expected: Vec<_> = (1..=60_000)
        .map(|id: u32| crate::kit::t(&id.to_string()))
        .collect();
    assert_eq!(ids, expected);
    assert!(calls > 10);
    follow.end().await;
    db.drop().await;
}

#[tokio::test]
async fn a_stream_opened_at_an_end_brings_what_follows_and_nothing_twice() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run("CREATE TABLE t (id int PRIMARY KEY)").await;
        let mut follow = Follow::begin(&db.store(), "resume", &["t"]).await;
        for id in 1..=3 {
            db.run(&format!("INSERT INTO t VALUES ({id})")).await;
        }
        let seen = follow.transactions(3).await;
        // nothing was confirmed: any of the ends can be resumed
        follow.again(seen[0].end).await;
        assert_eq!(follow.transactions(2).await, seen[1..]);
        follow.stream.confirm(seen[1].end).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        follow.again(seen[1].end).await;
        assert_eq!(follow.transactions(1).await, seen[2..]);
        // the server was told of more than this: it would skip forward without a word
        let open = replication::stream::open_stream(&follow.store, &follow.spec, seen[0].end);
        let Err(refused) = open.await else {
            panic!("a gap was not noticed");
        };
        assert_eq!(refused.kind, ErrorKind::LogLost);
        follow.end().await;
        db.drop().await;
    }
}

#[tokio::test]
async fn confirming_is_what_moves_the_slot_and_nothing_else() {
    let db = Db::create(SERVERS[0]).await;
    db.run("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (id int)")
        .await;
    let mut follow = Follow::begin(&db.store(), "confirm", &["t"]).await;
    let confirmed = "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = 'crossfade_confirm'";
    let before = db.text(confirmed).await;
    db.run("INSERT INTO t VALUES (1)").await;
    follow.transactions(1).await;
    // keepalives are answered meanwhile
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(db.text(confirmed).await, before);
    // an idle table beside a busy one: progress comes without a change of ours, and can be confirmed
    db.run("INSERT INTO other SELECT generate_series(1, 10000)")
        .await;
    let probe = capture::probe(&follow.store, "confirm").await.unwrap();
    assert!(probe.log_kept_bytes > 100_000);
    follow.pass(probe.log_end).await;
    follow.stream.confirm(follow.at).await.unwrap();
    // others write to this server's log meanwhile: the bytes that it keeps say little
    let at = lsn::show(follow.at);
    let moved = format!("SELECT (({confirmed}) = '{at}')::text");
    let begun = Instant::now();
    loop {
        if db.text(&moved).await.as_deref() == Some("true") {
            break;
        }
        assert!(
            begun.elapsed() < crate::kit::PATIENCE,
            "the slot does not move"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    follow.end().await;
    db.drop().await;
}

/// The server keeps its log from where the oldest transaction began that was open at the confirmed place.
#[tokio::test]
async fn log_that_is_kept_for_an_open_transaction_is_counted_though_all_is_confirmed() {
    let db = Db::create(SERVERS[0]).await;
    db.run("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (id int)")
        .await;
    let mut follow = Follow::begin(&db.store(), "kept", &["t"]).await;
    let open = db.client().await;
    open.batch("opening", "BEGIN; INSERT INTO t VALUES (1)")
        .await
        .unwrap();
    db.run("INSERT INTO other SELECT generate_series(1, 100000)")
        .await;
    let end = capture::probe(&follow.store, "kept").await.unwrap().log_end;
    follow.pass(end).await;
    follow.stream.confirm(follow.at).await.unwrap();
    let unconfirmed = "SELECT (pg_current_wal_insert_lsn() - confirmed_flush_lsn < 3000000)::text
        FROM pg_replication_slots WHERE slot_name = 'crossfade_kept'";
    let begun = Instant::now();
    while db.text(unconfirmed).await.as_deref() != Some("true") {
        assert!(
            begun.elapsed() < crate::kit::PATIENCE,
            "it is not confirmed"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let kept = capture::probe(&follow.store, "kept").await.unwrap();
    assert!(kept.log_kept_bytes > 5_000_000, "{kept:?}");
    drop(open);
    follow.end().await;
    db.drop().await;
}

#[tokio::test]
async fn a_consumer_that_is_slow_keeps_its_connection() {
    let db = Db::create(SERVERS[0]).await;
    db.run("CREATE TABLE t (id int PRIMARY KEY, note text)")
        .await;
    db.run(&format!(
        "ALTER DATABASE {} SET wal_sender_timeout = '2s'",
        db.name
    ))
    .await;
    let mut follow = Follow::begin(&db.store(), "slow", &["t"]).await;
    // more than the queue and the sockets hold
    db.run("INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 60000) g")
        .await;
    let mut changes = 0;
    let begun = Instant::now();
    'all: loop {
        for event in follow.stream.next().await.unwrap() {
            match event {
                StreamEvent::Change(_) => changes += 1,
                StreamEvent::Commit { .. } => break 'all,
                _ => {}
            }
        }
        if begun.elapsed() < Duration::from_secs(7) {
            tokio::time::sleep(Duration::from_millis(2500)).await;
        }
    }
    assert_eq!(changes, 60_000);
    follow.end().await;
    db.drop().await;
}

#[tokio::test]
async fn next_can_be_cancelled_at_any_time() {
    let db = Db::create(SERVERS[0]).await;
    db.run("CREATE TABLE t (id int PRIMARY KEY)").await;
    let mut follow = Follow::begin(&db.store(), "cancel", &["t"]).await;
    let writer = {
        let client = db.client().await;
        tokio::spawn(async move {
            for id in 0..300 {
                let sql = format!("INSERT INTO t VALUES ({id})");
                client.batch("writing", &sql).await.unwrap();
            }
        })
    };
    let mut seen = 0;
    let begun = Instant::now();
    while seen < 300 {
        assert!(begun.elapsed() < crate::kit::PATIENCE);
        let next = follow.stream.next();
        if let Ok(events) = tokio::time::timeout(Duration::from_micros(700), next).await {
            let change = |e: &&StreamEvent| matches!(e, StreamEvent::Change(_));
            seen += events.unwrap().iter().filter(change).count();
        }
    }
    assert_eq!(seen, 300);
    writer.await.unwrap();
    follow.end().await;
    db.drop().await;
}

#[tokio::test]
async fn a_quiet_stream_answers_within_about_a_second() {
    let db = Db::create(SERVERS[0]).await;
    db.run("CREATE TABLE t (id int PRIMARY KEY)").await;
    let mut follow = Follow::begin(&db.store(), "quiet", &["t"]).await;
    for _ in 0..3 {
        let begun = Instant::now();
        follow.stream.next().await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2));
    }
    follow.end().await;
    db.drop().await;
}

#[tokio::test]
async fn a_slot_that_a_dead_run_still_reads_is_taken_over() {
    let db = Db::create(SERVERS[0]).await;
    db.run("CREATE TABLE t (id int PRIMARY KEY)").await;
    let mut follow = Follow::begin(&db.store(), "takeover", &["t"]).await;
    let start = follow.start.position;
    // the first reader is alive and reads: our own program under our own role, so it is ended
    let mut second = replication::stream::open_stream(&follow.store, &follow.spec, start)
        .await
        .unwrap();
    db.run("INSERT INTO t VALUES (1)").await;
    let mut seen = 0;
    while seen == 0 {
        let events = second.next().await.unwrap();
        seen += events
            .iter()
            .filter(|e| matches!(e, StreamEvent::Change(_)))
            .count();
    }
    let begun = Instant::now();
    let ended = loop {
        match follow.stream.next().await {
            Ok(_) => assert!(begun.elapsed() < crate::kit::PATIENCE),
            Err(e) => break e,
        }
    };
    assert!(
        matches!(ended.kind, ErrorKind::Connection | ErrorKind::Unavailable),
        "{ended}"
    );
    follow.stream = second;
    follow.end().await;
    db.drop().await;
}

#[tokio::test]
async fn a_missing_slot_is_a_lost_log() {
    let db = Db::create(SERVERS[0]).await;
    db.run("CREATE TABLE t (id int PRIMARY KEY)").await;
    let follow = Follow::begin(&db.store(), "missing", &["t"]).await;
    let (store, spec, at) = (follow.store.clone(), follow.spec.clone(), follow.at);
    follow.end().await;
    let Err(e) = replication::stream::open_stream(&store, &spec, at).await else {
        panic!("it opened");
    };
    assert_eq!(e.kind, ErrorKind::LogLost);
    assert!(capture::made(&store, "missing").await.unwrap().is_empty());
    db.drop().await;
}

#[tokio::test]
async fn two_phase_transactions_come_when_they_are_committed() {
    let db = Db::create(SERVERS[0]).await;
    db.run("CREATE TABLE t (id int PRIMARY KEY)").await;
    let mut follow = Follow::begin(&db.store(), "two_phase", &["t"]).await;
    let name = db.name.clone();
    db.run(&format!(
        "BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION '{name}'"
    ))
    .await;
    db.run("INSERT INTO t VALUES (2)").await;
    db.run(&format!("COMMIT PREPARED '{name}'")).await;
    let whole = follow.transactions(2).await;
    assert_eq!(
        whole[0].changes,
        [Change::Insert {
            table: T,
            row: full(&["2"])
        }]
    );
    assert!(whole[1].transaction.id < whole[0].transaction.id);
    follow.end().await;
    db.drop().await;
}

#[tokio::test]
async fn the_start_and_the_base_snapshot_meet_without_gap_or_overlap() {
    let db = Db::create(SERVERS[0]).await;
    db.run("CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, xid bigint)")
        .await;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut writers = Vec::new();
    for _ in 0..4 {
        let client = db.client().await;
        let stop = std::sync::Arc::clone(&stop);
        writers.push(tokio::spawn(async move {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let sql = "INSERT INTO t (xid) VALUES (pg_current_xact_id()::text::bigint)";
                client.batch("writing", sql).await.unwrap();
            }
        }));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut follow = Follow::begin(&db.store(), "meet", &["t"]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let end = capture::probe(&follow.store, "meet").await.unwrap().log_end;
    let mut streamed = std::collections::BTreeSet::new();
    while follow.at < end {
        for event in follow.stream.next().await.unwrap() {
            match event {
                StreamEvent::Begin(t) => {
                    assert!(!follow.start.base.sees(t.id));
                    streamed.insert(t.id.0);
                }
                StreamEvent::Commit { end: at } | StreamEvent::Progress(at) => follow.at = at,
                _ => {}
            }
        }
    }
    let all = db
        .client()
        .await
        .query("reading all", "SELECT xid FROM t", &[])
        .await
        .unwrap();
    let mut base = 0;
    for row in &all {
        let xid = row.get::<_, i64>(0) as u64;
        let sees = follow.start.base.sees(crossfade_model::TransactionId(xid));
        assert_ne!(sees, streamed.contains(&xid), "transaction {xid}");
        base += usize::from(sees);
    }
    assert!(base > 0 && base < all.len());
    assert!(Position(0) < end);
    follow.end().await;
    db.drop().await;
}
