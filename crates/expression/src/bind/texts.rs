//! Texts: joining and matching them.

use super::unify::coerce;
use super::{Binder, Result, mistyped};
use crate::ExpressionError;
use crate::datum::Datum;
use crate::kind::Kind;
use crate::like::Pattern;
use crate::syntax::Node;
use crate::term::{Operation, Term};

impl Binder<'_> {
    /// Binds what must be a text.
    pub(super) fn text(&mut self, node: &Node) -> Result<Term> {
        let term = self.bind(node)?;
        as_text(node, term)
    }

    fn each(&mut self, nodes: &[Node]) -> Result<Vec<Term>> {
        nodes.iter().map(|node| self.bind(node)).collect()
    }

    /// Binds what is joined to texts.
    pub(super) fn joined(&mut self, nodes: &[Node]) -> Result<Vec<Term>> {
        let terms = self.each(nodes)?;
        nodes
            .iter()
            .zip(terms)
            .map(|(node, term)| as_joined(node, term))
            .collect()
    }

    pub(super) fn concat(&mut self, nodes: &[Node]) -> Result<Term> {
        let terms = self.each(nodes)?;
        let (kind, convert): (_, fn(&Node, Term) -> Result<Term>) =
            match terms.iter().any(|term| term.kind == Kind::Bytes) {
                true => (Kind::Bytes, as_bytes),
                false => (Kind::Text, as_joined),
            };
        let terms: Vec<_> = nodes
            .iter()
            .zip(terms)
            .map(|(node, term)| convert(node, term))
            .collect::<Result<_>>()?;
        let nullable = terms.iter().any(|term| term.nullable);
        Ok(Term::new(Operation::Concat(terms), kind, nullable))
    }

    pub(super) fn like(
        &mut self,
        node: &Node,
        pattern_node: &Node,
        escape: Option<&Node>,
        negated: bool,
    ) -> Result<Term> {
        let text = Box::new(self.text(node)?);
        let pattern = self.text(pattern_node)?;
        let escape = match escape {
            None => Some('\\'),
            Some(node) => self.escape(node)?,
        };
        let nullable = text.nullable || pattern.nullable;
        let operation = match pattern.as_constant() {
            Some(Datum::Text(bytes)) => {
                let fixed = std::str::from_utf8(bytes).unwrap_or_default();
                let fixed = Pattern::new(fixed, escape).map_err(|_| {
                    ExpressionError::new(
                        pattern_node.span.clone(),
                        "the pattern ends with its escape character",
                        "double the character, or name another one with ESCAPE",
                    )
                })?;
                Operation::Like(text, fixed)
            }
            _ => Operation::LikeAny(text, Box::new(pattern), escape),
        };
        let matched = Term::new(operation, Kind::Boolean, nullable);
        Ok(match negated {
            true => Term::new(Operation::Not(Box::new(matched)), Kind::Boolean, nullable),
            false => matched,
        })
    }

    /// One character, or none where nothing is to be escaped.
    fn escape(&mut self, node: &Node) -> Result<Option<char>> {
        let term = self.text(node)?;
        let one = match term.as_constant() {
            Some(Datum::Text(bytes)) => std::str::from_utf8(bytes).ok(),
            _ => None,
        };
        let mut characters = one.map(str::chars);
        let first = characters.as_mut().and_then(Iterator::next);
        let rest = characters.as_ref().map(std::str::Chars::as_str);
        match rest {
            Some("") => Ok(first),
            _ => Err(ExpressionError::new(
                node.span.clone(),
                "this is not one character",
                "write ESCAPE with one character, or with an empty string for none",
            )),
        }
    }
}

/// A part that must be a text.
pub(super) fn as_text(node: &Node, term: Term) -> Result<Term> {
    match term.kind {
        Kind::Text => Ok(term),
        Kind::Null => Ok(term.of(Kind::Text)),
        kind => Err(mistyped(node, kind, "a text", "cast it to text")),
    }
}

/// A part that must be bytes.
pub(super) fn as_bytes(node: &Node, term: Term) -> Result<Term> {
    match term.kind {
        Kind::Bytes => Ok(term),
        Kind::Null => Ok(term.of(Kind::Bytes)),
        kind => Err(mistyped(node, kind, "bytes", "cast it to bytes")),
    }
}

/// A part that is joined to texts: integers and UUIDs have one text form in every engine.
fn as_joined(node: &Node, term: Term) -> Result<Term> {
    match term.kind {
        Kind::Text | Kind::Integer { .. } | Kind::Uuid | Kind::Null => {
            coerce(node, term, Kind::Text)
        }
        kind => {
            let fix = "cast it to text: docs/expressions.md says how it is written then";
            Err(mistyped(node, kind, "a text", fix))
        }
    }
}
