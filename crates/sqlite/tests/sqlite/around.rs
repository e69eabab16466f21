//! What stands around a target's tables: guards, findings, and what a migration leaves behind.

use crossfade_model::Severity;
use crossfade_store::Target;
use rusqlite::Connection;

use crate::common::{Copy, MIGRATION, World, target_catalogue};

#[tokio::test]
async fn others_may_read_the_target_and_not_write_to_it() {
    let world =
        World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'a')");
    let copy = Copy::begin(&world).await;
    let stranger = Connection::open(world.path("target.db")).unwrap();
    for sql in [
        "INSERT INTO t VALUES (2, 'x')",
        "UPDATE t SET v = 'x'",
        "DELETE FROM t",
        "REPLACE INTO t VALUES (1, 'x')",
    ] {
        let error = stranger.execute(sql, []).unwrap_err().to_string();
        assert!(
            error.contains("crossfade: table t is being migrated into"),
            "{error}"
        );
    }
    let rows: i64 = stranger
        .query_row("SELECT count(*) FROM t", [], |r| r.get(0))
        .unwrap();
    assert_eq!(rows, 1);
    let made = Target::made(&world.target, MIGRATION).await.unwrap();
    assert!(made.iter().any(|m| m.kind == "trigger"), "{made:?}");
    let tables = copy.follower.spec.tables.clone();
    drop(copy);
    let gone = world.target.remove(MIGRATION, &[]).await.unwrap();
    assert!(gone.iter().any(|m| m.kind == "trigger"), "{gone:?}");
    stranger
        .execute("INSERT INTO t VALUES (2, 'x')", [])
        .unwrap();
    assert!(world.target.peek(MIGRATION).await.unwrap().is_none());
    assert!(
        Target::made(&world.target, MIGRATION)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(target_catalogue(&world).len(), 1, "the table stays");
    drop(tables);
}

#[tokio::test]
async fn an_aborted_migration_takes_its_own_tables_and_no_others() {
    let world = World::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE TABLE mine(id INTEGER PRIMARY KEY, v)",
    );
    Connection::open(world.path("target.db"))
        .unwrap()
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE mine(id INTEGER PRIMARY KEY, v)")
        .unwrap();
    let copy = Copy::begin(&world).await;
    let tables = copy.follower.spec.tables.clone();
    drop(copy);
    world.target.remove(MIGRATION, &tables).await.unwrap();
    let names: Vec<String> = target_catalogue(&world)
        .into_iter()
        .map(|(n, _)| n)
        .collect();
    assert_eq!(names, ["mine"]);
    assert!(!world.path("target.db-crossfade-shop.lock").exists());
}

#[tokio::test]
async fn what_is_in_the_way_is_a_finding() {
    let world = World::new(
        "CREATE TABLE full(id INTEGER PRIMARY KEY, v); CREATE TABLE nokey(id INTEGER PRIMARY KEY, v);
         CREATE TABLE lacks(id INTEGER PRIMARY KEY, v); CREATE TABLE coarse(k TEXT NOT NULL PRIMARY KEY);
         CREATE TABLE uniq(id INTEGER PRIMARY KEY, v UNIQUE); CREATE TABLE taken(id INTEGER PRIMARY KEY)",
    );
    Connection::open(world.path("target.db"))
        .unwrap()
        .execute_batch(
            "CREATE TABLE \"full\"(id INTEGER PRIMARY KEY, v); INSERT INTO \"full\" VALUES (1, 1); CREATE TABLE nokey(id INT, v);
             CREATE TABLE lacks(id INTEGER PRIMARY KEY); CREATE TABLE coarse(k TEXT COLLATE NOCASE NOT NULL PRIMARY KEY);
             CREATE TABLE uniq(id INTEGER PRIMARY KEY, v UNIQUE); CREATE VIEW taken AS SELECT 1 AS id",
        )
        .unwrap();
    let mut spec = world.spec().await;
    let mut twin = spec.tables[0].clone();
    twin.target.name.name = twin.target.name.name.to_uppercase();
    spec.tables.push(twin);
    let mut reserved = spec.tables[0].clone();
    reserved.target.name.name = "sqlite_x".into();
    spec.tables.push(reserved);
    let findings = Target::findings(&world.target, MIGRATION, &spec.tables, true)
        .await
        .unwrap();
    let mut found: Vec<(&str, &str)> = findings
        .iter()
        .filter(|f| f.severity != Severity::Note)
        .map(|f| (f.code.as_str(), f.table.as_deref().unwrap_or("")))
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            ("sqlite.coarser_key", "coarse"),
            // its twin in capitals is the same table
            ("sqlite.coarser_key", "coarse"),
            ("sqlite.columns", "lacks"),
            ("sqlite.journal_mode", ""),
            ("sqlite.name_taken", "taken"),
            ("sqlite.not_empty", "full"),
            ("sqlite.reserved_name", "sqlite_x"),
            ("sqlite.same_name", "COARSE"),
            ("sqlite.target_key", "nokey"),
            ("sqlite.unique_while_loading", "uniq"),
        ]
    );
}

#[tokio::test]
async fn guards_that_somebody_takes_off_are_missed() {
    let world = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
    let copy = Copy::begin(&world).await;
    let tables = copy.follower.spec.tables.clone();
    let unseen = async || {
        let found = world.target.strangers(MIGRATION, None).await.unwrap();
        assert_eq!(found.entries, []);
        let names = found.unseen.into_iter().map(|table| table.name);
        names.collect::<Vec<_>>()
    };
    assert_eq!(unseen().await, [""; 0]);
    let stranger = Connection::open(world.path("target.db")).unwrap();
    for off in [
        "DROP TRIGGER _crossfade_guard_delete_t",
        "DROP TRIGGER _crossfade_guard_insert_t;
         CREATE TRIGGER _crossfade_guard_insert_t BEFORE INSERT ON t BEGIN SELECT 1; END",
    ] {
        stranger.execute_batch(off).unwrap();
        assert_eq!(unseen().await, ["t"], "{off}");
    }
    stranger
        .execute_batch("DROP TRIGGER _crossfade_guard_insert_t")
        .unwrap();
    world.target.create_tables(&[], &[], &tables).await.unwrap();
    assert_eq!(unseen().await, [""; 0]);
    for lost in [1, 0] {
        let found = world.target.watch_strangers(MIGRATION, &tables).await;
        assert_eq!(found.unwrap().len(), lost);
    }
    drop(copy);
    let gone = world.target.remove(MIGRATION, &[]).await.unwrap();
    assert!(gone.iter().all(|m| m.name != "t"), "{gone:?}");
}
