//! The tables in MySQL's and MariaDB's words.

use super::{LIVE, LIVE_ROWS};

/// One collation for all that says none: the servers' own defaults are unknown to each other.
pub(super) const TABLES: &str = "
CREATE TABLE parents (id int PRIMARY KEY, name varchar(40) NOT NULL) COLLATE utf8mb4_bin;
CREATE TABLE rich (
    id int NOT NULL AUTO_INCREMENT PRIMARY KEY,
    parent int,
    whole int,
    big bigint,
    plain decimal(50,20),
    scaled decimal(12,2),
    single float,
    precise double,
    words mediumtext,
    folded varchar(300) COLLATE utf8mb4_general_ci,
    short varchar(300),
    bytes blob,
    flag tinyint(1),
    day date,
    moment datetime(6),
    instant timestamp(6) NULL,
    clock time(6),
    span varchar(40),
    doc json,
    docb json,
    ident char(36),
    counted bigint unsigned,
    fixed binary(8),
    mask bit(64),
    choice enum('a', 'b', 'c'),
    several set('x', 'y', 'z'),
    since year,
    CONSTRAINT rich_parent FOREIGN KEY (parent) REFERENCES parents (id)
) COLLATE utf8mb4_bin;
CREATE TABLE pairs (a int, b varchar(40), one varchar(200), other varchar(200), PRIMARY KEY (a, b)) COLLATE utf8mb4_bin;
CREATE TABLE few (id int PRIMARY KEY, v varchar(40)) COLLATE utf8mb4_bin;
CREATE TABLE folds (k varchar(40) COLLATE utf8mb4_general_ci PRIMARY KEY, whose int NOT NULL, v varchar(40)) COLLATE utf8mb4_bin;
";

/// A row of the table of many types, of the number `i`.
pub(super) const ROW: &str = "i, 1 + i % 3, i, i * 1000000007, i / 7, i * 0.25, i / 8.0, i / 3.0,
    'word ' || i, 'Word ' || i, 'short ' || i, unhex(lpad(hex(i), 8, '0')), i % 2 = 0, date '2024-01-01' + INTERVAL i DAY,
    timestamp '2024-03-31 01:59:59.999999' + INTERVAL i MINUTE, timestamp '2024-10-27 00:00:00' + INTERVAL i MINUTE,
    sec_to_time(i), i || ':00:00', '{\"n\": ' || i || ', \"a\": [1, 2]}', '{\"n\": ' || i || '}',
    '00000000-0000-4000-8000-' || lpad(lower(hex(i)), 12, '0'), 9223372036854775808 + i, unhex(lpad(hex(i), 8, '0')), i,
    elt(1 + i % 3, 'a', 'b', 'c'), i % 8, 1970 + i % 100";

/// Rows of the table whose key's collation does not tell case apart.
pub(super) fn folds() -> String {
    let rows = |from: u32, rows: u32| {
        let numbers = numbers(from, rows);
        format!("INSERT INTO folds SELECT 'k' || i, i, 'v ' || i FROM {numbers};")
    };
    rows(1, 30) + &rows(LIVE, LIVE_ROWS)
}

/// The numbers from `from` on, as a table of the column `i`.
pub(super) fn numbers(from: u32, rows: u32) -> String {
    let to = from + rows - 1;
    format!(
        "(WITH RECURSIVE n (i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i < {to}) SELECT i FROM n) AS numbers"
    )
}
