//! The order of two values of one type.

use std::cmp::Ordering;

use crate::datum::Datum;
use crate::decimal::Number;
use crate::{Comparison, EvaluationError};

impl Comparison {
    /// Whether it holds of two values in this order.
    pub(crate) fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }

    /// The comparison with its sides exchanged.
    pub(crate) fn turned(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            same => same,
        }
    }
}

/// The order of two values that are not NULL.
///
/// # Errors
/// They are of different types.
pub(crate) fn compare(a: &Datum<'_>, b: &Datum<'_>) -> Result<Ordering, EvaluationError> {
    Ok(match (a, b) {
        (Datum::Integer(a), Datum::Integer(b)) => a.cmp(b),
        // bytes: the same order in every engine
        (Datum::Text(a), Datum::Text(b)) | (Datum::Bytes(a), Datum::Bytes(b)) => a.cmp(b),
        (Datum::Decimal(a), Datum::Decimal(b)) => a.compare(b),
        (Datum::Integer(a), Datum::Decimal(b)) => integer_with(*a, b),
        (Datum::Decimal(a), Datum::Integer(b)) => integer_with(*b, a).reverse(),
        (Datum::Boolean(a), Datum::Boolean(b)) => a.cmp(b),
        (Datum::Double(a), Datum::Double(b)) => doubles(*a, *b),
        (Datum::Date(a), Datum::Date(b))
        | (Datum::Time(a), Datum::Time(b))
        | (Datum::Timestamp(a), Datum::Timestamp(b))
        | (Datum::Instant(a), Datum::Instant(b)) => a.cmp(b),
        (Datum::Uuid(a), Datum::Uuid(b)) => a.cmp(b),
        _ => return Err(EvaluationError::NotOfType),
    })
}

fn integer_with(integer: i128, decimal: &crate::decimal::Decimal) -> Ordering {
    crate::decimal::Decimal::Number(Number::from(integer)).compare(decimal)
}

/// Both zeros are one; NaN is equal to itself and greater than everything, as in PostgreSQL.
fn doubles(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b)
        .unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}
