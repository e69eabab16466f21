//! Arming and firing among writers who lock in opposite orders: none of them may see an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossfade_store::Fence;

use super::{FIRE, LONG, TABLES, code, open, tables};
use crate::kit::{Db, contents};
use crate::support::SERVERS;

const WRITERS: u64 = 6;
const ROUNDS: usize = 15;

/// By themselves the writers never deadlock: everybody takes rows in the order u11, t1, u10. But half of them begin at one table and half
/// at the other, and some hold a row (FOR UPDATE takes no latch) that the latch's holder wants, while they wait for the latch.
fn transaction(writer: u64) -> &'static str {
    match writer % 3 {
        0 => {
            "BEGIN; SELECT FROM t WHERE id = 1 FOR UPDATE; SELECT pg_sleep(0.002);
              UPDATE u SET v = clock_timestamp()::text WHERE id = 10; COMMIT"
        }
        1 => {
            "BEGIN; UPDATE u SET v = clock_timestamp()::text WHERE id = 11; SELECT pg_sleep(0.002);
              UPDATE t SET v = clock_timestamp()::text WHERE id = 1; COMMIT"
        }
        _ => {
            "BEGIN; UPDATE t SET v = clock_timestamp()::text WHERE id = 1; SELECT pg_sleep(0.002);
              UPDATE u SET v = clock_timestamp()::text WHERE id = 10; COMMIT"
        }
    }
}

#[tokio::test]
async fn opposite_lock_orders_see_neither_error_nor_deadlock() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(TABLES).await;
        let store = db.store();
        store.make_register("m", open(0)).await.unwrap();
        let tables = tables(&store, &["t", "u"]).await;
        let stop = Arc::new(AtomicBool::new(false));
        let done = Arc::new(AtomicU64::new(0));
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let (client, stop, done) = (db.client().await, Arc::clone(&stop), Arc::clone(&done));
            writers.push(tokio::spawn(async move {
                let sql = transaction(writer);
                while !stop.load(Ordering::Relaxed) {
                    if let Some(code) = code(&client, sql).await {
                        return Some(code);
                    }
                    let count = done.fetch_add(1, Ordering::Relaxed);
                    let think = 2 + (writer * 7 + count * 3) % 11;
                    tokio::time::sleep(Duration::from_millis(think)).await;
                }
                None
            }));
        }
        for _ in 0..ROUNDS {
            let begun = std::time::Instant::now();
            store.arm("m", &tables, LONG).await.unwrap();
            let armed = begun.elapsed();
            let mut latch = store.fire("m", &FIRE).await.unwrap();
            println!(
                "{server}: armed in {armed:?}, fired in {:?}",
                begun.elapsed() - armed
            );
            assert_eq!(latch.recheck().await.unwrap(), Vec::<String>::new());
            let before = (contents(&db, "t").await, contents(&db, "u").await);
            tokio::time::sleep(Duration::from_millis(30)).await;
            let after = (contents(&db, "t").await, contents(&db, "u").await);
            assert_eq!(after, before, "a write passed the fence");
            latch.release().await.unwrap();
            store.disarm("m", &tables).await.unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            assert_eq!(writer.await.unwrap(), None, "{server}");
        }
        assert!(done.load(Ordering::Relaxed) > 0);
        let row = db
            .text("SELECT deadlocks::text FROM pg_stat_database WHERE datname = current_database()")
            .await;
        assert_eq!(row.as_deref(), Some("0"));
        db.drop().await;
    }
}
