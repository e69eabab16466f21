//! The stream's own connection: TLS, certificates, passwords, and a role that may not replicate.

use crossfade_model::{Change, TableId};
use crossfade_postgres::replication::session::ReplicationSession;
use crossfade_postgres::{PostgresStore, Purpose};
use crossfade_store::{ErrorKind, StoreError};

use crate::kit::{Db, Follow, full};
use crate::support::{SERVERS, nothing, variable};

/// The URL of the test's database as the variable's user, with parameters.
fn url(db: &Db, variable_name: &str, parameters: &str) -> String {
    let server = variable(variable_name);
    let (head, _) = server.rsplit_once('/').unwrap();
    format!("{head}/{}?{parameters}", db.name)
}

fn store(url: &str) -> PostgresStore {
    PostgresStore::open_with(url, &nothing).unwrap()
}

async fn connect(url: &str) -> Result<(), StoreError> {
    let store = PostgresStore::open_with(url, &nothing)?;
    ReplicationSession::open(store.connect_target(), Purpose::Stream).await?;
    Ok(())
}

#[tokio::test]
async fn the_stream_is_encrypted_and_authenticated_as_the_url_says() {
    let dir = variable("CROSSFADE_TEST_TLS_DIR");
    let db = Db::create("CROSSFADE_TEST_TLS_URL").await;
    db.run("CREATE TABLE t (id int PRIMARY KEY)").await;
    let verified = format!("sslmode=verify-full&sslrootcert={dir}/ca.crt");
    let certified = format!("{verified}&sslcert={dir}/client.crt&sslkey={dir}/client.key");
    for (name, user, parameters) in [
        ("plain_login", "CROSSFADE_TEST_TLS_URL", verified.as_str()),
        (
            "certified",
            "CROSSFADE_TEST_TLS_CERTIFIED_URL",
            certified.as_str(),
        ),
    ] {
        let mut follow = Follow::begin(&store(&url(&db, user, parameters)), name, &["t"]).await;
        db.run("DELETE FROM t; INSERT INTO t VALUES (1)").await;
        let inserted = Change::Insert {
            table: TableId(0),
            row: full(&["1"]),
        };
        assert_eq!(follow.changes().await.last(), Some(&inserted));
        let encrypted = db
            .text(
                "SELECT bool_and(ssl)::text FROM pg_stat_ssl JOIN pg_stat_replication USING (pid)
                 WHERE application_name = 'crossfade:stream'",
            )
            .await;
        assert_eq!(encrypted.as_deref(), Some("true"));
        follow.end().await;
    }
    for (user, parameters, code) in [
        (
            "CROSSFADE_TEST_TLS_URL",
            format!("sslmode=verify-full&sslrootcert={dir}/other-ca.crt"),
            "postgres.tls_unknown_issuer",
        ),
        (
            "CROSSFADE_TEST_TLS_CERTIFIED_URL",
            format!("{verified}&sslcert={dir}/other-client.crt&sslkey={dir}/other-client.key"),
            "postgres.tls_client_certificate",
        ),
        (
            "CROSSFADE_TEST_TLS_URL",
            format!("{verified}&password=wrong"),
            "postgres.authentication",
        ),
    ] {
        let e = connect(&url(&db, user, &parameters)).await.unwrap_err();
        assert_eq!((e.kind, e.code), (ErrorKind::Authentication, code), "{e}");
        assert!(!e.to_string().contains("wrong"), "{e}");
    }
    db.drop().await;
}

#[tokio::test]
async fn replication_is_a_privilege() {
    for server in SERVERS {
        let mut db = Db::create(server).await;
        let role = format!("{}_reader", db.name);
        db.own(&role);
        db.run(&format!("CREATE ROLE {role} LOGIN PASSWORD 'secret'"))
            .await;
        let refused = connect(&db.url_of(Some((&role, "secret"))))
            .await
            .unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Permission, "{refused}");
        db.run(&format!("ALTER ROLE {role} REPLICATION")).await;
        connect(&db.url_of(Some((&role, "secret")))).await.unwrap();
        let missing = connect(&db.url().replace(&db.name, "no_such_database")).await;
        assert_eq!(missing.unwrap_err().kind, ErrorKind::Missing);
        db.drop().await;
    }
}
