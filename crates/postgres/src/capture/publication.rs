//! The publication: which tables' changes the slot hands over.
//!
//! Partitions are published under their own names and put together here: with `publish_via_partition_root` the server
//! leaves out a TRUNCATE of a single partition, and a partition attached later would look like any other.

use std::collections::BTreeSet;

use crossfade_model::TableMapping;
use crossfade_store::{CaptureSpec, ErrorKind, Result, StoreError};

use crate::connect::Client;
use crate::names::{capture_name, qualified, quote_ident, schema_of};

/// The statement that makes the publication, for an administrator too.
#[must_use]
pub fn create_statement(spec: &CaptureSpec) -> String {
    create(&capture_name(&spec.migration), spec)
}

fn create(name: &str, spec: &CaptureSpec) -> String {
    let tables: Vec<String> = spec
        .tables
        .iter()
        .map(|mapping| format!("ONLY {}", qualified(&mapping.source.name)))
        .collect();
    format!(
        "CREATE PUBLICATION {} FOR TABLE {} WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = false)",
        quote_ident(name),
        tables.join(", ")
    )
}

/// Makes the publication, or keeps one that is exactly right.
pub async fn ensure(client: &Client, label: &str, name: &str, spec: &CaptureSpec) -> Result<()> {
    if spec.tables.is_empty() {
        return Err(StoreError::new(
            ErrorKind::Usage,
            "postgres.no_tables",
            label,
            "there is no table to capture",
        ));
    }
    match difference(client, name, &spec.tables).await? {
        None => return Ok(()),
        Some(_) if table_count(client, name).await?.is_none() => {}
        Some(_) => remove(client, name).await?,
    }
    let statement = create(name, spec);
    let made = client.batch("making the publication", &statement).await;
    made.map_err(|e| match e.kind {
        ErrorKind::Permission => e.fix(format!(
            "As the tables' owner or an administrator: {statement}"
        )),
        _ => e,
    })
}

/// Drops the publication.
pub async fn remove(client: &Client, name: &str) -> Result<()> {
    let statement = format!("DROP PUBLICATION IF EXISTS {}", quote_ident(name));
    let dropped = client.batch("dropping the publication", &statement).await;
    dropped.map_err(|e| e.fix(format!("As an administrator: {statement}")))
}

/// How many tables the publication names; `None` where there is none of this name.
pub async fn table_count(client: &Client, name: &str) -> Result<Option<i64>> {
    let row = client
        .query_opt(
            "looking at the publication",
            "SELECT (SELECT count(*) FROM pg_publication_rel r WHERE r.prpubid = p.oid)
             FROM pg_publication p WHERE p.pubname = $1",
            &[&name],
        )
        .await?;
    Ok(row.map(|row| row.get(0)))
}

/// In what the publication is not exactly the planned one; `None` where it is.
///
/// # Errors
/// The connection's.
pub async fn difference(
    client: &Client,
    name: &str,
    tables: &[TableMapping],
) -> Result<Option<String>> {
    // columns lists, row filters and schemas came with 15, generated columns with 18
    let (filtered, schemas) = match client.version() {
        150_000.. => (
            "coalesce(r.prattrs IS NOT NULL OR r.prqual IS NOT NULL, false)",
            "EXISTS (SELECT FROM pg_publication_namespace n WHERE n.pnpubid = p.oid)",
        ),
        _ => ("false", "false"),
    };
    let generated = match client.version() {
        180_000.. => "p.pubgencols <> 'n'",
        _ => "false",
    };
    let sql = format!(
        "SELECT p.puballtables OR {schemas},
                NOT (p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate), p.pubviaroot, {generated},
                {filtered}, n.nspname::text, c.relname::text
         FROM pg_publication p
         LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid
         LEFT JOIN pg_class c ON c.oid = r.prrelid
         LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE p.pubname = $1"
    );
    let rows = client
        .query("looking at the publication", &sql, &[&name])
        .await?;
    let Some(first) = rows.first() else {
        return Ok(Some("it does not exist".to_owned()));
    };
    if first.get(0) {
        return Ok(Some("it publishes all tables, or those of a schema".into()));
    }
    if first.get(1) {
        return Ok(Some(
            "it leaves out inserts, updates, deletes or truncates".into(),
        ));
    }
    let partitioned = tables.iter().any(|t| t.source.partition_by.is_some());
    if partitioned && first.get(2) {
        return Ok(Some(
            "publish_via_partition_root is on: truncated partitions would not show".into(),
        ));
    }
    if first.get(3) {
        return Ok(Some("it publishes generated columns".into()));
    }
    let mut planned: BTreeSet<(&str, &str)> = tables
        .iter()
        .map(|t| (schema_of(&t.source.name), t.source.name.name.as_str()))
        .collect();
    for row in &rows {
        let (Some(schema), Some(table)) =
            (row.get::<_, Option<&str>>(5), row.get::<_, Option<&str>>(6))
        else {
            continue;
        };
        if row.get(4) {
            return Ok(Some(format!(
                "it has a filter or a column list on {schema}.{table}"
            )));
        }
        if !planned.remove(&(schema, table)) {
            return Ok(Some(format!(
                "it has {schema}.{table}, which is not planned"
            )));
        }
    }
    Ok(planned
        .first()
        .map(|(schema, table)| format!("it does not have {schema}.{table}")))
}
