//! Default expressions of other engines, where their meaning here is certain.

use crossfade_model::{LogicalType, hex, text_form};
use crossfade_store::literal::{is_cast, unquote, without_parentheses};

use crate::moment;
use crate::names::literal;

/// The default here; `None` where the meaning is not certain.
pub(crate) fn translate(logical: LogicalType, default: &str) -> Option<String> {
    let text = without_parentheses(default.trim());
    let lower = text.to_ascii_lowercase();
    if matches!(
        lower.as_str(),
        "now()" | "current_timestamp" | "transaction_timestamp()"
    ) {
        // a local time would depend on the session's time zone
        return (logical == LogicalType::TimestampWithZone)
            .then(|| "(UTC_TIMESTAMP(6))".to_owned());
    }
    let value = match constant(text)? {
        Constant::Null => return Some("NULL".to_owned()),
        Constant::Value(value) => value,
        Constant::Bytes(hex) => {
            return (logical == LogicalType::Bytes).then(|| format!("(x'{hex}')"));
        }
    };
    let bytes = value.as_bytes();
    let quoted = |text: String| format!("({})", expression(&text));
    match logical {
        LogicalType::Boolean => text_form::boolean(value.to_ascii_lowercase().as_bytes())
            .map(|b| u8::from(b).to_string()),
        LogicalType::Integer { .. } => text_form::integer(bytes).map(|i| i.to_string()),
        LogicalType::Float { .. } => text_form::double(bytes)
            .filter(|d| d.is_finite())
            .map(|d| format!("({d:e})")),
        LogicalType::Decimal => text_form::decimal(bytes).filter(|d| {
            d.bytes()
                .all(|c| c.is_ascii_digit() || matches!(c, b'-' | b'.'))
        }),
        LogicalType::Bytes => {
            text_form::hex_bytes(bytes).map(|b| format!("(x'{}')", hex::encode(&b)))
        }
        LogicalType::Date => text_form::date(bytes).and_then(moment::date).map(quoted),
        LogicalType::Time => text_form::time(bytes).map(|t| quoted(moment::clock(t, 6))),
        LogicalType::Timestamp => text_form::timestamp(bytes)
            .and_then(|t| moment::timestamp(t, 6))
            .map(quoted),
        LogicalType::TimestampWithZone => text_form::timestamp_with_zone(bytes)
            .and_then(|t| moment::timestamp(t, 6))
            .map(quoted),
        LogicalType::Uuid => text_form::uuid(bytes).map(|_| quoted(value.clone())),
        LogicalType::Text | LogicalType::Json | LogicalType::Other | LogicalType::Any => {
            Some(quoted(value))
        }
    }
}

/// A text as an expression. The server itself prints quotes and backslashes in a way that it cannot read again under
/// `NO_BACKSLASH_ESCAPES`, so they are not in it.
fn expression(text: &str) -> String {
    if text.contains(['\'', '\\']) {
        format!(
            "CONVERT(UNHEX('{}') USING utf8mb4)",
            hex::encode(text.as_bytes())
        )
    } else {
        literal(text)
    }
}

enum Constant {
    Null,
    Value(String),
    /// Hexadecimal digits.
    Bytes(String),
}

/// A literal, with or without a cast behind it.
fn constant(text: &str) -> Option<Constant> {
    if let Some(digits) = text
        .strip_prefix(['x', 'X'])
        .and_then(|t| t.strip_prefix('\''))
        .and_then(|t| t.strip_suffix('\''))
    {
        let even = digits.len() % 2 == 0 && digits.bytes().all(|c| c.is_ascii_hexdigit());
        return even.then(|| Constant::Bytes(digits.to_ascii_lowercase()));
    }
    if let Some(quoted) = text.strip_prefix('\'') {
        let (value, rest) = unquote(quoted)?;
        return is_cast(rest).then_some(Constant::Value(value));
    }
    let (value, cast) = match text.find("::") {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let value = without_parentheses(value.trim());
    if !is_cast(cast) {
        return None;
    }
    if value.eq_ignore_ascii_case("null") {
        return Some(Constant::Null);
    }
    let number = value.strip_prefix('-').unwrap_or(value);
    let plain = value.eq_ignore_ascii_case("true")
        || value.eq_ignore_ascii_case("false")
        || (number.starts_with(|c: char| c.is_ascii_digit())
            && text_form::decimal(value.as_bytes()).is_some());
    plain.then(|| Constant::Value(value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use LogicalType as L;

    #[test]
    fn certain_defaults_are_carried_and_others_are_not() {
        for (logical, default, expected) in [
            (L::Boolean, "true", Some("1")),
            (L::Boolean, "0", Some("0")),
            (L::Integer { bits: 64 }, "(-7)", Some("-7")),
            (L::Integer { bits: 64 }, "'5'::bigint", Some("5")),
            (
                L::Text,
                "'it''s \\'::character varying",
                Some("(CONVERT(UNHEX('69742773205c') USING utf8mb4))"),
            ),
            (L::Decimal, "1.50", Some("1.5")),
            (L::Decimal, "'NaN'::numeric", None),
            (L::Float { bits: 64 }, "0.1", Some("(1e-1)")),
            (L::Bytes, "'\\x00ff'::bytea", Some("(x'00ff')")),
            (L::Bytes, "x'00FF'", Some("(x'00ff')")),
            (L::TimestampWithZone, "now()", Some("(UTC_TIMESTAMP(6))")),
            (L::Timestamp, "now()", None),
            (L::Date, "'2024-02-29'::date", Some("('2024-02-29')")),
            (L::Date, "'infinity'::date", None),
            (L::Other, "'{}'::integer[]", Some("('{}')")),
            (L::Text, "NULL::text", Some("NULL")),
            (L::Text, "'a' || 'b'", None),
            (L::Text, "lower('A')", None),
            (L::Integer { bits: 64 }, "(1) + (2)", None),
        ] {
            assert_eq!(
                translate(logical, default).as_deref(),
                expected,
                "{default}"
            );
        }
    }
}
