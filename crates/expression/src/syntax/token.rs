//! Words, names, literals and signs.

use std::ops::Range;

use crossfade_model::hex;

use crate::ExpressionError;

/// A piece of the text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    /// A word as written: a key word, a function, a type or a column.
    Word(String),
    /// A name in quotation marks.
    Name(String),
    /// A number as written.
    Number(String),
    /// A string.
    Text(String),
    /// `X'…'`.
    Bytes(Vec<u8>),
    /// An operator or a sign.
    Sign(&'static str),
    /// The end of the text.
    End,
}

/// A token and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) token: Token,
    pub(crate) span: Range<usize>,
}

/// Longer ones first: the first that fits is taken.
const SIGNS: [&str; 18] = [
    "||", "<>", "!=", "<=", ">=", "::", "=", "<", ">", "+", "-", "*", "/", "%", "(", ")", ",", ".",
];

/// Signs that mean something in one engine only, with what to write instead.
const FOREIGN: [(&str, &str); 9] = [
    (
        "--",
        "write no comments, and put a blank between two minus signs",
    ),
    ("/*", "write no comments"),
    ("<=>", "write IS NOT DISTINCT FROM"),
    ("==", "write ="),
    ("&&", "write AND"),
    ("->", "JSON's operators are not known here"),
    ("~", "regular expressions are not known here; LIKE is"),
    ("!", "write NOT"),
    ("^", "powers are not known here"),
];

/// Takes a text apart; the last token is [`Token::End`].
///
/// # Errors
/// A sign that is no SQL, or a literal without its end.
pub(crate) fn tokens(text: &str) -> Result<Vec<Placed>, ExpressionError> {
    let mut reader = Reader { text, at: 0 };
    let mut all = Vec::new();
    loop {
        reader.skip_blanks();
        let start = reader.at;
        let token = reader.token()?;
        let ended = token == Token::End;
        all.push(Placed {
            token,
            span: start..reader.at,
        });
        if ended {
            return Ok(all);
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Moves past the characters that fit and gives them.
    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !fits(c)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        self.take_while(char::is_whitespace);
    }

    fn token(&mut self) -> Result<Token, ExpressionError> {
        let Some(first) = self.rest().chars().next() else {
            return Ok(Token::End);
        };
        match first {
            '\'' => self.enclosed('\'').map(Token::Text),
            '"' | '`' => self.enclosed(first).map(Token::Name),
            'x' | 'X' if self.rest().as_bytes().get(1) == Some(&b'\'') => self.bytes(),
            '0'..='9' => self.number(),
            '.' if self.digit_at(1) => self.number(),
            c if c.is_alphabetic() || c == '_' => {
                let word = self.take_while(|c| c.is_alphanumeric() || c == '_' || c == '$');
                Ok(Token::Word(word.to_owned()))
            }
            _ => self.sign(first),
        }
    }

    fn digit_at(&self, offset: usize) -> bool {
        let byte = self.rest().as_bytes().get(offset);
        byte.is_some_and(u8::is_ascii_digit)
    }

    /// What stands between two marks; a doubled mark stands for itself.
    fn enclosed(&mut self, mark: char) -> Result<String, ExpressionError> {
        let start = self.at;
        let mut out = String::new();
        self.at += 1;
        loop {
            out.push_str(self.take_while(|c| c != mark));
            if self.rest().is_empty() {
                let what = format!("what begins with {mark} has no end");
                let fix = format!("end it with {mark}");
                return Err(ExpressionError::new(start..self.text.len(), what, fix));
            }
            self.at += 1;
            if !self.rest().starts_with(mark) {
                return Ok(out);
            }
            out.push(mark);
            self.at += 1;
        }
    }

    fn bytes(&mut self) -> Result<Token, ExpressionError> {
        let start = self.at;
        self.at += 1;
        let digits = self.enclosed('\'')?;
        hex::decode(&digits).map(Token::Bytes).ok_or_else(|| {
            ExpressionError::new(
                start..self.at,
                "these are no bytes",
                "write an even number of hexadecimal digits",
            )
        })
    }

    fn number(&mut self) -> Result<Token, ExpressionError> {
        let start = self.at;
        self.take_while(|c| c.is_ascii_digit());
        if self.rest().starts_with('.') {
            self.at += 1;
            self.take_while(|c| c.is_ascii_digit());
        }
        if self.rest().starts_with(['e', 'E']) {
            let signed = matches!(self.rest().as_bytes().get(1), Some(b'+' | b'-'));
            let skip = 1 + usize::from(signed);
            if self.digit_at(skip) {
                self.at += skip;
                self.take_while(|c| c.is_ascii_digit());
            }
        }
        let end = self.at;
        let glued = self.take_while(|c| c.is_alphanumeric() || c == '_');
        if !glued.is_empty() {
            return Err(ExpressionError::new(
                start..self.at,
                "a number and a word without anything between them",
                "put a blank or an operator between them, or quote a name that begins with a digit",
            ));
        }
        let number = self.text.get(start..end).unwrap_or_default();
        Ok(Token::Number(number.to_owned()))
    }

    fn sign(&mut self, first: char) -> Result<Token, ExpressionError> {
        let rest = self.rest();
        let foreign = FOREIGN.iter().find(|(sign, _)| rest.starts_with(sign));
        let known = SIGNS.iter().find(|sign| rest.starts_with(**sign));
        match (foreign, known) {
            (Some(("!", _)), Some(sign)) | (None, Some(sign)) => {
                self.at += sign.len();
                Ok(Token::Sign(sign))
            }
            (Some((sign, fix)), _) => Err(ExpressionError::new(
                self.at..self.at + sign.len(),
                format!("{sign} does not mean the same in every engine, or nothing"),
                *fix,
            )),
            (None, None) => Err(ExpressionError::new(
                self.at..self.at + first.len_utf8(),
                "this sign has no meaning here",
                "remove it; names with other signs than letters and digits are quoted",
            )),
        }
    }
}
