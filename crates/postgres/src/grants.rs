//! The SQL by which an administrator makes a least-privileged role for each side. Each line says why.

use std::collections::BTreeSet;

use crossfade_model::{TableMapping, TableName};
use crossfade_store::CaptureSpec;

use crate::capture;
use crate::names::{OWN_SCHEMA, capture_name, ident_list, qualified, quote_ident, schema_of};

const PASSWORD: &str = "'CHANGE-ME'";

/// A role that can capture and read the mapped tables, and nothing else.
pub fn source(database: &str, spec: &CaptureSpec) -> String {
    let role = quote_ident(&capture_name(&spec.migration));
    let database = quote_ident(database);
    let tables: Vec<&TableName> = spec
        .tables
        .iter()
        .flat_map(|m| {
            std::iter::once(&m.source.name).chain(m.source.partitions.iter().map(|p| &p.name))
        })
        .collect();
    let schemas = ident_list(tables.iter().map(|t| schema_of(t)).collect::<BTreeSet<_>>());
    let list = tables
        .iter()
        .map(|t| qualified(t))
        .collect::<Vec<_>>()
        .join(",\n    ");
    let publication = capture::create_publication_statement(spec);
    let name = quote_ident(&capture_name(&spec.migration));
    format!(
        "-- Source: run in database {database} as a superuser, or as an administrator who owns the tables.
-- REPLICATION: to read the log. (On Amazon RDS: without REPLICATION, then GRANT rds_replication TO {role}.)
CREATE ROLE {role} WITH LOGIN REPLICATION PASSWORD {PASSWORD};
GRANT CONNECT ON DATABASE {database} TO {role};
-- To copy the rows that are there.
GRANT USAGE ON SCHEMA {schemas} TO {role};
GRANT SELECT ON TABLE
    {list}
    TO {role};
-- To carry the sequences' values, which the log does not hold.
GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schemas} TO {role};
-- Which tables' changes are captured. Only their owner may say so; owning the publication lets the role remove it.
{publication};
GRANT CREATE ON DATABASE {database} TO {role}; -- asked of an owner of publications, while it changes hands
ALTER PUBLICATION {name} OWNER TO {role};
REVOKE CREATE ON DATABASE {database} FROM {role};
"
    )
}

/// A role that can make and fill the mapped tables, and nothing else.
pub fn target(database: &str, migration: &str, tables: &[TableMapping]) -> String {
    let role = quote_ident(&capture_name(migration));
    let database = quote_ident(database);
    let schemas: BTreeSet<&str> = tables
        .iter()
        .flat_map(|m| {
            std::iter::once(&m.target.name).chain(m.target.partitions.iter().map(|p| &p.name))
        })
        .map(schema_of)
        .collect();
    let made: String = schemas
        .iter()
        .filter(|s| **s != "public")
        .map(|s| format!("CREATE SCHEMA IF NOT EXISTS {};\n", quote_ident(s)))
        .collect();
    let schemas = ident_list(schemas);
    let owners: String = tables
        .iter()
        .map(|m| {
            format!(
                "-- ALTER TABLE {} OWNER TO {role};\n",
                qualified(&m.target.name)
            )
        })
        .collect();
    format!(
        "-- Target: run in database {database} as a superuser or as its owner.
CREATE ROLE {role} WITH LOGIN PASSWORD {PASSWORD};
-- CREATE: for schema {OWN_SCHEMA}, which holds the checkpoint. TEMPORARY: changes are staged in temporary tables.
GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {database} TO {role};
{made}-- To make the tables.
GRANT USAGE, CREATE ON SCHEMA {schemas} TO {role};
-- So that triggers and foreign keys do not run again for rows that ran them on the source. (Version 15 or newer; before,
-- only a superuser can; without it, tables with foreign keys are refused.)
GRANT SET ON PARAMETER session_replication_role TO {role};
-- Tables that are there already must be the role's, because keys and indexes are built after the load:
{owners}-- After the migration, hand everything to the application's role:
-- REASSIGN OWNED BY {role} TO application;
"
    )
}
