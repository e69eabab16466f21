//! What the functions give.

use std::borrow::Cow;
use std::cmp::Ordering;

use bigdecimal::{BigDecimal, Zero as _};
use crossfade_model::hex;
use sha2::{Digest as _, Sha256};

use crate::calendar::{self, DAY, EPOCH};
use crate::cast;
use crate::decimals;
use crate::evaluate::{EvaluationError, MOST_TEXT, compare, decimal};
use crate::function::{Function, Part};
use crate::syntax::Type;
use crate::value::Val;

type Called<'a> = Result<Val<'a>, EvaluationError>;

/// Calls a function. All but a few give NULL where an argument is.
pub(crate) fn call<'a>(function: Function, mut arguments: Vec<Val<'a>>) -> Called<'a> {
    match function {
        Function::Coalesce => return Ok(coalesce(arguments)),
        Function::Concat => return concat(&arguments),
        Function::Greatest => return extreme(arguments, Ordering::Greater),
        Function::Least => return extreme(arguments, Ordering::Less),
        Function::Nullif => return nullif(arguments),
        _ => {}
    }
    if arguments.contains(&Val::Null) {
        return Ok(Val::Null);
    }
    if arguments.contains(&Val::Unchanged) {
        return Ok(Val::Unchanged);
    }
    let mut rest = arguments.split_off(1.min(arguments.len()));
    let Some(first) = arguments.pop() else {
        return Err(EvaluationError::NotOfType);
    };
    let second = (!rest.is_empty()).then(|| rest.remove(0));
    let third = rest.pop();
    match function {
        Function::Abs | Function::Sign | Function::Ceil | Function::Floor => {
            number(function, first)
        }
        Function::Round | Function::Trunc => to_places(function, first, second),
        Function::Div => {
            let (a, b) = (decimal(&first)?, decimal(&second.unwrap_or(Val::Null))?);
            let quotient = match decimals::divide(&a, &b) {
                // cut off, as far as is needed to know the whole
                Err(EvaluationError::NotExact) => decimals::trunc(&(&a / &b), 0),
                quotient => decimals::trunc(&quotient?, 0),
            };
            whole(first, quotient)
        }
        Function::Mod => remainder(&first, &second.unwrap_or(Val::Null)),
        Function::Date => cast::cast(first, Type::Date),
        Function::Part(part) => of_moment(part, &first),
        Function::OctetLength => Ok(Val::Integer(match &first {
            Val::Bytes(bytes) => length(bytes.len()),
            other => length(text(other)?.len()),
        })),
        Function::Hex => Ok(Val::Text(Cow::Owned(match &first {
            Val::Bytes(bytes) => hex::encode(bytes),
            other => hex::encode(text(other)?.as_bytes()),
        }))),
        Function::Sha256 => Ok(Val::Text(Cow::Owned(match &first {
            Val::Bytes(bytes) => hex::encode(&Sha256::digest(bytes)),
            other => hex::encode(&Sha256::digest(text(other)?.as_bytes())),
        }))),
        _ => of_text(function, first, second, third),
    }
}

fn length(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A text, or the text of a value that is known by it.
pub(crate) fn text<'v>(value: &'v Val<'_>) -> Result<Cow<'v, str>, EvaluationError> {
    match value {
        Val::Text(text) | Val::Other(text) => Ok(Cow::Borrowed(text)),
        _ => Err(EvaluationError::NotOfType),
    }
}

fn coalesce(arguments: Vec<Val<'_>>) -> Val<'_> {
    // what is not in the image may be NULL or not
    let first = arguments.into_iter().find(|v| *v != Val::Null);
    first.unwrap_or(Val::Null)
}

/// NULL counts as an empty text.
fn concat<'a>(arguments: &[Val<'a>]) -> Called<'a> {
    let mut out = String::new();
    for argument in arguments {
        match argument {
            Val::Null => {}
            Val::Unchanged => return Ok(Val::Unchanged),
            other => match cast::cast(other.clone(), Type::Text(None))? {
                Val::Text(text) => out.push_str(&text),
                _ => return Err(EvaluationError::NotOfType),
            },
        }
        if out.len() > MOST_TEXT {
            return Err(EvaluationError::Overflow);
        }
    }
    Ok(Val::Text(Cow::Owned(out)))
}

/// The greatest or least of those that are not NULL.
fn extreme(arguments: Vec<Val<'_>>, wanted: Ordering) -> Called<'_> {
    let mut best = Val::Null;
    for argument in arguments {
        match argument {
            Val::Unchanged => return Ok(Val::Unchanged),
            Val::Null => {}
            other if best == Val::Null || compare(&other, &best)? == wanted => best = other,
            _ => {}
        }
    }
    Ok(best)
}

fn nullif(mut arguments: Vec<Val<'_>>) -> Called<'_> {
    let other = arguments.pop().unwrap_or(Val::Null);
    let first = arguments.pop().unwrap_or(Val::Null);
    match (&first, &other) {
        (Val::Unchanged, _) | (_, Val::Unchanged) => Ok(Val::Unchanged),
        (Val::Null, _) | (_, Val::Null) => Ok(first),
        _ if compare(&first, &other)?.is_eq() => Ok(Val::Null),
        _ => Ok(first),
    }
}

/// A decimal that is a whole number, as an integer where the operand was one.
fn whole<'a>(operand: Val<'a>, result: BigDecimal) -> Called<'a> {
    match operand {
        Val::Integer(_) => decimals::to_integer(&result).map(Val::Integer),
        _ => Ok(Val::Decimal(result)),
    }
}

fn number<'a>(function: Function, operand: Val<'a>) -> Called<'a> {
    if let Val::Integer(i) = operand {
        return Ok(Val::Integer(match function {
            Function::Abs => i.checked_abs().ok_or(EvaluationError::Overflow)?,
            Function::Sign => i.signum(),
            _ => i,
        }));
    }
    let value = decimal(&operand)?;
    let zero = BigDecimal::from(0);
    let cut = decimals::trunc(&value, 0);
    Ok(Val::Decimal(match function {
        Function::Abs => value.abs(),
        Function::Sign => BigDecimal::from(match value.cmp(&zero) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }),
        Function::Ceil if cut < value => cut + 1,
        Function::Floor if cut > value => cut - 1,
        _ => cut,
    }))
}

fn to_places<'a>(function: Function, operand: Val<'a>, places: Option<Val<'a>>) -> Called<'a> {
    let places = match places {
        None => 0,
        Some(Val::Integer(places)) => places.clamp(-1_000, 1_000),
        Some(_) => return Err(EvaluationError::NotOfType),
    };
    if matches!(operand, Val::Integer(_)) && places >= 0 {
        return Ok(operand);
    }
    let value = decimal(&operand)?;
    // more places than there are change nothing
    let places = places.min(value.fractional_digit_count().max(0).max(places.min(0)));
    let result = match function {
        Function::Round => decimals::round(&value, places),
        _ => decimals::trunc(&value, places),
    };
    whole(operand, result)
}

fn remainder<'a>(a: &Val<'a>, b: &Val<'a>) -> Called<'a> {
    if let (Val::Integer(a), Val::Integer(b)) = (a, b) {
        return match b {
            0 => Err(EvaluationError::DivisionByZero),
            _ => Ok(Val::Integer(a.checked_rem(*b).unwrap_or(0))),
        };
    }
    let (a, b) = (decimal(a)?, decimal(b)?);
    match b.is_zero() {
        true => Err(EvaluationError::DivisionByZero),
        false => Ok(Val::Decimal(a % b)),
    }
}

fn of_moment<'a>(part: Part, moment: &Val<'a>) -> Called<'a> {
    let (days, micros) = match moment {
        Val::Date(days) => (*days, 0),
        Val::Timestamp(micros) | Val::Instant(micros) => {
            (micros.div_euclid(DAY) + EPOCH, micros.rem_euclid(DAY))
        }
        Val::Time(micros) => (0, *micros),
        _ => return Err(EvaluationError::NotOfType),
    };
    Ok(Val::Integer(calendar::part(part, days, micros)))
}

fn count(value: Option<Val<'_>>) -> Result<i64, EvaluationError> {
    match value {
        Some(Val::Integer(i)) => Ok(i),
        _ => Err(EvaluationError::NotOfType),
    }
}

fn of_text<'a>(
    function: Function,
    first: Val<'a>,
    second: Option<Val<'a>>,
    third: Option<Val<'a>>,
) -> Called<'a> {
    let own = text(&first)?;
    let other = || match &second {
        Some(value) => text(value),
        None => Ok(Cow::Borrowed(" ")),
    };
    let chars = || i64::try_from(own.chars().count()).unwrap_or(i64::MAX);
    let out: String = match function {
        Function::Lower => own.to_lowercase(),
        Function::Upper => own.to_uppercase(),
        Function::Length => return Ok(Val::Integer(chars())),
        Function::Trim | Function::Ltrim | Function::Rtrim => {
            let set: Vec<char> = other()?.chars().collect();
            let trimmed = match function {
                Function::Ltrim => own.trim_start_matches(set.as_slice()),
                Function::Rtrim => own.trim_end_matches(set.as_slice()),
                _ => own.trim_matches(set.as_slice()),
            };
            trimmed.to_owned()
        }
        Function::Left => {
            // a negative count leaves out so many at the other end
            let n = count(second)?;
            let n = if n < 0 { chars().saturating_add(n) } else { n };
            own.chars()
                .take(usize::try_from(n.max(0)).unwrap_or(usize::MAX))
                .collect()
        }
        Function::Right => {
            let n = count(second)?;
            let skip = if n < 0 {
                n.saturating_neg()
            } else {
                chars() - n
            };
            own.chars()
                .skip(usize::try_from(skip.max(0)).unwrap_or(usize::MAX))
                .collect()
        }
        Function::Substring => substring(
            &own,
            count(second)?,
            third.map(|t| count(Some(t))).transpose()?,
        )?,
        Function::Replace => {
            let (from, to) = (other()?, third.unwrap_or(Val::Null));
            let to = text(&to)?.into_owned();
            match from.is_empty() {
                true => own.clone().into_owned(),
                false => replaced(&own, &from, &to)?,
            }
        }
        Function::Position => {
            let wanted = other()?;
            let at = own.find(wanted.as_ref());
            let before = at.map(|at| own.get(..at).map_or(0, |before| before.chars().count()));
            return Ok(Val::Integer(before.map_or(0, |n| length(n + 1))));
        }
        _ => return Err(EvaluationError::NotOfType),
    };
    Ok(Val::Text(Cow::Owned(out)))
}

fn replaced(own: &str, from: &str, to: &str) -> Result<String, EvaluationError> {
    let grown = own.matches(from).count().saturating_mul(to.len());
    match grown.saturating_add(own.len()) > MOST_TEXT {
        true => Err(EvaluationError::Overflow),
        false => Ok(own.replace(from, to)),
    }
}

/// From the character `from`, counted from 1, so many; what lies before the first counts, too (SQL:2016, 6.30).
fn substring(own: &str, from: i64, characters: Option<i64>) -> Result<String, EvaluationError> {
    let end = match characters {
        Some(n) if n < 0 => return Err(EvaluationError::Overflow),
        Some(n) => from.saturating_add(n),
        None => i64::MAX,
    };
    let start = from.max(1);
    let skip = usize::try_from(start - 1).unwrap_or(usize::MAX);
    let take = usize::try_from(end.saturating_sub(start).max(0)).unwrap_or(usize::MAX);
    Ok(own.chars().skip(skip).take(take).collect())
}
