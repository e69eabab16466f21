//! Cells of any source as SQLite values.

use crossfade_model::{Canonical, Cell, LogicalType, TableMapping, hex, key, text_form};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};

use crate::affinity::{Affinity, affinity};
use crate::sql::names::same_name;

/// How the text form of a source column becomes a SQLite value. Values of SQLite's own classes stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conversion {
    Text,
    Boolean,
    Integer,
    Single,
    Double,
    Bytes,
    /// A decimal that identifies a row: 1.0 and 1.00 are one key on the source, and must be one text here.
    KeyDecimal,
    /// A decimal in a column in which SQLite would make a number of its text: cut to a double's digits where it has a point,
    /// even one with zeros only behind it.
    Number,
    /// A time, whose seconds have no zeros at their end: a server prints as many digits as its column has, and what was
    /// written here came with as many as it needed.
    Moment,
}

/// The value does not fit the column's type. Never carries the value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unfit;

/// The conversions of a mapping's columns.
pub(crate) fn conversions(mapping: &TableMapping) -> Vec<Conversion> {
    let key = mapping.source.key_places();
    mapping
        .source
        .captured()
        .zip(&mapping.columns)
        .enumerate()
        .map(|(index, (column, mapped))| match column.logical {
            _ if matches!(
                mapped.canonical,
                Canonical::Time | Canonical::Timestamp | Canonical::TimestampWithZone
            ) =>
            {
                Conversion::Moment
            }
            LogicalType::Boolean => Conversion::Boolean,
            LogicalType::Integer { .. } => Conversion::Integer,
            LogicalType::Float { bits: 32 } => Conversion::Single,
            LogicalType::Float { .. } => Conversion::Double,
            LogicalType::Bytes => Conversion::Bytes,
            LogicalType::Decimal if makes_numbers(mapping, &mapped.target) => Conversion::Number,
            // with a declared scale one value has one text
            LogicalType::Decimal if key.contains(&index) && !column.declared.contains('(') => {
                Conversion::KeyDecimal
            }
            _ => Conversion::Text,
        })
        .collect()
}

/// True where the target's column turns texts into numbers.
fn makes_numbers(mapping: &TableMapping, name: &str) -> bool {
    let mut columns = mapping.target.columns.iter();
    columns
        .find(|column| same_name(&column.name, name))
        .is_some_and(|column| {
            matches!(
                affinity(&column.declared, false),
                Affinity::Numeric | Affinity::Integer | Affinity::Real
            )
        })
}

/// True where one of these places has times, which whoever writes here may spell otherwise.
pub(crate) fn has_moment(conversions: &[Conversion], places: &[usize]) -> bool {
    places
        .iter()
        .any(|&at| conversions.get(at) == Some(&Conversion::Moment))
}

/// A time as it is written here, with zeros up to so many digits of its seconds; `None` for what is no time, or has as many.
pub(crate) fn spelled(
    conversion: Conversion,
    value: &ToSqlOutput<'_>,
    digits: usize,
) -> Option<String> {
    let text = match (conversion, value) {
        (Conversion::Moment, ToSqlOutput::Borrowed(ValueRef::Text(text))) => {
            std::str::from_utf8(text).ok()?
        }
        (Conversion::Moment, ToSqlOutput::Owned(Value::Text(text))) => text,
        _ => return None,
    };
    // the seconds are behind the second colon
    let clock = text.find(':')?;
    let seconds = clock + 1 + text[clock + 1..].find(':')? + 1;
    let rest = text.get(seconds + 2..)?;
    let (fraction, behind) = match rest.strip_prefix('.') {
        Some(fraction) => {
            let end = fraction.find(|c: char| !c.is_ascii_digit());
            fraction.split_at(end.unwrap_or(fraction.len()))
        }
        None => ("", rest),
    };
    (fraction.len() < digits).then(|| {
        let before = &text[..seconds + 2];
        format!("{before}.{fraction:0<digits$}{behind}")
    })
}

/// The value to bind.
///
/// # Errors
/// A text form that is not of its type, and a column that the image lacks.
pub(crate) fn convert(conversion: Conversion, cell: &Cell) -> Result<ToSqlOutput<'_>, Unfit> {
    Ok(ToSqlOutput::Borrowed(match cell {
        Cell::Null => ValueRef::Null,
        Cell::Unchanged | Cell::Unfit(_) => return Err(Unfit),
        Cell::Integer(i) => ValueRef::Integer(*i),
        Cell::Real(r) => ValueRef::Real(*r),
        Cell::Text(t) => ValueRef::Text(t),
        Cell::Blob(b) => ValueRef::Blob(b),
        Cell::TextForm(text) => return convert_text(conversion, text).ok_or(Unfit),
    }))
}

fn convert_text(conversion: Conversion, text: &[u8]) -> Option<ToSqlOutput<'_>> {
    let value = match conversion {
        Conversion::Text => ValueRef::Text(text),
        Conversion::Boolean => ValueRef::Integer(i64::from(text_form::boolean(text)?)),
        Conversion::Integer => ValueRef::Integer(text_form::integer(text)?),
        Conversion::Single => real(f64::from(text_form::single(text)?)),
        Conversion::Double => real(text_form::double(text)?),
        Conversion::Bytes => {
            return Some(ToSqlOutput::Owned(Value::Blob(text_form::hex_bytes(text)?)));
        }
        Conversion::Moment => return Some(with_minutes(without_zeros(text))),
        Conversion::Number => return number(text).map(ToSqlOutput::Owned),
        Conversion::KeyDecimal => {
            return Some(ToSqlOutput::Owned(Value::Text(text_form::decimal(text)?)));
        }
    };
    Some(ToSqlOutput::Borrowed(value))
}

/// A decimal as SQLite's own number; `None` where it has none that is equal.
fn number(text: &[u8]) -> Option<Value> {
    let decimal = text_form::decimal(text)?;
    if let Ok(integer) = decimal.parse() {
        return Some(Value::Integer(integer));
    }
    let real: f64 = decimal.parse().ok()?;
    match real.is_finite() {
        true => {
            let held = text_form::decimal(format!("{real:?}").as_bytes())?;
            (held == decimal).then_some(Value::Real(real))
        }
        // as a text, which no affinity changes
        false if real.is_nan() => Some(Value::Text(decimal)),
        false => matches!(text, b"Infinity" | b"-Infinity").then_some(Value::Real(real)),
    }
}

/// A time's text without zeros at the end of its seconds' fraction, whatever stands behind that (a zone, BC).
fn without_zeros(text: &[u8]) -> ToSqlOutput<'_> {
    let whole = ToSqlOutput::Borrowed(ValueRef::Text(text));
    let Some(point) = text.iter().position(|c| *c == b'.') else {
        return whole;
    };
    let (before, fraction) = text.split_at(point);
    let digits = 1 + fraction[1..]
        .iter()
        .take_while(|c| c.is_ascii_digit())
        .count();
    let (fraction, behind) = fraction.split_at(digits);
    let kept = fraction
        .iter()
        .rposition(|c| !matches!(c, b'0' | b'.'))
        .map_or(0, |last| last + 1);
    if kept == fraction.len() {
        return whole;
    }
    let text = [before, &fraction[..kept], behind].concat();
    // digits, and what was text before
    match String::from_utf8(text) {
        Ok(text) => ToSqlOutput::Owned(Value::Text(text)),
        Err(_) => whole,
    }
}

/// A time's zone with minutes, as SQLite's own functions read it (SQLite documentation, "Date And Time Functions", "Time Values"): PostgreSQL
/// writes `+00`.
fn with_minutes(time: ToSqlOutput<'_>) -> ToSqlOutput<'_> {
    let text = match &time {
        ToSqlOutput::Borrowed(ValueRef::Text(text)) => *text,
        ToSqlOutput::Owned(Value::Text(text)) => text.as_bytes(),
        _ => return time,
    };
    let [before @ .., b'+' | b'-', tens, ones] = text else {
        return time;
    };
    if !before.contains(&b':') || !tens.is_ascii_digit() || !ones.is_ascii_digit() {
        return time;
    }
    match String::from_utf8([text, b":00"].concat()) {
        Ok(text) => ToSqlOutput::Owned(Value::Text(text)),
        Err(_) => time,
    }
}

/// A value of any store as SQLite would hand it over from a column of this type; `None` where it is not of that type.
pub(crate) fn own_form(logical: LogicalType, cell: &Cell) -> Option<Cell> {
    let Cell::TextForm(text) = cell else {
        return (!matches!(cell, Cell::Unchanged | Cell::Unfit(_))).then(|| cell.clone());
    };
    Some(match logical {
        LogicalType::Boolean => Cell::Integer(i64::from(text_form::boolean(text)?)),
        LogicalType::Integer { .. } => Cell::Integer(text_form::integer(text)?),
        LogicalType::Float { .. } => Cell::Real(text_form::double(text)?),
        LogicalType::Bytes => Cell::Blob(text_form::hex_bytes(text)?.into()),
        // NUMERIC affinity keeps what is an integer as one (SQLite documentation, "Datatypes in SQLite", section 3)
        LogicalType::Decimal => match number(text) {
            Some(Value::Integer(integer)) => Cell::Integer(integer),
            _ => Cell::Real(text_form::double(text)?),
        },
        _ => Cell::Text(text.clone()),
    })
}

/// SQLite makes NULL of a NaN: it is kept as its text.
fn real(value: f64) -> ValueRef<'static> {
    if value.is_nan() {
        ValueRef::Text(b"NaN")
    } else {
        ValueRef::Real(value)
    }
}

/// The encoded key of a target row in the source's own order, for a range of keys whose texts SQLite orders otherwise (years
/// beyond 9999, BC). `None` for a value that is no key.
pub(crate) fn source_key<'a>(
    columns: impl Iterator<Item = (LogicalType, ValueRef<'a>)>,
) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for (logical, value) in columns {
        let text: Vec<u8> = match (logical, value) {
            (LogicalType::Boolean, ValueRef::Integer(i)) => if i == 0 { "f" } else { "t" }.into(),
            (_, ValueRef::Integer(i)) => i.to_string().into_bytes(),
            (_, ValueRef::Real(r)) => float_text(r).into_bytes(),
            (_, ValueRef::Text(t)) => t.to_vec(),
            (_, ValueRef::Blob(b)) => format!("\\x{}", hex::encode(b)).into_bytes(),
            (_, ValueRef::Null) => return None,
        };
        key::encode(logical, &Cell::TextForm(text.into()), &mut out).ok()?;
    }
    Some(out)
}

fn float_text(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    format!("{value:?}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;

    fn value(conversion: Conversion, text: &'static str) -> Option<Value> {
        let cell = Cell::TextForm(Bytes::from_static(text.as_bytes()));
        match convert(conversion, &cell).ok()? {
            ToSqlOutput::Borrowed(v) => Value::try_from(v).ok(),
            ToSqlOutput::Owned(v) => Some(v),
            _ => None,
        }
    }

    #[test]
    fn text_forms_become_values_exactly_or_not_at_all() {
        use Conversion::*;
        for (conversion, text, expected) in [
            (Boolean, "t", Value::Integer(1)),
            (Integer, "-9223372036854775808", Value::Integer(i64::MIN)),
            (Single, "0.1", Value::Real(f64::from(0.1_f32))),
            (Double, "0.1", Value::Real(0.1)),
            (Double, "NaN", Value::Text("NaN".into())),
            (Double, "-Infinity", Value::Real(f64::NEG_INFINITY)),
            (Bytes, "\\x00ff", Value::Blob(vec![0, 255])),
            (KeyDecimal, "1.00", Value::Text("1".into())),
            (
                Number,
                "9223372036854775807.000000",
                Value::Integer(i64::MAX),
            ),
            (Number, "-1.50", Value::Real(-1.5)),
            (Number, "0.00", Value::Integer(0)),
            (
                Number,
                "18446744073709552000",
                Value::Real(18_446_744_073_709_551_616.0),
            ),
            (Text, "1.00", Value::Text("1.00".into())),
            (Moment, "12:00:00.000000", Value::Text("12:00:00".into())),
            (Moment, "12:00:00.", Value::Text("12:00:00".into())),
            (
                Moment,
                "2024-01-01 12:00:00.050+00",
                Value::Text("2024-01-01 12:00:00.05+00:00".into()),
            ),
            (Moment, "12:00:00-05", Value::Text("12:00:00-05:00".into())),
            (
                Moment,
                "12:00:00+05:30",
                Value::Text("12:00:00+05:30".into()),
            ),
            (Moment, "2024-01-01", Value::Text("2024-01-01".into())),
            (
                Moment,
                "0044-03-15 12:00:10.5 BC",
                Value::Text("0044-03-15 12:00:10.5 BC".into()),
            ),
            (Moment, "infinity", Value::Text("infinity".into())),
        ] {
            assert_eq!(value(conversion, text), Some(expected), "{text}");
        }
        for (conversion, text) in [
            (Boolean, "maybe"),
            (Integer, "9223372036854775808"),
            (Bytes, "00"),
            (Double, "x"),
            // a double would hold another number
            (Number, "9223372036854775808"),
            (Number, "0.30000000000000000004"),
            (Number, "1e400"),
        ] {
            assert_eq!(value(conversion, text), None, "{text}");
        }
        assert_eq!(convert(Text, &Cell::Unchanged).unwrap_err(), Unfit);
    }

    #[test]
    fn a_time_has_other_spellings() {
        let of = |text: &'static str, digits| {
            let value = ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()));
            spelled(Conversion::Moment, &value, digits)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            of("2024-01-01 12:00:00", 3),
            some("2024-01-01 12:00:00.000")
        );
        assert_eq!(of("12:00:00.05", 6), some("12:00:00.050000"));
        assert_eq!(of("12:00:00.05+00", 3), some("12:00:00.050+00"));
        assert_eq!(
            of("2024-01-01 12:00:00+00", 1),
            some("2024-01-01 12:00:00.0+00")
        );
        assert_eq!(of("12:00:00.05", 2), None);
        assert_eq!(of("infinity", 6), None);
        assert_eq!(of("12:00", 6), None);
    }

    #[test]
    fn a_target_row_has_the_key_that_its_source_row_has() {
        for (logical, text, value) in [
            (
                LogicalType::Timestamp,
                "10000-01-01 00:00:00",
                Value::Text("10000-01-01 00:00:00".into()),
            ),
            (LogicalType::Integer { bits: 64 }, "-5", Value::Integer(-5)),
            (LogicalType::Boolean, "t", Value::Integer(1)),
            (LogicalType::Bytes, "\\x00", Value::Blob(vec![0])),
            (LogicalType::Float { bits: 64 }, "2", Value::Real(2.0)),
        ] {
            let mut expected = Vec::new();
            let cell = Cell::TextForm(Bytes::copy_from_slice(text.as_bytes()));
            key::encode(logical, &cell, &mut expected).unwrap();
            let found = source_key([(logical, ValueRef::from(&value))].into_iter());
            assert_eq!(found, Some(expected), "{text}");
        }
    }
}
