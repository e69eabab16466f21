//! Declared types: SQLite's affinity (SQLite documentation, "Datatypes in SQLite", section 3.1), and what an application
//! most likely means by the name.

use crossfade_model::LogicalType;

/// The affinity of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Affinity {
    Integer,
    Text,
    Blob,
    Real,
    Numeric,
}

/// The affinity that SQLite derives from a declared type. In STRICT tables only ANY differs: it converts nothing.
pub(crate) fn affinity(declared: &str, strict: bool) -> Affinity {
    let name = declared.to_ascii_uppercase();
    let has = |words: &[&str]| words.iter().any(|w| name.contains(w));
    if strict && name == "ANY" {
        Affinity::Blob
    } else if has(&["INT"]) {
        Affinity::Integer
    } else if has(&["CHAR", "CLOB", "TEXT"]) {
        Affinity::Text
    } else if name.trim().is_empty() || has(&["BLOB"]) {
        Affinity::Blob
    } else if has(&["REAL", "FLOA", "DOUB"]) {
        Affinity::Real
    } else {
        Affinity::Numeric
    }
}

/// What a column's values mean, by its declared type.
pub(crate) fn logical(declared: &str) -> LogicalType {
    let name = declared.trim().to_ascii_uppercase();
    let base = name
        .split(|c: char| !c.is_ascii_alphabetic())
        .next()
        .unwrap_or_default();
    match base {
        "" if name.is_empty() => return LogicalType::Any,
        "BOOL" | "BOOLEAN" => return LogicalType::Boolean,
        "TIMESTAMP" if name.contains("WITH TIME ZONE") => return LogicalType::TimestampWithZone,
        "DATETIME" | "TIMESTAMP" => return LogicalType::Timestamp,
        "TIMESTAMPTZ" => return LogicalType::TimestampWithZone,
        "DATE" => return LogicalType::Date,
        "TIME" => return LogicalType::Time,
        "UUID" | "GUID" => return LogicalType::Uuid,
        "JSON" => return LogicalType::Json,
        "JSONB" | "BYTEA" | "BINARY" | "VARBINARY" => return LogicalType::Bytes,
        "ANY" => return LogicalType::Any,
        "DECIMAL" | "NUMERIC" | "DEC" | "MONEY" => return LogicalType::Decimal,
        _ => {}
    }
    match affinity(declared, false) {
        Affinity::Integer => LogicalType::Integer { bits: 64 },
        Affinity::Text => LogicalType::Text,
        Affinity::Blob => LogicalType::Bytes,
        Affinity::Real => LogicalType::Float { bits: 64 },
        Affinity::Numeric => LogicalType::Any,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affinity_follows_the_rules_in_their_order() {
        for (declared, expected) in [
            ("CHARINT", Affinity::Integer),
            ("FLOATING POINT", Affinity::Integer),
            ("varchar(20)", Affinity::Text),
            ("BLOB", Affinity::Blob),
            ("", Affinity::Blob),
            ("double precision", Affinity::Real),
            ("BOOLEAN", Affinity::Numeric),
            ("DATE", Affinity::Numeric),
        ] {
            assert_eq!(affinity(declared, false), expected, "{declared}");
        }
        assert_eq!(affinity("ANY", true), Affinity::Blob);
        assert_eq!(affinity("ANY", false), Affinity::Numeric);
    }

    #[test]
    fn names_tell_what_values_mean() {
        for (declared, expected) in [
            ("", LogicalType::Any),
            ("bool", LogicalType::Boolean),
            ("DECIMAL(10,2)", LogicalType::Decimal),
            ("datetime", LogicalType::Timestamp),
            ("timestamp without time zone", LogicalType::Timestamp),
            ("timestamp with time zone", LogicalType::TimestampWithZone),
            ("date", LogicalType::Date),
            ("NVARCHAR(160)", LogicalType::Text),
            ("uuid", LogicalType::Uuid),
            ("bigint", LogicalType::Integer { bits: 64 }),
            ("float", LogicalType::Float { bits: 64 }),
            ("geometry", LogicalType::Any),
        ] {
            assert_eq!(logical(declared), expected, "{declared}");
        }
    }
}
