//! Writes beside net effects by key: multisets, ranges, records, rollbacks, values of other stores.

use crossfade_model::{Canonical, Cell, Position, Row};
use crossfade_store::{
    Bound, ChunkRange, Effect, ErrorKind, MergeMode, Record, RecordKey, RecordWrite,
};

use crate::apply::{MODES, target};
use crate::kit::{Apply, contents, full, keyed, row, t, upsert};
use crate::support::SERVERS;

#[tokio::test]
async fn a_multiset_takes_away_exactly_so_many_equal_rows() {
    for server in SERVERS {
        let (db, mapping) = target(
            server,
            "CREATE TABLE t (a int, b text, f float8);
             INSERT INTO t VALUES (1, NULL, 0.1), (1, NULL, 0.1), (1, NULL, 0.1), (1, '', 0.1), (2, 'x', 'NaN')",
            "t",
        )
        .await;
        let mut apply = Apply::begin(&db.store(), "multiset").await;
        let effect = Effect::Multiset {
            inserts: vec![full(&["3", "new", "1e300"]), full(&["3", "new", "1e300"])],
            deletes: vec![
                (row(&[Some("1"), None, Some("0.1")]), 2),
                (full(&["2", "x", "NaN"]), 1),
            ],
        };
        apply
            .apply(&mapping, &effect, MergeMode::Fast)
            .await
            .unwrap();
        let end = "(1,\"\",0.1)\n(1,,0.1)\n(3,new,1e+300)\n(3,new,1e+300)";
        assert_eq!(contents(&db, "t").await, end);
        let too_many = Effect::Multiset {
            inserts: vec![],
            deletes: vec![(row(&[Some("1"), None, Some("0.1")]), 2)],
        };
        let refused = apply
            .apply(&mapping, &too_many, MergeMode::Fast)
            .await
            .unwrap_err();
        assert_eq!(refused.kind, ErrorKind::RowAbsent);
        assert_eq!(contents(&db, "t").await, end);
        db.drop().await;
    }
}

#[tokio::test]
async fn ranges_are_cleared_by_key() {
    let (db, mapping) = target(
        SERVERS[0],
        "CREATE TABLE t (a int, b uuid, PRIMARY KEY (a, b));
         INSERT INTO t SELECT g, ('00000000-0000-0000-0000-00000000000' || g)::uuid FROM generate_series(0, 9) g",
        "t",
    )
    .await;
    let bound = |n: usize| {
        let cells = vec![
            t(&n.to_string()),
            t(&format!("00000000-0000-0000-0000-00000000000{n}")),
        ];
        Some(Bound {
            key: mapping.key_of(&Row(cells.clone())).unwrap(),
            cells,
        })
    };
    let mut apply = Apply::begin(&db.store(), "clear").await;
    let count = "SELECT string_agg(a::text, '' ORDER BY a) FROM t";
    for (low, high, left) in [
        (bound(3), bound(5), "01256789"),
        (None, bound(1), "1256789"),
        (bound(9), None, "125678"),
    ] {
        let clear = Effect::Clear(ChunkRange::Keys { low, high });
        apply
            .apply(&mapping, &clear, MergeMode::Fast)
            .await
            .unwrap();
        assert_eq!(db.text(count).await.unwrap(), left);
    }
    let all = Effect::Clear(ChunkRange::All);
    apply.apply(&mapping, &all, MergeMode::Fast).await.unwrap();
    assert_eq!(db.text(count).await, None);
    db.drop().await;
}

#[tokio::test]
async fn one_table_may_be_written_several_times_in_one_transaction() {
    let (db, mapping) = target(
        SERVERS[0],
        "CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t VALUES (1, 'a')",
        "t",
    )
    .await;
    let mut apply = Apply::begin(&db.store(), "several").await;
    for round in 0..3 {
        apply.applier.begin().await.unwrap();
        let note = round.to_string();
        for effect in [
            keyed(vec![], vec![row(&[Some("1"), None])]),
            keyed(
                vec![upsert(full(&["1", "b"])), upsert(full(&["2", "b"]))],
                vec![],
            ),
            keyed(
                vec![upsert(full(&["1", &note]))],
                vec![row(&[Some("2"), None])],
            ),
        ] {
            apply
                .applier
                .apply(&mapping, &effect, MergeMode::Fast)
                .await
                .unwrap();
        }
        let to = Position(round + 1);
        apply.applier.commit(apply.at, to).await.unwrap();
        apply.at = Some(to);
        assert_eq!(contents(&db, "t").await, format!("(1,{round})"));
    }
    db.drop().await;
}

#[tokio::test]
async fn rollback_takes_all_back_also_the_staging_tables() {
    let (db, mapping) = target(
        SERVERS[0],
        "CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t VALUES (1, 'a')",
        "t",
    )
    .await;
    let mut apply = Apply::begin(&db.store(), "rollback").await;
    let effect = keyed(vec![upsert(full(&["1", "b"]))], vec![]);
    for _ in 0..2 {
        apply.applier.begin().await.unwrap();
        apply
            .applier
            .apply(&mapping, &effect, MergeMode::Fast)
            .await
            .unwrap();
        apply.applier.rollback().await.unwrap();
        assert_eq!(contents(&db, "t").await, "(1,a)");
    }
    // an error in the middle of the data, then again whole
    let bad = keyed(
        vec![upsert(full(&["1", "b"])), upsert(full(&["x", "b"]))],
        vec![],
    );
    let refused = apply
        .apply(&mapping, &bad, MergeMode::Fast)
        .await
        .unwrap_err();
    assert_eq!(refused.kind, ErrorKind::RowRefused);
    assert_eq!(refused.table.as_deref(), Some("public.t"));
    apply
        .apply(&mapping, &effect, MergeMode::Fast)
        .await
        .unwrap();
    assert_eq!(contents(&db, "t").await, "(1,b)");
    db.drop().await;
}

#[tokio::test]
async fn values_of_a_store_with_dynamic_types_are_written_or_refused_by_column() {
    use bytes::Bytes;
    let (db, mut mapping) = target(
        SERVERS[0],
        "CREATE TABLE t (id bigint PRIMARY KEY, b boolean, f float8, n numeric, x bytea, note text, at timestamp)",
        "t",
    )
    .await;
    let classes = [
        Canonical::Integer,
        Canonical::Boolean,
        Canonical::Float64,
        Canonical::Decimal,
        Canonical::Bytes,
        Canonical::Text,
        Canonical::Timestamp,
    ];
    for (column, class) in mapping.columns.iter_mut().zip(classes) {
        column.canonical = class;
    }
    let text = |b: &'static [u8]| Cell::Text(Bytes::from_static(b));
    let good = Row(vec![
        Cell::Integer(i64::MIN),
        Cell::Integer(1),
        Cell::Real(0.1 + 0.2),
        Cell::Real(19.99),
        Cell::Blob(Bytes::from_static(&[0, 92, 255])),
        text("ta\tb\\".as_bytes()),
        text(b"2024-02-29 01:02:03.456"),
    ]);
    let mut apply = Apply::begin(&db.store(), "dynamic").await;
    let effect = keyed(vec![upsert(good.clone())], vec![]);
    apply
        .apply(&mapping, &effect, MergeMode::Fast)
        .await
        .unwrap();
    let found = db
        .text("SELECT concat_ws('|', id, b, f, n, x, note, at) FROM t")
        .await
        .unwrap();
    assert_eq!(
        found,
        "-9223372036854775808|t|0.30000000000000004|19.99|\\x005cff|ta\tb\\|2024-02-29 01:02:03.456"
    );
    for (at, bad) in [
        (5, text(b"a\0b")),
        (5, text(b"\xff\xfe")),
        (5, Cell::Integer(7)),
        (1, Cell::Integer(7)),
        (6, text(b"soon")),
    ] {
        let mut refused = good.clone();
        refused.0[at] = bad;
        let effect = keyed(vec![upsert(refused)], vec![]);
        for mode in MODES {
            let e = apply.apply(&mapping, &effect, mode).await.unwrap_err();
            assert_eq!(e.kind, ErrorKind::RowRefused);
            assert_eq!(e.table.as_deref(), Some("public.t"));
            assert!(e.what.contains(&mapping.columns[at].target), "{e}");
        }
    }
    db.drop().await;
}

#[tokio::test]
async fn records_are_kept_with_the_rows_and_the_last_write_counts() {
    let (db, mapping) = target(SERVERS[0], "CREATE TABLE t (id int PRIMARY KEY)", "t").await;
    let mut apply = Apply::begin(&db.store(), "records").await;
    let put = |id: &str, body: &str| {
        RecordWrite::Put(Record {
            key: RecordKey::new("kind", id),
            body: body.into(),
        })
    };
    let remove = |id: &str| RecordWrite::Remove(RecordKey::new("kind", id));
    apply.applier.begin().await.unwrap();
    apply
        .applier
        .records(&[
            put("a", "1"),
            put("b", "1"),
            put("a", "2"),
            remove("c"),
            put("d", "1"),
            remove("d"),
        ])
        .await
        .unwrap();
    let effect = keyed(vec![upsert(full(&["1"]))], vec![]);
    apply
        .applier
        .apply(&mapping, &effect, MergeMode::Fast)
        .await
        .unwrap();
    apply.applier.commit(None, Position(5)).await.unwrap();
    let state = crossfade_postgres::tenure::peek(&db.store(), "records")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(state.checkpoint, Some(Position(5)));
    let bodies: Vec<(&str, &str)> = state
        .records
        .iter()
        .map(|r| (r.key.id.as_str(), r.body.as_str()))
        .collect();
    assert_eq!(bodies, [("a", "2"), ("b", "1")]);
    // the checkpoint is moved from where it is, or not at all
    apply.applier.begin().await.unwrap();
    apply.applier.records(&[remove("a")]).await.unwrap();
    let e = apply
        .applier
        .commit(Some(Position(4)), Position(9))
        .await
        .unwrap_err();
    assert_eq!(e.kind, ErrorKind::Fenced);
    apply.applier.rollback().await.unwrap();
    let state = crossfade_postgres::tenure::peek(&db.store(), "records").await;
    assert_eq!(state.unwrap().unwrap().records.len(), 2);
    db.drop().await;
}
