//! Tokens of SQLite's SQL (SQLite documentation, "SQL As Understood By SQLite"; "SQLite Keywords" for the quotes).

/// What a token is. Blanks and comments are no tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A keyword, a bare name or a number.
    Word,
    /// A name in double quotes, backquotes or brackets.
    Quoted,
    /// A text in single quotes. SQLite takes it as a name where only a name can stand.
    Text,
    /// One character of punctuation.
    Sign,
}

/// A token: its place in the text, and how many parentheses are open around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
    /// An opening and its closing parenthesis both have the depth outside.
    pub depth: usize,
}

impl Token {
    /// As it stands in the text.
    pub fn text<'a>(&self, sql: &'a str) -> &'a str {
        sql.get(self.start..self.end).unwrap_or_default()
    }

    /// A bare word, whatever its case.
    pub fn is_word(&self, sql: &str, word: &str) -> bool {
        self.kind == Kind::Word && self.text(sql).eq_ignore_ascii_case(word)
    }

    /// This sign.
    pub fn is_sign(&self, sql: &str, sign: &str) -> bool {
        self.kind == Kind::Sign && self.text(sql) == sign
    }

    /// The name that the token stands for, unquoted.
    pub fn name(&self, sql: &str) -> String {
        let text = self.text(sql);
        let inner = || {
            let mut chars = text.chars();
            chars.next();
            chars.next_back();
            chars.as_str()
        };
        match text.chars().next() {
            Some(q @ ('"' | '`' | '\'')) => inner().replace(&format!("{q}{q}"), &q.to_string()),
            Some('[') => inner().to_owned(),
            _ => text.to_owned(),
        }
    }
}

fn is_word_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii()
}

/// All tokens. Never fails: text that ends within a quote ends the last token.
pub(crate) fn tokens(sql: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut at = 0;
    let mut depth = 0usize;
    while let Some(c) = sql[at..].chars().next() {
        let rest = &sql[at..];
        if c.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        if let Some(length) = comment(rest) {
            at += length;
            continue;
        }
        let (kind, length) = match c {
            '\'' => (Kind::Text, quoted(rest, '\'')),
            '"' | '`' => (Kind::Quoted, quoted(rest, c)),
            '[' => (Kind::Quoted, rest.find(']').map_or(rest.len(), |i| i + 1)),
            c if is_word_char(c) => {
                let length = rest.find(|c| !is_word_char(c)).unwrap_or(rest.len());
                (Kind::Word, length)
            }
            c => (Kind::Sign, c.len_utf8()),
        };
        if c == ')' {
            depth = depth.saturating_sub(1);
        }
        out.push(Token {
            kind,
            start: at,
            end: at + length,
            depth,
        });
        if c == '(' {
            depth += 1;
        }
        at += length;
    }
    out
}

fn comment(rest: &str) -> Option<usize> {
    if rest.starts_with("--") {
        return Some(rest.find('\n').map_or(rest.len(), |i| i + 1));
    }
    rest.strip_prefix("/*")
        .map(|inside| inside.find("*/").map_or(rest.len(), |i| i + 4))
}

/// Bytes of a quoted token, both quotes included; a doubled quote does not end it.
fn quoted(rest: &str, quote: char) -> usize {
    let mut at = 1;
    while let Some(found) = rest.get(at..).and_then(|r| r.find(quote)) {
        at += found + 1;
        if !rest.get(at..).is_some_and(|r| r.starts_with(quote)) {
            return at;
        }
        at += 1;
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<&str> {
        tokens(sql).iter().map(|t| t.text(sql)).collect()
    }

    #[test]
    fn comments_and_quotes_hide_what_they_hold() {
        assert_eq!(
            texts("a -- (x\n /* ) */ 'it''s (' \"q\"\"(\" [b ]]`c``d`,é"),
            [
                "a",
                "'it''s ('",
                "\"q\"\"(\"",
                "[b ]",
                "]",
                "`c``d`",
                ",",
                "é"
            ]
        );
        let sql = "\"a\"\"b\" [c] 'd'";
        let names: Vec<String> = tokens(sql).iter().map(|t| t.name(sql)).collect();
        assert_eq!(names, ["a\"b", "c", "d"]);
    }

    #[test]
    fn depth_counts_open_parentheses() {
        let sql = "a(b(c))d";
        let depths: Vec<usize> = tokens(sql).iter().map(|t| t.depth).collect();
        assert_eq!(depths, [0, 0, 1, 1, 2, 1, 0, 0]);
    }

    #[test]
    fn broken_text_ends_and_does_not_panic() {
        for sql in [
            "'abc", "\"", "[", "/*", "--", "))) (", "'''", "é'é", "\u{7f}",
        ] {
            let _ = texts(sql);
        }
        assert_eq!(texts("'a''"), ["'a''"]);
    }
}
