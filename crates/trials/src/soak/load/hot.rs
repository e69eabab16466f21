//! What pgbench does, on MySQL and MariaDB: sessions that queue for one row, and write a history.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use rand::Rng;

use crate::database::Database;
use crate::mysql::{MysqlDatabase, Refusal, Session};
use crate::seed::generator;

/// Sessions that write at the same time.
const SESSIONS: u64 = 4;
const ACCOUNTS: u32 = 20_000;
const TELLERS: u32 = 10;

/// One branch, some tellers, many accounts whose key is a text that a collation folds, and a history that grows.
const TABLES: &str = "
CREATE TABLE branches (bid int PRIMARY KEY, balance bigint NOT NULL);
CREATE TABLE tellers (tid int PRIMARY KEY, balance bigint NOT NULL);
CREATE TABLE accounts (aid varchar(20) COLLATE utf8mb4_general_ci PRIMARY KEY, balance decimal(20,2) NOT NULL, seen timestamp(6) NULL) COLLATE utf8mb4_bin;
CREATE TABLE history (id bigint AUTO_INCREMENT PRIMARY KEY, tid int NOT NULL, aid varchar(20) NOT NULL, delta int NOT NULL,
    half double NOT NULL, at datetime(6) NOT NULL) COLLATE utf8mb4_bin;
INSERT INTO branches VALUES (1, 0);
";

/// Rows of the history after which it is cut back, so that long runs do not end with one big table.
const MOST_HISTORY: i64 = 100_000;

/// The writers.
pub struct HotRows<'a> {
    source: &'a MysqlDatabase,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl<'a> HotRows<'a> {
    /// The tables and first rows.
    pub fn make_tables(source: &Database) {
        let rows = |what: &str, rows: u32| {
            format!(
                "INSERT INTO {what} FROM (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) SELECT i FROM n) AS numbers;"
            )
        };
        let tellers = rows("tellers SELECT i, 0", TELLERS);
        let accounts = rows("accounts SELECT 'a' || i, 0, NULL", ACCOUNTS);
        source.run(&format!("{TABLES}{tellers}{accounts}"));
    }

    /// Starts them.
    pub fn start(source: &'a Database, seed: u64) -> Self {
        let source = source.mysql();
        let (stop, done) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let threads = (0..SESSIONS)
            .map(|part| {
                let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
                let session = source.session();
                thread::spawn(move || write(session, seed, part, &stop, &done))
            })
            .collect();
        Self {
            source,
            stop,
            done,
            threads,
        }
    }

    /// Checks that they work, and cuts the history back where that has become long.
    pub fn between_rounds(&mut self) {
        assert!(
            self.threads.iter().all(|thread| !thread.is_finished()),
            "a writer has ended"
        );
        let history = self.source.rows("SELECT count(*) FROM history");
        let rows = history[0][0].as_deref().and_then(|n| n.parse().ok());
        if rows.is_some_and(|rows: i64| rows > MOST_HISTORY) {
            self.source
                .try_run("DELETE FROM history ORDER BY id LIMIT 90000")
                .expect("the history can be cut back");
        }
    }

    /// Ends them; gives the transactions that they have made.
    ///
    /// # Panics
    /// When a writer has failed, or none has made any.
    pub fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("a writer has failed");
        }
        let done = self.done.load(Ordering::Relaxed);
        assert!(done > 0, "the writers have done nothing");
        done
    }
}

impl Drop for HotRows<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn write(mut session: Session, seed: u64, part: u64, stop: &AtomicBool, done: &AtomicU64) {
    let mut random = generator(seed, 6_000 + part);
    while !stop.load(Ordering::Relaxed) {
        let (aid, tid) = (
            random.random_range(1..=ACCOUNTS),
            random.random_range(1..=TELLERS),
        );
        let delta = random.random_range(-5_000..5_000);
        // the key's case changes now and then, which is no change of key to its collation
        let case = if random.random_range(0..20) == 0 {
            "aid = if(ascii(aid) = 97, upper(aid), lower(aid)),"
        } else {
            ""
        };
        let end = if random.random_range(0..10) == 0 {
            "ROLLBACK"
        } else {
            "COMMIT"
        };
        let made = session.run(&format!(
            "BEGIN;
             UPDATE accounts SET {case} balance = balance + {delta}, seen = now(6) WHERE aid = 'a{aid}';
             UPDATE tellers SET balance = balance + {delta} WHERE tid = {tid};
             UPDATE branches SET balance = balance + {delta} WHERE bid = 1;
             INSERT INTO history (tid, aid, delta, half, at) VALUES ({tid}, 'a{aid}', {delta}, {delta} / 3e0, now(6));
             {end}"
        ));
        match made {
            Ok(()) => {
                done.fetch_add(1, Ordering::Relaxed);
            }
            Err(refusal) if is_conflict(&refusal) => {
                session.run("ROLLBACK").expect("a session goes on");
            }
            Err(refusal) => panic!("a writer: {refusal}"),
        }
    }
}

/// A deadlock, or a wait for a row that was too long: the transaction is made again, as another.
fn is_conflict(refusal: &Refusal) -> bool {
    matches!(refusal.code, Some(1205 | 1213))
}
