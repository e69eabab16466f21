//! The SQL by which an administrator makes a least-privileged role for each side. Each line says why.

use std::collections::BTreeSet;

use crossfade_model::{TableMapping, TableName};
use crossfade_store::CaptureSpec;

use crate::capture;
use crate::names::{
    OWN_SCHEMA, capture_name, ident_list, qualified, quote_ident, quote_literal, schema_of,
};

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

/// Makes every session of a role in a database skip triggers and foreign keys, where the role may not say so itself: servers before 15 have
/// no privilege for it. Both names are quoted.
///
/// Source: "ALTER ROLE": settings that only a superuser may change are a superuser's to give.
pub fn replica_by_default(role: &str, database: &str) -> String {
    format!("ALTER ROLE {role} IN DATABASE {database} SET session_replication_role = replica")
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
    let may_set = quote_literal(&format!(
        "GRANT SET ON PARAMETER session_replication_role TO {role}"
    ));
    let is_set = quote_literal(&replica_by_default(&role, &database));
    format!(
        "-- Target: run in database {database} as a superuser or as its owner.
CREATE ROLE {role} WITH LOGIN PASSWORD {PASSWORD};
-- CREATE: for schema {OWN_SCHEMA}, which holds the checkpoint. TEMPORARY: changes are staged in temporary tables.
GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {database} TO {role};
{made}-- To make the tables.
GRANT USAGE, CREATE ON SCHEMA {schemas} TO {role};
-- So that triggers and foreign keys do not run again for rows that ran them on the source; without it, tables with foreign
-- keys are refused. Servers before 15 cannot grant it, but can give it to the role's sessions.
DO $$BEGIN
    IF current_setting('server_version_num')::integer >= 150000
    THEN EXECUTE {may_set};
    ELSE EXECUTE {is_set};
    END IF;
END$$;
-- Tables that are there already must be the role's, because keys and indexes are built after the load:
{owners}-- After the migration, hand everything to the application's role:
-- REASSIGN OWNED BY {role} TO application;
"
    )
}
