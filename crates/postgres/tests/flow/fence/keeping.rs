//! Who is in the way of the latch, and what becomes of a latch whose tool is no more.

use std::time::{Duration, Instant};

use crossfade_store::{ErrorKind, Fence, Fire};

use super::{FIRE, TABLES, armed, code, fenced, open};
use crate::kit::{Db, Follow, PATIENCE};
use crate::support::SERVERS;

const SHORT: Fire = Fire {
    within: Duration::from_millis(600),
    ..FIRE
};

#[tokio::test]
async fn who_is_in_the_way_is_named_and_ended_only_if_told_to() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(TABLES).await;
        let store = armed(&db, &["t"]).await;
        // one that only reads is in nobody's way
        let reader = db.client().await;
        reader
            .batch("reading", "BEGIN; SELECT FROM t")
            .await
            .unwrap();
        let latch = store.fire("m", &SHORT).await.unwrap();
        latch.release().await.unwrap();

        let writer = db.client().await;
        let sql = "SET application_name = 'slow app'; BEGIN; UPDATE t SET v = 'a'";
        writer.batch("writing", sql).await.unwrap();
        let blockers = store.blockers("m").await.unwrap();
        assert_eq!(blockers.len(), 1);
        assert!(blockers[0].who.contains("slow app") && blockers[0].can_end);
        let busy = store.fire("m", &SHORT).await.err().unwrap();
        assert_eq!(busy.kind, ErrorKind::Busy);
        assert!(busy.what.contains("slow app"), "{busy}");
        // nothing has changed, and others write beside it
        let app = db.client().await;
        assert_eq!(code(&app, "INSERT INTO t VALUES (77)").await, None);
        let end = Fire {
            end_blockers: true,
            ..SHORT
        };
        let latch = store.fire("m", &end).await.unwrap();
        latch.release().await.unwrap();
        assert!(writer.batch("writing", "COMMIT").await.is_err());

        // a prepared one is named, and never ended
        let sql = "BEGIN; UPDATE t SET v = 'b' WHERE id = 1; PREPARE TRANSACTION 'two of us'";
        db.run(&sql.replace("two of us", &db.name)).await;
        let blockers = store.blockers("m").await.unwrap();
        assert!(
            blockers[0].who.contains(&db.name) && !blockers[0].can_end,
            "{blockers:?}"
        );
        let busy = store.fire("m", &end).await.err().unwrap();
        assert_eq!(busy.kind, ErrorKind::Busy, "{server}");
        assert!(busy.what.contains(&db.name), "{busy}");
        let client = db.client().await;
        let sql = format!("COMMIT PREPARED '{}'", db.name);
        client.batch("committing", &sql).await.unwrap();
        store
            .fire("m", &SHORT)
            .await
            .unwrap()
            .release()
            .await
            .unwrap();
        db.drop().await;
    }
}

/// A writer that began while the fence held goes on.
async fn goes_on(db: &Db, end: impl Future<Output = ()>) {
    let app = db.client().await;
    let mut waiting = tokio::spawn(async move { code(&app, "UPDATE t SET v = 'b'").await });
    let early = tokio::time::timeout(Duration::from_millis(200), &mut waiting).await;
    assert!(early.is_err(), "a write passed the fence");
    end.await;
    let done = tokio::time::timeout(PATIENCE, waiting).await;
    assert_eq!(done.expect("the writer waits for ever").unwrap(), None);
}

#[tokio::test]
async fn a_dead_or_silent_holder_lets_writers_go_on_and_the_register_open() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(TABLES).await;
        let store = armed(&db, &["t"]).await;
        // its connection closes
        let latch = store.fire("m", &FIRE).await.unwrap();
        goes_on(&db, async { drop(latch) }).await;
        // nothing is heard from it: the server counts
        let short = Fire {
            hold: Duration::from_millis(700),
            ..FIRE
        };
        let mut latch = store.fire("m", &short).await.unwrap();
        goes_on(&db, async {}).await;
        let lost = latch.commit(open(0), fenced(1)).await.unwrap_err();
        assert_eq!(lost.kind, ErrorKind::Connection, "{server}: {lost}");
        // a word now and then keeps it
        let mut latch = store.fire("m", &short).await.unwrap();
        for _ in 0..6 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            latch.keep().await.unwrap();
        }
        latch.release().await.unwrap();
        // somebody else ends it
        let mut latch = store.fire("m", &FIRE).await.unwrap();
        let ended = store.end_holder("m").await.unwrap();
        assert!(ended.is_some_and(|who| who.contains("crossfade:fence")));
        assert_eq!(
            latch.keep().await.unwrap_err().kind.recovery(),
            crossfade_store::Recovery::Retry
        );
        assert_eq!(store.end_holder("m").await.unwrap(), None);
        assert_eq!(
            store.standing("m").await.unwrap().unwrap().register,
            open(0)
        );
        db.drop().await;
    }
}

#[tokio::test]
async fn standing_waits_for_the_holder_and_sees_what_it_committed() {
    let db = Db::create(SERVERS[0]).await;
    db.run(TABLES).await;
    let store = armed(&db, &["t"]).await;
    let mut latch = store.fire("m", &FIRE).await.unwrap();
    let mut standing = {
        let store = store.clone();
        tokio::spawn(async move { store.standing("m").await })
    };
    assert!(
        tokio::time::timeout(Duration::from_millis(200), &mut standing)
            .await
            .is_err()
    );
    assert_eq!(
        store.peek_standing("m").await.unwrap().unwrap().register,
        open(0)
    );
    latch.commit(open(0), fenced(1)).await.unwrap();
    latch.release().await.unwrap();
    assert_eq!(
        standing.await.unwrap().unwrap().unwrap().register,
        fenced(1)
    );
    db.drop().await;
}

#[tokio::test]
async fn the_stream_reaches_the_barrier_behind_everything_committed() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(TABLES).await;
        let store = armed(&db, &["t"]).await;
        let mut follow = Follow::begin(&store, &db.name, &["t"]).await;
        let mut others = None;
        for round in 0..3 {
            if round == 2 {
                // tables that are not fenced are written all the time
                let busy = db.client().await;
                others = Some(tokio::spawn(async move {
                    while code(&busy, "UPDATE u SET v = v || 'x'; UPDATE u SET v = 'x'")
                        .await
                        .is_none()
                    {}
                }));
            }
            let app = db.client().await;
            let sql = "SET synchronous_commit = off; UPDATE t SET v = 'last' WHERE id = 3";
            app.batch("writing", sql).await.unwrap();
            let mut latch = store.fire("m", &FIRE).await.unwrap();
            let position = latch.barrier().await.unwrap();
            let begun = Instant::now();
            let last = follow.transactions(1).await;
            let came = begun.elapsed();
            assert!(
                last[0].end <= position,
                "{server}: a write behind the barrier"
            );
            follow.pass(position).await;
            println!(
                "{server} {round}: the last write after {came:?}, the barrier after {:?}",
                begun.elapsed()
            );
            // nothing was written since: an idle stream
            tokio::time::sleep(Duration::from_millis(100)).await;
            let position = latch.barrier().await.unwrap();
            let begun = Instant::now();
            follow.pass(position).await;
            println!(
                "{server} {round}: idle, the barrier after {:?}",
                begun.elapsed()
            );
            latch.release().await.unwrap();
        }
        others.unwrap().abort();
        follow.end().await;
        db.drop().await;
    }
}

/// The server may grant a session's lock at the moment in which the wait for it runs out: the statement fails, and the lock is held.
#[tokio::test]
async fn a_latch_granted_as_its_wait_runs_out_is_given_back() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(TABLES).await;
        let store = armed(&db, &["t"]).await;
        let app = db.client().await;
        for round in 0..5 {
            app.batch("writing", "BEGIN; UPDATE t SET v = 'b' WHERE id = 1")
                .await
                .unwrap();
            let firing = {
                let store = store.clone();
                tokio::spawn(async move { store.fire("m", &FIRE).await })
            };
            let stopped = stop_waiter(&db).await;
            app.batch("writing", "COMMIT").await.unwrap();
            signal("CONT", &stopped);
            let latch = firing.await.unwrap().unwrap();
            latch.release().await.unwrap();
            let sql =
                "SELECT count(*)::text FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                 WHERE d.datname = current_database() AND l.locktype = 'advisory'";
            let left = db.text(sql).await;
            assert_eq!(left.as_deref(), Some("0"), "{server}, round {round}");
        }
        db.drop().await;
    }
}

/// Stops the server's process that waits for the latch, in its wait, until the time for it is over; its id.
async fn stop_waiter(db: &Db) -> String {
    let waiting = "SELECT min(l.pid)::text FROM pg_locks l JOIN pg_database d ON d.oid = l.database
         WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted";
    loop {
        let Some(pid) = db.text(waiting).await else {
            continue;
        };
        signal("STOP", &pid);
        // longer than any of the first tries
        tokio::time::sleep(Duration::from_millis(150)).await;
        // one that ran out before it was stopped waits no more; one that was stopped with the server's list of locks in hand keeps us
        // waiting
        let look = tokio::time::timeout(Duration::from_secs(2), db.text(waiting)).await;
        if look.is_ok_and(|waits| waits.as_deref() == Some(pid.as_str())) {
            return pid;
        }
        signal("CONT", &pid);
    }
}

fn signal(name: &str, pid: &str) {
    let sent = std::process::Command::new("kill")
        .args(["-s", name, pid])
        .status();
    assert!(sent.unwrap().success(), "kill -s {name} {pid}");
}
