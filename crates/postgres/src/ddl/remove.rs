//! What a migration has made on a target, and removing it.

use crossfade_model::TableMapping;
use crossfade_store::{Made, Result};

use super::{has_own_schema, own};
use crate::connect::Client;
use crate::guard::{self, Guarded};
use crate::names::{OWN_SCHEMA, qualified};
use crate::session::Purpose;
use crate::store::PostgresStore;
use crate::strangers::{self, Marked};
use crate::tenure;

/// What is there of a migration besides its tables.
///
/// # Errors
/// The server's.
pub async fn made(store: &PostgresStore, migration: &str) -> Result<Vec<Made>> {
    let client = store.connect(Purpose::Check).await?;
    let mut out: Vec<Made> = guard::guarded(&client, migration)
        .await?
        .iter()
        .map(trigger)
        .collect();
    let marked = strangers::marked(&client, migration).await?;
    out.extend(marked.iter().map(mark));
    if strangers::has_tables(&client).await? {
        let sql = format!("SELECT count(*) FROM {OWN_SCHEMA}.stranger WHERE migration = $1");
        let doing = "looking at crossfade's tables";
        let noted: i64 = client.query_one(doing, &sql, &[&migration]).await?.get(0);
        if noted > 0 {
            out.push(Made {
                kind: "rows".into(),
                name: format!("{OWN_SCHEMA}.stranger"),
                detail: format!("{noted} noted writes of strangers"),
            });
        }
    }
    if tenure::has_tables(&client).await? {
        let sql = format!(
            "SELECT (SELECT count(*) FROM {OWN_SCHEMA}.record WHERE migration = $1)
             FROM {OWN_SCHEMA}.run WHERE migration = $1"
        );
        let row = client
            .query_opt("looking at crossfade's tables", &sql, &[&migration])
            .await?;
        if let Some(row) = row {
            out.push(Made {
                kind: "rows".into(),
                name: format!("{OWN_SCHEMA}.run and {OWN_SCHEMA}.record"),
                detail: format!("{} records", row.get::<_, i64>(0)),
            });
        }
    }
    Ok(out)
}

fn trigger(guarded: &Guarded) -> Made {
    Made {
        kind: "trigger".into(),
        name: format!("{} on {}", guard::TRIGGER, guarded.table),
        detail: if guarded.made {
            "on a table that the migration made".into()
        } else {
            "on a table that was there before".into()
        },
    }
}

fn mark(marked: &Marked) -> Made {
    Made {
        kind: "trigger".into(),
        name: format!("{} on {}", marked.trigger, marked.table),
        detail: "notes writes of strangers".into(),
    }
}

/// Removes the migration's triggers and rows, and those of `tables` that it made. Takes the right to write first, so that no
/// run is alive and a straggler can commit nothing.
///
/// # Errors
/// [`crossfade_store::ErrorKind::AlreadyRunning`]; the server's, such as a view that hangs on a table.
pub async fn remove(
    store: &PostgresStore,
    migration: &str,
    tables: &[TableMapping],
) -> Result<Vec<Made>> {
    let client = store.connect(Purpose::Build).await?;
    let _tenure = if tenure::has_tables(&client).await? {
        Some(tenure::acquire(store, migration).await?)
    } else {
        None
    };
    let guarded = guard::guarded(&client, migration).await?;
    let mut removed = made(store, migration).await?;
    let doomed: Vec<&TableMapping> = tables
        .iter()
        .filter(|m| {
            guarded
                .iter()
                .any(|g| g.made && qualified(&g.table) == qualified(&m.target.name))
        })
        .collect();
    if !doomed.is_empty() {
        let names: Vec<String> = doomed.iter().map(|m| qualified(&m.target.name)).collect();
        // one statement: tables that refer to each other can only go together
        let sql = format!("DROP TABLE IF EXISTS {}", names.join(", "));
        client.batch("dropping tables", &sql).await.map_err(|e| {
            e.fix("Drop what hangs on the table (a view, another table's foreign key) first")
        })?;
        removed.extend(doomed.iter().map(|m| Made {
            kind: "table".into(),
            name: m.target.name.to_string(),
            detail: "with its rows".into(),
        }));
        removed.extend(own::remove(&client, migration).await?);
    }
    for guard in guard::guarded(&client, migration).await? {
        let sql = guard::drop_statement(&guard.table);
        super::patiently(&client, "taking off a guard", &sql).await?;
    }
    for mark in strangers::marked(&client, migration).await? {
        let sql = strangers::drop_statement(&mark.table, &mark.trigger);
        super::patiently(&client, "taking off a mark", &sql).await?;
    }
    remove_rows(&client, migration).await?;
    Ok(removed)
}

/// The migration's rows; and crossfade's own schema with the last migration's.
async fn remove_rows(client: &Client, migration: &str) -> Result<()> {
    let doing = "removing crossfade's rows";
    if tenure::has_tables(client).await? {
        for table in ["record", "run"] {
            let sql = format!("DELETE FROM {OWN_SCHEMA}.{table} WHERE migration = $1");
            client.execute(doing, &sql, &[&migration]).await?;
        }
    }
    if strangers::has_tables(client).await? {
        for table in strangers::TABLES {
            let sql = format!("DELETE FROM {OWN_SCHEMA}.{table} WHERE migration = $1");
            client.execute(doing, &sql, &[&migration]).await?;
        }
    }
    drop_own_schema(client).await
}

/// Drops crossfade's own schema where no migration has anything in it.
///
/// # Errors
/// The server's; that the schema is still used is none.
pub(crate) async fn drop_own_schema(client: &Client) -> Result<()> {
    let doing = "removing crossfade's schema";
    if !has_own_schema(client).await? {
        return Ok(());
    }
    // another migration may begin meanwhile: only what nobody uses goes, and what is used refuses to
    let noted = strangers::TABLES.map(|table| format!("{OWN_SCHEMA}.{table}"));
    let sql = format!(
        "DO $remove$
         BEGIN
             IF to_regclass('{OWN_SCHEMA}.register') IS NOT NULL THEN
                 LOCK TABLE {OWN_SCHEMA}.register IN ACCESS EXCLUSIVE MODE;
                 IF EXISTS (SELECT FROM {OWN_SCHEMA}.register) THEN
                     RETURN;
                 END IF;
                 DROP TABLE {OWN_SCHEMA}.register;
             END IF;
             IF to_regclass('{OWN_SCHEMA}.run') IS NOT NULL THEN
                 LOCK TABLE {OWN_SCHEMA}.run IN ACCESS EXCLUSIVE MODE;
                 IF EXISTS (SELECT FROM {OWN_SCHEMA}.run) THEN
                     RETURN;
                 END IF;
                 DROP TABLE {OWN_SCHEMA}.record, {OWN_SCHEMA}.run;
             END IF;
             DROP FUNCTION IF EXISTS {OWN_SCHEMA}.guard();
             DROP FUNCTION IF EXISTS {OWN_SCHEMA}.stranger();
             DROP TABLE IF EXISTS {};
             DROP SCHEMA {OWN_SCHEMA};
         END
         $remove$",
        noted.join(", ")
    );
    match client.batch(doing, &sql).await {
        // somebody else's objects are in it, or their guards use the function
        Err(e) if matches!(e.server_code.as_deref(), Some("2BP01" | "42501")) => Ok(()),
        other => other,
    }
}
