//! What a statement in the log does to the mapped tables.
//!
//! The log holds definitions as text. It is not understood here beyond what must be: which mapped tables a statement that could move,
//! change or take away rows names, and whether it is one that only adds or takes an index, or empties a table. What is not known
//! to be harmless stops the stream where it names a mapped table.

use crossfade_model::TableId;

use super::image::{Mapped, Tables};

/// What a statement means to one who follows rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    /// All rows of a table are gone.
    Truncates(TableId),
    /// The rows of some partitions are gone.
    TruncatesPartitions(TableId),
    /// A table is another than the planned one, or may be: in words.
    Alters(TableId, String),
}

/// One sign of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A word in upper case and as it is written.
    Word(String, String),
    /// A quoted name.
    Name(String),
    /// A text.
    Text,
    Sign(char),
}

impl Token {
    fn is(&self, word: &str) -> bool {
        matches!(self, Token::Word(upper, _) if upper == word)
    }

    fn name(&self) -> Option<&str> {
        match self {
            Token::Word(_, name) | Token::Name(name) => Some(name),
            Token::Text | Token::Sign(_) => None,
        }
    }
}

/// Reads a statement's effect. `database`: the session's.
pub(super) fn effect(sql: &str, database: &str, tables: &Tables) -> Effect {
    let all = tokens(sql);
    let statement = Statement {
        tokens: &all,
        database,
        tables,
    };
    statement.effect()
}

/// What a statement does to rows of a table without naming them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    /// All of them, or those of some partitions, are gone.
    Emptied,
    /// Others may have taken their place.
    Exchanged,
}

/// The tables of which a statement moves rows. What adds, takes or changes columns, indexes and constraints moves none.
pub(super) fn moves(sql: &str, database: &str, tables: &Tables) -> Vec<(TableId, Moved)> {
    let all = tokens(sql);
    let statement = Statement {
        tokens: &all,
        database,
        tables,
    };
    statement.moves()
}

struct Statement<'a> {
    tokens: &'a [Token],
    database: &'a str,
    tables: &'a Tables,
}

/// Words between a statement's first and the name of its table.
const BETWEEN: [&str; 10] = [
    "ONLINE", "OFFLINE", "IGNORE", "TABLE", "TABLES", "IF", "EXISTS", "NOT", "OR", "REPLACE",
];

impl Statement<'_> {
    fn word(&self, at: usize) -> &str {
        match self.tokens.get(at) {
            Some(Token::Word(upper, _)) => upper,
            _ => "",
        }
    }

    fn has(&self, word: &str) -> bool {
        self.tokens.iter().any(|token| token.is(word))
    }

    fn effect(&self) -> Effect {
        match self.word(0) {
            "TRUNCATE" => match self.table_at(self.skip(1)) {
                Some((table, _)) => Effect::Truncates(table.id),
                None => Effect::Nothing,
            },
            "ALTER" => self.alter(),
            "DROP" => self.drop(),
            "CREATE" => self.create(),
            "RENAME" => self.named("it was renamed"),
            // they read, rebuild as it is, or do not touch tables
            "ANALYZE" | "CHECK" | "CHECKSUM" | "FLUSH" | "GRANT" | "REVOKE" | "OPTIMIZE"
            | "INSTALL" | "UNINSTALL" | "KILL" | "LOCK" | "UNLOCK" | "PURGE" | "RESET" => {
                Effect::Nothing
            }
            _ => self.named("a statement that is not known here names it"),
        }
    }

    /// The place of the name behind words like `IF EXISTS`.
    fn skip(&self, mut at: usize) -> usize {
        while BETWEEN.contains(&self.word(at)) {
            at += 1;
        }
        at
    }

    /// The mapped table whose name stands at a place, and the place behind.
    fn table_at(&self, at: usize) -> Option<(&Mapped, usize)> {
        let first = self.tokens.get(at)?.name()?;
        let qualified = self.tokens.get(at + 1) == Some(&Token::Sign('.'));
        match self.tokens.get(at + 2).and_then(Token::name) {
            Some(second) if qualified => Some((self.tables.find(first, second)?, at + 3)),
            _ => Some((self.tables.find(self.database, first)?, at + 1)),
        }
    }

    /// Any mapped table whose name stands anywhere.
    fn any(&self) -> Option<&Mapped> {
        (0..self.tokens.len()).find_map(|at| {
            let column = at > 0 && self.tokens.get(at - 1) == Some(&Token::Sign('.'));
            if column {
                return None;
            }
            self.table_at(at).map(|(table, _)| table)
        })
    }

    /// All mapped tables whose names stand anywhere.
    fn all(&self, moved: Moved) -> Vec<(TableId, Moved)> {
        let mut out: Vec<(TableId, Moved)> = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let (found, behind) = match self.table_at(at) {
                Some((table, behind)) => (Some((table.id, moved)), behind),
                // another database's table, by both of its names
                None if self.tokens.get(at + 1) == Some(&Token::Sign('.')) => (None, at + 3),
                None => (None, at + 1),
            };
            out.extend(found.filter(|found| !out.contains(found)));
            at = behind;
        }
        out
    }

    /// The mapped table whose name stands at a place, if one does.
    fn one(&self, at: usize, moved: Moved) -> Vec<(TableId, Moved)> {
        let found = self.table_at(at).map(|(table, _)| (table.id, moved));
        found.into_iter().collect()
    }

    fn moves(&self) -> Vec<(TableId, Moved)> {
        match self.word(0) {
            "TRUNCATE" => self.one(self.skip(1), Moved::Emptied),
            "RENAME" if self.word(1) != "USER" => self.all(Moved::Exchanged),
            "ALTER" => self.altered(),
            "DROP" => match self.word(1) {
                "TABLE" | "TABLES" => self.all(Moved::Emptied),
                "DATABASE" | "SCHEMA" => {
                    let name = self.tokens.get(self.skip(2)).and_then(Token::name);
                    let gone = self.tables.of_database(name.unwrap_or_default()).iter();
                    gone.map(|table| (table.id, Moved::Emptied)).collect()
                }
                _ => Vec::new(),
            },
            "CREATE" => {
                let at = self.skip(1);
                let words = self.tokens.get(..at).unwrap_or_default();
                let has = |word: &str| words.iter().any(|token| token.is(word));
                match has("REPLACE") && has("TABLE") {
                    true => self.one(at, Moved::Exchanged),
                    false => Vec::new(),
                }
            }
            // MariaDB's `SET STATEMENT … FOR …`, whatever that is
            "SET" if self.word(1) == "STATEMENT" => self.all(Moved::Exchanged),
            _ => Vec::new(),
        }
    }

    /// What an `ALTER TABLE` moves: partitions, the whole table by another name.
    fn altered(&self) -> Vec<(TableId, Moved)> {
        let at = self.skip(1);
        if !self.tokens.iter().take(at).any(|token| token.is("TABLE")) {
            return Vec::new();
        }
        let followed = |word: &str, by: &dyn Fn(&Token) -> bool| {
            let pairs = self.tokens.iter().zip(self.tokens.iter().skip(1));
            pairs
                .into_iter()
                .any(|(one, next)| one.is(word) && by(next))
        };
        let partition = |next: &Token| next.is("PARTITION");
        let table = |next: &Token| next.is("PARTITION") || next.is("TABLESPACE");
        let renames = |next: &Token| {
            !["COLUMN", "INDEX", "KEY"].iter().any(|of| next.is(of)) && next.name().is_some()
        };
        if followed("EXCHANGE", &partition) || followed("RENAME", &renames) {
            return self.all(Moved::Exchanged);
        }
        let moved = if followed("TRUNCATE", &partition) || followed("DROP", &partition) {
            Moved::Emptied
        } else if followed("DISCARD", &table)
            || followed("IMPORT", &table)
            || followed("CONVERT", &table)
        {
            Moved::Exchanged
        } else {
            return Vec::new();
        };
        self.one(at, moved)
    }

    fn named(&self, what: &str) -> Effect {
        self.any().map_or(Effect::Nothing, |table| {
            Effect::Alters(table.id, what.to_owned())
        })
    }

    fn alter(&self) -> Effect {
        let at = self.skip(1);
        if !self.tokens.iter().take(at).any(|token| token.is("TABLE")) {
            // a view, a routine, a user, a database's defaults
            return Effect::Nothing;
        }
        let Some((table, behind)) = self.table_at(at) else {
            // another table may take a mapped one's name, or rows
            return if self.has("RENAME") || self.has("EXCHANGE") {
                self.named("another table took its name, or its rows")
            } else {
                Effect::Nothing
            };
        };
        let rest = self.tokens.get(behind..).unwrap_or_default();
        if rest.first().is_some_and(|token| token.is("TRUNCATE")) {
            return Effect::TruncatesPartitions(table.id);
        }
        if only_indexes(rest, &table.key) {
            return Effect::Nothing;
        }
        Effect::Alters(table.id, "it was altered (ALTER TABLE)".to_owned())
    }

    fn drop(&self) -> Effect {
        match self.word(1) {
            "TABLE" | "TABLES" => self.named("it was dropped"),
            "DATABASE" | "SCHEMA" => {
                let at = self.skip(2);
                let name = self
                    .tokens
                    .get(at)
                    .and_then(Token::name)
                    .unwrap_or_default();
                let gone = self.tables.of_database(name).first();
                gone.map_or(Effect::Nothing, |table| {
                    Effect::Alters(table.id, "its database was dropped".to_owned())
                })
            }
            "INDEX" => {
                let names = self.tokens.iter().filter_map(Token::name);
                let mut names = names.filter(|name| !name.eq_ignore_ascii_case("INDEX"));
                match self.any() {
                    Some(table) if names.any(|name| name.eq_ignore_ascii_case(&table.key)) => {
                        let what = "the index that identifies its rows was dropped";
                        Effect::Alters(table.id, what.to_owned())
                    }
                    _ => Effect::Nothing,
                }
            }
            _ => Effect::Nothing,
        }
    }

    fn create(&self) -> Effect {
        let at = self.skip(1);
        let words = self.tokens.get(..at).unwrap_or_default();
        let replaces = words.iter().any(|token| token.is("REPLACE"));
        let is_table = words.iter().any(|token| token.is("TABLE"));
        // a temporary table is the session's own; one that is there already stays
        let stays = !replaces && words.iter().any(|token| token.is("EXISTS"));
        if !is_table || stays {
            return Effect::Nothing;
        }
        match self.table_at(at) {
            Some((table, _)) => Effect::Alters(table.id, "it was made anew".to_owned()),
            None => Effect::Nothing,
        }
    }
}

/// Whether what stands behind the name in an `ALTER TABLE` adds and takes indexes alone, or says how that is done.
fn only_indexes(rest: &[Token], key: &str) -> bool {
    let mut depth = 0_usize;
    let mut begins = true;
    for (at, token) in rest.iter().enumerate() {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth = depth.saturating_sub(1),
            Token::Sign(',') if depth == 0 => begins = true,
            Token::Word(..) | Token::Name(_) if begins && depth == 0 => {
                if !is_index(rest.get(at..).unwrap_or_default(), key) {
                    return false;
                }
                begins = false;
            }
            _ => {}
        }
    }
    // nothing at all rebuilds the table as it is
    true
}

fn is_index(action: &[Token], key: &str) -> bool {
    let word = |at: usize| match action.get(at) {
        Some(Token::Word(upper, _)) => upper.as_str(),
        _ => "",
    };
    match word(0) {
        "ADD" => matches!(word(1), "INDEX" | "KEY" | "UNIQUE" | "FULLTEXT" | "SPATIAL"),
        // not the one that identifies a row
        "DROP" | "RENAME" => {
            let named = (2..5).any(|at| {
                action
                    .get(at)
                    .and_then(Token::name)
                    .is_some_and(|name| name.eq_ignore_ascii_case(key))
            });
            matches!(word(1), "INDEX" | "KEY") && !named
        }
        "ALTER" => word(1) == "INDEX",
        "ALGORITHM" | "LOCK" | "AUTO_INCREMENT" | "COMMENT" | "FORCE" => true,
        _ => false,
    }
}

/// A statement's signs; comments are left out, but for those that a server runs.
fn tokens(sql: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = rest.trim_start();
        } else if let Some(comment) = rest.strip_prefix("/*") {
            let run = comment
                .strip_prefix('!')
                .or_else(|| comment.strip_prefix("M!"));
            rest = match run {
                Some(code) => code.trim_start_matches(|c: char| c.is_ascii_digit()),
                None => comment.split_once("*/").map_or("", |(_, rest)| rest),
            };
        } else if let Some(code) = rest.strip_prefix("*/") {
            rest = code;
        } else if first == '#' || rest.starts_with("-- ") || rest.starts_with("--\n") {
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
        } else if matches!(first, '`' | '"' | '\'') {
            let (text, behind) = quoted(rest, first);
            // a double quote is a name's or a text's, as the session's mode says: either way a name is not missed
            out.push(match first {
                '\'' => Token::Text,
                _ => Token::Name(text),
            });
            rest = behind;
        } else if is_word(first) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            out.push(Token::Word(word.to_uppercase(), word.to_owned()));
            rest = behind;
        } else {
            out.push(Token::Sign(first));
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '@') || c as u32 >= 0x80
}

/// What stands in quotes at the beginning, and what behind. A doubled quote is one; in texts a backslash covers the next sign.
fn quoted(text: &str, quote: char) -> (String, &str) {
    let mut out = String::new();
    let mut signs = text.char_indices().skip(1).peekable();
    while let Some((_, c)) = signs.next() {
        if c == '\\' && quote != '`' {
            signs.next();
        } else if c != quote {
            out.push(c);
        } else if signs.peek().is_some_and(|(_, next)| *next == quote) {
            out.push(quote);
            signs.next();
        } else {
            let end = signs.peek().map_or(text.len(), |(at, _)| *at);
            return (out, text.get(end..).unwrap_or_default());
        }
    }
    (out, "")
}

#[cfg(test)]
#[path = "statement_tests.rs"]
mod tests;
