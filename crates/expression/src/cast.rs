//! Casts: nothing is lost in silence but the fraction that is rounded away, halves away from zero.

use std::borrow::Cow;

use bigdecimal::BigDecimal;
use crossfade_model::text_form;

use crate::calendar::{DAY, EPOCH};
use crate::decimals;
use crate::evaluate::{EvaluationError, decimal};
use crate::syntax::Type;
use crate::value::{Kind, Val};

/// The kind of a cast's result.
pub(crate) fn kind(of: Type) -> Kind {
    match of {
        Type::Boolean => Kind::Boolean,
        Type::Integer(_) => Kind::Integer,
        Type::Decimal(_) => Kind::Decimal,
        Type::Double => Kind::Double,
        Type::Text(_) => Kind::Text,
        Type::Bytes => Kind::Bytes,
        Type::Date => Kind::Date,
        Type::Time => Kind::Time,
        Type::Timestamp => Kind::Timestamp,
        Type::Instant => Kind::Instant,
        Type::Uuid => Kind::Uuid,
        Type::Json => Kind::Other,
    }
}

/// Whether values of a kind can be cast at all.
pub(crate) fn is_known(from: Kind, to: Type) -> bool {
    let text = matches!(from, Kind::Text | Kind::Other | Kind::Null);
    let to_kind = kind(to);
    if text || from == to_kind {
        return true;
    }
    match to {
        Type::Text(_) => from != Kind::Bytes,
        Type::Boolean => from == Kind::Integer,
        Type::Integer(_) => matches!(from, Kind::Decimal | Kind::Boolean | Kind::Double),
        Type::Decimal(_) => matches!(from, Kind::Integer | Kind::Double),
        Type::Double => matches!(from, Kind::Integer | Kind::Decimal),
        Type::Date | Type::Time => {
            from == Kind::Timestamp || (to == Type::Date && from == Kind::Instant)
        }
        Type::Timestamp => matches!(from, Kind::Date | Kind::Instant),
        Type::Instant => matches!(from, Kind::Date | Kind::Timestamp),
        Type::Bytes | Type::Uuid | Type::Json => false,
    }
}

/// Casts a value that is not NULL.
///
/// # Errors
/// A value that the type does not hold.
pub(crate) fn cast(value: Val<'_>, to: Type) -> Result<Val<'_>, EvaluationError> {
    let not_cast = EvaluationError::NotCast;
    if let Val::Text(text) | Val::Other(text) = &value
        && !matches!(to, Type::Text(_) | Type::Json)
    {
        return read(text, to);
    }
    Ok(match to {
        Type::Boolean => match value {
            Val::Integer(i) => Val::Boolean(i != 0),
            other => other,
        },
        Type::Integer(bits) => Val::Integer(sized(
            match &value {
                Val::Integer(i) => *i,
                Val::Decimal(d) => decimals::to_integer(d)?,
                Val::Boolean(b) => i64::from(*b),
                Val::Double(d) => decimals::to_integer(&shortest(*d)?)?,
                _ => return Err(not_cast),
            },
            bits,
        )?),
        Type::Decimal(form) => {
            let exact = match &value {
                Val::Double(d) => shortest(*d)?,
                other => decimal(other)?,
            };
            Val::Decimal(fitted(exact, form)?)
        }
        Type::Double => Val::Double(match &value {
            Val::Double(d) => *d,
            // the nearest double of the shortest text
            other => decimal(other)?
                .to_plain_string()
                .parse()
                .map_err(|_| not_cast)?,
        }),
        Type::Text(most) => {
            let text = match value {
                Val::Text(text) | Val::Other(text) => text,
                // a boolean's text is its word
                Val::Boolean(b) => Cow::Borrowed(if b { "true" } else { "false" }),
                other => Cow::Owned(other.text()?.ok_or(not_cast)?),
            };
            match most {
                Some(most) if text.chars().count() > most as usize => {
                    return Err(EvaluationError::Overflow);
                }
                _ => Val::Text(text),
            }
        }
        Type::Json => match value {
            Val::Text(text) | Val::Other(text) => Val::Other(text),
            _ => return Err(not_cast),
        },
        Type::Date => match value {
            Val::Timestamp(micros) | Val::Instant(micros) => {
                Val::Date(micros.div_euclid(DAY) + EPOCH)
            }
            other => other,
        },
        Type::Time => match value {
            Val::Timestamp(micros) => Val::Time(micros.rem_euclid(DAY)),
            other => other,
        },
        Type::Timestamp => match value {
            Val::Date(days) => Val::Timestamp(midnight(days)?),
            Val::Instant(micros) => Val::Timestamp(micros),
            other => other,
        },
        Type::Instant => match value {
            Val::Date(days) => Val::Instant(midnight(days)?),
            Val::Timestamp(micros) => Val::Instant(micros),
            other => other,
        },
        Type::Bytes | Type::Uuid => value,
    })
}

fn midnight(days: i64) -> Result<i64, EvaluationError> {
    (days - EPOCH)
        .checked_mul(DAY)
        .ok_or(EvaluationError::Overflow)
}

/// A double by its shortest decimal text.
fn shortest(double: f64) -> Result<BigDecimal, EvaluationError> {
    match double.is_finite() {
        true => decimals::read(&format!("{double}")),
        false => Err(EvaluationError::NotFinite),
    }
}

fn sized(value: i64, bits: u8) -> Result<i64, EvaluationError> {
    let fits = match bits {
        16 => i16::try_from(value).is_ok(),
        32 => i32::try_from(value).is_ok(),
        _ => true,
    };
    fits.then_some(value).ok_or(EvaluationError::Overflow)
}

/// Rounded to a scale, within a precision.
fn fitted(value: BigDecimal, form: Option<(u32, u32)>) -> Result<BigDecimal, EvaluationError> {
    let Some((precision, scale)) = form else {
        return decimals::bounded(value);
    };
    let rounded = decimals::round(&value, i64::from(scale));
    let limit = BigDecimal::new(1.into(), -(i64::from(precision) - i64::from(scale)));
    match rounded.abs() >= limit {
        true => Err(EvaluationError::Overflow),
        false => Ok(rounded),
    }
}

/// Reads a text as a type.
fn read(text: &str, to: Type) -> Result<Val<'static>, EvaluationError> {
    let not_cast = EvaluationError::NotCast;
    let trimmed = text.trim();
    let bytes = trimmed.as_bytes();
    let finite = |count: Option<i64>| match count {
        Some(i64::MAX | i64::MIN) => Err(EvaluationError::NotFinite),
        Some(count) => Ok(count),
        None => Err(not_cast),
    };
    Ok(match to {
        Type::Boolean => Val::Boolean(text_form::boolean(bytes).ok_or(not_cast)?),
        Type::Integer(bits) => {
            Val::Integer(sized(text_form::integer(bytes).ok_or(not_cast)?, bits)?)
        }
        Type::Decimal(form) => {
            let plain = text_form::decimal(bytes).ok_or(not_cast)?;
            Val::Decimal(fitted(decimals::read(&plain)?, form)?)
        }
        Type::Double => Val::Double(text_form::double(bytes).ok_or(not_cast)?),
        Type::Bytes => Val::Bytes(Cow::Owned(text.as_bytes().to_vec())),
        Type::Date => Val::Date(finite(text_form::date(bytes))?),
        Type::Time => Val::Time(text_form::time(bytes).ok_or(not_cast)?),
        Type::Timestamp => Val::Timestamp(finite(text_form::timestamp(bytes))?),
        Type::Instant => Val::Instant(finite(text_form::timestamp_with_zone(bytes))?),
        Type::Uuid => Val::Uuid(text_form::uuid(bytes).ok_or(not_cast)?),
        Type::Text(_) | Type::Json => return Err(not_cast),
    })
}

/// Reads a literal's text as a kind, so that it can be compared with a column of it.
pub(crate) fn literal(text: &str, kind: Kind) -> Option<Val<'static>> {
    let to = match kind {
        Kind::Date => Type::Date,
        Kind::Time => Type::Time,
        Kind::Timestamp => Type::Timestamp,
        Kind::Instant => Type::Instant,
        Kind::Uuid => Type::Uuid,
        _ => return None,
    };
    read(text, to).ok()
}
