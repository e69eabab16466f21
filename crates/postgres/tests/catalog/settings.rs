//! Servers with settings that speak against a migration.

use crossfade_model::Severity;
use crossfade_postgres::{PostgresStore, Purpose};
use crossfade_store::{CaptureSpec, Source, Target};
use xtask::servers::fleet::Fleet;
use xtask::servers::server::{Access, Durability, Spec, StopMode};
use xtask::servers::version::Version;

use crate::support::nothing;

fn spec(version: Version, settings: &[&str]) -> Spec {
    Spec {
        name: "odd".into(),
        version,
        durability: Durability::Fast,
        access: Access::Trust,
        settings: settings.iter().map(|s| (*s).to_owned()).collect(),
    }
}

async fn codes(store: &PostgresStore, blocks: bool) -> Vec<String> {
    let spec = CaptureSpec {
        replanned: None,
        migration: "m".into(),
        tables: Vec::new(),
    };
    let findings = Source::findings(store, &spec).await.unwrap();
    let wanted = |s: Severity| (s == Severity::Blocks) == blocks;
    findings
        .into_iter()
        .filter(|f| wanted(f.severity))
        .map(|f| f.code)
        .collect()
}

#[tokio::test]
async fn settings_that_speak_against_a_capture_are_found() {
    let installed = xtask::servers::install().unwrap();
    let settings = [
        "wal_level = replica",
        "max_replication_slots = 1",
        "max_wal_senders = 0",
        "synchronous_standby_names = 'ANY 1 (*)'",
        "synchronous_commit = local",
        "max_slot_wal_keep_size = '100MB'",
        "idle_replication_slot_timeout = '1h'",
    ];
    let fleet = Fleet::start(&installed, &[spec(Version::V18, &settings)]).unwrap();
    let store = PostgresStore::open_with(&fleet.server("odd").unwrap().url(), &nothing).unwrap();
    let client = store.connect(Purpose::Check).await.unwrap();
    let sql = "SELECT pg_create_physical_replication_slot('taken')";
    client.query_one("taking the slot", sql, &[]).await.unwrap();
    let sql = "BEGIN; CREATE TABLE public.t (); PREPARE TRANSACTION 'left'";
    client.batch("leaving a transaction", sql).await.unwrap();
    assert_eq!(
        codes(&store, true).await,
        [
            "postgres.wal_level",
            "postgres.no_free_slot",
            "postgres.no_free_walsender",
            "postgres.synchronous_standby"
        ]
    );
    assert_eq!(
        codes(&store, false).await,
        [
            "postgres.slot_keep_size",
            "postgres.idle_slot_timeout",
            "postgres.fsync_off",
            "postgres.prepared_transactions"
        ]
    );
    drop(client);
    fleet.stop().unwrap();
}

#[tokio::test]
async fn a_standby_is_neither_source_nor_target_and_a_promoted_one_is_another_server() {
    let installed = xtask::servers::install().unwrap();
    let mut fleet = Fleet::start(&installed, &[spec(Version::V15, &[])]).unwrap();
    let server = fleet.server_mut("odd").unwrap();
    let store = PostgresStore::open_with(&server.url(), &nothing).unwrap();
    let primary = Source::identity(&store).await.unwrap();
    server.stop(StopMode::Fast).unwrap();
    std::fs::write(server.data().join("standby.signal"), "").unwrap();
    server.start().unwrap();

    let store = PostgresStore::open_with(&server.url(), &nothing).unwrap();
    assert_eq!(codes(&store, true).await, ["postgres.standby"]);
    let findings = Target::findings(&store, "m", &[], true).await.unwrap();
    assert!(
        findings.iter().any(|f| f.code == "postgres.standby"),
        "{findings:#?}"
    );
    let standby = Source::identity(&store).await.unwrap();
    assert_eq!(standby, primary);

    let client = store.connect(Purpose::Check).await.unwrap();
    let sql = "SELECT pg_promote(true, 60)";
    assert!(
        client
            .query_one("promoting", sql, &[])
            .await
            .unwrap()
            .get::<_, bool>(0)
    );
    let promoted = Source::identity(&store).await.unwrap();
    assert_ne!(promoted.identity, primary.identity);
    assert!(promoted.version.starts_with("PostgreSQL 15."));
    drop(client);
    fleet.stop().unwrap();
}
