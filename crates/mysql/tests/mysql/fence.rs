//! The fence on real servers: what it stops, for whom, and that nobody gets through.

use std::time::{Duration, Instant};

use crossfade_model::{Mode, Position, Register, StreamEvent, Table};
use crossfade_mysql::{ENGINE, MysqlStore};
use crossfade_store::{CaptureSpec, ErrorKind, Fence, Fire, Source, Target};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::kit::{Database, described, mappings};
use crate::on_each_server;

pub const OPEN: Register = Register {
    mode: Mode::Open,
    epoch: 0,
};
const FENCED: Register = Register {
    mode: Mode::Fenced,
    epoch: 1,
};

pub const FIRE: Fire = Fire {
    within: Duration::from_secs(20),
    end_blockers: false,
    hold: Duration::from_secs(60),
};

async fn armed(database: &Database) -> (MysqlStore, Vec<Table>) {
    database
        .run(&[
            "CREATE TABLE t (id INT PRIMARY KEY, v INT)",
            "INSERT INTO t VALUES (1, 1), (2, 2)",
        ])
        .await;
    all_armed(database).await
}

/// The database's tables, as they are, armed under an open register.
pub async fn all_armed(database: &Database) -> (MysqlStore, Vec<Table>) {
    let store = MysqlStore::open(&database.url).unwrap();
    let tables = described(&store).await.tables;
    store.make_register("m", OPEN).await.unwrap();
    store
        .arm("m", &tables, Duration::from_secs(20))
        .await
        .unwrap();
    (store, tables)
}

async fn refused(conn: &mut Conn, sql: &str) -> u16 {
    match conn.query_drop(sql).await {
        Err(mysql_async::Error::Server(e)) => {
            assert!(e.message.contains("crossfade"), "{sql}: {}", e.message);
            e.code
        }
        other => panic!("{sql}: {other:?}"),
    }
}

#[tokio::test]
async fn a_closed_register_refuses_everybody_in_sessions_that_were_open_too() {
    let _turn = crate::fence_deadlocks::PREPARED.lock().await;
    on_each_server!(database, {
        let (store, tables) = armed(&database).await;
        let mut before = database.conn().await;
        // a snapshot from before the register was changed
        before.query_drop("BEGIN").await.unwrap();
        before.query_drop("SELECT * FROM t").await.unwrap();
        let mut latch = store.fire("m", &FIRE).await.unwrap();
        assert_eq!(latch.standing().register, OPEN);
        latch.commit(OPEN, FENCED).await.unwrap();
        let missing = latch.recheck().await.unwrap();
        assert_eq!(missing, [""; 0]);
        latch.release().await.unwrap();
        // 1020: the newest form of innodb's snapshots does not let an old one read what is new, nor write
        let sql = "UPDATE t SET v = 7 WHERE id = 1";
        if let Err(mysql_async::Error::Server(e)) = before.query_drop(sql).await {
            assert!([1792, 1020].contains(&e.code), "{e}");
        } else {
            panic!("an old snapshot wrote through the fence");
        }
        before.query_drop("ROLLBACK").await.unwrap();
        let mut conn = database.conn().await;
        for sql in [
            "INSERT INTO t VALUES (3, 3)",
            "UPDATE t SET v = 7",
            "DELETE FROM t",
            "REPLACE INTO t VALUES (1, 9)",
            "INSERT INTO t VALUES (1, 9) ON DUPLICATE KEY UPDATE v = 9",
            "INSERT IGNORE INTO t SELECT id + 10, v FROM t",
        ] {
            if sql.starts_with("INSERT IGNORE") {
                // a signal is no error that IGNORE takes
                let _refused = conn.query_drop(sql).await;
                continue;
            }
            assert_eq!(refused(&mut conn, sql).await, 1792, "{sql}");
        }
        assert_eq!(
            database
                .value("SELECT GROUP_CONCAT(id, ':', v ORDER BY id) FROM t")
                .await,
            "1:1,2:2"
        );
        // open again: writes pass
        store
            .swap("m", FENCED, Register::new(Mode::Open, 2))
            .await
            .unwrap();
        conn.query_drop("UPDATE t SET v = 8 WHERE id = 1")
            .await
            .unwrap();
        let wrong = store.swap("m", FENCED, OPEN).await.unwrap_err();
        assert_eq!(wrong.kind, ErrorKind::Conflict);
        // the fence comes off where nobody is in the way
        assert!(store.disarm("m", &tables).await.unwrap().is_empty());
        assert!(!store.remove_fence("m").await.unwrap().is_empty());
        assert!(store.fence_made("m").await.unwrap().is_empty());
        assert_eq!(store.standing("m").await.unwrap(), None);
    });
}

#[tokio::test]
async fn the_latch_waits_for_writers_and_writers_wait_for_the_latch() {
    on_each_server!(database, {
        let (store, _) = armed(&database).await;
        let mut writer = database.conn().await;
        writer.query_drop("BEGIN").await.unwrap();
        writer
            .query_drop("UPDATE t SET v = 5 WHERE id = 1")
            .await
            .unwrap();
        let short = Fire {
            within: Duration::from_secs(1),
            ..FIRE
        };
        let busy = store.fire("m", &short).await.err().unwrap();
        assert_eq!((busy.kind, busy.code), (ErrorKind::Busy, "mysql.latch"));
        let waiting = {
            let store = store.clone();
            tokio::spawn(async move { store.fire("m", &FIRE).await.unwrap() })
        };
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!waiting.is_finished());
        writer.query_drop("COMMIT").await.unwrap();
        let latch = waiting.await.unwrap();
        // now writers wait, and see no error once it is released
        let held = tokio::spawn(async move {
            writer
                .query_drop("UPDATE t SET v = 6 WHERE id = 1")
                .await
                .unwrap();
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!held.is_finished());
        latch.release().await.unwrap();
        held.await.unwrap();
        // blockers are ended where that is allowed
        let mut stuck = database.conn().await;
        stuck.query_drop("BEGIN").await.unwrap();
        stuck
            .query_drop("UPDATE t SET v = 7 WHERE id = 2")
            .await
            .unwrap();
        assert_eq!(store.blockers("m").await.unwrap().len(), 1);
        let ending = Fire {
            within: Duration::from_secs(4),
            end_blockers: true,
            ..FIRE
        };
        let latch = store.fire("m", &ending).await.unwrap();
        assert!(stuck.query_drop("COMMIT").await.is_err());
        // a holder that is gone is ended by anybody
        assert!(store.end_holder("m").await.unwrap().is_some());
        let mut conn = database.conn().await;
        conn.query_drop("UPDATE t SET v = 9 WHERE id = 2")
            .await
            .unwrap();
        drop(latch);
        assert_eq!(store.standing("m").await.unwrap().unwrap().register, OPEN);
    });
}

#[tokio::test]
async fn a_server_takes_the_latch_from_a_holder_that_is_silent() {
    on_each_server!(database, {
        let (store, _) = armed(&database).await;
        let silent = Fire {
            hold: Duration::from_secs(1),
            ..FIRE
        };
        let mut latch = store.fire("m", &silent).await.unwrap();
        let mut conn = database.conn().await;
        conn.query_drop("UPDATE t SET v = 9 WHERE id = 2")
            .await
            .unwrap();
        let lost = latch.commit(OPEN, FENCED).await.unwrap_err();
        assert_eq!(lost.kind, ErrorKind::Connection, "{lost}");
        assert_eq!(store.standing("m").await.unwrap().unwrap().register, OPEN);
    });
}

/// What was committed before lies before the barrier, and the stream comes to it.
#[tokio::test]
async fn the_barrier_lies_behind_every_write_and_the_stream_comes_to_it() {
    on_each_server!(database, {
        let (store, _) = armed(&database).await;
        let schema = described(&store).await;
        let spec = CaptureSpec {
            replanned: None,
            migration: "m".to_owned(),
            tables: mappings(&store as &dyn Target, ENGINE, &schema),
        };
        let start = store.create_capture(&spec).await.unwrap();
        let mut stream = store.open_stream(&spec, start.position).await.unwrap();
        let mut writers = Vec::new();
        for n in 0..3 {
            let url = database.url.clone();
            writers.push(tokio::spawn(async move {
                let mut conn = Conn::from_url(&url).await.unwrap();
                let mut acknowledged = 0;
                for i in 0..5000 {
                    let sql = format!("INSERT INTO t VALUES ({}, {i})", 100 + n * 10_000 + i);
                    match conn.query_drop(sql).await {
                        Ok(()) => acknowledged += 1,
                        Err(_) => break,
                    }
                }
                acknowledged
            }));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut latch = store.fire("m", &FIRE).await.unwrap();
        let barrier: Position = latch.barrier().await.unwrap();
        let mut inserted = 0;
        let begun = Instant::now();
        let mut reached = false;
        while !reached {
            for event in stream.next().await.unwrap() {
                match event {
                    StreamEvent::Change(_) => inserted += 1,
                    StreamEvent::Commit { end } | StreamEvent::Progress(end) => {
                        reached |= end >= barrier;
                    }
                    _ => {}
                }
            }
            assert!(begun.elapsed() < Duration::from_secs(60));
        }
        latch.commit(OPEN, FENCED).await.unwrap();
        latch.release().await.unwrap();
        let mut acknowledged = 0;
        for writer in writers {
            acknowledged += writer.await.unwrap();
        }
        assert_eq!(inserted, acknowledged);
        let rows = database.value("SELECT COUNT(*) FROM t").await;
        assert_eq!(rows, (acknowledged + 2).to_string());
    });
}

/// A process that nobody hears of any more may hold a transaction open in a store that is to open: it has lost the right to write there.
#[tokio::test]
async fn a_store_opens_although_a_silent_process_was_about_to_apply_to_it() {
    on_each_server!(database, {
        let (store, _) = armed(&database).await;
        store.swap("m", OPEN, FENCED).await.unwrap();
        let tenure = store.acquire("m").await.unwrap();
        let mut silent = tenure.open_applier().await.unwrap();
        silent.begin().await.unwrap();
        let opened = Register {
            mode: Mode::Open,
            epoch: 1,
        };
        store.swap("m", FENCED, opened).await.unwrap();
        assert_eq!(store.standing("m").await.unwrap().unwrap().register, opened);
        assert!(silent.commit(None, Position(7)).await.is_err());
        drop(silent);
    });
}
