//! Functions of values that are not NULL.

use std::borrow::Cow;

use crossfade_model::{Row, hex};
use sha2::{Digest, Sha256};

use super::numbers::fitting;
use super::texts::{left, pad, position, repeat, replace, right, split_part, substring, utf8};
use super::{LARGEST, Result, value};
use crate::EvaluationError;
use crate::datum::Datum;
use crate::decimal::{Decimal, Number};
use crate::syntax::Function;
use crate::term::Term;

type Called<'a> = std::result::Result<Datum<'a>, EvaluationError>;

/// Arguments of a function that is evaluated here, at most.
const ARGUMENTS: usize = 3;

/// Evaluates the arguments and the function; NULL if one of them is.
pub(super) fn call<'a>(function: Function, terms: &'a [Term], row: &'a Row) -> Result<Datum<'a>> {
    let mut arguments = [const { Datum::Null }; ARGUMENTS];
    for (argument, term) in arguments.iter_mut().zip(terms) {
        *argument = value(term, row)?;
        if argument.is_null() {
            return Ok(Datum::Null);
        }
    }
    let [first, second, third] = arguments;
    Ok(match function {
        Function::Absolute | Function::Sign | Function::Quotient | Function::FromEpoch => {
            numeric(function, first, second)?
        }
        Function::Encode | Function::Decode | Function::Sha256 | Function::OctetLength => {
            binary(function, first)?
        }
        Function::Length if matches!(first, Datum::Bytes(_)) => binary(function, first)?,
        Function::ToHex => Datum::Text(hexadecimal(integer(&first)?)?),
        _ => textual(function, &first, &second, &third)?,
    })
}

fn integer(datum: &Datum<'_>) -> std::result::Result<i128, EvaluationError> {
    match datum {
        Datum::Integer(value) => Ok(*value),
        _ => Err(EvaluationError::NotOfType),
    }
}

fn numeric<'a>(function: Function, first: Datum<'a>, second: Datum<'a>) -> Called<'a> {
    Ok(match (function, first) {
        (Function::Absolute, Datum::Integer(value)) => Datum::Integer(fitting(value.abs())?),
        (Function::Sign, Datum::Integer(value)) => Datum::Integer(value.signum()),
        (Function::Absolute, Datum::Decimal(value)) => {
            let number = value.number()?;
            Datum::Decimal(match number.signum() < 0 {
                true => Decimal::Number(number.negated()),
                false => value,
            })
        }
        (Function::Sign, Datum::Decimal(value)) => {
            let sign = value.number()?.signum();
            Datum::Decimal(Decimal::Number(Number::from(sign)))
        }
        (Function::Quotient, Datum::Integer(value)) => match integer(&second)? {
            0 => return Err(EvaluationError::Division),
            by => Datum::Integer(fitting(value / by)?),
        },
        (Function::FromEpoch, Datum::Decimal(value)) => from_epoch(value.number()?)?,
        _ => return Err(EvaluationError::NotOfType),
    })
}

/// An instant of seconds since 1970, if they are whole microseconds.
fn from_epoch<'a>(seconds: &Number) -> Called<'a> {
    let micros = seconds.multiply(&Number::from(1_000_000))?.to_integer()?;
    let start = i128::from(crate::calendar::EPOCH) * i128::from(crate::calendar::DAY);
    let micros = micros
        .checked_sub(start)
        .and_then(|micros| i64::try_from(micros).ok())
        // the extremes stand for infinities
        .filter(|micros| !matches!(*micros, i64::MIN | i64::MAX))
        .filter(|micros| crate::calendar::is_day(crate::calendar::parts(*micros).0));
    micros.map(Datum::Instant).ok_or(EvaluationError::Overflow)
}

fn hexadecimal<'a>(value: i128) -> std::result::Result<Cow<'a, [u8]>, EvaluationError> {
    match value < 0 {
        true => Err(EvaluationError::Argument),
        false => Ok(Cow::Owned(format!("{value:x}").into_bytes())),
    }
}

fn binary<'a>(function: Function, first: Datum<'a>) -> Called<'a> {
    let bytes = match first {
        Datum::Bytes(bytes) | Datum::Text(bytes) => bytes,
        _ => return Err(EvaluationError::NotOfType),
    };
    Ok(match function {
        Function::Encode if bytes.len() > LARGEST / 2 => return Err(EvaluationError::TooLarge),
        Function::Encode => Datum::Text(Cow::Owned(hex::encode(&bytes).into_bytes())),
        Function::Decode => {
            let digits = utf8(&bytes)?;
            let decoded = hex::decode(digits).ok_or(EvaluationError::NotOfType)?;
            Datum::Bytes(Cow::Owned(decoded))
        }
        Function::Sha256 => Datum::Bytes(Cow::Owned(Sha256::digest(&bytes).to_vec())),
        _ => Datum::Integer(bytes.len() as i128),
    })
}

fn text<'t>(datum: &'t Datum<'_>) -> std::result::Result<&'t str, EvaluationError> {
    match datum {
        Datum::Text(text) => utf8(text),
        _ => Err(EvaluationError::NotOfType),
    }
}

fn textual<'a>(
    function: Function,
    first: &Datum<'_>,
    second: &Datum<'_>,
    third: &Datum<'_>,
) -> Called<'a> {
    let subject = text(first)?;
    let made = match function {
        Function::Length => return Ok(Datum::Integer(subject.chars().count() as i128)),
        Function::Position => return Ok(Datum::Integer(position(subject, text(second)?))),
        Function::StartsWith => return Ok(Datum::Boolean(subject.starts_with(text(second)?))),
        Function::Lower => subject.to_lowercase().into_bytes(),
        Function::Upper => subject.to_uppercase().into_bytes(),
        Function::Reverse => subject.chars().rev().collect::<String>().into_bytes(),
        Function::Trim | Function::LeftTrim | Function::RightTrim => {
            trimmed(function, subject, second)?.as_bytes().to_vec()
        }
        Function::Substring => {
            let count = match third {
                Datum::Null => None,
                count => Some(integer(count)?),
            };
            substring(subject, integer(second)?, count)?
                .as_bytes()
                .to_vec()
        }
        Function::Left => left(subject, integer(second)?).as_bytes().to_vec(),
        Function::Right => right(subject, integer(second)?).as_bytes().to_vec(),
        Function::Replace => replace(subject, text(second)?, text(third)?)?,
        Function::LeftPad | Function::RightPad => {
            let fill = match third {
                Datum::Null => " ",
                fill => text(fill)?,
            };
            pad(
                subject,
                integer(second)?,
                fill,
                function == Function::LeftPad,
            )?
        }
        Function::Repeat => repeat(subject, integer(second)?)?,
        Function::SplitPart => {
            let piece = split_part(subject, text(second)?, integer(third)?)?;
            piece.as_bytes().to_vec()
        }
        Function::StripPrefix => stripped(subject.strip_prefix(text(second)?))?,
        Function::StripSuffix => stripped(subject.strip_suffix(text(second)?))?,
        _ => return Err(EvaluationError::NotOfType),
    };
    match made.len() > LARGEST.max(subject.len()) {
        true => Err(EvaluationError::TooLarge),
        false => Ok(Datum::Text(Cow::Owned(made))),
    }
}

/// Without blanks, or the characters of a set, at its ends.
fn trimmed<'t>(
    function: Function,
    subject: &'t str,
    set: &Datum<'_>,
) -> std::result::Result<&'t str, EvaluationError> {
    let set = match set {
        Datum::Null => " ",
        set => text(set)?,
    };
    let inside = |c: char| set.contains(c);
    Ok(match function {
        Function::LeftTrim => subject.trim_start_matches(inside),
        Function::RightTrim => subject.trim_end_matches(inside),
        _ => subject.trim_matches(inside),
    })
}

fn stripped(rest: Option<&str>) -> std::result::Result<Vec<u8>, EvaluationError> {
    rest.map(|rest| rest.as_bytes().to_vec())
        .ok_or(EvaluationError::Argument)
}
