//! The change stream on real servers: what it brings is what snapshots read, and what stops it.

use std::time::{Duration, Instant};

use crossfade_model::{
    Cell, Change, Position, Row, Snapshot, StreamEvent, TableId, TableMapping, TransactionId,
    canonical,
};
use crossfade_mysql::{ENGINE, MysqlStore};
use crossfade_store::{CaptureSpec, ChangeStream, ChunkRange, ErrorKind, ReadForm, Source};
use mysql_async::prelude::Queryable;

use crate::kit::{Database, all, described, mappings};
use crate::{on_each_server, values};

const PATIENCE: Duration = Duration::from_secs(60);

/// What a migration of the whole database captures.
async fn spec(store: &MysqlStore) -> CaptureSpec {
    let schema = described(store).await;
    CaptureSpec {
        replanned: None,
        migration: "m".to_owned(),
        tables: mappings(store, ENGINE, &schema),
    }
}

/// The log's end.
async fn end(store: &MysqlStore) -> Position {
    store.probe("m").await.unwrap().log_end
}

/// Everything up to a position.
async fn up_to(stream: &mut dyn ChangeStream, end: Position) -> Vec<StreamEvent> {
    let begun = Instant::now();
    let mut out = Vec::new();
    loop {
        let events = stream.next().await.unwrap();
        let reached = events.iter().any(|event| match event {
            StreamEvent::Commit { end: at } | StreamEvent::Progress(at) => *at >= end,
            StreamEvent::SchemaChanged { .. } => true,
            _ => false,
        });
        out.extend(events);
        if reached {
            return out;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "the stream does not reach {end:?}"
        );
    }
}

fn changes(events: &[StreamEvent]) -> Vec<&Change> {
    events
        .iter()
        .filter_map(|event| match event {
            StreamEvent::Change(change) => Some(change),
            _ => None,
        })
        .collect()
}

/// A row's values in the forms in which both sides are compared.
fn forms(mapping: &TableMapping, row: &Row) -> Vec<Vec<u8>> {
    let columns = mapping.columns.iter().zip(&row.0);
    columns
        .map(|(column, cell)| {
            let mut out = Vec::new();
            if !matches!(cell, Cell::Null) {
                canonical::write(column.canonical, cell, &mut out)
                    .unwrap_or_else(|e| panic!("{:?} {cell:?}: {e}", mapping.source));
            }
            out
        })
        .collect()
}

#[tokio::test]
async fn every_types_values_come_from_the_log_as_from_a_snapshot() {
    on_each_server!(database, {
        values::fill(&database, 1).await;
        // character sets of one byte, of two, of four
        database
            .run(&[
                "CREATE TABLE sets (id INT PRIMARY KEY, a VARCHAR(20) CHARACTER SET latin2, b VARCHAR(20) CHARACTER SET utf32,
                 c CHAR(5) CHARACTER SET ucs2, d TEXT CHARACTER SET cp1251, e ENUM('ä', 'б') CHARACTER SET utf16,
                 f SET('é', 'ü') CHARACTER SET latin1)",
                "INSERT INTO sets VALUES (1, 'łódź', 'x😀', 'é', 'жук', 'б', 'é,ü'), (2, NULL, '', '', '', 'ä', '')",
            ])
            .await;
        let store = database.store();
        let spec = spec(&store).await;
        let start = store.create_capture(&spec).await.unwrap();
        let mut stream = store.open_stream(&spec, start.position).await.unwrap();
        let mut conn = database.conn().await;
        conn.query_drop("SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION'")
            .await
            .unwrap();
        for mapping in &spec.tables {
            let table = &mapping.source.name.name;
            let sql = format!("UPDATE {table} SET id = id + 5000 ORDER BY id DESC");
            conn.query_drop(sql).await.unwrap();
        }
        let events = up_to(&mut *stream, end(&store).await).await;
        for mapping in &spec.tables {
            let mut logged = Vec::new();
            for change in changes(&events) {
                let Change::Update { table, before, row } = change else {
                    panic!("{change:?}")
                };
                if *table == mapping.id {
                    // all but the key is as it was
                    let old = forms(mapping, before.as_ref().unwrap());
                    let new = forms(mapping, row);
                    assert_eq!(old[1..], new[1..]);
                    assert_ne!(old[0], new[0]);
                    logged.push(new);
                }
            }
            let mut snapshot = store.open_snapshot(&[&mapping.source]).await.unwrap();
            let rows = snapshot
                .read(mapping, &ChunkRange::All, ReadForm::Rows)
                .await
                .unwrap();
            let mut read: Vec<_> = all(rows).await.iter().map(|r| forms(mapping, r)).collect();
            snapshot.close().await.unwrap();
            logged.sort();
            read.sort();
            assert_eq!(logged, read, "{:?}", mapping.source.columns);
            assert!(!read.is_empty());
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_and_the_log_agree_on_what_was_seen() {
    on_each_server!(database, {
        database
            .run(&[
                "CREATE TABLE t (id INT PRIMARY KEY, n INT)",
                "INSERT INTO t VALUES (0, 0)",
            ])
            .await;
        let store = database.store();
        let spec = spec(&store).await;
        let start = store.create_capture(&spec).await.unwrap();
        let mut stream = store.open_stream(&spec, start.position).await.unwrap();
        let url = database.url.clone();
        let writer = tokio::spawn(async move {
            let mut conn = mysql_async::Conn::from_url(&url).await.unwrap();
            for n in 1..1500 {
                conn.query_drop(format!("INSERT INTO t VALUES ({n}, {n})"))
                    .await
                    .unwrap();
            }
            conn.disconnect().await.unwrap();
        });
        // others ask for the server's status meanwhile, as monitors do, and other loaders
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let others: Vec<_> = (0..3)
            .map(|_| {
                let (url, stop) = (database.url.clone(), std::sync::Arc::clone(&stop));
                tokio::spawn(async move {
                    let mut conn = mysql_async::Conn::from_url(&url).await.unwrap();
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        conn.query_drop("SHOW STATUS LIKE 'binlog_snapshot_%'")
                            .await
                            .unwrap();
                    }
                    conn.disconnect().await.unwrap();
                })
            })
            .collect();
        // what each of some snapshots says that it sees, and the rows in it
        let mapping = &spec.tables[0];
        let mut seen = Vec::new();
        for _ in 0..100 {
            let mut snapshot = store.open_snapshot(&[&mapping.source]).await.unwrap();
            let (view, horizon) = (snapshot.snapshot().clone(), snapshot.horizon());
            let rows = snapshot
                .read(mapping, &ChunkRange::All, ReadForm::Rows)
                .await
                .unwrap();
            seen.push((view, horizon, all(rows).await.len()));
            snapshot.close().await.unwrap();
        }
        writer.await.unwrap();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for other in others {
            other.await.unwrap();
        }
        let events = up_to(&mut *stream, end(&store).await).await;
        for (view, horizon, rows) in seen {
            let Snapshot::Sequence(_) = view else {
                panic!("{view:?}")
            };
            let (mut certain, mut possible) = (1, 1);
            let mut id = TransactionId(0);
            for event in &events {
                match event {
                    StreamEvent::Begin(transaction) => id = transaction.id,
                    StreamEvent::Commit { end } => {
                        certain += usize::from(view.sees(id));
                        possible += usize::from(*end <= horizon);
                        assert!(view.sees(id) == view.sees(TransactionId(end.0)));
                    }
                    _ => {}
                }
            }
            assert!(
                (certain..=possible).contains(&rows),
                "{}: {rows} rows, of which {certain} are certain and {possible} possible",
                database.server
            );
        }
    });
}

/// Its commits are in the log, and no reader sees them, for as long as a replica that does not exist does not answer.
#[tokio::test]
async fn a_commit_that_waits_for_a_replica_is_in_the_log_and_in_no_snapshot() {
    let server = "CROSSFADE_TEST_MYSQL97";
    let database = Database::create(server).await;
    database
        .run(&[
            "CREATE TABLE t (id INT PRIMARY KEY)",
            "INSERT INTO t VALUES (1)",
        ])
        .await;
    let mut admin = database.conn().await;
    // another test's run may have left it
    let _present = admin
        .query_drop("INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'")
        .await;
    let store = database.store();
    let spec = spec(&store).await;
    let start = store.create_capture(&spec).await.unwrap();
    let mut stream = store.open_stream(&spec, start.position).await.unwrap();
    admin
        .query_drop(
            "SET GLOBAL rpl_semi_sync_source_wait_point = 'AFTER_SYNC', GLOBAL rpl_semi_sync_source_wait_no_replica = ON,
             GLOBAL rpl_semi_sync_source_timeout = 600000, GLOBAL rpl_semi_sync_source_enabled = ON",
        )
        .await
        .unwrap();
    let mut conn = database.conn().await;
    let waiting = tokio::spawn(async move {
        conn.query_drop("INSERT INTO t VALUES (2)").await.unwrap();
        conn.disconnect().await.unwrap();
    });
    // the stream brings it while it waits
    let begun = Instant::now();
    let id = loop {
        let events = stream.next().await.unwrap();
        if let [Change::Insert { .. }] = changes(&events)[..] {
            let id = events.iter().find_map(|event| match event {
                StreamEvent::Begin(transaction) => Some(transaction.id),
                _ => None,
            });
            break id.unwrap();
        }
        assert!(begun.elapsed() < PATIENCE);
    };
    assert!(!waiting.is_finished());
    let rows: Option<u64> = admin.query_first("SELECT COUNT(*) FROM t").await.unwrap();
    assert_eq!(rows, Some(1));
    let unseen = store.maybe_unseen().await.unwrap();
    assert!(unseen.iter().any(|u| *u >= id), "{unseen:?} {id:?}");
    // a snapshot is not opened before it can be seen
    let (opening, mapping) = (database.store(), spec.tables[0].clone());
    let opened = tokio::spawn(async move {
        let mut snapshot = opening.open_snapshot(&[&mapping.source]).await.unwrap();
        let view = snapshot.snapshot().clone();
        let rows = snapshot
            .read(&mapping, &ChunkRange::All, ReadForm::Rows)
            .await
            .unwrap();
        (view, all(rows).await.len())
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!opened.is_finished());
    admin
        .query_drop("SET GLOBAL rpl_semi_sync_source_enabled = OFF")
        .await
        .unwrap();
    let (view, rows) = opened.await.unwrap();
    assert_eq!(view.sees(id), rows == 2);
    assert!(view.sees(id));
    waiting.await.unwrap();
    assert!(store.maybe_unseen().await.unwrap().is_empty());
    admin.disconnect().await.unwrap();
    database.drop().await;
}

/// Some megabytes, so that the transaction comes in pieces.
const MUCH: &str = "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 900)
     SELECT n, REPEAT('x', 10000) FROM s";

#[tokio::test]
async fn a_part_of_a_big_transaction_that_was_taken_back_is_left_out() {
    on_each_server!(database, {
        database
            .run(&[
                "CREATE TABLE t (id INT PRIMARY KEY, v TEXT)",
                "CREATE TABLE plain (n INT) ENGINE = MyISAM",
            ])
            .await;
        let store = database.store();
        let mut spec = spec(&store).await;
        spec.tables.retain(|m| m.source.name.name == "t");
        let start = store.create_capture(&spec).await.unwrap();
        let mut conn = database.conn().await;
        if database.is_mysql() {
            // statements on tables of both kinds in one transaction
            conn.query_drop("SET SESSION binlog_direct_non_transactional_updates = OFF")
                .await
                .unwrap();
        }
        for sql in [
            "BEGIN",
            "INSERT INTO t VALUES (0, 'first')",
            "SAVEPOINT s",
            &format!("INSERT INTO t {MUCH}"),
            // this cannot be rolled back: the server must keep what it has written around it
            "INSERT INTO plain SELECT COUNT(*) FROM t",
            "ROLLBACK TO SAVEPOINT s",
            "INSERT INTO t VALUES (5000, 'last')",
            "COMMIT",
            "INSERT INTO t VALUES (6000, 'next')",
        ] {
            // MySQL refuses the mixture where transactions have names that must be consistent
            if let Err(e) = conn.query_drop(sql).await {
                assert!(database.is_mysql() && sql.contains("plain"), "{sql}: {e}");
            }
        }
        let end = end(&store).await;
        let mut keys = Vec::new();
        let mut tries = 0;
        let mut stream = store.open_stream(&spec, start.position).await.unwrap();
        let begun = Instant::now();
        loop {
            match stream.next().await {
                Ok(events) => {
                    keys.extend(changes(&events).into_iter().map(|change| match change {
                        Change::Insert { row, .. } => format!("{:?}", row.0[0]),
                        other => panic!("{other:?}"),
                    }));
                    let reached = events.iter().any(
                        |e| matches!(e, StreamEvent::Commit { end: at } | StreamEvent::Progress(at) if *at >= end),
                    );
                    if reached {
                        break;
                    }
                }
                Err(e) => {
                    assert_eq!((e.code, e.kind), ("mysql.taken_back", ErrorKind::Conflict));
                    keys.clear();
                    tries += 1;
                    stream = store.open_stream(&spec, start.position).await.unwrap();
                }
            }
            assert!(begun.elapsed() < PATIENCE);
        }
        assert!(tries <= 1);
        assert_eq!(keys.len(), 3, "{tries} {keys:?}");
    });
}

#[tokio::test]
async fn definitions_stop_the_stream_or_are_told() {
    on_each_server!(database, {
        database
            .run(&[
                "CREATE TABLE t (id INT PRIMARY KEY, v INT)",
                "CREATE TABLE u (id INT PRIMARY KEY)",
            ])
            .await;
        let store = database.store();
        let spec = spec(&store).await;
        let table = |name: &str| -> TableId {
            let found = spec.tables.iter().find(|m| m.source.name.name == name);
            found.unwrap().id
        };
        let start = store.create_capture(&spec).await.unwrap();
        let mut stream = store.open_stream(&spec, start.position).await.unwrap();
        database
            .run(&[
                "INSERT INTO t VALUES (1, 1)",
                "CREATE INDEX by_v ON t (v)",
                "ALTER TABLE u ADD UNIQUE (id), ALGORITHM = INPLACE",
                "CREATE TABLE other AS SELECT * FROM t",
                "TRUNCATE TABLE t",
                "INSERT INTO t VALUES (2, 2)",
                "ALTER TABLE t ADD COLUMN w INT DEFAULT 7",
                "INSERT INTO t VALUES (3, 3, 3)",
            ])
            .await;
        let events = up_to(&mut *stream, end(&store).await).await;
        let told = changes(&events);
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(matches!(told[1], Change::Truncate { tables } if *tables == [table("t")]));
        let Some(StreamEvent::SchemaChanged { table: altered, .. }) = events.last() else {
            panic!("{:?}", events.last())
        };
        assert_eq!(*altered, table("t"));
        assert_eq!(stream.next().await.unwrap(), []);
        // a definition that the log does not have is seen by the rows behind it
        let start = store.create_capture(&spec).await.unwrap();
        let mut stream = store.open_stream(&spec, start.position).await.unwrap();
        let mut conn = database.conn().await;
        for sql in [
            "SET SESSION sql_log_bin = OFF",
            "ALTER TABLE u MODIFY id BIGINT NOT NULL",
            "SET SESSION sql_log_bin = ON",
            "INSERT INTO u VALUES (1)",
        ] {
            conn.query_drop(sql).await.unwrap();
        }
        conn.disconnect().await.unwrap();
        let events = up_to(&mut *stream, end(&store).await).await;
        let Some(StreamEvent::SchemaChanged {
            table: altered,
            what,
            ..
        }) = events.last()
        else {
            panic!("{:?}", events.last())
        };
        assert_eq!(*altered, table("u"));
        assert!(what.contains("column id"), "{what}");
    });
}
