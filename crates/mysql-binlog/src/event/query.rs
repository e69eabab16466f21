//! Statements in the log (MySQL internals, "QUERY_EVENT"; MariaDB knowledge base, "QUERY_EVENT").

use bytes::Bytes;

use crate::cursor::{Cursor, text};
use crate::error::Result;

/// A statement as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The session's default database; may be empty.
    pub database: String,
    /// The text, with replacement characters where it is not UTF-8.
    pub sql: String,
    /// False where the session wrote in a character set that is not UTF-8's: names in the text may not be what they seem.
    pub is_utf8: bool,
    /// The session's `sql_mode`, which says how the text is taken apart; `None` where the log does not tell it.
    pub sql_mode: Option<u64>,
}

impl Query {
    /// Reads a body; `inflate` is applied to the text. What the status variables say besides the mode (session settings) matters only to one
    /// who runs the statement: skipped by their length.
    pub(crate) fn read(body: Bytes, inflate: impl Fn(Bytes) -> Result<Bytes>) -> Result<Query> {
        const WHAT: &str = "a statement";
        let mut cursor = Cursor::new(body);
        cursor.skip(4 + 4, WHAT)?;
        let database = usize::from(cursor.u8(WHAT)?);
        cursor.skip(2, WHAT)?;
        let status = usize::from(cursor.u16(WHAT)?);
        let sql_mode = sql_mode(cursor.take(status, WHAT)?);
        let database = text(&cursor.take(database, WHAT)?);
        cursor.skip(1, WHAT)?;
        let sql = inflate(cursor.rest())?;
        Ok(Query {
            database,
            is_utf8: std::str::from_utf8(&sql).is_ok(),
            sql: text(&sql),
            sql_mode,
        })
    }
}

/// The mode among the status variables: both servers write it behind the flags, where those are.
fn sql_mode(status: Bytes) -> Option<u64> {
    const FLAGS: u8 = 0;
    const SQL_MODE: u8 = 1;
    let mut variables = Cursor::new(status);
    let what = "a statement's session";
    let mut code = variables.u8(what).ok()?;
    if code == FLAGS {
        variables.skip(4, what).ok()?;
        code = variables.u8(what).ok()?;
    }
    (code == SQL_MODE).then(|| variables.u64(what).ok())?
}

/// What a statement means to one who follows rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning {
    Begin,
    Commit,
    Rollback,
    Savepoint(String),
    RollbackTo(String),
    /// Nothing: a savepoint is forgotten.
    Release,
    XaStart,
    XaEnd,
    /// Commits or rolls back what was prepared: its identity as written.
    XaDecide(String),
    /// Changes rows by a statement: they cannot be followed.
    ChangesRows,
    /// Everything else: definitions, privileges.
    Definition,
}

/// Tells it by the first words.
pub(crate) fn meaning(sql: &str) -> Meaning {
    let mut words = Words { rest: sql };
    let first = words.next().unwrap_or_default().to_ascii_uppercase();
    let mut second = || words.next().unwrap_or_default();
    match first.as_str() {
        "BEGIN" => Meaning::Begin,
        "START" if second().eq_ignore_ascii_case("TRANSACTION") => Meaning::Begin,
        "COMMIT" => Meaning::Commit,
        "SAVEPOINT" => Meaning::Savepoint(second().to_owned()),
        "RELEASE" => Meaning::Release,
        "ROLLBACK" => rollback(&mut words),
        "XA" => xa(&mut words),
        "INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "LOAD" | "CALL" | "DO" | "SELECT" | "WITH"
        | "VALUES" | "IMPORT" | "HANDLER" | "TABLE" => Meaning::ChangesRows,
        // only a comment: a replaced event, which might have been anything
        "" => Meaning::ChangesRows,
        _ => Meaning::Definition,
    }
}

/// `ROLLBACK [WORK] [TO [SAVEPOINT] name]`; the text is as the session wrote it.
fn rollback(words: &mut Words<'_>) -> Meaning {
    for word in words.by_ref() {
        match word.to_ascii_uppercase().as_str() {
            "WORK" => {}
            "TO" => {
                let name = words.next().unwrap_or_default();
                let name = match name.eq_ignore_ascii_case("SAVEPOINT") {
                    true => words.next().unwrap_or_default(),
                    false => name,
                };
                return Meaning::RollbackTo(name.to_owned());
            }
            _ => break,
        }
    }
    Meaning::Rollback
}

fn xa(words: &mut Words<'_>) -> Meaning {
    match words
        .next()
        .unwrap_or_default()
        .to_ascii_uppercase()
        .as_str()
    {
        "START" | "BEGIN" => Meaning::XaStart,
        "END" => Meaning::XaEnd,
        "COMMIT" | "ROLLBACK" => {
            let identity = words.rest.to_ascii_lowercase();
            let identity: String = identity.chars().filter(|c| !c.is_whitespace()).collect();
            Meaning::XaDecide(identity.trim_end_matches("onephase").to_owned())
        }
        _ => Meaning::ChangesRows,
    }
}

/// Words, quoted names and single signs; comments and blanks left out. A versioned comment (`/*!50000 … */`) is read.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn skip_blanks(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            let after = |end: &str, from: &'a str| match from.split_once(end) {
                Some((_, rest)) => rest,
                None => "",
            };
            if let Some(rest) = self.rest.strip_prefix("/*") {
                let versioned = rest.strip_prefix('!').or_else(|| rest.strip_prefix("M!"));
                self.rest = match versioned {
                    Some(rest) => rest.trim_start_matches(|c: char| c.is_ascii_digit()),
                    None => after("*/", rest),
                };
            } else if self.rest.starts_with('#') || is_dashes(self.rest) {
                self.rest = after("\n", self.rest);
            } else if let Some(rest) = self.rest.strip_prefix("*/") {
                self.rest = rest;
            } else {
                return;
            }
        }
    }
}

/// Two dashes begin a comment where a blank or a control sign follows, or nothing.
fn is_dashes(rest: &str) -> bool {
    let behind = rest.strip_prefix("--").map(|behind| behind.chars().next());
    behind.is_some_and(|next| next.is_none_or(|next| next == ' ' || next.is_ascii_control()))
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.skip_blanks();
        let first = self.rest.chars().next()?;
        let (word, rest) = if matches!(first, '`' | '"') {
            self.rest.get(1..)?.split_once(first)?
        } else {
            let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
            let end = self
                .rest
                .find(|c: char| !inside(c))
                .unwrap_or(self.rest.len())
                .max(first.len_utf8());
            self.rest.split_at(end)
        };
        self.rest = rest;
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_told_by_their_first_words() {
        let savepoint = |name: &str| Meaning::RollbackTo(name.to_owned());
        for (sql, expected) in [
            ("BEGIN", Meaning::Begin),
            ("COMMIT", Meaning::Commit),
            ("rollback", Meaning::Rollback),
            ("ROLLBACK WORK", Meaning::Rollback),
            ("ROLLBACK /* x */ TO SAVEPOINT `a b`", savepoint("a b")),
            ("rollback work to b -- c", savepoint("b")),
            ("SAVEPOINT `s`", Meaning::Savepoint("s".to_owned())),
            ("RELEASE SAVEPOINT s", Meaning::Release),
            ("XA START X'61',X'',1", Meaning::XaStart),
            ("XA END X'61',X'',1", Meaning::XaEnd),
            (
                "XA COMMIT X'61',X'',1",
                Meaning::XaDecide("x'61',x'',1".to_owned()),
            ),
            ("/* hi */ insert into t values (1)", Meaning::ChangesRows),
            ("-- hi\n# there\n UPDATE t SET a = 1", Meaning::ChangesRows),
            ("--\thi\n DELETE FROM t", Meaning::ChangesRows),
            ("--\nBEGIN", Meaning::Begin),
            ("/*!50000 DELETE */ FROM t", Meaning::ChangesRows),
            ("# Dummy event replacing event type 1", Meaning::ChangesRows),
            ("(SELECT 1)", Meaning::Definition),
            ("CREATE TABLE t (a int)", Meaning::Definition),
            (
                "DROP TABLE /* generated by server */ t",
                Meaning::Definition,
            ),
            ("TRUNCATE t", Meaning::Definition),
            ("`", Meaning::ChangesRows),
            ("é", Meaning::Definition),
            ("", Meaning::ChangesRows),
        ] {
            assert_eq!(meaning(sql), expected, "{sql}");
        }
    }
}
