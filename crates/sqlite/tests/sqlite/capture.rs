//! What triggers must log, whatever the application does.

use crossfade_model::{Severity, StreamEvent};
use crossfade_store::{Source, WatchOutcome};

use crate::common::{Copy, World, assert_equal, words};

#[tokio::test]
async fn inserts_updates_and_deletes_come_as_their_last_image_once_a_poll() {
    let world = World::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b')",
    );
    let mut follower = world.follow().await;
    world.run(
        "BEGIN; INSERT INTO t VALUES (3, 'c'); UPDATE t SET v = 'x' WHERE id = 1; UPDATE t SET v = 'y' WHERE id = 1;
         DELETE FROM t WHERE id = 2; COMMIT",
    );
    let changes = follower.catch_up(&world).await;
    assert_eq!(words(&follower.spec, &changes), ["t+1", "t+3", "t-2"]);
}

#[tokio::test]
async fn a_rolled_back_transaction_and_savepoint_leave_nothing() {
    let world = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    let mut follower = world.follow().await;
    world.run("BEGIN; INSERT INTO t VALUES (1, 'a'); ROLLBACK");
    world.run("BEGIN; INSERT INTO t VALUES (2, 'a'); SAVEPOINT s; INSERT INTO t VALUES (3, 'a'); ROLLBACK TO s; COMMIT");
    let changes = follower.catch_up(&world).await;
    assert_eq!(words(&follower.spec, &changes), ["t+2"]);
}

#[tokio::test]
async fn a_change_of_key_is_a_delete_and_an_upsert() {
    let world = World::new(
        "CREATE TABLE t(a TEXT, b INTEGER, v, PRIMARY KEY (a, b)) WITHOUT ROWID; INSERT INTO t VALUES ('k', 1, 0)",
    );
    let mut follower = world.follow().await;
    world.run("UPDATE t SET b = 2");
    let changes = follower.catch_up(&world).await;
    assert_eq!(words(&follower.spec, &changes), ["t+k,2", "t-k,1"]);
}

/// `REPLACE` removes rows without running delete triggers.
#[tokio::test]
async fn replace_on_every_unique_key_is_seen() {
    let world = World::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, mail TEXT COLLATE NOCASE UNIQUE, a INT, b INT);
         CREATE UNIQUE INDEX ab ON t(a, b);
         CREATE UNIQUE INDEX part ON t(a) WHERE b > 100;
         INSERT INTO t VALUES (1, 'one', 1, 1), (2, 'two', 2, 2), (3, 'three', 3, 3), (4, 'four', 4, 104)",
    );
    let mut copy = Copy::begin(&world).await;
    world.run("INSERT OR REPLACE INTO t VALUES (10, 'ONE', 9, 9)");
    world.run("REPLACE INTO t VALUES (11, 'eleven', 2, 2)");
    world.run("UPDATE OR REPLACE t SET mail = 'Three' WHERE id = 11");
    world.run("INSERT OR REPLACE INTO t VALUES (12, 'twelve', 4, 200)");
    let rows: i64 = world
        .app
        .query_row("SELECT count(*) FROM t", [], |r| r.get(0))
        .unwrap();
    assert_eq!(rows, 3, "four rows were replaced");
    copy.catch_up(&world).await;
    assert_equal(&world, &["t"]);
}

/// The default that takes the place of NULL is set only after BEFORE triggers ran.
#[tokio::test]
async fn replace_by_the_default_of_a_not_null_column_is_seen() {
    let world = World::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, code TEXT NOT NULL DEFAULT 'none' UNIQUE);
         INSERT INTO t VALUES (1, 'none'), (2, 'x')",
    );
    let mut copy = Copy::begin(&world).await;
    world.run("INSERT OR REPLACE INTO t VALUES (3, NULL)");
    world.run("UPDATE OR REPLACE t SET code = NULL WHERE id = 2");
    copy.catch_up(&world).await;
    assert_equal(&world, &["t"]);
}

/// A row may be replaced by its rowid though its key is another column.
#[tokio::test]
async fn replace_by_an_explicit_rowid_is_seen() {
    let world = World::new(
        "CREATE TABLE t(k TEXT NOT NULL PRIMARY KEY, v); INSERT INTO t(rowid, k, v) VALUES (7, 'old', 1), (8, 'other', 1)",
    );
    let mut follower = world.follow().await;
    world.run_together(
        "INSERT OR REPLACE INTO t(rowid, k, v) VALUES (7, 'new', 2); UPDATE OR REPLACE t SET rowid = 7 WHERE k = 'other'",
    );
    let changes = follower.catch_up(&world).await;
    assert_eq!(
        words(&follower.spec, &changes),
        ["t+other", "t-new", "t-old"]
    );
}

#[tokio::test]
async fn replace_by_a_generated_column_is_seen() {
    let world = World::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, low TEXT AS (a % 10) STORED UNIQUE); INSERT INTO t VALUES (1, 5), (2, 6), (3, 7)",
    );
    let mut copy = Copy::begin(&world).await;
    world.run("INSERT OR REPLACE INTO t VALUES (4, 15)");
    world.run("UPDATE OR REPLACE t SET a = 26 WHERE id = 4");
    copy.catch_up(&world).await;
    assert_equal(&world, &["t"]);
}

#[tokio::test]
async fn cascades_and_the_applications_own_triggers_are_seen() {
    let world = World::new(
        "CREATE TABLE p(id INTEGER PRIMARY KEY, v, at TEXT);
         CREATE TABLE c(id INTEGER PRIMARY KEY, p INT REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE);
         CREATE TRIGGER touch AFTER UPDATE OF v ON p BEGIN UPDATE p SET at = 'touched' WHERE id = NEW.id; END;
         CREATE TRIGGER spawn AFTER INSERT ON p BEGIN INSERT INTO c(p) VALUES (NEW.id); END;
         INSERT INTO p VALUES (1, 0, ''), (2, 0, ''), (3, 0, ''); INSERT INTO c VALUES (10, 1), (11, 2), (12, 3)",
    );
    let mut copy = Copy::begin(&world).await;
    world.run("PRAGMA foreign_keys = ON");
    world.run("DELETE FROM p WHERE id = 1");
    world.run("REPLACE INTO p VALUES (2, 5, 'again')");
    world.run("UPDATE p SET id = 30 WHERE id = 3");
    world.run("UPDATE p SET v = 9 WHERE id = 30");
    copy.catch_up(&world).await;
    assert_equal(&world, &["p", "c"]);
}

#[tokio::test]
async fn upserts_and_other_processes_with_older_libraries_are_seen() {
    let world = World::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, u TEXT UNIQUE, v); INSERT INTO t VALUES (1, 'a', 0), (2, 'b', 0)",
    );
    let mut copy = Copy::begin(&world).await;
    world.run_elsewhere("INSERT INTO t VALUES (1, 'z', 5) ON CONFLICT(id) DO UPDATE SET u = excluded.u;
        INSERT OR REPLACE INTO t VALUES (3, 'b', 1); INSERT OR IGNORE INTO t VALUES (4, 'b', 1); DELETE FROM t WHERE id = 1;");
    copy.catch_up(&world).await;
    assert_equal(&world, &["t"]);
}

/// Under NOCASE 'a' and 'A' are one value for the source's index, and two keys for the copy.
#[tokio::test]
async fn keys_that_differ_in_case_only_follow_each_other() {
    let world = World::new(
        "CREATE TABLE t(k TEXT NOT NULL COLLATE NOCASE PRIMARY KEY, v); INSERT INTO t VALUES ('a', 1), ('b', 1), ('c', 1)",
    );
    let mut copy = Copy::begin(&world).await;
    world.run("UPDATE t SET k = 'A' WHERE k = 'a'");
    copy.catch_up(&world).await;
    assert_equal(&world, &["t"]);
    world.run("REPLACE INTO t VALUES ('B', 2); UPDATE OR REPLACE t SET k = 'C' WHERE k = 'A'");
    copy.catch_up(&world).await;
    assert_equal(&world, &["t"]);
}

/// A target may tell 'b' from 'B': the replaced key is logged too.
#[tokio::test]
async fn a_key_replaced_by_one_in_other_case_is_deleted() {
    let world = World::new(
        "CREATE TABLE t(k TEXT NOT NULL COLLATE NOCASE PRIMARY KEY, v); INSERT INTO t VALUES ('b', 1), ('c', 1), ('d', 1)",
    );
    let mut follower = world.follow().await;
    world.run_together(
        "REPLACE INTO t VALUES ('B', 2); UPDATE OR REPLACE t SET k = 'C' WHERE k = 'd'",
    );
    let changes = follower.catch_up(&world).await;
    assert_eq!(
        words(&follower.spec, &changes),
        ["t+B", "t+C", "t-b", "t-c", "t-d"]
    );
}

#[tokio::test]
async fn unique_values_that_change_places_converge() {
    let world = World::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, u TEXT UNIQUE); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')",
    );
    let mut copy = Copy::begin(&world).await;
    for mapping in &copy.follower.spec.tables {
        crossfade_store::Target::build_unique_indexes(&world.target, mapping)
            .await
            .unwrap();
    }
    world.run("BEGIN; UPDATE t SET u = NULL WHERE id = 1; UPDATE t SET u = 'a' WHERE id = 2; UPDATE t SET u = 'b' WHERE id = 1; COMMIT");
    copy.catch_up(&world).await;
    assert_equal(&world, &["t"]);
}

#[tokio::test]
async fn two_migrations_of_one_file_do_not_disturb_each_other() {
    let world = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
    let mut first = world.follow().await;
    let mut spec = world.spec().await;
    spec.migration = "shop_t0".into();
    let start = world.source.create_capture(&spec).await.unwrap();
    let mut second = world
        .source
        .open_stream(&spec, start.position)
        .await
        .unwrap();
    world.run("INSERT INTO t VALUES (1, 1)");
    let changes = first.catch_up(&world).await;
    assert_eq!(words(&first.spec, &changes), ["t+1"]);
    let events = loop {
        let events = second.next().await.unwrap();
        if !events.is_empty() {
            break events;
        }
    };
    assert!(events.iter().any(|e| matches!(e, StreamEvent::Change(_))));
    let gone = world.source.remove_capture("shop_t0").await.unwrap();
    assert_eq!(gone.iter().filter(|m| m.kind == "table").count(), 2);
    assert!(gone.iter().all(|m| m.name.contains("shop_t0_")));
    assert!(world.source.made("shop_t0").await.unwrap().is_empty());
    world.run("INSERT INTO t VALUES (2, 1)");
    let changes = first.catch_up(&world).await;
    assert_eq!(words(&first.spec, &changes), ["t+2"]);
}

#[tokio::test]
async fn everything_made_is_listed_and_removable() {
    let world = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, u UNIQUE)");
    let before = catalogue(&world);
    let follower = world.follow().await;
    let made = world.source.made(crate::common::MIGRATION).await.unwrap();
    assert_eq!(made, follower.start.made);
    assert!(made.iter().filter(|m| m.kind == "trigger").count() >= 5);
    world
        .source
        .remove_capture(crate::common::MIGRATION)
        .await
        .unwrap();
    assert_eq!(catalogue(&world), before);
}

fn catalogue(world: &World) -> Vec<String> {
    world
        .app
        .prepare("SELECT type || ' ' || name FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY 1")
        .unwrap()
        .query_map([], |r| r.get(0))
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap()
}

#[tokio::test]
async fn names_with_quotes_case_and_other_scripts_work() {
    let world = World::new(
        "CREATE TABLE \"Größe \"\"x\"\" 'y'\"(\"Schlüssel 'k'\" INTEGER PRIMARY KEY, \"select\" TEXT UNIQUE, [a]]b] INT);
         INSERT INTO \"Größe \"\"x\"\" 'y'\" VALUES (1, 'a', 1), (2, 'b', 2)"
            .replace("[a]]b]", "[a b]")
            .as_str(),
    );
    let mut copy = Copy::begin(&world).await;
    world.run("REPLACE INTO \"Größe \"\"x\"\" 'y'\" VALUES (3, 'a', 5); UPDATE \"Größe \"\"x\"\" 'y'\" SET [a b] = 9 WHERE \"select\" = 'b'");
    copy.catch_up(&world).await;
    assert_equal(&world, &["Größe \"x\" 'y'"]);
}

#[tokio::test]
async fn what_cannot_be_captured_is_a_finding() {
    let world = World::new(
        "CREATE TABLE nokey(a); CREATE TABLE nullable(k TEXT PRIMARY KEY, v);
         CREATE TABLE expr(id INTEGER PRIMARY KEY, v TEXT); CREATE UNIQUE INDEX ex ON expr(lower(v));
         CREATE TABLE dflt(id INTEGER PRIMARY KEY, v TEXT NOT NULL DEFAULT (hex(randomblob(4))) UNIQUE);
         CREATE TABLE good(id INTEGER PRIMARY KEY, v TEXT NOT NULL DEFAULT 'x' UNIQUE)",
    );
    let spec = world.spec().await;
    let findings = world.source.findings(&spec).await.unwrap();
    let mut found: Vec<(String, String)> = findings
        .iter()
        .map(|f| {
            assert_eq!(f.severity, Severity::Blocks);
            assert!(f.fix.is_some());
            (f.code.clone(), f.table.clone().unwrap_or_default())
        })
        .collect();
    found.sort();
    let expected = [
        ("sqlite.no_key", "nokey"),
        ("sqlite.nullable_key", "nullable"),
        ("sqlite.unique_default", "dflt"),
        ("sqlite.unique_expression", "expr"),
    ];
    assert_eq!(
        found,
        expected.map(|(code, table)| (code.to_owned(), table.to_owned()))
    );
    world.run("PRAGMA journal_mode = DELETE");
    let findings = world.source.findings(&spec).await.unwrap();
    assert!(findings.iter().any(|f| f.code == "sqlite.journal_mode"));
}

#[tokio::test]
async fn the_watch_names_what_changed() {
    let world = World::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY); CREATE TABLE u(id INTEGER PRIMARY KEY)",
    );
    let follower = world.follow().await;
    let watch = || world.source.watch(&follower.spec);
    assert_eq!(watch().await.unwrap(), WatchOutcome::Same);
    world.run("CREATE INDEX plain ON t(id)");
    assert_eq!(watch().await.unwrap(), WatchOutcome::Same);
    world.run("ALTER TABLE u ADD COLUMN x");
    let WatchOutcome::Changed(what) = watch().await.unwrap() else {
        panic!("the new column was not seen")
    };
    assert_eq!(what[0].0, "u");
}
