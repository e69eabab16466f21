//! Default expressions of other engines, where their meaning here is certain.

use crossfade_model::{LogicalType, hex, text_form};
use crossfade_store::literal::{is_cast, unquote, without_parentheses};

use crate::sql::names::literal;

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
            .then(|| "(strftime('%Y-%m-%d %H:%M:%f+00', 'now'))".to_owned());
    }
    let value = match constant(text)? {
        Constant::Null => return Some("NULL".to_owned()),
        Constant::Bare(value) | Constant::Text(value) => value,
    };
    match logical {
        LogicalType::Boolean => text_form::boolean(value.to_ascii_lowercase().as_bytes())
            .map(|b| u8::from(b).to_string()),
        LogicalType::Integer { .. } => text_form::integer(value.as_bytes()).map(|i| i.to_string()),
        LogicalType::Float { .. } => text_form::double(value.as_bytes())
            .filter(|d| d.is_finite())
            .map(|d| format!("{d:?}")),
        LogicalType::Decimal => text_form::decimal(value.as_bytes()).map(|_| literal(&value)),
        LogicalType::Bytes => {
            text_form::hex_bytes(value.as_bytes()).map(|b| format!("X'{}'", hex::encode(&b)))
        }
        _ => Some(literal(&value)),
    }
}

enum Constant {
    Null,
    /// A number or a word.
    Bare(String),
    Text(String),
}

/// A literal, with or without a cast (`'x'::text`, `'{}'::integer[]`, `-1`, `true`).
fn constant(text: &str) -> Option<Constant> {
    let rest = match text.strip_prefix('\'') {
        Some(quoted) => {
            let (value, rest) = unquote(quoted)?;
            is_cast(rest).then_some(())?;
            return Some(Constant::Text(value));
        }
        None => text,
    };
    let (value, cast) = match rest.find("::") {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let value = without_parentheses(value.trim());
    is_cast(cast).then_some(())?;
    if value.eq_ignore_ascii_case("null") {
        return Some(Constant::Null);
    }
    let number = value.strip_prefix('-').unwrap_or(value);
    let plain = matches!(value, "true" | "false")
        || (number.starts_with(|c: char| c.is_ascii_digit())
            && text_form::decimal(value.as_bytes()).is_some());
    plain.then(|| Constant::Bare(value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certain_defaults_are_translated_and_others_are_not() {
        use LogicalType as L;
        let int = L::Integer { bits: 32 };
        let double = L::Float { bits: 64 };
        for (logical, default, expected) in [
            (int, "0", Some("0")),
            (int, "'-5'::integer", Some("-5")),
            (int, "(-1)", Some("-1")),
            (int, "nextval('s'::regclass)", None),
            (int, "1 + 1", None),
            (L::Boolean, "true", Some("1")),
            (L::Boolean, "'f'::boolean", Some("0")),
            (L::Text, "'it''s'::text", Some("'it''s'")),
            (L::Text, "'x'::character varying(20)", Some("'x'")),
            (L::Text, "NULL::character varying", Some("NULL")),
            (L::Text, "('a'::text || 'b'::text)", None),
            (L::Text, "E'a\\\\b'::text", None),
            (L::Text, "CURRENT_USER", None),
            (double, "1.5", Some("1.5")),
            (double, "'NaN'::double precision", None),
            (L::Decimal, "0.10", Some("'0.10'")),
            (L::Decimal, "(- 1.5)::numeric", None),
            (L::Bytes, "'\\x00ff'::bytea", Some("X'00ff'")),
            (L::Other, "'{}'::text[]", Some("'{}'")),
            (L::Uuid, "gen_random_uuid()", None),
            (L::Timestamp, "now()", None),
            (
                L::TimestampWithZone,
                "CURRENT_TIMESTAMP",
                Some("(strftime('%Y-%m-%d %H:%M:%f+00', 'now'))"),
            ),
        ] {
            assert_eq!(
                translate(logical, default).as_deref(),
                expected,
                "{logical:?} {default}"
            );
        }
    }
}
