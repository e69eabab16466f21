//! A cell as the text that PostgreSQL reads.
//!
//! Text forms of another PostgreSQL pass as they are. Values of a store with dynamic types are written in the canonical
//! class that the mapping claims for their column: what has no such form is refused, never bent.

use crossfade_model::canonical::{self, Canonical};
use crossfade_model::{Cell, LogicalType, Value, hex};

/// Why a value has no text here. Never carries the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is of another class than its column.
    #[error("a value is not of its column's type")]
    Class,
    /// PostgreSQL's text has no character zero.
    #[error("a text holds the character U+0000, which PostgreSQL cannot store")]
    Zero,
    /// Not UTF-8.
    #[error("a text is not valid UTF-8")]
    Encoding,
    /// An unchanged column where a whole row is needed.
    #[error("a column is not in the change's image")]
    Unchanged,
    /// An expression of the mapping failed.
    #[error("the mapping has no result for the row")]
    Unfit,
}

/// The text of a cell, from the cell itself or put into `scratch`; `None` for NULL.
///
/// # Errors
/// [`Refused`].
pub fn of<'a>(
    class: Canonical,
    cell: &'a Cell,
    scratch: &'a mut String,
) -> Result<Option<&'a [u8]>, Refused> {
    match cell {
        Cell::Null => Ok(None),
        Cell::Unchanged => Err(Refused::Unchanged),
        Cell::Unfit(_) => Err(Refused::Unfit),
        Cell::TextForm(text) if class == Canonical::Decimal => Ok(Some(without_widest_scale(text))),
        Cell::TextForm(text) => Ok(Some(in_an_era(class, text, scratch))),
        Cell::Text(text) => {
            let text = plain_text(text)?;
            check_text(class, cell)?;
            Ok(Some(in_an_era(class, text, scratch)))
        }
        Cell::Integer(_) | Cell::Real(_) | Cell::Blob(_) => {
            scratch.clear();
            write(class, cell, scratch)?;
            Ok(Some(scratch.as_bytes()))
        }
    }
}

/// A date's text; the year 0 of other engines (ISO 8601) is 1 BC here (PostgreSQL documentation, "Date/Time Input Interpretation").
fn in_an_era<'a>(class: Canonical, text: &'a [u8], scratch: &'a mut String) -> &'a [u8] {
    let dated = matches!(
        class,
        Canonical::Date | Canonical::Timestamp | Canonical::TimestampWithZone
    );
    match text.strip_prefix(b"0000-").map(std::str::from_utf8) {
        Some(Ok(rest)) if dated => {
            scratch.clear();
            scratch.push_str("0001-");
            scratch.push_str(rest);
            scratch.push_str(" BC");
            scratch.as_bytes()
        }
        _ => text,
    }
}

/// Digits behind the point that a decimal of another engine has where it was made to hold every value of a `numeric` without a scale
/// (MySQL documentation, "DECIMAL Data Type Characteristics": at most 30).
const WIDEST_SCALE: usize = 30;

/// A decimal's text without the zeros that only the other store's column gave it: a `numeric` here would show them.
fn without_widest_scale(text: &[u8]) -> &[u8] {
    let Some(point) = text.iter().position(|c| *c == b'.') else {
        return text;
    };
    let fraction = &text[point + 1..];
    if fraction.len() != WIDEST_SCALE {
        return text;
    }
    let kept = fraction.iter().rposition(|c| *c != b'0');
    &text[..kept.map_or(point, |last| point + last + 2)]
}

/// A value of any store as this server's text form of a type; `None` where it is not of that type.
pub fn own_form(logical: LogicalType, cell: &Cell) -> Option<Cell> {
    let text = match (logical, cell) {
        (_, Cell::Null | Cell::TextForm(_)) => return Some(cell.clone()),
        (_, Cell::Unchanged | Cell::Unfit(_)) => return None,
        (_, Cell::Text(text)) => return Some(Cell::TextForm(text.clone())),
        (LogicalType::Boolean, _) => {
            let truth = cell.value()?.boolean()?;
            if truth { "t" } else { "f" }.to_owned()
        }
        (LogicalType::Uuid, Cell::Blob(bytes)) if bytes.len() == 16 => {
            let hex = hex::encode(bytes);
            let parts = [
                &hex[..8],
                &hex[8..12],
                &hex[12..16],
                &hex[16..20],
                &hex[20..],
            ];
            parts.join("-")
        }
        (_, Cell::Blob(bytes)) => format!("\\x{}", hex::encode(bytes)),
        (_, Cell::Integer(i)) => i.to_string(),
        (_, Cell::Real(r)) => format!("{r:?}"),
    };
    Some(Cell::TextForm(text.into()))
}

fn plain_text(text: &[u8]) -> Result<&[u8], Refused> {
    if text.contains(&0) {
        return Err(Refused::Zero);
    }
    std::str::from_utf8(text).map_err(|_| Refused::Encoding)?;
    Ok(text)
}

/// PostgreSQL reads more spellings than the canonical forms know; one that they do not know could be read as another value
/// than was meant.
fn check_text(class: Canonical, cell: &Cell) -> Result<(), Refused> {
    let known = match class {
        Canonical::Exact | Canonical::Text => true,
        Canonical::Bytes => false,
        _ => canonical::write_framed(class, cell, &mut Vec::new()).is_ok(),
    };
    if known { Ok(()) } else { Err(Refused::Class) }
}

fn write(class: Canonical, cell: &Cell, out: &mut String) -> Result<(), Refused> {
    use std::fmt::Write as _;
    let refused = Refused::Class;
    // writing to a String cannot fail
    let _infallible = match class {
        Canonical::Exact => write_plain(cell, out),
        Canonical::Boolean => {
            let value = cell.value().and_then(Value::boolean).ok_or(refused)?;
            out.write_str(if value { "t" } else { "f" })
        }
        Canonical::Integer => write!(
            out,
            "{}",
            cell.value().and_then(Value::integer).ok_or(refused)?
        ),
        Canonical::Float32 | Canonical::Float32AnyZero => {
            let value = cell.value().and_then(Value::single).ok_or(refused)?;
            write_float(f64::from(value), &format!("{value:?}"), out)
        }
        Canonical::Float64 | Canonical::Float64AnyZero => {
            let value = cell.value().and_then(Value::double).ok_or(refused)?;
            write_float(value, &format!("{value:?}"), out)
        }
        Canonical::Decimal => {
            let mut text = Vec::new();
            let decimal = cell.value().and_then(|v| v.write_decimal(&mut text));
            decimal.ok_or(refused)?;
            out.write_str(&String::from_utf8_lossy(&text))
        }
        Canonical::Bytes => match cell {
            Cell::Blob(bytes) => write_hex(bytes, out),
            _ => return Err(refused),
        },
        Canonical::Uuid => match cell {
            Cell::Blob(bytes) if bytes.len() == 16 => {
                out.write_str(&crossfade_model::hex::encode(bytes))
            }
            _ => return Err(refused),
        },
        Canonical::Text
        | Canonical::Date
        | Canonical::Time
        | Canonical::Timestamp
        | Canonical::TimestampWithZone => return Err(refused),
    };
    Ok(())
}

fn write_plain(cell: &Cell, out: &mut String) -> std::fmt::Result {
    use std::fmt::Write as _;
    match cell {
        Cell::Integer(value) => write!(out, "{value}"),
        Cell::Real(value) => write_float(*value, &format!("{value:?}"), out),
        Cell::Blob(bytes) => write_hex(bytes, out),
        Cell::Null | Cell::Unchanged | Cell::TextForm(_) | Cell::Text(_) | Cell::Unfit(_) => Ok(()),
    }
}

/// The shortest text that reads back as the same bits, with PostgreSQL's names of what is not finite.
fn write_float(value: f64, shortest: &str, out: &mut String) -> std::fmt::Result {
    use std::fmt::Write as _;
    out.write_str(if value.is_nan() {
        "NaN"
    } else if value == f64::INFINITY {
        "Infinity"
    } else if value == f64::NEG_INFINITY {
        "-Infinity"
    } else {
        shortest
    })
}

fn write_hex(bytes: &[u8], out: &mut String) -> std::fmt::Result {
    use std::fmt::Write as _;
    out.write_str("\\x")?;
    out.write_str(&crossfade_model::hex::encode(bytes))
}

/// True where the text of a key column's value is the value: equal values have equal texts, so that an update never has to
/// rewrite the key.
#[must_use]
pub fn one_text_per_value(logical: crossfade_model::LogicalType) -> bool {
    use crossfade_model::LogicalType as L;
    matches!(
        logical,
        L::Boolean
            | L::Integer { .. }
            | L::Bytes
            | L::Date
            | L::Time
            | L::Timestamp
            | L::TimestampWithZone
            | L::Uuid
    )
}

#[cfg(test)]
fn reads_back(class: Canonical, text: &str, cell: &Cell) -> bool {
    let mut left = Vec::new();
    let mut right = Vec::new();
    let form = Cell::TextForm(bytes::Bytes::copy_from_slice(text.as_bytes()));
    canonical::write_framed(class, &form, &mut left).is_ok()
        && canonical::write_framed(class, cell, &mut right).is_ok()
        && left == right
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn text(class: Canonical, cell: &Cell) -> Result<String, Refused> {
        let mut scratch = String::new();
        let found = of(class, cell, &mut scratch)?.unwrap();
        Ok(String::from_utf8(found.to_vec()).unwrap())
    }

    #[test]
    fn a_decimal_is_shown_without_the_scale_that_only_the_other_store_gave_it() {
        let zeros = "0".repeat(30);
        for (form, expected) in [
            (format!("12.5{}", &zeros[1..]), "12.5"),
            (format!("-3.{zeros}"), "-3"),
            (
                format!("0.{}1", &zeros[1..]),
                "0.000000000000000000000000000001",
            ),
            ("12.50".to_owned(), "12.50"),
            ("1200".to_owned(), "1200"),
        ] {
            let cell = Cell::TextForm(form.into());
            assert_eq!(text(Canonical::Decimal, &cell).unwrap(), expected);
        }
    }

    #[test]
    fn the_year_0_of_other_engines_is_1_bc() {
        for (class, form, expected) in [
            (Canonical::Date, "0000-05-06", "0001-05-06 BC"),
            (
                Canonical::TimestampWithZone,
                "0000-01-01 00:00:00.5+00",
                "0001-01-01 00:00:00.5+00 BC",
            ),
            (
                Canonical::Timestamp,
                "0001-01-01 00:00:00",
                "0001-01-01 00:00:00",
            ),
            (Canonical::Text, "0000-05-06", "0000-05-06"),
        ] {
            for cell in [Cell::TextForm(form.into()), Cell::Text(form.into())] {
                assert_eq!(text(class, &cell).unwrap(), expected);
            }
        }
    }

    #[test]
    fn values_are_written_in_the_class_of_their_column() {
        let blob = Cell::Blob(Bytes::from_static(&[0, 0xab]));
        for (class, cell, expected) in [
            (Canonical::Boolean, Cell::Integer(1), "t"),
            (Canonical::Integer, Cell::Real(3.0), "3"),
            (
                Canonical::Float64,
                Cell::Real(f64::NEG_INFINITY),
                "-Infinity",
            ),
            (Canonical::Float64, Cell::Real(f64::NAN), "NaN"),
            (Canonical::Float32, Cell::Real(f64::from(0.1_f32)), "0.1"),
            (Canonical::Decimal, Cell::Real(19.99), "19.99"),
            (Canonical::Bytes, blob.clone(), "\\x00ab"),
            (Canonical::Exact, blob, "\\x00ab"),
        ] {
            assert_eq!(text(class, &cell).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_has_no_such_form_is_refused() {
        let t = |b: &'static [u8]| Cell::Text(Bytes::from_static(b));
        for (class, cell, why) in [
            (Canonical::Boolean, Cell::Integer(2), Refused::Class),
            (Canonical::Integer, Cell::Real(1.5), Refused::Class),
            (Canonical::Integer, t(b"1.5"), Refused::Class),
            (Canonical::Text, Cell::Integer(1), Refused::Class),
            (Canonical::Bytes, t(b"abc"), Refused::Class),
            (Canonical::Timestamp, t(b"yesterday"), Refused::Class),
            (Canonical::Timestamp, Cell::Integer(5), Refused::Class),
            (Canonical::Text, t(b"a\0b"), Refused::Zero),
            (Canonical::Text, t(b"\xff"), Refused::Encoding),
            (Canonical::Text, Cell::Unchanged, Refused::Unchanged),
        ] {
            assert_eq!(text(class, &cell), Err(why));
        }
    }

    proptest! {
        #[test]
        fn doubles_read_back_to_the_bit(bits in any::<u64>()) {
            let cell = Cell::Real(f64::from_bits(bits));
            let written = text(Canonical::Float64, &cell).unwrap();
            prop_assert!(reads_back(Canonical::Float64, &written, &cell), "{}", written);
        }

        #[test]
        fn integers_read_back(value in any::<i64>()) {
            let written = text(Canonical::Integer, &Cell::Integer(value)).unwrap();
            prop_assert_eq!(crossfade_model::text_form::integer(written.as_bytes()), Some(value));
        }
    }
}
