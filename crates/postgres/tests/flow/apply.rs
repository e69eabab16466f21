//! Net effects on targets.

use crossfade_model::{Cell, Row, TableMapping};
use crossfade_store::{ErrorKind, MergeMode, Upsert};

use crate::kit::{Apply, Db, contents, full, keyed, mappings, row, t, upsert};
use crate::support::SERVERS;

pub const MODES: [MergeMode; 3] = [
    MergeMode::Fast,
    MergeMode::DeleteThenInsert,
    MergeMode::RowByRow,
];

/// A database with these tables, and the mapping of the first.
pub async fn target(server: &str, ddl: &str, name: &str) -> (Db, TableMapping) {
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
        assert_eq!(refused.kind, ErrorKind::RowAbsent);
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
