//! An expression that was checked against the columns it reads.

use crossfade_model::{Cell, LogicalType, Row};

use crate::comparisons::{self, Comparisons};
use crate::evaluate::{self, EvaluationError};
use crate::function::Function;
use crate::inverse::{self, Inverse};
use crate::like::Pattern;
use crate::syntax::{Operator, Type};
use crate::value::{Kind, Val};

/// The form of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellForm {
    /// As typed values in text form (`t`/`f`, `\x…`, ISO dates, plain decimals).
    Text,
    /// As a store with dynamic types has them: integers, doubles, bytes, and texts for the rest.
    Dynamic,
}

/// Whether a filter lets a row through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// It is true.
    Holds,
    /// It is false, or neither (NULL).
    Fails,
    /// It depends on columns that are not in the image.
    Unknown,
}

/// A part of a checked expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Op {
    Column(usize, Kind),
    Constant(Val<'static>),
    Negate(Box<Op>),
    Not(Box<Op>),
    And(Box<Op>, Box<Op>),
    Or(Box<Op>, Box<Op>),
    /// Of integers, decimals or doubles.
    Arithmetic(Operator, Box<Op>, Box<Op>),
    Concatenate(Box<Op>, Box<Op>),
    Compare(Operator, Box<Op>, Box<Op>),
    IsNull(Box<Op>),
    Is(Box<Op>, bool),
    Distinct(Box<Op>, Box<Op>),
    In(Box<Op>, Vec<Op>),
    Like(Box<Op>, Pattern),
    Case(Vec<(Op, Op)>, Box<Op>),
    Cast(Box<Op>, Kind, Type),
    /// `round(a / b, n)`.
    RoundedQuotient(Box<Op>, Box<Op>, i64),
    Call(Function, Vec<Op>),
}

/// An expression over columns that it was checked against.
#[derive(Debug, Clone)]
pub struct Bound {
    pub(crate) op: Op,
    pub(crate) logical: LogicalType,
    pub(crate) nullable: bool,
    pub(crate) reads: Vec<usize>,
}

impl Bound {
    /// What its results mean.
    pub fn logical(&self) -> LogicalType {
        self.logical
    }

    /// Whether a result may be NULL.
    pub fn nullable(&self) -> bool {
        self.nullable
    }

    /// The inputs that it reads, ascending.
    pub fn reads(&self) -> &[usize] {
        &self.reads
    }

    /// The input that is its result, as it is.
    pub fn as_column(&self) -> Option<usize> {
        match self.op {
            Op::Column(at, _) => Some(at),
            _ => None,
        }
    }

    /// Its result where it reads no input.
    pub fn as_constant(&self, form: CellForm) -> Option<Cell> {
        match self.reads.is_empty() {
            true => self.evaluate(&Row::default(), form).ok(),
            false => None,
        }
    }

    /// The result for a row of the inputs. [`Cell::Unchanged`] where it depends on an input that is not in the image.
    ///
    /// # Errors
    /// Values that have no result.
    pub fn evaluate(&self, row: &Row, form: CellForm) -> Result<Cell, EvaluationError> {
        if let Op::Column(at, _) = self.op {
            return Ok(row.0.get(at).cloned().unwrap_or(Cell::Null));
        }
        evaluate::value(&self.op, row)?.cell(form)
    }

    /// Whether a condition is true of a row.
    ///
    /// # Errors
    /// Values that have no result.
    pub fn holds(&self, row: &Row) -> Result<Truth, EvaluationError> {
        Ok(match evaluate::value(&self.op, row)? {
            Val::Boolean(true) => Truth::Holds,
            Val::Unchanged => Truth::Unknown,
            _ => Truth::Fails,
        })
    }

    /// What gives the only input back from the result, as an expression over a column called `column`.
    pub fn inverse(&self, column: &str) -> Option<Inverse> {
        match self.reads.len() {
            1 => inverse::inverse(&self.op, column),
            _ => None,
        }
    }

    /// The condition as comparisons of columns with literals, where it is made of nothing else.
    pub fn comparisons(&self) -> Option<Comparisons> {
        comparisons::of(&self.op)
    }
}
