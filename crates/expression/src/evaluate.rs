//! Evaluation: three-valued logic, exact numbers, and a fourth state for what is not in the image.

use std::borrow::Cow;
use std::cmp::Ordering;

use bigdecimal::{BigDecimal, Zero as _};
use crossfade_model::{Cell, Row};

use crate::cast;
use crate::compiled::Op;
use crate::decimals;
use crate::functions;
use crate::syntax::Operator;
use crate::value::{Kind, Val};

/// Bytes of a text that an expression makes, at most.
pub(crate) const MOST_TEXT: usize = 64 << 20;

/// Why values have no result. Never carries one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// A value that is not of its column's type.
    #[error("a value is not of its column's type")]
    NotOfType,
    /// A text that is not UTF-8.
    #[error("a text is not valid UTF-8")]
    NotUtf8,
    /// NaN or an infinity where only numbers and moments have results.
    #[error("a value is not finite")]
    NotFinite,
    /// The result does not fit its type.
    #[error("the result does not fit its type")]
    Overflow,
    /// A division by zero.
    #[error("a division by zero")]
    DivisionByZero,
    /// A quotient that no decimal is.
    #[error("the quotient is no finite decimal; write round(a / b, places)")]
    NotExact,
    /// A text that cannot be read as the type that it is cast to.
    #[error("a text cannot be read as the type that it is cast to")]
    NotCast,
    /// A CASE without a branch for the value, where it must have one.
    #[error("no branch is for this value")]
    NoBranch,
}

type Evaluated<'a> = Result<Val<'a>, EvaluationError>;

/// The value of a part for a row.
pub(crate) fn value<'a>(op: &'a Op, row: &'a Row) -> Evaluated<'a> {
    match op {
        Op::Column(at, kind) => Val::read(row.0.get(*at).unwrap_or(&Cell::Null), *kind),
        Op::Constant(constant) => Ok(borrowed(constant)),
        Op::Negate(inner) => strict(value(inner, row)?, negate),
        Op::Not(inner) => strict(value(inner, row)?, |v| Ok(Val::Boolean(!truth(&v)?))),
        Op::And(a, b) => both(a, b, row, false),
        Op::Or(a, b) => both(a, b, row, true),
        Op::Arithmetic(operator, a, b) => strict2(value(a, row)?, value(b, row)?, |a, b| {
            arithmetic(*operator, a, b)
        }),
        Op::Concatenate(a, b) => strict2(value(a, row)?, value(b, row)?, |a, b| {
            let (a, b) = (functions::text(&a)?, functions::text(&b)?);
            match a.len() + b.len() > MOST_TEXT {
                true => Err(EvaluationError::Overflow),
                false => Ok(Val::Text(Cow::Owned(format!("{a}{b}")))),
            }
        }),
        Op::Compare(operator, a, b) => strict2(value(a, row)?, value(b, row)?, |a, b| {
            Ok(Val::Boolean(holds(*operator, compare(&a, &b)?)))
        }),
        Op::IsNull(inner) => Ok(match value(inner, row)? {
            Val::Unchanged => Val::Unchanged,
            other => Val::Boolean(other == Val::Null),
        }),
        Op::Is(inner, wanted) => Ok(match value(inner, row)? {
            Val::Unchanged => Val::Unchanged,
            other => Val::Boolean(other == Val::Boolean(*wanted)),
        }),
        Op::Distinct(a, b) => distinct(value(a, row)?, value(b, row)?),
        Op::In(inner, list) => within(value(inner, row)?, list, row),
        Op::Like(inner, pattern) => strict(value(inner, row)?, |text| {
            Ok(Val::Boolean(pattern.matches(&functions::text(&text)?)))
        }),
        Op::Case(arms, otherwise) => {
            for (when, then) in arms {
                match value(when, row)? {
                    Val::Boolean(true) => return value(then, row),
                    Val::Unchanged => return Ok(Val::Unchanged),
                    _ => {}
                }
            }
            value(otherwise, row)
        }
        Op::Cast(inner, _, kind) => strict(value(inner, row)?, |v| cast::cast(v, *kind)),
        Op::RoundedQuotient(a, b, places) => strict2(value(a, row)?, value(b, row)?, |a, b| {
            let quotient = decimals::divide_rounded(&decimal(&a)?, &decimal(&b)?, *places)?;
            Ok(Val::Decimal(quotient))
        }),
        Op::Call(function, arguments) => {
            let values: Vec<Val<'a>> = arguments
                .iter()
                .map(|argument| value(argument, row))
                .collect::<Result<_, _>>()?;
            functions::call(*function, values)
        }
    }
}

fn borrowed<'a>(constant: &'a Val<'static>) -> Val<'a> {
    match constant {
        Val::Text(text) => Val::Text(Cow::Borrowed(text)),
        Val::Other(text) => Val::Other(Cow::Borrowed(text)),
        Val::Bytes(bytes) => Val::Bytes(Cow::Borrowed(bytes)),
        other => other.clone(),
    }
}

/// NULL of NULL, unknown of what is not in the image.
pub(crate) fn strict<'a>(
    operand: Val<'a>,
    result: impl FnOnce(Val<'a>) -> Evaluated<'a>,
) -> Evaluated<'a> {
    match operand {
        Val::Null => Ok(Val::Null),
        Val::Unchanged => Ok(Val::Unchanged),
        operand => result(operand),
    }
}

/// As [`strict`], of two: NULL beside anything is NULL.
pub(crate) fn strict2<'a>(
    a: Val<'a>,
    b: Val<'a>,
    result: impl FnOnce(Val<'a>, Val<'a>) -> Evaluated<'a>,
) -> Evaluated<'a> {
    match (a, b) {
        (Val::Null, _) | (_, Val::Null) => Ok(Val::Null),
        (Val::Unchanged, _) | (_, Val::Unchanged) => Ok(Val::Unchanged),
        (a, b) => result(a, b),
    }
}

fn truth(value: &Val<'_>) -> Result<bool, EvaluationError> {
    match value {
        Val::Boolean(b) => Ok(*b),
        _ => Err(EvaluationError::NotOfType),
    }
}

/// AND and OR: `decisive` decides whatever the other is.
fn both<'a>(a: &'a Op, b: &'a Op, row: &'a Row, decisive: bool) -> Evaluated<'a> {
    let a = value(a, row)?;
    if a == Val::Boolean(decisive) {
        return Ok(a);
    }
    let b = value(b, row)?;
    Ok(match (a, b) {
        (_, b) if b == Val::Boolean(decisive) => b,
        (Val::Unchanged, _) | (_, Val::Unchanged) => Val::Unchanged,
        (Val::Null, _) | (_, Val::Null) => Val::Null,
        (_, b) => b,
    })
}

fn negate(value: Val<'_>) -> Evaluated<'_> {
    Ok(match value {
        Val::Integer(i) => Val::Integer(i.checked_neg().ok_or(EvaluationError::Overflow)?),
        Val::Decimal(d) => Val::Decimal(-d),
        Val::Double(d) => Val::Double(-d),
        _ => return Err(EvaluationError::NotOfType),
    })
}

/// An integer or decimal as a decimal.
pub(crate) fn decimal(value: &Val<'_>) -> Result<BigDecimal, EvaluationError> {
    match value {
        Val::Integer(i) => Ok(BigDecimal::from(*i)),
        Val::Decimal(d) => Ok(d.clone()),
        _ => Err(EvaluationError::NotOfType),
    }
}

fn arithmetic<'a>(operator: Operator, a: Val<'a>, b: Val<'a>) -> Evaluated<'a> {
    match (&a, &b) {
        (Val::Integer(a), Val::Integer(b)) if operator != Operator::Divide => {
            integers(operator, *a, *b).map(Val::Integer)
        }
        (Val::Double(a), Val::Double(b)) => Ok(Val::Double(match operator {
            Operator::Add => a + b,
            Operator::Subtract => a - b,
            Operator::Multiply => a * b,
            Operator::Divide => a / b,
            _ => a % b,
        })),
        _ => {
            let (a, b) = (decimal(&a)?, decimal(&b)?);
            let result = match operator {
                Operator::Add => a + b,
                Operator::Subtract => a - b,
                Operator::Multiply => a * b,
                Operator::Divide => decimals::divide(&a, &b)?,
                _ if b.is_zero() => return Err(EvaluationError::DivisionByZero),
                _ => a % b,
            };
            Ok(Val::Decimal(decimals::bounded(result)?))
        }
    }
}

fn integers(operator: Operator, a: i64, b: i64) -> Result<i64, EvaluationError> {
    let result = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        _ if b == 0 => return Err(EvaluationError::DivisionByZero),
        // of the least number by -1 it is 0, too
        _ => Some(a.checked_rem(b).unwrap_or(0)),
    };
    result.ok_or(EvaluationError::Overflow)
}

fn holds(operator: Operator, order: Ordering) -> bool {
    match operator {
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::LessEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        _ => order.is_ge(),
    }
}

/// The order of two values of one kind; texts by their bytes.
pub(crate) fn compare(a: &Val<'_>, b: &Val<'_>) -> Result<Ordering, EvaluationError> {
    Ok(match (a, b) {
        (Val::Integer(a), Val::Integer(b)) => a.cmp(b),
        (Val::Boolean(a), Val::Boolean(b)) => a.cmp(b),
        (Val::Integer(_) | Val::Decimal(_), Val::Integer(_) | Val::Decimal(_)) => {
            decimal(a)?.cmp(&decimal(b)?)
        }
        // both zeros are one, and NaN is equal to itself and greater than all
        (Val::Double(a), Val::Double(b)) => match a.partial_cmp(b) {
            Some(order) => order,
            None => a.is_nan().cmp(&b.is_nan()),
        },
        (Val::Text(a) | Val::Other(a), Val::Text(b) | Val::Other(b)) => {
            a.as_bytes().cmp(b.as_bytes())
        }
        (Val::Bytes(a), Val::Bytes(b)) => a.cmp(b),
        (Val::Date(a), Val::Date(b))
        | (Val::Time(a), Val::Time(b))
        | (Val::Timestamp(a), Val::Timestamp(b))
        | (Val::Instant(a), Val::Instant(b)) => a.cmp(b),
        (Val::Uuid(a), Val::Uuid(b)) => a.cmp(b),
        _ => return Err(EvaluationError::NotOfType),
    })
}

fn distinct<'a>(a: Val<'a>, b: Val<'a>) -> Evaluated<'a> {
    Ok(match (&a, &b) {
        (Val::Unchanged, _) | (_, Val::Unchanged) => Val::Unchanged,
        (Val::Null, Val::Null) => Val::Boolean(false),
        (Val::Null, _) | (_, Val::Null) => Val::Boolean(true),
        _ => Val::Boolean(compare(&a, &b)?.is_ne()),
    })
}

fn within<'a>(wanted: Val<'a>, list: &'a [Op], row: &'a Row) -> Evaluated<'a> {
    if matches!(wanted, Val::Null | Val::Unchanged) {
        return Ok(wanted);
    }
    let (mut null, mut unknown) = (false, false);
    for item in list {
        match value(item, row)? {
            Val::Null => null = true,
            Val::Unchanged => unknown = true,
            other if compare(&wanted, &other)?.is_eq() => return Ok(Val::Boolean(true)),
            _ => {}
        }
    }
    Ok(match (unknown, null) {
        (true, _) => Val::Unchanged,
        (false, true) => Val::Null,
        _ => Val::Boolean(false),
    })
}

/// Kinds whose values can be compared with each other.
pub(crate) fn comparable(a: Kind, b: Kind) -> bool {
    let text = |kind| matches!(kind, Kind::Text | Kind::Other);
    a == b
        || a == Kind::Null
        || b == Kind::Null
        || (a.is_number() && b.is_number())
        || (text(a) && text(b))
}
