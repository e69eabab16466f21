//! MySQL's binary JSON as the text that the server shows (MySQL internals, "JSON binary format", `json_binary.h`;
//! `Json_wrapper::to_string`).

use super::{decimal, number, temporal};
use crate::cursor::Cursor;
use crate::error::{Error, Result};

/// The server's own limit (`JSON_DOCUMENT_MAX_DEPTH`).
const DEEPEST: usize = 100;

/// How much longer than its binary form a text can be: a control character of one byte takes six. What goes beyond has parts
/// that overlap.
const MOST_GROWTH: usize = 16;

/// Appends the text of a document.
pub(super) fn write(document: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let Some((kind, body)) = document.split_first() else {
        // a column that was never given a value, as some ALTERs leave it
        out.extend_from_slice(b"null");
        return Ok(());
    };
    let limit = out.len() + document.len() * MOST_GROWTH + 64;
    Writer { out, limit }.value(*kind, body, 0)
}

/// A document that can be changed: its scalars are texts already.
pub(super) mod tree;

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    limit: usize,
}

fn broken() -> Error {
    Error::corrupt("a JSON document is broken")
}

/// An unsigned number of 2 or 4 bytes.
fn number_at(body: &[u8], at: usize, width: usize) -> Result<usize> {
    let bytes = at
        .checked_add(width)
        .and_then(|end| body.get(at..end))
        .ok_or_else(broken)?;
    Ok(bytes
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | usize::from(*byte)))
}

fn first<const N: usize>(body: &[u8]) -> Result<[u8; N]> {
    body.first_chunk().copied().ok_or_else(broken)
}

/// A length in groups of seven bits, the lowest first, and what follows it.
fn length_prefixed(body: &[u8]) -> Result<&[u8]> {
    let mut length = 0usize;
    for (index, byte) in body.iter().take(5).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let start = index + 1;
            return body.get(start..start + length).ok_or_else(broken);
        }
    }
    Err(broken())
}

/// The elements of an object or an array: count, size, places of keys and values, keys, values; places count from the container's
/// own beginning.
struct Container<'a> {
    body: &'a [u8],
    width: usize,
    count: usize,
    values: usize,
}

impl<'a> Container<'a> {
    fn read(body: &'a [u8], width: usize, object: bool) -> Result<Container<'a>> {
        let count = number_at(body, 0, width)?;
        let size = number_at(body, width, width)?;
        let keys = if object { count * (width + 2) } else { 0 };
        Ok(Container {
            body: body.get(..size).ok_or_else(broken)?,
            width,
            count,
            values: 2 * width + keys,
        })
    }

    fn key(&self, index: usize) -> Result<&'a [u8]> {
        let entry = 2 * self.width + index * (self.width + 2);
        let place = number_at(self.body, entry, self.width)?;
        let length = number_at(self.body, entry + self.width, 2)?;
        self.body.get(place..place + length).ok_or_else(broken)
    }

    /// The value's type and what begins with its body.
    fn value(&self, index: usize) -> Result<(u8, &'a [u8])> {
        let entry = self.values + index * (1 + self.width);
        let kind = *self.body.get(entry).ok_or_else(broken)?;
        // literals and numbers that fit stand in the place itself
        let at = match kind {
            4..=6 => entry + 1,
            7 | 8 if self.width == 4 => entry + 1,
            _ => number_at(self.body, entry + 1, self.width)?,
        };
        Ok((kind, self.body.get(at..).ok_or_else(broken)?))
    }
}

impl Writer<'_> {
    fn value(&mut self, kind: u8, body: &[u8], depth: usize) -> Result<()> {
        if depth > DEEPEST || self.out.len() > self.limit {
            return Err(broken());
        }
        match kind {
            0 => self.container(body, 2, true, depth),
            1 => self.container(body, 4, true, depth),
            2 => self.container(body, 2, false, depth),
            3 => self.container(body, 4, false, depth),
            4 => self.literal(body.first().copied()),
            5 => self.integer(i16::from_le_bytes(first(body)?).into()),
            6 => self.unsigned(u16::from_le_bytes(first(body)?).into()),
            7 => self.integer(i32::from_le_bytes(first(body)?).into()),
            8 => self.unsigned(u32::from_le_bytes(first(body)?).into()),
            9 => self.integer(i64::from_le_bytes(first(body)?)),
            10 => self.unsigned(u64::from_le_bytes(first(body)?)),
            11 => self.double(f64::from_le_bytes(first(body)?)),
            12 => {
                self.string(length_prefixed(body)?);
                Ok(())
            }
            15 => {
                let (kind, rest) = body.split_first().ok_or_else(broken)?;
                self.opaque(*kind, length_prefixed(rest)?)
            }
            _ => Err(broken()),
        }
    }

    /// An object or an array.
    fn container(&mut self, body: &[u8], width: usize, object: bool, depth: usize) -> Result<()> {
        let (open, close) = if object { (b'{', b'}') } else { (b'[', b']') };
        self.out.push(open);
        let container = Container::read(body, width, object)?;
        for index in 0..container.count {
            if index > 0 {
                self.out.extend_from_slice(b", ");
            }
            if object {
                self.string(container.key(index)?);
                self.out.extend_from_slice(b": ");
            }
            let (kind, body) = container.value(index)?;
            self.value(kind, body, depth + 1)?;
        }
        self.out.push(close);
        Ok(())
    }

    fn literal(&mut self, which: Option<u8>) -> Result<()> {
        self.out.extend_from_slice(match which {
            Some(0) => b"null",
            Some(1) => b"true",
            Some(2) => b"false",
            _ => return Err(broken()),
        });
        Ok(())
    }

    fn integer(&mut self, value: i64) -> Result<()> {
        number::write_integer(value < 0, value.unsigned_abs(), self.out);
        Ok(())
    }

    fn unsigned(&mut self, value: u64) -> Result<()> {
        number::write_integer(false, value, self.out);
        Ok(())
    }

    /// A double shows that it is none of the integers.
    fn double(&mut self, value: f64) -> Result<()> {
        if !value.is_finite() {
            return Err(broken());
        }
        let start = self.out.len();
        number::write_double(value, self.out);
        let shown = self.out.get(start..).unwrap_or_default();
        if !shown.iter().any(|c| matches!(c, b'.' | b'e')) {
            self.out.extend_from_slice(b".0");
        }
        Ok(())
    }

    /// Only what JSON demands is escaped (`double_quote` in `json_dom.cc`).
    fn string(&mut self, text: &[u8]) {
        self.out.push(b'"');
        for &c in text {
            let short = match c {
                b'"' | b'\\' => c,
                0x08 => b'b',
                b'\t' => b't',
                b'\n' => b'n',
                0x0c => b'f',
                b'\r' => b'r',
                0..=0x1f => {
                    let hex = |digit: u8| b"0123456789abcdef".get(usize::from(digit)).copied();
                    self.out.extend_from_slice(b"\\u00");
                    self.out
                        .extend([c >> 4, c & 15].into_iter().filter_map(hex));
                    continue;
                }
                _ => {
                    self.out.push(c);
                    continue;
                }
            };
            self.out.extend_from_slice(&[b'\\', short]);
        }
        self.out.push(b'"');
    }

    /// A value of an SQL type that JSON has not.
    fn opaque(&mut self, kind: u8, bytes: &[u8]) -> Result<()> {
        match kind {
            246 => {
                let [precision, scale] = first(bytes)?;
                if precision == 0 || precision > 65 || scale > precision {
                    return Err(broken());
                }
                let digits = bytes.get(2..).unwrap_or_default().to_vec();
                decimal::write(precision, scale, &mut Cursor::new(digits.into()), self.out)
            }
            7 | 10 | 11 | 12 => {
                self.out.push(b'"');
                temporal::write_packed(kind, i64::from_le_bytes(first(bytes)?), self.out);
                self.out.push(b'"');
                Ok(())
            }
            _ => {
                let head = format!("\"base64:type{kind}:");
                self.out.extend_from_slice(head.as_bytes());
                base64(bytes, self.out);
                self.out.push(b'"');
                Ok(())
            }
        }
    }
}

/// In lines of 76 letters, as the server's encoder makes them; the ends of lines are escaped as in every string.
fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (count, three) in bytes.chunks(3).enumerate() {
        if count > 0 && count % (76 / 4) == 0 {
            out.extend_from_slice(b"\\n");
        }
        let group = three
            .iter()
            .chain([&0, &0])
            .take(3)
            .fold(0u32, |group, byte| group << 8 | u32::from(*byte));
        for place in 0..4 {
            let letter = LETTERS.get((group >> (18 - 6 * place) & 63) as usize);
            out.extend(letter.filter(|_| place <= three.len()).or(Some(&b'=')));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn base64_is_filled_up() {
        for (bytes, text) in [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj")] {
            let mut out = Vec::new();
            base64(bytes.as_bytes(), &mut out);
            assert_eq!(out, text.as_bytes());
        }
    }

    #[test]
    fn a_document_that_contains_itself_is_refused() {
        // an array whose two elements are the array
        let document = [2, 2, 0, 10, 0, 2, 0, 0, 2, 0, 0];
        assert!(write(&document, &mut Vec::new()).is_err());
    }
}
