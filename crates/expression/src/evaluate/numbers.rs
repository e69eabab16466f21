//! Arithmetic: exact, or an error.

use super::Result;
use crate::EvaluationError;
use crate::datum::Datum;
use crate::decimal::{Decimal, Number, Rounding};
use crate::syntax::Arithmetic;

/// Two numbers of one type.
pub(super) fn arithmetic<'a>(
    operator: Arithmetic,
    left: Datum<'a>,
    right: Datum<'a>,
) -> Result<Datum<'a>> {
    Ok(match (left, right) {
        (Datum::Null, _) | (_, Datum::Null) => Datum::Null,
        (Datum::Integer(a), Datum::Integer(b)) => Datum::Integer(integers(operator, a, b)?),
        (Datum::Decimal(a), Datum::Decimal(b)) => {
            let number = decimals(operator, a.number()?, b.number()?)?;
            Datum::Decimal(Decimal::Number(number))
        }
        (Datum::Double(a), Datum::Double(b)) => Datum::Double(doubles(operator, a, b)?),
        _ => return Err(EvaluationError::NotOfType.into()),
    })
}

fn integers(operator: Arithmetic, a: i128, b: i128) -> std::result::Result<i128, EvaluationError> {
    if b == 0 && matches!(operator, Arithmetic::Divide | Arithmetic::Remainder) {
        return Err(EvaluationError::Division);
    }
    match operator {
        Arithmetic::Add => a.checked_add(b),
        Arithmetic::Subtract => a.checked_sub(b),
        Arithmetic::Multiply => a.checked_mul(b),
        Arithmetic::Divide => a.checked_div(b),
        Arithmetic::Remainder => a.checked_rem(b),
    }
    .map_or(Err(EvaluationError::Overflow), fitting)
}

/// Every integer fits 64 bits, also in between: what was computed forwards can then be computed backwards.
pub(super) fn fitting(integer: i128) -> std::result::Result<i128, EvaluationError> {
    match i64::try_from(integer) {
        Ok(_) => Ok(integer),
        Err(_) => Err(EvaluationError::Overflow),
    }
}

fn decimals(
    operator: Arithmetic,
    a: &Number,
    b: &Number,
) -> std::result::Result<Number, EvaluationError> {
    match operator {
        Arithmetic::Add => a.add(b),
        Arithmetic::Subtract => a.add(&b.negated()),
        Arithmetic::Multiply => a.multiply(b),
        Arithmetic::Divide => a.divide(b),
        Arithmetic::Remainder => a.remainder(b),
    }
}

/// IEEE 754; a division by zero, and an infinity that comes of finite doubles, are errors as in PostgreSQL.
fn doubles(operator: Arithmetic, a: f64, b: f64) -> std::result::Result<f64, EvaluationError> {
    if b == 0.0 && matches!(operator, Arithmetic::Divide | Arithmetic::Remainder) {
        return Err(EvaluationError::Division);
    }
    let result = match operator {
        Arithmetic::Add => a + b,
        Arithmetic::Subtract => a - b,
        Arithmetic::Multiply => a * b,
        Arithmetic::Divide => a / b,
        Arithmetic::Remainder => a % b,
    };
    match result.is_infinite() && a.is_finite() && b.is_finite() {
        true => Err(EvaluationError::Overflow),
        false => Ok(result),
    }
}

/// The number with the other sign.
pub(super) fn negate(operand: Datum<'_>) -> Result<Datum<'_>> {
    Ok(match operand {
        Datum::Null => Datum::Null,
        Datum::Integer(value) => Datum::Integer(fitting(-value)?),
        Datum::Decimal(value) => Datum::Decimal(Decimal::Number(value.number()?.negated())),
        Datum::Double(value) => Datum::Double(-value),
        _ => return Err(EvaluationError::NotOfType.into()),
    })
}

/// A decimal with some places.
pub(super) fn round<'a>(
    operand: Datum<'a>,
    places: Datum<'a>,
    rounding: Rounding,
) -> Result<Datum<'a>> {
    Ok(match (operand, places) {
        (Datum::Null, _) | (_, Datum::Null) => Datum::Null,
        // NaN and infinities have no places
        (Datum::Decimal(value @ (Decimal::NotANumber | Decimal::Infinite { .. })), _) => {
            Datum::Decimal(value)
        }
        (Datum::Decimal(value), Datum::Integer(places)) => {
            let number = value.number()?.rounded(places, rounding)?;
            Datum::Decimal(Decimal::Number(number))
        }
        _ => return Err(EvaluationError::NotOfType.into()),
    })
}

/// A quotient of decimals with some places.
pub(super) fn ratio<'a>(
    sides: [Datum<'a>; 2],
    places: Datum<'a>,
    rounding: Rounding,
) -> Result<Datum<'a>> {
    let [above, below] = sides;
    Ok(match (above, below, places) {
        (Datum::Null, _, _) | (_, Datum::Null, _) | (_, _, Datum::Null) => Datum::Null,
        (Datum::Decimal(a), Datum::Decimal(b), Datum::Integer(places)) => {
            let number = a.number()?.divide_rounded(b.number()?, places, rounding)?;
            Datum::Decimal(Decimal::Number(number))
        }
        _ => return Err(EvaluationError::NotOfType.into()),
    })
}
