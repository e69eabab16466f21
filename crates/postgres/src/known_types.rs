//! The server's types as data: what a table of all conversions begins with.

use crossfade_model::Column;

use crate::types::logical_type;

/// As `format_type` writes a type, and the name of the type itself in `pg_type` (a domain's is that of its base).
const TYPES: &[(&str, &str)] = &[
    ("boolean", "bool"),
    ("smallint", "int2"),
    ("integer", "int4"),
    ("bigint", "int8"),
    ("real", "float4"),
    ("double precision", "float8"),
    ("numeric", "numeric"),
    ("numeric(10,2)", "numeric"),
    ("numeric(10,0)", "numeric"),
    ("numeric(5,-2)", "numeric"),
    ("numeric(1000,500)", "numeric"),
    ("money", "money"),
    ("text", "text"),
    ("character varying", "varchar"),
    ("character varying(255)", "varchar"),
    ("character varying(1000)", "varchar"),
    ("character(5)", "bpchar"),
    ("name", "name"),
    ("\"char\"", "char"),
    ("bytea", "bytea"),
    ("date", "date"),
    ("time without time zone", "time"),
    ("time(3) without time zone", "time"),
    ("time with time zone", "timetz"),
    ("timestamp without time zone", "timestamp"),
    ("timestamp(3) without time zone", "timestamp"),
    ("timestamp with time zone", "timestamptz"),
    ("timestamp(3) with time zone", "timestamptz"),
    ("interval", "interval"),
    ("uuid", "uuid"),
    ("json", "json"),
    ("jsonb", "jsonb"),
    ("jsonpath", "jsonpath"),
    ("xml", "xml"),
    ("bit(5)", "bit"),
    ("bit varying", "varbit"),
    ("inet", "inet"),
    ("cidr", "cidr"),
    ("macaddr", "macaddr"),
    ("macaddr8", "macaddr8"),
    ("point", "point"),
    ("line", "line"),
    ("lseg", "lseg"),
    ("box", "box"),
    ("path", "path"),
    ("polygon", "polygon"),
    ("circle", "circle"),
    ("tsvector", "tsvector"),
    ("tsquery", "tsquery"),
    ("int4range", "int4range"),
    ("numrange", "numrange"),
    ("tstzrange", "tstzrange"),
    ("int4multirange", "int4multirange"),
    ("integer[]", "_int4"),
    ("text[]", "_text"),
    ("oid", "oid"),
    ("xid8", "xid8"),
    ("pg_lsn", "pg_lsn"),
    ("public.hstore", "hstore"),
    ("public.an_enum", "an_enum"),
    ("public.a_composite", "a_composite"),
    ("public.a_domain_over_integer", "int4"),
];

/// A column of each type, named by it, as the catalog describes it.
#[must_use]
pub fn known_types() -> Vec<Column> {
    TYPES
        .iter()
        .map(|(declared, name)| Column {
            name: (*declared).to_owned(),
            logical: logical_type(name),
            declared: (*declared).to_owned(),
            nullable: true,
            default: None,
            generated: None,
            identity: None,
            collation: None,
        })
        .collect()
}
