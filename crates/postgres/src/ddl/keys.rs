//! Keys and indexes, built after the load.

use crossfade_model::{Index, TableMapping};
use crossfade_store::{Result, StoreError};

use super::patient::patiently;
use crate::connect::Client;
use crate::describe::unique_parts;
use crate::names::{cut_identifier, ident_list, qualified, quote_ident};
use crate::session::Purpose;
use crate::store::PostgresStore;

/// More memory and workers for one index after another, within what the server allows.
const BUILD_SETTINGS: &str = "SET max_parallel_maintenance_workers = 4;
    SELECT set_config('maintenance_work_mem', '256MB', false)
    WHERE pg_size_bytes(current_setting('maintenance_work_mem')) < 268435456;";

/// Back to what the server gives: the connection is used again for other work.
const BUILD_SETTINGS_END: &str =
    "RESET max_parallel_maintenance_workers; RESET maintenance_work_mem";

/// True where a unique index on just the key's columns can be used to find rows, or the table needs none.
///
/// # Errors
/// The server's.
pub async fn has_key(store: &PostgresStore, mapping: &TableMapping) -> Result<bool> {
    let client = store.connect(Purpose::Build).await?;
    let there = key_is_there(&client, mapping).await?;
    store.keep(client);
    Ok(there)
}

async fn key_is_there(client: &Client, mapping: &TableMapping) -> Result<bool> {
    let mut columns = mapping.target_key_names();
    if columns.is_empty() {
        return Ok(true);
    }
    columns.sort_unstable();
    let row = client
        .query_one(
            "looking for a table's key",
            "SELECT EXISTS (
                SELECT FROM pg_index i
                WHERE i.indrelid = to_regclass($1::text) AND i.indisunique AND i.indisvalid AND i.indisready
                  AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
                  AND ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
                            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
                            WHERE k.place <= i.indnkeyatts ORDER BY a.attname COLLATE \"C\") = $2::text[])",
            &[&qualified(&mapping.target.name), &columns],
        )
        .await?;
    Ok(row.get(0))
}

/// Builds the key and the non-unique indexes that are absent.
///
/// # Errors
/// [`crossfade_store::ErrorKind::UniqueViolation`] where two rows have one key; the server's.
pub async fn build_key(store: &PostgresStore, mapping: &TableMapping) -> Result<()> {
    let client = store.connect(Purpose::Build).await?;
    client
        .batch("setting up index builds", BUILD_SETTINGS)
        .await?;
    let of_table = |e: StoreError| with_table(e, mapping);
    if !key_is_there(&client, mapping).await? {
        client
            .batch("building the key", &key_statement(mapping))
            .await
            .map_err(of_table)?;
    }
    identify_by_index(&client, mapping)
        .await
        .map_err(of_table)?;
    for index in mapping.target.indexes.iter().filter(|i| !i.unique) {
        if find_index(&client, mapping, &index.name).await?.is_none() {
            let doing = format!("building index {}", index.name);
            client
                .batch(&doing, &index.definition)
                .await
                .map_err(of_table)?;
        }
    }
    client
        .batch("ending index builds", BUILD_SETTINGS_END)
        .await?;
    store.keep(client);
    Ok(())
}

fn key_statement(mapping: &TableMapping) -> String {
    let table = qualified(&mapping.target.name);
    let columns = ident_list(mapping.target_key_names());
    let key = mapping.target.key.as_ref().or(mapping.source.key.as_ref());
    let (name, primary) = key.map_or(("key", true), |k| (cut_identifier(&k.name), k.primary));
    let name = quote_ident(name);
    if primary {
        return format!("ALTER TABLE {table} ADD CONSTRAINT {name} PRIMARY KEY ({columns})");
    }
    format!("CREATE UNIQUE INDEX {name} ON {table} ({columns})")
}

/// Makes a key that is no primary key the replica identity, as it is on the source; of partitions too, which inherit none.
async fn identify_by_index(client: &Client, mapping: &TableMapping) -> Result<()> {
    let Some(key) = mapping.target.key.as_ref().filter(|k| !k.primary) else {
        return Ok(());
    };
    if mapping.target.full_before_images {
        return Ok(());
    }
    let rows = client
        .query(
            "looking for the key's indexes",
            "WITH RECURSIVE tree (index) AS (
                 SELECT i.indexrelid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                 WHERE i.indrelid = to_regclass($1::text) AND c.relname = $2 AND i.indimmediate AND i.indisvalid
                 UNION ALL
                 SELECT h.inhrelid FROM pg_inherits h JOIN tree ON h.inhparent = tree.index)
             SELECT n.nspname::text, t.relname::text, c.relname::text
             FROM tree JOIN pg_index i ON i.indexrelid = tree.index JOIN pg_class c ON c.oid = i.indexrelid
             JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
             WHERE NOT i.indisreplident AND pg_has_role(t.relowner, 'USAGE')",
            &[&qualified(&mapping.target.name), &cut_identifier(&key.name)],
        )
        .await?;
    for row in rows {
        let (schema, table, index): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
        let sql = format!(
            "ALTER TABLE {}.{} REPLICA IDENTITY USING INDEX {}",
            quote_ident(schema),
            quote_ident(table),
            quote_ident(index)
        );
        patiently(client, "setting the replica identity", &sql).await?;
    }
    Ok(())
}

fn with_table(e: StoreError, mapping: &TableMapping) -> StoreError {
    match e.table {
        Some(_) => e,
        None => e.table(&mapping.target.name),
    }
}

/// An index of the table by its name: whether it is valid, and whether a constraint stands on it.
struct Found {
    valid: bool,
    constraint: bool,
    partitioned: bool,
}

async fn find_index(client: &Client, mapping: &TableMapping, name: &str) -> Result<Option<Found>> {
    let row = client
        .query_opt(
            "looking for an index",
            "SELECT i.indisvalid AND i.indisready, c.relkind = 'I',
                    EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
             FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
             WHERE i.indrelid = to_regclass($1::text) AND c.relname = $2",
            &[&qualified(&mapping.target.name), &name],
        )
        .await?;
    Ok(row.map(|row| Found {
        valid: row.get(0),
        partitioned: row.get(1),
        constraint: row.get(2),
    }))
}

/// Builds unique indexes and constraints that are absent; where the server can, without stopping writers.
///
/// # Errors
/// [`crossfade_store::ErrorKind::UniqueViolation`] where two rows are equal; the server's.
pub async fn build_unique_indexes(store: &PostgresStore, mapping: &TableMapping) -> Result<()> {
    if !mapping.target.indexes.iter().any(|i| i.unique) {
        return Ok(());
    }
    let client = store.connect(Purpose::Build).await?;
    client
        .batch("setting up index builds", BUILD_SETTINGS)
        .await?;
    for index in mapping.target.indexes.iter().filter(|i| i.unique) {
        build_unique(&client, mapping, index)
            .await
            .map_err(|e| with_table(e, mapping))?;
    }
    Ok(())
}

async fn build_unique(client: &Client, mapping: &TableMapping, index: &Index) -> Result<()> {
    let table = qualified(&mapping.target.name);
    let name = quote_ident(&index.name);
    let doing = format!("building unique index {}", index.name);
    let found = find_index(client, mapping, &index.name).await?;
    let is_partitioned = mapping.target.partition_by.is_some();
    let parts = index
        .constraint
        .then(|| unique_parts(&index.definition))
        .flatten();
    if index.constraint && (is_partitioned || parts.is_none()) {
        return match found {
            Some(_) => Ok(()),
            None => {
                let sql = format!(
                    "ALTER TABLE {table} ADD CONSTRAINT {name} {}",
                    index.definition
                );
                patiently(client, &doing, &sql).await
            }
        };
    }
    let valid = match found {
        Some(found) if found.constraint => return Ok(()),
        Some(found) => {
            if !found.valid && !found.partitioned {
                drop_index(client, mapping, &index.name).await?;
            }
            found.valid || found.partitioned
        }
        None => false,
    };
    if !valid {
        let statement = match &parts {
            Some(parts) => format!(
                "CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table} {} {}{}",
                parts.columns,
                parts.include,
                if parts.nulls_not_distinct {
                    " NULLS NOT DISTINCT"
                } else {
                    ""
                }
            ),
            None if is_partitioned => index.definition.clone(),
            None => index.definition.replacen(
                "CREATE UNIQUE INDEX ",
                "CREATE UNIQUE INDEX CONCURRENTLY ",
                1,
            ),
        };
        let built = client.batch(&doing, &statement).await;
        if built.is_err() && !is_partitioned && !client.is_closed() {
            // a failed concurrent build leaves an index that checks new rows and serves no query
            let _dropped = drop_index(client, mapping, &index.name).await;
        }
        built?;
    }
    match parts {
        Some(parts) => {
            let kind = if index.definition.starts_with("PRIMARY KEY") {
                "PRIMARY KEY"
            } else {
                "UNIQUE"
            };
            let sql = format!(
                "ALTER TABLE {table} ADD CONSTRAINT {name} {kind} USING INDEX {name} {}",
                parts.deferral
            );
            patiently(client, &doing, &sql).await
        }
        None => Ok(()),
    }
}

async fn drop_index(client: &Client, mapping: &TableMapping, name: &str) -> Result<()> {
    let schema = crate::names::schema_of(&mapping.target.name);
    let sql = format!(
        "DROP INDEX CONCURRENTLY IF EXISTS {}.{}",
        quote_ident(schema),
        quote_ident(name)
    );
    client.batch("dropping an unfinished index", &sql).await
}
