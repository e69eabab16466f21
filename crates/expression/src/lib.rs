//! The expressions of a migration file's mappings: SQL with exact decimals, evaluated by the program alone, so that one means the
//! same in backfill, stream and proof, whatever engine the rows come from. What each of them means is in `docs/expressions.md`.
//!
//! Parsed once ([`Expression`]), bound to a table's columns and checked ([`Bound`]), then evaluated row by row. Pure: no clock, no
//! chance, no locale.

mod bind;
mod calendar;
mod cast;
mod comparisons;
mod compiled;
mod decimals;
mod evaluate;
mod function;
mod functions;
mod inverse;
mod like;
mod lower;
mod syntax;
mod value;

pub use bind::Input;
pub use comparisons::{Comparison, Comparisons, Literal};
pub use compiled::{Bound, CellForm, Truth};
pub use evaluate::EvaluationError;
pub use inverse::Inverse;
pub use syntax::{Expression, ExpressionError};

#[cfg(test)]
mod tests;
