//! The fence on a target, and the lane back: a target's file is captured, a source's file is written to, and nothing goes round.

use crossfade_model::{
    Canonical, ColumnMapping, Mode, Position, Register, Snapshot, StreamEvent, TableMapping,
    reverse_lane,
};
use crossfade_sqlite::{Role, SqliteStore};
use crossfade_store::{
    CaptureSpec, ErrorKind, Fence, MergeMode, Source, Strangers, Target, WatchOutcome,
};
use rusqlite::Connection;

use crate::common::{Copy, Elsewhere, Follower, MIGRATION, World, assert_equal, net, url};
use crate::fence::{FENCED, FIRE, OPEN, arm, fire, tables_of};

const TABLES: &str = "CREATE TABLE a(id INTEGER PRIMARY KEY AUTOINCREMENT, v UNIQUE);
    CREATE TABLE b(k TEXT PRIMARY KEY NOT NULL, v) WITHOUT ROWID;
    INSERT INTO a VALUES (1, 'p'), (2, 'q'); INSERT INTO b VALUES ('x', 0)";

const NEW: Register = Register {
    mode: Mode::Fenced,
    epoch: 0,
};

/// The mappings with their sides exchanged, under the lane back.
async fn back(world: &World, spec: &CaptureSpec) -> CaptureSpec {
    let target = Target::describe(&world.target).await.unwrap();
    let tables = spec
        .tables
        .iter()
        .map(|m| {
            let mut source = m.target.clone();
            let there = target
                .tables
                .iter()
                .find(|t| t.name == source.name)
                .unwrap();
            source.clone_from(there);
            TableMapping {
                id: m.id,
                columns: m
                    .columns
                    .iter()
                    .map(|c| ColumnMapping {
                        source: c.target.clone(),
                        target: c.source.clone(),
                        canonical: Canonical::Exact,
                    })
                    .collect(),
                source,
                target: m.source.clone(),
                same_shape: true,
                origin: None,
                back: None,
                slice: None,
                shares_source: false,
            }
        })
        .collect();
    CaptureSpec {
        replanned: None,
        migration: reverse_lane(MIGRATION),
        tables,
    }
}

fn changes_logged(path: &std::path::Path, lane: &str) -> i64 {
    Connection::open(path)
        .unwrap()
        .query_row(
            &format!("SELECT count(*) FROM \"_crossfade_{lane}_change\" WHERE tbl >= 0"),
            [],
            |r| r.get(0),
        )
        .unwrap()
}

fn told(path: &std::path::Path, sql: &str) -> String {
    let mut app = Elsewhere::new(path);
    app.send(&format!("{sql};"));
    app.end()
}

/// Guards give way to the fence, which refuses as they did; a run that begins again puts none in its place.
#[tokio::test]
async fn guards_give_way_to_the_fence_and_do_not_come_back() {
    let world = World::new(TABLES);
    let mut copy = Copy::begin(&world).await;
    let path = world.path("target.db");
    assert!(told(&path, "INSERT INTO a VALUES (9, 9)").contains("being migrated into"));
    arm(&world.target, NEW).await;
    let refused = told(&path, "INSERT INTO a VALUES (9, 9)");
    assert!(
        refused.contains("migration shop takes no writes"),
        "{refused}"
    );
    let strangers = async || {
        let told = world.target.strangers(MIGRATION, None).await.unwrap();
        let lost = world.target.watch_strangers(MIGRATION, &[]).await.unwrap();
        (told.unseen, lost)
    };
    assert_eq!(strangers().await, (vec![], vec![]));

    let tables = copy.follower.spec.tables.clone();
    let again = async || world.target.create_tables(&[], &[], &tables).await.unwrap();
    again().await;
    let guards = || -> i64 {
        Connection::open(&path)
            .unwrap()
            .query_row(
                "SELECT count(*) FROM sqlite_master WHERE name GLOB '_crossfade_guard_*'",
                [],
                |r| r.get(0),
            )
            .unwrap()
    };
    assert_eq!(guards(), 0);
    // appliers of the lane pass
    world.run("INSERT INTO a VALUES (3, 'r'); DELETE FROM b");
    world.run("INSERT INTO b VALUES ('y', 1)");
    copy.catch_up(&world).await;
    assert_equal(&world, &["a", "b"]);

    // somebody takes the fence off: told, and put back by the next run
    Connection::open(&path)
        .unwrap()
        .execute_batch("DROP TRIGGER \"_crossfade_fence_shop-insert-a\"")
        .unwrap();
    assert_eq!(strangers().await.0[0].name, "a");
    again().await;
    assert_eq!(strangers().await.1[0].name, "a", "it was open for a while");
    assert_eq!(strangers().await, (vec![], vec![]));
    assert!(!told(&path, "INSERT INTO a VALUES (9, 9)").is_empty());

    // and so by whoever arms anew
    Connection::open(&path)
        .unwrap()
        .execute_batch("DROP TRIGGER \"_crossfade_fence_shop-delete-b\"")
        .unwrap();
    arm(&world.target, NEW).await;
    let (now, lost) = strangers().await;
    assert_eq!((now.len(), lost[0].name.as_str()), (0, "b"));

    // the application writes here: nothing is told, and nothing is closed
    let open = Register::new(Mode::Open, 1);
    world.target.swap(MIGRATION, NEW, open).await.unwrap();
    let late = copy.applier.begin().await.unwrap_err();
    assert_eq!(
        late.kind,
        ErrorKind::Fenced,
        "whoever filled it fills it no more"
    );
    drop(copy);
    let _tenure = world.target.acquire(MIGRATION).await.unwrap();
    again().await;
    assert_eq!(guards(), 0);
    assert_eq!(told(&path, "INSERT INTO a VALUES (9, 9)"), "");
    assert_eq!(strangers().await, (vec![], vec![]));
    let unarmed = tables_of(&world.target).await;
    world.target.disarm(MIGRATION, &unarmed).await.unwrap();
    again().await;
    assert_eq!(told(&path, "INSERT INTO a VALUES (10, 10)"), "");
    let made = world.target.fence_made(MIGRATION).await.unwrap();
    assert_eq!(made.len(), 1, "nothing but the register: {made:?}");
    assert_eq!(
        world.target.strangers(MIGRATION, None).await.unwrap(),
        Strangers::default()
    );
}

/// The whole way: copy, switch, changes go back, and neither side's applier is heard by its capture.
#[tokio::test]
async fn changes_go_back_and_do_not_go_round() {
    let world = World::new(TABLES);
    let mut copy = Copy::begin(&world).await;
    let lane = reverse_lane(MIGRATION);
    let (source_path, target_path) = (world.path("source.db"), world.path("target.db"));
    arm(&world.target, NEW).await;
    arm(&world.source, OPEN).await;

    // the reverse capture runs while the target is filled
    let spec = back(&world, &copy.follower.spec).await;
    let start = world.target.create_capture(&spec).await.unwrap();
    world.run("INSERT INTO a VALUES (3, 'r'); UPDATE b SET v = 5");
    copy.catch_up(&world).await;
    assert_equal(&world, &["a", "b"]);
    assert_eq!(
        changes_logged(&target_path, &lane),
        0,
        "our applier was logged"
    );
    assert_eq!(world.target.watch(&spec).await.unwrap(), WatchOutcome::Same);

    // the switch
    let mut latch = fire(&world.source).await;
    let barrier = latch.barrier().await.unwrap();
    assert_eq!(barrier, world.last().await);
    latch.commit(OPEN, FENCED).await.unwrap();
    let sequences = world.source.sequences().await.unwrap();
    world
        .target
        .raise_for_switch(&sequences, &copy.follower.spec.tables)
        .await
        .unwrap();
    let beginning = world.target.note_beginning(MIGRATION, 1).await.unwrap();
    assert_eq!(
        (beginning.position, &beginning.snapshot),
        (start.position, &Snapshot::Sequence(start.position.0))
    );
    let given = Register::new(Mode::Given, 1);
    latch.commit(FENCED, given).await.unwrap();
    latch.release().await.unwrap();
    let open = Register::new(Mode::Open, 1);
    world.target.swap(MIGRATION, NEW, open).await.unwrap();
    let standing = world.target.standing(MIGRATION).await.unwrap().unwrap();
    assert_eq!(standing.beginning.as_ref(), Some(&beginning));
    let late = world.target.note_beginning(MIGRATION, 1).await.unwrap_err();
    assert_eq!(
        late.kind,
        ErrorKind::Conflict,
        "the application writes already"
    );

    // the application writes on the target
    assert_eq!(
        told(
            &target_path,
            "INSERT INTO a(v) VALUES ('new'); UPDATE a SET v = 'P' WHERE id = 1; DELETE FROM b"
        ),
        ""
    );
    assert_eq!(told(&target_path, "INSERT INTO b VALUES ('z', 9)"), "");
    assert!(told(&source_path, "INSERT INTO a(v) VALUES ('lost')").contains("write there"));
    let logged = changes_logged(&source_path, MIGRATION);
    carry_back(&world, spec, beginning.position).await;
    assert_equal(&world, &["a", "b"]);
    assert_eq!(
        changes_logged(&source_path, MIGRATION),
        logged,
        "it goes round"
    );

    // the old side is watched
    world.run("DROP TRIGGER \"_crossfade_fence_shop-update-b\"");
    let lane = reverse_lane(MIGRATION);
    let told = world.source.strangers(&lane, None).await.unwrap();
    assert_eq!(told.unseen[0].name, "b");

    // the log that is not needed while the lane rests
    let end = world.last().await;
    world.source.skip_log(MIGRATION, end).await.unwrap();
    assert_eq!(
        changes_logged(&source_path, MIGRATION),
        1,
        "the last one shows the history"
    );
    let stream = world.source.open_stream(&copy.follower.spec, end).await;
    drop(stream.unwrap());
}

/// Follows the target's own changes and applies them into the source's file.
async fn carry_back(world: &World, spec: CaptureSpec, from: Position) {
    let lane = spec.migration.clone();
    let tenure = world.source.acquire(&lane).await.unwrap();
    world
        .source
        .create_tables(&[], &[], &spec.tables)
        .await
        .unwrap();
    let mut applier = tenure.open_applier().await.unwrap();
    let stream = world.target.open_stream(&spec, from).await.unwrap();
    let end = world.target.probe(&lane).await.unwrap().log_end;
    let mut follower = Follower {
        start: crossfade_store::CaptureStart {
            position: from,
            base: Snapshot::Sequence(from.0),
            made: Vec::new(),
        },
        spec,
        stream,
    };
    let mut changes = Vec::new();
    'reading: loop {
        for event in follower.events().await.unwrap() {
            match event {
                StreamEvent::Change(change) => changes.push(change),
                StreamEvent::Commit { end: at } if at >= end => break 'reading,
                _ => {}
            }
        }
    }
    applier.begin().await.unwrap();
    for mapping in &follower.spec.tables {
        let effect = net(mapping, &changes);
        applier
            .apply(mapping, &effect, MergeMode::DeleteThenInsert)
            .await
            .unwrap();
    }
    applier.commit(None, end).await.unwrap();
    assert_eq!(
        world.source.strangers(&lane, None).await.unwrap(),
        Strangers::default(),
        "the old side is closed by its fence"
    );
}

/// Keys that the old side has given out are not given out again.
#[tokio::test]
async fn automatic_keys_are_raised_and_never_lowered() {
    let world = World::new(TABLES);
    let copy = Copy::begin(&world).await;
    world.run("INSERT INTO a VALUES (500, 'z'); DELETE FROM a WHERE id = 500");
    let sequences = world.source.sequences().await.unwrap();
    let seq = || -> i64 {
        Connection::open(world.path("target.db"))
            .unwrap()
            .query_row(
                "SELECT seq FROM sqlite_sequence WHERE name = 'a'",
                [],
                |r| r.get(0),
            )
            .unwrap()
    };
    let raise = async || {
        let tables = &copy.follower.spec.tables;
        let raised = world.target.raise_for_switch(&sequences, tables).await;
        raised.unwrap();
    };
    raise().await;
    assert_eq!(seq(), 500);
    Connection::open(world.path("target.db"))
        .unwrap()
        .execute_batch("UPDATE sqlite_sequence SET seq = 900 WHERE name = 'a'")
        .unwrap();
    raise().await;
    assert_eq!(seq(), 900);
}

/// A register may be the first thing that is made in a target's file: WAL from the beginning.
#[tokio::test]
async fn a_targets_register_makes_the_file() {
    let world = World::new(TABLES);
    world.target.make_register(MIGRATION, NEW).await.unwrap();
    let mode: String = Connection::open(world.path("target.db"))
        .unwrap()
        .query_row("PRAGMA journal_mode", [], |r| r.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
    // tables that a run makes from now on are closed by the fence from their first moment
    let copy = Copy::begin(&world).await;
    assert!(told(&world.path("target.db"), "DELETE FROM a").contains("takes no writes"));
    drop(copy);
    let missing = SqliteStore::open(&url(&world.dir, "none.db"), Role::Target).unwrap();
    assert_eq!(missing.standing(MIGRATION).await.unwrap(), None);
    assert!(missing.fire(MIGRATION, &FIRE).await.is_err());
    assert!(!world.path("none.db").exists());
}

/// Without a capture nobody can say where changes begin, nor what lies before a fence.
#[tokio::test]
async fn no_beginning_and_no_barrier_without_a_capture() {
    let world = World::new(TABLES);
    arm(&world.source, NEW).await;
    let none = world.source.note_beginning(MIGRATION, 1).await.unwrap_err();
    assert_eq!(none.kind, ErrorKind::LogLost);
    let mut latch = fire(&world.source).await;
    assert_eq!(latch.barrier().await.unwrap_err().kind, ErrorKind::LogLost);
    latch.keep().await.unwrap();
}

/// Every step of a switch checks who the stores are: making the capture back must not make another one of the target.
#[tokio::test]
async fn a_files_identity_stays_from_its_register_on() {
    let world = World::new(TABLES);
    let copy = Copy::begin(&world).await;
    let who = async || Target::identity(&world.target).await.unwrap().identity;
    let path = who().await;
    arm(&world.target, NEW).await;
    let file = who().await;
    assert_ne!(file, path);
    let spec = back(&world, &copy.follower.spec).await;
    world.target.create_capture(&spec).await.unwrap();
    assert_eq!(who().await, file);
    world.target.remove_capture(&spec.migration).await.unwrap();
    assert_eq!(who().await, file);
    world.target.remove_fence(MIGRATION).await.unwrap();
    assert_eq!(who().await, path);
}

/// No lane has written there yet, and a register that is gone opens nothing.
#[tokio::test]
async fn a_source_that_gave_its_authority_is_watched_at_once() {
    let world = World::new(TABLES);
    arm(&world.source, OPEN).await;
    world.run("DROP TRIGGER \"_crossfade_fence_shop-delete-b\"");
    let lane = reverse_lane(MIGRATION);
    let unseen = async || world.source.strangers(&lane, None).await.unwrap().unseen;
    assert!(unseen().await.is_empty(), "the application writes here");
    world.source.swap(MIGRATION, OPEN, FENCED).await.unwrap();
    assert_eq!(unseen().await[0].name, "b");
    world.run("DROP TABLE _crossfade_register");
    let path = world.path("source.db");
    assert!(!told(&path, "UPDATE a SET v = 'lost'").is_empty());
    assert_ne!(told(&path, "DELETE FROM a"), "");
    let gone = world.source.fire(MIGRATION, &FIRE).await.err().unwrap();
    assert_eq!(gone.code, "sqlite.no_register");
}
