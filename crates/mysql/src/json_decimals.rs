//! Decimals in JSON documents.
//!
//! MySQL's functions put decimals into documents with their scale (`JSON_OBJECT('price', price)` gives `{"price": 1.10}`), but what it reads
//! from a text becomes a double, which is printed as `1.1` (MySQL documentation, "The JSON Data Type"). So numbers that no double prints are put
//! into the document one by one.

use std::collections::HashSet;
use std::fmt::Write as _;

/// Documents are no deeper (MySQL documentation, "The JSON Data Type").
const DEEPEST: usize = 100;

/// Numbers of one document that are put in by themselves; one with more stays the text that it is.
const MOST: usize = 10_000;

/// Digits of a DECIMAL, and how many of them may be behind the point (MySQL documentation, "DECIMAL Data Type Characteristics").
const DIGITS: usize = 65;
const SCALE: usize = 30;

/// A number that is to be a decimal.
#[derive(Debug, PartialEq, Eq)]
struct Decimal<'a> {
    /// Where it is, as a JSON path.
    path: String,
    text: &'a str,
    digits: usize,
    scale: usize,
}

/// The expression that gives the document of a text as MySQL holds it, where a literal would not; `quote` appends a text as a literal.
pub(crate) fn expression(text: &str, quote: impl Fn(&str, &mut String)) -> Option<String> {
    let found = decimals(text)?;
    let mut out = "JSON_SET(CAST(".to_owned();
    quote(text, &mut out);
    out.push_str(" AS JSON)");
    for decimal in found {
        out.push_str(", ");
        quote(&decimal.path, &mut out);
        let (digits, scale) = (decimal.digits, decimal.scale);
        // writing into a text cannot fail
        let _ = write!(
            out,
            ", CAST('{}' AS DECIMAL({digits},{scale}))",
            decimal.text
        );
    }
    out.push(')');
    Some(out)
}

/// `None` where there are none, too many, or the text is no document.
fn decimals(text: &str) -> Option<Vec<Decimal<'_>>> {
    // most documents have neither a point nor a long number
    let mut digits = 0;
    let may_have = text.bytes().any(|b| {
        digits = if b.is_ascii_digit() { digits + 1 } else { 0 };
        b == b'.' || digits > 18
    });
    if !may_have {
        return None;
    }
    let mut scan = Scan {
        text,
        at: 0,
        path: "$".to_owned(),
        found: Vec::new(),
    };
    scan.value(0)?;
    let (found, most) = (scan.found, MOST);
    (!found.is_empty() && found.len() <= most).then_some(found)
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    path: String,
    found: Vec<Decimal<'a>>,
}

impl<'a> Scan<'a> {
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(drop),
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.word(),
        }
    }

    /// `true`, `false` or `null`.
    fn word(&mut self) -> Option<()> {
        let rest = self.text.get(self.at..)?;
        let length = rest.bytes().take_while(u8::is_ascii_lowercase).count();
        self.at += length;
        (length > 0).then_some(())
    }

    /// The text with its quotes, as it is written.
    fn string(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let from = self.at - 1;
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at)? {
                b'\\' => self.at += 2,
                b'"' => {
                    self.at += 1;
                    return self.text.get(from..self.at);
                }
                _ => self.at += 1,
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.take(b'{')?;
        let base = self.path.len();
        let mut seen: HashSet<&str> = HashSet::new();
        if self.peek()? == b'}' {
            return self.take(b'}');
        }
        loop {
            self.peek()?;
            let key = self.string()?;
            self.take(b':')?;
            self.path.push('.');
            self.path.push_str(key);
            if !seen.insert(key) {
                // the last of them counts
                let gone = self.path.clone();
                self.found.retain(|d| !is_below(&d.path, &gone));
            }
            self.value(depth + 1)?;
            self.path.truncate(base);
            match self.peek()? {
                b',' => self.at += 1,
                _ => return self.take(b'}'),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.take(b'[')?;
        let base = self.path.len();
        if self.peek()? == b']' {
            return self.take(b']');
        }
        for place in 0_usize.. {
            let _ = write!(self.path, "[{place}]");
            self.value(depth + 1)?;
            self.path.truncate(base);
            match self.peek()? {
                b',' => self.at += 1,
                _ => break,
            }
        }
        self.take(b']')
    }

    fn number(&mut self) -> Option<()> {
        let rest = self.text.get(self.at..)?;
        let is_part = |b: &u8| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let text = rest.get(..rest.bytes().take_while(is_part).count())?;
        self.at += text.len();
        if let Some((digits, scale)) = as_decimal(text) {
            self.found.push(Decimal {
                path: self.path.clone(),
                text,
                digits,
                scale,
            });
        }
        Some(())
    }
}

/// Whether a path is another one or leads through it.
fn is_below(path: &str, other: &str) -> bool {
    path.strip_prefix(other)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Digits and scale of a number that MySQL would not print so again after it had read it.
fn as_decimal(text: &str) -> Option<(usize, usize)> {
    let bare = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = bare.split_once('.').unwrap_or((bare, ""));
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) {
        return None;
    }
    let (digits, scale) = (whole.len() + fraction.len(), fraction.len());
    if digits > DIGITS || scale > SCALE {
        return None;
    }
    let same = if fraction.is_empty() {
        text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok()
    } else {
        let double: f64 = text.parse().ok()?;
        let size = double.abs();
        let mut shown = format!("{double}");
        if !shown.contains('.') {
            shown.push_str(".0");
        }
        // beyond these a double may be printed with an exponent
        shown == text && (size == 0.0 || (1e-4..1e15).contains(&size))
    };
    (!same).then_some((digits, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<(String, &str)> {
        let found = decimals(text).unwrap_or_default();
        found.into_iter().map(|d| (d.path, d.text)).collect()
    }

    #[test]
    fn numbers_that_no_double_prints_are_found_where_they_are() {
        for text in [
            "{}",
            "[1, 2.5, -0.5, 1e300, 100.0, 0.30000000000000004]",
            "\"1.10\"",
            "{\"1.10\": \"2.50\"}",
            "18446744073709551615",
            "-9223372036854775808",
            "0.0",
            "1.10 and more",
            "{\"a\" 1.10}",
            "[1.10",
        ] {
            // what is no document is the server's to refuse
            let found = paths(text);
            let whole = !text.starts_with("1.10") && !found.is_empty();
            assert!(!whole, "{text}: {found:?}");
        }
        let path = |p: &str| p.to_owned();
        assert_eq!(paths("1.10"), [(path("$"), "1.10")]);
        assert_eq!(
            paths("{\"a\": [1, {\"b c\": -2.50}], \"d\\\"e\": 18446744073709551616, \"f\": 1.5}"),
            [
                (path("$.\"a\"[1].\"b c\""), "-2.50"),
                (path("$.\"d\\\"e\""), "18446744073709551616"),
            ]
        );
        assert_eq!(paths("0.00001"), [(path("$"), "0.00001")]);
        assert_eq!(
            paths("{\"a\": 1.10, \"ab\": 2.20, \"a\": {\"x\": 3.30}}"),
            [(path("$.\"ab\""), "2.20"), (path("$.\"a\".\"x\""), "3.30")]
        );
        assert!(paths(&"[".repeat(100_000)).is_empty());
        assert!(paths(&format!("{}1.10", "[".repeat(100_000))).is_empty());
    }

    #[test]
    fn they_are_put_in_one_by_one() {
        let quote = |text: &str, out: &mut String| {
            out.push('\'');
            out.push_str(text);
            out.push('\'');
        };
        assert_eq!(
            expression("[1.10]", quote).as_deref(),
            Some("JSON_SET(CAST('[1.10]' AS JSON), '$[0]', CAST('1.10' AS DECIMAL(3,2)))")
        );
        assert_eq!(expression("[1.1]", quote), None);
    }
}
