//! From a tree to terms: names become inputs, types are checked, what is the same for every row is computed once.

mod calls;
mod casts;
mod operators;
mod parts;
mod texts;
mod unify;

use std::collections::BTreeSet;
use std::ops::Range;

use crossfade_model::Row;

use crate::datum::Datum;
use crate::evaluate::{Stop, value};
use crate::kind::Kind;
use crate::syntax::{Constant, Form, Node, listed, nearest};
use crate::term::{Operation, Term};
use crate::{ExpressionError, Input};

/// Bytes of a constant that is kept, at most.
const LONGEST_CONSTANT: usize = 1 << 20;

/// What binding returns.
type Result<T> = std::result::Result<T, ExpressionError>;

/// Binds parts to the columns of one table.
pub(crate) struct Binder<'a> {
    columns: &'a [Input],
    /// The inputs that were read.
    pub(crate) reads: BTreeSet<usize>,
}

impl<'a> Binder<'a> {
    pub(crate) fn new(columns: &'a [Input]) -> Self {
        Self {
            columns,
            reads: BTreeSet::new(),
        }
    }

    /// Binds a part.
    ///
    /// # Errors
    /// A column that is not there, an operand of the wrong type, a constant part that has no value.
    pub(crate) fn bind(&mut self, node: &Node) -> Result<Term> {
        let term = self.part(node)?;
        match is_foldable(node) && term.as_constant().is_none() {
            true => fold(&term, node),
            false => Ok(term),
        }
    }

    fn part(&mut self, node: &Node) -> Result<Term> {
        match &node.form {
            Form::Column(name) => self.column(name, node),
            Form::Literal(constant) => Ok(literal(constant)),
            Form::Negate(operand) => self.negate(operand),
            Form::Not(operand) => self.not(operand),
            Form::And(parts) => self.all(parts, Operation::And),
            Form::Or(parts) => self.all(parts, Operation::Or),
            Form::Concat(parts) => self.concat(parts),
            Form::Arithmetic(operator, left, right) => {
                self.arithmetic(*operator, left, right, node)
            }
            Form::Compare(operator, left, right) => self.compare(*operator, left, right, node),
            Form::Is {
                node,
                test,
                negated,
            } => self.is(node, *test, *negated),
            Form::Distinct {
                left,
                right,
                negated,
            } => self.distinct(left, right, *negated, node),
            Form::Between {
                node: operand,
                low,
                high,
                negated,
            } => self.between([operand, low, high], *negated, node),
            Form::In {
                node: operand,
                list,
                negated,
            } => self.within(operand, list, *negated, node),
            Form::Like {
                node,
                pattern,
                escape,
                negated,
            } => self.like(node, pattern, escape.as_deref(), *negated),
            Form::Case {
                operand,
                arms,
                otherwise,
            } => self.case(operand.as_deref(), arms, otherwise.as_deref(), node),
            Form::Cast(operand, target) => self.cast(operand, *target, node),
            Form::Call(function, arguments) => self.call(*function, arguments, node),
        }
    }

    fn column(&mut self, name: &str, node: &Node) -> Result<Term> {
        let index = find_column(self.columns, name, &node.span)?;
        self.reads.insert(index);
        let input = &self.columns[index];
        let kind = Kind::of(input.logical);
        Ok(Term::new(
            Operation::Column(index, kind),
            kind,
            input.nullable,
        ))
    }
}

/// The input that a name means: exactly so written, else the only one that differs in case alone.
pub(crate) fn find_column(columns: &[Input], name: &str, span: &Range<usize>) -> Result<usize> {
    if let Some(index) = columns.iter().position(|column| column.name == name) {
        return Ok(index);
    }
    let lower = name.to_lowercase();
    let mut alike = columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.name.to_lowercase() == lower);
    match (alike.next(), alike.next()) {
        (Some((index, _)), None) => Ok(index),
        (Some((_, one)), Some((_, other))) => Err(ExpressionError::new(
            span.clone(),
            format!("{name} may be {} or {}", one.name, other.name),
            "write the name exactly, in quotation marks",
        )),
        (None, _) => {
            let near = nearest(name, columns.iter().map(|column| column.name.as_str()));
            let fix = match near.as_slice() {
                [] => "name one of the table's columns".to_owned(),
                near => format!("did you mean {}?", listed(near)),
            };
            let what = format!("the table has no column {name}");
            Err(ExpressionError::new(span.clone(), what, fix))
        }
    }
}

fn literal(constant: &Constant) -> Term {
    let (datum, kind) = match constant {
        Constant::Null => (Datum::Null, Kind::Null),
        Constant::Boolean(value) => (Datum::Boolean(*value), Kind::Boolean),
        Constant::Integer(value) => (Datum::Integer(i128::from(*value)), Kind::INTEGER),
        Constant::Decimal(value) => (Datum::Decimal(value.clone()), Kind::Decimal),
        Constant::Text(text) => (Datum::Text(text.as_bytes().to_vec().into()), Kind::Text),
        Constant::Bytes(bytes) => (Datum::Bytes(bytes.clone().into()), Kind::Bytes),
        Constant::Date(days) => (Datum::Date(*days), Kind::Date),
        Constant::Time(micros) => (Datum::Time(*micros), Kind::Time),
        Constant::Timestamp(micros) => (Datum::Timestamp(*micros), Kind::Timestamp),
        Constant::Instant(micros) => (Datum::Instant(*micros), Kind::Instant),
    };
    Term::constant(datum, kind)
}

/// It reads nothing, and is not there to fail.
fn is_foldable(node: &Node) -> bool {
    node.is_constant() && !node.fails()
}

/// The value of what is the same for every row.
fn fold(term: &Term, node: &Node) -> Result<Term> {
    let row = Row::default();
    match value(term, &row) {
        // what is long is made anew for every row: many such constants would fill the memory
        Ok(datum) if datum.length() > LONGEST_CONSTANT => Ok(term.clone()),
        Ok(datum) => Ok(Term::constant(datum.owned(), term.kind)),
        Err(Stop::Error(error)) => Err(ExpressionError::new(
            node.span.clone(),
            format!("this has no value for any row: {error}"),
            "correct it, or leave it away",
        )),
        // nothing is read, so nothing is lacking
        Err(Stop::Unchanged) => Ok(term.clone()),
    }
}

/// A part is of a type that does not belong here.
fn mistyped(node: &Node, kind: Kind, wanted: &str, fix: impl Into<String>) -> ExpressionError {
    let what = format!("this is of the type {}, not {wanted}", kind.name());
    ExpressionError::new(node.span.clone(), what, fix)
}
