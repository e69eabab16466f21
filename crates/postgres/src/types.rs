//! The server's types: what their values mean.

use crossfade_model::LogicalType;

/// What the values of a system type mean. `name` as in `pg_type`.
pub fn logical_type(name: &str) -> LogicalType {
    match name {
        "bool" => LogicalType::Boolean,
        "int2" => LogicalType::Integer { bits: 16 },
        "int4" => LogicalType::Integer { bits: 32 },
        "int8" => LogicalType::Integer { bits: 64 },
        "float4" => LogicalType::Float { bits: 32 },
        "float8" => LogicalType::Float { bits: 64 },
        "numeric" => LogicalType::Decimal,
        "text" | "varchar" | "bpchar" | "name" => LogicalType::Text,
        "bytea" => LogicalType::Bytes,
        "date" => LogicalType::Date,
        "time" => LogicalType::Time,
        "timestamp" => LogicalType::Timestamp,
        "timestamptz" => LogicalType::TimestampWithZone,
        "uuid" => LogicalType::Uuid,
        "json" | "jsonb" => LogicalType::Json,
        _ => LogicalType::Other,
    }
}

/// A declared type taken apart: the server's own spelling from `format_type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared<'a> {
    /// The name without modifiers: `numeric`, `timestamp without time zone`.
    pub name: String,
    /// The modifiers in parentheses: length, precision, scale.
    pub modifiers: Vec<i32>,
    /// What follows: `[]` of an array.
    pub rest: &'a str,
}

/// Takes a declared type apart. Types with modifiers that are no numbers (`interval day to second`, extensions' types) keep
/// them in their name.
pub fn parse_declared(text: &str) -> Declared<'_> {
    let whole = |text: &str| Declared {
        name: text.to_owned(),
        modifiers: Vec::new(),
        rest: "",
    };
    let (body, rest) = match text.find("[]") {
        Some(at) if !text.starts_with('"') => text.split_at(at),
        _ => (text, ""),
    };
    let parts = body.split_once('(').and_then(|(name, after)| {
        let (list, tail) = after.split_once(')')?;
        let modifiers: Option<Vec<i32>> = list.split(',').map(|n| n.trim().parse().ok()).collect();
        Some((format!("{name}{tail}"), modifiers?))
    });
    match parts {
        Some((name, modifiers)) => Declared {
            name,
            modifiers,
            rest,
        },
        None => Declared {
            rest,
            ..whole(body)
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_come_apart() {
        let parsed = parse_declared("timestamp(3) without time zone[]");
        assert_eq!(parsed.name, "timestamp without time zone");
        assert_eq!(
            (parsed.modifiers.as_slice(), parsed.rest),
            ([3].as_slice(), "[]")
        );
        assert_eq!(parse_declared("numeric(10,-2)").modifiers, [10, -2]);
        assert_eq!(
            parse_declared("public.geometry(Point,4326)").name,
            "public.geometry(Point,4326)"
        );
        assert_eq!(parse_declared("\"odd(\"").name, "\"odd(\"");
    }
}
