//! The signs of a statement in the log.
//!
//! How a text is taken apart depends on the session's mode: with `ANSI_QUOTES` a double quote is a name's, with `NO_BACKSLASH_ESCAPES` a backslash covers
//! nothing. Where the log does not tell the mode, and where it is the server's kind that says whether a comment is run (`/*M! … */`), a statement
//! has several readings.

/// Bits of `sql_mode`, the same for MySQL and MariaDB (MySQL: `sql/query_options.h` and `sql/system_variables.h`; MariaDB: `sql/sql_class.h`).
const ANSI_QUOTES: u64 = 1 << 2;
const NO_BACKSLASH_ESCAPES: u64 = 1 << 20;

/// Digits of the version in a comment that is run.
const VERSION_DIGITS: usize = 6;

/// One sign of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A word in upper case and as it is written.
    Word(String, String),
    /// A quoted name.
    Name(String),
    /// A text.
    Text,
    Sign(char),
}

impl Token {
    pub fn is(&self, word: &str) -> bool {
        matches!(self, Token::Word(upper, _) if upper == word)
    }

    pub fn name(&self) -> Option<&str> {
        match self {
            Token::Word(_, name) | Token::Name(name) => Some(name),
            Token::Text | Token::Sign(_) => None,
        }
    }
}

/// How a statement is taken apart.
#[derive(Debug, Clone, Copy)]
struct Reading {
    ansi_quotes: bool,
    backslashes: bool,
    /// What stands in `/*M! … */` is run.
    mariadb: bool,
}

/// The signs of a statement in each way in which it may be read: one, unless something in it is read in several.
pub(super) fn readings(sql: &str, sql_mode: Option<u64>) -> Vec<Vec<Token>> {
    let both = |sign: &str, known: Option<bool>| match known {
        Some(known) => vec![known],
        None if sql.contains(sign) => vec![false, true],
        None => vec![true],
    };
    let mode = |bit: u64| sql_mode.map(|mode| mode & bit != 0);
    let mut out: Vec<Vec<Token>> = Vec::new();
    for &ansi_quotes in &both("\"", mode(ANSI_QUOTES)) {
        for &backslashes in &both("\\", mode(NO_BACKSLASH_ESCAPES).map(|not| !not)) {
            for &mariadb in &both("/*M!", None) {
                let reading = Reading {
                    ansi_quotes,
                    backslashes,
                    mariadb,
                };
                let read = reading.tokens(sql);
                if !out.contains(&read) {
                    out.push(read);
                }
            }
        }
    }
    out
}

impl Reading {
    /// Comments are left out, but for those that the server ran: it takes the exclamation mark out of the others before it logs them.
    fn tokens(self, sql: &str) -> Vec<Token> {
        let mut out = Vec::new();
        let mut rest = sql;
        while let Some(first) = rest.chars().next() {
            if is_blank(first) {
                rest = rest.trim_start_matches(is_blank);
            } else if let Some(comment) = rest.strip_prefix("/*") {
                let run = comment
                    .strip_prefix('!')
                    .or_else(|| comment.strip_prefix("M!").filter(|_| self.mariadb));
                rest = match run {
                    Some(code) => without_version(code),
                    None => comment.split_once("*/").map_or("", |(_, rest)| rest),
                };
            } else if let Some(code) = rest.strip_prefix("*/") {
                rest = code;
            } else if first == '#' || is_dashes(rest) {
                rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
            } else if matches!(first, '`' | '"' | '\'') {
                let is_name = first == '`' || (first == '"' && self.ansi_quotes);
                let (text, behind) = quoted(rest, first, self.backslashes && !is_name);
                out.push(if is_name {
                    Token::Name(text)
                } else {
                    Token::Text
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
}

/// Two dashes begin a comment where a blank or a control sign follows, or nothing.
fn is_dashes(rest: &str) -> bool {
    let behind = rest.strip_prefix("--").map(|behind| behind.chars().next());
    behind.is_some_and(|next| next.is_none_or(is_blank))
}

/// Blanks and control signs. What is beyond ASCII belongs to a word.
fn is_blank(c: char) -> bool {
    c == ' ' || c.is_ascii_control()
}

fn without_version(code: &str) -> &str {
    let digits = code.bytes().take_while(u8::is_ascii_digit).count();
    code.get(digits.min(VERSION_DIGITS)..).unwrap_or_default()
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '@') || !c.is_ascii()
}

/// What stands in quotes at the beginning, and what behind. A doubled quote is one; a backslash covers the next sign, where it does.
fn quoted(text: &str, quote: char, backslashes: bool) -> (String, &str) {
    let mut out = String::new();
    let mut signs = text.char_indices().skip(1).peekable();
    while let Some((_, c)) = signs.next() {
        if c == '\\' && backslashes {
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
