//! Cells as SQL literals, and values that the server sends as cells.
//!
//! # The form of this store's cells
//! A cell is the text that the server prints under the session's settings ([`Cell::TextForm`]), but for bytes and geometry
//! ([`Cell::Blob`]). Numbers have no zeros before them that `ZEROFILL` asks for. A `timestamp` has `+00` behind it, so that it is an instant; `bit` is its binary digits; a `float` is the
//! text of the double that it is widened to, for the server prints fewer digits than it has.

use std::fmt::Write as _;

use bytes::Bytes;
use crossfade_model::{Canonical, Cell, Value, hex, text_form};

use crate::json_decimals;
use crate::moment;
use crate::types::Kind;

/// Why a value cannot be written. Never carries the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("a value is not of its column's type")]
    Class,
    #[error("a value is beyond what the column's type holds")]
    Range,
    #[error("a value has more digits behind the point than the column, which would round it")]
    Digits,
    #[error("a text is not valid UTF-8")]
    Encoding,
    #[error("a column is not in the change's image")]
    Unchanged,
    #[error("the mapping has no result for the row")]
    Unfit,
}

/// The expression that reads a column so that nothing of its value is lost.
pub(crate) fn selected(name: &str, kind: Kind) -> String {
    match kind {
        Kind::Single => format!("CAST({name} AS DOUBLE)"),
        _ => name.to_owned(),
    }
}

/// A value as the server sent it. `instant`: the column is compared as an instant, whatever its own type.
pub(crate) fn cell(kind: Kind, instant: bool, value: mysql_async::Value) -> Cell {
    let bytes = match value {
        mysql_async::Value::NULL => return Cell::Null,
        mysql_async::Value::Bytes(bytes) => bytes,
        // the text protocol sends nothing else; a form that nobody reads as a value
        other => other.as_sql(true).into_bytes(),
    };
    match kind {
        Kind::Bytes { .. } | Kind::Formed => Cell::Blob(bytes.into()),
        Kind::Bit { width } => Cell::TextForm(binary_digits(&bytes, width).into()),
        Kind::Integer { .. } | Kind::Decimal { .. } => Cell::TextForm(without_fill(bytes).into()),
        Kind::Timestamp { .. } => zoned(bytes),
        Kind::Datetime { .. } if instant => zoned(bytes),
        _ => Cell::TextForm(Bytes::from(bytes)),
    }
}

/// A number without the zeros that ZEROFILL puts before it, which the log does not have.
fn without_fill(mut text: Vec<u8>) -> Vec<u8> {
    let zeros = text.iter().take_while(|c| **c == b'0').count();
    // one stays where no digit follows
    let next = text.get(zeros).is_some_and(u8::is_ascii_digit);
    text.drain(..if next { zeros } else { zeros.saturating_sub(1) });
    text
}

/// An instant from the server's text of it.
pub(crate) fn zoned(mut text: Vec<u8>) -> Cell {
    text.extend_from_slice(b"+00");
    Cell::TextForm(text.into())
}

/// A bit field's digits.
pub(crate) fn binary_digits(bytes: &[u8], width: u32) -> String {
    let all: String = bytes.iter().map(|b| format!("{b:08b}")).collect();
    let width = (width as usize).min(all.len());
    all[all.len() - width..].to_owned()
}

/// A cell of any store as a literal for a column.
///
/// # Errors
/// [`Refused`]: what the column would change, it does not get.
pub(crate) fn write_literal(
    kind: Kind,
    class: Canonical,
    cell: &Cell,
    out: &mut String,
) -> Result<(), Refused> {
    let value = match cell {
        Cell::Null => {
            out.push_str("NULL");
            return Ok(());
        }
        Cell::Unchanged => return Err(Refused::Unchanged),
        Cell::Unfit(_) => return Err(Refused::Unfit),
        _ => cell.value().ok_or(Refused::Class)?,
    };
    match kind {
        Kind::Integer { bits, unsigned } => integer(value, class, bits, unsigned, out),
        Kind::Year => {
            let mut year = String::new();
            integer(value, class, 16, false, &mut year)?;
            // a text `0` would be 2000 (MySQL documentation, "The YEAR Type")
            push(out, format_args!("{year:0>4}"));
            Ok(())
        }
        Kind::Decimal { whole, scale } => decimal(value, whole, scale, out),
        Kind::Single => {
            let single = value
                .single()
                .filter(|s| s.is_finite())
                .ok_or(Refused::Class)?;
            push(out, format_args!("{:e}", f64::from(single)));
            Ok(())
        }
        Kind::Double => {
            let double = value
                .double()
                .filter(|d| d.is_finite())
                .ok_or(Refused::Class)?;
            push(out, format_args!("{double:e}"));
            Ok(())
        }
        Kind::Bytes { padded, length } => bytes(value, class, padded, length, out),
        Kind::Formed => bytes(value, class, false, u64::MAX, out),
        Kind::Bit { width } => bit(value, class, width, out),
        Kind::Date => date(value, class, out),
        Kind::Datetime { digits } | Kind::Timestamp { digits } => {
            instant(value, class, digits, out)
        }
        Kind::Time { digits } => time(value, class, digits, out),
        Kind::Uuid => uuid(value, out),
        Kind::Json => json(value, class, out),
        Kind::Text { .. } | Kind::Word | Kind::Other => text(value, class, out),
    }
}

/// A value of any store as this one would hand it over from a column; `None` where it has none like it.
pub(crate) fn own_form(kind: Kind, cell: &Cell) -> Option<Cell> {
    let value = match cell {
        Cell::Null => return Some(Cell::Null),
        Cell::Unchanged | Cell::Unfit(_) => return None,
        _ => cell.value()?,
    };
    let text = |text: String| Some(Cell::TextForm(text.into()));
    match kind {
        Kind::Bytes { .. } | Kind::Formed => match value {
            Value::Blob(_) => Some(cell.clone()),
            _ => text_form::hex_bytes(value.text()?).map(|b| Cell::Blob(b.into())),
        },
        Kind::Integer { .. } | Kind::Year => match value.boolean() {
            Some(truth) if value.integer().is_none() => text(u8::from(truth).to_string()),
            _ => value.decimal().and_then(text),
        },
        Kind::Decimal { .. } => value.decimal().and_then(text),
        Kind::Single => text(format!("{:?}", f64::from(value.single()?))),
        Kind::Double => text(format!("{:?}", value.double()?)),
        _ => match value {
            Value::Integer(i) => text(i.to_string()),
            Value::Real(r) => text(format!("{r:?}")),
            Value::Blob(_) | Value::Unfit(_) => None,
            Value::Text(t) | Value::TextForm(t) => Some(Cell::TextForm(Bytes::copy_from_slice(t))),
        },
    }
}

/// Writing to a String cannot fail.
fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _infallible = out.write_fmt(arguments);
}

fn integer(
    value: Value<'_>,
    class: Canonical,
    bits: u8,
    unsigned: bool,
    out: &mut String,
) -> Result<(), Refused> {
    let number: i128 = match class {
        Canonical::Boolean => i128::from(value.boolean().ok_or(Refused::Class)?),
        _ => match value.integer() {
            Some(number) => i128::from(number),
            // beyond a signed integer: decimal digits alone
            None => value
                .text()
                .and_then(|t| std::str::from_utf8(t).ok())
                .and_then(|t| t.parse().ok())
                .or_else(|| value.decimal()?.parse().ok())
                .ok_or(Refused::Class)?,
        },
    };
    let (low, high) = if unsigned {
        (0, (1_i128 << bits) - 1)
    } else {
        (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1)
    };
    if !(low..=high).contains(&number) {
        return Err(Refused::Range);
    }
    push(out, format_args!("{number}"));
    Ok(())
}

fn decimal(value: Value<'_>, whole: u32, scale: u32, out: &mut String) -> Result<(), Refused> {
    let text = value.decimal().ok_or(Refused::Class)?;
    let digits = text.strip_prefix('-').unwrap_or(&text);
    let (before, behind) = digits.split_once('.').unwrap_or((digits, ""));
    if !before.bytes().all(|c| c.is_ascii_digit()) {
        // NaN and the infinities
        return Err(Refused::Range);
    }
    if before.trim_start_matches('0').len() > whole as usize {
        return Err(Refused::Range);
    }
    if behind.len() > scale as usize {
        return Err(Refused::Digits);
    }
    out.push_str(&text);
    Ok(())
}

fn bytes(
    value: Value<'_>,
    class: Canonical,
    padded: bool,
    length: u64,
    out: &mut String,
) -> Result<(), Refused> {
    let owned;
    let bytes: &[u8] = match (value, class) {
        (Value::Blob(bytes), _) => bytes,
        (_, Canonical::Uuid) => {
            owned = value
                .text()
                .and_then(text_form::uuid)
                .ok_or(Refused::Class)?
                .to_vec();
            &owned
        }
        (Value::TextForm(text), _) => {
            owned = text_form::hex_bytes(text).ok_or(Refused::Class)?;
            &owned
        }
        _ => return Err(Refused::Class),
    };
    // a shorter value in a padded column would come out with zeros behind it
    if bytes.len() as u64 > length || (padded && (bytes.len() as u64) < length) {
        return Err(Refused::Range);
    }
    push(out, format_args!("x'{}'", hex::encode(bytes)));
    Ok(())
}

fn bit(value: Value<'_>, class: Canonical, width: u32, out: &mut String) -> Result<(), Refused> {
    if class == Canonical::Boolean {
        let truth = value.boolean().ok_or(Refused::Class)?;
        push(out, format_args!("b'{}'", u8::from(truth)));
        return Ok(());
    }
    let digits = value
        .text()
        .and_then(|t| std::str::from_utf8(t).ok())
        .filter(|t| !t.is_empty() && t.bytes().all(|c| matches!(c, b'0' | b'1')))
        .ok_or(Refused::Class)?;
    if digits.len() != width as usize {
        return Err(Refused::Range);
    }
    push(out, format_args!("b'{digits}'"));
    Ok(())
}

/// A text that the server itself printed: its own marks alone.
fn own_moment(value: Value<'_>) -> Result<&str, Refused> {
    value
        .text()
        .and_then(|t| std::str::from_utf8(t).ok())
        .filter(|t| {
            t.bytes()
                .all(|c| c.is_ascii_digit() || matches!(c, b'-' | b':' | b'.' | b' '))
        })
        .ok_or(Refused::Class)
}

fn date(value: Value<'_>, class: Canonical, out: &mut String) -> Result<(), Refused> {
    if class == Canonical::Exact {
        push(out, format_args!("'{}'", own_moment(value)?));
        return Ok(());
    }
    let days = value
        .text()
        .and_then(text_form::date)
        .ok_or(Refused::Class)?;
    let date = moment::date(days).ok_or(Refused::Range)?;
    push(out, format_args!("'{date}'"));
    Ok(())
}

fn instant(
    value: Value<'_>,
    class: Canonical,
    digits: u32,
    out: &mut String,
) -> Result<(), Refused> {
    let text = value.text().ok_or(Refused::Class)?;
    if class == Canonical::Exact {
        let own = Value::TextForm(text.strip_suffix(b"+00").unwrap_or(text));
        push(out, format_args!("'{}'", own_moment(own)?));
        return Ok(());
    }
    let micros = match class {
        Canonical::TimestampWithZone => text_form::timestamp_with_zone(text),
        _ => text_form::timestamp(text),
    }
    .ok_or(Refused::Class)?;
    if !moment::fits(micros, digits) {
        return Err(Refused::Digits);
    }
    let written = moment::timestamp(micros, digits).ok_or(Refused::Range)?;
    push(out, format_args!("'{written}'"));
    Ok(())
}

fn time(value: Value<'_>, class: Canonical, digits: u32, out: &mut String) -> Result<(), Refused> {
    if class != Canonical::Time {
        push(out, format_args!("'{}'", own_moment(value)?));
        return Ok(());
    }
    let micros = value
        .text()
        .and_then(text_form::time)
        .ok_or(Refused::Class)?;
    if !moment::fits(micros, digits) {
        return Err(Refused::Digits);
    }
    push(out, format_args!("'{}'", moment::clock(micros, digits)));
    Ok(())
}

fn uuid(value: Value<'_>, out: &mut String) -> Result<(), Refused> {
    let bytes = match value {
        Value::Blob(bytes) => <[u8; 16]>::try_from(bytes).ok(),
        _ => value.text().and_then(text_form::uuid),
    };
    let hex = hex::encode(&bytes.ok_or(Refused::Class)?);
    push(
        out,
        format_args!(
            "'{}-{}-{}-{}-{}'",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        ),
    );
    Ok(())
}

fn text(value: Value<'_>, class: Canonical, out: &mut String) -> Result<(), Refused> {
    match class {
        Canonical::Uuid => return uuid(value, out),
        // one text per value: it may be a key
        Canonical::Decimal => {
            let text = value.decimal().ok_or(Refused::Class)?;
            push(out, format_args!("'{text}'"));
            return Ok(());
        }
        _ => {}
    }
    let text = value.text().ok_or(Refused::Class)?;
    quote(
        std::str::from_utf8(text).map_err(|_| Refused::Encoding)?,
        out,
    );
    Ok(())
}

/// A document; not always a literal.
fn json(value: Value<'_>, class: Canonical, out: &mut String) -> Result<(), Refused> {
    let document = value.text().and_then(|text| std::str::from_utf8(text).ok());
    match document.and_then(|text| json_decimals::expression(text, quote)) {
        Some(expression) => out.push_str(&expression),
        None => text(value, class, out)?,
    }
    Ok(())
}

/// A text as a literal where backslashes are plain.
fn quote(text: &str, out: &mut String) {
    out.push('\'');
    let mut rest = text;
    while let Some(at) = rest.find('\'') {
        out.push_str(&rest[..=at]);
        out.push('\'');
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('\'');
}

#[cfg(test)]
#[path = "cells_tests.rs"]
mod tests;
