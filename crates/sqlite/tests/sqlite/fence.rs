//! The fence of a file: who waits, who is refused, and who passes. The application is another process with its own SQLite.

use std::path::Path;
use std::time::Duration;

use crossfade_model::{Mode, Register, Table};
use crossfade_sqlite::{Role, SqliteStore};
use crossfade_store::{ErrorKind, Fence, Fire, Latch, Source};
use rusqlite::Connection;

use crate::common::{Elsewhere, MIGRATION, World, url};

pub const OPEN: Register = Register {
    mode: Mode::Open,
    epoch: 0,
};
pub const FENCED: Register = Register {
    mode: Mode::Fenced,
    epoch: 1,
};

pub const FIRE: Fire = Fire {
    within: Duration::from_secs(20),
    end_blockers: false,
    hold: Duration::from_secs(600),
};

pub async fn tables_of(store: &SqliteStore) -> Vec<Table> {
    Source::describe(store).await.unwrap().tables
}

/// Makes the register and arms all tables.
pub async fn arm(store: &SqliteStore, first: Register) {
    store.make_register(MIGRATION, first).await.unwrap();
    let tables = tables_of(store).await;
    store.arm(MIGRATION, &tables, FIRE.within).await.unwrap();
}

pub async fn fire(store: &SqliteStore) -> Box<dyn Latch> {
    store.fire(MIGRATION, &FIRE).await.unwrap()
}

pub fn count(path: &Path, table: &str) -> i64 {
    Connection::open(path)
        .unwrap()
        .query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get(0))
        .unwrap()
}

pub const TWO: &str = "CREATE TABLE a(id INTEGER PRIMARY KEY, v); CREATE TABLE b(k TEXT PRIMARY KEY, v) WITHOUT ROWID;
    INSERT INTO a VALUES (1, 0), (2, 0); INSERT INTO b VALUES ('x', 0), ('y', 0)";

async fn writers_wait_and_go_on(mode: &str) {
    let world = World::new(TWO);
    world.run(&format!("PRAGMA journal_mode = {mode}"));
    arm(&world.source, OPEN).await;
    let latch = fire(&world.source).await;
    assert_eq!(latch.standing().register, OPEN);
    let path = world.path("source.db");
    // the tables in opposite orders
    let mut one = Elsewhere::new(&path);
    one.send("BEGIN; UPDATE a SET v = v + 1; UPDATE b SET v = v + 1; COMMIT; SELECT 'done';");
    let mut other = Elsewhere::new(&path);
    other.send("BEGIN; UPDATE b SET v = v + 1; UPDATE a SET v = v + 1; COMMIT; SELECT 'done';");
    one.must_wait();
    other.must_wait();
    latch.release().await.unwrap();
    assert_eq!(one.line(), "done");
    assert_eq!(other.line(), "done");
    assert_eq!((one.end(), other.end()), (String::new(), String::new()));
    let sum: i64 = world
        .app
        .query_row(
            "SELECT (SELECT sum(v) FROM a) + (SELECT sum(v) FROM b)",
            [],
            |r| r.get(0),
        )
        .unwrap();
    assert_eq!(sum, 8);
}

#[tokio::test]
async fn writers_wait_for_a_fired_fence_and_see_no_error() {
    writers_wait_and_go_on("WAL").await;
}

#[tokio::test]
async fn writers_wait_with_a_rollback_journal_too() {
    writers_wait_and_go_on("DELETE").await;
}

async fn writers_are_refused_after_the_commit(mode: &str) {
    let world = World::new(&format!(
        "{TWO}; CREATE VIEW w AS SELECT id, v FROM a;
         CREATE TRIGGER wi INSTEAD OF INSERT ON w BEGIN INSERT INTO a VALUES (NEW.id, NEW.v); END;
         CREATE TABLE free(id INTEGER PRIMARY KEY)"
    ));
    world.run(&format!("PRAGMA journal_mode = {mode}"));
    world.source.make_register(MIGRATION, OPEN).await.unwrap();
    let tables: Vec<Table> = tables_of(&world.source)
        .await
        .into_iter()
        .filter(|t| t.name.name != "free")
        .collect();
    world
        .source
        .arm(MIGRATION, &tables, FIRE.within)
        .await
        .unwrap();
    let path = world.path("source.db");
    let mut waiting = Elsewhere::new(&path);
    let mut latch = fire(&world.source).await;
    waiting.send("INSERT INTO a VALUES (9, 9); SELECT 'done';");
    waiting.must_wait();
    latch.commit(OPEN, FENCED).await.unwrap();
    latch
        .commit(FENCED, Register::new(Mode::Given, 1))
        .await
        .unwrap();
    latch.keep().await.unwrap();
    latch.release().await.unwrap();
    assert_eq!(waiting.line(), "done");
    assert!(waiting.end().contains("crossfade: migration shop"));
    for sql in [
        "INSERT INTO a VALUES (3, 0)",
        "INSERT OR IGNORE INTO a VALUES (3, 0)",
        "INSERT OR REPLACE INTO a VALUES (1, 5)",
        "INSERT INTO a VALUES (1, 5) ON CONFLICT(id) DO UPDATE SET v = 7",
        "UPDATE OR IGNORE a SET v = 9",
        "DELETE FROM a",
        "DELETE FROM b WHERE k = 'x'",
        "REPLACE INTO b VALUES ('x', 1)",
        "UPDATE b SET v = 1",
        "INSERT INTO w VALUES (5, 5)",
    ] {
        let mut app = Elsewhere::new(&path);
        app.send(&format!("{sql};"));
        let told = app.end();
        assert!(
            told.contains("migration shop has moved table") && told.contains("write there"),
            "{sql}: {told}"
        );
    }
    let mut app = Elsewhere::new(&path);
    app.send("INSERT INTO free VALUES (1);");
    assert_eq!(app.end(), "", "other tables are free");
    assert_eq!((count(&path, "a"), count(&path, "b")), (2, 2));
    let standing = world.source.standing(MIGRATION).await.unwrap().unwrap();
    assert_eq!(standing.register, Register::new(Mode::Given, 1));
}

#[tokio::test]
async fn writers_are_refused_once_the_register_is_committed() {
    writers_are_refused_after_the_commit("WAL").await;
}

#[tokio::test]
async fn writers_are_refused_with_a_rollback_journal_too() {
    writers_are_refused_after_the_commit("DELETE").await;
}

/// A transaction that read before the fence cannot write after it.
#[tokio::test]
async fn an_open_read_snapshot_does_not_become_a_write() {
    let world = World::new(TWO);
    arm(&world.source, OPEN).await;
    let path = world.path("source.db");
    let mut reader = Elsewhere::new(&path);
    reader.send("BEGIN; SELECT count(*) FROM a;");
    assert_eq!(reader.line(), "2");
    let mut latch = fire(&world.source).await;
    latch.commit(OPEN, FENCED).await.unwrap();
    latch.release().await.unwrap();
    reader.send("SELECT count(*) FROM a; INSERT INTO a VALUES (9, 9); COMMIT; SELECT 'done';");
    assert_eq!(reader.line(), "2", "the old snapshot");
    assert_eq!(reader.line(), "done");
    assert!(reader.end().contains("locked"));
    assert_eq!(count(&path, "a"), 2);
}

/// With a rollback journal such a reader keeps the change from the file: it is told, and nothing has changed.
#[tokio::test]
async fn an_idle_reader_of_a_rollback_journal_is_no_silent_loss() {
    let world = World::new(TWO);
    world.run("PRAGMA journal_mode = DELETE");
    world.source.make_register(MIGRATION, OPEN).await.unwrap();
    let mut reader = Elsewhere::new(&world.path("source.db"));
    reader.send("BEGIN; SELECT count(*) FROM a;");
    assert_eq!(reader.line(), "2");
    let tables = tables_of(&world.source).await;
    let brief = Duration::from_millis(200);
    let error = world
        .source
        .arm(MIGRATION, &tables, brief)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.code),
        (ErrorKind::Busy, "sqlite.readers")
    );
    if cfg!(target_os = "linux") {
        assert!(
            error.what.contains(&reader.process().to_string()),
            "{error}"
        );
    }
    reader.send("COMMIT;");
    arm(&world.source, OPEN).await;
    // one that comes later is met at the commit
    reader.send("BEGIN; SELECT count(*) FROM a;");
    assert_eq!(reader.line(), "2");
    let mut latch = fire(&world.source).await;
    let error = latch.commit(OPEN, FENCED).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Busy);
    assert_eq!(
        latch.keep().await.unwrap_err().code,
        "sqlite.latch_lost",
        "and the latch with it"
    );
    reader.send("COMMIT;");
    assert_eq!(reader.end(), "");
    let standing = world.source.standing(MIGRATION).await.unwrap().unwrap();
    assert_eq!(standing.register, OPEN);
    world.run("INSERT INTO a VALUES (9, 9)");
}

#[tokio::test]
async fn a_register_changes_by_compare_and_swap_only() {
    let world = World::new(TWO);
    let store = &world.source;
    assert_eq!(store.standing(MIGRATION).await.unwrap(), None);
    assert_eq!(store.peek_standing(MIGRATION).await.unwrap(), None);
    let none = store.fire(MIGRATION, &FIRE).await.err().unwrap();
    assert_eq!(none.kind, ErrorKind::Missing);
    let tables = tables_of(store).await;
    let none = store
        .arm(MIGRATION, &tables, FIRE.within)
        .await
        .unwrap_err();
    assert_eq!(none.kind, ErrorKind::Missing, "it would close the tables");
    store.make_register(MIGRATION, OPEN).await.unwrap();
    store
        .make_register(MIGRATION, Register::new(Mode::Fenced, 7))
        .await
        .unwrap();
    let now = store.peek_standing(MIGRATION).await.unwrap().unwrap();
    assert_eq!(now.register, OPEN, "present stays what it is");
    let clash = store.make_register("SHOP", OPEN).await.unwrap_err();
    assert_eq!(clash.code, "sqlite.migration_name");

    store.swap(MIGRATION, OPEN, FENCED).await.unwrap();
    let stale = store.swap(MIGRATION, OPEN, FENCED).await.unwrap_err();
    assert_eq!(stale.kind, ErrorKind::Conflict);
    let back = store.swap(MIGRATION, FENCED, OPEN).await.unwrap_err();
    assert_eq!(back.kind, ErrorKind::Conflict, "epochs only rise");
    let mut latch = fire(store).await;
    let stale = latch.commit(OPEN, FENCED).await.unwrap_err();
    assert_eq!(stale.kind, ErrorKind::Conflict);
    latch
        .commit(FENCED, Register::new(Mode::Open, 2))
        .await
        .unwrap();
    drop(latch);
    let now = store.standing(MIGRATION).await.unwrap().unwrap();
    assert_eq!(now.register, Register::new(Mode::Open, 2));
}

#[tokio::test]
async fn the_fence_goes_as_it_came() {
    let world = World::new(TWO);
    let names = || -> Vec<String> {
        world
            .app
            .prepare("SELECT name FROM sqlite_master ORDER BY 1")
            .unwrap()
            .query_map([], |r| r.get(0))
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap()
    };
    let before = names();
    arm(&world.source, OPEN).await;
    arm(&world.source, OPEN).await;
    let made = world.source.fence_made(MIGRATION).await.unwrap();
    assert_eq!(made.iter().filter(|m| m.kind == "trigger").count(), 6);
    assert_eq!(made[0].detail, "open@0");
    let tables = tables_of(&world.source).await;
    let blocked = Connection::open(world.path("source.db")).unwrap();
    blocked.execute_batch("BEGIN IMMEDIATE").unwrap();
    let left = world.source.disarm(MIGRATION, &tables).await.unwrap();
    assert_eq!(left.len(), 2, "somebody was in the way");
    blocked.execute_batch("COMMIT").unwrap();
    assert!(
        world
            .source
            .disarm(MIGRATION, &tables)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(world.source.fence_made(MIGRATION).await.unwrap().len(), 1);
    arm(&world.source, OPEN).await;
    world.source.swap(MIGRATION, OPEN, FENCED).await.unwrap();
    let closed = world.source.disarm(MIGRATION, &tables).await.unwrap_err();
    assert_eq!(closed.kind, ErrorKind::Conflict);
    let gone = world.source.remove_fence(MIGRATION).await.unwrap();
    assert_eq!(gone.iter().filter(|m| m.kind == "trigger").count(), 6);
    assert_eq!(names(), before);
    world.run("INSERT INTO a VALUES (3, 0)");
}

#[tokio::test]
async fn findings_say_what_the_fence_cannot_stop() {
    let world = World::new("CREATE TABLE nokey(v); CREATE TABLE t(id INTEGER PRIMARY KEY)");
    let tables = tables_of(&world.source).await;
    let codes = async || -> Vec<(String, Option<String>)> {
        let found = world.source.fence_findings(MIGRATION, &tables).await;
        let found = found.unwrap().into_iter();
        found.map(|f| (f.code, f.table)).collect()
    };
    let found = codes().await;
    assert!(found.contains(&("sqlite.fence_limits".into(), None)));
    assert!(found.contains(&("sqlite.no_key".into(), Some("nokey".into()))));
    assert!(!found.iter().any(|(_, t)| t.as_deref() == Some("t")));
    assert!(!found.contains(&("sqlite.journal_mode".into(), None)));
    world.run("PRAGMA journal_mode = DELETE");
    assert!(
        codes()
            .await
            .contains(&("sqlite.journal_mode".into(), None))
    );
    assert!(world.source.fence_made(MIGRATION).await.unwrap().is_empty());
    let nowhere = SqliteStore::open(&url(&world.dir, "none.db"), Role::Target).unwrap();
    assert!(
        !nowhere
            .fence_findings(MIGRATION, &tables)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(!world.path("none.db").exists(), "nothing is made");
}

/// Many writers in opposite orders, a fence again and again: no error, nothing lost, and after the last commit refusals only.
#[tokio::test]
async fn a_fence_closes_among_busy_writers() {
    let world = World::new(
        "CREATE TABLE a(id INTEGER PRIMARY KEY, v); CREATE TABLE b(id INTEGER PRIMARY KEY, v)",
    );
    let mut follower = world.follow().await;
    arm(&world.source, OPEN).await;
    let path = world.path("source.db");
    let mut apps: Vec<Elsewhere> = (0..4).map(|_| Elsewhere::new(&path)).collect();
    for (n, app) in apps.iter_mut().enumerate() {
        let (first, second) = if n % 2 == 0 { ("a", "b") } else { ("b", "a") };
        for i in 0..400 {
            let id = n * 1000 + i;
            app.send(&format!(
                "BEGIN; INSERT INTO {first} VALUES ({id}, 0); INSERT INTO {second} VALUES ({id}, 0); COMMIT;"
            ));
        }
    }
    for _ in 0..5 {
        let mut latch = fire(&world.source).await;
        let barrier = latch.barrier().await.unwrap();
        let (a, b) = (count(&path, "a"), count(&path, "b"));
        assert_eq!(a, b, "a write is under way");
        assert_eq!(latch.barrier().await.unwrap(), barrier);
        latch.release().await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut latch = fire(&world.source).await;
    let barrier = latch.barrier().await.unwrap();
    let before = count(&path, "a");
    latch.commit(OPEN, FENCED).await.unwrap();
    latch.release().await.unwrap();
    let changes = follower.catch_up(&world).await;
    assert_eq!(world.last().await, barrier, "nothing came after the fence");
    let told: String = apps.into_iter().map(Elsewhere::end).collect();
    assert_eq!((count(&path, "a"), count(&path, "b")), (before, before));
    assert_eq!(changes.len() as i64, before * 2);
    assert!(
        before > 0 && before < 1600,
        "{before}: nobody met the fence"
    );
    for line in told.lines().filter(|l| l.contains("rror")) {
        assert!(line.contains("crossfade: migration shop"), "{line}");
    }
}
