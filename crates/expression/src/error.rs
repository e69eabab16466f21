//! What is wrong with an expression, and what can go wrong with a row.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// An expression that has no meaning, found when it is read or bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionError {
    /// The place in the expression's text, in bytes, on characters' borders.
    pub span: Range<usize>,
    /// What is wrong.
    pub what: String,
    /// What can be done about it.
    pub fix: String,
}

impl ExpressionError {
    pub(crate) fn new(span: Range<usize>, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            span,
            what: what.into(),
            fix: fix.into(),
        }
    }
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = &self.span;
        write!(f, "at {start}..{end}: {}; {}", self.what, self.fix)
    }
}

impl std::error::Error for ExpressionError {}

/// A row for which an expression has no result. It says what went wrong and never with which value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// A number does not fit its type, or a date is beyond what can be written.
    #[error("a result does not fit its type")]
    Overflow,
    /// A division by zero.
    #[error("a division by zero")]
    Division,
    /// A value is none of the type that it is read as or cast to.
    #[error("a value is not of the type that is asked of it")]
    NotOfType,
    /// A result would have to be rounded where nobody asked for it.
    #[error("a result is not exact; round(…) says how it is to be rounded")]
    NotExact,
    /// A text is longer than the type it is cast to.
    #[error("a text is longer than its type; left(…) says how it is to be cut")]
    TooLong,
    /// A result is beyond what one value may take in memory.
    #[error("a result is too large")]
    TooLarge,
    /// Arithmetic on NaN or on an infinity.
    #[error("a value is not finite")]
    NotFinite,
    /// An argument has no meaning for its function, such as a negative length.
    #[error("an argument is out of its range")]
    Argument,
    /// `fail('…')` was reached.
    #[error("{0}")]
    Refused(Arc<str>),
    /// The row has fewer cells than the expression was bound to.
    #[error("the row lacks a column that the expression reads")]
    NoInput,
}

impl EvaluationError {
    /// A name for it that does not change.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Overflow => "overflow",
            Self::Division => "division",
            Self::NotOfType => "not_of_type",
            Self::NotExact => "not_exact",
            Self::TooLong => "too_long",
            Self::TooLarge => "too_large",
            Self::NotFinite => "not_finite",
            Self::Argument => "argument",
            Self::Refused(_) => "refused",
            Self::NoInput => "no_input",
        }
    }
}
