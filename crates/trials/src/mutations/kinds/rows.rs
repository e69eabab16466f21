//! Whole rows come, go, move or exchange their values.

use super::How::{self, Changed, Extra, Missing};
use super::{Sql, all, both, each, postgres, sqlite};

/// Whose rows are changed behind the program's back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The target's.
    Target,
    /// The source's, past the capture, where that can be passed by: SQLite's triggers, and the log of MySQL and MariaDB.
    Source,
}

/// A change of rows, and what must be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    /// What kind of corruption it is.
    pub kind: &'static str,
    /// Where.
    pub side: Side,
    /// The table; all of its changed rows are named.
    pub table: &'static str,
    /// Statements, in the dialect of the side.
    pub sql: Sql,
    /// The differences; a table without key names no keys. None: both sides are still equal.
    pub named: &'static [(How, &'static str)],
}

const fn rows(
    kind: &'static str,
    table: &'static str,
    sql: Sql,
    named: &'static [(How, &'static str)],
) -> Rows {
    Rows {
        kind,
        side: Side::Target,
        table,
        sql,
        named,
    }
}

const fn unseen(
    kind: &'static str,
    sql: &'static str,
    named: &'static [(How, &'static str)],
) -> Rows {
    Rows {
        kind,
        side: Side::Source,
        table: "pairs",
        sql: sqlite(sql).on_mysql(sql),
        named,
    }
}

/// What a report calls a row of a table without key.
pub const NO_KEY: &str = "(no key)";

/// All of them.
pub const ROWS: &[Rows] = &[
    rows(
        "two rows' values swapped",
        "rich",
        all(
            "UPDATE rich SET words = CASE id WHEN 1 THEN 'word 2' ELSE 'word 1' END WHERE id IN (1, 2)",
        ),
        &[(Changed, "1"), (Changed, "2")],
    ),
    rows(
        "two rows exchange their keys",
        "few",
        all("UPDATE few SET id = -id WHERE id IN (1, 2); UPDATE few SET id = 3 + id WHERE id < 0"),
        &[(Changed, "1"), (Changed, "2")],
    ),
    rows(
        "one more here, one less there",
        "rich",
        all(
            "UPDATE rich SET whole = whole + 1 WHERE id = 3; UPDATE rich SET whole = whole - 1 WHERE id = 4",
        ),
        &[(Changed, "3"), (Changed, "4")],
    ),
    rows(
        "two columns of a row exchanged",
        "rich",
        both("UPDATE rich SET words = short, short = words WHERE id = 5").on_mysql("UPDATE rich, (SELECT DISTINCT id AS x, words AS y, short AS z FROM rich WHERE id = 5) AS old SET words = z, short = y WHERE id = x"),
        &[(Changed, "5")],
    ),
    rows(
        "two columns exchanged in several rows",
        "pairs",
        both("UPDATE pairs SET one = other, other = one WHERE a BETWEEN 11 AND 14").on_mysql("UPDATE pairs, (SELECT DISTINCT a AS x, one AS y, other AS z FROM pairs WHERE a BETWEEN 11 AND 14) AS old SET one = z, other = y WHERE a = x"),
        &[
            (Changed, "11, b4"),
            (Changed, "12, b5"),
            (Changed, "13, b6"),
            (Changed, "14, b0"),
        ],
    ),
    rows(
        "a character over the border of two columns",
        "pairs",
        all("UPDATE pairs SET one = 'one 2', other = '4other 24' WHERE a = 24"),
        &[(Changed, "24, b3")],
    ),
    rows(
        "NULL and value exchanged",
        "pairs",
        both("UPDATE pairs SET one = other, other = one WHERE a = 26").on_mysql("UPDATE pairs, (SELECT DISTINCT a AS x, one AS y, other AS z FROM pairs WHERE a = 26) AS old SET one = z, other = y WHERE a = x"),
        &[(Changed, "26, b5")],
    ),
    rows(
        "values slipped by one row",
        "few",
        all("UPDATE few SET v = 'few ' || (id % 5 + 1)"),
        &[
            (Changed, "1"),
            (Changed, "2"),
            (Changed, "3"),
            (Changed, "4"),
            (Changed, "5"),
        ],
    ),
    rows(
        "missing row",
        "rich",
        all("DELETE FROM rich WHERE id = 6"),
        &[(Missing, "6")],
    ),
    rows(
        "row missing that others refer to",
        "parents",
        all("DELETE FROM parents WHERE id = 2"),
        &[(Missing, "2")],
    ),
    rows(
        "last row missing",
        "few",
        all("DELETE FROM few WHERE id = 5"),
        &[(Missing, "5")],
    ),
    rows(
        "table emptied",
        "few",
        all("DELETE FROM few"),
        &[
            (Missing, "1"),
            (Missing, "2"),
            (Missing, "3"),
            (Missing, "4"),
            (Missing, "5"),
        ],
    ),
    rows(
        "extra row",
        "pairs",
        all("INSERT INTO pairs VALUES (900, 'extra', 'x', 'y')"),
        &[(Extra, "900, extra")],
    ),
    rows(
        "row before all others",
        "few",
        all("INSERT INTO few VALUES (-5, 'first')"),
        &[(Extra, "-5")],
    ),
    rows(
        "row written under another key",
        "pairs",
        all("UPDATE pairs SET b = 'zz' WHERE a = 20"),
        &[(Missing, "20, b6"), (Extra, "20, zz")],
    ),
    rows(
        "case of a key",
        "pairs",
        all("UPDATE pairs SET b = 'B0' WHERE a = 21"),
        &[(Missing, "21, b0"), (Extra, "21, B0")],
    ),
    rows(
        "trailing space in a key",
        "pairs",
        all("UPDATE pairs SET b = 'b1 ' WHERE a = 22"),
        &[(Missing, "22, b1"), (Extra, "22, b1 ")],
    ),
    rows(
        "key kept as bytes",
        "pairs",
        sqlite("UPDATE pairs SET b = CAST(b AS BLOB) WHERE a = 27"),
        &[(Missing, "27, b6"), (Extra, "27, \\x6236")],
    ),
    rows(
        "one row in another's place",
        "pairs",
        all(
            "DELETE FROM pairs WHERE a = 23; INSERT INTO pairs VALUES (901, 'b2', 'one 23', 'other 23')",
        ),
        &[(Missing, "23, b2"), (Extra, "901, b2")],
    ),
    rows(
        "delete that came back",
        "pairs",
        all("INSERT INTO pairs VALUES (90, 'b6', 'one 90', 'other 90')"),
        &[(Extra, "90, b6")],
    ),
    rows(
        "last write lost",
        "pairs",
        all("UPDATE pairs SET one = 'one 91' WHERE a = 91"),
        &[(Changed, "91, b0")],
    ),
    rows(
        "duplicate row without key",
        "bag",
        both("INSERT INTO bag SELECT * FROM bag WHERE a = 1 LIMIT 1"),
        &[(Extra, NO_KEY)],
    ),
    rows(
        "pair that cancels under XOR",
        "bag",
        both("INSERT INTO bag SELECT * FROM bag WHERE a = 2"),
        &[(Extra, NO_KEY), (Extra, NO_KEY)],
    ),
    rows(
        "pair for another pair",
        "bag",
        each(
            "UPDATE bag SET a = 4, b = 'b4', c = 4.50 WHERE a = 3",
            "UPDATE bag SET a = 4, b = 'b4', c = '4.50' WHERE a = 3",
        ),
        &[
            (Missing, NO_KEY),
            (Missing, NO_KEY),
            (Extra, NO_KEY),
            (Extra, NO_KEY),
        ],
    ),
    rows(
        "one of two equal rows missing",
        "bag",
        each(
            "DELETE FROM bag WHERE ctid = (SELECT min(ctid) FROM bag WHERE a = 5)",
            "DELETE FROM bag WHERE rowid = (SELECT min(rowid) FROM bag WHERE a = 5)",
        ),
        &[(Missing, NO_KEY)],
    ),
    rows(
        "row exchanged between equal rows",
        "bag",
        each(
            "UPDATE bag SET a = 7, b = 'b7', c = 7.50 WHERE ctid = (SELECT min(ctid) FROM bag WHERE a = 6)",
            "UPDATE bag SET a = 7, b = 'b7', c = '7.50' WHERE rowid = (SELECT min(rowid) FROM bag WHERE a = 6)",
        ),
        &[(Missing, NO_KEY), (Extra, NO_KEY)],
    ),
    rows(
        "value of one of two equal rows",
        "bag",
        each(
            "UPDATE bag SET b = NULL WHERE ctid = (SELECT min(ctid) FROM bag WHERE a = 8)",
            "UPDATE bag SET b = NULL WHERE rowid = (SELECT min(rowid) FROM bag WHERE a = 8)",
        ),
        &[(Missing, NO_KEY), (Extra, NO_KEY)],
    ),
    rows(
        "rows written again, nothing else",
        "bag",
        postgres(
            "CREATE TEMP TABLE again AS SELECT * FROM bag WHERE a < 10 ORDER BY a DESC; DELETE FROM bag WHERE a < 10; INSERT INTO bag SELECT * FROM again",
        ),
        &[],
    ),
    rows(
        "case of a key under a collation blind to it",
        "folds",
        all("UPDATE folds SET k = 'K5' WHERE k = 'k5'"),
        &[(Missing, "k5"), (Extra, "K5")],
    ),
    rows(
        "trailing space in a key under a collation that pads",
        "folds",
        all("UPDATE folds SET k = 'k6 ' WHERE k = 'k6'"),
        &[(Missing, "k6"), (Extra, "k6 ")],
    ),
    unseen(
        "update on the source unseen",
        "UPDATE pairs SET one = 'unseen' WHERE a = 31",
        &[(Changed, "31, b3")],
    ),
    unseen(
        "insert on the source unseen",
        "INSERT INTO pairs VALUES (902, 'unseen', 'x', 'y')",
        &[(Missing, "902, unseen")],
    ),
    unseen(
        "delete on the source unseen",
        "DELETE FROM pairs WHERE a = 32",
        &[(Extra, "32, b4")],
    ),
];
