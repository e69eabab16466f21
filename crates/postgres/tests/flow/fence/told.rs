//! What the fence tells: holes in it, findings, what it made; and the net against changes of shape.

use std::time::{Duration, Instant};

use crossfade_model::{Severity, TableName};
use crossfade_store::{ErrorKind, Fence};

use super::{FIRE, LONG, TABLES, armed, code, fenced, given, open, tables};
use crate::kit::{Db, PATIENCE, contents};
use crate::support::SERVERS;

const FAMILY: &str = "CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
     CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);";

#[tokio::test]
async fn holes_are_told_and_arming_again_mends_them() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(TABLES).await;
        db.run(FAMILY).await;
        let store = armed(&db, &["t", "u", "p"]).await;
        for (hole, word) in [
            ("ALTER TABLE t DISABLE TRIGGER ALL", "public.t is disabled"),
            (
                "ALTER TABLE t ENABLE TRIGGER crossfade_latch_m",
                "public.t does not fire under every",
            ),
            ("DROP TRIGGER crossfade_latch_m ON t", "public.t is missing"),
            (
                "DROP TRIGGER crossfade_latch_m ON p1",
                "public.p1 is missing",
            ),
            (
                "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200)",
                "public.p2 is missing",
            ),
            (
                "CREATE OR REPLACE TRIGGER crossfade_latch_m BEFORE INSERT ON t
                 FOR EACH STATEMENT EXECUTE FUNCTION crossfade.latch_62c66a7a5dd70c31()",
                "public.t is missing",
            ),
        ] {
            db.run(hole).await;
            let mut latch = store.fire("m", &FIRE).await.unwrap();
            let told = latch.recheck().await.unwrap();
            assert_eq!(told.len(), 1, "{server} {hole}: {told:?}");
            assert!(told[0].contains(word), "{server} {hole}: {told:?}");
            latch.release().await.unwrap();
            let all = tables(&store, &["t", "u", "p"]).await;
            store.arm("m", &all, LONG).await.unwrap();
            let mut latch = store.fire("m", &FIRE).await.unwrap();
            assert_eq!(
                latch.recheck().await.unwrap(),
                Vec::<String>::new(),
                "{hole}"
            );
            latch.release().await.unwrap();
        }
        db.run("ALTER TABLE u RENAME TO w").await;
        let mut latch = store.fire("m", &FIRE).await.unwrap();
        assert_eq!(
            latch.recheck().await.unwrap(),
            ["table \"public\".\"u\" is gone"]
        );
        latch.release().await.unwrap();
        db.run("ALTER TABLE w RENAME TO u").await;
        db.run(
            "DO $$ DECLARE f text := (SELECT oid::regprocedure FROM pg_proc WHERE proname LIKE 'latch%'
                 AND pronamespace = 'crossfade'::regnamespace);
             BEGIN EXECUTE 'CREATE OR REPLACE FUNCTION ' || f || ' RETURNS trigger LANGUAGE plpgsql AS ''BEGIN RETURN NULL; END'''; END $$",
        )
        .await;
        let mut latch = store.fire("m", &FIRE).await.unwrap();
        let told = latch.recheck().await.unwrap();
        assert!(
            told.len() == 1 && told[0].contains("not the one that was made"),
            "{told:?}"
        );
        drop(latch);
        db.drop().await;
    }
}

#[tokio::test]
async fn arming_names_who_holds_a_table_and_waits_for_him() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(TABLES).await;
        let store = db.store();
        store.make_register("m", open(0)).await.unwrap();
        let all = tables(&store, &["t"]).await;
        let writer = db.client().await;
        let sql = "SET application_name = 'slow app'; BEGIN; UPDATE t SET v = 'a'";
        writer.batch("writing", sql).await.unwrap();
        let busy = store
            .arm("m", &all, Duration::from_millis(500))
            .await
            .unwrap_err();
        assert_eq!(busy.kind, ErrorKind::Busy);
        assert_eq!(busy.table.as_deref(), Some("public.t"));
        assert!(busy.what.contains("slow app"), "{busy}");
        let mut arming = {
            let (store, all) = (store.clone(), all.clone());
            tokio::spawn(async move { store.arm("m", &all, LONG).await })
        };
        let early = tokio::time::timeout(Duration::from_millis(300), &mut arming).await;
        assert!(early.is_err());
        // he waits for nobody meanwhile
        assert_eq!(code(&writer, "UPDATE t SET v = 'b'; COMMIT").await, None);
        arming.await.unwrap().unwrap();
        db.drop().await;
    }
}

#[tokio::test]
async fn what_was_made_is_listed_and_goes() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(TABLES).await;
        let store = armed(&db, &["t", "u"]).await;
        assert_eq!(store.fence_made("n").await.unwrap(), []);
        let all = tables(&store, &["t", "u"]).await;
        assert!(store.freeze_ddl("m", &all, true).await.unwrap());
        let made = store.fence_made("m").await.unwrap();
        let kinds: Vec<&str> = made.iter().map(|m| m.kind.as_str()).collect();
        let expected = [
            "trigger",
            "trigger",
            "event trigger",
            "event trigger",
            "function",
            "function",
            "sequence",
            "rows",
        ];
        assert_eq!(kinds, expected, "{made:?}");
        // closed: the fence cannot be taken off by parts
        store.swap("m", open(0), fenced(1)).await.unwrap();
        let closed = store.disarm("m", &all).await.unwrap_err();
        assert_eq!(closed.kind, ErrorKind::Conflict);
        store.swap("m", fenced(1), open(1)).await.unwrap();
        // somebody writes: what is in his way stays
        let writer = db.client().await;
        writer
            .batch("writing", "BEGIN; UPDATE u SET v = 'a'")
            .await
            .unwrap();
        let left: Vec<TableName> = store.disarm("m", &all).await.unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].name, "u");
        writer.batch("writing", "COMMIT").await.unwrap();
        // another migration's stays
        store.make_register("n", fenced(0)).await.unwrap();
        let removed = store.remove_fence("m").await.unwrap();
        assert_eq!(removed.len(), made.len() - 1);
        assert_eq!(store.fence_made("m").await.unwrap(), []);
        assert_eq!(store.remove_fence("m").await.unwrap(), []);
        assert_eq!(
            store.standing("n").await.unwrap().unwrap().register,
            fenced(0)
        );
        store.remove_fence("n").await.unwrap();
        let schema = db.text("SELECT to_regnamespace('crossfade')::text").await;
        assert_eq!(schema, None);
        assert_eq!(
            code(&db.client().await, "UPDATE t SET v = 'free'").await,
            None
        );
        db.drop().await;
    }
}

#[tokio::test]
async fn shapes_are_frozen_for_others_alone() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run(TABLES).await;
        db.run(FAMILY).await;
        let store = armed(&db, &["t", "p"]).await;
        let all = tables(&store, &["t", "p"]).await;
        for _ in 0..2 {
            assert!(store.freeze_ddl("m", &all, true).await.unwrap());
        }
        let app = db.client().await;
        app.batch("naming", "SET application_name = 'a tool'")
            .await
            .unwrap();
        for sql in [
            "ALTER TABLE t ADD COLUMN more int",
            "ALTER TABLE t DISABLE TRIGGER ALL",
            "DROP TABLE t",
            "DROP TABLE p1",
            "ALTER TABLE p ALTER v TYPE varchar(9)",
            "ALTER TABLE t RENAME COLUMN v TO w",
            "ALTER TABLE p DETACH PARTITION p1",
            "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200)",
            "DROP TRIGGER crossfade_latch_m ON t",
            "SET session_replication_role = replica; DROP TABLE t",
        ] {
            let refused = app.batch("changing a shape", sql).await.err();
            let refused = refused.unwrap_or_else(|| panic!("{server}: {sql} passed"));
            assert!(
                refused.what.contains("crossfade migration m"),
                "{sql}: {refused}"
            );
        }
        for sql in [
            "ALTER TABLE u ADD COLUMN more int",
            "CREATE TABLE w (id int)",
            "DROP TABLE w",
        ] {
            assert_eq!(code(&app, sql).await, None, "{sql}");
        }
        assert_eq!(
            code(&db.client().await, "ALTER TABLE t ADD COLUMN ours int").await,
            None
        );
        for _ in 0..2 {
            assert!(store.freeze_ddl("m", &all, false).await.unwrap());
        }
        assert_eq!(code(&app, "ALTER TABLE t ADD COLUMN more int").await, None);
        db.drop().await;
    }
}

#[tokio::test]
async fn findings_say_what_the_role_lacks_and_what_the_fence_cannot_stop() {
    for server in SERVERS {
        let mut db = Db::create(server).await;
        db.run(TABLES).await;
        db.run(FAMILY).await;
        db.run("CREATE UNLOGGED TABLE quick (id int PRIMARY KEY)")
            .await;
        let store = db.store();
        let mut all = tables(&store, &["t", "quick", "p"]).await;
        let codes = |findings: &[crossfade_model::Finding], severity| {
            let of: Vec<String> = findings
                .iter()
                .filter(|f| f.severity == severity)
                .map(|f| f.code.clone())
                .collect();
            of
        };
        let found = store.fence_findings("m", &all).await.unwrap();
        assert_eq!(codes(&found, Severity::Blocks), Vec::<String>::new());
        assert_eq!(
            codes(&found, Severity::Warning),
            ["postgres.fence_unlogged"]
        );
        assert!(found.iter().any(|f| f.code == "postgres.fence_limits"));
        assert_eq!(store.fence_made("m").await.unwrap(), []);

        let role = format!("{}_mover", db.name);
        db.run(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'x'; ALTER TABLE t OWNER TO {role}"
        ))
        .await;
        db.own(&role);
        let mover = db.store_of(&role, "x");
        all[2].name.name = "p1".into();
        let sql = "BEGIN; UPDATE t SET v = 'b' WHERE id = 1; PREPARE TRANSACTION 'it'";
        db.run(&sql.replace("'it'", &format!("'{}'", db.name)))
            .await;
        let found = mover.fence_findings("m", &all).await.unwrap();
        let blocks = codes(&found, Severity::Blocks);
        let owner = "postgres.fence_owner";
        assert_eq!(
            blocks,
            ["postgres.fence_schema", owner, owner, owner],
            "{found:?}"
        );
        let warnings = codes(&found, Severity::Warning);
        for expected in ["postgres.fence_prepared", "postgres.fence_above"] {
            assert!(
                warnings.iter().any(|w| w == expected),
                "{expected}: {found:?}"
            );
        }
        assert!(!mover.freeze_ddl("m", &all, true).await.unwrap());
        let client = db.client().await;
        let sql = format!("ROLLBACK PREPARED '{}'", db.name);
        client.batch("ending", &sql).await.unwrap();
        db.drop().await;
    }
}

#[tokio::test]
async fn a_subscription_stops_at_the_fence() {
    for server in SERVERS {
        let (from, to) = (Db::create(server).await, Db::create(server).await);
        for db in [&from, &to] {
            db.run("CREATE TABLE t (id int PRIMARY KEY, v text)").await;
        }
        let slot = format!("{}_sub", from.name);
        from.run("CREATE PUBLICATION p FOR TABLE t").await;
        let sql = format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')");
        from.run(&sql).await;
        let url = from.url();
        to.run(&format!(
            "CREATE SUBSCRIPTION s CONNECTION '{url}' PUBLICATION p
             WITH (create_slot = false, slot_name = '{slot}', copy_data = false)"
        ))
        .await;
        let arrived = async |rows: &str| {
            let begun = Instant::now();
            while contents(&to, "t").await != rows {
                assert!(
                    begun.elapsed() < PATIENCE,
                    "{server}: {rows:?} did not arrive"
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let store = armed(&to, &["t"]).await;
        from.run("INSERT INTO t VALUES (1, 'a')").await;
        arrived("(1,a)").await;
        let mut latch = store.fire("m", &FIRE).await.unwrap();
        assert_eq!(latch.recheck().await.unwrap(), Vec::<String>::new());
        from.run("INSERT INTO t VALUES (2, 'b'); UPDATE t SET v = 'c' WHERE id = 1")
            .await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(
            contents(&to, "t").await,
            "(1,a)",
            "{server}: it passed the fence"
        );
        latch.release().await.unwrap();
        arrived("(1,c)\n(2,b)").await;
        from.run("DELETE FROM t WHERE id = 2").await;
        arrived("(1,c)").await;
        // closed: the worker fails, and nothing comes
        store.swap("m", open(0), fenced(1)).await.unwrap();
        store.swap("m", fenced(1), given(1)).await.unwrap();
        from.run("DELETE FROM t").await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(contents(&to, "t").await, "(1,c)");
        let client = to.client().await;
        for sql in [
            "ALTER SUBSCRIPTION s DISABLE",
            "ALTER SUBSCRIPTION s SET (slot_name = NONE)",
            "DROP SUBSCRIPTION s",
        ] {
            client.batch("ending", sql).await.unwrap();
        }
        to.drop().await;
        from.drop_slot(&slot).await;
        from.drop().await;
    }
}
