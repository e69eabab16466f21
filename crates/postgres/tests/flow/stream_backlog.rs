//! A stream that begins far behind: what lies in the log already comes by a query, and nothing of it is lost, comes twice or out of order.

use std::time::{Duration, Instant};

use crossfade_model::{Change, Position, StreamEvent, Transaction};
use crossfade_postgres::lsn;
use crossfade_store::Result;

use crate::kit::{Db, Follow, Whole, full};
use crate::support::SERVERS;

/// Transactions of the first writer, with one or two changes each; the other has some more.
const TRANSACTIONS: usize = 30_000;
const MORE: usize = 4_000;

/// One writes through the whole time, another in between, and into a table that is not followed; a large transaction lies amid them.
const MADE: &str = "
    CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL); CREATE TABLE other (id int);
    ALTER TABLE t REPLICA IDENTITY FULL";

async fn write(db: &Db) {
    let quick = "PERFORM set_config('synchronous_commit', 'off', false)";
    let one = format!(
        "DO $$BEGIN {quick}; FOR i IN 1..{TRANSACTIONS} LOOP
             INSERT INTO t VALUES (i, i);
             IF i % 3 = 0 THEN UPDATE t SET v = -i WHERE id = i - 1; END IF;
             COMMIT;
             IF i = {} THEN INSERT INTO t SELECT 1000000 + g, 0 FROM generate_series(1, 40000) g; COMMIT; END IF;
         END LOOP; END$$",
        TRANSACTIONS / 2
    );
    let other = format!(
        "DO $$BEGIN {quick}; FOR i IN 1..{MORE} LOOP
             INSERT INTO t VALUES (-i, 0); INSERT INTO other VALUES (i); COMMIT; INSERT INTO other VALUES (i); COMMIT;
         END LOOP; END$$"
    );
    tokio::join!(db.run(&one), db.run(&other));
}

/// What a stream brings, transaction by transaction.
#[derive(Default)]
struct Reading {
    seen: Vec<Whole>,
    open: Option<(Transaction, Vec<Change>)>,
}

impl Reading {
    /// Reads on until there are so many transactions at least.
    async fn until(&mut self, follow: &mut Follow, count: usize) {
        let begun = Instant::now();
        while self.seen.len() < count {
            assert!(
                begun.elapsed() < Duration::from_secs(120),
                "{} of {count} came",
                self.seen.len()
            );
            for event in follow.stream.next().await.unwrap() {
                match event {
                    StreamEvent::Begin(transaction) => {
                        assert!(self.open.is_none());
                        self.open = Some((transaction, Vec::new()));
                    }
                    StreamEvent::Change(change) => self.open.as_mut().unwrap().1.push(change),
                    StreamEvent::Commit { end } => {
                        let (transaction, changes) = self.open.take().unwrap();
                        assert!(self.seen.last().is_none_or(|last| last.end < end));
                        self.seen.push(Whole {
                            transaction,
                            changes,
                            end,
                        });
                    }
                    StreamEvent::Progress(at) => {
                        assert!(self.open.is_none());
                        assert!(self.seen.last().is_none_or(|last| last.end <= at));
                    }
                    StreamEvent::SchemaChanged { table, what, .. } => panic!("{table:?}: {what}"),
                }
            }
        }
    }
}

/// The key of a transaction's first change: each has its own.
fn first_key(whole: &Whole) -> i64 {
    let Change::Insert { row, .. } = &whole.changes[0] else {
        panic!("{whole:?}");
    };
    let text = row.0[0].value().unwrap().text().unwrap();
    std::str::from_utf8(text).unwrap().parse().unwrap()
}

/// All of the first writer's transactions in its order, and of the other's.
fn assert_whole(seen: &[Whole]) {
    let keys: Vec<i64> = seen.iter().map(first_key).collect();
    let of =
        |wanted: fn(&i64) -> bool| -> Vec<i64> { keys.iter().copied().filter(wanted).collect() };
    let one: Vec<i64> = (1..=TRANSACTIONS as i64).collect();
    let other: Vec<i64> = (1..=MORE as i64).map(|i| -i).collect();
    assert_eq!(of(|k| (1..1_000_000).contains(k)), one);
    assert_eq!(of(|k| *k < 0), other);
    assert_eq!(of(|k| *k >= 1_000_000), [1_000_001]);
    for whole in seen {
        let key = first_key(whole);
        let expected = match key {
            1_000_001 => 40_000,
            k if k > 0 && k % 3 == 0 => 2,
            _ => 1,
        };
        assert_eq!(whole.changes.len(), expected, "{key}");
        if key > 0 && key % 3 == 0 {
            let (id, v) = ((key - 1).to_string(), (-key).to_string());
            assert!(
                matches!(&whole.changes[1], Change::Update { row, .. } if *row == full(&[&id, &v])),
                "{whole:?}"
            );
        }
    }
}

/// Drops the stream and waits until the server has noticed.
async fn dropped(follow: &mut Follow, db: &Db) {
    follow.stream = Box::new(Nothing);
    let begun = Instant::now();
    let sql = "SELECT count(*)::text FROM pg_replication_slots WHERE slot_name = 'crossfade_backlog' AND active";
    while db.text(sql).await.as_deref() != Some("0") {
        assert!(begun.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_lies_behind_comes_whole_once_and_in_order() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(MADE).await;
        let mut follow = Follow::begin(&db.store(), "backlog", &["t"]).await;
        let start = follow.at;
        follow.stream = Box::new(Nothing);
        write(&db).await;
        let count = TRANSACTIONS + MORE + 1;

        // nothing is confirmed: what came comes again in every window, and is passed over
        let mut all = Reading::default();
        follow.again(start).await;
        all.until(&mut follow, count).await;
        assert_whole(&all.seen);
        // what is written from now on comes by the stream itself
        db.run("INSERT INTO t VALUES (2000000, 1)").await;
        all.until(&mut follow, count + 1).await;
        let seen = all.seen;
        assert_eq!(first_key(&seen[count]), 2_000_000);
        dropped(&mut follow, &db).await;

        // dropped amid a window, and begun again from any end, while another end is confirmed
        follow.again(seen[9].end).await;
        let mut part = Reading::default();
        part.until(&mut follow, 10_000).await;
        assert_eq!(part.seen, seen[10..10 + part.seen.len()]);
        dropped(&mut follow, &db).await;

        // a server that refuses the query has nothing against the stream
        let name = &db.name;
        db.run(&format!(
            "ALTER DATABASE {name} SET temp_file_limit = '64kB'; ALTER DATABASE {name} SET work_mem = '64kB'"
        ))
        .await;
        follow.again(seen[3_999].end).await;
        let mut part = Reading::default();
        part.until(&mut follow, seen.len() - 4_000).await;
        assert_eq!(part.seen, seen[4_000..]);
        dropped(&mut follow, &db).await;
        db.run(&format!(
            "ALTER DATABASE {name} RESET temp_file_limit; ALTER DATABASE {name} RESET work_mem"
        ))
        .await;

        let mut from = 5_000;
        follow.again(seen[from - 1].end).await;
        let mut part = Reading::default();
        for wanted in (0..seen.len() - from).step_by(3_000).skip(1) {
            part.until(&mut follow, wanted).await;
            let confirmed = from + part.seen.len() / 2;
            follow.stream.confirm(seen[confirmed].end).await.unwrap();
        }
        assert_eq!(part.seen, seen[from..from + part.seen.len()]);
        from += part.seen.len();
        dropped(&mut follow, &db).await;
        follow.again(seen[from - 1].end).await;
        let mut part = Reading::default();
        part.until(&mut follow, seen.len() - from).await;
        assert_eq!(part.seen, seen[from..]);
        // nothing more is written here: the stream is told of it all the same
        let end = seen[seen.len() - 1].end;
        follow.stream.confirm(end).await.unwrap();
        slot_reaches(&db, "crossfade_backlog", end).await;
        follow.end().await;
        db.drop().await;
    }
}

/// Waits until the server knows that everything up to here is durable.
async fn slot_reaches(db: &Db, slot: &str, end: Position) {
    let sql = format!(
        "SELECT (confirmed_flush_lsn >= '{}')::text FROM pg_replication_slots WHERE slot_name = '{slot}'",
        lsn::show(end)
    );
    let begun = Instant::now();
    while db.text(&sql).await.as_deref() != Some("true") {
        let waited = begun.elapsed();
        assert!(waited < Duration::from_secs(60), "the slot stays behind");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Most of it waits in the reader's file, and the consumer is busy with what it has: the log that is durable is not kept for as long.
#[tokio::test]
async fn what_is_confirmed_while_a_backlog_waits_for_its_consumer_moves_the_slot() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run("CREATE TABLE t (id int PRIMARY KEY, v text)").await;
        let mut follow = Follow::begin(&db.store(), "backlog_taken", &["t"]).await;
        let start = follow.at;
        follow.stream = Box::new(Nothing);
        // much to be sent, and enough log for a query
        db.run(
            "DO $$BEGIN FOR i IN 1..600 LOOP INSERT INTO t VALUES (i, repeat('x', 100000)); COMMIT; END LOOP; END$$",
        )
        .await;
        db.run("SELECT count(pg_logical_emit_message(false, 'filler', repeat('x', 1000000))) FROM generate_series(1, 3)")
            .await;
        follow.again(start).await;
        let mut all = Reading::default();
        all.until(&mut follow, 20).await;
        let end = all.seen[all.seen.len() - 1].end;
        follow.stream.confirm(end).await.unwrap();
        slot_reaches(&db, "crossfade_backlog_taken", end).await;
        // nothing of it is lost by that
        all.until(&mut follow, 600).await;
        let keys: Vec<i64> = all.seen.iter().map(first_key).collect();
        assert_eq!(keys, (1..=600).collect::<Vec<i64>>());
        follow.end().await;
        db.drop().await;
    }
}

/// A stream that nobody reads: what was in its place is dropped.
struct Nothing;

#[async_trait::async_trait]
impl crossfade_store::ChangeStream for Nothing {
    async fn next(&mut self) -> Result<Vec<crossfade_model::StreamEvent>> {
        Ok(Vec::new())
    }

    async fn confirm(&mut self, _checkpoint: Position) -> Result<()> {
        Ok(())
    }
}
