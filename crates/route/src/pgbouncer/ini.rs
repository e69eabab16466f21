//! The `[databases]` entries of PgBouncer's file, changed in place (pgbouncer.ini(5)). All other bytes stay.

use std::ops::Range;

/// What is wrong with the file, or what it does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IniProblem {
    /// `[databases]` has no such entry.
    Missing,
    /// It has more than one.
    Twice,
    /// The entry is not a list of `key=value`.
    Unreadable(&'static str),
}

impl std::fmt::Display for IniProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            IniProblem::Missing => {
                f.write_str("it is not in [databases] there (`*` does not count; where a file is included, name that one)")
            }
            IniProblem::Twice => f.write_str("it is in [databases] there more than once"),
            IniProblem::Unreadable(why) => write!(f, "its entry cannot be read: {why}"),
        }
    }
}

/// Where an entry leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) dbname: String,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}/{}", self.host, self.port, self.dbname)
    }
}

/// Where an entry leads. What it does not say is what PgBouncer takes then: port 5432, the entry's own name.
pub(crate) fn read(text: &str, name: &str) -> Result<Address, IniProblem> {
    let entry = find(text, name)?;
    let pairs = pairs(&text[entry])?;
    let value = |key: &str| {
        let found = pairs.iter().find(|pair| pair.key == key);
        found.map(|pair| pair.value.clone())
    };
    let port = match value("port") {
        None => 5432,
        Some(port) => port
            .parse()
            .map_err(|_| IniProblem::Unreadable("its port is no number"))?,
    };
    Ok(Address {
        host: value("host").unwrap_or_default(),
        port,
        dbname: value("dbname").unwrap_or_else(|| name.to_owned()),
    })
}

/// The file with the entry leading to `to`.
pub(crate) fn rewrite(text: &str, name: &str, to: &Address) -> Result<String, IniProblem> {
    let entry = find(text, name)?;
    let pairs = pairs(&text[entry.clone()])?;
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for (key, value) in [
        ("host", to.host.clone()),
        ("port", to.port.to_string()),
        ("dbname", to.dbname.clone()),
    ] {
        match pairs.iter().find(|pair| pair.key == key) {
            Some(pair) if pair.value == value => {}
            Some(pair) => {
                let span = entry.start + pair.span.start..entry.start + pair.span.end;
                edits.push((span, quoted(&value)));
            }
            None => edits.push((entry.end..entry.end, format!(" {key}={}", quoted(&value)))),
        }
    }
    // stable: what is appended keeps its order
    edits.sort_by_key(|(span, _)| span.start);
    let mut out = String::with_capacity(text.len() + 64);
    let mut done = 0;
    for (span, value) in edits {
        out.push_str(&text[done..span.start]);
        out.push_str(&value);
        done = span.end;
    }
    out.push_str(&text[done..]);
    Ok(out)
}

/// The span of an entry's value, without the white space around it.
fn find(text: &str, name: &str) -> Result<Range<usize>, IniProblem> {
    let mut found = None;
    let mut in_databases = false;
    let mut start = 0;
    for whole in text.split_inclusive('\n') {
        let line = whole.trim();
        let begin = start + (whole.len() - whole.trim_start().len());
        start += whole.len();
        if line.starts_with(['#', ';', '%']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            in_databases = section.strip_suffix(']').map(str::trim) == Some("databases");
            continue;
        }
        if !in_databases {
            continue;
        }
        let Some((key, value)) = key_of(line) else {
            continue;
        };
        if key != name {
            continue;
        }
        if found.is_some() {
            return Err(IniProblem::Twice);
        }
        let value = begin + value..begin + line.len();
        found = Some(value);
    }
    found.ok_or(IniProblem::Missing)
}

/// A line's key, which may stand in double quotes, and where its value begins.
fn key_of(line: &str) -> Option<(String, usize)> {
    let (key, rest) = match line.strip_prefix('"') {
        Some(inside) => {
            let (key, used) = until_quote(inside, '"')?;
            (key, 1 + used)
        }
        None => {
            let end = line.find('=')?;
            (line[..end].trim_end().to_owned(), end)
        }
    };
    let after = line[rest..].trim_start();
    let value = after.strip_prefix('=')?;
    Some((key, line.len() - value.trim_start().len()))
}

/// Text up to a closing quote, where a doubled one stands for itself; and how many bytes that took, the closing quote included.
fn until_quote(text: &str, quote: char) -> Option<(String, usize)> {
    let mut out = String::new();
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if letter != quote {
            out.push(letter);
        } else if letters.next_if(|(_, next)| *next == quote).is_some() {
            out.push(quote);
        } else {
            return Some((out, at + quote.len_utf8()));
        }
    }
    None
}

struct Pair {
    key: String,
    value: String,
    /// Of the value as it is written, quotes included.
    span: Range<usize>,
}

fn pairs(entry: &str) -> Result<Vec<Pair>, IniProblem> {
    let mut out: Vec<Pair> = Vec::new();
    let mut at = 0;
    loop {
        at += entry[at..].len() - entry[at..].trim_start().len();
        let rest = &entry[at..];
        if rest.is_empty() {
            return Ok(out);
        }
        let equals = rest
            .find('=')
            .ok_or(IniProblem::Unreadable("a key has no value"))?;
        let key = rest[..equals].trim_end().to_owned();
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err(IniProblem::Unreadable("a key has no value"));
        }
        let written = rest[equals + 1..].trim_start();
        let start = entry.len() - written.len();
        let (value, length) = match written.strip_prefix('\'') {
            Some(inside) => {
                let (value, used) = until_quote(inside, '\'')
                    .ok_or(IniProblem::Unreadable("a quote is not closed"))?;
                (value, used + 1)
            }
            None => {
                let end = written.find(char::is_whitespace).unwrap_or(written.len());
                if end == 0 {
                    // it would swallow what is added behind it
                    return Err(IniProblem::Unreadable("a key has no value"));
                }
                (written[..end].to_owned(), end)
            }
        };
        if out.iter().any(|pair| pair.key == key) {
            return Err(IniProblem::Unreadable("it names a key twice"));
        }
        out.push(Pair {
            key,
            value,
            span: start..start + length,
        });
        at = start + length;
    }
}

fn quoted(value: &str) -> String {
    if value.is_empty() || value.contains(|c: char| c.is_whitespace() || c == '\'') {
        return format!("'{}'", value.replace('\'', "''"));
    }
    value.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(host: &str, port: u16, dbname: &str) -> Address {
        Address {
            host: host.to_owned(),
            port,
            dbname: dbname.to_owned(),
        }
    }

    #[test]
    fn only_what_must_change_changes() {
        let text = "; shop = host=no\r\n[databases]\r\n  shop = user=app host='old' password='a b''c=d' port=5432   dbname=shop  pool_size=5 \r\n\
                    other = host=old\r\n\r\n[pgbouncer]\r\nshop = 1\r\nlogfile = \u{e4}";
        let out = rewrite(text, "shop", &to("new", 5433, "shop")).expect("rewritten");
        let expected =
            text.replacen("host='old'", "host=new", 1)
                .replacen("port=5432", "port=5433", 1);
        assert_eq!(out, expected);
        assert_eq!(read(&out, "shop"), Ok(to("new", 5433, "shop")));
        assert_eq!(read(&out, "other"), Ok(to("old", 5432, "other")));
        let back = rewrite(&out, "shop", &to("old", 5432, "shop")).expect("back");
        assert_eq!(back, text.replacen("'old'", "old", 1));
        assert_eq!(
            rewrite(text, "shop", &to("old", 5432, "shop")).as_deref(),
            Ok(text)
        );
    }

    #[test]
    fn what_is_not_written_is_added() {
        let text = "[databases]\nshop =\n\"my \"\"shop\" = user=x";
        let out = rewrite(text, "shop", &to("/run/a b", 1, "it's")).expect("rewritten");
        assert_eq!(
            out,
            "[databases]\nshop = host='/run/a b' port=1 dbname='it''s'\n\"my \"\"shop\" = user=x"
        );
        assert_eq!(read(&out, "shop"), Ok(to("/run/a b", 1, "it's")));
        let out = rewrite(text, "my \"shop", &to("h", 2, "d")).expect("rewritten");
        assert!(out.ends_with("= user=x host=h port=2 dbname=d"), "{out}");
    }

    #[test]
    fn what_cannot_be_changed_safely_is_refused() {
        for (text, problem) in [
            ("[databases]\n* = host=a\n", IniProblem::Missing),
            ("shop = host=a\n[users]\nshop = x=1", IniProblem::Missing),
            (
                "[databases]\nshop = host=a\nshop = host=b",
                IniProblem::Twice,
            ),
            (
                "[databases]\nshop = host='a",
                IniProblem::Unreadable("a quote is not closed"),
            ),
            (
                "[databases]\nshop = host=a host=b",
                IniProblem::Unreadable("it names a key twice"),
            ),
            (
                "[databases]\nshop = host=a what",
                IniProblem::Unreadable("a key has no value"),
            ),
            ("", IniProblem::Missing),
        ] {
            assert_eq!(
                rewrite(text, "shop", &to("h", 1, "d")),
                Err(problem),
                "{text}"
            );
        }
    }

    #[test]
    fn nothing_makes_it_panic() {
        let pieces = [
            "[databases]",
            "\n",
            "shop",
            "=",
            "'",
            "\"",
            " ",
            "\u{e4}",
            "host",
            ";",
            "%",
            "[",
            "]",
        ];
        let mut number: u64 = 1;
        for _ in 0..20_000 {
            let mut text = String::from("[databases]\nshop=");
            for _ in 0..8 {
                number = number
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                text.push_str(pieces[(number >> 33) as usize % pieces.len()]);
            }
            if let Ok(out) = rewrite(&text, "shop", &to("h", 1, "d")) {
                assert_eq!(read(&out, "shop"), Ok(to("h", 1, "d")), "{text:?} {out:?}");
            }
        }
    }
}
