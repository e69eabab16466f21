//! The text in which the values of a pair of columns are compared.

use rusqlite::types::ValueRef;

use super::read::Column;
use crate::database::Dialect;
use crate::sqlite::hexadecimal;

/// How the values of one pair of columns are written, so that equal values have equal text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Both sides are PostgreSQL: the type's own text.
    PostgresText,
    /// Both sides are SQLite: the storage class and the value.
    SqliteValue,
    /// `true` or `false`.
    Boolean,
    /// Decimal digits.
    Integer,
    /// The bits of a single, both zeros one.
    Single,
    /// The bits of a double, both zeros one.
    Double,
    /// Decimal digits without needless zeros.
    Decimal,
    /// Hexadecimal digits.
    Bytes,
    /// A date or a time.
    Moment,
    /// A date and a time, without zone (which is UTC).
    Stamp,
    /// Lower-case digits with dashes.
    Uuid,
    /// The text itself.
    Text,
}

impl Form {
    /// The form for a pair of columns.
    #[must_use]
    pub fn of(one: &Column, other: &Column) -> Self {
        let postgres = match (one.dialect, other.dialect) {
            (Dialect::Postgres, Dialect::Postgres) => return Self::PostgresText,
            (Dialect::Sqlite, Dialect::Sqlite) => return Self::SqliteValue,
            (Dialect::Postgres, _) => one,
            (_, Dialect::Postgres) => other,
            (Dialect::Mysql, _) => return Self::of_mysql_kind(&one.kind),
            (_, Dialect::Mysql) => return Self::of_mysql_kind(&other.kind),
        };
        match postgres.kind.as_str() {
            "boolean" => Self::Boolean,
            "smallint" | "integer" | "bigint" | "oid" => Self::Integer,
            "real" => Self::Single,
            "double precision" => Self::Double,
            "numeric" => Self::Decimal,
            "bytea" => Self::Bytes,
            "uuid" => Self::Uuid,
            kind if kind.starts_with("timestamp") => Self::Stamp,
            kind if kind.starts_with("date") || kind.starts_with("time") => Self::Moment,
            _ => Self::Text,
        }
    }

    /// The form for a column of MySQL beside one of any engine but PostgreSQL.
    fn of_mysql_kind(kind: &str) -> Self {
        match kind {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" => Self::Integer,
            "float" => Self::Single,
            "double" => Self::Double,
            "decimal" => Self::Decimal,
            "datetime" | "timestamp" => Self::Stamp,
            "date" | "time" => Self::Moment,
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" | "bit"
            | "geometry" | "point" => Self::Bytes,
            _ => Self::Text,
        }
    }

    /// The text of a value that MySQL or MariaDB sent.
    pub(super) fn of_mysql(self, value: &[u8]) -> String {
        if self == Self::Bytes {
            return hexadecimal(value);
        }
        let Ok(text) = std::str::from_utf8(value) else {
            return format!("? not UTF-8, {}", hexadecimal(value));
        };
        let written = match self {
            Self::Boolean => match text {
                "1" => Some("true".to_owned()),
                "0" => Some("false".to_owned()),
                _ => None,
            },
            Self::Single => text.parse().ok().map(single),
            Self::Double => text.parse().ok().map(double),
            Self::Decimal => decimal(text),
            Self::Moment => Some(moment(text)),
            Self::Stamp => Some(stamp(text)),
            Self::Uuid => Some(text.to_lowercase()),
            _ => Some(text.to_owned()),
        };
        written.unwrap_or_else(|| format!("? {text}"))
    }

    /// The text of a value that PostgreSQL wrote as `text`.
    pub(super) fn of_postgres(self, text: &str) -> String {
        let written = match self {
            Self::Boolean => match text {
                "t" => Some("true".to_owned()),
                "f" => Some("false".to_owned()),
                _ => None,
            },
            Self::Single => text.parse().ok().map(single),
            Self::Double => text.parse().ok().map(double),
            Self::Decimal => decimal(text),
            Self::Bytes => text.strip_prefix("\\x").map(str::to_owned),
            Self::Moment => Some(moment(text)),
            Self::Stamp => Some(stamp(text)),
            Self::PostgresText | Self::SqliteValue | Self::Integer | Self::Uuid | Self::Text => {
                Some(text.to_owned())
            }
        };
        written.unwrap_or_else(|| format!("? {text}"))
    }

    /// The text of a value of SQLite; `None` for NULL.
    pub(super) fn of_sqlite(self, value: ValueRef<'_>) -> Option<String> {
        if matches!(value, ValueRef::Null) {
            return None;
        }
        Some(
            self.written(value)
                .unwrap_or_else(|| format!("? {}", exact(value))),
        )
    }

    fn written(self, value: ValueRef<'_>) -> Option<String> {
        let text = match value {
            ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        };
        match (self, value) {
            (Self::SqliteValue, _) => Some(exact(value)),
            (Self::Boolean, ValueRef::Integer(0)) => Some("false".to_owned()),
            (Self::Boolean, ValueRef::Integer(1)) => Some("true".to_owned()),
            (Self::Integer, ValueRef::Integer(integer)) => Some(integer.to_string()),
            (Self::Decimal, ValueRef::Integer(integer)) => decimal(&integer.to_string()),
            (Self::Single, ValueRef::Integer(integer)) => Some(single(integer as f32)),
            (Self::Double, ValueRef::Integer(integer)) => Some(double(integer as f64)),
            (Self::Single, ValueRef::Real(real)) => {
                (f64::from(real as f32) == real || real.is_nan()).then(|| single(real as f32))
            }
            (Self::Double, ValueRef::Real(real)) => Some(double(real)),
            (Self::Decimal, ValueRef::Real(real)) => decimal(&real.to_string()),
            (Self::Single, ValueRef::Text(_)) => text?.parse().ok().map(single),
            (Self::Double, ValueRef::Text(_)) => text?.parse().ok().map(double),
            (Self::Decimal, ValueRef::Text(_)) => decimal(text?),
            (Self::Bytes, ValueRef::Blob(bytes)) => Some(hexadecimal(bytes)),
            (Self::Moment, ValueRef::Text(_)) => text.map(moment),
            (Self::Stamp, ValueRef::Text(_)) => text.map(stamp),
            (Self::Uuid, ValueRef::Text(_)) => text.map(str::to_lowercase),
            (Self::Uuid, ValueRef::Blob(bytes)) if bytes.len() == 16 => {
                let digits = hexadecimal(bytes);
                Some(format!(
                    "{}-{}-{}-{}-{}",
                    &digits[..8],
                    &digits[8..12],
                    &digits[12..16],
                    &digits[16..20],
                    &digits[20..]
                ))
            }
            (Self::Text | Self::PostgresText, ValueRef::Text(_)) => text.map(str::to_owned),
            _ => None,
        }
    }
}

fn exact(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "null".to_owned(),
        ValueRef::Integer(integer) => format!("integer {integer}"),
        ValueRef::Real(real) => format!("real {:016x}", real.to_bits()),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => format!("text {text}"),
            Err(_) => format!("text, not UTF-8, {}", hexadecimal(bytes)),
        },
        ValueRef::Blob(bytes) => format!("blob {}", hexadecimal(bytes)),
    }
}

fn single(value: f32) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    // adding zero takes the sign from -0, which a SQLite column of REAL affinity does not keep
    format!("{:08x}", (value + 0.0).to_bits())
}

fn double(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    format!("{:016x}", (value + 0.0).to_bits())
}

/// Digits without needless zeros; `None` where it is no decimal.
fn decimal(text: &str) -> Option<String> {
    let text = text.trim();
    if matches!(text, "NaN" | "Infinity" | "-Infinity") {
        return Some(text.to_owned());
    }
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: String = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut point = i64::try_from(whole.len()).ok()? + exponent;
    let leading = digits.len() - digits.trim_start_matches('0').len();
    point -= i64::try_from(leading).ok()?;
    let digits = digits.trim_matches('0');
    if digits.is_empty() {
        return Some("0".to_owned());
    }
    // 0.DIGITS times ten to the power of `point`: unique for each value
    Some(format!("{sign}0.{digits}e{point}"))
}

/// A date, a time or both, in PostgreSQL's ISO form without zone and without needless zeros of the second's fraction.
fn moment(text: &str) -> String {
    let text = text.trim();
    let (text, era) = match text.strip_suffix(" BC") {
        Some(text) => (text, " BC"),
        None => (text, ""),
    };
    let mut text = text.replacen('T', " ", 1);
    for zone in ["+00:00", "+00", "Z", " UTC"] {
        if let Some(without) = text.strip_suffix(zone) {
            text = without.to_owned();
            break;
        }
    }
    if text.contains('.') {
        let short = text.trim_end_matches('0').trim_end_matches('.').len();
        text.truncate(short);
    }
    // seconds may be left out
    let clock = text.rsplit(' ').next().unwrap_or_default();
    if clock.bytes().filter(|byte| *byte == b':').count() == 1 {
        text.push_str(":00");
    }
    text + era
}

/// As [`moment`]; a date alone is its midnight.
fn stamp(text: &str) -> String {
    let text = moment(text);
    let is_day = text.starts_with(|first: char| first.is_ascii_digit()) && !text.contains(':');
    match (is_day, text.strip_suffix(" BC")) {
        (false, _) => text,
        (true, Some(day)) => format!("{day} 00:00:00 BC"),
        (true, None) => text + " 00:00:00",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_equal_text() {
        for (one, other) in [
            ("1.50", "1.5"),
            ("-0.00", "0"),
            ("1e3", "1000"),
            ("0012.0e-1", "1.2"),
            ("0.001", "1E-3"),
        ] {
            assert_eq!(decimal(one), decimal(other), "{one} {other}");
        }
        assert_ne!(decimal("1.5"), decimal("-1.5"));
        assert_ne!(decimal("15"), decimal("1.5"));
        assert_ne!(decimal("1.05"), decimal("1.5"));
        assert_eq!(decimal("1.5 "), decimal("1.5"));
        assert_eq!(decimal("x"), None);
        assert_eq!(
            moment("2024-05-06 07:08:09.100+00"),
            moment("2024-05-06T07:08:09.1Z")
        );
        assert_ne!(
            moment("0044-03-15 00:00:00 BC"),
            moment("0044-03-15 00:00:00")
        );
        assert_eq!(moment("12:30"), moment("12:30:00.000"));
        assert_eq!(stamp("2024-05-06"), stamp("2024-05-06T00:00"));
        assert_eq!(stamp("0044-03-15 BC"), stamp("0044-03-15 00:00:00 BC"));
        assert_eq!(stamp("infinity"), "infinity");
        assert_ne!(moment("2024-05-06"), moment("2024-05-06 00:00:00"));
        assert_eq!(double(-0.0), double(0.0));
        assert_ne!(double(0.1), double(0.1 + f64::EPSILON));
    }

    #[test]
    fn values_of_the_wrong_class_never_look_equal() {
        let text = ValueRef::Text(b"1");
        assert_eq!(Form::Integer.of_sqlite(text).unwrap(), "? text 1");
        assert_eq!(Form::Integer.of_postgres("1"), "1");
        assert_eq!(Form::Bytes.of_sqlite(text).unwrap(), "? text 1");
        assert_ne!(
            Form::SqliteValue.of_sqlite(ValueRef::Integer(1)),
            Form::SqliteValue.of_sqlite(ValueRef::Real(1.0))
        );
        assert_ne!(
            Form::SqliteValue.of_sqlite(text),
            Form::SqliteValue.of_sqlite(ValueRef::Blob(b"1"))
        );
    }
}
