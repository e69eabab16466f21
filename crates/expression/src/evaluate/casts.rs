//! Casts: a value of another type that means the same, or an error.

use std::borrow::Cow;

use crossfade_model::text_form;

use super::Result;
use super::texts::utf8;
use crate::EvaluationError;
use crate::calendar::{DAY, EPOCH, date_text, parts, time_text, timestamp_text};
use crate::datum::Datum;
use crate::decimal::{Decimal, Rounding};
use crate::syntax::Target;
use crate::write::{double_text, uuid_text};

type Cast<T> = std::result::Result<T, EvaluationError>;

/// Casts a value.
///
/// # Errors
/// It is no value of the type, or does not fit it.
pub(crate) fn cast(datum: Datum<'_>, target: Target) -> Result<Datum<'_>> {
    if datum.is_null() {
        return Ok(Datum::Null);
    }
    Ok(match target {
        Target::Boolean => Datum::Boolean(boolean(&datum)?),
        Target::Integer { bits } => Datum::Integer(sized(integer(&datum)?, bits)?),
        Target::Decimal(size) => Datum::Decimal(fitted(decimal(datum)?, size)?),
        Target::Double => Datum::Double(double(&datum)?),
        Target::Text(longest) => Datum::Text(no_longer(text(datum)?, longest)?),
        Target::Bytes => Datum::Bytes(bytes(datum)?),
        Target::Date => Datum::Date(date(&datum)?),
        Target::Time => Datum::Time(time(&datum)?),
        Target::Timestamp => Datum::Timestamp(timestamp(&datum)?),
        Target::Instant => Datum::Instant(instant(&datum)?),
        Target::Uuid => Datum::Uuid(uuid(&datum)?),
        Target::Json => Datum::Json(json(datum)?),
    })
}

fn boolean(datum: &Datum<'_>) -> Cast<bool> {
    match datum {
        Datum::Boolean(value) => Some(*value),
        Datum::Integer(0) => Some(false),
        Datum::Integer(1) => Some(true),
        Datum::Text(text) => text_form::boolean(text),
        _ => None,
    }
    .ok_or(EvaluationError::NotOfType)
}

fn integer(datum: &Datum<'_>) -> Cast<i128> {
    match datum {
        Datum::Integer(value) => Ok(*value),
        Datum::Boolean(value) => Ok(i128::from(*value)),
        Datum::Decimal(value) => value.number()?.to_integer(),
        Datum::Double(value) => Decimal::from_double(*value)
            .ok_or(EvaluationError::NotOfType)?
            .number()?
            .to_integer(),
        Datum::Text(text) => plain_integer(text).ok_or(EvaluationError::NotOfType),
        _ => Err(EvaluationError::NotOfType),
    }
}

/// Digits as an integer is written: nothing would be lost by writing it again.
fn plain_integer(text: &[u8]) -> Option<i128> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let plain = match digits {
        b"0" => digits.len() == text.len(),
        [b'1'..=b'9', ..] => true,
        _ => false,
    };
    match plain {
        true => text_form::integer(text).map(i128::from),
        false => None,
    }
}

fn sized(value: i128, bits: u8) -> Cast<i128> {
    let limit = 1_i128 << (bits.clamp(1, 64) - 1);
    match (-limit..limit).contains(&value) {
        true => Ok(value),
        false => Err(EvaluationError::Overflow),
    }
}

fn decimal(datum: Datum<'_>) -> Cast<Decimal> {
    match datum {
        Datum::Decimal(value) => Some(value),
        Datum::Integer(value) => Some(Decimal::Number(value.into())),
        Datum::Double(value) => Decimal::from_double(value),
        Datum::Text(text) => Decimal::parse(&text),
        _ => None,
    }
    .ok_or(EvaluationError::NotOfType)
}

fn fitted(value: Decimal, size: Option<(u32, u32)>) -> Cast<Decimal> {
    let Some((precision, scale)) = size else {
        return Ok(value);
    };
    match value {
        Decimal::NotANumber => Ok(value),
        Decimal::Infinite { .. } => Err(EvaluationError::Overflow),
        Decimal::Number(number) => {
            let number = number.rounded(i128::from(scale), Rounding::HalfAway)?;
            match number.fits(precision.saturating_sub(scale)) {
                true => Ok(Decimal::Number(number)),
                false => Err(EvaluationError::Overflow),
            }
        }
    }
}

fn double(datum: &Datum<'_>) -> Cast<f64> {
    let value = match datum {
        Datum::Double(value) => return Ok(*value),
        // the nearest double, as was asked for
        Datum::Integer(value) => *value as f64,
        Datum::Decimal(Decimal::Number(number)) => Decimal::Number(number.clone()).to_double(),
        Datum::Decimal(other) => return Ok(other.to_double()),
        Datum::Text(text) => match text_form::double(text) {
            Some(value) if value.is_infinite() && !text.ends_with(b"Infinity") => value,
            Some(value) => return Ok(value),
            None => return Err(EvaluationError::NotOfType),
        },
        _ => return Err(EvaluationError::NotOfType),
    };
    match value.is_finite() {
        true => Ok(value),
        false => Err(EvaluationError::Overflow),
    }
}

fn text(datum: Datum<'_>) -> Cast<Cow<'_, [u8]>> {
    let text = match datum {
        Datum::Text(text) => return Ok(text),
        Datum::Bytes(bytes) => {
            utf8(&bytes)?;
            return Ok(bytes);
        }
        Datum::Boolean(true) => "true".to_owned(),
        Datum::Boolean(false) => "false".to_owned(),
        Datum::Integer(value) => value.to_string(),
        Datum::Decimal(value) => value.to_text(),
        Datum::Double(value) => double_text(value),
        Datum::Date(days) => date_text(days),
        Datum::Time(micros) => time_text(micros),
        Datum::Timestamp(micros) => timestamp_text(micros, ""),
        Datum::Instant(micros) => timestamp_text(micros, "+00"),
        Datum::Uuid(uuid) => uuid_text(uuid),
        Datum::Null | Datum::Json(_) => return Err(EvaluationError::NotOfType),
    };
    Ok(Cow::Owned(text.into_bytes()))
}

fn no_longer(text: Cow<'_, [u8]>, longest: Option<u32>) -> Cast<Cow<'_, [u8]>> {
    let Some(longest) = longest else {
        return Ok(text);
    };
    let longest = longest as usize;
    // as many bytes at least as characters
    if text.len() > longest && utf8(&text)?.chars().count() > longest {
        return Err(EvaluationError::TooLong);
    }
    Ok(text)
}

fn bytes(datum: Datum<'_>) -> Cast<Cow<'_, [u8]>> {
    match datum {
        Datum::Bytes(bytes) | Datum::Text(bytes) => Ok(bytes),
        Datum::Uuid(uuid) => Ok(Cow::Owned(uuid.to_vec())),
        _ => Err(EvaluationError::NotOfType),
    }
}

/// An infinity stays one, whatever it counts.
fn finite(count: i64, finite: impl FnOnce(i64) -> Option<i64>) -> Cast<i64> {
    match count {
        i64::MIN | i64::MAX => Ok(count),
        count => finite(count).ok_or(EvaluationError::Overflow),
    }
}

fn date(datum: &Datum<'_>) -> Cast<i64> {
    match datum {
        Datum::Date(days) => Ok(*days),
        Datum::Timestamp(micros) | Datum::Instant(micros) => {
            finite(*micros, |micros| Some(parts(micros).0))
        }
        Datum::Text(text) => text_form::date(text).ok_or(EvaluationError::NotOfType),
        _ => Err(EvaluationError::NotOfType),
    }
}

fn time(datum: &Datum<'_>) -> Cast<i64> {
    match datum {
        Datum::Time(micros) => Ok(*micros),
        Datum::Timestamp(i64::MIN | i64::MAX) | Datum::Instant(i64::MIN | i64::MAX) => {
            Err(EvaluationError::NotFinite)
        }
        Datum::Timestamp(micros) | Datum::Instant(micros) => Ok(parts(*micros).1),
        Datum::Text(text) => text_form::time(text).ok_or(EvaluationError::NotOfType),
        _ => Err(EvaluationError::NotOfType),
    }
}

fn timestamp(datum: &Datum<'_>) -> Cast<i64> {
    match datum {
        Datum::Timestamp(micros) | Datum::Instant(micros) => Ok(*micros),
        Datum::Date(days) => finite(*days, |days| days.checked_sub(EPOCH)?.checked_mul(DAY)),
        Datum::Text(text) => text_form::timestamp(text).ok_or(EvaluationError::NotOfType),
        _ => Err(EvaluationError::NotOfType),
    }
}

fn instant(datum: &Datum<'_>) -> Cast<i64> {
    match datum {
        Datum::Timestamp(micros) | Datum::Instant(micros) => Ok(*micros),
        Datum::Text(text) => text_form::timestamp_with_zone(text).ok_or(EvaluationError::NotOfType),
        _ => Err(EvaluationError::NotOfType),
    }
}

fn uuid(datum: &Datum<'_>) -> Cast<[u8; 16]> {
    match datum {
        Datum::Uuid(uuid) => Some(*uuid),
        Datum::Bytes(bytes) => bytes.as_ref().try_into().ok(),
        // the one spelling that comes back from it
        Datum::Text(text) => {
            text_form::uuid(text).filter(|uuid| uuid_text(*uuid).as_bytes() == text.as_ref())
        }
        _ => None,
    }
    .ok_or(EvaluationError::NotOfType)
}

fn json(datum: Datum<'_>) -> Cast<Cow<'_, [u8]>> {
    match datum {
        Datum::Json(text) => Ok(text),
        Datum::Text(text) => match serde_json::from_slice::<serde::de::IgnoredAny>(&text) {
            Ok(_) => Ok(text),
            Err(_) => Err(EvaluationError::NotOfType),
        },
        _ => Err(EvaluationError::NotOfType),
    }
}
