//! Snapshots, chunks, parts, and polls as transactions of the stream.

use std::collections::BTreeSet;

use crossfade_model::{
    Cell, Change, Key, KeyOrder, LogicalType, Position, Row, Snapshot, StreamEvent, TransactionId,
};
use crossfade_store::{Bound, ChunkRange, ErrorKind, ReadForm, Source};

use crate::common::{World, rows_of, text, words};

const MANY: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)";

/// Ranges between the bounds, with both infinities.
fn ranges(bounds: &[Bound]) -> Vec<ChunkRange> {
    let mut edges: Vec<Option<Bound>> = vec![None];
    edges.extend(bounds.iter().cloned().map(Some));
    edges.push(None);
    edges
        .windows(2)
        .map(|w| ChunkRange::Keys {
            low: w[0].clone(),
            high: w[1].clone(),
        })
        .collect()
}

#[tokio::test]
async fn a_snapshot_sees_its_sequence_and_nothing_later() {
    let world =
        World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1)");
    let follower = world.follow().await;
    let mapping = &follower.spec.tables[0];
    world.run("INSERT INTO t VALUES (2, 1)");
    let at = world.last().await;
    let mut snapshot = world
        .source
        .open_snapshot(&[&mapping.source])
        .await
        .unwrap();
    world.run("INSERT INTO t VALUES (3, 1); DELETE FROM t WHERE id = 1");
    assert_eq!(*snapshot.snapshot(), Snapshot::Sequence(at.0));
    assert_eq!(snapshot.horizon(), at);
    assert!(snapshot.snapshot().covers(&follower.start.base));
    assert!(
        !snapshot
            .snapshot()
            .sees(TransactionId(world.last().await.0))
    );
    snapshot.wait_durable().await.unwrap();
    let mut stream = snapshot
        .read(mapping, &ChunkRange::All, ReadForm::Rows)
        .await
        .unwrap();
    let rows = rows_of(stream.as_mut()).await;
    drop(stream);
    assert_eq!(rows.len(), 2);
    let keys = [3, 2, 9].map(|i| Row(vec![Cell::Integer(i), Cell::Null]));
    let found = snapshot.read_keys(mapping, &keys).await.unwrap();
    assert_eq!(found, [Row(vec![Cell::Integer(2), Cell::Integer(1)])]);
    snapshot.close().await.unwrap();
}

/// What any store would do with the poll's end must be right: rows are as they are there, and nowhere before.
#[tokio::test]
async fn a_poll_is_one_transaction_and_its_end_the_only_checkpoint() {
    let world = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
    let mut follower = world.follow().await;
    world.run_together("INSERT INTO t VALUES (1, 'first'); INSERT INTO t VALUES (2, 'x'); UPDATE t SET v = 'last' WHERE id = 1");
    let last = world.last().await;
    let events = follower.events().await.unwrap();
    let [
        StreamEvent::Begin(transaction),
        StreamEvent::Change(Change::Upsert { row, .. }),
        StreamEvent::Change(_),
        StreamEvent::Commit { end },
    ] = events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert_eq!((transaction.id, *end), (TransactionId(last.0), last));
    assert_eq!(row.0[1], text("last"));
}

#[tokio::test]
async fn chunks_of_every_ordered_key_hold_each_row_once() {
    let world = World::new(&format!(
        "CREATE TABLE ints(id INTEGER PRIMARY KEY, v);
         {MANY} INSERT INTO ints SELECT i * i * (CASE WHEN i % 2 THEN 1 ELSE -1 END), i FROM n;
         INSERT INTO ints VALUES (9223372036854775807, 0), (-9223372036854775808, 0);
         CREATE TABLE texts(k TEXT PRIMARY KEY NOT NULL, v) WITHOUT ROWID;
         {MANY} INSERT INTO texts SELECT char(i % 1000 + 60) || substr('abcdefgh', i % 7, i % 5) || i, i FROM n;
         CREATE TABLE pairs(a, b BLOB, v, PRIMARY KEY (a, b)) WITHOUT ROWID;
         {MANY} INSERT INTO pairs SELECT CASE i % 5 WHEN 0 THEN i % 50 WHEN 1 THEN i % 50 + 0.5 WHEN 2 THEN 'x' || (i % 50)
             WHEN 3 THEN CAST('b' || (i % 50) AS BLOB) ELSE '' END, CASE i % 2 WHEN 0 THEN i ELSE CAST(i AS TEXT) END, i FROM n;
         CREATE TABLE descending(k INT NOT NULL, v, PRIMARY KEY (k DESC)); {MANY} INSERT INTO descending SELECT i, i FROM n"
    ));
    let follower = world.follow().await;
    for mapping in &follower.spec.tables {
        assert_eq!(
            mapping.source.key.as_ref().unwrap().order,
            KeyOrder::Ordered
        );
        let mut snapshot = world
            .source
            .open_snapshot(&[&mapping.source])
            .await
            .unwrap();
        let bounds = snapshot.bounds(mapping, 7).await.unwrap();
        assert_eq!(bounds.len(), 6, "{}", mapping.source.name);
        assert!(bounds.windows(2).all(|w| w[0].key < w[1].key));
        let mut seen: BTreeSet<Key> = BTreeSet::new();
        for range in ranges(&bounds) {
            let ChunkRange::Keys { low, high } = &range else {
                unreachable!()
            };
            let mut stream = snapshot
                .read(mapping, &range, ReadForm::Rows)
                .await
                .unwrap();
            let rows = rows_of(stream.as_mut()).await;
            drop(stream);
            assert!((1300..1500).contains(&rows.len()), "{}", rows.len());
            for row in rows {
                let key = mapping.key_of(&row).unwrap();
                // the program's order is the store's
                assert!(low.as_ref().is_none_or(|b| b.key <= key));
                assert!(high.as_ref().is_none_or(|b| key < b.key));
                assert!(seen.insert(key));
            }
        }
        let rows: usize = world
            .app
            .query_row(
                &format!("SELECT count(*) FROM {}", mapping.source.name),
                [],
                |r| r.get::<_, i64>(0),
            )
            .unwrap() as usize;
        assert_eq!(seen.len(), rows);
    }
}

#[tokio::test]
async fn a_table_whose_keys_cannot_be_ordered_is_read_in_parts() {
    let world = World::new(&format!(
        "CREATE TABLE t(k TEXT COLLATE NOCASE NOT NULL PRIMARY KEY, v); {MANY} INSERT INTO t SELECT 'K' || i, i FROM n;
         CREATE TABLE w(k TEXT COLLATE NOCASE PRIMARY KEY, v) WITHOUT ROWID; {MANY} INSERT INTO w SELECT 'K' || i, i FROM n"
    ));
    let follower = world.follow().await;
    for (mapping, expected) in follower.spec.tables.iter().zip([5, 1]) {
        assert_eq!(
            mapping.source.key.as_ref().unwrap().order,
            KeyOrder::Unordered
        );
        let mut snapshot = world
            .source
            .open_snapshot(&[&mapping.source])
            .await
            .unwrap();
        let parts = snapshot.parts(mapping, 5).await.unwrap();
        assert_eq!(parts.len(), expected);
        let mut seen = BTreeSet::new();
        for part in parts {
            let range = ChunkRange::Part(part);
            let mut stream = snapshot
                .read(mapping, &range, ReadForm::Rows)
                .await
                .unwrap();
            for row in rows_of(stream.as_mut()).await {
                assert!(seen.insert(mapping.key_of(&row).unwrap()));
            }
        }
        assert_eq!(seen.len(), 10_000);
    }
    let mapping = &follower.spec.tables[0];
    let identity = |source: crossfade_store::Result<Box<dyn crossfade_store::SourceSnapshot>>| async move {
        source.unwrap().physical_identity(mapping).await.unwrap()
    };
    let before = identity(world.source.open_snapshot(&[]).await).await;
    world.run("DELETE FROM t WHERE v % 3 = 0");
    assert_eq!(
        identity(world.source.open_snapshot(&[]).await).await,
        before
    );
    world.run("VACUUM");
    assert_ne!(
        identity(world.source.open_snapshot(&[]).await).await,
        before
    );
}

#[tokio::test]
async fn small_and_empty_tables_have_fewer_bounds() {
    let world = World::new(
        "CREATE TABLE e(id INTEGER PRIMARY KEY); CREATE TABLE f(id INTEGER PRIMARY KEY); INSERT INTO f VALUES (5), (6)",
    );
    let spec = world.spec().await;
    let mut snapshot = world.source.open_snapshot(&[]).await.unwrap();
    assert!(
        snapshot
            .bounds(&spec.tables[0], 10)
            .await
            .unwrap()
            .is_empty()
    );
    let bounds = snapshot.bounds(&spec.tables[1], 10).await.unwrap();
    assert_eq!(bounds.len(), 1);
    assert_eq!(bounds[0].cells, [Cell::Integer(6)]);
}

#[tokio::test]
async fn a_snapshot_of_a_changed_table_is_refused() {
    let world = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY)");
    let spec = world.spec().await;
    world.run("ALTER TABLE t ADD COLUMN late");
    let error = world
        .source
        .open_snapshot(&[&spec.tables[0].source])
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind, ErrorKind::SchemaMismatch);
    assert_eq!(error.table.as_deref(), Some("t"));
}

/// 300 000 changes in one poll arrive in blocks, while the reader is slow and memory is bounded by the channel.
#[tokio::test]
async fn a_big_poll_streams_in_bounded_blocks() {
    let world = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    let follower = world.follow().await;
    world.run(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
         INSERT INTO t SELECT i, printf('%0100d', i) FROM n",
    );
    let mut stream = world
        .source
        .open_stream(&follower.spec, follower.start.position)
        .await
        .unwrap();
    let last = world.last().await;
    let mut changes = 0;
    let mut commits: Vec<Position> = Vec::new();
    while commits.is_empty() {
        let events = stream.next().await.unwrap();
        let weight: usize = events
            .iter()
            .map(|e| match e {
                StreamEvent::Change(c) => c.weight(),
                _ => 0,
            })
            .sum();
        assert!(weight <= 2 << 20, "a block of {weight} bytes");
        for event in events {
            match event {
                StreamEvent::Change(_) => changes += 1,
                StreamEvent::Commit { end } => commits.push(end),
                _ => {}
            }
        }
    }
    assert_eq!(changes, 300_000);
    assert_eq!(commits, [last]);
}

/// A stream that is dropped in the middle of a big poll lets go of the file.
#[tokio::test]
async fn a_dropped_stream_ends_its_thread() {
    let world = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    let mut follower = world.follow().await;
    world.run(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
         INSERT INTO t SELECT i, printf('%0100d', i) FROM n",
    );
    follower.events().await.unwrap();
    drop(follower.stream);
    for _ in 0..100 {
        // TRUNCATE needs that no reader is at the log
        let busy: i64 = world
            .app
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get(0))
            .unwrap();
        if busy == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("a reader still holds the log");
}

/// An idle stream must not keep the application's log from being checkpointed.
#[tokio::test]
async fn an_idle_stream_holds_no_read_transaction() {
    let world = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    let mut follower = world.follow().await;
    world.run("INSERT INTO t VALUES (1, 'a')");
    let changes = follower.catch_up(&world).await;
    assert_eq!(words(&follower.spec, &changes), ["t+1"]);
    let (busy, log): (i64, i64) = world
        .app
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| {
            Ok((r.get(0)?, r.get(1)?))
        })
        .unwrap();
    assert_eq!((busy, log), (0, 0));
}

#[tokio::test]
async fn the_description_tells_types_keys_and_what_stands_around() {
    let world = World::new(
        "CREATE TABLE parent(id INTEGER PRIMARY KEY AUTOINCREMENT, d DECIMAL(10,2) DEFAULT 1.5, at DATETIME, ok BOOLEAN NOT NULL DEFAULT TRUE);
         INSERT INTO parent(id) VALUES (41); DELETE FROM parent;
         CREATE TABLE child(a TEXT NOT NULL, b INT NOT NULL, p INT REFERENCES parent ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
            g INT AS (b * 2), CONSTRAINT positive CHECK (b > 0), UNIQUE (a, b)) STRICT;
         CREATE INDEX part ON child(b) WHERE b > 5; CREATE INDEX plain ON child(p, b DESC);
         CREATE VIEW seen AS SELECT * FROM child; CREATE TRIGGER trg AFTER INSERT ON child BEGIN SELECT 1; END;
         CREATE VIRTUAL TABLE words USING fts5(body)",
    );
    let schema = Source::describe(&world.source).await.unwrap();
    let names: Vec<&str> = schema.tables.iter().map(|t| t.name.name.as_str()).collect();
    assert_eq!(names, ["child", "parent"]);
    let child = &schema.tables[0];
    let key = child.key.as_ref().unwrap();
    assert_eq!(
        (key.columns.as_slice(), key.primary),
        ([0, 1].as_slice(), false)
    );
    assert_eq!(
        child.columns[3].generated.as_ref().unwrap().expression,
        "b * 2"
    );
    assert_eq!(child.captured().count(), 3);
    assert_eq!(child.checks[0].name, "positive");
    assert_eq!(child.foreign_keys[0].parent_columns, ["id"]);
    assert_eq!(
        child.foreign_keys[0].actions,
        "ON DELETE SET NULL ON UPDATE NO ACTION DEFERRABLE INITIALLY DEFERRED"
    );
    let indexes: Vec<(&str, bool)> = child
        .indexes
        .iter()
        .map(|i| (i.name.as_str(), i.special))
        .collect();
    assert_eq!(indexes, [("part", true), ("plain", false)]);
    let parent = &schema.tables[1];
    let logical: Vec<LogicalType> = parent.columns.iter().map(|c| c.logical).collect();
    assert_eq!(
        logical,
        [
            LogicalType::Integer { bits: 64 },
            LogicalType::Decimal,
            LogicalType::Timestamp,
            LogicalType::Boolean
        ]
    );
    assert_eq!(schema.sequences[0].last_value, Some(41));
    let mut omitted: Vec<&str> = schema.omissions.iter().map(|o| o.kind.as_str()).collect();
    omitted.sort();
    assert_eq!(omitted, ["trigger", "view", "virtual table"]);
}
