//! Gaps in the log are found, and never passed over.

use crossfade_model::{Position, StreamEvent};
use crossfade_store::{ErrorKind, Source, WatchOutcome};

use crate::common::{MIGRATION, World, words};

/// The usual way to alter a table (a new one, copied and renamed) drops its triggers.
#[tokio::test]
async fn a_table_rebuild_stops_the_stream() {
    let world =
        World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1)");
    let mut follower = world.follow().await;
    world.run(
        "BEGIN; CREATE TABLE new(id INTEGER PRIMARY KEY, v); INSERT INTO new SELECT * FROM t; DROP TABLE t;
         ALTER TABLE new RENAME TO t; COMMIT; UPDATE t SET v = 2",
    );
    let error = follower.failure().await;
    assert_eq!(error.kind, ErrorKind::LogLost);
    assert!(error.what.contains("trigger"), "{error}");
    let again = world
        .source
        .open_stream(&follower.spec, follower.start.position)
        .await
        .err()
        .unwrap();
    assert_eq!(again.kind, ErrorKind::LogLost);
}

#[tokio::test]
async fn a_dropped_trigger_stops_the_stream() {
    let world = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
    let mut follower = world.follow().await;
    world.run_elsewhere("DROP TRIGGER _crossfade_shop_t0_ad");
    assert_eq!(follower.failure().await.kind, ErrorKind::LogLost);
}

#[tokio::test]
async fn a_changed_table_is_said_and_nothing_after_it_is_read() {
    for ddl in [
        "ALTER TABLE t ADD COLUMN x",
        "DROP INDEX early",
        "ALTER TABLE t RENAME TO moved",
        "DROP TABLE t",
    ] {
        let world = World::new(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE UNIQUE INDEX early ON t(v)",
        );
        let mut follower = world.follow().await;
        world.run(ddl);
        let events = follower.events().await.unwrap();
        assert!(
            matches!(events.as_slice(), [StreamEvent::SchemaChanged { .. }]),
            "{ddl}: {events:?}"
        );
        assert!(follower.stream.next().await.unwrap().is_empty());
    }
}

/// What REPLACE removed by an index that the triggers do not know was not logged.
#[tokio::test]
async fn a_late_unique_index_is_a_gap() {
    let world =
        World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1)");
    let mut follower = world.follow().await;
    world.run_together("CREATE UNIQUE INDEX late ON t(v); REPLACE INTO t VALUES (2, 1)");
    let error = follower.failure().await;
    assert_eq!(error.kind, ErrorKind::LogLost);
    assert!(error.what.contains("late"), "{error}");
    let WatchOutcome::Changed(what) = world.source.watch(&follower.spec).await.unwrap() else {
        panic!("not seen")
    };
    assert_ne!(
        what[0].0, "t",
        "no change of the target's table can heal it"
    );
}

/// A run that is begun again with a plan of the altered table goes on where the one before ended.
#[tokio::test]
async fn an_altered_table_is_followed_under_a_new_plan() {
    let world =
        World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE UNIQUE INDEX u ON t(v)");
    let mut follower = world.follow().await;
    world.run("ALTER TABLE t ADD COLUMN x DEFAULT 7; DROP INDEX u; INSERT INTO t(id) VALUES (1)");
    let events = follower.events().await.unwrap();
    assert!(matches!(events[0], StreamEvent::SchemaChanged { .. }));
    let old = world
        .source
        .open_stream(&follower.spec, follower.start.position)
        .await;
    let events = old.unwrap().next().await.unwrap();
    assert!(
        matches!(events[0], StreamEvent::SchemaChanged { .. }),
        "the old plan does not know the table: {events:?}"
    );
    follower.spec = world.spec().await;
    follower.stream = world
        .source
        .open_stream(&follower.spec, follower.start.position)
        .await
        .unwrap();
    let changes = follower.catch_up(&world).await;
    assert_eq!(words(&follower.spec, &changes), ["t+1"]);
    assert_eq!(
        world.source.watch(&follower.spec).await.unwrap(),
        WatchOutcome::Same
    );
}

#[tokio::test]
async fn other_ddl_does_not_disturb() {
    let world = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
    let mut follower = world.follow().await;
    world.run("CREATE TABLE other(a); CREATE INDEX i ON t(v); DROP TABLE other; VACUUM; ANALYZE; INSERT INTO t VALUES (1, 1)");
    let changes = follower.catch_up(&world).await;
    assert_eq!(words(&follower.spec, &changes), ["t+1"]);
}

/// Applications empty `sqlite_sequence` to begin counting again.
#[tokio::test]
async fn an_emptied_sequence_table_does_not_set_the_log_back() {
    let world = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, v)");
    let mut follower = world.follow().await;
    world.run("INSERT INTO t(v) VALUES (1)");
    follower.catch_up(&world).await;
    let before = world.last().await;
    follower.stream.confirm(before).await.unwrap();
    wait_trimmed(&world, before).await;
    world.run("DELETE FROM sqlite_sequence; INSERT INTO t(v) VALUES (2)");
    assert!(world.last().await > before);
    let changes = follower.catch_up(&world).await;
    assert_eq!(words(&follower.spec, &changes), ["t+2"]);
}

async fn wait_trimmed(world: &World, checkpoint: Position) {
    for _ in 0..200 {
        let kept: i64 = world
            .app
            .query_row(
                "SELECT count(*) FROM _crossfade_shop_change WHERE seq < ?1",
                [checkpoint.0 as i64],
                |r| r.get(0),
            )
            .unwrap();
        if kept == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the change table was not trimmed");
}

#[tokio::test]
async fn confirmed_changes_are_removed_and_an_older_checkpoint_is_refused() {
    let world = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
    let mut follower = world.follow().await;
    world.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000) INSERT INTO t SELECT i, i FROM n");
    follower.catch_up(&world).await;
    let checkpoint = world.last().await;
    follower.stream.confirm(checkpoint).await.unwrap();
    wait_trimmed(&world, checkpoint).await;
    assert_eq!(world.last().await, checkpoint, "the newest row stays");
    let error = world
        .source
        .open_stream(&follower.spec, Position(checkpoint.0 - 5))
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind, ErrorKind::LogLost);
    drop(follower.stream);
    let mut again = world
        .source
        .open_stream(&follower.spec, checkpoint)
        .await
        .unwrap();
    world.run("DELETE FROM t WHERE id = 7");
    let events = loop {
        let events = again.next().await.unwrap();
        if !events.is_empty() {
            break events;
        }
    };
    assert_eq!(events.len(), 3, "{events:?}");
}

#[tokio::test]
async fn a_file_restored_from_an_older_copy_is_refused() {
    let world = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
    let follower = world.follow().await;
    world.run(&format!(
        "VACUUM INTO '{}'",
        world.path("backup.db").display()
    ));
    world.run("INSERT INTO t VALUES (1, 1), (2, 2)");
    let checkpoint = world.last().await;
    let url = crate::common::url(&world.dir, "backup.db");
    let backup = crossfade_sqlite::SqliteStore::open(&url, crossfade_sqlite::Role::Source).unwrap();
    let error = backup
        .open_stream(&follower.spec, checkpoint)
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind, ErrorKind::LogLost);
    assert_eq!(
        Source::identity(&backup).await.unwrap().identity,
        Source::identity(&world.source).await.unwrap().identity,
        "the copy has the same history"
    );
}

#[tokio::test]
async fn a_capture_made_again_does_not_take_an_old_checkpoint() {
    let world = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
    let follower = world.follow().await;
    world.run("INSERT INTO t VALUES (1, 1)");
    let checkpoint = world.last().await;
    world.source.remove_capture(MIGRATION).await.unwrap();
    let gone = world
        .source
        .open_stream(&follower.spec, checkpoint)
        .await
        .err()
        .unwrap();
    assert_eq!(gone.kind, ErrorKind::LogLost);
    world.source.create_capture(&follower.spec).await.unwrap();
    world.run("INSERT INTO t VALUES (2, 1), (3, 1)");
    let error = world
        .source
        .open_stream(&follower.spec, checkpoint)
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind, ErrorKind::LogLost);
}

#[tokio::test]
async fn a_file_put_in_the_place_of_an_open_one_is_noticed() {
    let world = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
    let mut follower = world.follow().await;
    world.run(&format!(
        "VACUUM INTO '{}'",
        world.path("copy.db").display()
    ));
    std::fs::rename(world.path("copy.db"), world.path("source.db")).unwrap();
    let error = follower.failure().await;
    assert_eq!(error.kind, ErrorKind::WrongStore);
}

#[tokio::test]
async fn an_emptied_change_table_is_a_gap() {
    let world = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
    let mut follower = world.follow().await;
    world.run("DELETE FROM _crossfade_shop_change");
    assert_eq!(follower.failure().await.kind, ErrorKind::LogLost);
}
