//! What cannot be followed stops the stream, with the statement that helps.

use crossfade_mysql_binlog::{
    Address, Connection, Credentials, Error, GtidSet, Interest, LogPosition, Start, Tls,
};
use crossfade_store::{ErrorKind, Recovery};

use crate::common::{Server, alone, mariadbs, servers, words};

/// The error that ends the stream of what the statements write.
async fn error_of(server: &Server, database: &str, statements: &[&str]) -> Error {
    let start = server.end().await;
    let mut session = server.session().await;
    session.run(&format!("USE {database}")).await;
    for sql in statements {
        session.run(sql).await;
    }
    match server.items(&start, database).await {
        Ok(items) => panic!(
            "{}: nothing stopped {statements:?}: {:?}",
            server.name,
            words(&items)
        ),
        Err(error) => error,
    }
}

fn assert_fix(server: &Server, error: &Error, code: &str, fix: &str) {
    assert_eq!(error.code, code, "{} {error:?}", server.name);
    assert!(
        error.fix.as_deref().unwrap_or("").contains(fix),
        "{error:?}"
    );
}

#[tokio::test]
async fn statements_instead_of_rows() {
    let _alone = alone().await;
    for server in servers() {
        let mut session = server.database("bl_refused").await;
        session
            .run("CREATE TABLE t (a int PRIMARY KEY, b text)")
            .await;
        for sql in [
            "INSERT INTO t VALUES (1, 'x')",
            "/* a comment */ UPDATE t SET a = 2",
            "REPLACE INTO t VALUES (2, 'y')",
            "DELETE FROM t",
        ] {
            let error = error_of(
                &server,
                "bl_refused",
                &["SET SESSION binlog_format = 'STATEMENT'", sql],
            )
            .await;
            assert_fix(
                &server,
                &error,
                "binlog.statement",
                "SET GLOBAL binlog_format = 'ROW'",
            );
            assert_eq!(error.kind.recovery(), Recovery::Refuse);
        }
    }
}

#[tokio::test]
async fn rows_without_all_their_columns() {
    let _alone = alone().await;
    for server in servers() {
        let mut session = server.database("bl_refused").await;
        session
            .run("CREATE TABLE t (a int PRIMARY KEY, b text, c int)")
            .await;
        session.run("INSERT INTO t VALUES (1, 'x', 1)").await;
        for (image, sql) in [
            ("MINIMAL", "UPDATE t SET c = c + 1"),
            ("MINIMAL", "INSERT INTO t (a) VALUES (2)"),
            ("NOBLOB", "UPDATE t SET c = c + 1"),
            ("MINIMAL", "DELETE FROM t WHERE a = 2"),
        ] {
            let set = format!("SET SESSION binlog_row_image = '{image}'");
            let error = error_of(&server, "bl_refused", &[&set, sql]).await;
            assert_fix(
                &server,
                &error,
                "binlog.row_image",
                "SET GLOBAL binlog_row_image = 'FULL'",
            );
            assert_eq!(error.table.as_deref(), Some("bl_refused.t"));
        }
        if server.name == "MARIADB118" {
            let error = error_of(
                &server,
                "bl_refused",
                &[
                    "SET SESSION binlog_row_image = 'FULL_NODUP'",
                    "UPDATE t SET c = c + 1",
                ],
            )
            .await;
            assert_fix(&server, &error, "binlog.row_image", "FULL");
        }
    }
}

#[tokio::test]
async fn rows_whose_columns_have_no_names() {
    let _alone = alone().await;
    for server in servers() {
        let mut session = server.database("bl_refused").await;
        session.run("CREATE TABLE t (a int PRIMARY KEY)").await;
        session
            .run("SET GLOBAL binlog_row_metadata = 'MINIMAL'")
            .await;
        let error = error_of(&server, "bl_refused", &["INSERT INTO t VALUES (1)"]).await;
        session.run("SET GLOBAL binlog_row_metadata = 'FULL'").await;
        assert_fix(
            &server,
            &error,
            "binlog.row_metadata",
            "SET GLOBAL binlog_row_metadata = 'FULL'",
        );
    }
}

#[tokio::test]
async fn prepared_transactions() {
    let _alone = alone().await;
    for server in servers() {
        let mut session = server.database("bl_refused").await;
        session.run("CREATE TABLE t (a int PRIMARY KEY)").await;
        session.run("CREATE DATABASE IF NOT EXISTS bl_else").await;
        session
            .run("CREATE TABLE IF NOT EXISTS bl_else.u (a int)")
            .await;
        let prepared = [
            "XA START 'x\u{1}','b',7",
            "INSERT INTO t VALUES (1)",
            "XA END 'x\u{1}','b',7",
            "XA PREPARE 'x\u{1}','b',7",
        ];
        let error = error_of(&server, "bl_refused", &prepared).await;
        assert_fix(&server, &error, "binlog.xa", "XA RECOVER");
        assert_eq!(error.table.as_deref(), Some("bl_refused.t"));
        // decided, and nobody knows what was prepared
        let error = error_of(&server, "bl_refused", &["XA COMMIT 'x\u{1}','b',7"]).await;
        assert_fix(&server, &error, "binlog.xa", "XA RECOVER");
        // a single phase is an ordinary transaction; other tables' are left alone
        let start = server.end().await;
        for (sql, decided) in [("INSERT INTO t VALUES (2)", "XA COMMIT 'y' ONE PHASE")] {
            for sql in ["XA START 'y'", sql, "XA END 'y'", decided] {
                session.run(sql).await;
            }
        }
        for decision in ["COMMIT", "ROLLBACK"] {
            for sql in [
                "XA START 'z'",
                "INSERT INTO bl_else.u VALUES (1)",
                "XA END 'z'",
                "XA PREPARE 'z'",
            ] {
                session.run(sql).await;
            }
            session.run(&format!("XA {decision} 'z'")).await;
        }
        session.run("INSERT INTO t VALUES (3)").await;
        let items = server.items(&start, "bl_refused").await.unwrap();
        assert_eq!(
            words(&items),
            ["begin", "+t(2)", "commit", "begin", "+t(3)", "commit"],
            "{}",
            server.name
        );
    }
}

#[tokio::test]
async fn a_log_that_is_gone() {
    let _alone = alone().await;
    for server in servers() {
        let mut session = server.database("bl_refused").await;
        session.run("CREATE TABLE t (a int PRIMARY KEY)").await;
        let start = server.end().await;
        let Start::Place { base, position } = start.clone() else {
            panic!()
        };
        session.run("INSERT INTO t VALUES (1)").await;
        session.run("FLUSH BINARY LOGS").await;
        session.run("INSERT INTO t VALUES (2)").await;
        session.run("FLUSH BINARY LOGS").await;
        let beyond = Start::Place {
            base: base.clone(),
            position: LogPosition {
                file: position.file + 2,
                offset: 1_000_000,
            },
        };
        let purged = match server.is_mariadb() {
            true => "0-1-1".to_owned(),
            false => String::new(),
        };
        let purge = format!("PURGE BINARY LOGS TO '{base}.{:06}'", position.file + 2);
        // a reader that has gone keeps its file until the server has noticed
        let gone = format!("{base}.{:06}", position.file);
        for _ in 0..300 {
            session.run(&purge).await;
            let files = session.rows("SHOW BINARY LOGS").await;
            if !files.iter().any(|file| file[0] == gone) {
                break;
            }
            session.run("DO SLEEP(0.1)").await;
        }
        let other = Start::Place {
            base: "another".to_owned(),
            position,
        };
        let by_gtid = match server.is_mariadb() {
            true => Start::Mariadb(
                crossfade_mysql_binlog::MariadbPosition::parse(&purged.replace("1-1", "11-2"))
                    .unwrap(),
            ),
            false => Start::Mysql(GtidSet::default()),
        };
        for start in [&start, &beyond, &other, &by_gtid] {
            match server.try_stream(start, "bl_refused", 0).await {
                Ok(_) => panic!("{} began at {start:?}", server.name),
                Err(error) => {
                    assert_eq!(
                        error.code, "binlog.purged",
                        "{} {start:?} {error:?}",
                        server.name
                    );
                    assert_eq!(error.kind, ErrorKind::LogLost);
                    assert_eq!(error.server_code.as_deref(), Some("1236"));
                }
            }
        }
    }
}

#[tokio::test]
async fn a_log_that_was_begun_anew() {
    let _alone = alone().await;
    for server in servers() {
        let mut session = server.database("bl_refused").await;
        session.run("CREATE TABLE t (a int PRIMARY KEY)").await;
        session.run("FLUSH BINARY LOGS").await;
        session.run("INSERT INTO t VALUES (1)").await;
        let start = server.end().await;
        let ahead = match server.is_mariadb() {
            true => {
                let position = session.value("SELECT @@global.gtid_binlog_pos").await;
                Start::Mariadb(crossfade_mysql_binlog::MariadbPosition::parse(&position).unwrap())
            }
            false => {
                let set = session.value("SELECT @@global.gtid_executed").await;
                Start::Mysql(GtidSet::parse(&set).unwrap())
            }
        };
        let reset = if server.is_mariadb() {
            "RESET MASTER"
        } else {
            "RESET BINARY LOGS AND GTIDS"
        };
        session.run(reset).await;
        session.run("INSERT INTO t VALUES (2)").await;
        for start in [&start, &ahead] {
            match server.try_stream(start, "bl_refused", 0).await {
                Ok(_) => panic!("{} began at {start:?}", server.name),
                Err(error) => assert_eq!(error.code, "binlog.purged", "{} {error:?}", server.name),
            }
        }
    }
}

#[tokio::test]
async fn who_may_not_come_in() {
    let _alone = alone().await;
    for server in servers() {
        let mut session = server.session().await;
        session.run("DROP USER IF EXISTS 'bl_reader'@'%'").await;
        session
            .run("CREATE USER 'bl_reader'@'%' IDENTIFIED BY 'secret'")
            .await;
        let reader = |password: &str| Credentials {
            user: "bl_reader".to_owned(),
            password: password.to_owned(),
        };
        // twice: the server knows the password by its digest from the first time
        for _ in 0..2 {
            Connection::open(server.address(), &reader("secret"), &Tls::Off)
                .await
                .map(drop)
                .unwrap();
        }
        let wrong = Connection::open(server.address(), &reader("wrong"), &Tls::Off).await;
        let error = wrong.map(drop).unwrap_err();
        assert_eq!(
            (error.kind, error.code),
            (ErrorKind::Authentication, "mysql.authentication")
        );
        assert!(!format!("{error:?}").contains("wrong\""), "{error:?}");
        let options = crossfade_mysql_binlog::StreamOptions {
            replica: crossfade_mysql_binlog::replica_id(),
            wanted: Box::new(|_, _| Interest::Whole),
            hold_bytes: 0,
            server: None,
        };
        let start = server.end().await;
        let refused = crossfade_mysql_binlog::BinlogStream::open(
            server.address(),
            &reader("secret"),
            &Tls::Off,
            &start,
            options,
        )
        .await;
        let error = refused.map(drop).unwrap_err();
        assert_eq!(
            (error.kind, error.code),
            (ErrorKind::Permission, "mysql.permission"),
            "{error:?}"
        );
        session.run("DROP USER 'bl_reader'@'%'").await;
        let nobody = Address::Tcp("127.0.0.1".to_owned(), 1);
        let error = Connection::open(&nobody, &reader(""), &Tls::Off)
            .await
            .map(drop)
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Connection);
    }
}

#[tokio::test]
async fn columns_that_mariadb_compresses() {
    let _alone = alone().await;
    for server in mariadbs() {
        let mut session = server.database("bl_refused").await;
        session
            .run(
                "CREATE TABLE t (a int PRIMARY KEY, b TEXT COMPRESSED, c VARCHAR(1000) COMPRESSED)",
            )
            .await;
        let error = error_of(
            &server,
            "bl_refused",
            &["INSERT INTO t VALUES (1, repeat('x', 1000), 'y')"],
        )
        .await;
        assert_fix(&server, &error, "binlog.type", "COMPRESSED");
        session.run("DROP TABLE t").await;
        // old forms of times hide their digits
        session
            .run("SET GLOBAL mysql56_temporal_format = OFF")
            .await;
        session
            .run("CREATE TABLE t (a int PRIMARY KEY, b DATETIME(3))")
            .await;
        session.run("SET GLOBAL mysql56_temporal_format = ON").await;
        let error = error_of(
            &server,
            "bl_refused",
            &["INSERT INTO t VALUES (1, '2024-01-01')"],
        )
        .await;
        assert_fix(
            &server,
            &error,
            "binlog.old_temporal",
            "mysql56_temporal_format",
        );
    }
}
