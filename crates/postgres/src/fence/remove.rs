//! What the fence has made, and removing it.

use crossfade_model::TableName;
use crossfade_store::{Made, Result};

use super::{freeze, names, probe, register};
use crate::connect::Client;
use crate::ddl::{drop_own_schema, patiently};
use crate::names::{OWN_SCHEMA, qualified, quote_ident};
use crate::session::Purpose;
use crate::store::PostgresStore;

/// What is there; see [`crossfade_store::Fence::fence_made`].
///
/// # Errors
/// The server's.
pub(super) async fn made(store: &PostgresStore, migration: &str) -> Result<Vec<Made>> {
    let client = store.connect(Purpose::Fence).await?;
    let out = found(&client, migration).await?;
    store.keep(client);
    Ok(out)
}

async fn found(client: &Client, migration: &str) -> Result<Vec<Made>> {
    let made = |kind: &str, name: String, detail: String| Made {
        kind: kind.into(),
        name,
        detail,
    };
    let triggers = triggers(client, migration).await?;
    let mut out: Vec<Made> = triggers
        .into_iter()
        .map(|(table, name)| {
            made(
                "trigger",
                format!("{name} on {table}"),
                "the fence's".into(),
            )
        })
        .collect();
    let rows = client
        .query(
            "looking for what the fence made",
            "SELECT 'event trigger', evtname::text, 'refuses changes of shape' FROM pg_event_trigger WHERE evtname = ANY ($1)
             UNION ALL SELECT 'function', f.name, 'the fence''s' FROM unnest($2::text[]) AS f (name)
                 WHERE to_regprocedure(f.name) IS NOT NULL
             UNION ALL SELECT 'sequence', $3, 'what writers read' WHERE to_regclass($3) IS NOT NULL
             UNION ALL SELECT 'table', $4, 'what the probe of a switch writes into' WHERE to_regclass($4) IS NOT NULL",
            &[
                &names::freezes(migration).as_slice(),
                &[names::function(migration), names::freeze_function(migration)]
                    .map(|name| format!("{name}()"))
                    .as_slice(),
                &names::gate(migration),
                &probe::table(migration).to_string(),
            ],
        )
        .await?;
    out.extend(
        rows.iter()
            .map(|row| made(row.get(0), row.get(1), row.get(2))),
    );
    if let Some(row) = register::read(client, migration).await? {
        let detail = format!("the register: {}", row.standing.register);
        out.push(made("rows", format!("{OWN_SCHEMA}.register"), detail));
    }
    Ok(out)
}

/// The triggers of the fence's function.
async fn triggers(client: &Client, migration: &str) -> Result<Vec<(TableName, String)>> {
    let rows = client
        .query(
            "looking for what the fence made",
            "SELECT n.nspname::text, c.relname::text, t.tgname::text FROM pg_trigger t
             JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE t.tgfoid = to_regprocedure($1)::oid AND NOT t.tgisinternal AND t.tgparentid = 0 ORDER BY 1, 2, 3",
            &[&format!("{}()", names::function(migration))],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| {
            let table = TableName {
                schema: Some(row.get(0)),
                name: row.get(1),
            };
            (table, row.get(2))
        })
        .collect())
}

/// Removes all of it, triggers first; see [`crossfade_store::Fence::remove_fence`].
///
/// # Errors
/// [`crossfade_store::ErrorKind::Busy`] where a table is in use for minutes; the server's.
pub(super) async fn remove(store: &PostgresStore, migration: &str) -> Result<Vec<Made>> {
    // removing waits for a table as long as building does
    let client = store.connect(Purpose::Build).await?;
    let removed = found(&client, migration).await?;
    if removed.iter().any(|made| made.kind == "event trigger") {
        freeze::lift(&client, migration).await?;
    }
    for (table, name) in triggers(&client, migration).await? {
        let sql = format!(
            "DROP TRIGGER IF EXISTS {} ON {}",
            quote_ident(&name),
            qualified(&table)
        );
        patiently(&client, "taking off the fence", &sql)
            .await
            .map_err(|e| e.table(&table))?;
    }
    let doing = "removing the fence";
    let sql = format!(
        "DROP TABLE IF EXISTS {}; DROP FUNCTION IF EXISTS {}(), {}(); DROP SEQUENCE IF EXISTS {}",
        qualified(&probe::table(migration)),
        names::function(migration),
        names::freeze_function(migration),
        names::gate(migration)
    );
    if !removed.is_empty() {
        client.batch(doing, &sql).await?;
    }
    if register::read(&client, migration).await?.is_some() {
        let sql = format!("DELETE FROM {OWN_SCHEMA}.register WHERE migration = $1");
        client.execute(doing, &sql, &[&migration]).await?;
    }
    if !removed.is_empty() {
        drop_own_schema(&client).await?;
    }
    store.keep(client);
    Ok(removed)
}
