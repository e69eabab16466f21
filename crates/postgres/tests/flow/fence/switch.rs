//! One store's part of a switch.

use std::time::{Duration, Instant};

use crossfade_model::Mode;
use crossfade_model::Register;
use crossfade_store::{ErrorKind, Fence, Standing};

use super::{FIRE, TABLES, armed, code, fenced, given, open};
use crate::kit::Db;
use crate::support::SERVERS;

#[tokio::test]
async fn writers_wait_while_the_fence_holds_and_read_what_was_committed() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(TABLES).await;
        let store = armed(&db, &["t", "u"]).await;
        let app = db.client().await;
        assert_eq!(code(&app, "UPDATE t SET v = 'a'").await, None);
        assert_eq!(store.blockers("m").await.unwrap(), []);

        // released without a commit: who waited goes on without an error
        let latch = store.fire("m", &FIRE).await.unwrap();
        assert_eq!(latch.standing().register, open(0));
        let mut waiting = {
            let app = db.client().await;
            tokio::spawn(async move { code(&app, "UPDATE t SET v = 'b' WHERE id = 1").await })
        };
        let early = tokio::time::timeout(Duration::from_millis(300), &mut waiting).await;
        assert!(early.is_err(), "a write passed the fence");
        latch.release().await.unwrap();
        assert_eq!(waiting.await.unwrap(), None);

        // fenced: to be tried again
        let mut latch = store.fire("m", &FIRE).await.unwrap();
        latch.barrier().await.unwrap();
        assert_eq!(latch.recheck().await.unwrap(), Vec::<String>::new());
        let stale = latch.commit(open(7), fenced(8)).await.unwrap_err();
        assert_eq!(stale.kind, ErrorKind::Conflict);
        latch.commit(open(0), fenced(1)).await.unwrap();
        latch.keep().await.unwrap();
        latch.release().await.unwrap();
        assert_eq!(
            code(&app, "UPDATE t SET v = 'c'").await.as_deref(),
            Some("40001")
        );
        assert_eq!(code(&app, "TRUNCATE u").await.as_deref(), Some("40001"));

        // given: elsewhere
        // under a held fence the store still has authority: its changes have begun long ago
        let held = store.note_beginning("m", 1).await.unwrap_err();
        assert_eq!(held.kind, ErrorKind::Conflict);
        store.swap("m", fenced(1), given(1)).await.unwrap();
        let beginning = store.note_beginning("m", 2).await.unwrap();
        // a process of an earlier switch comes late
        let late = store.note_beginning("m", 1).await.unwrap_err();
        assert_eq!(late.kind, ErrorKind::Conflict);
        let again = store.swap("m", fenced(1), given(1)).await.unwrap_err();
        assert_eq!(again.kind, ErrorKind::Conflict);
        let refused = app.batch("writing", "DELETE FROM u").await.unwrap_err();
        assert_eq!(refused.server_code.as_deref(), Some("25006"));
        assert!(refused.what.contains("crossfade migration m"), "{refused}");
        let standing = Standing {
            register: given(1),
            beginning: Some(beginning),
        };
        assert_eq!(store.standing("m").await.unwrap(), Some(standing.clone()));
        assert_eq!(store.peek_standing("m").await.unwrap(), Some(standing));

        // and open again, at a later epoch
        store.swap("m", given(1), open(2)).await.unwrap();
        let back = store.swap("m", open(2), fenced(1)).await.unwrap_err();
        assert_eq!(back.kind, ErrorKind::Usage);
        assert_eq!(
            code(&app, "UPDATE t SET v = 'd'; UPDATE u SET v = 'd'").await,
            None
        );
        db.drop().await;
    }
}

#[tokio::test]
async fn a_register_is_made_once_and_a_target_begins_closed() {
    let db = Db::create(SERVERS[0]).await;
    db.run(TABLES).await;
    let store = db.store();
    assert_eq!(store.standing("m").await.unwrap(), None);
    assert_eq!(store.peek_standing("m").await.unwrap(), None);
    store.make_register("m", fenced(0)).await.unwrap();
    store.make_register("m", open(3)).await.unwrap();
    let standing = store.standing("m").await.unwrap().unwrap();
    assert_eq!(standing.register, fenced(0));
    assert_eq!(standing.beginning, None);
    let missing = store.fire("other", &FIRE).await.err().unwrap();
    assert_eq!(missing.kind, ErrorKind::Missing);
    let tables = super::tables(&store, &["t"]).await;
    store.arm("m", &tables, super::LONG).await.unwrap();
    store.arm("m", &tables, super::LONG).await.unwrap();
    let app = db.client().await;
    assert_eq!(
        code(&app, "UPDATE t SET v = 'c'").await.as_deref(),
        Some("25006")
    );
    assert_eq!(code(&app, "UPDATE u SET v = 'c'").await, None);
    // our own lanes pass
    for lane in ["m", "m-back"] {
        let sql = format!("SET crossfade.apply = '{lane}'; UPDATE t SET v = 'ours'");
        assert_eq!(code(&db.client().await, &sql).await, None);
    }
    let other = "SET crossfade.apply = 'n'; UPDATE t SET v = 'theirs'";
    assert_eq!(
        code(&db.client().await, other).await.as_deref(),
        Some("25006")
    );
    db.drop().await;
}

#[tokio::test]
async fn a_writer_that_died_between_gate_and_register_is_made_up_for() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(TABLES).await;
        let store = armed(&db, &["t"]).await;
        let app = db.client().await;
        let gate = db
            .text("SELECT sequencename::text FROM pg_sequences WHERE schemaname = 'crossfade' AND sequencename LIKE 'gate%'")
            .await
            .unwrap();
        // closing: the gate was moved, the register was not
        db.run(&format!("SELECT setval('crossfade.{gate}', 1)"))
            .await;
        assert_eq!(
            code(&app, "UPDATE t SET v = 'a'").await.as_deref(),
            Some("40001")
        );
        assert_eq!(
            store.standing("m").await.unwrap().unwrap().register,
            open(0)
        );
        assert_eq!(code(&app, "UPDATE t SET v = 'a'").await, None);
        // opening: the register was committed, the gate was not moved
        store.swap("m", open(0), fenced(1)).await.unwrap();
        db.run("UPDATE crossfade.register SET mode = 'open', epoch = 2, gate = 0")
            .await;
        assert_eq!(
            code(&app, "UPDATE t SET v = 'a'").await.as_deref(),
            Some("40001")
        );
        let latch = store.fire("m", &FIRE).await.unwrap();
        assert_eq!(latch.standing().register, open(2));
        drop(latch);
        let begun = Instant::now();
        while code(&app, "UPDATE t SET v = 'a'").await.is_some() {
            assert!(begun.elapsed() < crate::kit::PATIENCE);
        }
        let register = Register::new(Mode::Open, 2);
        assert_eq!(
            store.standing("m").await.unwrap().unwrap().register,
            register
        );
        db.drop().await;
    }
}

#[tokio::test]
async fn an_owner_without_other_rights_can_do_all_of_it() {
    for server in SERVERS {
        let mut db = Db::create(server).await;
        db.run(TABLES).await;
        let role = format!("{}_mover", db.name);
        db.run(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT CREATE ON DATABASE {} TO {role};
             GRANT USAGE ON SCHEMA public TO {role}; ALTER TABLE t OWNER TO {role}",
            db.name
        ))
        .await;
        db.own(&role);
        let store = db.store_of(&role, "x");
        let all = super::tables(&store, &["t"]).await;
        let blocks = store.fence_findings("m", &all).await.unwrap();
        assert!(
            blocks
                .iter()
                .all(|f| f.severity < crossfade_model::Severity::Blocks)
        );
        store.make_register("m", open(0)).await.unwrap();
        store.make_register("m", open(0)).await.unwrap();
        store.arm("m", &all, super::LONG).await.unwrap();
        // a writer of another role is in the way, is named, and cannot be ended by this one
        let app = db.client().await;
        let begun = "BEGIN; UPDATE t SET v = 'a'";
        app.batch("writing", begun).await.unwrap();
        let short = crossfade_store::Fire {
            within: Duration::from_millis(400),
            end_blockers: true,
            ..FIRE
        };
        let busy = store.fire("m", &short).await.err().unwrap();
        assert_eq!(busy.kind, ErrorKind::Busy);
        assert!(busy.what.contains("role postgres"), "{busy}");
        app.batch("ending", "ROLLBACK").await.unwrap();
        let mut latch = store.fire("m", &FIRE).await.unwrap();
        latch.barrier().await.unwrap();
        assert_eq!(latch.recheck().await.unwrap(), Vec::<String>::new());
        latch.commit(open(0), fenced(1)).await.unwrap();
        latch.release().await.unwrap();
        assert_eq!(code(&app, begun).await.as_deref(), Some("40001"));
        store.swap("m", fenced(1), given(1)).await.unwrap();
        store.note_beginning("m", 2).await.unwrap();
        store.swap("m", given(1), open(2)).await.unwrap();
        assert_eq!(code(&app, "UPDATE t SET v = 'a'").await, None);
        store.remove_fence("m").await.unwrap();
        assert_eq!(store.fence_made("m").await.unwrap(), []);
        db.drop().await;
    }
}
