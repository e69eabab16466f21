//! A SQLite table of the usual kinds of columns.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::options::Options;
use super::server;

pub const TABLE: &str = "CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL,
    email TEXT NOT NULL,
    status TEXT NOT NULL,
    total_cents INTEGER NOT NULL,
    weight REAL,
    created_at TEXT NOT NULL,
    note TEXT
)";

/// Rows of the table.
pub fn rows(options: &Options) -> u32 {
    options.size(2_000_000, 100_000)
}

/// Makes `orders.db` in `folder`, in WAL mode as a live application's.
pub fn make(folder: &Path, rows: u32) -> PathBuf {
    let file = folder.join("orders.db");
    let fill = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
         INSERT INTO orders SELECT i, i * 7919 % 100003, 'customer' || (i * 7919 % 100003) || '@example.com',
             CASE i % 4 WHEN 0 THEN 'new' WHEN 1 THEN 'paid' WHEN 2 THEN 'sent' ELSE 'done' END,
             i * 31 % 100000, (i % 977) / 8.0, datetime(1700000000 + i, 'unixepoch'),
             CASE WHEN i % 5 = 0 THEN 'please ring twice, order ' || i END FROM n"
    );
    shell(
        &file,
        &format!("PRAGMA journal_mode = WAL; {TABLE}; {fill}; PRAGMA wal_checkpoint(TRUNCATE);"),
    );
    file
}

/// A copy of the file under another name, on the disk before this returns.
pub fn fresh_copy(file: &Path, name: &str) -> PathBuf {
    let copy = file.with_file_name(name);
    remove(&copy);
    std::fs::copy(file, &copy).expect("the file can be copied");
    server::run(&mut Command::new("sync"));
    copy
}

/// Removes a database and what belongs to it.
pub fn remove(file: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        // most of them are not there
        let _ = std::fs::remove_file(PathBuf::from(name));
    }
}

/// Runs SQL in SQLite's shell.
pub fn shell(file: &Path, sql: &str) {
    server::run(Command::new("sqlite3").arg("-bail").arg(file).arg(sql));
}

/// Sums over every column that read the same in both engines.
pub const SUMS: &str = "SELECT count(*) || ' ' || sum(id) || ' ' || sum(customer_id) || ' ' || sum(length(email)) || ' ' ||
    sum(length(status)) || ' ' || sum(total_cents) || ' ' || CAST(sum(weight * 8) AS BIGINT) || ' ' ||
    min(created_at) || ' ' || max(created_at) || ' ' || count(note) || ' ' || sum(length(note)) FROM orders";

/// The sums over a SQLite file.
pub fn sums(file: &Path) -> String {
    let connection = rusqlite::Connection::open(file).expect("the file can be opened");
    connection
        .query_row(SUMS, [], |row| row.get(0))
        .expect("the sums can be read")
}
