//! Net effects on targets.

use crossfade_model::Position;
use crossfade_model::{Canonical, Cell, Row, TableMapping};
use crossfade_store::{
    Bound, ChunkRange, Effect, ErrorKind, MergeMode, Record, RecordKey, RecordWrite, Upsert,
};

use crate::kit::{Apply, Db, contents, full, keyed, mappings, row, t, upsert};
use crate::support::SERVERS;

const MODES: [MergeMode; 3] = [
    MergeMode::Fast,
    MergeMode::DeleteThenInsert,
    MergeMode::RowByRow,
];

/// A database with these tables, and the mapping of the first.
async fn target(server: &str, ddl: &str, name: &str) -> (Db, TableMapping) {
    let db = Db::create(server).await;
    db.run(ddl).await;
    let mapping = mappings(&db.store(), &[name]).await.remove(0);
    (db, mapping)
}

#[tokio::test]
async fn every_mode_reaches_the_same_end() {
    for server in SERVERS {
        for mode in MODES {
            let (db, mapping) = target(
                server,
                "CREATE TABLE t (id int PRIMARY KEY, note text);
                 INSERT INTO t VALUES (1, 'old'), (2, 'old'), (3, 'old')",
                "t",
            )
            .await;
            let mut apply = Apply::begin(&db.store(), "modes").await;
            let effect = keyed(
                vec![
                    upsert(row(&[Some("1"), None])),
                    Upsert {
                        fresh: true,
                        ..upsert(full(&["4", "a\tb\\c\nd\re"]))
                    },
                    upsert(full(&["5", ""])),
                    upsert(full(&["6", "\\N"])),
                ],
                vec![row(&[Some("2"), None]), row(&[Some("99"), None])],
            );
            apply.apply(&mapping, &effect, mode).await.unwrap();
            // the same once more: what is there is replaced, what is gone stays gone
            let again = keyed(
                vec![upsert(full(&["1", "x"]))],
                vec![row(&[Some("2"), None])],
            );
            apply.apply(&mapping, &again, mode).await.unwrap();
            let found = db
                .text("SELECT jsonb_agg(jsonb_build_array(id, note) ORDER BY id)::text FROM t")
                .await
                .unwrap();
            assert_eq!(
                found,
                r#"[[1, "x"], [3, "old"], [4, "a\tb\\c\nd\re"], [5, ""], [6, "\\N"]]"#
            );
            db.drop().await;
        }
    }
}

#[tokio::test]
async fn columns_that_a_change_lacks_keep_their_values_also_under_a_new_key() {
    for mode in MODES {
        let (db, mapping) = target(
            SERVERS[0],
            "CREATE TABLE t (id int PRIMARY KEY, a text, n int, b text);
             INSERT INTO t VALUES (1, 'a1', 1, 'b1'), (2, 'a2', 2, 'b2'), (3, 'a3', 3, 'b3'), (4, 'a4', 4, 'b4')",
            "t",
        )
        .await;
        let mut apply = Apply::begin(&db.store(), "unchanged").await;
        let u = Cell::Unchanged;
        let effect = keyed(
            vec![
                // one column each, both, none
                upsert(Row(vec![t("1"), u.clone(), t("10"), t("B1")])),
                upsert(Row(vec![t("2"), u.clone(), t("20"), u.clone()])),
                upsert(full(&["5", "a5", "50", "b5"])),
                // 3 became 30, and 4 became 3: each keeps what its old row held
                Upsert {
                    row: Row(vec![t("30"), u.clone(), t("30"), u.clone()]),
                    base: Some(row(&[Some("3"), None, None, None])),
                    fresh: false,
                },
                Upsert {
                    row: Row(vec![t("3"), t("A3"), t("40"), u.clone()]),
                    base: Some(row(&[Some("4"), None, None, None])),
                    fresh: false,
                },
            ],
            vec![row(&[Some("4"), None, None, None])],
        );
        apply.apply(&mapping, &effect, mode).await.unwrap();
        assert_eq!(
            contents(&db, "t").await,
            "(1,a1,10,B1)\n(2,a2,20,b2)\n(3,A3,40,b4)\n(30,a3,30,b3)\n(5,a5,50,b5)",
            "{mode:?}"
        );
        // a row that is not there cannot lend anything
        let missing = keyed(vec![upsert(Row(vec![t("77"), u, t("1"), t("b")]))], vec![]);
        let refused = apply.apply(&mapping, &missing, mode).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::RowRefused);
        db.drop().await;
    }
}

#[tokio::test]
async fn an_update_beside_a_large_value_does_not_write_it_again() {
    let (db, mapping) = target(
        SERVERS[0],
        "CREATE TABLE t (id int PRIMARY KEY, n int, big text);
         ALTER TABLE t ALTER COLUMN big SET STORAGE EXTERNAL;
         INSERT INTO t SELECT g, 0, repeat('x', 100000) FROM generate_series(1, 50) g",
        "t",
    )
    .await;
    let size = "SELECT pg_relation_size(reltoastrelid)::text FROM pg_class WHERE relname = 't'";
    let before = db.text(size).await;
    let mut apply = Apply::begin(&db.store(), "toast").await;
    let rows =
        (1..=50).map(|id: i32| upsert(Row(vec![t(&id.to_string()), t("1"), Cell::Unchanged])));
    let effect = keyed(rows.collect(), vec![]);
    apply
        .apply(&mapping, &effect, MergeMode::Fast)
        .await
        .unwrap();
    assert_eq!(db.text(size).await, before);
    assert_eq!(
        db.text("SELECT sum(n)::text || ' ' || sum(length(big)) FROM t")
            .await
            .unwrap(),
        "50 5000000"
    );
    db.drop().await;
}

#[tokio::test]
async fn unique_values_that_swap_rows_converge_by_deleting_first() {
    for server in SERVERS {
        let (db, mapping) = target(
            server,
            "CREATE TABLE t (id int PRIMARY KEY, code text UNIQUE);
             INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')",
            "t",
        )
        .await;
        let mut apply = Apply::begin(&db.store(), "swap").await;
        let effect = keyed(
            vec![upsert(full(&["1", "b"])), upsert(full(&["2", "a"]))],
            vec![],
        );
        let conflict = apply
            .apply(&mapping, &effect, MergeMode::Fast)
            .await
            .unwrap_err();
        assert_eq!(conflict.kind, ErrorKind::UniqueViolation);
        assert_eq!(conflict.server_code.as_deref(), Some("23505"));
        assert!(conflict.what.contains("t_code_key"), "{conflict}");
        assert_eq!(conflict.table.as_deref(), Some("public.t"));
        apply
            .apply(&mapping, &effect, MergeMode::DeleteThenInsert)
            .await
            .unwrap();
        assert_eq!(contents(&db, "t").await, "(1,b)\n(2,a)\n(3,c)");
        // no order helps here: row by row names what the row violates and by what it is known, but no value
        let impossible = keyed(vec![upsert(full(&["1", "c"]))], vec![]);
        let conflict = apply
            .apply(&mapping, &impossible, MergeMode::RowByRow)
            .await
            .unwrap_err();
        assert_eq!(conflict.kind, ErrorKind::UniqueViolation);
        assert!(conflict.what.contains("identified by \"id\""), "{conflict}");
        db.drop().await;
    }
}

#[tokio::test]
async fn deferrable_constraints_are_looked_at_when_all_is_written() {
    let (mut db, mapping) = target(
        SERVERS[0],
        "CREATE TABLE t (id int PRIMARY KEY, code text UNIQUE DEFERRABLE);
         INSERT INTO t VALUES (1, 'a'), (2, 'b')",
        "t",
    )
    .await;
    let role = format!("{}_writer", db.name);
    db.own(&role);
    // a role that may not switch triggers off: with them the server switches the deferred check off, too
    db.run(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'secret'; CREATE SCHEMA crossfade AUTHORIZATION {role};
         ALTER TABLE t OWNER TO {role}"
    ))
    .await;
    let mut apply = Apply::begin(&db.store_of(&role, "secret"), "deferred").await;
    let swap = keyed(
        vec![upsert(full(&["1", "b"])), upsert(full(&["2", "a"]))],
        vec![],
    );
    apply.apply(&mapping, &swap, MergeMode::Fast).await.unwrap();
    let twice = keyed(vec![upsert(full(&["1", "a"]))], vec![]);
    let conflict = apply
        .apply(&mapping, &twice, MergeMode::Fast)
        .await
        .unwrap_err();
    assert_eq!(conflict.kind, ErrorKind::UniqueViolation);
    assert_eq!(contents(&db, "t").await, "(1,b)\n(2,a)");
    drop(apply);
    db.drop().await;
}

#[tokio::test]
async fn triggers_and_foreign_keys_of_the_target_rest() {
    let (db, mapping) = target(
        SERVERS[0],
        "CREATE TABLE parent (id int PRIMARY KEY);
         CREATE TABLE t (id int PRIMARY KEY, parent int REFERENCES parent);
         CREATE TABLE child (id int PRIMARY KEY, t int REFERENCES t ON DELETE CASCADE);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'fired'; END $$;
         INSERT INTO t VALUES (1, NULL); INSERT INTO child VALUES (7, 1);
         CREATE TRIGGER g BEFORE INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION f()",
        "t",
    )
    .await;
    let mut apply = Apply::begin(&db.store(), "triggers").await;
    for mode in MODES {
        let effect = keyed(
            vec![upsert(full(&["1", "5"])), upsert(full(&["2", "6"]))],
            vec![],
        );
        apply.apply(&mapping, &effect, mode).await.unwrap();
        assert_eq!(contents(&db, "t").await, "(1,5)\n(2,6)");
        assert_eq!(contents(&db, "child").await, "(7,1)");
        let back = keyed(vec![], vec![row(&[Some("2"), None])]);
        apply.apply(&mapping, &back, mode).await.unwrap();
    }
    db.drop().await;
}

#[tokio::test]
async fn identities_and_generated_columns_take_the_sources_values() {
    for server in SERVERS {
        for mode in MODES {
            let (db, mapping) = target(
                server,
                "CREATE TABLE t (
                     id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int,
                     other int GENERATED ALWAYS AS (n * 2) STORED, note text);
                 CREATE TABLE u (k text PRIMARY KEY, id int GENERATED ALWAYS AS IDENTITY)",
                "t",
            )
            .await;
            let mut apply = Apply::begin(&db.store(), "identity").await;
            for note in ["a", "b"] {
                let effect = keyed(vec![upsert(full(&["41", "5", note]))], vec![]);
                apply.apply(&mapping, &effect, mode).await.unwrap();
                assert_eq!(contents(&db, "t").await, format!("(41,5,10,{note})"));
            }
            let mut other = mappings(&db.store(), &["u"]).await.remove(0);
            other.id = crossfade_model::TableId(1);
            for _ in 0..2 {
                let effect = keyed(vec![upsert(full(&["x", "9"]))], vec![]);
                apply.apply(&other, &effect, mode).await.unwrap();
                assert_eq!(contents(&db, "u").await, "(x,9)");
            }
            db.drop().await;
        }
    }
}

#[tokio::test]
async fn keys_of_extension_types_and_of_several_columns_match_by_their_own_operators() {
    for mode in MODES {
        let (db, mut mapping) = target(
            SERVERS[0],
            "CREATE EXTENSION citext;
             CREATE DOMAIN word AS citext;
             CREATE TABLE t (n numeric, note text, k word, PRIMARY KEY (k, n));
             INSERT INTO t VALUES (1.0, 'old', 'Key'), (2, 'old', 'Key')",
            "t",
        )
        .await;
        mapping.source.key = Some(crossfade_model::TableKey {
            name: "t_pkey".into(),
            columns: vec![2, 0],
            primary: true,
            order: crossfade_model::KeyOrder::Unordered,
        });
        let mut apply = Apply::begin(&db.store(), "operators").await;
        // equal by the key's own equality, though not letter by letter
        let effect = keyed(
            vec![upsert(full(&["1.00", "new", "KEY"]))],
            vec![row(&[Some("2.000"), None, Some("kEY")])],
        );
        apply.apply(&mapping, &effect, mode).await.unwrap();
        assert_eq!(contents(&db, "t").await, "(1.00,new,KEY)", "{mode:?}");
        db.drop().await;
    }
}

#[tokio::test]
async fn partitioned_tables_are_written_by_their_root() {
    for server in SERVERS {
        for mode in MODES {
            let (db, mapping) = target(
                server,
                "CREATE TABLE t (id int, day date, note text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
                 CREATE TABLE t1 PARTITION OF t FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
                 CREATE TABLE t2 PARTITION OF t FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
                 INSERT INTO t VALUES (1, '2024-01-05', 'a'), (2, '2024-01-05', 'b')",
                "t",
            )
            .await;
            let mut apply = Apply::begin(&db.store(), "partitions").await;
            let effect = keyed(
                vec![
                    Upsert {
                        row: Row(vec![t("1"), t("2024-02-05"), Cell::Unchanged]),
                        base: Some(row(&[Some("1"), Some("2024-01-05"), None])),
                        fresh: false,
                    },
                    upsert(Row(vec![t("2"), t("2024-01-05"), t("B")])),
                ],
                vec![row(&[Some("1"), Some("2024-01-05"), None])],
            );
            apply.apply(&mapping, &effect, mode).await.unwrap();
            assert_eq!(
                contents(&db, "t").await,
                "(1,2024-02-05,a)\n(2,2024-01-05,B)"
            );
            assert_eq!(contents(&db, "t2").await, "(1,2024-02-05,a)");
            db.drop().await;
        }
    }
}

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
        assert_eq!(refused.kind, ErrorKind::RowRefused);
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
