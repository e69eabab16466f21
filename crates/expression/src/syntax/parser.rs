//! The parser: operators by how tightly they bind, as PostgreSQL has them.

use std::ops::Range;

use super::token::{Placed, Token, tokens};
use super::tree::{Form, Node};
use super::{DEEPEST, LONGEST};
use crate::ExpressionError;

/// Reads a whole text as one expression.
///
/// # Errors
/// What cannot be read, with its place.
pub(crate) fn parse(text: &str) -> Result<Node, ExpressionError> {
    if text.len() > LONGEST {
        return Err(ExpressionError::new(
            0..text.len(),
            "the expression is too long",
            format!("write at most {LONGEST} bytes"),
        ));
    }
    let tokens = tokens(text)?;
    let mut parser = Parser {
        tokens: &tokens,
        at: 0,
        nested: 0,
    };
    let node = parser.expression(0)?;
    match parser.peek() {
        Token::End => Ok(node),
        _ => Err(parser.unexpected("an operator or the end")),
    }
}

/// Walks over the tokens.
pub(super) struct Parser<'a> {
    tokens: &'a [Placed],
    at: usize,
    nested: u16,
}

impl Parser<'_> {
    fn placed(&self) -> Option<&Placed> {
        // the last token is the end, which is never passed
        self.tokens.get(self.at).or(self.tokens.last())
    }

    pub(super) fn peek(&self) -> &Token {
        self.placed().map_or(&Token::End, |placed| &placed.token)
    }

    /// The token behind the next one.
    pub(super) fn peek_second(&self) -> &Token {
        let second = self.tokens.get(self.at + 1);
        second.map_or(&Token::End, |placed| &placed.token)
    }

    /// Where the next token stands.
    pub(super) fn span(&self) -> Range<usize> {
        self.placed().map_or(0..0, |placed| placed.span.clone())
    }

    /// Where the token before the next one ends.
    pub(super) fn end(&self) -> usize {
        let before = self
            .at
            .checked_sub(1)
            .and_then(|before| self.tokens.get(before));
        before.map_or(0, |placed| placed.span.end)
    }

    pub(super) fn next(&mut self) -> Token {
        let token = self.peek().clone();
        if token != Token::End {
            self.at += 1;
        }
        token
    }

    /// The next token is the word; the word is in lower case.
    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(found) if found.eq_ignore_ascii_case(word))
    }

    pub(super) fn accept_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    pub(super) fn accept_sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(found) if *found == sign);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect_word(&mut self, word: &str) -> Result<(), ExpressionError> {
        match self.accept_word(word) {
            true => Ok(()),
            false => Err(self.unexpected(&word.to_uppercase())),
        }
    }

    pub(super) fn expect_sign(&mut self, sign: &str) -> Result<(), ExpressionError> {
        match self.accept_sign(sign) {
            true => Ok(()),
            false => Err(self.unexpected(sign)),
        }
    }

    pub(super) fn unexpected(&self, wanted: &str) -> ExpressionError {
        let what = match self.peek() {
            Token::End => "the expression ends too early".to_owned(),
            _ => "this does not belong here".to_owned(),
        };
        ExpressionError::new(self.span(), what, format!("write {wanted} here"))
    }

    /// A part from `start` to the token before the next one.
    ///
    /// # Errors
    /// It is nested too deep.
    pub(super) fn node(&self, form: Form, start: usize) -> Result<Node, ExpressionError> {
        let span = start..self.end();
        let node = Node::new(form, span.clone());
        match node.depth > DEEPEST {
            true => Err(too_deep(span)),
            false => Ok(node),
        }
    }

    /// Reads what binds at least as tightly as `least`.
    pub(super) fn expression(&mut self, least: u8) -> Result<Node, ExpressionError> {
        if self.nested >= DEEPEST {
            return Err(too_deep(self.span()));
        }
        self.nested += 1;
        let read = self.operand_and_operators(least);
        self.nested -= 1;
        read
    }

    fn operand_and_operators(&mut self, least: u8) -> Result<Node, ExpressionError> {
        let start = self.span().start;
        let mut left = self.prefix()?;
        let mut last = None;
        while let Some(operator) = self.infix() {
            let binding = operator.binding();
            if binding < least {
                break;
            }
            if last == Some(binding) && !operator.chains() {
                return Err(ExpressionError::new(
                    self.span(),
                    "comparisons cannot be chained",
                    "compare two values at a time and connect with AND, or use brackets",
                ));
            }
            last = Some(binding);
            left = self.infix_node(operator, left, start)?;
        }
        Ok(left)
    }

    /// Expressions with commas between them, up to the closing bracket, which is read too.
    pub(super) fn list(&mut self) -> Result<Vec<Node>, ExpressionError> {
        let mut list = Vec::new();
        if self.accept_sign(")") {
            return Ok(list);
        }
        loop {
            list.push(self.expression(0)?);
            if !self.accept_sign(",") {
                break;
            }
        }
        self.expect_sign(")")?;
        Ok(list)
    }
}

fn too_deep(span: Range<usize>) -> ExpressionError {
    ExpressionError::new(
        span,
        "the expression is nested too deep",
        format!("nest at most {DEEPEST} parts"),
    )
}
