//! The stream as a whole: big transactions, idle time, encryption, servers' files, damaged ones.

use std::sync::Arc;

use crossfade_mysql_binlog::{
    Address, BinlogStream, Connection, Error, Flavour, Interest, Item, RowChange, StreamOptions,
    Tls, replica_id,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};

use crate::common::{alone, servers, shown, words};

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes * 1024
}

#[tokio::test]
async fn a_big_transaction_comes_in_pieces_and_memory_stays_flat() {
    const ROWS: u64 = 200_000;
    let _alone = alone().await;
    for server in servers() {
        for compressed in [false, true] {
            let mut session = server.database("bl_big").await;
            session
                .run("CREATE TABLE t (id int PRIMARY KEY, b varchar(2000))")
                .await;
            if server.is_mariadb() {
                session
                    .run(&format!("SET GLOBAL log_bin_compress = {compressed}"))
                    .await;
            } else {
                session
                    .run(&format!(
                        "SET SESSION binlog_transaction_compression = {compressed}"
                    ))
                    .await;
                session
                    .run(&format!("SET SESSION cte_max_recursion_depth = {ROWS}"))
                    .await;
            }
            let start = server.end().await;
            let rows = match server.is_mariadb() {
                true => format!("SELECT seq AS n FROM seq_1_to_{ROWS}"),
                false => format!(
                    "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {ROWS}) SELECT n FROM s"
                ),
            };
            session
                .run(&format!(
                    "INSERT INTO t SELECT n, repeat(sha2(n, 256), 16) FROM ({rows}) AS s"
                ))
                .await;
            if server.is_mariadb() {
                session.run("SET GLOBAL log_bin_compress = OFF").await;
            }
            server.mark("bl_big").await;
            let mut stream = server.stream(&start, "bl_big").await;
            let before = resident();
            let (mut most, mut count, mut pieces, mut bytes) = (0, 0, 0, 0);
            'reading: loop {
                let items = stream.next().await.unwrap();
                pieces += usize::from(matches!(items.first(), Some(Item::Change(_))));
                most = most.max(resident());
                for item in items {
                    match item {
                        Item::Change(change) => {
                            count += 1;
                            let RowChange::Insert { row } = &change.row else {
                                panic!()
                            };
                            assert_eq!(shown(&row.0[0]), count.to_string());
                            bytes += shown(&row.0[1]).len();
                        }
                        Item::Commit(_) => break 'reading,
                        Item::Begin(_) => assert_eq!(count, 0),
                        Item::Passed(_) => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
            assert_eq!(
                (count, bytes),
                (ROWS, ROWS as usize * 1024),
                "{}",
                server.name
            );
            assert!(pieces > 20, "{pieces}");
            let grown = most.saturating_sub(before) >> 20;
            println!("{} compressed {compressed}: {grown} MiB more", server.name);
            assert!(
                grown < 64,
                "{} compressed {compressed}: {grown} MiB",
                server.name
            );
            session.run("DROP DATABASE bl_big").await;
        }
    }
}

#[tokio::test]
async fn idle_time_is_told_and_waiting_can_be_given_up() {
    let _alone = alone().await;
    for server in servers() {
        let mut session = server.database("bl_idle").await;
        session.run("CREATE TABLE t (a int PRIMARY KEY)").await;
        let mariadb = session.connection.flavour() == Flavour::Mariadb;
        assert_eq!(mariadb, server.is_mariadb());
        let start = server.end().await;
        let mut stream = server.stream(&start, "bl_idle").await;
        for _ in 0..3 {
            // whatever comes: the call returns by itself
            let items = stream.next().await.unwrap();
            assert!(
                items.iter().all(|item| matches!(item, Item::Passed(_))),
                "{items:?}"
            );
        }
        // giving up in the middle loses nothing
        let mut items = Vec::new();
        for a in 0..20 {
            session.run(&format!("INSERT INTO t VALUES ({a})")).await;
            tokio::select! {
                biased;
                () = tokio::task::yield_now() => {}
                next = stream.next() => items.extend(next.unwrap()),
            }
        }
        while words(&items)
            .iter()
            .filter(|word| word.starts_with('+'))
            .count()
            < 20
        {
            items.extend(stream.next().await.unwrap());
        }
        let expected: Vec<String> = (0..20)
            .flat_map(|a| ["begin".to_owned(), format!("+t({a})"), "commit".to_owned()])
            .collect();
        let mut seen = words(&items);
        while seen.len() < expected.len() {
            seen.extend(words(&stream.next().await.unwrap()));
        }
        assert_eq!(seen, expected);
    }
}

/// Trusts any certificate: the servers' own are made at their start.
#[derive(Debug)]
struct Anyone(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn trusting() -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        .with_no_client_auth();
    Arc::new(config)
}

#[tokio::test]
async fn the_stream_can_be_encrypted() {
    let _alone = alone().await;
    for server in servers() {
        let mut session = server.database("bl_tls").await;
        session.run("CREATE TABLE t (a int PRIMARY KEY)").await;
        let start = server.end().await;
        session.run("INSERT INTO t VALUES (1)").await;
        let tls = Tls::Require(trusting());
        let options = StreamOptions {
            replica: replica_id(),
            wanted: Box::new(|_, _| Interest::Whole),
            hold_bytes: 1 << 20,
            server: None,
        };
        match BinlogStream::open(
            server.address(),
            server.credentials(),
            &tls,
            &start,
            options,
        )
        .await
        {
            Ok(mut stream) => {
                // the stream's own session cannot be asked; another that is opened alike can
                let mut alike = Connection::open(server.address(), server.credentials(), &tls)
                    .await
                    .unwrap();
                let status = alike.query("SHOW SESSION STATUS LIKE 'Ssl_cipher'");
                let cipher = status.await.unwrap()[0][1].clone();
                assert!(cipher.is_some_and(|c| !c.is_empty()), "not encrypted");
                let mut items = Vec::new();
                while !words(&items).contains(&"commit".to_owned()) {
                    items.extend(stream.next().await.unwrap());
                }
                assert_eq!(words(&items), ["begin", "+t(1)", "commit"]);
            }
            // a server without a certificate says so before the password is sent
            Err(error) => {
                assert_eq!(server.name, "MARIADB1011", "{error:?}");
                assert_eq!(error.code, "mysql.tls");
                let prefer = Tls::Prefer(trusting());
                Connection::open(server.address(), server.credentials(), &prefer)
                    .await
                    .map(drop)
                    .unwrap();
            }
        }
        // with the password known by the server only by its digest, and without
        session.run("DROP USER IF EXISTS bl_tls@'%'").await;
        session
            .run("CREATE USER bl_tls@'%' IDENTIFIED BY 'pa''ss'")
            .await;
        let credentials = crossfade_mysql_binlog::Credentials {
            user: "bl_tls".to_owned(),
            password: "pa'ss".to_owned(),
        };
        for tls in [Tls::Prefer(trusting()), Tls::Off] {
            session.run("FLUSH PRIVILEGES").await;
            for _ in 0..2 {
                Connection::open(server.address(), &credentials, &tls)
                    .await
                    .map(drop)
                    .unwrap();
            }
        }
        // the server's own socket: the password goes as it is
        let socket = Address::Socket(session.value("SELECT @@socket").await.into());
        session.run("FLUSH PRIVILEGES").await;
        Connection::open(&socket, &credentials, &Tls::Require(trusting()))
            .await
            .map(drop)
            .unwrap();
        session.run("DROP USER bl_tls@'%'").await;
    }
}

#[tokio::test]
async fn two_replicas_of_one_number_are_not_lost_in_silence() {
    let _alone = alone().await;
    for server in servers() {
        let mut session = server.database("bl_twice").await;
        session.run("CREATE TABLE t (a int PRIMARY KEY)").await;
        let start = server.end().await;
        let replica = replica_id();
        assert!(replica >= 1 << 31);
        let open = || {
            let options = StreamOptions {
                replica,
                wanted: Box::new(|_, _| Interest::Whole),
                hold_bytes: 0,
                server: None,
            };
            BinlogStream::open(
                server.address(),
                server.credentials(),
                &Tls::Off,
                &start,
                options,
            )
        };
        let mut first = open().await.unwrap();
        let _second = open().await.unwrap();
        let error: Error = loop {
            match first.next().await {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(
            error.kind.recovery(),
            crossfade_store::Recovery::Retry,
            "{} {error:?}",
            server.name
        );
        assert_eq!(
            first.next().await.unwrap_err(),
            error,
            "the same is told again"
        );
        session.run("DO 1").await;
    }
}

#[tokio::test]
async fn a_log_without_checksums_is_followed_too() {
    let _alone = alone().await;
    for server in servers() {
        let mut session = server.database("bl_sums").await;
        session.run("CREATE TABLE t (a int PRIMARY KEY)").await;
        let before = server.end().await;
        session.run("INSERT INTO t VALUES (1)").await;
        session.run("SET GLOBAL binlog_checksum = NONE").await;
        let without = server.end().await;
        session.run("INSERT INTO t VALUES (2)").await;
        let mut reading = server.stream(&without, "bl_sums").await;
        let mut items = Vec::new();
        while !words(&items).contains(&"commit".to_owned()) {
            items.extend(reading.next().await.unwrap());
        }
        // each file tells for itself
        session.run("SET GLOBAL binlog_checksum = CRC32").await;
        session.run("INSERT INTO t VALUES (3)").await;
        let rows = |items: &[Item]| -> Vec<String> {
            let rows = words(items).into_iter();
            rows.filter(|word| word.starts_with('+')).collect()
        };
        assert_eq!(rows(&items), ["+t(2)"]);
        for (start, expected) in [
            (&before, &["+t(1)", "+t(2)", "+t(3)"][..]),
            (&without, &["+t(2)", "+t(3)"]),
        ] {
            let items = server.items(start, "bl_sums").await.unwrap();
            assert_eq!(rows(&items), expected, "{}", server.name);
        }
    }
}

#[tokio::test]
async fn few_wanted_rows_among_many_others_keep_little_memory() {
    let _alone = alone().await;
    for server in servers() {
        let mut session = server.database("bl_few").await;
        session.run("CREATE DATABASE IF NOT EXISTS bl_else").await;
        session.run("DROP TABLE IF EXISTS bl_else.bulk").await;
        session.run("CREATE TABLE bl_else.bulk (b longblob)").await;
        session
            .run("CREATE TABLE t (a int PRIMARY KEY, b varchar(20))")
            .await;
        let start = server.end().await;
        session.run("BEGIN").await;
        for a in 0..300 {
            session
                .run("INSERT INTO bl_else.bulk VALUES (repeat('x', 500000))")
                .await;
            session
                .run(&format!("INSERT INTO t VALUES ({a}, 'kept')"))
                .await;
        }
        session.run("COMMIT").await;
        let mut stream = server.stream(&start, "bl_few").await;
        fn sendable<T: Send>(_: &T) {}
        sendable(&stream);
        let before = resident();
        let mut kept = Vec::new();
        while !matches!(kept.last(), Some(Item::Commit(_))) {
            kept.extend(stream.next().await.unwrap());
        }
        let grown = resident().saturating_sub(before) >> 20;
        assert_eq!(kept.len(), 302);
        assert!(grown < 32, "{}: {grown} MiB", server.name);
        println!("{}: {grown} MiB", server.name);
        session.run("DROP TABLE bl_else.bulk").await;
    }
}
