//! Making, finding and removing the capture.

use std::time::{Duration, Instant};

use crossfade_postgres::capture;
use crossfade_store::{CaptureSpec, ErrorKind, WatchOutcome};

use crate::kit::{Db, Follow, mappings};
use crate::support::SERVERS;

async fn spec(db: &Db, migration: &str, tables: &[&str]) -> CaptureSpec {
    CaptureSpec {
        replanned: None,
        migration: migration.to_owned(),
        tables: mappings(&db.store(), tables).await,
    }
}

#[tokio::test]
async fn what_was_made_is_listed_and_removed() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run("CREATE TABLE t (id int PRIMARY KEY)").await;
        let store = db.store();
        let spec = spec(&db, "made", &["t"]).await;
        let start = capture::create_capture(&store, &spec).await.unwrap();
        let kinds: Vec<&str> = start.made.iter().map(|m| m.kind.as_str()).collect();
        assert_eq!(kinds, ["replication slot", "publication"]);
        assert!(start.made.iter().all(|m| m.name == "crossfade_made"));
        // once more replaces the slot: its snapshot is gone
        let again = capture::create_capture(&store, &spec).await.unwrap();
        assert!(again.position >= start.position);
        assert!(again.base.covers(&start.base));
        let removed = capture::remove_capture(&store, "made").await.unwrap();
        assert_eq!(removed.len(), 2);
        assert!(capture::made(&store, "made").await.unwrap().is_empty());
        assert!(
            capture::remove_capture(&store, "made")
                .await
                .unwrap()
                .is_empty()
        );
        db.drop().await;
    }
}

#[tokio::test]
async fn an_administrators_publication_is_used_where_it_is_exactly_right() {
    for server in SERVERS {
        let mut db = Db::create(server).await;
        let role = format!("{}_mover", db.name);
        db.own(&role);
        db.run(&format!(
            "CREATE ROLE {role} LOGIN REPLICATION PASSWORD 'secret';
             CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY);
             GRANT SELECT ON t, u TO {role}"
        ))
        .await;
        let store = db.store_of(&role, "secret");
        let spec = spec(&db, "admin", &["t"]).await;
        // without it, the role may make none, and is told the statement
        let refused = capture::create_capture(&store, &spec).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Permission);
        let statement = capture::create_publication_statement(&spec);
        assert!(refused.fix.unwrap().contains(&statement));
        db.run("CREATE PUBLICATION crossfade_admin FOR TABLE t, u")
            .await;
        let refused = capture::create_capture(&store, &spec).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Permission);
        db.run(&format!("DROP PUBLICATION crossfade_admin; {statement}"))
            .await;
        capture::create_capture(&store, &spec).await.unwrap();
        // its slot is the role's to drop, the publication is not
        let refused = capture::remove_capture(&store, "admin").await.unwrap_err();
        assert!(refused.fix.unwrap().contains("DROP PUBLICATION"));
        let left = capture::made(&db.store(), "admin").await.unwrap();
        assert_eq!(left.len(), 1);
        db.drop().await;
    }
}

/// Where transactions overlap and are rolled back, the slot's snapshot has its `xmax` below its `xmin`.
#[tokio::test]
async fn a_slot_is_made_while_transactions_roll_back() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
            .await;
        let mut losers = Vec::new();
        for at in 0..3 {
            let client = db.client().await;
            losers.push(tokio::spawn(async move {
                loop {
                    let sql = format!(
                        "BEGIN; SELECT pg_current_xact_id(); SELECT pg_sleep(0.05 + {at} * 0.03); ROLLBACK"
                    );
                    client.batch("losing", &sql).await.unwrap();
                }
            }));
        }
        let spec = spec(&db, "losers", &["t"]).await;
        let start = capture::create_capture(&db.store(), &spec).await.unwrap();
        assert!(start.base.covers(&start.base));
        for loser in losers {
            loser.abort();
        }
        db.drop().await;
    }
}

#[tokio::test]
async fn a_slot_waits_for_running_transactions_beyond_the_lock_timeout() {
    let db = Db::create(SERVERS[0]).await;
    db.run("CREATE TABLE t (id int PRIMARY KEY)").await;
    let writer = db.client().await;
    writer
        .batch("writing", "BEGIN; INSERT INTO t VALUES (1)")
        .await
        .unwrap();
    let begun = Instant::now();
    let making = {
        let store = db.store();
        let spec = spec(&db, "waits", &["t"]).await;
        tokio::spawn(async move { capture::create_capture(&store, &spec).await })
    };
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert!(!making.is_finished());
    writer.batch("writing", "COMMIT").await.unwrap();
    let start = making.await.unwrap().unwrap();
    assert!(begun.elapsed() > Duration::from_secs(7));
    // the transaction is in the base: the stream does not bring it
    let mut follow = Follow {
        at: start.position,
        stream: crossfade_postgres::replication::stream::open_stream(
            &db.store(),
            &spec(&db, "waits", &["t"]).await,
            start.position,
        )
        .await
        .unwrap(),
        spec: spec(&db, "waits", &["t"]).await,
        store: db.store(),
        start,
    };
    db.run("INSERT INTO t VALUES (2)").await;
    let changes = follow.changes().await;
    assert_eq!(changes.len(), 1);
    assert!(format!("{changes:?}").contains("b\"2\""));
    follow.end().await;
    db.drop().await;
}

#[tokio::test]
async fn the_watch_sees_what_the_stream_cannot() {
    for server in SERVERS {
        for (ddl, words) in [
            (
                "ALTER PUBLICATION crossfade_watch DROP TABLE t",
                "does not have public.t",
            ),
            (
                "ALTER PUBLICATION crossfade_watch ADD TABLE u",
                "public.u, which is not planned",
            ),
            (
                "ALTER PUBLICATION crossfade_watch SET (publish = 'insert')",
                "leaves out",
            ),
            (
                "ALTER PUBLICATION crossfade_watch SET (publish_via_partition_root = true)",
                "publish_via_partition_root",
            ),
            ("DROP PUBLICATION crossfade_watch", "does not exist"),
            (
                "SELECT pg_drop_replication_slot('crossfade_watch')",
                "it is gone",
            ),
            (
                "ALTER TABLE p DETACH PARTITION p1",
                "partition public.p1 was detached",
            ),
            (
                "CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)",
                "partition public.p2 was added",
            ),
            ("DROP TABLE t", "dropped"),
        ] {
            let db = Db::create(server).await;
            db.run(
                "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY);
                 CREATE TABLE p (id int PRIMARY KEY) PARTITION BY LIST (id);
                 CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
            )
            .await;
            let store = db.store();
            let spec = spec(&db, "watch", &["t", "p"]).await;
            capture::create_capture(&store, &spec).await.unwrap();
            assert_eq!(
                capture::watch(&store, &spec).await.unwrap(),
                WatchOutcome::Same
            );
            db.run(ddl).await;
            let WatchOutcome::Changed(found) = capture::watch(&store, &spec).await.unwrap() else {
                panic!("not seen: {ddl}");
            };
            assert!(
                found.iter().any(|(_, what)| what.contains(words)),
                "{ddl}: {found:?}"
            );
            capture::remove_capture(&store, "watch").await.unwrap();
            db.drop().await;
        }
    }
}

#[tokio::test]
async fn the_probe_is_one_look_at_what_is_visible_and_where_the_log_ends() {
    let db = Db::create(SERVERS[0]).await;
    db.run("CREATE TABLE t (id int PRIMARY KEY)").await;
    let store = db.store();
    let first = capture::probe(&store, "none").await.unwrap();
    db.run("INSERT INTO t VALUES (1)").await;
    let second = capture::probe(&store, "none").await.unwrap();
    assert!(second.log_end > first.log_end);
    assert!(second.snapshot.covers(&first.snapshot));
    assert_eq!(second.log_kept_bytes, 0);
    db.drop().await;
}
