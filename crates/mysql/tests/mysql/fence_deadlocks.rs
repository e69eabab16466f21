//! Firing among writers who lock in opposite orders, and what is looked for under the latch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossfade_mysql::MysqlStore;
use crossfade_store::Fence;
use mysql_async::prelude::Queryable;

use crate::fence::{FIRE, OPEN, all_armed};
use crate::kit::{Database, described};
use crate::on_each_server;

/// Prepared transactions are the server's, not a database's: whoever looks for them and whoever makes one take turns.
pub static PREPARED: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

const WRITERS: u64 = 6;
const ROUNDS: usize = 15;

/// By themselves the writers never deadlock: everybody takes rows in the order u11, t1, u10. But half of them begin at one table and half
/// at the other, and some hold a row (FOR UPDATE takes no latch) that the latch's holder wants, while they wait for the latch.
fn transaction(writer: u64) -> [&'static str; 5] {
    let update = |first, second| ["BEGIN", first, "DO SLEEP(0.002)", second, "COMMIT"];
    match writer % 3 {
        0 => update(
            "SELECT * FROM t WHERE id = 1 FOR UPDATE",
            "UPDATE u SET v = v + 1 WHERE id = 10",
        ),
        1 => update(
            "UPDATE u SET v = v + 1 WHERE id = 11",
            "UPDATE t SET v = v + 1 WHERE id = 1",
        ),
        _ => update(
            "UPDATE t SET v = v + 1 WHERE id = 1",
            "UPDATE u SET v = v + 1 WHERE id = 10",
        ),
    }
}

async fn contents(database: &Database) -> Vec<(i64, i64)> {
    let sql = "SELECT id, v FROM t UNION ALL SELECT id, v FROM u ORDER BY id";
    database.conn().await.query(sql).await.unwrap()
}

#[tokio::test]
async fn opposite_lock_orders_see_neither_error_nor_deadlock() {
    let _turn = PREPARED.lock().await;
    on_each_server!(database, {
        database
            .run(&[
                "CREATE TABLE t (id INT PRIMARY KEY, v BIGINT NOT NULL)",
                "CREATE TABLE u (id INT PRIMARY KEY, v BIGINT NOT NULL)",
                "INSERT INTO t VALUES (1, 0)",
                "INSERT INTO u VALUES (10, 0), (11, 0)",
            ])
            .await;
        let (store, _) = all_armed(&database).await;
        let stop = Arc::new(AtomicBool::new(false));
        let done = Arc::new(AtomicU64::new(0));
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let mut conn = database.conn().await;
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            writers.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    for sql in transaction(writer) {
                        if let Err(error) = conn.query_drop(sql).await {
                            return Some(format!("{sql}: {error}"));
                        }
                    }
                    let count = done.fetch_add(1, Ordering::Relaxed);
                    let think = 2 + (writer * 7 + count * 3) % 11;
                    tokio::time::sleep(Duration::from_millis(think)).await;
                }
                None
            }));
        }
        for _ in 0..ROUNDS {
            let mut latch = store.fire("m", &FIRE).await.unwrap();
            assert_eq!(latch.recheck().await.unwrap(), Vec::<String>::new());
            let before = contents(&database).await;
            tokio::time::sleep(Duration::from_millis(30)).await;
            assert_eq!(
                contents(&database).await,
                before,
                "a write passed the fence"
            );
            latch.release().await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            assert_eq!(writer.await.unwrap(), None);
        }
        assert!(done.load(Ordering::Relaxed) > 0);
    });
}

/// Prepared transactions and foreign keys' actions pass triggers: they are told before, and looked for again under the latch.
#[tokio::test]
async fn what_passes_triggers_is_told_and_looked_for_under_the_latch() {
    let _turn = PREPARED.lock().await;
    on_each_server!(database, {
        database
            .run(&[
                "CREATE TABLE p (id INT PRIMARY KEY)",
                "CREATE TABLE t (id INT PRIMARY KEY, p INT)",
                "INSERT INTO p VALUES (1)",
                "INSERT INTO t VALUES (1, 1)",
            ])
            .await;
        let store = MysqlStore::open(&database.url).unwrap();
        let mut tables = described(&store).await.tables;
        tables.retain(|table| table.name.name == "t");
        store.make_register("m", OPEN).await.unwrap();
        store
            .arm("m", &tables, Duration::from_secs(20))
            .await
            .unwrap();
        let codes = || async {
            let found = store.fence_findings("m", &tables).await.unwrap();
            found.into_iter().map(|f| f.code).collect::<Vec<_>>()
        };
        assert!(!codes().await.contains(&"mysql.fence_cascade".to_owned()));
        database
            .run(&["ALTER TABLE t ADD CONSTRAINT chain FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE"])
            .await;
        assert!(codes().await.contains(&"mysql.fence_cascade".to_owned()));
        let mut latch = store.fire("m", &FIRE).await.unwrap();
        let told = latch.recheck().await.unwrap();
        assert!(
            matches!(told.as_slice(), [one] if one.contains("foreign key chain")),
            "{told:?}"
        );
        latch.release().await.unwrap();
        database
            .run(&["ALTER TABLE t DROP FOREIGN KEY chain"])
            .await;

        let name = format!("crossfade-{}", std::process::id());
        let mut conn = database.conn().await;
        for sql in [
            "XA START",
            "UPDATE t SET p = 2 WHERE id = 1",
            "XA END",
            "XA PREPARE",
        ] {
            let sql = match sql.starts_with("XA") {
                true => format!("{sql} '{name}'"),
                false => sql.to_owned(),
            };
            conn.query_drop(sql).await.unwrap();
        }
        let found = codes().await;
        assert!(
            found.contains(&"mysql.fence_passed".to_owned()),
            "{found:?}"
        );
        conn.query_drop(format!("XA ROLLBACK '{name}'"))
            .await
            .unwrap();
    });
}
