//! The value of a term for a row.

mod calls;
mod casts;
mod compare;
mod dates;
mod logic;
mod numbers;
mod texts;

use crossfade_model::{Cell, Row};

use crate::EvaluationError;
use crate::datum::Datum;
use crate::read::read;
use crate::term::{Operation, Term};

pub(crate) use casts::cast;
pub(crate) use compare::compare;
pub(crate) use logic::truth;

/// Bytes of one result, at most.
const LARGEST: usize = 64 << 20;

/// Why there is no value.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The row's image lacks a column that decides.
    Unchanged,
    Error(EvaluationError),
}

impl From<EvaluationError> for Stop {
    fn from(error: EvaluationError) -> Self {
        Self::Error(error)
    }
}

/// What evaluation returns.
type Result<T> = std::result::Result<T, Stop>;

/// The value of a term.
///
/// # Errors
/// There is none, or it depends on a column that the row lacks.
pub(crate) fn value<'a>(term: &'a Term, row: &'a Row) -> Result<Datum<'a>> {
    match &term.operation {
        Operation::Column(index, kind) => read(input(row, *index)?, *kind),
        Operation::Constant(datum) => Ok(datum.borrowed()),
        Operation::Cast(operand, target) => cast(value(operand, row)?, *target),
        Operation::Arithmetic(operator, left, right) => {
            numbers::arithmetic(*operator, value(left, row)?, value(right, row)?)
        }
        Operation::Negate(operand) => numbers::negate(value(operand, row)?),
        Operation::Round {
            value: operand,
            places,
            rounding,
        } => numbers::round(value(operand, row)?, value(places, row)?, *rounding),
        Operation::Ratio {
            above,
            below,
            places,
            rounding,
        } => {
            let sides = [value(above, row)?, value(below, row)?];
            numbers::ratio(sides, value(places, row)?, *rounding)
        }
        Operation::Choose(arms, otherwise) => logic::choose(arms, otherwise.as_deref(), row),
        Operation::Switch(operand, arms, otherwise) => {
            logic::switch(operand, arms, otherwise.as_deref(), row)
        }
        Operation::Coalesce(parts) => logic::coalesce(parts, row),
        Operation::NullIf(left, right) => logic::null_if(left, right, row),
        Operation::Extreme(parts, greatest) => logic::extreme(parts, *greatest, row),
        Operation::Concat(parts) => texts::concat(parts, row),
        Operation::Join(parts) => texts::join(parts, row),
        Operation::Shift { date, days, back } => {
            dates::shift(value(date, row)?, value(days, row)?, *back)
        }
        Operation::Days(left, right) => dates::days(value(left, row)?, value(right, row)?),
        Operation::Extract(field, operand) => dates::extract(*field, value(operand, row)?),
        Operation::DateTruncate(field, operand) => dates::truncate(*field, value(operand, row)?),
        Operation::Fail(text) => Err(EvaluationError::Refused(text.clone()).into()),
        Operation::Call(function, arguments) => calls::call(*function, arguments, row),
        Operation::And(_)
        | Operation::Or(_)
        | Operation::Not(_)
        | Operation::Compare(..)
        | Operation::IsNull(_)
        | Operation::Is(..)
        | Operation::Distinct(..)
        | Operation::Between(..)
        | Operation::In(..)
        | Operation::Among(..)
        | Operation::Like(..)
        | Operation::LikeAny(..) => Ok(truth(term, row)?.map_or(Datum::Null, Datum::Boolean)),
    }
}

fn input(row: &Row, index: usize) -> Result<&Cell> {
    row.0.get(index).ok_or(EvaluationError::NoInput.into())
}
