//! Whether two texts are one JSON value (RFC 8259). Numbers are compared exactly, as decimals; of a repeated name the last
//! value counts, as in PostgreSQL's `jsonb` and in SQLite.

use std::collections::BTreeMap;

use crossfade_model::text_form;

/// Longer texts are not looked at, in bytes.
const LONGEST: usize = 4 << 20;
/// Deeper values are not looked at.
const DEEPEST: usize = 128;

/// Whether two texts are one JSON value; false where one is none, or too big to be looked at.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    matches!((parse(a), parse(b)), (Some(a), Some(b)) if a == b)
}

#[derive(PartialEq)]
enum Value {
    /// `null`, `true`, `false`.
    Word(&'static str),
    /// In shortest equal form.
    Number(String),
    Text(String),
    List(Vec<Value>),
    Object(BTreeMap<String, Value>),
}

fn parse(text: &[u8]) -> Option<Value> {
    if text.len() > LONGEST {
        return None;
    }
    let mut reader = Reader {
        text,
        at: 0,
        digits: 0,
    };
    let value = reader.value(0)?;
    reader.blanks();
    (reader.at == text.len()).then_some(value)
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    /// Digits of all numbers so far: a short exponent can stand for many.
    digits: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Takes a byte, after blanks, where it is this one.
    fn takes(&mut self, wanted: u8) -> bool {
        self.blanks();
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEEPEST {
            return None;
        }
        self.blanks();
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.list(depth),
            b'"' => self.string().map(Value::Text),
            b'-' | b'0'..=b'9' => self.number(),
            _ => ["null", "true", "false"]
                .into_iter()
                .find(|word| self.rest().starts_with(word.as_bytes()))
                .map(|word| {
                    self.at += word.len();
                    Value::Word(word)
                }),
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut members = BTreeMap::new();
        if self.takes(b'}') {
            return Some(Value::Object(members));
        }
        loop {
            self.blanks();
            let name = self.string()?;
            if !self.takes(b':') {
                return None;
            }
            members.insert(name, self.value(depth + 1)?);
            if self.takes(b'}') {
                return Some(Value::Object(members));
            }
            if !self.takes(b',') {
                return None;
            }
        }
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut items = Vec::new();
        if self.takes(b']') {
            return Some(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.takes(b']') {
                return Some(Value::List(items));
            }
            if !self.takes(b',') {
                return None;
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let begin = self.at;
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        serde_json::from_slice(self.text.get(begin..self.at)?).ok()
    }

    fn number(&mut self) -> Option<Value> {
        let begin = self.at;
        while matches!(
            self.peek(),
            Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
        ) {
            self.at += 1;
        }
        let number = text_form::decimal(self.text.get(begin..self.at)?)?;
        self.digits += number.len();
        (self.digits <= LONGEST).then_some(Value::Number(number))
    }
}
