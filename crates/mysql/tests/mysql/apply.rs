//! Net effects, unique values that move, the run epoch, the reader's position.

use crossfade_model::{Cell, Position, Row, TableMapping};
use crossfade_mysql::{ENGINE, MysqlStore};
use crossfade_store::{
    Applier, Bound, ChunkRange, Effect, ErrorKind, MergeMode, Record, RecordKey, RecordWrite,
    Source, Target, Tenure, Upsert,
};
use mysql_async::prelude::Queryable as _;

use crate::kit::{Database, all, described, load, mapping, named, row};
use crate::on_each_server;

const PAIRS: &str = "CREATE TABLE pairs (id INT PRIMARY KEY, u INT UNIQUE, note VARCHAR(20))";

/// A target that holds the table of another database, with its unique index.
async fn prepared(
    database: &Database,
    create: &str,
    table: &str,
) -> (std::sync::Arc<MysqlStore>, TableMapping, Box<dyn Tenure>) {
    let source = Database::create(database.server).await;
    source.run(&[create]).await;
    let schema = described(&source.store()).await;
    source.drop().await;
    let store = database.store();
    let mapping = mapping(
        &*store,
        ENGINE,
        0,
        schema.table(&named(table)).unwrap(),
        &schema,
    );
    let tenure = store.acquire("m").await.unwrap();
    store
        .create_tables(&[], &[], std::slice::from_ref(&mapping))
        .await
        .unwrap();
    store.build_key(&mapping).await.unwrap();
    store.build_unique_indexes(&mapping).await.unwrap();
    (store, mapping, tenure)
}

fn upsert(texts: &[&str]) -> Upsert {
    Upsert {
        row: row(texts),
        base: None,
        fresh: false,
    }
}

fn keyed(upserts: Vec<Upsert>, deletes: Vec<Row>) -> Effect {
    Effect::Keyed { upserts, deletes }
}

async fn apply(
    applier: &mut dyn Applier,
    mapping: &TableMapping,
    effect: &Effect,
    mode: MergeMode,
    at: (Option<u64>, u64),
) {
    applier.begin().await.unwrap();
    applier.apply(mapping, effect, mode).await.unwrap();
    applier
        .commit(at.0.map(Position), Position(at.1))
        .await
        .unwrap();
}

const ALL: &str = "SELECT CONCAT_WS(',', id, u, note) FROM pairs ORDER BY id";

async fn texts(database: &Database) -> Vec<String> {
    let rows = database.rows(ALL).await;
    rows.into_iter()
        .map(|mut r| r.swap_remove(0).unwrap())
        .collect()
}

#[tokio::test]
async fn unique_values_that_move_converge_in_every_mode() {
    on_each_server!(database, {
        let (_store, mapping, tenure) = prepared(&database, PAIRS, "pairs").await;
        let mut applier = tenure.open_applier().await.unwrap();
        let mut loader = tenure.open_loader().await.unwrap();
        load(
            &mut *loader,
            &mapping,
            vec![
                row(&["1", "10", "a"]),
                row(&["2", "20", "b"]),
                row(&["3", "30", "c"]),
                row(&["4", "NULL", "d"]),
            ],
        )
        .await;
        let mut at = None;
        let mut next = 1;
        for mode in [
            MergeMode::Fast,
            MergeMode::DeleteThenInsert,
            MergeMode::RowByRow,
        ] {
            // a ring of three, back and forth, and one that takes a deleted row's value
            let turned = keyed(
                vec![
                    upsert(&["1", "20", "a"]),
                    upsert(&["2", "30", "b"]),
                    upsert(&["3", "10", "c"]),
                ],
                vec![],
            );
            apply(&mut *applier, &mapping, &turned, mode, (at, next)).await;
            assert_eq!(
                texts(&database).await,
                ["1,20,a", "2,30,b", "3,10,c", "4,d"]
            );
            (at, next) = (Some(next), next + 1);
            let taken = keyed(
                vec![upsert(&["4", "20", "d"]), upsert(&["5", "10", "e"])],
                vec![
                    row(&["1", "NULL", "NULL"]),
                    row(&["3", "NULL", "NULL"]),
                    row(&["99", "NULL", "NULL"]),
                ],
            );
            apply(&mut *applier, &mapping, &taken, mode, (at, next)).await;
            assert_eq!(texts(&database).await, ["2,30,b", "4,20,d", "5,10,e"]);
            (at, next) = (Some(next), next + 1);
            let back = keyed(
                vec![
                    upsert(&["1", "10", "a"]),
                    upsert(&["2", "20", "b"]),
                    upsert(&["3", "30", "c"]),
                    upsert(&["4", "NULL", "d"]),
                ],
                vec![row(&["5", "NULL", "NULL"])],
            );
            apply(&mut *applier, &mapping, &back, mode, (at, next)).await;
            assert_eq!(
                texts(&database).await,
                ["1,10,a", "2,20,b", "3,30,c", "4,d"]
            );
            (at, next) = (Some(next), next + 1);
        }
        // a value that is taken by a row outside the batch is an error, and never another row
        applier.begin().await.unwrap();
        let error = applier
            .apply(
                &mapping,
                &keyed(vec![upsert(&["7", "10", "x"])], vec![]),
                MergeMode::Fast,
            )
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::UniqueViolation, "{error}");
        applier.rollback().await.unwrap();
        assert_eq!(
            texts(&database).await,
            ["1,10,a", "2,20,b", "3,30,c", "4,d"]
        );
    });
}

#[tokio::test]
async fn unchanged_columns_come_from_the_row_as_it_was() {
    on_each_server!(database, {
        let (_store, mapping, tenure) = prepared(&database, PAIRS, "pairs").await;
        let mut applier = tenure.open_applier().await.unwrap();
        let mut loader = tenure.open_loader().await.unwrap();
        load(
            &mut *loader,
            &mapping,
            vec![row(&["1", "10", "a"]), row(&["2", "20", "b"])],
        )
        .await;
        let mut moved = upsert(&["3", "30", "x"]);
        moved.row.0[2] = Cell::Unchanged;
        moved.base = Some(row(&["1", "NULL", "NULL"]));
        let mut stays = upsert(&["2", "21", "x"]);
        stays.row.0[2] = Cell::Unchanged;
        let effect = keyed(vec![moved, stays], vec![row(&["1", "NULL", "NULL"])]);
        apply(&mut *applier, &mapping, &effect, MergeMode::Fast, (None, 1)).await;
        assert_eq!(texts(&database).await, ["2,21,b", "3,30,a"]);
        let mut lost = upsert(&["9", "90", "x"]);
        lost.row.0[2] = Cell::Unchanged;
        applier.begin().await.unwrap();
        let error = applier
            .apply(&mapping, &keyed(vec![lost], vec![]), MergeMode::Fast)
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind, error.code),
            (ErrorKind::RowAbsent, "mysql.no_base")
        );
        applier.rollback().await.unwrap();
    });
}

#[tokio::test]
async fn equal_rows_of_a_keyless_table_come_and_go_by_count() {
    on_each_server!(database, {
        let (_store, mapping, tenure) = prepared(
            &database,
            "CREATE TABLE pairs (id INT, u DOUBLE, note VARCHAR(20))",
            "pairs",
        )
        .await;
        let mut applier = tenure.open_applier().await.unwrap();
        let come = Effect::Multiset {
            inserts: vec![
                row(&["1", "0.1", "a"]),
                row(&["1", "0.1", "a"]),
                row(&["1", "0.1", "A"]),
                row(&["NULL", "NULL", "NULL"]),
            ],
            deletes: vec![],
        };
        apply(&mut *applier, &mapping, &come, MergeMode::Fast, (None, 1)).await;
        let go = Effect::Multiset {
            inserts: vec![],
            deletes: vec![
                (row(&["1", "0.1", "a"]), 2),
                (row(&["NULL", "NULL", "NULL"]), 1),
            ],
        };
        apply(&mut *applier, &mapping, &go, MergeMode::Fast, (Some(1), 2)).await;
        assert_eq!(texts(&database).await, ["1,0.1,A"]);
        let more = Effect::Multiset {
            inserts: vec![],
            deletes: vec![(row(&["1", "0.1", "A"]), 2)],
        };
        applier.begin().await.unwrap();
        let error = applier
            .apply(&mapping, &more, MergeMode::Fast)
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::RowAbsent);
        applier.rollback().await.unwrap();
        assert_eq!(texts(&database).await, ["1,0.1,A"]);
    });
}

#[tokio::test]
async fn a_run_whose_epoch_is_over_commits_nothing() {
    on_each_server!(database, {
        let (store, mapping, first) = prepared(&database, PAIRS, "pairs").await;
        let mut old = first.open_applier().await.unwrap();
        assert_eq!(first.state().epoch, 1);
        let running = store.acquire("m").await.err().expect("one is alive");
        assert_eq!(running.kind, ErrorKind::AlreadyRunning, "{running}");
        // another migration on the same target is no matter
        let other = store.acquire("n").await.unwrap();
        assert_eq!(other.state().epoch, 1);
        drop(first);
        let second = store.acquire("m").await.unwrap();
        assert_eq!(second.state().epoch, 2);
        second.check().await.unwrap();
        let error = old.begin().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Fenced, "{error}");
        old.rollback().await.unwrap();

        // one that is open holds the next run back until it is over
        let mut applier = second.open_applier().await.unwrap();
        applier.begin().await.unwrap();
        applier
            .apply(
                &mapping,
                &keyed(vec![upsert(&["1", "1", "x"])], vec![]),
                MergeMode::Fast,
            )
            .await
            .unwrap();
        drop(second);
        let (third, committed) = tokio::join!(store.acquire("m"), async {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            applier.commit(None, Position(5)).await
        });
        committed.unwrap();
        let third = third.unwrap();
        assert_eq!(third.state().epoch, 3);
        assert_eq!(third.state().checkpoint, Some(Position(5)));
        assert_eq!(applier.begin().await.unwrap_err().kind, ErrorKind::Fenced);

        // one that stands still in the middle of it is ended, and no transaction of the application's, whose user may be the same
        let mut still = third.open_applier().await.unwrap();
        still.begin().await.unwrap();
        drop(third);
        database
            .run(&[
                "CREATE TABLE theirs (id INTEGER PRIMARY KEY)",
                "INSERT INTO theirs VALUES (1)",
            ])
            .await;
        let mut theirs = database.conn().await;
        theirs.query_drop("BEGIN").await.unwrap();
        theirs.query_drop("UPDATE theirs SET id = 2").await.unwrap();
        let fourth = database.store().acquire("m").await.unwrap();
        assert_eq!(fourth.state().epoch, 4);
        still
            .commit(Some(Position(5)), Position(6))
            .await
            .unwrap_err();
        theirs.query_drop("COMMIT").await.unwrap();
        assert_eq!(database.value("SELECT id FROM theirs").await, "2");
        theirs.disconnect().await.unwrap();
    });
}

#[tokio::test]
async fn the_checkpoint_moves_by_compare_and_swap_and_records_go_with_it() {
    on_each_server!(database, {
        let (store, mapping, tenure) = prepared(&database, PAIRS, "pairs").await;
        let mut applier = tenure.open_applier().await.unwrap();
        let put = |kind: &str, id: &str, body: &str| {
            RecordWrite::Put(Record {
                key: RecordKey::new(kind, id),
                body: body.to_owned(),
            })
        };
        let long = "k".repeat(5000);
        applier.begin().await.unwrap();
        applier
            .records(&[
                put("frontier", "1", "{\"a\":\"it's\"}"),
                put("frontier", &long, "{}"),
                put("frontier", "1", "{\"a\":\"é😀\\\\n\"}"),
                put("owed", "1", "[]"),
                RecordWrite::Remove(RecordKey::new("owed", "1")),
                RecordWrite::Remove(RecordKey::new("owed", "absent")),
            ])
            .await
            .unwrap();
        applier.commit(None, Position(u64::MAX - 1)).await.unwrap();

        applier.begin().await.unwrap();
        applier
            .records(&[put("frontier", "2", "{}")])
            .await
            .unwrap();
        for (from, to) in [(None, 7), (Some(3), 4), (Some(u64::MAX - 1), 3)] {
            let error = applier
                .commit(from.map(Position), Position(to))
                .await
                .unwrap_err();
            assert_eq!(error.kind, ErrorKind::Fenced, "{error}");
        }
        applier.rollback().await.unwrap();

        let state = store.peek("m").await.unwrap().unwrap();
        assert_eq!(state.checkpoint, Some(Position(u64::MAX - 1)));
        let records: Vec<(&str, &str)> = state
            .records
            .iter()
            .map(|r| (r.key.id.as_str(), r.body.as_str()))
            .collect();
        assert_eq!(
            records,
            [("1", "{\"a\":\"é😀\\\\n\"}"), (long.as_str(), "{}")]
        );
        assert!(store.peek("other").await.unwrap().is_none());

        // a reader's rows are at the position that it tells
        let mut reader = store.open_reader("m").await.unwrap();
        assert_eq!(reader.position(), Some(Position(u64::MAX - 1)));
        let effect = keyed(vec![upsert(&["1", "1", "new"])], vec![]);
        apply(
            &mut *applier,
            &mapping,
            &effect,
            MergeMode::Fast,
            (Some(u64::MAX - 1), u64::MAX),
        )
        .await;
        assert!(
            all(reader.read(&mapping, &ChunkRange::All).await.unwrap())
                .await
                .is_empty()
        );
        reader.close().await.unwrap();
        let mut reader = store.open_reader("m").await.unwrap();
        assert_eq!(reader.position(), Some(Position(u64::MAX)));
        let keys = [row(&["1", "NULL", "NULL"]), row(&["2", "NULL", "NULL"])];
        assert_eq!(
            reader.read_keys(&mapping, &keys).await.unwrap(),
            [row(&["1", "1", "new"])]
        );
        reader.close().await.unwrap();
    });
}

#[tokio::test]
async fn ranges_of_keys_are_emptied_and_no_others() {
    on_each_server!(database, {
        let source = Database::create(database.server).await;
        source
            .run(&["CREATE TABLE two (a INT, b VARBINARY(4), PRIMARY KEY (a, b))"])
            .await;
        let from = source.store();
        let schema = described(&from).await;
        let store = database.store();
        let mapping = mapping(&*store, ENGINE, 0, &schema.tables[0], &schema);
        let tenure = store.acquire("m").await.unwrap();
        store
            .create_tables(&[], &[], std::slice::from_ref(&mapping))
            .await
            .unwrap();
        let mut loader = tenure.open_loader().await.unwrap();
        let blob = |bytes: &'static [u8]| Cell::Blob(bytes::Bytes::from_static(bytes));
        let make = |a: &str, b: &'static [u8]| Row(vec![crate::kit::t(a), blob(b)]);
        let rows = vec![
            make("1", b"a"),
            make("1", b"a\0"),
            make("1", b"b"),
            make("2", b""),
            make("2", b"a"),
            make("3", b"z"),
        ];
        load(&mut *loader, &mapping, rows.clone()).await;
        let bound = |row: &Row| Bound {
            key: mapping.key_of(row).unwrap(),
            cells: row.0.clone(),
        };
        let range = ChunkRange::Keys {
            low: Some(bound(&rows[1])),
            high: Some(bound(&rows[4])),
        };
        let mut reader = store.open_reader("m").await.unwrap();
        assert_eq!(
            all(reader.read(&mapping, &range).await.unwrap()).await,
            rows[1..4]
        );
        reader.close().await.unwrap();
        loader.begin().await.unwrap();
        loader.clear(&mapping, &range).await.unwrap();
        loader.commit().await.unwrap();
        let left = database
            .rows("SELECT CONCAT(a, HEX(b)) FROM two ORDER BY a, b")
            .await;
        let left: Vec<&str> = left.iter().map(|r| r[0].as_deref().unwrap()).collect();
        assert_eq!(left, ["161", "261", "37A"]);
        assert_eq!(Source::engine(&*from), ENGINE);
        source.drop().await;
    });
}

/// A row that is to go was renamed meanwhile to a key that the index holds equal: it is there under that key, and stays.
#[tokio::test]
async fn a_key_that_goes_does_not_take_an_equal_one_with_it() {
    for kind in ["VARCHAR(9)", "CHAR(9)"] {
        on_each_server!(database, {
            let create = format!(
                "CREATE TABLE named (k {kind} COLLATE utf8mb4_general_ci PRIMARY KEY, n INT)"
            );
            let (_store, mapping, tenure) = prepared(&database, &create, "named").await;
            let mut applier = tenure.open_applier().await.unwrap();
            let mut at = 0;
            for mode in [
                MergeMode::Fast,
                MergeMode::DeleteThenInsert,
                MergeMode::RowByRow,
            ] {
                let gone = |key: &str| keyed(vec![], vec![row(&[key, "NULL"])]);
                let comes = |key: &str| keyed(vec![upsert(&[key, "1"])], vec![]);
                for (effect, left) in [
                    (comes("key"), "key"),
                    (gone("KEY"), "key"),
                    (comes("Key"), "Key"),
                    (gone("key"), "Key"),
                    (gone("Key"), ""),
                ] {
                    let from = (at > 0).then_some(at);
                    apply(&mut *applier, &mapping, &effect, mode, (from, at + 1)).await;
                    at += 1;
                    let rows = database.rows("SELECT k FROM named").await;
                    let keys: Vec<String> = rows.into_iter().flatten().flatten().collect();
                    assert_eq!(keys.concat(), left, "{kind} {mode:?}");
                }
            }
        });
    }
}
