//! Tables of every shape in the stream: keys, identities, partitions, generated columns, names, DDL in mid-run.

use crossfade_model::{Cell, Change, TableId};
use crossfade_postgres::capture;
use crossfade_store::WatchOutcome;

use crate::kit::{Db, Follow, full, row, t};
use crate::support::SERVERS;

const T: TableId = TableId(0);

/// A text that does not compress, larger than a page: stored out of line.
const LONG: &str = "(SELECT string_agg(md5(g::text), '') FROM generate_series(1, 500) g)";

#[tokio::test]
async fn unchanged_large_values_are_marked_and_with_full_identity_they_are_there() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(&format!(
            "CREATE TABLE t (id int PRIMARY KEY, n int, big text);
             CREATE TABLE f (id int PRIMARY KEY, n int, big text);
             ALTER TABLE f REPLICA IDENTITY FULL;
             INSERT INTO t SELECT 1, 1, {LONG};
             INSERT INTO f SELECT 1, 1, {LONG}"
        ))
        .await;
        let big = db.text(&format!("SELECT {LONG}")).await.unwrap();
        let mut follow = Follow::begin(&db.store(), "toast", &["t", "f"]).await;
        db.run("UPDATE t SET n = 2; UPDATE f SET n = 2; UPDATE t SET id = 2; DELETE FROM f")
            .await;
        let changes = follow.changes().await;
        let kept = crossfade_model::Row(vec![t("1"), t("2"), Cell::Unchanged]);
        assert_eq!(
            changes[0],
            Change::Update {
                table: T,
                before: None,
                row: kept
            }
        );
        assert_eq!(
            changes[1],
            Change::Update {
                table: TableId(1),
                before: Some(full(&["1", "1", &big])),
                row: full(&["1", "2", &big])
            }
        );
        assert_eq!(
            changes[2],
            Change::Update {
                table: T,
                before: Some(row(&[Some("1"), None, None])),
                row: crossfade_model::Row(vec![t("2"), t("2"), Cell::Unchanged])
            }
        );
        assert_eq!(
            changes[3],
            Change::Delete {
                table: TableId(1),
                before: full(&["1", "2", &big])
            }
        );
        follow.end().await;
        db.drop().await;
    }
}

#[tokio::test]
async fn keys_of_every_kind_come_with_their_old_values() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(
            "CREATE TABLE two (a int, note text, b text, PRIMARY KEY (b, a));
             CREATE TABLE by_index (id uuid NOT NULL, note text);
             CREATE UNIQUE INDEX by_index_id ON by_index (id);
             ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_id;
             CREATE TABLE keyless (a int, b text);
             ALTER TABLE keyless REPLICA IDENTITY FULL;
             INSERT INTO two VALUES (1, 'n', 'b');
             INSERT INTO by_index VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'n');
             INSERT INTO keyless VALUES (1, NULL), (1, NULL)",
        )
        .await;
        let mut follow = Follow::begin(&db.store(), "keys", &["two", "by_index", "keyless"]).await;
        db.run(
            "UPDATE two SET a = 2;
             DELETE FROM by_index;
             DELETE FROM keyless WHERE ctid = '(0,1)'; UPDATE keyless SET b = ''",
        )
        .await;
        assert_eq!(
            follow.changes().await,
            [
                Change::Update {
                    table: T,
                    before: Some(row(&[Some("1"), None, Some("b")])),
                    row: full(&["2", "n", "b"])
                },
                Change::Delete {
                    table: TableId(1),
                    before: row(&[Some("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), None])
                },
                Change::Delete {
                    table: TableId(2),
                    before: row(&[Some("1"), None])
                },
                Change::Update {
                    table: TableId(2),
                    before: Some(row(&[Some("1"), None])),
                    row: full(&["1", ""])
                },
            ]
        );
        follow.end().await;
        db.drop().await;
    }
}

#[tokio::test]
async fn generated_and_dropped_columns_are_absent_and_names_may_be_anything() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(
            r#"CREATE SCHEMA "Été ""x""";
               CREATE TABLE "Été ""x"""."Tab.le 表" (
                   gone int, "Sélect" int GENERATED ALWAYS AS IDENTITY, "drop me" text,
                   twice int GENERATED ALWAYS AS ("Sélect" * 2) STORED, "a""b" text, PRIMARY KEY ("Sélect"));
               ALTER TABLE "Été ""x"""."Tab.le 表" DROP COLUMN gone"#,
        )
        .await;
        let name = "Été \"x\".Tab.le 表";
        let mut follow = Follow::begin(&db.store(), "Odd Nämes", &[name]).await;
        db.run(r#"INSERT INTO "Été ""x"""."Tab.le 表" ("drop me", "a""b") VALUES ('ä', 'ö')"#)
            .await;
        assert_eq!(
            follow.changes().await,
            [Change::Insert {
                table: T,
                row: full(&["1", "ä", "ö"])
            }]
        );
        follow.end().await;
        db.drop().await;
    }
}

const PARTITIONED: &str = "
    CREATE TABLE p (id int, day date, note text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
    CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
    CREATE TABLE p2 PARTITION OF p FOR VALUES FROM ('2024-02-01') TO ('2024-03-01') PARTITION BY LIST (id);
    CREATE TABLE p2a PARTITION OF p2 FOR VALUES IN (1, 2, 3);
    CREATE TABLE p2b PARTITION OF p2 DEFAULT;";

#[tokio::test]
async fn partitions_come_as_their_table_also_where_a_row_moves() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(PARTITIONED).await;
        let mut follow = Follow::begin(&db.store(), "partitions", &["p"]).await;
        db.run(
            "INSERT INTO p VALUES (1, '2024-01-05', 'a'), (9, '2024-02-05', 'b');
             UPDATE p SET day = '2024-02-06' WHERE id = 1;
             TRUNCATE p2; TRUNCATE p",
        )
        .await;
        let changes = follow.changes().await;
        assert_eq!(
            changes[2..4],
            [
                Change::Delete {
                    table: T,
                    before: row(&[Some("1"), Some("2024-01-05"), None])
                },
                Change::Insert {
                    table: T,
                    row: full(&["1", "2024-02-06", "a"])
                },
            ]
        );
        assert_eq!(changes[4], Change::TruncatePartitions { table: T });
        assert_eq!(changes[5], Change::Truncate { tables: vec![T] });
        assert_eq!(changes.len(), 6);
        follow.end().await;
        db.drop().await;
    }
}

#[tokio::test]
async fn a_partition_attached_alone_stops_the_stream_after_what_came_before() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(PARTITIONED).await;
        let mut follow = Follow::begin(&db.store(), "leaf", &["p"]).await;
        db.run("INSERT INTO p VALUES (1, '2024-01-05', 'a')").await;
        db.run(
            "CREATE TABLE p3 PARTITION OF p FOR VALUES FROM ('2024-03-01') TO ('2024-04-01');
             INSERT INTO p VALUES (5, '2024-03-05', 'c')",
        )
        .await;
        let (whole, what) = follow.until_changed().await;
        assert_eq!(whole, 1);
        assert!(what.contains("partition public.p3"), "{what}");
        follow.end().await;
        db.drop().await;
    }
}

#[tokio::test]
async fn truncated_tables_come_together() {
    let db = Db::create(SERVERS[0]).await;
    db.run("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY REFERENCES a)")
        .await;
    let mut follow = Follow::begin(&db.store(), "truncate", &["a", "b"]).await;
    db.run("INSERT INTO a VALUES (1); TRUNCATE a CASCADE").await;
    assert_eq!(
        follow.changes().await[1],
        Change::Truncate {
            tables: vec![TableId(0), TableId(1)]
        }
    );
    follow.end().await;
    db.drop().await;
}

#[tokio::test]
async fn a_changed_definition_stops_the_stream_and_the_watch_sees_it_without_a_write() {
    for server in SERVERS {
        for (ddl, words) in [
            (
                "ALTER TABLE t ADD COLUMN extra int DEFAULT 7",
                "column extra was added",
            ),
            ("ALTER TABLE t DROP COLUMN note", "column note was removed"),
            (
                "ALTER TABLE t RENAME COLUMN note TO text",
                "column note was removed",
            ),
            (
                "ALTER TABLE t ALTER COLUMN note TYPE varchar(9)",
                "is character varying(9)",
            ),
            ("ALTER TABLE t REPLICA IDENTITY NOTHING", ""),
            ("ALTER TABLE t RENAME TO u", "renamed"),
            (
                "ALTER TABLE t RENAME TO u; CREATE TABLE t (id int PRIMARY KEY, note text)",
                "",
            ),
        ] {
            let db = Db::create(server).await;
            db.run("CREATE TABLE t (id int PRIMARY KEY, note text)")
                .await;
            let mut follow = Follow::begin(&db.store(), "ddl", &["t"]).await;
            db.run("INSERT INTO t (id) VALUES (1)").await;
            let same = capture::watch(&follow.store, &follow.spec).await.unwrap();
            assert_eq!(same, WatchOutcome::Same);
            db.run(ddl).await;
            let changed = capture::watch(&follow.store, &follow.spec).await.unwrap();
            let WatchOutcome::Changed(found) = changed else {
                panic!("not seen by the watch: {ddl}");
            };
            assert!(
                found.iter().any(|(_, what)| what.contains(words)),
                "{found:?}"
            );
            let table = if ddl.contains("TO u") { "u" } else { "t" };
            db.run(&format!("INSERT INTO {table} (id) VALUES (2)"))
                .await;
            let (whole, what) = follow.until_changed().await;
            assert_eq!(whole, 1, "{ddl}");
            assert!(what.contains(words), "{what}");
            follow.end().await;
            db.drop().await;
        }
    }
}

#[tokio::test]
async fn ddl_that_changes_nothing_of_the_rows_goes_by() {
    let db = Db::create(SERVERS[0]).await;
    db.run("CREATE TABLE t (id int PRIMARY KEY, note text, n varchar(5))")
        .await;
    let mut follow = Follow::begin(&db.store(), "harmless", &["t"]).await;
    for (at, ddl) in [
        "CREATE INDEX ON t (note)",
        "ALTER TABLE t ALTER COLUMN note SET DEFAULT 'x'",
        "ALTER TABLE t ALTER COLUMN note SET NOT NULL",
        "ALTER TABLE t ADD CHECK (id > 0)",
        "VACUUM FULL t",
        "CLUSTER t USING t_pkey",
        "ALTER TABLE t REPLICA IDENTITY FULL",
    ]
    .into_iter()
    .enumerate()
    {
        db.run(ddl).await;
        let id = at + 1;
        db.run(&format!("INSERT INTO t VALUES ({id}, 'n', NULL)"))
            .await;
        let id = id.to_string();
        assert_eq!(
            follow.changes().await,
            [Change::Insert {
                table: T,
                row: row(&[Some(&id), Some("n"), None])
            }]
        );
    }
    follow.end().await;
    db.drop().await;
}
