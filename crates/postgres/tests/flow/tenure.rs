//! The right to write: one run at a time, and nothing from a run that lost it.

use std::time::{Duration, Instant};

use crossfade_model::Position;
use crossfade_postgres::tenure;
use crossfade_store::{ErrorKind, MergeMode, ReadForm, RowBlock};

use crate::kit::{Apply, Db, contents, full, keyed, mappings, upsert};
use crate::support::SERVERS;

#[tokio::test]
async fn a_second_run_is_refused_while_the_first_lives_and_follows_when_it_ends() {
    for server in SERVERS {
        let db = Db::create(server).await;
        let store = db.store();
        assert_eq!(tenure::peek(&store, "m").await.unwrap(), None);
        let first = tenure::acquire(&store, "m").await.unwrap();
        assert_eq!(first.state().epoch, 1);
        assert_eq!(first.state().checkpoint, None);
        let Err(refused) = tenure::acquire(&store, "m").await else {
            panic!("two runs at once");
        };
        assert_eq!(refused.kind, ErrorKind::AlreadyRunning);
        // another migration into the same database is nobody's business
        let other = tenure::acquire(&store, "other").await.unwrap();
        assert_eq!(other.state().epoch, 1);
        drop(first);
        let begun = Instant::now();
        let second = tenure::acquire(&store, "m").await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(3));
        assert_eq!(second.state().epoch, 2);
        second.check().await.unwrap();
        assert_eq!(tenure::peek(&store, "m").await.unwrap().unwrap().epoch, 2);
        db.drop().await;
    }
}

#[tokio::test]
async fn a_zombie_in_the_middle_of_its_transaction_commits_nothing() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run("CREATE TABLE t (id int PRIMARY KEY)").await;
        let store = db.store();
        let mapping = mappings(&store, &["t"]).await.remove(0);
        let mut zombie = Apply::begin(&store, "m").await;
        let mut loader = zombie.tenure.open_loader().await.unwrap();
        let effect = keyed(vec![upsert(full(&["1"]))], vec![]);
        zombie.applier.begin().await.unwrap();
        zombie
            .applier
            .apply(&mapping, &effect, MergeMode::Fast)
            .await
            .unwrap();
        loader.begin().await.unwrap();
        let rows = RowBlock::Rows(vec![full(&["7"])]);
        loader
            .write(&mapping, rows, &ReadForm::Rows, false)
            .await
            .unwrap();
        // its hold on the target breaks, as by a network that is cut, while its writers go on
        db.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE application_name LIKE 'crossfade:tenure%' AND datname = current_database()",
        )
        .await;
        let second = tenure::acquire(&store, "m").await.unwrap();
        assert_eq!(second.state().epoch, 2);
        assert_eq!(second.state().checkpoint, None);
        assert!(zombie.applier.commit(None, Position(1)).await.is_err());
        assert!(loader.finish().await.is_err());
        assert!(loader.commit().await.is_err());
        assert!(zombie.tenure.check().await.is_err());
        assert_eq!(contents(&db, "t").await, "");
        // and it may begin nothing
        assert!(zombie.applier.begin().await.is_err());
        let Err(_) = zombie.tenure.open_applier().await else {
            let mut late = zombie.tenure.open_applier().await.unwrap();
            let fenced = late.begin().await.unwrap_err();
            assert_eq!(fenced.kind, ErrorKind::Fenced);
            let mut late = zombie.tenure.open_loader().await.unwrap();
            assert_eq!(late.begin().await.unwrap_err().kind, ErrorKind::Fenced);
            db.drop().await;
            continue;
        };
        panic!("connections are allowed, writing is not");
    }
}

#[tokio::test]
async fn loaders_and_the_applier_do_not_wait_for_each_other() {
    let db = Db::create(SERVERS[0]).await;
    db.run("CREATE TABLE t (id int PRIMARY KEY)").await;
    let store = db.store();
    let mapping = mappings(&store, &["t"]).await.remove(0);
    let mut apply = Apply::begin(&store, "m").await;
    let mut loaders = Vec::new();
    for id in 0..3 {
        let mut loader = apply.tenure.open_loader().await.unwrap();
        loader.begin().await.unwrap();
        let rows = RowBlock::Rows(vec![full(&[&id.to_string()])]);
        loader
            .write(&mapping, rows, &ReadForm::Rows, false)
            .await
            .unwrap();
        loaders.push(loader);
    }
    let begun = Instant::now();
    let effect = keyed(vec![upsert(full(&["9"]))], vec![]);
    for _ in 0..3 {
        apply
            .apply(&mapping, &effect, MergeMode::Fast)
            .await
            .unwrap();
    }
    for mut loader in loaders {
        assert_eq!(loader.finish().await.unwrap(), 1);
        loader.commit().await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(contents(&db, "t").await, "(0)\n(1)\n(2)\n(9)");
    db.drop().await;
}

#[tokio::test]
async fn a_role_that_owns_only_its_schema_can_hold_a_target() {
    for server in SERVERS {
        let mut db = Db::create(server).await;
        let role = format!("{}_writer", db.name);
        db.own(&role);
        db.run(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'secret';
             CREATE SCHEMA crossfade AUTHORIZATION {role};
             CREATE TABLE t (id int PRIMARY KEY, note text); ALTER TABLE t OWNER TO {role}"
        ))
        .await;
        let store = db.store_of(&role, "secret");
        let mapping = mappings(&db.store(), &["t"]).await.remove(0);
        // it may not set session_replication_role: it goes on without
        let mut apply = Apply::begin(&store, "m").await;
        let effect = keyed(vec![upsert(full(&["1", "a"]))], vec![]);
        apply
            .apply(&mapping, &effect, MergeMode::Fast)
            .await
            .unwrap();
        assert_eq!(contents(&db, "t").await, "(1,a)");
        drop(apply);
        db.drop().await;
    }
}

#[tokio::test]
async fn a_session_that_its_process_has_let_go_of_is_ended() {
    for server in SERVERS {
        let db = Db::create(server).await;
        let store = db.store();
        let first = tenure::acquire(&store, "m").await.unwrap();
        let held = db
            .text(
                "SELECT application_name FROM pg_stat_activity
                 WHERE application_name LIKE 'crossfade:tenure %' AND datname = current_database()",
            )
            .await
            .unwrap();
        drop(first);
        // as a session that a cut network left behind: under the process's name, holding the lock
        let left = db.client().await;
        let sql = format!("SET application_name = '{held}'");
        left.batch("leaving a session", &sql).await.unwrap();
        let key = tenure::acquire(&store, "m").await.unwrap();
        let lock = db
            .text(
                "SELECT ((classid::bigint << 32) | objid::bigint)::text FROM pg_locks
                 WHERE locktype = 'advisory' AND mode = 'ExclusiveLock'
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            )
            .await
            .unwrap();
        drop(key);
        let sql = format!("SELECT pg_advisory_lock({lock})");
        left.batch("leaving a session", &sql).await.unwrap();
        let begun = Instant::now();
        let second = tenure::acquire(&store, "m").await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2));
        second.check().await.unwrap();
        assert!(left.batch("asking", "SELECT 1").await.is_err());
        drop(second);
        // somebody else's session is left alone
        let other = db.client().await;
        let sql = format!("SELECT pg_advisory_lock({lock})");
        other.batch("holding", &sql).await.unwrap();
        let Err(refused) = tenure::acquire(&store, "m").await else {
            panic!("it was taken away from a living process");
        };
        assert_eq!(refused.kind, ErrorKind::AlreadyRunning);
        other.batch("asking", "SELECT 1").await.unwrap();
        db.drop().await;
    }
}
