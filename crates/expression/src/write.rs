//! A value as a cell.

use bytes::Bytes;
use crossfade_model::{Cell, hex};

use crate::calendar::{date_text, time_text, timestamp_text};
use crate::datum::Datum;
use crate::{CellForm, EvaluationError};

/// Writes a value.
///
/// # Errors
/// An integer of more than 64 bits.
pub(crate) fn cell(datum: Datum<'_>, form: CellForm) -> Result<Cell, EvaluationError> {
    match form {
        CellForm::Text => match datum {
            Datum::Null => Ok(Cell::Null),
            datum => Ok(Cell::TextForm(text(datum)?)),
        },
        CellForm::Dynamic => dynamic(datum),
    }
}

fn dynamic(datum: Datum<'_>) -> Result<Cell, EvaluationError> {
    Ok(match datum {
        Datum::Null => Cell::Null,
        Datum::Boolean(value) => Cell::Integer(i64::from(value)),
        Datum::Integer(value) => Cell::Integer(narrow(value)?),
        Datum::Double(value) => Cell::Real(value),
        Datum::Bytes(bytes) => Cell::Blob(Bytes::from(bytes.into_owned())),
        datum => Cell::Text(text(datum)?),
    })
}

/// The text form that the model reads.
fn text(datum: Datum<'_>) -> Result<Bytes, EvaluationError> {
    Ok(match datum {
        Datum::Null => Bytes::new(),
        Datum::Boolean(true) => Bytes::from_static(b"t"),
        Datum::Boolean(false) => Bytes::from_static(b"f"),
        Datum::Integer(value) => narrow(value)?.to_string().into(),
        Datum::Decimal(value) => value.to_text().into(),
        Datum::Double(value) => double_text(value).into(),
        Datum::Text(text) | Datum::Json(text) => Bytes::from(text.into_owned()),
        Datum::Bytes(bytes) => format!("\\x{}", hex::encode(&bytes)).into(),
        Datum::Date(days) => date_text(days).into(),
        Datum::Time(micros) => time_text(micros).into(),
        Datum::Timestamp(micros) => timestamp_text(micros, "").into(),
        Datum::Instant(micros) => timestamp_text(micros, "+00").into(),
        Datum::Uuid(uuid) => uuid_text(uuid).into(),
    })
}

fn narrow(value: i128) -> Result<i64, EvaluationError> {
    i64::try_from(value).map_err(|_| EvaluationError::Overflow)
}

/// The shortest text that is this double, without a point where it is an integer.
pub(crate) fn double_text(value: f64) -> String {
    if value.is_infinite() {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}Infinity");
    }
    let text = format!("{value:?}");
    match text.strip_suffix(".0") {
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

/// A UUID with its hyphens, in lower case.
pub(crate) fn uuid_text(uuid: [u8; 16]) -> String {
    let mut text = hex::encode(&uuid);
    // from behind, so that the places before stay
    for at in [20, 16, 12, 8] {
        text.insert(at, '-');
    }
    text
}
