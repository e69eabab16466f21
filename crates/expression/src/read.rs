//! A cell as a value of its column's type.

use std::borrow::Cow;

use crossfade_model::{Cell, Value, hex, text_form};

use crate::EvaluationError;
use crate::datum::Datum;
use crate::decimal::Decimal;
use crate::evaluate::Stop;
use crate::kind::Kind;

/// Reads a cell.
///
/// # Errors
/// The image lacks it, or it is not of the type.
pub(crate) fn read(cell: &Cell, kind: Kind) -> Result<Datum<'_>, Stop> {
    match cell.value() {
        Some(value) => typed(value, kind).ok_or(EvaluationError::NotOfType.into()),
        None if matches!(cell, Cell::Unchanged) => Err(Stop::Unchanged),
        None => Ok(Datum::Null),
    }
}

fn typed(value: Value<'_>, kind: Kind) -> Option<Datum<'_>> {
    Some(match kind {
        Kind::Integer { .. } => Datum::Integer(i128::from(value.integer()?)),
        Kind::Text => Datum::Text(Cow::Borrowed(value.text()?)),
        Kind::Decimal => Datum::Decimal(decimal(value)?),
        Kind::Boolean => Datum::Boolean(value.boolean()?),
        Kind::Float { bits: 32 } => Datum::Double(f64::from(value.single()?)),
        Kind::Float { .. } | Kind::Double => Datum::Double(value.double()?),
        Kind::Bytes => Datum::Bytes(bytes(value)?),
        Kind::Date => Datum::Date(text_form::date(value.text()?)?),
        Kind::Time => Datum::Time(text_form::time(value.text()?)?),
        Kind::Timestamp => Datum::Timestamp(text_form::timestamp(value.text()?)?),
        Kind::Instant => Datum::Instant(text_form::timestamp_with_zone(value.text()?)?),
        Kind::Uuid => Datum::Uuid(uuid(value)?),
        Kind::Json => Datum::Json(Cow::Borrowed(value.text()?)),
        Kind::Any => any(value)?,
        // told from NULL alone
        Kind::Null => Datum::Boolean(true),
    })
}

/// A value in its own class; bytes as the text of their digits.
fn any(value: Value<'_>) -> Option<Datum<'_>> {
    Some(match value {
        Value::Integer(integer) => Datum::Integer(i128::from(integer)),
        Value::Real(real) => Datum::Double(real),
        Value::Text(text) | Value::TextForm(text) => Datum::Text(Cow::Borrowed(text)),
        Value::Blob(bytes) => {
            let digits = format!("\\x{}", hex::encode(bytes));
            Datum::Text(Cow::Owned(digits.into_bytes()))
        }
        Value::Unfit(_) => return None,
    })
}

fn decimal(value: Value<'_>) -> Option<Decimal> {
    match value {
        Value::Integer(integer) => Some(Decimal::Number(i128::from(integer).into())),
        Value::Real(real) => Decimal::from_double(real),
        _ => Decimal::parse(value.text()?),
    }
}

fn bytes(value: Value<'_>) -> Option<Cow<'_, [u8]>> {
    match value {
        Value::Blob(bytes) => Some(Cow::Borrowed(bytes)),
        Value::TextForm(text) => text_form::hex_bytes(text).map(Cow::Owned),
        _ => None,
    }
}

fn uuid(value: Value<'_>) -> Option<[u8; 16]> {
    match value {
        Value::Blob(bytes) => bytes.try_into().ok(),
        _ => text_form::uuid(value.text()?),
    }
}
