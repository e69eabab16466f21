//! Snapshots: what they see, where the log ends, and tables read in pieces.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crossfade_model::{Cell, Row, TableMapping, TransactionId};
use crossfade_postgres::{capture, snapshot};
use crossfade_store::{ChunkRange, ErrorKind, ReadForm, RowBlock, SourceSnapshot};

use crate::kit::{Db, full, mappings, row, t};
use crate::support::SERVERS;

async fn open(db: &Db, mapping: &TableMapping) -> Box<dyn SourceSnapshot> {
    snapshot::open_snapshot(&db.store(), &[&mapping.source])
        .await
        .unwrap()
}

async fn read(
    snapshot: &mut dyn SourceSnapshot,
    mapping: &TableMapping,
    range: &ChunkRange,
) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut stream = snapshot.read(mapping, range, ReadForm::Rows).await.unwrap();
    while let Some(block) = stream.next().await.unwrap() {
        match block {
            RowBlock::Rows(more) => rows.extend(more),
            RowBlock::Copy(_) => panic!("rows were asked for"),
        }
    }
    rows
}

fn ids(rows: &[Row]) -> Vec<Cell> {
    rows.iter().map(|row| row.0[0].clone()).collect()
}

#[tokio::test]
async fn a_snapshot_sees_what_had_committed_and_says_so() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run("CREATE TABLE t (id int PRIMARY KEY, xid bigint)")
            .await;
        let mapping = mappings(&db.store(), &["t"]).await.remove(0);
        let write =
            |id: u32| format!("INSERT INTO t VALUES ({id}, pg_current_xact_id()::text::bigint)");
        db.run(&write(1)).await;
        let open_writer = db.client().await;
        open_writer
            .batch("writing", &format!("BEGIN; SAVEPOINT a; {}", write(2)))
            .await
            .unwrap();
        let mut snapshot = open(&db, &mapping).await;
        db.run(&write(3)).await;
        open_writer.batch("writing", "COMMIT").await.unwrap();
        let rows = read(snapshot.as_mut(), &mapping, &ChunkRange::All).await;
        assert_eq!(ids(&rows), [t("1")]);
        let all = db
            .client()
            .await
            .query("reading", "SELECT id, xid FROM t", &[])
            .await
            .unwrap();
        assert_eq!(all.len(), 3);
        for found in all {
            let sees = snapshot
                .snapshot()
                .sees(TransactionId(found.get::<_, i64>(1) as u64));
            assert_eq!(sees, found.get::<_, i32>(0) == 1);
        }
        let probe = capture::probe(&db.store(), "none").await.unwrap();
        assert!(probe.log_end > snapshot.horizon());
        assert!(probe.snapshot.covers(snapshot.snapshot()));
        snapshot.close().await.unwrap();
        db.drop().await;
    }
}

#[tokio::test]
async fn what_was_committed_asynchronously_is_waited_for() {
    let db = Db::create(SERVERS[0]).await;
    db.run("CREATE TABLE t (id int PRIMARY KEY, note text)")
        .await;
    let mapping = mappings(&db.store(), &["t"]).await.remove(0);
    let writer = db.client().await;
    writer
        .batch("writing", "SET synchronous_commit = off")
        .await
        .unwrap();
    for round in 0..30 {
        let sql = format!("INSERT INTO t VALUES ({round}, 'x')");
        writer.batch("writing", &sql).await.unwrap();
        let mut snapshot = open(&db, &mapping).await;
        let begun = Instant::now();
        snapshot.wait_durable().await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2));
        let flushed = db
            .text("SELECT pg_current_wal_flush_lsn()::text")
            .await
            .unwrap();
        let flushed = crossfade_postgres::lsn::parse(&flushed).unwrap();
        assert!(flushed >= snapshot.horizon());
    }
    // an open transaction's record at the log's end is flushed by nobody
    writer
        .batch("writing", "BEGIN; INSERT INTO t VALUES (1000, 'x')")
        .await
        .unwrap();
    let mut snapshot = open(&db, &mapping).await;
    snapshot.wait_durable().await.unwrap();
    db.drop().await;
}

/// All rows exactly once, however the table is cut.
async fn covers(db: &Db, mapping: &TableMapping, chunks: usize) -> usize {
    let mut snapshot = open(db, mapping).await;
    let bounds = snapshot.bounds(mapping, chunks).await.unwrap();
    assert!(bounds.len() < chunks);
    assert!(bounds.windows(2).all(|w| w[0].key < w[1].key));
    let whole = read(snapshot.as_mut(), mapping, &ChunkRange::All).await;
    let mut pieces = Vec::new();
    for at in 0..=bounds.len() {
        let low = at.checked_sub(1).map(|before| bounds[before].clone());
        let high = bounds.get(at).cloned();
        let inside = |row: &Row| {
            let key = mapping.key_of(row).unwrap();
            low.as_ref().is_none_or(|b| key >= b.key) && high.as_ref().is_none_or(|b| key < b.key)
        };
        let range = ChunkRange::Keys {
            low: low.clone(),
            high: high.clone(),
        };
        let piece = read(snapshot.as_mut(), mapping, &range).await;
        assert!(
            piece.iter().all(inside),
            "the program's order is the server's"
        );
        pieces.extend(piece);
    }
    let sorted = |rows: Vec<Row>| {
        let mut texts: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
        texts.sort();
        texts
    };
    assert_eq!(sorted(pieces), sorted(whole));
    bounds.len()
}

#[tokio::test]
async fn ordered_tables_are_cut_into_ranges_that_hold_every_row_once() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(
            "CREATE TABLE dense (id int PRIMARY KEY);
             INSERT INTO dense SELECT generate_series(-500, 4500);
             CREATE TABLE sparse (id bigint PRIMARY KEY);
             INSERT INTO sparse SELECT g::bigint * 1000000007 FROM generate_series(1, 20000) g;
             INSERT INTO sparse VALUES (9223372036854775807), (-9223372036854775808);
             CREATE TABLE ids (id uuid PRIMARY KEY);
             INSERT INTO ids SELECT md5(g::text)::uuid FROM generate_series(1, 5000) g;
             CREATE TABLE names (day date, name text COLLATE \"C\", PRIMARY KEY (name, day));
             INSERT INTO names SELECT '2024-01-01'::date + g % 100, chr(200 + g % 500) || g FROM generate_series(1, 5000) g;
             CREATE TABLE few (id int PRIMARY KEY); INSERT INTO few VALUES (1), (2);
             CREATE TABLE none (id int PRIMARY KEY)",
        )
        .await;
        db.run("ANALYZE").await;
        let tables = ["dense", "sparse", "ids", "names", "few", "none"];
        let mappings = mappings(&db.store(), &tables).await;
        for (mapping, least) in mappings.iter().zip([9, 7, 9, 9, 1, 0]) {
            assert!(mapping.source.is_ordered());
            let bounds = covers(&db, mapping, 10).await;
            assert!(bounds >= least, "{}: {bounds}", mapping.source.name);
        }
        db.drop().await;
    }
}

#[tokio::test]
async fn parts_hold_every_row_once_and_a_row_stays_in_its_part() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(
            "CREATE TABLE plain (id text PRIMARY KEY, note text);
             INSERT INTO plain SELECT 'k' || g, repeat('x', 100) FROM generate_series(1, 5000) g;
             CREATE TABLE p (id text, n int, PRIMARY KEY (id, n)) PARTITION BY LIST (n);
             CREATE TABLE \"P 1\" PARTITION OF p FOR VALUES IN (1);
             CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2) PARTITION BY HASH (id);
             CREATE TABLE p2a PARTITION OF p2 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
             CREATE TABLE p2b PARTITION OF p2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
             INSERT INTO p SELECT 'k' || g, g % 2 + 1 FROM generate_series(1, 5000) g;
             CREATE TABLE child () INHERITS (plain); INSERT INTO child VALUES ('not ours', '')",
        )
        .await;
        for mapping in mappings(&db.store(), &["plain", "p"]).await {
            let mut first = open(&db, &mapping).await;
            let parts = first.parts(&mapping, 8).await.unwrap();
            assert!((8..=11).contains(&parts.len()), "{}", parts.len());
            let mut places = Vec::new();
            let mut seen = BTreeSet::new();
            for part in &parts {
                let rows = read(first.as_mut(), &mapping, &ChunkRange::Part(part.clone())).await;
                let keys: BTreeSet<String> = rows.iter().map(|r| format!("{:?}", r.0)).collect();
                assert_eq!(keys.len(), rows.len());
                assert!(seen.is_disjoint(&keys));
                seen.extend(keys.iter().cloned());
                places.push(keys);
            }
            assert_eq!(seen.len(), 5000);
            let identity = first.physical_identity(&mapping).await.unwrap();
            first.close().await.unwrap();
            let name = mapping.source.name.name.clone();
            db.run(
                &format!(
                    "INSERT INTO {name} SELECT 'new' || g, '1' FROM generate_series(1, 3000) g"
                )
                .replace("'1'", if name == "p" { "1" } else { "'1'" }),
            )
            .await;
            let mut later = open(&db, &mapping).await;
            assert_eq!(later.physical_identity(&mapping).await.unwrap(), identity);
            let mut all = 0;
            for (part, before) in parts.iter().zip(&places) {
                let rows = read(later.as_mut(), &mapping, &ChunkRange::Part(part.clone())).await;
                let keys: BTreeSet<String> = rows.iter().map(|r| format!("{:?}", r.0)).collect();
                assert!(before.is_subset(&keys));
                all += rows.len();
            }
            assert_eq!(all, 8000);
            later.close().await.unwrap();
            let leaf = if name == "p" { "p2a" } else { "plain" };
            db.run(&format!("VACUUM FULL {leaf}")).await;
            let mut rewritten = open(&db, &mapping).await;
            assert_ne!(
                rewritten.physical_identity(&mapping).await.unwrap(),
                identity
            );
        }
        db.drop().await;
    }
}

#[tokio::test]
async fn rows_are_read_by_key() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(
            "CREATE TABLE t (note text, id int, k text, PRIMARY KEY (k, id));
             INSERT INTO t SELECT 'n', g, 'it''s \\ ' || g FROM generate_series(1, 1000) g;
             CREATE TABLE p (id numeric PRIMARY KEY) PARTITION BY RANGE (id);
             CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); INSERT INTO p VALUES (1.50)",
        )
        .await;
        let mappings = mappings(&db.store(), &["t", "p"]).await;
        let mut snapshot =
            snapshot::open_snapshot(&db.store(), &[&mappings[0].source, &mappings[1].source])
                .await
                .unwrap();
        let keys = [
            row(&[None, Some("7"), Some("it's \\ 7")]),
            row(&[None, Some("7"), Some("it's \\ 8")]),
            row(&[None, Some("999"), Some("it's \\ 999")]),
        ];
        let mut rows = snapshot.read_keys(&mappings[0], &keys).await.unwrap();
        rows.sort_by_key(|row| format!("{row:?}"));
        assert_eq!(
            rows,
            [
                full(&["n", "7", "it's \\ 7"]),
                full(&["n", "999", "it's \\ 999"])
            ]
        );
        assert_eq!(snapshot.read_keys(&mappings[0], &[]).await.unwrap(), []);
        let by_value = snapshot.read_keys(&mappings[1], &[full(&["1.5"])]).await;
        assert_eq!(by_value.unwrap(), [full(&["1.50"])]);
        let absent = [row(&[None, None, Some("x")])];
        assert!(snapshot.read_keys(&mappings[0], &absent).await.is_err());
        db.drop().await;
    }
}

#[tokio::test]
async fn a_changed_table_is_not_read_and_an_open_snapshot_holds_off_ddl() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run("CREATE TABLE t (id int PRIMARY KEY, note text)")
            .await;
        let mapping = mappings(&db.store(), &["t"]).await.remove(0);
        let snapshot = open(&db, &mapping).await;
        let ddl = "ALTER TABLE t ALTER note TYPE varchar(5)";
        let client = db.client().await;
        client
            .batch("setting", "SET lock_timeout = '200ms'")
            .await
            .unwrap();
        assert_eq!(
            client.batch("altering", ddl).await.unwrap_err().kind,
            ErrorKind::Busy
        );
        snapshot.close().await.unwrap();
        client
            .batch("setting", "SET lock_timeout = 0")
            .await
            .unwrap();
        client.batch("altering", ddl).await.unwrap();
        let Err(e) = snapshot::open_snapshot(&db.store(), &[&mapping.source]).await else {
            panic!("another type was read");
        };
        assert_eq!(e.kind, ErrorKind::SchemaMismatch);
        assert_eq!(e.table.as_deref(), Some("public.t"));
        db.drop().await;
    }
}
