//! Three-valued logic, and a fourth case: what decides is not in the row's image.

use std::cmp::Ordering;

use crossfade_model::Row;

use super::compare::compare;
use super::texts::utf8;
use super::{Result, Stop, value};
use crate::EvaluationError;
use crate::datum::Datum;
use crate::like::Pattern;
use crate::term::{Operation, Term};

/// True, false, or none for NULL.
///
/// # Errors
/// There is no value, or the term is no boolean.
pub(crate) fn truth(term: &Term, row: &Row) -> Result<Option<bool>> {
    match &term.operation {
        Operation::Compare(operator, left, right) => {
            Ok(order(left, right, row)?.map(|order| operator.holds(order)))
        }
        Operation::And(parts) => joined(parts, row, false),
        Operation::Or(parts) => joined(parts, row, true),
        Operation::Not(part) => Ok(truth(part, row)?.map(|holds| !holds)),
        Operation::IsNull(part) => Ok(Some(value(part, row)?.is_null())),
        Operation::Is(part, wanted) => Ok(Some(truth(part, row)? == Some(*wanted))),
        Operation::Distinct(left, right) => distinct(left, right, row).map(Some),
        Operation::Between(part, low, high) => between(part, low, high, row),
        Operation::In(part, list) => within(part, list, row),
        Operation::Among(part, constants) => among(part, constants, row),
        Operation::Like(text, pattern) => match value(text, row)? {
            Datum::Text(text) => Ok(Some(pattern.matches(utf8(&text)?))),
            _ => Ok(None),
        },
        Operation::LikeAny(text, pattern, escape) => {
            match (value(text, row)?, value(pattern, row)?) {
                (Datum::Text(text), Datum::Text(pattern)) => {
                    let pattern = Pattern::new(utf8(&pattern)?, *escape)?;
                    Ok(Some(pattern.matches(utf8(&text)?)))
                }
                _ => Ok(None),
            }
        }
        _ => match value(term, row)? {
            Datum::Boolean(holds) => Ok(Some(holds)),
            Datum::Null => Ok(None),
            _ => Err(EvaluationError::NotOfType.into()),
        },
    }
}

/// The order of two parts; none where one is NULL.
fn order(left: &Term, right: &Term, row: &Row) -> Result<Option<Ordering>> {
    let left = match value(left, row) {
        // NULL beside it is NULL, whatever it is
        Err(Stop::Unchanged) => {
            return match value(right, row) {
                Ok(right) if right.is_null() => Ok(None),
                // an error too: where the left is NULL, the right is not asked
                _ => Err(Stop::Unchanged),
            };
        }
        left => left?,
    };
    if left.is_null() {
        return Ok(None);
    }
    let right = value(right, row)?;
    if right.is_null() {
        return Ok(None);
    }
    Ok(Some(compare(&left, &right)?))
}

/// AND, where `decides` is false, or OR. A part that decides does so whatever the others are; a part that the image lacks
/// leaves the rest to be asked.
fn joined(parts: &[Term], row: &Row, decides: bool) -> Result<Option<bool>> {
    let (mut null, mut lacking) = (false, false);
    for part in parts {
        match truth(part, row) {
            Ok(Some(holds)) if holds == decides => return Ok(Some(decides)),
            Ok(Some(_)) => {}
            Ok(None) => null = true,
            Err(Stop::Unchanged) => lacking = true,
            // what comes before it may have decided
            Err(Stop::Error(_)) if lacking => return Err(Stop::Unchanged),
            Err(error) => return Err(error),
        }
    }
    match (lacking, null) {
        (true, _) => Err(Stop::Unchanged),
        (false, true) => Ok(None),
        (false, false) => Ok(Some(!decides)),
    }
}

fn distinct(left: &Term, right: &Term, row: &Row) -> Result<bool> {
    let (left, right) = (value(left, row)?, value(right, row)?);
    match (left.is_null(), right.is_null()) {
        (false, false) => Ok(compare(&left, &right)?.is_ne()),
        (left, right) => Ok(left != right),
    }
}

fn between(part: &Term, low: &Term, high: &Term, row: &Row) -> Result<Option<bool>> {
    let part = value(part, row)?;
    let (low, high) = (value(low, row)?, value(high, row)?);
    let side = |bound: &Datum<'_>| match part.is_null() || bound.is_null() {
        true => Ok(None),
        false => compare(&part, bound).map(Some),
    };
    let above = side(&low)?.map(Ordering::is_ge);
    let below = side(&high)?.map(Ordering::is_le);
    Ok(match (above, below) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    })
}

fn within(part: &Term, list: &[Term], row: &Row) -> Result<Option<bool>> {
    let part = value(part, row)?;
    let mut null = part.is_null();
    for other in list {
        let other = value(other, row)?;
        if part.is_null() || other.is_null() {
            null = true;
        } else if compare(&part, &other)?.is_eq() {
            return Ok(Some(true));
        }
    }
    Ok((!null).then_some(false))
}

fn among(part: &Term, constants: &[Datum<'static>], row: &Row) -> Result<Option<bool>> {
    let part = value(part, row)?;
    if part.is_null() {
        return Ok(None);
    }
    let mut mistyped = None;
    let found = constants.binary_search_by(|constant| {
        compare(constant, &part).unwrap_or_else(|error| {
            mistyped = Some(error);
            Ordering::Equal
        })
    });
    match mistyped {
        Some(error) => Err(error.into()),
        None => Ok(Some(found.is_ok())),
    }
}

/// CASE without an operand.
pub(super) fn choose<'a>(
    arms: &'a [(Term, Term)],
    otherwise: Option<&'a Term>,
    row: &'a Row,
) -> Result<Datum<'a>> {
    for (when, then) in arms {
        if truth(when, row)? == Some(true) {
            return value(then, row);
        }
    }
    otherwise.map_or(Ok(Datum::Null), |term| value(term, row))
}

/// CASE with an operand: NULL is equal to nothing.
pub(super) fn switch<'a>(
    operand: &'a Term,
    arms: &'a [(Term, Term)],
    otherwise: Option<&'a Term>,
    row: &'a Row,
) -> Result<Datum<'a>> {
    let operand = value(operand, row)?;
    for (when, then) in arms {
        if operand.is_null() {
            break;
        }
        let when = value(when, row)?;
        if !when.is_null() && compare(&operand, &when)?.is_eq() {
            return value(then, row);
        }
    }
    otherwise.map_or(Ok(Datum::Null), |term| value(term, row))
}

/// The first that is not NULL.
pub(super) fn coalesce<'a>(parts: &'a [Term], row: &'a Row) -> Result<Datum<'a>> {
    for part in parts {
        let datum = value(part, row)?;
        if !datum.is_null() {
            return Ok(datum);
        }
    }
    Ok(Datum::Null)
}

/// NULL where both are equal.
pub(super) fn null_if<'a>(left: &'a Term, right: &'a Term, row: &'a Row) -> Result<Datum<'a>> {
    let (left, right) = (value(left, row)?, value(right, row)?);
    let equal = !left.is_null() && !right.is_null() && compare(&left, &right)?.is_eq();
    Ok(if equal { Datum::Null } else { left })
}

/// The greatest or the least of those that are not NULL; of equal ones the first.
pub(super) fn extreme<'a>(parts: &'a [Term], greatest: bool, row: &'a Row) -> Result<Datum<'a>> {
    let mut best = Datum::Null;
    for part in parts {
        let datum = value(part, row)?;
        if datum.is_null() {
            continue;
        }
        let better = match best.is_null() {
            true => true,
            false => {
                let order = compare(&datum, &best)?;
                if greatest {
                    order.is_gt()
                } else {
                    order.is_lt()
                }
            }
        };
        if better {
            best = datum;
        }
    }
    Ok(best)
}
