//! Values while an expression is evaluated: from cells, and back to them.

use std::borrow::Cow;

use bigdecimal::BigDecimal;
use bytes::Bytes;
use crossfade_model::{Cell, LogicalType, hex, text_form};

use crate::calendar;
use crate::compiled::CellForm;
use crate::decimals;
use crate::evaluate::EvaluationError;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// NULL, which goes with everything.
    Null,
    Boolean,
    Integer,
    Decimal,
    Double,
    Text,
    Bytes,
    Date,
    Time,
    Timestamp,
    Instant,
    Uuid,
    /// Known by its text alone.
    Other,
}

impl Kind {
    pub(crate) fn of(logical: LogicalType) -> Kind {
        match logical {
            LogicalType::Boolean => Kind::Boolean,
            LogicalType::Integer { .. } => Kind::Integer,
            LogicalType::Float { .. } => Kind::Double,
            LogicalType::Decimal => Kind::Decimal,
            LogicalType::Text => Kind::Text,
            LogicalType::Bytes => Kind::Bytes,
            LogicalType::Date => Kind::Date,
            LogicalType::Time => Kind::Time,
            LogicalType::Timestamp => Kind::Timestamp,
            LogicalType::TimestampWithZone => Kind::Instant,
            LogicalType::Uuid => Kind::Uuid,
            LogicalType::Json | LogicalType::Other | LogicalType::Any => Kind::Other,
        }
    }

    pub(crate) fn is_number(self) -> bool {
        matches!(self, Kind::Integer | Kind::Decimal)
    }

    /// As people call it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Null => "NULL",
            Kind::Boolean => "a boolean",
            Kind::Integer => "an integer",
            Kind::Decimal => "a decimal",
            Kind::Double => "a double",
            Kind::Text => "a text",
            Kind::Bytes => "bytes",
            Kind::Date => "a date",
            Kind::Time => "a time",
            Kind::Timestamp => "a timestamp",
            Kind::Instant => "a timestamp with time zone",
            Kind::Uuid => "a UUID",
            Kind::Other => "a value of a type that is known by its text only",
        }
    }
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Val<'a> {
    Null,
    /// What it is made of is not in the image.
    Unchanged,
    Boolean(bool),
    Integer(i64),
    Decimal(BigDecimal),
    Double(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    /// Days from 1970-01-01.
    Date(i64),
    /// Microseconds from midnight.
    Time(i64),
    /// Microseconds from 2000-01-01, local.
    Timestamp(i64),
    /// Microseconds from 2000-01-01, UTC.
    Instant(i64),
    Uuid([u8; 16]),
    Other(Cow<'a, str>),
}

impl<'a> Val<'a> {
    /// Reads a cell of a column.
    pub(crate) fn read(cell: &'a Cell, kind: Kind) -> Result<Val<'a>, EvaluationError> {
        let value = match cell {
            Cell::Null => return Ok(Val::Null),
            Cell::Unchanged => return Ok(Val::Unchanged),
            _ => cell.value().ok_or(EvaluationError::NotOfType)?,
        };
        let text = || value.text().ok_or(EvaluationError::NotOfType);
        let utf8 = || std::str::from_utf8(text()?).map_err(|_| EvaluationError::NotUtf8);
        let finite = |count: i64| match count {
            i64::MAX | i64::MIN => Err(EvaluationError::NotFinite),
            count => Ok(count),
        };
        let of_type = EvaluationError::NotOfType;
        Ok(match kind {
            Kind::Null => Val::Null,
            Kind::Boolean => Val::Boolean(value.boolean().ok_or(of_type)?),
            Kind::Integer => match value.integer() {
                Some(integer) => Val::Integer(integer),
                // unsigned beyond the signed
                None => Val::Decimal(decimals::read(&value.decimal().ok_or(of_type)?)?),
            },
            Kind::Decimal => Val::Decimal(decimals::read(&value.decimal().ok_or(of_type)?)?),
            Kind::Double => Val::Double(value.double().ok_or(of_type)?),
            Kind::Text => Val::Text(Cow::Borrowed(utf8()?)),
            Kind::Bytes => Val::Bytes(match cell {
                Cell::Blob(bytes) => Cow::Borrowed(bytes),
                _ => Cow::Owned(text_form::hex_bytes(text()?).ok_or(of_type)?),
            }),
            Kind::Date => Val::Date(finite(text_form::date(text()?).ok_or(of_type)?)?),
            Kind::Time => Val::Time(text_form::time(text()?).ok_or(of_type)?),
            Kind::Timestamp => {
                Val::Timestamp(finite(text_form::timestamp(text()?).ok_or(of_type)?)?)
            }
            Kind::Instant => Val::Instant(finite(
                text_form::timestamp_with_zone(text()?).ok_or(of_type)?,
            )?),
            Kind::Uuid => Val::Uuid(match cell {
                Cell::Blob(bytes) => bytes.as_ref().try_into().map_err(|_| of_type)?,
                _ => text_form::uuid(text()?).ok_or(of_type)?,
            }),
            Kind::Other => match cell {
                Cell::Integer(i) => Val::Other(Cow::Owned(i.to_string())),
                Cell::Real(r) => Val::Other(Cow::Owned(format!("{r:?}"))),
                Cell::Blob(_) => return Err(of_type),
                _ => Val::Other(Cow::Borrowed(utf8()?)),
            },
        })
    }

    /// Without anything that is borrowed.
    pub(crate) fn into_owned(self) -> Val<'static> {
        match self {
            Val::Text(text) => Val::Text(Cow::Owned(text.into_owned())),
            Val::Other(text) => Val::Other(Cow::Owned(text.into_owned())),
            Val::Bytes(bytes) => Val::Bytes(Cow::Owned(bytes.into_owned())),
            Val::Null => Val::Null,
            Val::Unchanged => Val::Unchanged,
            Val::Boolean(b) => Val::Boolean(b),
            Val::Integer(i) => Val::Integer(i),
            Val::Decimal(d) => Val::Decimal(d),
            Val::Double(d) => Val::Double(d),
            Val::Date(d) => Val::Date(d),
            Val::Time(t) => Val::Time(t),
            Val::Timestamp(t) => Val::Timestamp(t),
            Val::Instant(t) => Val::Instant(t),
            Val::Uuid(u) => Val::Uuid(u),
        }
    }

    /// As a cell.
    pub(crate) fn cell(&self, form: CellForm) -> Result<Cell, EvaluationError> {
        if let (CellForm::Dynamic, Some(cell)) = (form, self.dynamic()) {
            return Ok(cell);
        }
        let Some(text) = self.text()? else {
            return Ok(match self {
                Val::Unchanged => Cell::Unchanged,
                _ => Cell::Null,
            });
        };
        let bytes = Bytes::from(text);
        Ok(match form {
            CellForm::Text => Cell::TextForm(bytes),
            CellForm::Dynamic => Cell::Text(bytes),
        })
    }

    /// Values that a store with dynamic types has a class for.
    fn dynamic(&self) -> Option<Cell> {
        Some(match self {
            Val::Boolean(b) => Cell::Integer(i64::from(*b)),
            Val::Integer(i) => Cell::Integer(*i),
            Val::Double(d) => Cell::Real(*d),
            Val::Bytes(b) => Cell::Blob(Bytes::copy_from_slice(b)),
            _ => return None,
        })
    }

    /// The text form; `None` for NULL and what is not in the image.
    pub(crate) fn text(&self) -> Result<Option<String>, EvaluationError> {
        Ok(Some(match self {
            Val::Null | Val::Unchanged => return Ok(None),
            Val::Boolean(b) => if *b { "t" } else { "f" }.to_owned(),
            Val::Integer(i) => i.to_string(),
            Val::Decimal(d) => d.to_plain_string(),
            Val::Double(d) if d.is_nan() => "NaN".to_owned(),
            Val::Double(d) if d.is_infinite() => {
                if *d > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
            }
            Val::Double(d) => format!("{d:?}"),
            Val::Text(t) | Val::Other(t) => t.clone().into_owned(),
            Val::Bytes(b) => format!("\\x{}", hex::encode(b)),
            Val::Date(days) => calendar::date(*days)?,
            Val::Time(micros) => calendar::time(*micros),
            Val::Timestamp(micros) => calendar::timestamp(*micros)?,
            Val::Instant(micros) => format!("{}+00", calendar::timestamp(*micros)?),
            Val::Uuid(bytes) => uuid(bytes),
        }))
    }
}

/// Eight, four, four, four and twelve digits (RFC 9562, 4).
fn uuid(bytes: &[u8; 16]) -> String {
    let digits = hex::encode(bytes);
    let mut out = String::with_capacity(36);
    for (at, digit) in digits.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        out.push(digit);
    }
    out
}
