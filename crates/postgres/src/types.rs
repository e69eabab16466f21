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
