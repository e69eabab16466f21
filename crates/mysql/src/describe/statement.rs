//! The parts of a CREATE TABLE statement as the server prints it (`SHOW CREATE TABLE`), backslashes and all.

use crate::names::{literal, quote};

/// A statement in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CreateTable {
    /// Columns, keys and constraints, each without the comma behind it.
    pub elements: Vec<Element>,
    /// What stands behind the closing parenthesis.
    pub tail: String,
}

/// One element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Element {
    pub what: What,
    /// Unquoted; empty for the primary key.
    pub name: String,
    pub text: String,
}

/// What an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Column,
    Primary,
    Unique,
    /// Not unique, of whatever kind.
    Index,
    ForeignKey,
    Check,
    Other,
}

/// Reads a statement; `None` where it is not of that form.
pub(crate) fn parse(sql: &str) -> Option<CreateTable> {
    let open = top_level(sql, 0, |c| c == '(')?;
    let close = top_level(sql, open + 1, |c| c == ')')?;
    let mut elements = Vec::new();
    let mut at = open + 1;
    loop {
        let end = top_level(&sql[..close], at, |c| c == ',').unwrap_or(close);
        elements.push(element(sql.get(at..end)?.trim())?);
        if end == close {
            break;
        }
        at = end + 1;
    }
    Some(CreateTable {
        elements,
        tail: sql[close + 1..].to_owned(),
    })
}

/// What of a table's definition must stay as it was planned: columns, what identifies a row (`key`: the index's name), and foreign
/// keys, whose actions may be in no log. Other indexes and checks come and go.
pub(crate) fn shape(sql: &str, key: &str) -> Option<Vec<Element>> {
    let mut elements = parse(sql)?.elements;
    elements.retain(|element| match element.what {
        What::Column | What::Primary | What::ForeignKey | What::Other => true,
        What::Unique | What::Index => element.name == key,
        What::Check => false,
    });
    Some(elements)
}

fn element(text: &str) -> Option<Element> {
    let named = |what, behind: &str| {
        let rest = text.strip_prefix(behind)?;
        Some(Element {
            what,
            name: identifier(rest)?.0,
            text: text.to_owned(),
        })
    };
    if text.starts_with('`') {
        return named(What::Column, "");
    }
    if text.starts_with("PRIMARY KEY") {
        return Some(Element {
            what: What::Primary,
            name: String::new(),
            text: text.to_owned(),
        });
    }
    for (word, what) in [
        ("UNIQUE KEY ", What::Unique),
        ("KEY ", What::Index),
        ("FULLTEXT KEY ", What::Index),
        ("SPATIAL KEY ", What::Index),
        ("VECTOR KEY ", What::Index),
    ] {
        if text.starts_with(word) {
            return named(what, word);
        }
    }
    if let Some(rest) = text.strip_prefix("CONSTRAINT ") {
        let (name, behind) = identifier(rest)?;
        let behind = behind.trim_start();
        let what = if behind.starts_with("FOREIGN KEY") {
            What::ForeignKey
        } else if behind.starts_with("CHECK") {
            What::Check
        } else {
            What::Other
        };
        return Some(Element {
            what,
            name,
            text: text.to_owned(),
        });
    }
    Some(Element {
        what: What::Other,
        name: String::new(),
        text: text.to_owned(),
    })
}

/// A quoted identifier at the beginning, unquoted, and what follows it.
pub(crate) fn identifier(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('`')?;
    let mut name = String::new();
    let mut rest = inner;
    loop {
        let at = rest.find('`')?;
        name.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.strip_prefix('`') {
            Some(after) => {
                name.push('`');
                rest = after;
            }
            None => return Some((name, rest)),
        }
    }
}

/// The place of the first character from `from` on that is wanted and stands in no quotes and no parentheses.
fn top_level(sql: &str, from: usize, wanted: impl Fn(char) -> bool) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quoted: Option<char> = None;
    let mut escaped = false;
    for (at, c) in sql.get(from..)?.char_indices() {
        if std::mem::take(&mut escaped) {
            continue;
        }
        match quoted {
            Some('\'' | '"') if c == '\\' => escaped = true,
            // a doubled quote ends one text and begins the next
            Some(quote) => {
                if c == quote {
                    quoted = None;
                }
            }
            None if depth == 0 && wanted(c) => return Some(from + at),
            None => match c {
                '\'' | '"' | '`' => quoted = Some(c),
                '(' => depth += 1,
                ')' => depth = depth.checked_sub(1)?,
                _ => {}
            },
        }
    }
    None
}

impl CreateTable {
    /// The elements of a kind.
    pub fn of(&self, what: What) -> impl Iterator<Item = &Element> {
        self.elements.iter().filter(move |e| e.what == what)
    }

    /// The statement for a table of this name, with the elements that are to be kept. The next value of a counter is not
    /// carried: it is raised in the end.
    pub fn written(&self, table: &str, keep: impl Fn(&Element) -> bool) -> String {
        let elements: Vec<&str> = self
            .elements
            .iter()
            .filter(|e| keep(e))
            .map(|e| e.text.as_str())
            .collect();
        format!(
            "CREATE TABLE {} (\n  {}\n){}",
            quote(table),
            elements.join(",\n  "),
            without_counter(&self.tail)
        )
    }

    /// The clause that parts the table, where there is one.
    pub fn partition_by(&self) -> Option<String> {
        let at = self.tail.find("PARTITION BY ")?;
        let text = self.tail[at..].trim_end();
        Some(
            text.strip_suffix("*/")
                .unwrap_or(text)
                .trim_end()
                .to_owned(),
        )
    }
}

fn without_counter(tail: &str) -> String {
    let Some(at) = tail.find(" AUTO_INCREMENT=") else {
        return tail.to_owned();
    };
    let rest = &tail[at + 1..];
    let end = rest.find([' ', '\n']).unwrap_or(rest.len());
    format!("{}{}", &tail[..at], &rest[end..])
}

/// What follows the parent's columns in a foreign key's text: its actions.
pub(crate) fn actions(foreign_key: &str) -> Option<String> {
    let references = top_word(foreign_key, " REFERENCES ")?;
    let open = top_level(foreign_key, references, |c| c == '(')?;
    let close = top_level(foreign_key, open + 1, |c| c == ')')?;
    Some(foreign_key[close + 1..].trim().to_owned())
}

fn top_word(text: &str, word: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = top_level(text, from, |c| c == ' ') {
        if text[at..].starts_with(word) {
            return Some(at + word.len() - 1);
        }
        from = at + 1;
    }
    None
}

/// A default as an expression of the dialect. MySQL gives a constant's bare value.
pub(crate) fn default_expression(text: &str, is_expression: bool, is_mysql: bool) -> String {
    let bare = is_expression || !is_mysql || text.starts_with("b'") || text.starts_with("0x");
    if bare { text.to_owned() } else { literal(text) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PRINTED: &str = "CREATE TABLE `c` (
  `id` int unsigned NOT NULL AUTO_INCREMENT,
  `a,(` varchar(20) DEFAULT 'it''s\\', (\\\\',
  `e` enum('a','b,''c') NOT NULL COMMENT 'x)',
  PRIMARY KEY (`id`),
  UNIQUE KEY `u``x` (`a,(`(5)),
  KEY `k2` (`e`,`id` DESC),
  FULLTEXT KEY `ff` (`e`),
  CONSTRAINT `fk1` FOREIGN KEY (`id`) REFERENCES `p (` (`id`) ON DELETE CASCADE,
  CONSTRAINT `ck1` CHECK ((`e` < 100))
) ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=utf8mb4
/*!50100 PARTITION BY HASH (`id`)
PARTITIONS 3 */";

    #[test]
    fn a_printed_statement_is_read_and_written_again() {
        let read = parse(PRINTED).unwrap();
        let whats: Vec<What> = read.elements.iter().map(|e| e.what).collect();
        assert_eq!(
            whats,
            [
                What::Column,
                What::Column,
                What::Column,
                What::Primary,
                What::Unique,
                What::Index,
                What::Index,
                What::ForeignKey,
                What::Check
            ]
        );
        assert_eq!(read.elements[1].name, "a,(");
        assert_eq!(read.elements[4].name, "u`x");
        assert_eq!(
            actions(&read.elements[7].text).unwrap(),
            "ON DELETE CASCADE"
        );
        assert_eq!(
            read.partition_by().unwrap(),
            "PARTITION BY HASH (`id`)\nPARTITIONS 3"
        );
        let all = read.written("c", |_| true);
        assert_eq!(all, PRINTED.replace(" AUTO_INCREMENT=7", ""));
        let bare = read.written("d", |e| matches!(e.what, What::Column | What::Primary));
        assert!(
            bare.starts_with("CREATE TABLE `d` (") && !bare.contains("`k2`"),
            "{bare}"
        );
    }

    #[test]
    fn strange_texts_are_none() {
        for text in [
            "",
            "CREATE TABLE `a`",
            "CREATE TABLE `a` (`b` int",
            "CREATE TABLE `a` (`b`int))(",
            "(",
        ] {
            let _no_panic = parse(text);
        }
        assert!(parse("CREATE TABLE `a` (`b` int").is_none());
    }
}
