//! Declared types as data: what a table of all conversions begins with. Any name may be declared; these are the usual ones.

use crossfade_model::Column;

use crate::affinity::logical;

const TYPES: &[&str] = &[
    "INTEGER",
    "BIGINT",
    "TINYINT",
    "BOOLEAN",
    "REAL",
    "DOUBLE",
    "FLOAT",
    "DECIMAL(10,2)",
    "NUMERIC",
    "TEXT",
    "VARCHAR(255)",
    "CLOB",
    "BLOB",
    "VARBINARY(16)",
    "DATE",
    "TIME",
    "DATETIME",
    "TIMESTAMP",
    "TIMESTAMP WITH TIME ZONE",
    "UUID",
    "JSON",
    "JSONB",
    "ANY",
    "GEOMETRY",
    "",
];

/// A column of each type, named by it, as a file describes it.
#[must_use]
pub fn known_types() -> Vec<Column> {
    TYPES
        .iter()
        .map(|declared| Column {
            name: if declared.is_empty() {
                "no type"
            } else {
                declared
            }
            .to_owned(),
            logical: logical(declared),
            declared: (*declared).to_owned(),
            nullable: true,
            default: None,
            generated: None,
            identity: None,
            collation: None,
        })
        .collect()
}
