//! Writes that are not the migration's: noted by the server itself, with table, key, time and writer.

use crossfade_model::{Cell, TableMapping};
use crossfade_postgres::PostgresStore;
use crossfade_store::{MergeMode, ReadForm, RowBlock, Stranger, Strangers, Target, Written};

use crate::kit::{Apply, Db, full, keyed, mappings, upsert};
use crate::support::SERVERS;

const TABLES: &str = "CREATE TABLE t (id int, k char(4), v text, PRIMARY KEY (k, id));
     CREATE TABLE n (v text);
     CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
     CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
     CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200);";

/// A target whose tables are closed and marked, and its applier.
async fn marked(db: &Db) -> (PostgresStore, Vec<TableMapping>, Apply) {
    db.run(TABLES).await;
    let store = db.store();
    let tables = mappings(&store, &["t", "n", "p"]).await;
    let target: &dyn Target = &store;
    drop(target.acquire("m").await.unwrap());
    target.create_tables(&[], &[], &tables).await.unwrap();
    let apply = Apply::begin(&store, "m").await;
    for _ in 0..2 {
        let lost = target.watch_strangers("m", &tables).await.unwrap();
        assert_eq!(lost, []);
    }
    (store, tables, apply)
}

async fn noted(store: &PostgresStore, seen: &mut Option<String>) -> Vec<Stranger> {
    let found: Strangers = store.strangers("m", seen.as_deref()).await.unwrap();
    assert_eq!(found.unseen, []);
    *seen = found.seen;
    assert!(seen.is_some());
    found.entries
}

fn shown(entries: &[Stranger]) -> Vec<(String, Written, Option<String>)> {
    let shown = entries.iter().map(|e| {
        let text = |cell: &Cell| match cell {
            Cell::TextForm(text) => String::from_utf8(text.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        };
        let key = e
            .key
            .as_ref()
            .map(|key| key.iter().map(text).collect::<Vec<_>>().join("|"));
        (e.table.to_string(), e.operation, key)
    });
    shown.collect()
}

fn entry(table: &str, operation: Written, key: Option<&str>) -> (String, Written, Option<String>) {
    (
        format!("public.{table}"),
        operation,
        key.map(ToOwned::to_owned),
    )
}

/// Past the guard, as a superuser can.
async fn behind(db: &Db, sql: &str) {
    db.run(&format!(
        "SET application_name = 'a tool'; SET DateStyle = 'German'; SET session_replication_role = replica; {sql}"
    ))
    .await;
}

#[tokio::test]
async fn a_write_past_the_guard_is_noted_once_and_our_own_never_is() {
    for server in SERVERS {
        let db = Db::create(server).await;
        let (store, tables, mut apply) = marked(&db).await;
        let mut seen = None;
        for mode in [
            MergeMode::Fast,
            MergeMode::DeleteThenInsert,
            MergeMode::RowByRow,
        ] {
            let rows = [full(&["1", "a   ", "x"]), full(&["2", "b   ", "x"])];
            let effect = keyed(rows.map(upsert).to_vec(), vec![]);
            apply.apply(&tables[0], &effect, mode).await.unwrap();
            let effect = keyed(
                vec![upsert(full(&["7", "x"])), upsert(full(&["107", "x"]))],
                vec![],
            );
            apply.apply(&tables[2], &effect, mode).await.unwrap();
        }
        let mut loader = apply.tenure.open_loader().await.unwrap();
        loader.begin().await.unwrap();
        let rows = RowBlock::Rows(vec![full(&["3", "c   ", "x"])]);
        let written = loader.write(&tables[0], rows, &ReadForm::Rows, false);
        written.await.unwrap();
        loader.finish().await.unwrap();
        loader.commit().await.unwrap();
        assert_eq!(noted(&store, &mut seen).await, []);
        let begun = std::time::SystemTime::now();
        behind(&db, "UPDATE t SET v = 'y' WHERE id = 1; UPDATE t SET id = 9 WHERE id = 2; DELETE FROM t WHERE id = 3").await;
        behind(&db, "INSERT INTO n VALUES ('x'); UPDATE p SET v = 'y' WHERE id = 7; UPDATE p SET id = 120 WHERE id = 7; TRUNCATE t; TRUNCATE p2").await;
        let entries = noted(&store, &mut seen).await;
        assert_eq!(
            shown(&entries),
            [
                entry("t", Written::Update, Some("a   |1")),
                entry("t", Written::Update, Some("b   |9")),
                entry("t", Written::Update, Some("b   |2")),
                entry("t", Written::Delete, Some("c   |3")),
                entry("n", Written::Insert, None),
                entry("p", Written::Update, Some("7")),
                entry("p", Written::Delete, Some("7")),
                entry("p", Written::Insert, Some("120")),
                entry("t", Written::Truncate, None),
                entry("p", Written::Truncate, None),
            ],
            "{server}"
        );
        let begun = begun.duration_since(std::time::UNIX_EPOCH).unwrap();
        assert!(entries.iter().all(|e| e.at >= begun.as_millis() as i64));
        assert!(
            entries[0]
                .who
                .starts_with("postgres from 127.0.0.1, a tool, server process")
        );
        assert_eq!(noted(&store, &mut seen).await, []);
        let ids: Vec<i64> = entries.iter().filter_map(|e| e.id).collect();
        store.told_strangers("m", &ids[..4]).await.unwrap();
        let again = noted(&store, &mut None).await;
        assert_eq!(again.iter().filter(|e| e.told).count(), 4);
        assert_eq!(again.len(), 10);
        db.drop().await;
    }
}

#[tokio::test]
async fn what_commits_late_or_never_is_seen_once_or_never() {
    for server in SERVERS {
        let db = Db::create(server).await;
        let (store, _, _apply) = marked(&db).await;
        let mut seen = None;
        let (early, late) = (db.client().await, db.client().await);
        let sql = |id: u32| {
            format!(
                "BEGIN; SET LOCAL session_replication_role = replica; SAVEPOINT a; INSERT INTO t VALUES ({id}, 'a', 'x')"
            )
        };
        late.batch("writing", &sql(1)).await.unwrap();
        early.batch("writing", &sql(2)).await.unwrap();
        early.batch("committing", "COMMIT").await.unwrap();
        let first = noted(&store, &mut seen).await;
        assert_eq!(shown(&first), [entry("t", Written::Insert, Some("a   |2"))]);
        early.batch("writing", &sql(3)).await.unwrap();
        early
            .batch(
                "writing",
                "ROLLBACK TO a; INSERT INTO t VALUES (4, 'a', 'x')",
            )
            .await
            .unwrap();
        late.batch("committing", "COMMIT").await.unwrap();
        early.batch("committing", "COMMIT").await.unwrap();
        early.batch("writing", &sql(5)).await.unwrap();
        early.batch("rolling back", "ROLLBACK").await.unwrap();
        let mut second = shown(&noted(&store, &mut seen).await);
        second.sort_by(|a, b| a.2.cmp(&b.2));
        let insert = |key| entry("t", Written::Insert, Some(key));
        assert_eq!(second, [insert("a   |1"), insert("a   |4")]);
        db.drop().await;
    }
}

#[tokio::test]
async fn a_writer_without_privileges_is_noted_and_a_flood_is_bounded() {
    for server in SERVERS {
        let mut db = Db::create(server).await;
        let role = format!("writer_{}", db.name);
        db.own(&role);
        let (store, _, _apply) = marked(&db).await;
        let mut seen = None;
        db.run(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'w'; GRANT INSERT, SELECT ON t TO {role}; DROP TRIGGER crossfade_guard ON t"
        ))
        .await;
        let writer = db.store_of(&role, "w");
        let writer = writer
            .connect(crossfade_postgres::Purpose::Check)
            .await
            .unwrap();
        let flood = |from: u32, to: u32| {
            format!("INSERT INTO public.t SELECT i, 'f', 'x' FROM generate_series({from}, {to}) i")
        };
        writer.batch("writing", &flood(1, 1)).await.unwrap();
        let first = noted(&store, &mut seen).await;
        assert!(first[0].who.starts_with(&role), "{}", first[0].who);
        writer.batch("writing", &flood(2, 20_000)).await.unwrap();
        let more = noted(&store, &mut seen).await;
        assert!(more.len() < 10_001, "{}", more.len());
        assert_eq!(more.last().map(|e| e.operation), Some(Written::More));
        // the next transaction finds no room at all, and is told nevertheless
        for from in [30_001, 30_011] {
            writer
                .batch("writing", &flood(from, from + 9))
                .await
                .unwrap();
            let later = noted(&store, &mut seen).await;
            assert_eq!(shown(&later), [entry("t", Written::More, None)]);
        }
        drop(writer);
        db.drop().await;
    }
}

#[tokio::test]
async fn marks_that_are_taken_off_are_missed_and_abort_leaves_nothing() {
    for server in SERVERS {
        let db = Db::create(server).await;
        let (store, tables, apply) = marked(&db).await;
        let unseen = async || {
            let found = store.strangers("m", None).await.unwrap().unseen;
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(unseen().await, [""; 0]);
        let findings = Target::findings(&store, "m", &tables, false).await.unwrap();
        let in_the_way = "postgres.trigger_in_the_way";
        assert!(
            findings.iter().all(|f| f.code != in_the_way),
            "{findings:?}"
        );
        for (off, table) in [
            ("ALTER TABLE t DISABLE TRIGGER ALL", "public.t"),
            (
                "ALTER TABLE t ENABLE TRIGGER crossfade_stranger",
                "public.t",
            ),
            ("DROP TRIGGER crossfade_stranger_truncate ON n", "public.n"),
            (
                "ALTER TABLE p2 DISABLE TRIGGER crossfade_stranger",
                "public.p",
            ),
            ("DROP TRIGGER crossfade_stranger_truncate ON p1", "public.p"),
        ] {
            db.run(off).await;
            assert_eq!(unseen().await, [table], "{server}: {off}");
            let lost = store.watch_strangers("m", &tables).await.unwrap();
            let lost: Vec<String> = lost.iter().map(ToString::to_string).collect();
            assert_eq!(lost, [table], "{server}: {off}");
            assert_eq!(unseen().await, [""; 0], "{server}: {off}");
        }
        behind(&db, "INSERT INTO t VALUES (1, 'a', 'x')").await;
        let made = Target::made(&store, "m").await.unwrap();
        let marks = made
            .iter()
            .filter(|m| m.name.starts_with("crossfade_stranger"));
        assert_eq!(marks.count(), 8, "{made:?}");
        assert!(
            made.iter().any(|m| m.name == "crossfade.stranger"),
            "{made:?}"
        );
        drop(apply);
        Target::remove(&store, "m", &tables).await.unwrap();
        assert_eq!(Target::made(&store, "m").await.unwrap(), []);
        let left = "SELECT concat_ws(' ', (SELECT string_agg(tgname, ' ') FROM pg_trigger WHERE tgname LIKE 'crossfade%'),
                        to_regnamespace('crossfade')::text)";
        assert_eq!(db.text(left).await.as_deref(), Some(""), "{server}");
        db.drop().await;
    }
}
