//! A target that takes authority: its guards and marks give way, its sequences are beyond the other store's, its changes begin somewhere.

use std::time::Duration;

use crossfade_model::{Mode, Register, Snapshot, TransactionId};
use crossfade_store::{CaptureSpec, ErrorKind, Fence, Source, Target};

use super::{FIRE, LONG, TABLES, armed, code, fenced, given, open, tables};
use crate::kit::{Db, Follow, mappings};
use crate::support::SERVERS;

#[tokio::test]
async fn guards_and_marks_give_way_to_the_register() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(TABLES).await;
        let store = db.store();
        let target: &dyn Target = &store;
        let mapped = mappings(&store, &["t", "u"]).await;
        drop(target.acquire("m").await.unwrap());
        target.create_tables(&[], &[], &mapped).await.unwrap();
        target.watch_strangers("m", &mapped).await.unwrap();
        let made = target.made("m").await.unwrap();
        store.make_register("m", fenced(0)).await.unwrap();
        let app = db.client().await;
        // guarded, not armed yet
        assert_eq!(
            code(&app, "UPDATE t SET v = 'a'").await.as_deref(),
            Some("25006")
        );
        store
            .arm("m", &tables(&store, &["t", "u"]).await, LONG)
            .await
            .unwrap();
        assert_eq!(
            code(&app, "UPDATE t SET v = 'a'").await.as_deref(),
            Some("25006")
        );
        store.swap("m", fenced(0), open(1)).await.unwrap();
        // a run that starts again puts guards where there are none: they do not matter
        target.create_tables(&[], &[], &mapped).await.unwrap();
        assert_eq!(
            code(&app, "UPDATE t SET v = 'a'; DELETE FROM u").await,
            None
        );
        assert_eq!(store.strangers("m", None).await.unwrap().entries, []);
        assert_eq!(target.made("m").await.unwrap(), made);
        // the way back: within its window writers try again, and are told so by the fence
        store.swap("m", open(1), fenced(2)).await.unwrap();
        assert_eq!(
            code(&app, "UPDATE t SET v = 'a'").await.as_deref(),
            Some("40001")
        );
        let given = Register::new(Mode::Given, 2);
        store.swap("m", fenced(2), given).await.unwrap();
        assert_eq!(
            code(&app, "UPDATE t SET v = 'a'").await.as_deref(),
            Some("25006")
        );
        // a superuser behind the fence is a stranger again
        db.run("ALTER TABLE u DISABLE TRIGGER crossfade_latch_m; ALTER TABLE u DISABLE TRIGGER crossfade_guard").await;
        assert_eq!(code(&app, "INSERT INTO u VALUES (500)").await, None);
        assert_eq!(store.strangers("m", None).await.unwrap().entries.len(), 1);
        db.drop().await;
    }
}

/// He loses the right to write by the opening, which waits until he has committed, for longer than a try for the latch may.
#[tokio::test]
async fn a_store_opens_behind_an_applier_whose_commit_takes_its_time() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(TABLES).await;
        let store = db.store();
        let target: &dyn Target = &store;
        drop(target.acquire("m").await.unwrap());
        store.make_register("m", fenced(0)).await.unwrap();
        let applier = db.client().await;
        applier
            .batch(
                "applying",
                "BEGIN; SELECT epoch FROM crossfade.run FOR UPDATE",
            )
            .await
            .unwrap();
        let opening = tokio::spawn({
            let store = db.store();
            async move { store.swap("m", fenced(0), open(1)).await }
        });
        let waits = "SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        for _ in 0..50 {
            if opening.is_finished() || db.text(waits).await.as_deref() == Some("1") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // longer than a try
        tokio::time::sleep(Duration::from_millis(800)).await;
        applier.batch("applying", "COMMIT").await.unwrap();
        opening.await.unwrap().unwrap();
        let standing = store.standing("m").await.unwrap().unwrap();
        assert_eq!(standing.register, open(1));
        db.drop().await;
    }
}

#[tokio::test]
async fn the_marks_of_the_way_back_look_at_the_same_register() {
    let db = Db::create(SERVERS[0]).await;
    db.run(TABLES).await;
    let store = armed(&db, &["t"]).await;
    let target: &dyn Target = &store;
    let mapped = mappings(&store, &["t"]).await;
    drop(target.acquire("m-back").await.unwrap());
    target.watch_strangers("m-back", &mapped).await.unwrap();
    let app = db.client().await;
    assert_eq!(code(&app, "UPDATE t SET v = 'a'").await, None);
    assert_eq!(store.strangers("m-back", None).await.unwrap().entries, []);
    db.drop().await;
}

#[tokio::test]
async fn sequences_get_beyond_the_other_store_once_a_switch() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(
            "CREATE TABLE a (id int GENERATED ALWAYS AS IDENTITY (CACHE 50) PRIMARY KEY);
             CREATE TABLE b (id bigint GENERATED ALWAYS AS IDENTITY (INCREMENT -1) PRIMARY KEY);
             CREATE TABLE c (id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
             INSERT INTO a DEFAULT VALUES; INSERT INTO b DEFAULT VALUES;
             SELECT setval('c_id_seq', 32766)",
        )
        .await;
        let store = db.store();
        let mapped = mappings(&store, &["a", "b", "c"]).await;
        let source: &dyn Source = &store;
        let values = async || {
            let sql = "SELECT concat_ws(' ', (SELECT last_value FROM a_id_seq), (SELECT last_value FROM b_id_seq),
                                        (SELECT last_value FROM c_id_seq))";
            let text = db.text(sql).await.unwrap();
            let values: Vec<i64> = text.split(' ').map(|v| v.parse().unwrap()).collect();
            values
        };
        let sequences = source.sequences().await.unwrap();
        store.raise_for_switch(&sequences, &mapped).await.unwrap();
        let raised = values().await;
        assert!(raised[0] >= 100 && raised[1] <= -2, "{server}: {raised:?}");
        // no room is left for headroom: the value itself, and one more can be had
        assert_eq!(raised[2], 32766);
        assert_eq!(
            code(&db.client().await, "INSERT INTO c DEFAULT VALUES").await,
            None
        );
        store.raise_for_switch(&sequences, &mapped).await.unwrap();
        let again = values().await;
        assert_eq!(again[..2], raised[..2]);
        assert_eq!(again[2], 32767, "it was set back");
        db.drop().await;
    }
}

#[tokio::test]
async fn a_beginning_sees_all_before_and_nothing_after() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(TABLES).await;
        let store = armed(&db, &["t"]).await;
        let refused = store.note_beginning("m", 1).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Conflict);
        // a transaction of other tables, in progress meanwhile
        let other = db.client().await;
        let begun = "BEGIN; UPDATE u SET v = 'other'";
        other.batch("writing", begun).await.unwrap();
        let id = async |client: &crossfade_postgres::Client| {
            let sql = "SELECT pg_current_xact_id()::text";
            let row = client.query_one("asking", sql, &[]).await.unwrap();
            TransactionId(row.get::<_, &str>(0).parse().unwrap())
        };
        let app = db.client().await;
        let before = id(&app).await;
        let during = id(&other).await;
        store.swap("m", open(0), fenced(1)).await.unwrap();
        store.swap("m", fenced(1), given(1)).await.unwrap();
        let first = store.note_beginning("m", 2).await.unwrap();
        let second = store.note_beginning("m", 2).await.unwrap();
        assert!(second.position >= first.position);
        let standing = store.standing("m").await.unwrap().unwrap();
        assert_eq!(standing.beginning.as_ref(), Some(&second));
        store.swap("m", given(1), open(2)).await.unwrap();
        let after = id(&app).await;
        assert!(matches!(second.snapshot, Snapshot::Transactions { .. }));
        assert!(second.snapshot.sees(before));
        assert!(!second.snapshot.sees(during) && !second.snapshot.sees(after));
        other.batch("ending", "ROLLBACK").await.unwrap();
        db.drop().await;
    }
}

#[tokio::test]
async fn a_resting_lanes_log_is_given_up_forward_only() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(TABLES).await;
        let store = armed(&db, &["t"]).await;
        let lane = db.name.clone();
        let follow = Follow::begin(&store, &lane, &["t"]).await;
        let confirmed = async || {
            let sql = format!(
                "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = 'crossfade_{}'",
                db.name
            );
            crossfade_postgres::lsn::parse(&db.text(&sql).await.unwrap()).unwrap()
        };
        let mut latch = store.fire("m", &FIRE).await.unwrap();
        let early = latch.barrier().await.unwrap();
        latch.release().await.unwrap();
        let app = db.client().await;
        assert_eq!(code(&app, "UPDATE t SET v = 'a'").await, None);
        let mut latch = store.fire("m", &FIRE).await.unwrap();
        let late = latch.barrier().await.unwrap();
        latch.release().await.unwrap();
        // while it is read it moves by its reader
        let start = confirmed().await;
        store.skip_log(&lane, late).await.unwrap();
        assert_eq!(confirmed().await, start);
        let spec: CaptureSpec = follow.spec.clone();
        drop(follow);
        let begun = std::time::Instant::now();
        while confirmed().await < late {
            assert!(
                begun.elapsed() < crate::kit::PATIENCE,
                "{server}: not skipped"
            );
            store.skip_log(&lane, late).await.unwrap();
        }
        let skipped = confirmed().await;
        store.skip_log(&lane, early).await.unwrap();
        assert_eq!(confirmed().await, skipped, "it went back");
        // and the capture is still there
        drop(store.open_stream(&spec, skipped).await.unwrap());
        let missing = store.skip_log("nobody", late).await.unwrap_err();
        assert_eq!(missing.kind, ErrorKind::LogLost);
        let begun = std::time::Instant::now();
        while store.remove_capture(&lane).await.is_err() {
            assert!(begun.elapsed() < crate::kit::PATIENCE);
        }
        db.drop().await;
    }
}
