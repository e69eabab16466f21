//! A value as it is computed with.

use std::borrow::Cow;

use crate::decimal::Decimal;

/// A value of a known type, or NULL.
#[derive(Debug, Clone)]
pub(crate) enum Datum<'a> {
    Null,
    Boolean(bool),
    Integer(i128),
    Decimal(Decimal),
    Double(f64),
    /// Not guaranteed to be UTF-8: SQLite does not check.
    Text(Cow<'a, [u8]>),
    Bytes(Cow<'a, [u8]>),
    Date(i64),
    Time(i64),
    Timestamp(i64),
    Instant(i64),
    Uuid([u8; 16]),
    Json(Cow<'a, [u8]>),
}

impl Datum<'_> {
    /// The same value, borrowed.
    pub(crate) fn borrowed(&self) -> Datum<'_> {
        match self {
            Datum::Text(text) => Datum::Text(Cow::Borrowed(text)),
            Datum::Bytes(bytes) => Datum::Bytes(Cow::Borrowed(bytes)),
            Datum::Json(text) => Datum::Json(Cow::Borrowed(text)),
            Datum::Decimal(decimal) => Datum::Decimal(decimal.clone()),
            Datum::Null => Datum::Null,
            Datum::Boolean(value) => Datum::Boolean(*value),
            Datum::Integer(value) => Datum::Integer(*value),
            Datum::Double(value) => Datum::Double(*value),
            Datum::Date(value) => Datum::Date(*value),
            Datum::Time(value) => Datum::Time(*value),
            Datum::Timestamp(value) => Datum::Timestamp(*value),
            Datum::Instant(value) => Datum::Instant(*value),
            Datum::Uuid(value) => Datum::Uuid(*value),
        }
    }

    /// The same value, borrowing nothing.
    pub(crate) fn owned(self) -> Datum<'static> {
        match self {
            Datum::Text(text) => Datum::Text(Cow::Owned(text.into_owned())),
            Datum::Bytes(bytes) => Datum::Bytes(Cow::Owned(bytes.into_owned())),
            Datum::Json(text) => Datum::Json(Cow::Owned(text.into_owned())),
            Datum::Decimal(decimal) => Datum::Decimal(decimal),
            Datum::Null => Datum::Null,
            Datum::Boolean(value) => Datum::Boolean(value),
            Datum::Integer(value) => Datum::Integer(value),
            Datum::Double(value) => Datum::Double(value),
            Datum::Date(value) => Datum::Date(value),
            Datum::Time(value) => Datum::Time(value),
            Datum::Timestamp(value) => Datum::Timestamp(value),
            Datum::Instant(value) => Datum::Instant(value),
            Datum::Uuid(value) => Datum::Uuid(value),
        }
    }

    /// Bytes of a text or of bytes.
    pub(crate) fn length(&self) -> usize {
        match self {
            Datum::Text(bytes) | Datum::Bytes(bytes) | Datum::Json(bytes) => bytes.len(),
            _ => 0,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Datum::Null)
    }
}
