//! An expression bound to a table's columns.

use std::sync::Arc;

use crossfade_model::{Cell, Column, LogicalType, Row};

use crate::bind::Binder;
use crate::comparisons::comparisons;
use crate::evaluate::{Stop, truth, value};
use crate::inverse::inverse;
use crate::syntax::Node;
use crate::term::{Operation, Term};
use crate::write::cell;
use crate::{Comparisons, EvaluationError, ExpressionError, Inverse};

/// A column that an expression may read, in the order of the rows' cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its name, unquoted.
    pub name: String,
    /// What its values mean.
    pub logical: LogicalType,
    /// NULL is allowed.
    pub nullable: bool,
}

impl From<&Column> for Input {
    fn from(column: &Column) -> Input {
        Input {
            name: column.name.clone(),
            logical: column.logical,
            nullable: column.nullable,
        }
    }
}

/// The form of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellForm {
    /// [`Cell::TextForm`] in the forms that [`crossfade_model::text_form`] reads.
    Text,
    /// The cells of a store with dynamic types: decimals, dates and UUIDs as text, booleans as 0 and 1.
    Dynamic,
}

/// What a filter says of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// True.
    Holds,
    /// False or NULL.
    Fails,
    /// It depends on a column that the row's image lacks.
    Unknown,
}

/// An expression whose names and types are settled.
#[derive(Debug, Clone)]
pub struct Bound {
    text: Arc<str>,
    root: Arc<Node>,
    term: Arc<Term>,
    logical: LogicalType,
    reads: Vec<usize>,
    /// The inputs that it reads, for what is derived from it.
    inputs: Arc<[Input]>,
}

impl Bound {
    pub(crate) fn new(
        text: Arc<str>,
        root: Arc<Node>,
        columns: &[Input],
    ) -> Result<Self, ExpressionError> {
        let mut binder = Binder::new(columns);
        let term = binder.bind(&root)?;
        let reads: Vec<_> = binder.reads.into_iter().collect();
        // what a column's type says beyond how its values are read stays only where they stay as they are
        let logical = match &term.operation {
            Operation::Column(index, _) => columns[*index].logical,
            _ => term.kind.logical(),
        };
        let inputs = reads.iter().map(|index| columns[*index].clone()).collect();
        Ok(Self {
            text,
            root,
            term: Arc::new(term),
            logical,
            reads,
            inputs,
        })
    }

    /// The type of its results.
    pub fn logical(&self) -> LogicalType {
        self.logical
    }

    /// A result may be NULL.
    pub fn nullable(&self) -> bool {
        self.term.nullable
    }

    /// Indexes of the inputs that it reads, ascending.
    pub fn reads(&self) -> &[usize] {
        &self.reads
    }

    /// The input that is the result as it is.
    pub fn as_column(&self) -> Option<usize> {
        match self.term.operation {
            Operation::Column(index, _) => Some(index),
            _ => None,
        }
    }

    /// The result, where it is the same for every row.
    pub fn as_constant(&self, form: CellForm) -> Option<Cell> {
        let datum = self.term.as_constant()?;
        cell(datum.borrowed(), form).ok()
    }

    /// The result for a row; [`Cell::Unchanged`] where it depends on a column that the image lacks.
    ///
    /// # Errors
    /// The row has no result.
    pub fn evaluate(&self, row: &Row, form: CellForm) -> Result<Cell, EvaluationError> {
        if let Some(index) = self.as_column() {
            return row.0.get(index).cloned().ok_or(EvaluationError::NoInput);
        }
        match value(&self.term, row) {
            Ok(datum) => cell(datum, form),
            Err(Stop::Unchanged) => Ok(Cell::Unchanged),
            Err(Stop::Error(error)) => Err(error),
        }
    }

    /// Whether a row passes, for an expression that is a boolean.
    ///
    /// # Errors
    /// The row has no result, or it is no boolean.
    pub fn holds(&self, row: &Row) -> Result<Truth, EvaluationError> {
        match truth(&self.term, row) {
            Ok(Some(true)) => Ok(Truth::Holds),
            Ok(_) => Ok(Truth::Fails),
            Err(Stop::Unchanged) => Ok(Truth::Unknown),
            Err(Stop::Error(error)) => Err(error),
        }
    }

    /// What gives the only input back from a result that stands in a column called `column`; none where it reads several
    /// inputs, or where two inputs may give one result.
    pub fn inverse(&self, column: &str) -> Option<Inverse> {
        match &*self.inputs {
            [input] => inverse(&self.text, &self.root, input, column),
            _ => None,
        }
    }

    /// The filter as comparisons of columns with literals, if it is nothing else.
    pub fn comparisons(&self) -> Option<Comparisons> {
        let logical = |index: usize| {
            let at = self.reads.binary_search(&index).ok()?;
            self.inputs.get(at).map(|input| input.logical)
        };
        comparisons(&self.term, &logical)
    }
}
