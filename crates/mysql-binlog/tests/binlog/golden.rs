//! Log files that real servers wrote, kept in `tests/golden`: each `NAME.binlog` is read to exactly what `NAME.txt` says.
//!
//! `cargo test -p crossfade-mysql-binlog --test binlog golden::record -- --ignored` writes them anew, with the servers that
//! the environment names, which must run on this machine, and may be read by who runs the test. The texts are then to be looked through: they are what
//! a change of the decoder is measured by.

use std::path::PathBuf;

use bytes::Bytes;
use crossfade_mysql_binlog::{Error, Interest, Item, LogFile, LogPosition, Replay};

use crate::common::{Server, alone, servers, words};

pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The events of a log file.
pub fn events(file: &[u8]) -> Vec<Bytes> {
    assert_eq!(&file[..4], b"\xfebin");
    let mut left = &file[4..];
    let mut events = Vec::new();
    while !left.is_empty() {
        let length = u32::from_le_bytes(left[9..13].try_into().unwrap()) as usize;
        events.push(Bytes::copy_from_slice(&left[..length]));
        left = &left[length..];
    }
    events
}

/// Reads a file's events as a stream brings them.
pub fn replay(events: &[Bytes], mariadb: bool) -> Result<Vec<Item>, Error> {
    let wanted = |database: &str, _: &str| match database {
        "golden" => Interest::Whole,
        _ => Interest::Nothing,
    };
    let start = LogPosition { file: 1, offset: 4 };
    let mut replay = Replay::new(Box::new(wanted), mariadb, true, 1 << 20).at("binlog", start);
    let mut items = Vec::new();
    for event in events {
        replay.take(event.clone())?;
        while replay.step()? {}
        items.extend(replay.items());
    }
    Ok(items)
}

/// The items as lines.
fn lines(items: &[Item]) -> String {
    let mut text = String::new();
    for item in items {
        let line = match item {
            Item::Commit(end) => format!("commit {} {}", end.position, name(end.gtid.as_ref())),
            Item::Passed(end) => format!("passed {} {}", end.position, name(end.gtid.as_ref())),
            Item::Begin(begin) => format!("begin {} {}", begin.start, name(begin.gtid.as_ref())),
            other => words(std::slice::from_ref(other)).join(""),
        };
        text.push_str(&line.escape_debug().to_string());
        text.push('\n');
    }
    text
}

fn name(gtid: Option<&crossfade_mysql_binlog::Gtid>) -> String {
    gtid.map(ToString::to_string).unwrap_or_default()
}

const STATEMENTS: &[&str] = &[
    "CREATE TABLE golden.t (id int unsigned PRIMARY KEY, c char(4), v varchar(300), b binary(4), d decimal(12,4), f float,
     g double, t time(3), dt datetime(6), ts timestamp NULL, y year, bi bit(10), e enum('x','y'), s set('p','q'), bl blob, tx text)",
    "INSERT INTO golden.t VALUES (1, 'ab', 'é😀', 'z', -1.5, 0.5, -2.25, '-25:00:00.125', '2024-02-29 12:34:56.789012',
     '2024-02-29 12:34:56', 2024, b'1000000001', 'y', 'p,q', x'00ff', 'text')",
    "INSERT INTO golden.t (id) VALUES (4000000000)",
    "UPDATE golden.t SET v = NULL, d = 99999999.9999 WHERE id = 1",
    "BEGIN",
    "DELETE FROM golden.t WHERE id = 1",
    "SAVEPOINT s",
    "INSERT INTO golden.t (id) VALUES (5)",
    "ROLLBACK TO s",
    "INSERT INTO golden.t (id) VALUES (6)",
    "COMMIT",
    "CREATE DATABASE IF NOT EXISTS golden_else",
    "CREATE TABLE golden_else.u (a int)",
    "INSERT INTO golden_else.u VALUES (1)",
];

#[ignore = "writes the files anew"]
#[tokio::test]
async fn record() {
    let _alone = alone().await;
    for server in servers() {
        record_one(&server, "plain").await;
        record_one(&server, "compressed").await;
    }
}

async fn record_one(server: &Server, kind: &str) {
    let mut session = server.database("golden").await;
    session.run("DROP DATABASE IF EXISTS golden_else").await;
    let compress = match server.is_mariadb() {
        true => "SET GLOBAL log_bin_compress = ON, GLOBAL log_bin_compress_min_len = 10",
        false => "SET SESSION binlog_transaction_compression = ON",
    };
    if kind == "compressed" {
        session.run(compress).await;
    }
    session.run("FLUSH BINARY LOGS").await;
    for sql in STATEMENTS {
        session.run(sql).await;
    }
    if !server.is_mariadb() {
        session
            .run("CREATE TABLE golden.j (id int PRIMARY KEY, j json)")
            .await;
        session.run("INSERT INTO golden.j VALUES (1, '{\"b\": [1, 2.5, null, \"é\"], \"a\": {\"x\": -70000}}')").await;
        session.run("SET gtid_next = 'AUTOMATIC:tag'").await;
        session
            .run("INSERT INTO golden.j VALUES (2, JSON_ARRAY(x'00', CURDATE() < '2000-01-01'))")
            .await;
        session.run("SET gtid_next = 'AUTOMATIC'").await;
    }
    let base = session.value("SELECT @@log_bin_basename").await;
    let status = if server.is_mariadb() {
        "SHOW MASTER STATUS"
    } else {
        "SHOW BINARY LOG STATUS"
    };
    let file = LogFile::parse(&session.value(status).await).unwrap();
    session.run("FLUSH BINARY LOGS").await;
    if server.is_mariadb() {
        session
            .run("SET GLOBAL log_bin_compress = OFF, GLOBAL log_bin_compress_min_len = 256")
            .await;
    }
    let bytes = std::fs::read(format!("{base}.{:06}", file.number)).unwrap();
    let items = replay(&events(&bytes), server.is_mariadb()).unwrap();
    let path = folder().join(format!("{}-{kind}.binlog", server.name.to_lowercase()));
    std::fs::write(&path, bytes).unwrap();
    std::fs::write(path.with_extension("txt"), lines(&items)).unwrap();
}

/// The files and whether MariaDB wrote them.
pub fn files() -> Vec<(PathBuf, Vec<u8>, bool)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "binlog"))
        .collect();
    files.sort();
    assert_eq!(files.len(), 6);
    files
        .into_iter()
        .map(|path| {
            let mariadb = path.to_string_lossy().contains("mariadb");
            let bytes = std::fs::read(&path).unwrap();
            (path, bytes, mariadb)
        })
        .collect()
}

#[test]
fn files_of_real_servers_are_read_as_before() {
    for (path, bytes, mariadb) in files() {
        let items = replay(&events(&bytes), mariadb).unwrap();
        let expected = std::fs::read_to_string(path.with_extension("txt")).unwrap();
        assert_eq!(lines(&items), expected, "{}", path.display());
    }
}
