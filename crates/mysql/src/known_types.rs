//! The servers' types as data: what a table of all conversions begins with.

use crossfade_model::Column;

use crate::types::Kind;

/// As `information_schema` writes them.
const TYPES: &[&str] = &[
    "tinyint",
    "tinyint unsigned",
    "tinyint(1)",
    "smallint",
    "smallint unsigned",
    "mediumint",
    "mediumint unsigned",
    "int",
    "int unsigned",
    "bigint",
    "bigint unsigned",
    "year",
    "decimal(10,2)",
    "decimal(10,2) unsigned",
    "decimal(65,30)",
    "float",
    "double",
    "bit(1)",
    "bit(12)",
    "char(5)",
    "varchar(255)",
    "varchar(1000)",
    "tinytext",
    "text",
    "mediumtext",
    "longtext",
    "binary(16)",
    "varbinary(255)",
    "tinyblob",
    "blob",
    "mediumblob",
    "longblob",
    "enum('a','b')",
    "set('a','b')",
    "json",
    "date",
    "datetime",
    "datetime(6)",
    "timestamp",
    "timestamp(6)",
    "time",
    "time(6)",
    "geometry",
    "point",
    "linestring",
    "polygon",
    "geometrycollection",
    // MySQL 9
    "vector(3)",
    // MariaDB
    "uuid",
    "inet4",
    "inet6",
];

/// A column of each type, named by it, as the catalog describes it.
#[must_use]
pub fn known_types() -> Vec<Column> {
    TYPES
        .iter()
        .map(|declared| Column {
            name: (*declared).to_owned(),
            logical: Kind::parse(declared).logical(),
            declared: (*declared).to_owned(),
            nullable: true,
            default: None,
            generated: None,
            identity: None,
            collation: None,
        })
        .collect()
}
