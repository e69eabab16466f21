//! Default expressions of SQLite's dialect, translated where the meaning is certain.

use crossfade_model::{LogicalType, text_form};
use crossfade_store::literal::without_parentheses;

use crate::names::quote_literal;

/// The present instant as SQLite shows it: UTC, whole seconds.
const NOW: &str = "date_trunc('second', (CURRENT_TIMESTAMP AT TIME ZONE 'UTC'))";

/// The same default here for a column of this meaning; `NULL` where there is none; `None` where it is not certain.
pub fn translate(expression: &str, logical: LogicalType) -> Option<String> {
    let text = without_parentheses(expression.trim());
    if text.eq_ignore_ascii_case("null") {
        return Some("NULL".into());
    }
    if let Some(value) = string(text) {
        return literal(&value, logical);
    }
    if let Some(hex) = blob(text) {
        return (logical == LogicalType::Bytes).then(|| format!("'\\x{hex}'::bytea"));
    }
    match (text.to_ascii_uppercase().as_str(), logical) {
        ("CURRENT_TIMESTAMP", LogicalType::Timestamp) => Some(NOW.into()),
        ("CURRENT_TIMESTAMP", LogicalType::TimestampWithZone) => {
            Some("date_trunc('second', CURRENT_TIMESTAMP)".into())
        }
        ("CURRENT_TIMESTAMP", LogicalType::Text) => {
            Some(format!("to_char({NOW}, 'YYYY-MM-DD HH24:MI:SS')"))
        }
        ("CURRENT_DATE", LogicalType::Date) => {
            Some("(CURRENT_TIMESTAMP AT TIME ZONE 'UTC')::date".into())
        }
        ("CURRENT_DATE", LogicalType::Text) => Some(format!("to_char({NOW}, 'YYYY-MM-DD')")),
        ("CURRENT_TIME", LogicalType::Time) => Some(format!("({NOW})::time")),
        ("CURRENT_TIME", LogicalType::Text) => Some(format!("to_char({NOW}, 'HH24:MI:SS')")),
        ("TRUE" | "1", LogicalType::Boolean) => Some("true".into()),
        ("FALSE" | "0", LogicalType::Boolean) => Some("false".into()),
        (_, LogicalType::Integer { .. }) => text.parse::<i64>().ok().map(|n| n.to_string()),
        (_, LogicalType::Decimal) => number(text).then(|| text.to_owned()),
        (_, LogicalType::Float { .. }) => {
            number(text).then(|| format!("'{text}'::double precision"))
        }
        // affinity TEXT keeps an integer as its digits; a real has more than one spelling
        (_, LogicalType::Text) => text
            .parse::<i64>()
            .ok()
            .filter(|n| n.to_string() == text)
            .map(|n| format!("'{n}'")),
        _ => None,
    }
}

fn literal(value: &str, logical: LogicalType) -> Option<String> {
    let bytes = value.as_bytes();
    let typed = |name: &str| Some(format!("{}::{name}", quote_literal(value)));
    match logical {
        LogicalType::Text | LogicalType::Any | LogicalType::Other => Some(quote_literal(value)),
        // what a column of numbers makes of such a text, and how MySQL prints their defaults
        LogicalType::Integer { .. } => value.parse::<i64>().ok().map(|n| n.to_string()),
        LogicalType::Decimal => number(value).then(|| value.to_owned()),
        LogicalType::Float { .. } => number(value).then(|| format!("'{value}'::double precision")),
        LogicalType::Json => serde_json::from_str::<serde::de::IgnoredAny>(value)
            .ok()
            .and_then(|_| typed("json")),
        LogicalType::Date if text_form::date(bytes).is_some() => typed("date"),
        LogicalType::Time if text_form::time(bytes).is_some() => typed("time"),
        LogicalType::Timestamp if text_form::timestamp(bytes).is_some() => typed("timestamp"),
        LogicalType::TimestampWithZone if text_form::timestamp_with_zone(bytes).is_some() => {
            typed("timestamptz")
        }
        LogicalType::Uuid if text_form::uuid(bytes).is_some() => typed("uuid"),
        _ => None,
    }
}

/// The value of one string literal that is the whole text.
fn string(text: &str) -> Option<String> {
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    let doubled = inner.replace("''", "");
    (text.len() >= 2 && !doubled.contains('\'') && !inner.contains('\0'))
        .then(|| inner.replace("''", "'"))
}

fn blob(text: &str) -> Option<String> {
    let inner = text
        .strip_prefix(['x', 'X'])?
        .strip_prefix('\'')?
        .strip_suffix('\'')?;
    (inner.len() % 2 == 0 && inner.bytes().all(|c| c.is_ascii_hexdigit()))
        .then(|| inner.to_ascii_lowercase())
}

/// A decimal number without exponent tricks: sign, digits, point.
fn number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    digits.bytes().any(|c| c.is_ascii_digit())
        && digits.bytes().all(|c| c.is_ascii_digit() || c == b'.')
        && digits.matches('.').count() <= 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use LogicalType::*;

    #[test]
    fn certain_defaults_are_carried_and_others_are_not() {
        for (expression, logical, expected) in [
            ("0", Boolean, Some("false")),
            ("(1)", Boolean, Some("true")),
            ("-7", Integer { bits: 64 }, Some("-7")),
            ("1.50", Decimal, Some("1.50")),
            ("'it''s'", Text, Some("'it''s'")),
            ("5", Text, Some("'5'")),
            ("05", Text, None),
            ("x'00FF'", Bytes, Some("'\\x00ff'::bytea")),
            ("NULL", Text, Some("NULL")),
            ("current_timestamp", Timestamp, Some(NOW)),
            ("datetime('now')", Timestamp, None),
            ("'2024-02-30'", Date, None),
            ("'2024-02-29'", Date, Some("'2024-02-29'::date")),
            ("'a' || 'b'", Text, None),
            ("(1) + (2)", Integer { bits: 64 }, None),
            ("random()", Integer { bits: 64 }, None),
            ("1e3", Decimal, None),
            ("\"word\"", Text, None),
            ("'yes'", Boolean, None),
            ("'7'", Integer { bits: 32 }, Some("7")),
            ("'-1.50'", Decimal, Some("-1.50")),
            ("'2'", Float { bits: 32 }, Some("'2'::double precision")),
            ("'2 or so'", Integer { bits: 32 }, None),
            ("'1e3'", Decimal, None),
            ("'{\"a\":1}'", Json, Some("'{\"a\":1}'::json")),
            ("'{'", Json, None),
        ] {
            assert_eq!(
                translate(expression, logical).as_deref(),
                expected,
                "{expression}"
            );
        }
    }
}
