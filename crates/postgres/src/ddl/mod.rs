//! Making a target's schema: tables first, keys after the load, what constrains last.
//!
//! Every step looks at what is there and does what is absent, so that a step done half, or twice, is no error.

mod foreign_keys;
mod keys;
mod own;
mod patient;
mod remove;
mod sequences;
mod table;

use std::collections::BTreeSet;

use crossfade_model::{Sequence, TableMapping, TableName, UserType};
use crossfade_store::{ErrorKind, Result, StoreError};

use crate::connect::Client;
use crate::guard;
use crate::names::{OWN_SCHEMA, qualified, quote_ident, schema_of};
use crate::session::Purpose;
use crate::store::PostgresStore;

pub use foreign_keys::build_foreign_keys;
pub use keys::{build_key, build_unique_indexes, has_key};
pub(crate) use patient::patiently;
pub(crate) use remove::drop_own_schema;
pub use remove::{made, remove};
pub use sequences::{raise_for_switch, raise_sequences, sequence_states};

/// The statements that [`create_tables`] runs on an empty target, for a person to read.
pub fn create_statements(types: &[UserType], tables: &[TableMapping]) -> Vec<String> {
    let mut out: Vec<String> = schemas(types, &[], tables)
        .iter()
        .filter(|s| **s != "public")
        .map(|s| create_schema(s))
        .collect();
    out.extend(types.iter().map(|t| t.definition.clone()));
    for mapping in tables {
        out.extend(table::statements(&mapping.target));
    }
    out
}

/// Makes what is absent: schemas, types, sequences, tables; and closes the tables to others' writes.
///
/// # Errors
/// [`crossfade_store::ErrorKind::Permission`], [`crossfade_store::ErrorKind::Missing`] for a type or function that a
/// definition needs, or the connection's.
pub async fn create_tables(
    store: &PostgresStore,
    types: &[UserType],
    sequences: &[Sequence],
    tables: &[TableMapping],
) -> Result<()> {
    let client = store.connect(Purpose::Build).await?;
    let migration = store.migration().unwrap_or_default();
    let sequences: Vec<&Sequence> = sequences
        .iter()
        .filter(|s| !s.definition.is_empty() && serves(s, tables))
        .collect();
    for schema in schemas(types, &sequences, tables) {
        make_schema(&client, schema).await?;
    }
    for type_ in types {
        if !exists(&client, "to_regtype", &type_.name).await? {
            let doing = format!("making type {}", type_.name);
            let what = own::Kind::Type;
            own::make(
                &client,
                &migration,
                what,
                &type_.name,
                &doing,
                &type_.definition,
            )
            .await?;
        }
    }
    for sequence in &sequences {
        let name = qualified(&sequence.name);
        if !exists(&client, "to_regclass", &name).await? {
            let doing = format!("making sequence {}", sequence.name);
            let what = own::Kind::Sequence;
            own::make(
                &client,
                &migration,
                what,
                &name,
                &doing,
                &sequence.definition,
            )
            .await?;
        }
    }
    guard::make_function(&client).await?;
    for mapping in tables {
        make_table(&client, mapping, &migration).await?;
    }
    for sequence in &sequences {
        own_sequence(&client, sequence, tables).await?;
    }
    store.keep(client);
    Ok(())
}

/// True where a sequence is nobody's or a mapped table's.
fn serves(sequence: &Sequence, tables: &[TableMapping]) -> bool {
    match &sequence.owner {
        None => true,
        Some((table, _)) => tables.iter().any(|m| &m.source.name == table),
    }
}

/// The schemas that the objects live in, the target's tables' first.
fn schemas<'a>(
    types: &'a [UserType],
    sequences: &[&'a Sequence],
    tables: &'a [TableMapping],
) -> BTreeSet<&'a str> {
    let mut out: BTreeSet<&str> = types.iter().map(|t| t.schema.as_str()).collect();
    out.extend(sequences.iter().map(|s| schema_of(&s.name)));
    for mapping in tables {
        out.insert(schema_of(&mapping.target.name));
        out.extend(mapping.target.partitions.iter().map(|p| schema_of(&p.name)));
    }
    out
}

fn create_schema(schema: &str) -> String {
    format!("CREATE SCHEMA {}", quote_ident(schema))
}

/// Makes a schema where it is absent. (`IF NOT EXISTS` asks for the privilege to make it even where it is there.)
///
/// # Errors
/// The server's.
pub async fn make_schema(client: &Client, schema: &str) -> Result<()> {
    if exists(client, "to_regnamespace", &quote_ident(schema)).await? {
        return Ok(());
    }
    let doing = format!("making schema {schema}");
    let made = client.batch(&doing, &create_schema(schema)).await;
    match made {
        // another session was faster
        Err(e) if matches!(e.server_code.as_deref(), Some("42P06" | "23505")) => Ok(()),
        other => other,
    }
}

/// True where `lookup` (one of the `to_reg…` functions) finds the quoted name.
async fn exists(client: &Client, lookup: &str, name: &str) -> Result<bool> {
    let sql = format!("SELECT {lookup}($1::text) IS NOT NULL");
    let row = client
        .query_one("looking at what is there", &sql, &[&name])
        .await?;
    Ok(row.get(0))
}

/// One table with its partitions and guards, in one transaction: all of it or nothing.
async fn make_table(client: &Client, mapping: &TableMapping, migration: &str) -> Result<()> {
    let target = &mapping.target;
    let of_table = |e: StoreError| {
        let e = match (e.kind, &e.fix) {
            (ErrorKind::Missing, None) => {
                e.fix("Create it on the target first: functions and extensions are not carried")
            }
            _ => e,
        };
        match e.table {
            Some(_) => e,
            None => e.table(&target.name),
        }
    };
    let mut all: Vec<TableName> = vec![target.name.clone()];
    all.extend(target.partitions.iter().map(|p| p.name.clone()));
    if exists(client, "to_regclass", &qualified(&target.name)).await? {
        return guard::close(client, migration, &all)
            .await
            .map_err(of_table);
    }
    let mut sql = String::from("BEGIN;\n");
    let guards = all
        .iter()
        .map(|t| guard::create_statement(t, migration, true));
    for statement in table::statements(target).into_iter().chain(guards) {
        sql.push_str(&statement);
        sql.push_str(";\n");
    }
    sql.push_str("COMMIT;");
    let made = client.batch("making a table", &sql).await;
    if made.is_err() {
        // the connection goes on after the failed transaction; its own error is the one to tell
        let _ended = client.batch("ending a transaction", "ROLLBACK").await;
    }
    made.map_err(of_table)
}

/// Ties a sequence to the column whose default it serves, so that both go together.
async fn own_sequence(client: &Client, sequence: &Sequence, tables: &[TableMapping]) -> Result<()> {
    let Some((table, column)) = &sequence.owner else {
        return Ok(());
    };
    let Some(mapping) = tables.iter().find(|m| &m.source.name == table) else {
        return Ok(());
    };
    let Some(mapped) = mapping.columns.iter().find(|c| &c.source == column) else {
        return Ok(());
    };
    // an owned sequence lives in its table's schema; one that stays elsewhere stays nobody's
    if schema_of(&sequence.name) != schema_of(&mapping.target.name) {
        return Ok(());
    }
    let name = qualified(&sequence.name);
    let row = client
        .query_one(
            "looking at a sequence",
            "SELECT pg_has_role(c.relowner, 'USAGE') AND NOT EXISTS (
                 SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i'))
             FROM pg_class c WHERE c.oid = to_regclass($1::text)",
            &[&name],
        )
        .await?;
    if row.get(0) {
        let sql = format!(
            "ALTER SEQUENCE {name} OWNED BY {}.{}",
            qualified(&mapping.target.name),
            quote_ident(&mapped.target)
        );
        client.batch("tying a sequence to its column", &sql).await?;
    }
    Ok(())
}

/// True where crossfade's own schema is there.
async fn has_own_schema(client: &Client) -> Result<bool> {
    exists(client, "to_regnamespace", OWN_SCHEMA).await
}
