//! The session of our own that the program's sums read from: what it sees, how it is encrypted, how it breaks.

use crossfade_model::{BucketSums, Digester};
use crossfade_postgres::sums::Summand;
use crossfade_postgres::sums::raw::RawReads;
use crossfade_postgres::{PostgresStore, Purpose, reader, snapshot};
use crossfade_store::{ChunkRange, ErrorKind, StoreError, SumPlace};

use crate::kit::{Db, mappings};
use crate::support::{SERVERS, nothing, variable};

const ROWS: &str = "CREATE TABLE t (id int PRIMARY KEY, s text);
    INSERT INTO t SELECT g, repeat('x', g % 50) FROM generate_series(1, 20000) g";

/// The snapshot's session and its second one, both idle but for the snapshot's transaction.
const SESSIONS: &str =
    "SELECT string_agg(state || ' ' || coalesce(ssl, false), ', ' ORDER BY state)
    FROM pg_stat_activity LEFT JOIN pg_stat_ssl USING (pid)
    WHERE datname = current_database() AND application_name = ";

async fn sees_the_snapshot_alone(db: &Db, store: &PostgresStore, encrypted: bool) {
    db.run(ROWS).await;
    let mapping = mappings(store, &["t"]).await.remove(0);
    let mut source = snapshot::open_snapshot(store, &[&mapping.source])
        .await
        .unwrap();
    let mut target = reader::open_reader(store, "none").await.unwrap();
    let digester = Digester::new(&[9; 32]);
    db.run("DELETE FROM t WHERE id < 7; INSERT INTO t VALUES (0, 'new'); UPDATE t SET s = '' WHERE id = 9")
        .await;
    let all = ChunkRange::All;
    let mut sums = Vec::new();
    for place in [SumPlace::Server, SumPlace::Program, SumPlace::Program] {
        sums.push(source.sum(&mapping, &all, &digester, place).await.unwrap());
        sums.push(target.sum(&mapping, &all, &digester, place).await.unwrap());
    }
    assert_eq!(sums[0].total().rows, 20_000);
    assert!(sums.iter().all(|s| *s == sums[0]));
    for purpose in [Purpose::Snapshot, Purpose::Read] {
        let sql = format!("{SESSIONS}'{}'", purpose.application_name());
        let expected = format!("idle {encrypted}, idle in transaction {encrypted}");
        assert_eq!(db.text(&sql).await, Some(expected), "{purpose:?}");
    }
    source.close().await.unwrap();
    target.close().await.unwrap();
}

#[tokio::test]
async fn the_second_session_sees_what_the_snapshot_sees() {
    for server in SERVERS {
        let db = Db::create(server).await;
        sees_the_snapshot_alone(&db, &db.store(), false).await;
        db.drop().await;
    }
}

#[tokio::test]
async fn the_second_session_is_encrypted_as_the_url_says() {
    let dir = variable("CROSSFADE_TEST_TLS_DIR");
    let db = Db::create("CROSSFADE_TEST_TLS_URL").await;
    let url = format!("{}?sslmode=verify-full&sslrootcert={dir}/ca.crt", db.url());
    let store = PostgresStore::open_with(&url, &nothing).unwrap();
    sees_the_snapshot_alone(&db, &store, true).await;
    db.drop().await;
}

/// Sums what a query gives, by a snapshot's client and its second session.
async fn summed(db: &Db, queries: &[&str]) -> Vec<Result<BucketSums, StoreError>> {
    let store = db.store();
    let mapping = mappings(&store, &["t"]).await.remove(0);
    let client = store.connect(Purpose::Snapshot).await.unwrap();
    client
        .batch("testing", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await
        .unwrap();
    let mut raw = RawReads::new(&store, Purpose::Snapshot);
    let digester = Digester::new(&[9; 32]);
    let mut results = Vec::new();
    for query in queries {
        let summand = Summand {
            mapping: &mapping,
            copied: (*query).to_owned(),
            queried: String::new(),
            forms: None,
        };
        let sum = summand.sum(&client, &mut raw, "a store", &digester, SumPlace::Program);
        results.push(sum.await);
    }
    results
}

#[tokio::test]
async fn a_copy_that_breaks_off_gives_an_error_and_no_sum() {
    let db = Db::create(SERVERS[0]).await;
    db.run(ROWS).await;
    let whole = "public.t (id, s)";
    for (breaking, kind) in [
        (
            "(SELECT id, 1 / (15000 - id) FROM public.t ORDER BY id)",
            ErrorKind::RowRefused,
        ),
        (
            "(SELECT id, CASE id WHEN 15000 THEN pg_terminate_backend(pg_backend_pid()) END FROM public.t ORDER BY id)",
            ErrorKind::Unavailable,
        ),
        ("(SELECT id FROM public.t)", ErrorKind::Corrupt),
        ("(SELECT id, s, 1 FROM public.t)", ErrorKind::Corrupt),
    ] {
        // the driver takes over in the snapshot, which is whole
        let results = summed(&db, &[whole, breaking, whole]).await;
        let error = results[1].as_ref().unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert_eq!(results[0].as_ref().unwrap().total().rows, 20_000);
        assert_eq!(results[0].as_ref().unwrap(), results[2].as_ref().unwrap());
    }
    db.drop().await;
}

/// Whoever waits for the whole table lets no new reader by; the snapshot has its lock and reads on.
#[tokio::test]
async fn a_table_that_somebody_waits_for_is_read_all_the_same() {
    let db = Db::create(SERVERS[0]).await;
    db.run(ROWS).await;
    let store = db.store();
    let mapping = mappings(&store, &["t"]).await.remove(0);
    let mut source = snapshot::open_snapshot(&store, &[&mapping.source])
        .await
        .unwrap();
    let url = db.url();
    let waiting = tokio::spawn(async move {
        let store = PostgresStore::open_with(&url, &nothing).unwrap();
        let client = store.connect(Purpose::Build).await.unwrap();
        client
            .batch("testing", "ALTER TABLE public.t ADD u int")
            .await
    });
    let queued = "SELECT count(*)::text FROM pg_locks WHERE NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while db.text(queued).await.as_deref() == Some("0") {
        tokio::task::yield_now().await;
    }
    let digester = Digester::new(&[9; 32]);
    for _ in 0..2 {
        let sum = source.sum(&mapping, &ChunkRange::All, &digester, SumPlace::Program);
        assert_eq!(sum.await.unwrap().total().rows, 20_000);
    }
    assert!(!waiting.is_finished());
    source.close().await.unwrap();
    waiting.await.unwrap().unwrap();
    db.drop().await;
}
