//! Connecting: encryption, passwords, session settings, and what is told when it fails.

use std::path::PathBuf;

use crossfade_postgres::session::settings;
use crossfade_postgres::{PostgresStore, Purpose};
use crossfade_store::{ErrorKind, StoreError};

use crate::support::{Database, SERVERS, nothing, variable};

fn tls_url(parameters: &str) -> String {
    format!("{}?{parameters}", variable("CROSSFADE_TEST_TLS_URL"))
}

fn file(name: &str) -> String {
    let path = PathBuf::from(variable("CROSSFADE_TEST_TLS_DIR")).join(name);
    path.to_str().unwrap().to_owned()
}

/// Whether the session is encrypted, by the server's word; both ways of connecting must agree.
async fn encrypted(url: &str) -> Result<bool, StoreError> {
    let store = PostgresStore::open_with(url, &nothing)?;
    let client = store.connect(Purpose::Check).await?;
    let row = client
        .query_one(
            "asking",
            "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
            &[],
        )
        .await?;
    Ok(row.get(0))
}

#[tokio::test]
async fn modes_encrypt_as_they_promise() {
    let ca = file("ca.crt");
    for mode in ["allow", "prefer", "require"] {
        assert!(
            encrypted(&tls_url(&format!("sslmode={mode}")))
                .await
                .unwrap(),
            "{mode}"
        );
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        let url = tls_url(&format!("sslmode={mode}&sslrootcert={ca}"));
        assert!(encrypted(&url).await.unwrap(), "{mode}");
    }
    let plain = variable("CROSSFADE_TEST_PG15A");
    for mode in ["disable", "allow", "prefer"] {
        assert!(
            !encrypted(&format!("{plain}?sslmode={mode}")).await.unwrap(),
            "{mode}"
        );
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        let e = encrypted(&format!("{plain}?sslmode={mode}&sslrootcert={ca}"))
            .await
            .unwrap_err();
        assert_eq!(
            (e.kind, e.code),
            (ErrorKind::Authentication, "postgres.tls_not_offered"),
            "{mode}: {e}"
        );
        assert!(e.fix.is_some());
    }
    let e = encrypted(&tls_url("sslmode=disable")).await.unwrap_err();
    assert_eq!(
        (e.kind, e.server_code.as_deref()),
        (ErrorKind::Authentication, Some("28000")),
        "{e}"
    );
}

#[tokio::test]
async fn a_server_that_is_not_who_it_should_be_is_refused() {
    let (ca, other) = (file("ca.crt"), file("other-ca.crt"));
    // a root certificate makes require verify the chain
    for mode in ["require", "verify-ca", "verify-full"] {
        let e = encrypted(&tls_url(&format!("sslmode={mode}&sslrootcert={other}")))
            .await
            .unwrap_err();
        assert_eq!(
            (e.kind, e.code),
            (ErrorKind::Authentication, "postgres.tls_unknown_issuer"),
            "{mode}: {e}"
        );
        assert!(e.fix.is_some());
    }
    // prefer goes on without encryption, which this server refuses
    let e = encrypted(&tls_url(&format!("sslmode=prefer&sslrootcert={other}")))
        .await
        .unwrap_err();
    assert_eq!(e.server_code.as_deref(), Some("28000"), "{e}");

    let elsewhere = |mode: &str| {
        tls_url(&format!(
            "sslmode={mode}&sslrootcert={ca}&host=db.example&hostaddr=127.0.0.1"
        ))
    };
    let e = encrypted(&elsewhere("verify-full")).await.unwrap_err();
    assert_eq!(
        (e.kind, e.code),
        (ErrorKind::Authentication, "postgres.tls_wrong_name"),
        "{e}"
    );
    assert!(encrypted(&elsewhere("verify-ca")).await.unwrap());
    let e = encrypted(&tls_url("sslmode=verify-full"))
        .await
        .unwrap_err();
    assert_eq!(e.kind, ErrorKind::Usage);
    let e = encrypted(&tls_url("sslrootcert=system")).await.unwrap_err();
    assert_eq!(e.code, "postgres.tls_unknown_issuer", "{e}");
}

#[tokio::test]
async fn a_client_certificate_lets_in_who_needs_one() {
    let (base, dir) = (variable("CROSSFADE_TEST_TLS_CERTIFIED_URL"), file(""));
    let ca = file("ca.crt");
    let url = |who: &str| {
        format!(
            "{base}?sslmode=verify-full&sslrootcert={ca}&sslcert={dir}{who}.crt&sslkey={dir}{who}.key"
        )
    };
    assert!(encrypted(&url("client")).await.unwrap());
    let e = encrypted(&url("other-client")).await.unwrap_err();
    assert_eq!(
        (e.kind, e.code),
        (ErrorKind::Authentication, "postgres.tls_client_certificate"),
        "{e}"
    );
    let e = encrypted(&format!("{base}?sslmode=require"))
        .await
        .unwrap_err();
    assert_eq!(e.kind, ErrorKind::Authentication, "{e}");
    let mixed =
        format!("{base}?sslmode=require&sslcert={dir}client.crt&sslkey={dir}other-client.key");
    assert_eq!(encrypted(&mixed).await.unwrap_err().kind, ErrorKind::Usage);
    for missing in [
        format!("{base}?sslcert={dir}client.crt"),
        format!("{base}?sslkey={dir}client.key"),
        format!("{base}?sslcert={dir}nothing.crt&sslkey={dir}client.key"),
        format!("{base}?sslrootcert={dir}client.key"),
    ] {
        let e = encrypted(&missing).await.unwrap_err();
        assert_eq!(
            (e.kind, e.code),
            (ErrorKind::Usage, "postgres.tls_files"),
            "{missing}: {e}"
        );
    }
}

#[tokio::test]
async fn a_password_is_needed_and_never_shown() {
    let right = variable("CROSSFADE_TEST_TLS_URL");
    let (head, tail) = right.split_once("://").unwrap();
    let (login, address) = tail.split_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    let wrong = format!("{head}://{user}:no-such-secret@{address}");
    let e = encrypted(&wrong).await.unwrap_err();
    assert_eq!(
        (e.kind, e.server_code.as_deref()),
        (ErrorKind::Authentication, Some("28P01"))
    );
    assert!(!format!("{e} {e:?}").contains("no-such-secret"));

    let bare = format!("{head}://{user}@{address}");
    let e = encrypted(&bare).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Authentication, "{e}");
    let environment = |name: &str| (name == "PGPASSWORD").then(|| password.to_owned());
    let store = PostgresStore::open_with(&bare, &environment).unwrap();
    store.connect(Purpose::Check).await.unwrap();
    assert!(!format!("{store:?}").contains(password));
}

#[tokio::test]
async fn what_cannot_be_reached_is_told_apart() {
    for (url, kind) in [
        ("postgres://u@127.0.0.1:1/d", ErrorKind::Connection),
        ("postgres://u@no-such-host.invalid/d", ErrorKind::Connection),
        (
            "postgres://u@/d?host=/no/such/folder",
            ErrorKind::Connection,
        ),
    ] {
        let e = encrypted(url).await.unwrap_err();
        assert_eq!(e.kind, kind, "{url}: {e}");
    }
    let server = variable("CROSSFADE_TEST_PG15A");
    let (head, _) = server.rsplit_once('/').unwrap();
    let e = encrypted(&format!("{head}/no_such_database"))
        .await
        .unwrap_err();
    assert_eq!(e.kind, ErrorKind::Missing, "{e}");
}

#[tokio::test]
async fn sessions_are_the_same_whatever_a_database_sets() {
    for server in SERVERS {
        let database = Database::create(server).await;
        let name = &database.name;
        database
            .run(&format!(
                "ALTER DATABASE {name} SET search_path = public; ALTER DATABASE {name} SET \"DateStyle\" = 'German';
                 ALTER DATABASE {name} SET bytea_output = 'escape'; ALTER DATABASE {name} SET \"TimeZone\" = 'Asia/Tokyo';
                 ALTER DATABASE {name} SET extra_float_digits = -10; ALTER DATABASE {name} SET default_transaction_read_only = on;
                 ALTER DATABASE {name} SET statement_timeout = '1s'; ALTER DATABASE {name} SET synchronous_commit = off;
                 ALTER DATABASE {name} SET \"IntervalStyle\" = 'iso_8601'; ALTER DATABASE {name} SET row_security = on"
            ))
            .await;
        let client = database.store().connect(Purpose::Apply).await.unwrap();
        for (setting, value) in settings(Purpose::Apply, client.version()) {
            let sql = "SELECT current_setting($1), (SELECT source FROM pg_settings WHERE lower(name) = lower($1))";
            let row = client.query_one("asking", sql, &[&setting]).await.unwrap();
            let (now, source): (String, String) = (row.get(0), row.get(1));
            assert_eq!(source, "session", "{setting}");
            if setting != "idle_in_transaction_session_timeout"
                && !setting.starts_with("tcp_keepalives")
            {
                assert_eq!(now, value, "{setting}");
            }
        }
        let sql = "SELECT format('%s %s %s %s', '2024-02-01'::date, '\\x00'::bytea, 0.1::float4, current_setting('synchronous_commit'))";
        let row = client.query_one("asking", sql, &[]).await.unwrap();
        assert_eq!(row.get::<_, String>(0), "2024-02-01 \\x00 0.1 on");
        let name: String = client
            .query_one("asking", "SELECT current_setting('application_name')", &[])
            .await
            .unwrap()
            .get(0);
        assert_eq!(name, "crossfade:apply");
        drop(client);
        database.drop().await;
    }
}

/// The error of a session that another one has ended.
async fn ended(store: &crossfade_postgres::PostgresStore) -> crossfade_store::StoreError {
    let victim = store.connect(Purpose::Read).await.unwrap();
    let pid: i32 = victim
        .query_one("asking", "SELECT pg_backend_pid()", &[])
        .await
        .unwrap()
        .get(0);
    let other = store.connect(Purpose::Check).await.unwrap();
    other
        .query_one("ending", "SELECT pg_terminate_backend($1)", &[&pid])
        .await
        .unwrap();
    while !victim.is_closed() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    victim.batch("asking again", "SELECT 1").await.unwrap_err()
}

#[tokio::test]
async fn why_a_connection_ended_is_kept() {
    let database = Database::create("CROSSFADE_TEST_PG15A").await;
    let store = database.store();
    // a reset of the connection can overtake the server's last words: then nobody has heard them
    let mut e = ended(&store).await;
    for _ in 0..20 {
        if e.kind != ErrorKind::Connection {
            break;
        }
        e = ended(&store).await;
    }
    assert_eq!(
        (e.kind, e.server_code.as_deref()),
        (ErrorKind::Unavailable, Some("57P01")),
        "{e}"
    );

    let other = store.connect(Purpose::Check).await.unwrap();
    // a dropped client's request does not go on holding its locks
    let sleeper = store.connect(Purpose::Load).await.unwrap();
    let pid: i32 = sleeper
        .query_one("asking", "SELECT pg_backend_pid()", &[])
        .await
        .unwrap()
        .get(0);
    let cut = tokio::time::timeout(
        std::time::Duration::from_millis(200),
        sleeper.query("sleeping", "SELECT pg_sleep(600)", &[]),
    );
    assert!(cut.await.is_err());
    drop(sleeper);
    let gone = async {
        loop {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1";
            let left: i64 = other
                .query_one("asking", sql, &[&pid])
                .await
                .unwrap()
                .get(0);
            if left == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), gone)
        .await
        .unwrap();
    drop(other);
    database.drop().await;
}

#[tokio::test]
async fn a_socket_in_a_folder_is_a_host_too() {
    let (folder, port) = (
        variable("CROSSFADE_SERVER_PG15A_DATA"),
        variable("CROSSFADE_SERVER_PG15A_PORT"),
    );
    // encryption is not asked of a socket that never leaves the machine
    for mode in ["disable", "prefer", "require"] {
        let url = format!("postgres://postgres@/postgres?host={folder}&port={port}&sslmode={mode}");
        let store = PostgresStore::open_with(&url, &nothing).unwrap();
        let client = store.connect(Purpose::Check).await.unwrap();
        let sql = "SELECT inet_server_addr() IS NULL";
        let row = client.query_one("asking", sql, &[]).await.unwrap();
        assert!(row.get::<_, bool>(0));
        for &encrypted in store.connect_target().attempts() {
            store.connect_target().dial(encrypted).await.unwrap();
        }
    }
}
