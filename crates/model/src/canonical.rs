//! The one form in which a logical type's values are compared, whatever store they came from.

use serde::{Deserialize, Serialize};

use crate::cell::Cell;
use crate::text_form;
use crate::value::Value;

/// The canonical form of a pair of columns, and the equivalence that it claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Canonical {
    /// The store's own form, byte by byte, storage class included. Same engine on both sides.
    Exact,
    /// True or false.
    Boolean,
    /// The integer.
    Integer,
    /// The bits of a single; all NaN are one.
    Float32,
    /// The bits of a double; all NaN are one.
    Float64,
    /// A single as [`Canonical::Float32`], but both zeros are one: a SQLite column of REAL affinity keeps no sign of zero.
    Float32AnyZero,
    /// A double as [`Canonical::Float64`], but both zeros are one.
    Float64AnyZero,
    /// The decimal's value, scale not compared.
    Decimal,
    /// The text's bytes.
    Text,
    /// The bytes.
    Bytes,
    /// The UUID's 16 bytes.
    Uuid,
    /// Days.
    Date,
    /// Microseconds of the day.
    Time,
    /// Microseconds, local.
    Timestamp,
    /// Microseconds, UTC.
    TimestampWithZone,
}

impl Canonical {
    /// The equivalence in words, as a certificate states it.
    pub fn claim(self) -> &'static str {
        match self {
            Canonical::Exact => "bit-equal",
            Canonical::Boolean => "equal as boolean",
            Canonical::Integer => "equal as integer",
            Canonical::Float32 => "bit-equal single",
            Canonical::Float64 => "bit-equal double",
            Canonical::Float32AnyZero => "bit-equal single, both zeros one",
            Canonical::Float64AnyZero => "bit-equal double, both zeros one",
            Canonical::Decimal => "equal as decimal",
            Canonical::Text => "bit-equal text",
            Canonical::Bytes => "bit-equal bytes",
            Canonical::Uuid => "equal as UUID",
            Canonical::Date => "equal as date",
            Canonical::Time => "equal as time, microseconds",
            Canonical::Timestamp => "equal as local time, microseconds",
            Canonical::TimestampWithZone => "equal as instant, microseconds",
        }
    }
}

/// A cell that has no canonical form in the class that its column claims. Never carries the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// The value is not of the column's type.
    #[error("the value is not of the column's type")]
    Malformed,
    /// The column is not in the image.
    #[error("the column is not in the image")]
    Unchanged,
}

/// The longest form whose length stands in the mark itself.
const SHORT: usize = 253;
/// Mark of a form whose length follows as eight bytes.
const LONG: u8 = 0xFF;

/// Appends one cell as a row's digest takes it: 0 for NULL; else length + 1 in one byte and the canonical form, or for a form
/// of more than 253 bytes 0xFF, its length as eight bytes, most significant first, and the form. No two rows of as many
/// columns have the same bytes, and a server can write them with its own functions.
///
/// # Errors
/// A value that is not of its column's type, or a column that the image lacks.
pub fn write_framed(
    class: Canonical,
    cell: &Cell,
    out: &mut Vec<u8>,
) -> Result<(), CanonicalError> {
    if matches!(cell, Cell::Unchanged) {
        return Err(CanonicalError::Unchanged);
    }
    write_value(class, cell.value(), out)
}

/// As [`write_framed`] for a value that is not held as a cell.
///
/// # Errors
/// A value that is not of its column's type.
#[inline]
pub fn write_value(
    class: Canonical,
    value: Option<Value<'_>>,
    out: &mut Vec<u8>,
) -> Result<(), CanonicalError> {
    let Some(value) = value else {
        out.push(0);
        return Ok(());
    };
    framed(out, |out| {
        write_form(class, value, out).ok_or(CanonicalError::Malformed)
    })
}

/// As [`write_value`], but a value that is not of its column's type has a form of its own, which is equal to that of no value of
/// the type: 0xFF, eight bytes 0xFF (no form is so long), and the store's own form, framed. So a comparison names its row.
#[inline]
pub fn write_any(class: Canonical, value: Option<Value<'_>>, out: &mut Vec<u8>) {
    let at = out.len();
    if write_value(class, value, out).is_ok() {
        return;
    }
    out.truncate(at);
    out.extend_from_slice(&[LONG; 9]);
    // the store's own form is always there; of what no store has, the mark alone
    let _written = write_value(Canonical::Exact, value, out);
}

/// Appends the canonical form of a cell that is not NULL, without a frame.
///
/// # Errors
/// As [`write_framed`]; NULL has no form.
pub fn write(class: Canonical, cell: &Cell, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    if matches!(cell, Cell::Unchanged) {
        return Err(CanonicalError::Unchanged);
    }
    let form = cell.value().and_then(|value| write_form(class, value, out));
    form.ok_or(CanonicalError::Malformed)
}

/// As [`write_framed`] for what `form` appends.
///
/// # Errors
/// Those of `form`.
pub fn framed<E>(
    out: &mut Vec<u8>,
    form: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let at = out.len();
    out.push(0);
    form(out)?;
    let length = out.len() - at - 1;
    if length <= SHORT {
        // at most 254
        out[at] = (length + 1) as u8;
        return Ok(());
    }
    out[at] = LONG;
    let from = at + 1;
    out.splice(from..from, (length as u64).to_be_bytes());
    Ok(())
}

fn write_form(class: Canonical, value: Value<'_>, out: &mut Vec<u8>) -> Option<()> {
    // no text that a store holds may look like it
    if matches!(value, Value::Unfit(_)) {
        return None;
    }
    match class {
        Canonical::Exact => write_exact(value, out),
        Canonical::Boolean => out.push(u8::from(value.boolean()?)),
        Canonical::Integer => out.extend_from_slice(&value.integer()?.to_be_bytes()),
        Canonical::Float32 => write_single(value.single()?, out),
        Canonical::Float64 => write_double(value.double()?, out),
        // -0 + 0 is 0
        Canonical::Float32AnyZero => write_single(value.single()? + 0.0, out),
        Canonical::Float64AnyZero => write_double(value.double()? + 0.0, out),
        Canonical::Decimal => return value.write_decimal(out),
        Canonical::Text => out.extend_from_slice(value.text()?),
        Canonical::Bytes => match value {
            Value::Blob(b) => out.extend_from_slice(b),
            Value::TextForm(t) => return text_form::write_hex_bytes(t, out),
            _ => return None,
        },
        Canonical::Uuid => match value {
            Value::Blob(b) if b.len() == 16 => out.extend_from_slice(b),
            _ => out.extend_from_slice(&text_form::uuid(value.text()?)?),
        },
        Canonical::Date => write_count(text_form::date(value.text()?)?, out),
        Canonical::Time => write_count(text_form::time(value.text()?)?, out),
        Canonical::Timestamp => write_count(text_form::timestamp(value.text()?)?, out),
        Canonical::TimestampWithZone => {
            write_count(text_form::timestamp_with_zone(value.text()?)?, out);
        }
    }
    Some(())
}

fn write_exact(value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::TextForm(b) => out.extend_from_slice(b),
        Value::Integer(i) => {
            out.push(b'i');
            write_count(i, out);
        }
        Value::Real(r) => {
            out.push(b'r');
            out.extend_from_slice(&r.to_bits().to_be_bytes());
        }
        Value::Text(b) => {
            out.push(b't');
            out.extend_from_slice(b);
        }
        Value::Blob(b) => {
            out.push(b'b');
            out.extend_from_slice(b);
        }
        // has none: see `write_form`
        Value::Unfit(_) => {}
    }
}

fn write_count(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn write_single(value: f32, out: &mut Vec<u8>) {
    let value = if value.is_nan() { f32::NAN } else { value };
    out.extend_from_slice(&value.to_bits().to_be_bytes());
}

fn write_double(value: f64, out: &mut Vec<u8>) {
    let value = if value.is_nan() { f64::NAN } else { value };
    out.extend_from_slice(&value.to_bits().to_be_bytes());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;

    fn form(class: Canonical, cell: Cell) -> Vec<u8> {
        let mut out = Vec::new();
        write_framed(class, &cell, &mut out).unwrap();
        out
    }

    fn t(s: &str) -> Cell {
        Cell::TextForm(Bytes::copy_from_slice(s.as_bytes()))
    }

    #[test]
    fn a_value_of_another_type_has_a_form_like_no_other() {
        let any = |class, cell: &Cell| {
            let mut out = Vec::new();
            write_any(class, cell.value(), &mut out);
            out
        };
        let five = any(Canonical::Integer, &t("five"));
        assert_ne!(five, any(Canonical::Integer, &t("six")));
        assert_ne!(five, any(Canonical::Text, &t("five")));
        assert_eq!(
            any(Canonical::Integer, &t("5")),
            form(Canonical::Integer, t("5"))
        );
        assert_eq!(
            any(Canonical::Integer, &Cell::Null),
            form(Canonical::Integer, Cell::Null)
        );
        let long = t(&"5".repeat(300));
        assert_ne!(any(Canonical::Text, &long)[..9], five[..9]);
    }

    #[test]
    fn stores_forms_of_one_value_agree() {
        assert_eq!(
            form(Canonical::Boolean, t("t")),
            form(Canonical::Boolean, Cell::Integer(1))
        );
        assert_eq!(
            form(Canonical::Float64, t("0.1")),
            form(Canonical::Float64, Cell::Real(0.1))
        );
        assert_eq!(
            form(Canonical::Float32, t("0.1")),
            form(Canonical::Float32, Cell::Real(f64::from(0.1_f32)))
        );
        assert_eq!(
            form(Canonical::Decimal, t("0.990")),
            form(Canonical::Decimal, Cell::Real(0.99))
        );
        assert_eq!(
            form(Canonical::Bytes, t("\\x00ff")),
            form(Canonical::Bytes, Cell::Blob(Bytes::from_static(&[0, 255])))
        );
        assert_eq!(
            form(Canonical::Timestamp, t("2009-01-01 00:00:00")),
            form(
                Canonical::Timestamp,
                Cell::Text(Bytes::from_static(b"2009-01-01"))
            )
        );
    }

    #[test]
    fn zeros_are_one_only_where_claimed() {
        for (class, same) in [
            (Canonical::Float64, false),
            (Canonical::Float32, false),
            (Canonical::Float64AnyZero, true),
            (Canonical::Float32AnyZero, true),
        ] {
            assert_eq!(
                form(class, t("-0")) == form(class, Cell::Real(0.0)),
                same,
                "{class:?}"
            );
            assert_ne!(form(class, t("-1")), form(class, t("1")), "{class:?}");
        }
    }

    #[test]
    fn different_values_differ() {
        assert_ne!(
            form(Canonical::Float64, t("-0")),
            form(Canonical::Float64, t("0"))
        );
        assert_ne!(
            form(Canonical::Text, t("")),
            form(Canonical::Text, Cell::Null)
        );
        assert_ne!(
            form(Canonical::Text, t("a")),
            form(Canonical::Text, t("a "))
        );
        assert_ne!(
            form(Canonical::Exact, Cell::Integer(1)),
            form(Canonical::Exact, Cell::Real(1.0))
        );
        assert_ne!(
            form(Canonical::Exact, Cell::Text(Bytes::from_static(b"a"))),
            form(Canonical::Exact, Cell::Blob(Bytes::from_static(b"a")))
        );
    }

    #[test]
    fn a_value_of_another_type_is_an_error_and_not_a_guess() {
        let mut out = Vec::new();
        assert_eq!(
            write_framed(Canonical::Timestamp, &t("yesterday"), &mut out),
            Err(CanonicalError::Malformed)
        );
        assert_eq!(
            write_framed(Canonical::Text, &Cell::Unchanged, &mut out),
            Err(CanonicalError::Unchanged)
        );
    }
}
