//! No write passes a fence, whoever writes and however; nor does a snapshot that is older.

use std::time::Duration;

use bytes::Bytes;
use crossfade_postgres::PostgresStore;
use crossfade_store::Fence;
use futures_util::SinkExt as _;

use super::{FIRE, TABLES, armed, code, fenced, given, open};
use crate::kit::{Db, contents};
use crate::support::SERVERS;

/// Closed for good.
async fn closed(store: &PostgresStore) {
    store.swap("m", open(0), fenced(1)).await.unwrap();
    store.swap("m", fenced(1), given(1)).await.unwrap();
}

#[tokio::test]
async fn sessions_and_snapshots_from_before_the_fence_are_refused() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(TABLES).await;
        // before the triggers are there at all
        let prepared = db.client().await;
        let update = prepared.raw().prepare("UPDATE t SET v = v WHERE id = $1");
        let update = update.await.unwrap();
        for id in 1..8 {
            prepared.raw().execute(&update, &[&id]).await.unwrap();
        }
        let old = db.client().await;
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM t; SELECT FROM u";
        old.batch("reading", begin).await.unwrap();
        let replica = db.client().await;
        let sql = "SET session_replication_role = replica; SELECT FROM t";
        replica.batch("reading", sql).await.unwrap();
        let store = armed(&db, &["t", "u"]).await;
        prepared.raw().execute(&update, &[&1]).await.unwrap();
        let before = contents(&db, "t").await;
        closed(&store).await;
        let refused = prepared.raw().execute(&update, &[&1]).await.unwrap_err();
        assert_eq!(refused.code().unwrap().code(), "25006", "{server}");
        assert_eq!(
            code(&old, "UPDATE t SET v = 'late'").await.as_deref(),
            Some("25006")
        );
        for sql in [
            "UPDATE t SET v = 'late'",
            "INSERT INTO t VALUES (99)",
            "DELETE FROM t",
            "TRUNCATE t",
            "MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN UPDATE SET v = 'late'",
            "INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET v = 'late'",
            "WITH w AS (DELETE FROM t RETURNING 1) SELECT * FROM w",
        ] {
            assert_eq!(code(&replica, sql).await.as_deref(), Some("25006"), "{sql}");
        }
        assert_eq!(contents(&db, "t").await, before);
        db.drop().await;
    }
}

#[tokio::test]
async fn a_copy_in_flight_is_waited_for() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(TABLES).await;
        let store = armed(&db, &["t"]).await;
        let app = db.client().await;
        let sink = app.raw().copy_in::<_, Bytes>("COPY t FROM STDIN").await;
        let mut sink = Box::pin(sink.unwrap());
        sink.send(Bytes::from_static(b"100\tcopied\n"))
            .await
            .unwrap();
        let mut firing = {
            let store = store.clone();
            tokio::spawn(async move { store.fire("m", &FIRE).await })
        };
        let early = tokio::time::timeout(Duration::from_millis(300), &mut firing).await;
        assert!(early.is_err(), "{server}: fired beside a COPY");
        sink.send(Bytes::from_static(b"101\tcopied\n"))
            .await
            .unwrap();
        sink.close().await.unwrap();
        let mut latch = firing.await.unwrap().unwrap();
        let rows = db.text("SELECT count(*)::text FROM t WHERE id > 99").await;
        assert_eq!(rows.as_deref(), Some("2"));
        latch.commit(open(0), fenced(1)).await.unwrap();
        latch.release().await.unwrap();
        let sink = app.raw().copy_in::<_, Bytes>("COPY t FROM STDIN").await;
        let mut sink = Box::pin(sink.unwrap());
        let _refused_here_or_at_the_end = sink.send(Bytes::from_static(b"102\tlate\n")).await;
        let refused = sink.close().await.unwrap_err();
        assert_eq!(refused.code().unwrap().code(), "40001");
        db.drop().await;
    }
}

const CLOSURE: &str = "CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
     CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
     CREATE TABLE p11 PARTITION OF p1 FOR VALUES FROM (0) TO (50);
     CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200);
     CREATE TABLE parent (id int PRIMARY KEY, v text);
     CREATE TABLE child (more int) INHERITS (parent);
     CREATE TABLE one (id int PRIMARY KEY, v text);
     CREATE TABLE many (id int PRIMARY KEY, of int REFERENCES one ON DELETE CASCADE);
     CREATE VIEW seen AS SELECT * FROM one;
     CREATE FUNCTION write() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'UPDATE public.one SET v = ''late''';
     CREATE TABLE elsewhere (id int PRIMARY KEY);
     INSERT INTO one VALUES (1); INSERT INTO many VALUES (1, 1); INSERT INTO p VALUES (1), (150);
     INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2);";

#[tokio::test]
async fn every_way_to_the_rows_is_closed() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(CLOSURE).await;
        // of the family a child is migrated alone, and of the two tables that refer to each other the referring one
        let store = armed(&db, &["p", "many", "one"]).await;
        let child = super::tables(&store, &["parent"]).await;
        store.arm("m", &child, super::LONG).await.unwrap();
        closed(&store).await;
        let app = db.client().await;
        for sql in [
            "INSERT INTO p VALUES (2)",
            "INSERT INTO p1 VALUES (2)",
            "INSERT INTO p11 VALUES (2)",
            "UPDATE p2 SET v = 'late'",
            "TRUNCATE p2",
            "UPDATE parent SET v = 'late'",
            "UPDATE child SET v = 'late'",
            "UPDATE seen SET v = 'late'",
            "SELECT write()",
            "DELETE FROM one",
        ] {
            assert_eq!(
                code(&app, sql).await.as_deref(),
                Some("25006"),
                "{server}: {sql}"
            );
        }
        assert_eq!(code(&app, "INSERT INTO elsewhere VALUES (1)").await, None);
        db.drop().await;
    }
}

#[tokio::test]
async fn a_leaf_alone_is_fenced_through_its_root_and_a_cascade_into_it() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(CLOSURE).await;
        let store = armed(&db, &["many"]).await;
        let mut leaf = super::tables(&store, &["many"]).await;
        leaf[0].name.name = "p11".into();
        store.arm("m", &leaf, super::LONG).await.unwrap();
        closed(&store).await;
        let app = db.client().await;
        for sql in [
            "INSERT INTO p VALUES (2)",
            "INSERT INTO p11 VALUES (2)",
            "DELETE FROM one",
        ] {
            assert_eq!(
                code(&app, sql).await.as_deref(),
                Some("25006"),
                "{server}: {sql}"
            );
        }
        db.drop().await;
    }
}

#[tokio::test]
async fn a_writer_needs_no_privilege_on_what_the_fence_reads() {
    let mut db = Db::create(SERVERS[0]).await;
    db.run(TABLES).await;
    let role = format!("{}_app", db.name);
    db.run(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT ALL ON t TO {role}; GRANT USAGE ON SCHEMA public TO {role}"
    ))
    .await;
    db.own(&role);
    let store = armed(&db, &["t"]).await;
    let app = db.store_of(&role, "x");
    let app = app
        .connect(crossfade_postgres::Purpose::Read)
        .await
        .unwrap();
    assert_eq!(code(&app, "UPDATE public.t SET v = 'app'").await, None);
    closed(&store).await;
    assert_eq!(
        code(&app, "UPDATE public.t SET v = 'app'").await.as_deref(),
        Some("25006")
    );
    db.drop().await;
}
