//! What an operand begins with: columns, literals, brackets, signs, CASE, CAST and functions.

use std::ops::Range;

use crossfade_model::text_form;

use super::functions::{ALL, Function, Named, find};
use super::infix::{NOT, SIGN};
use super::names::{is_moment, is_reserved, listed, nearest};
use super::parser::Parser;
use super::token::Token;
use super::tree::{Constant, Form, Node};
use crate::ExpressionError;
use crate::decimal::Decimal;

impl Parser<'_> {
    /// Reads one operand.
    pub(super) fn prefix(&mut self) -> Result<Node, ExpressionError> {
        let span = self.span();
        let start = span.start;
        let literal = match self.peek() {
            Token::Word(_) => return self.word(),
            Token::Sign("-") => return self.signed(start),
            Token::Sign("+") => {
                self.next();
                return self.expression(SIGN);
            }
            Token::Sign("(") => return self.bracketed(),
            Token::Sign(_) | Token::End => {
                return Err(self.unexpected("a column, a literal or a function"));
            }
            Token::Name(name) => Form::Column(name.clone()),
            Token::Number(digits) => Form::Literal(number(digits, &span)?),
            Token::Text(text) => Form::Literal(Constant::Text(text.clone())),
            Token::Bytes(bytes) => Form::Literal(Constant::Bytes(bytes.clone())),
        };
        self.next();
        if matches!(literal, Form::Column(_)) {
            self.refuse_part()?;
        }
        self.node(literal, start)
    }

    fn bracketed(&mut self) -> Result<Node, ExpressionError> {
        self.next();
        let node = self.expression(0)?;
        self.expect_sign(")")?;
        Ok(node)
    }

    /// A minus: before a number it belongs to it, so that the least integer can be written.
    fn signed(&mut self, start: usize) -> Result<Node, ExpressionError> {
        self.next();
        if let Token::Number(digits) = self.peek()
            && *self.peek_second() != Token::Sign("::")
        {
            let negative = format!("-{digits}");
            let span = start..self.span().end;
            self.next();
            let constant = number(&negative, &span)?;
            return self.node(Form::Literal(constant), start);
        }
        let node = Box::new(self.expression(SIGN)?);
        self.node(Form::Negate(node), start)
    }

    fn word(&mut self) -> Result<Node, ExpressionError> {
        let span = self.span();
        let start = span.start;
        let Token::Word(word) = self.next() else {
            return Err(self.unexpected("a word"));
        };
        let lower = word.to_lowercase();
        let constant = match lower.as_str() {
            "null" => Constant::Null,
            "true" => Constant::Boolean(true),
            "false" => Constant::Boolean(false),
            "not" => {
                let node = Box::new(self.expression(NOT)?);
                return self.node(Form::Not(node), start);
            }
            "case" => return self.case(start),
            "cast" => return self.cast(start),
            "date" | "time" | "timestamp" | "timestamptz" | "datetime" => {
                match self.moment(&lower, start)? {
                    Some(node) => return Ok(node),
                    None => return self.name(&word, &lower, span),
                }
            }
            _ => return self.name(&word, &lower, span),
        };
        self.node(Form::Literal(constant), start)
    }

    /// A function or a bare column.
    fn name(
        &mut self,
        word: &str,
        lower: &str,
        span: Range<usize>,
    ) -> Result<Node, ExpressionError> {
        let start = span.start;
        if is_moment(lower) {
            return Err(undetermined(lower, span));
        }
        if is_reserved(lower) {
            let fix = format!("a column that is called so is written \"{word}\"");
            let what = format!("{} does not belong here", word.to_uppercase());
            return Err(ExpressionError::new(span, what, fix));
        }
        if self.accept_sign("(") {
            return self.call(lower, span);
        }
        if let Token::Text(_) = self.peek() {
            let what = format!("a string with {word} before it is not known here");
            let fix = "write a plain string, or DATE '…', TIMESTAMP '…' or X'…'";
            return Err(ExpressionError::new(start..self.span().end, what, fix));
        }
        self.refuse_part()?;
        self.node(Form::Column(word.to_owned()), start)
    }

    /// An expression sees one table's columns, by their names alone.
    fn refuse_part(&self) -> Result<(), ExpressionError> {
        match self.peek() {
            Token::Sign(".") => Err(ExpressionError::new(
                self.span(),
                "a column is named without its table",
                "remove the table's name; a point inside a name is quoted",
            )),
            _ => Ok(()),
        }
    }

    /// A literal such as `DATE '2026-11-27'`; none where no string follows.
    fn moment(&mut self, kind: &str, start: usize) -> Result<Option<Node>, ExpressionError> {
        let marked = kind == "timestamp" && self.is_word("with");
        if marked {
            self.next();
            self.expect_word("time")?;
            self.expect_word("zone")?;
        }
        let Token::Text(text) = self.peek() else {
            return match marked {
                true => Err(self.unexpected("a string")),
                false => Ok(None),
            };
        };
        let bytes = text.as_bytes();
        let (read, example) = match kind {
            "date" => (
                text_form::date(bytes).map(Constant::Date),
                "DATE '2026-11-27'",
            ),
            "time" => (
                text_form::time(bytes).map(Constant::Time),
                "TIME '14:30:00'",
            ),
            "timestamp" | "datetime" if !marked => (
                text_form::timestamp(bytes).map(Constant::Timestamp),
                "TIMESTAMP '2026-11-27 14:30:00'",
            ),
            _ => (
                text_form::timestamp_with_zone(bytes).map(Constant::Instant),
                "TIMESTAMPTZ '2026-11-27 14:30:00+00'",
            ),
        };
        let span = start..self.span().end;
        let constant = read.ok_or_else(|| {
            let what = format!("this is no {kind} in ISO form");
            ExpressionError::new(span, what, format!("write it as {example}"))
        })?;
        self.next();
        self.node(Form::Literal(constant), start).map(Some)
    }

    fn case(&mut self, start: usize) -> Result<Node, ExpressionError> {
        let operand = match self.is_word("when") {
            true => None,
            false => Some(Box::new(self.expression(0)?)),
        };
        let mut arms = Vec::new();
        while self.accept_word("when") {
            let when = self.expression(0)?;
            self.expect_word("then")?;
            arms.push((when, self.expression(0)?));
        }
        if arms.is_empty() {
            return Err(self.unexpected("WHEN"));
        }
        let otherwise = match self.accept_word("else") {
            true => Some(Box::new(self.expression(0)?)),
            false => None,
        };
        self.expect_word("end")?;
        let form = Form::Case {
            operand,
            arms,
            otherwise,
        };
        self.node(form, start)
    }

    fn cast(&mut self, start: usize) -> Result<Node, ExpressionError> {
        self.expect_sign("(")?;
        let node = Box::new(self.expression(0)?);
        self.expect_word("as")?;
        let target = self.target()?;
        self.expect_sign(")")?;
        self.node(Form::Cast(node, target), start)
    }

    fn call(&mut self, name: &str, span: Range<usize>) -> Result<Node, ExpressionError> {
        let start = span.start;
        let (_, function, least, most) = match find(name) {
            Named::Known(entry) => entry,
            Named::Undetermined => return Err(undetermined(name, span)),
            Named::Unknown => return Err(unknown(name, span)),
        };
        let arguments = match name {
            "extract" => self.extract()?,
            "position" => self.position()?,
            "trim" => return self.trim(start),
            "substring" | "substr" => self.substring()?,
            _ => self.list()?,
        };
        if !(least..=most).contains(&arguments.len()) {
            let takes = match (least, most) {
                _ if least == most => format!("{least}"),
                _ if most > 3 => format!("at least {least}"),
                _ => format!("{least} to {most}"),
            };
            let what = format!("{name} takes {takes} arguments");
            let fix = "give it as many";
            return Err(ExpressionError::new(start..self.end(), what, fix));
        }
        self.node(Form::Call(function, arguments), start)
    }

    /// `EXTRACT(field FROM x)`: the field is the first argument, as a text.
    fn extract(&mut self) -> Result<Vec<Node>, ExpressionError> {
        let start = self.span().start;
        let field = match self.next() {
            Token::Word(word) => word.to_ascii_lowercase(),
            Token::Text(text) => text.to_ascii_lowercase(),
            _ => return Err(self.unexpected("a field, such as year, before this")),
        };
        let field = self.node(Form::Literal(Constant::Text(field)), start)?;
        self.expect_word("from")?;
        let node = self.expression(0)?;
        self.expect_sign(")")?;
        Ok(vec![field, node])
    }

    /// `POSITION(part IN text)`.
    fn position(&mut self) -> Result<Vec<Node>, ExpressionError> {
        // binds more tightly than IN, which is no list here
        let part = self.expression(7)?;
        self.expect_word("in")?;
        let text = self.expression(0)?;
        self.expect_sign(")")?;
        Ok(vec![text, part])
    }

    /// `SUBSTRING(x FROM a FOR b)`, or with commas.
    fn substring(&mut self) -> Result<Vec<Node>, ExpressionError> {
        let mut arguments = vec![self.expression(0)?];
        if self.accept_word("from") {
            arguments.push(self.expression(0)?);
            if self.accept_word("for") {
                arguments.push(self.expression(0)?);
            }
        } else if self.accept_sign(",") {
            arguments.extend(self.list()?);
            return Ok(arguments);
        }
        self.expect_sign(")")?;
        Ok(arguments)
    }

    /// `TRIM([LEADING|TRAILING|BOTH] [characters] FROM x)`, or with a comma.
    fn trim(&mut self, start: usize) -> Result<Node, ExpressionError> {
        let side = [
            ("leading", Function::LeftTrim),
            ("trailing", Function::RightTrim),
            ("both", Function::Trim),
        ];
        let said = side.into_iter().find(|(word, _)| self.accept_word(word));
        let function = said.map_or(Function::Trim, |(_, function)| function);
        let mut arguments = Vec::new();
        if !self.accept_word("from") {
            arguments.push(self.expression(0)?);
            if self.accept_sign(",") {
                arguments.push(self.expression(0)?);
                self.expect_sign(")")?;
                return self.node(Form::Call(function, arguments), start);
            }
            if !self.accept_word("from") {
                self.expect_sign(")")?;
                return self.node(Form::Call(function, arguments), start);
            }
        }
        // what is trimmed off is named first here, and last in the call
        arguments.insert(0, self.expression(0)?);
        self.expect_sign(")")?;
        self.node(Form::Call(function, arguments), start)
    }
}

/// A number as an integer of 64 bits, else as a decimal.
fn number(digits: &str, span: &Range<usize>) -> Result<Constant, ExpressionError> {
    if let Ok(integer) = digits.parse() {
        return Ok(Constant::Integer(integer));
    }
    Decimal::parse(digits.as_bytes())
        .map(Constant::Decimal)
        .ok_or_else(|| {
            ExpressionError::new(
                span.clone(),
                "this number is too large or too fine",
                "write at most 131072 digits before the point and 16383 behind it",
            )
        })
}

fn undetermined(name: &str, span: Range<usize>) -> ExpressionError {
    ExpressionError::new(
        span,
        format!(
            "{name} does not depend on the row alone: it would give another result in the copy, in the stream and in the proof"
        ),
        "use what stands in the row or a literal; a value that only the target makes is a default of its column",
    )
}

fn unknown(name: &str, span: Range<usize>) -> ExpressionError {
    let near = nearest(name, ALL.iter().map(|(known, ..)| *known));
    let fix = match near.as_slice() {
        [] => "docs/expressions.md lists the functions".to_owned(),
        near => format!("did you mean {}?", listed(near)),
    };
    ExpressionError::new(span, format!("there is no function {name}"), fix)
}
