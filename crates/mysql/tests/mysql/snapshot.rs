//! A source's snapshots, their positions, bounds and parts.

use crossfade_model::{Cell, Row, Snapshot};
use crossfade_mysql::ENGINE;
use crossfade_store::{ChunkRange, ErrorKind, ReadForm, Source, SourceSnapshot};

use crate::kit::{all, described, mapping, row};
use crate::on_each_server;

fn sequence(snapshot: &dyn SourceSnapshot) -> u64 {
    match snapshot.snapshot() {
        Snapshot::Sequence(at) => *at,
        Snapshot::Transactions { .. } => panic!("not by position"),
    }
}

#[tokio::test]
async fn a_snapshot_sees_what_was_committed_and_nothing_after() {
    on_each_server!(database, {
        database
            .run(&[
                "CREATE TABLE t (id INT PRIMARY KEY, a INT)",
                "INSERT INTO t VALUES (1, 1)",
            ])
            .await;
        let store = database.store();
        let schema = described(&store).await;
        let mapping = mapping(&*store, ENGINE, 0, &schema.tables[0], &schema);
        let start = store
            .create_capture(&crossfade_store::CaptureSpec {
                replanned: None,
                migration: "m".into(),
                tables: vec![mapping.clone()],
            })
            .await
            .unwrap();
        let mut first = store.open_snapshot(&[&mapping.source]).await.unwrap();
        assert!(first.snapshot().covers(&start.base));
        assert!(first.horizon().0 >= sequence(&*first));
        database.run(&["INSERT INTO t VALUES (2, 2)"]).await;
        let mut second = store.open_snapshot(&[&mapping.source]).await.unwrap();
        assert!(sequence(&*second) > sequence(&*first));
        assert!(second.snapshot().covers(first.snapshot()));
        assert!(!first.snapshot().covers(second.snapshot()));
        let read = async |snapshot: &mut Box<dyn SourceSnapshot>| {
            all(snapshot
                .read(&mapping, &ChunkRange::All, ReadForm::Rows)
                .await
                .unwrap())
            .await
        };
        assert_eq!(read(&mut first).await, [row(&["1", "1"])]);
        assert_eq!(
            read(&mut second).await,
            [row(&["1", "1"]), row(&["2", "2"])]
        );
        let keys = [row(&["2", "NULL"]), row(&["3", "NULL"])];
        assert!(first.read_keys(&mapping, &keys).await.unwrap().is_empty());
        assert_eq!(
            second.read_keys(&mapping, &keys).await.unwrap(),
            [row(&["2", "2"])]
        );
        let probe = store.probe("m").await.unwrap();
        assert!(probe.log_end >= second.horizon());
        assert!(store.show_position(probe.log_end).contains("binlog.0"));
        let query = "SELECT COUNT(*) AS n, 'x' AS w FROM t";
        let columns = store.query_columns(query).await.unwrap();
        assert_eq!(columns[0].class, crossfade_store::ColumnClass::Number);
        let rows = first.query(query).await.unwrap().rows;
        let found = all(rows).await;
        assert_eq!(found, [row(&["1", "x"])]);
        assert!(store.query_columns("DELETE FROM t").await.is_err());
        first.close().await.unwrap();
        second.close().await.unwrap();
    });
}

#[tokio::test]
async fn a_shape_cannot_change_under_a_snapshot_and_another_shape_is_refused() {
    use mysql_async::prelude::Queryable;
    on_each_server!(database, {
        database.run(&["CREATE TABLE t (id INT PRIMARY KEY)"]).await;
        let store = database.store();
        let schema = described(&store).await;
        let mapping = mapping(&*store, ENGINE, 0, &schema.tables[0], &schema);
        let snapshot = store.open_snapshot(&[&mapping.source]).await.unwrap();
        let mut conn = database.conn().await;
        conn.query_drop("SET lock_wait_timeout = 1").await.unwrap();
        assert!(
            conn.query_drop("ALTER TABLE t ADD COLUMN b INT")
                .await
                .is_err()
        );
        snapshot.close().await.unwrap();
        let spec = crossfade_store::CaptureSpec {
            replanned: None,
            migration: "m".into(),
            tables: vec![mapping.clone()],
        };
        assert_eq!(
            store.watch(&spec).await.unwrap(),
            crossfade_store::WatchOutcome::Same
        );
        conn.query_drop("ALTER TABLE t ADD COLUMN b INT")
            .await
            .unwrap();
        conn.disconnect().await.unwrap();
        let error = store.open_snapshot(&[&mapping.source]).await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::SchemaMismatch, "{error}");
        assert_ne!(
            store.watch(&spec).await.unwrap(),
            crossfade_store::WatchOutcome::Same
        );
    });
}

#[tokio::test]
async fn bounds_and_parts_hold_every_row_once() {
    on_each_server!(database, {
        database
            .run(&[
                "CREATE TABLE dense (id INT PRIMARY KEY)",
                "INSERT INTO dense WITH RECURSIVE s AS (SELECT 1 n UNION ALL SELECT n + 1 FROM s WHERE n < 900) SELECT n FROM s",
                "CREATE TABLE gaps (a INT, b DATETIME(6), PRIMARY KEY (a, b))",
                "INSERT INTO gaps SELECT id * id * 1000 % 97, TIMESTAMPADD(MICROSECOND, id * 7919, '2024-01-01') FROM dense",
                "CREATE TABLE words (w VARCHAR(30) COLLATE utf8mb4_general_ci, n BIGINT UNSIGNED, PRIMARY KEY (w, n))",
                "INSERT INTO words SELECT CONCAT(CHAR(65 + id % 26), IF(id % 2, 'é', 'E'''), id % 5), 18446744073709551615 - id FROM dense",
                "CREATE TABLE chosen (e ENUM('b', 'a') NOT NULL, n INT, PRIMARY KEY (e, n))",
                "INSERT INTO chosen SELECT IF(id % 2, 'a', 'b'), id FROM dense",
                "CREATE TABLE vacant (id INT PRIMARY KEY)",
                "ANALYZE TABLE dense, gaps, words, chosen, vacant",
            ])
            .await;
        let store = database.store();
        let schema = described(&store).await;
        for (id, table) in (0..).zip(&schema.tables) {
            let mapping = mapping(&*store, ENGINE, id, table, &schema);
            let mut snapshot = store.open_snapshot(&[table]).await.unwrap();
            let sorted = |mut rows: Vec<Row>| {
                rows.sort_by_key(|r| format!("{r:?}"));
                rows
            };
            let whole = sorted(
                all(snapshot
                    .read(&mapping, &ChunkRange::All, ReadForm::Rows)
                    .await
                    .unwrap())
                .await,
            );
            let mut ranges = Vec::new();
            if table.is_ordered() {
                let bounds = snapshot.bounds(&mapping, 7).await.unwrap();
                assert!(
                    bounds.windows(2).all(|w| w[0].key < w[1].key),
                    "{}",
                    table.name
                );
                let ends = std::iter::once(None)
                    .chain(bounds.iter().cloned().map(Some))
                    .collect::<Vec<_>>();
                for (n, low) in ends.iter().enumerate() {
                    ranges.push(ChunkRange::Keys {
                        low: low.clone(),
                        high: ends.get(n + 1).cloned().flatten(),
                    });
                }
                // the program puts each row where the server does
                for range in &ranges {
                    let ChunkRange::Keys { low, high } = range else {
                        continue;
                    };
                    for found in all(snapshot
                        .read(&mapping, range, ReadForm::Rows)
                        .await
                        .unwrap())
                    .await
                    {
                        let key = mapping.key_of(&found).unwrap();
                        assert!(low.as_ref().is_none_or(|l| key >= l.key));
                        assert!(high.as_ref().is_none_or(|h| key < h.key));
                    }
                }
                assert!(
                    table.name.name == "vacant" || ranges.len() == 7,
                    "{}: {}",
                    table.name,
                    ranges.len()
                );
            }
            let parts = snapshot.parts(&mapping, 5).await.unwrap();
            let expected = match table.name.name.as_str() {
                "chosen" | "vacant" => 1,
                _ => 5,
            };
            assert_eq!(parts.len(), expected, "{}", table.name);
            for ranges in [ranges, parts.into_iter().map(ChunkRange::Part).collect()] {
                if ranges.is_empty() {
                    continue;
                }
                let mut together = Vec::new();
                for range in &ranges {
                    together.extend(
                        all(snapshot
                            .read(&mapping, range, ReadForm::Rows)
                            .await
                            .unwrap())
                        .await,
                    );
                }
                assert_eq!(
                    sorted(together),
                    whole,
                    "{} on {}",
                    table.name,
                    database.server
                );
            }
            let strange = ChunkRange::Part("1 OR 1".into());
            assert!(
                snapshot
                    .read(&mapping, &strange, ReadForm::Rows)
                    .await
                    .is_err()
            );
            assert!(
                whole
                    .iter()
                    .all(|r| r.0.iter().all(|c| !matches!(c, Cell::Null)))
            );
            snapshot.close().await.unwrap();
        }
    });
}
