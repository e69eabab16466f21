//! A fired fence: who is told what, and what goes on under it.

use std::time::Duration;

use crossfade_model::{Mode, Register, Snapshot};
use crossfade_store::{ErrorKind, Fence, Fire, Source, WatchOutcome};

use crate::common::{Elsewhere, MIGRATION, World, words};
use crate::fence::{FENCED, FIRE, OPEN, TWO, arm, count, fire};

/// The outcome of a lost reply is what is read under the writer's lock.
#[tokio::test]
async fn standing_waits_for_the_holder_and_peeking_does_not() {
    let world = World::new(TWO);
    arm(&world.source, OPEN).await;
    let mut latch = fire(&world.source).await;
    let standing = world.source.standing(MIGRATION);
    tokio::pin!(standing);
    let early = tokio::time::timeout(Duration::from_millis(300), &mut standing).await;
    assert!(early.is_err(), "it did not wait for the holder");
    let peeked = world.source.peek_standing(MIGRATION).await.unwrap();
    assert_eq!(peeked.unwrap().register, OPEN);
    latch.commit(OPEN, FENCED).await.unwrap();
    latch.release().await.unwrap();
    let settled = standing.await.unwrap().unwrap();
    assert_eq!(settled.register, FENCED);
}

/// A dropped latch, and one of which nothing is heard, let the writers go on.
#[tokio::test]
async fn a_latch_that_is_dropped_or_not_kept_is_given_up() {
    let world = World::new(TWO);
    arm(&world.source, OPEN).await;
    let path = world.path("source.db");
    let mut app = Elsewhere::new(&path);
    let latch = fire(&world.source).await;
    app.send("INSERT INTO a VALUES (3, 0); SELECT 'done';");
    app.must_wait();
    drop(latch);
    assert_eq!(app.line(), "done");
    let short = Fire {
        hold: Duration::from_millis(400),
        ..FIRE
    };
    let mut latch = world.source.fire(MIGRATION, &short).await.unwrap();
    app.send("INSERT INTO a VALUES (4, 0); SELECT 'done';");
    assert_eq!(app.line(), "done");
    let error = latch.commit(OPEN, FENCED).await.unwrap_err();
    assert_eq!(
        (error.kind, error.code),
        (ErrorKind::Connection, "sqlite.latch_lost")
    );
    assert_eq!(app.end(), "");
    assert_eq!(count(&path, "a"), 4);
}

#[tokio::test]
async fn a_transaction_in_the_way_is_waited_for_and_named() {
    one_in_the_way("WAL").await;
}

#[tokio::test]
async fn and_one_in_the_way_with_a_rollback_journal() {
    one_in_the_way("DELETE").await;
}

async fn one_in_the_way(mode: &str) {
    let world = World::new(TWO);
    world.run(&format!("PRAGMA journal_mode = {mode}"));
    arm(&world.source, OPEN).await;
    let mut app = Elsewhere::new(&world.path("source.db"));
    assert!(world.source.blockers(MIGRATION).await.unwrap().is_empty());
    app.send("BEGIN IMMEDIATE; INSERT INTO a VALUES (3, 0); SELECT 'open';");
    assert_eq!(app.line(), "open");
    let brief = Fire {
        within: Duration::from_millis(200),
        end_blockers: true,
        ..FIRE
    };
    let busy = world.source.fire(MIGRATION, &brief).await.err().unwrap();
    assert_eq!(busy.kind, ErrorKind::Busy);
    let blockers = world.source.blockers(MIGRATION).await.unwrap();
    assert_eq!(blockers.len(), 1);
    assert!(!blockers[0].can_end);
    if cfg!(target_os = "linux") {
        let process = app.process().to_string();
        assert!(busy.what.contains(&process), "{busy}");
        assert!(blockers[0].who.contains(&process), "{blockers:?}");
    }
    assert_eq!(
        world.source.end_holder(MIGRATION).await.unwrap(),
        None,
        "an application is never ended"
    );
    app.send("COMMIT; SELECT 'committed';");
    assert_eq!(app.line(), "committed", "and its transaction is whole");
    let latch = fire(&world.source).await;
    latch.release().await.unwrap();
    assert_eq!(app.end(), "");
}

async fn everything_reads_under_the_latch(mode: &str) {
    let world = World::new(TWO);
    world.run(&format!("PRAGMA journal_mode = {mode}"));
    let mut follower = world.follow().await;
    arm(&world.source, OPEN).await;
    assert_eq!(
        world.source.watch(&follower.spec).await.unwrap(),
        WatchOutcome::Same,
        "the fence changes no table"
    );
    world.run("INSERT INTO a VALUES (3, 0); INSERT INTO b VALUES ('z', 0)");
    let mut latch = fire(&world.source).await;
    let barrier = latch.barrier().await.unwrap();
    let probe = world.source.probe(MIGRATION).await.unwrap();
    assert_eq!(probe.log_end, barrier);
    // progress is confirmed while nothing can be removed
    follower.stream.confirm(barrier).await.unwrap();
    let changes = follower.catch_up(&world).await;
    assert_eq!(words(&follower.spec, &changes), ["a+3", "b+z"]);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert!(follower.stream.next().await.unwrap().is_empty());
    assert_eq!(
        world.source.watch(&follower.spec).await.unwrap(),
        WatchOutcome::Same
    );
    let snapshot = world
        .source
        .open_snapshot(&[&follower.spec.tables[0].source])
        .await
        .unwrap();
    assert_eq!(snapshot.snapshot(), &Snapshot::Sequence(barrier.0));
    snapshot.close().await.unwrap();
    assert_eq!(latch.recheck().await.unwrap(), Vec::<String>::new());
    drop(
        world
            .source
            .open_stream(&follower.spec, barrier)
            .await
            .unwrap(),
    );
    latch.commit(OPEN, FENCED).await.unwrap();
    assert_eq!(latch.barrier().await.unwrap(), barrier);
    latch
        .commit(FENCED, Register::new(Mode::Open, 1))
        .await
        .unwrap();
    latch.release().await.unwrap();
    world.run("DELETE FROM a WHERE id = 3");
    let changes = follower.catch_up(&world).await;
    assert_eq!(words(&follower.spec, &changes), ["a-3"]);
}

#[tokio::test]
async fn stream_snapshots_probes_and_watch_go_on_under_the_latch() {
    everything_reads_under_the_latch("WAL").await;
}

#[tokio::test]
async fn and_with_a_rollback_journal() {
    everything_reads_under_the_latch("DELETE").await;
}

#[tokio::test]
async fn what_the_fence_rests_on_is_looked_at_again() {
    let world = World::new(TWO);
    arm(&world.source, OPEN).await;
    let missing = async || {
        let mut latch = fire(&world.source).await;
        let missing = latch.recheck().await.unwrap();
        latch.release().await.unwrap();
        missing
    };
    assert!(missing().await.is_empty());
    world.run("DROP TRIGGER \"_crossfade_fence_shop-update-a\"");
    let told = missing().await;
    assert!(told.len() == 1 && told[0].contains("table a"), "{told:?}");
    arm(&world.source, OPEN).await;
    assert!(missing().await.is_empty(), "put back");
    world.run("ALTER TABLE b RENAME TO c");
    let told = missing().await;
    assert!(told.len() == 1 && told[0].contains("table b"), "{told:?}");
}

/// The change of the register alone lets nobody in: its holder decides when.
#[tokio::test]
async fn the_latch_stays_held_after_a_commit() {
    let world = World::new(TWO);
    arm(&world.source, FENCED).await;
    let mut latch = fire(&world.source).await;
    let open = Register::new(Mode::Open, 2);
    latch.commit(FENCED, open).await.unwrap();
    let mut app = Elsewhere::new(&world.path("source.db"));
    app.send("INSERT INTO a VALUES (3, 0); SELECT 'done';");
    app.must_wait();
    assert_eq!(latch.standing().register, FENCED, "as it was when fired");
    latch
        .commit(open, Register::new(Mode::Fenced, 3))
        .await
        .unwrap();
    latch.release().await.unwrap();
    assert_eq!(app.line(), "done");
    assert!(app.end().contains("migration shop takes no writes"));
}
