//! The SQL expressions of a migration file's mappings: read, checked against a table's columns, evaluated for a row.
//!
//! The program alone evaluates them, so they mean the same in copy, stream and proof, whatever engine the rows come from.

mod bind;
mod bound;
mod calendar;
mod comparisons;
mod datum;
mod decimal;
mod error;
mod evaluate;
mod expression;
mod inverse;
mod kind;
mod like;
mod read;
mod syntax;
mod term;
mod write;

pub use bound::{Bound, CellForm, Input, Truth};
pub use comparisons::{Comparison, Comparisons, Literal};
pub use error::{EvaluationError, ExpressionError};
pub use expression::Expression;
pub use inverse::Inverse;
