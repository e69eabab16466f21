//! Putting the marks on, and looking whether they are still there.

use std::collections::BTreeSet;

use crossfade_model::{TableMapping, TableName};
use crossfade_store::{ErrorKind, Result};

use super::{ROW_TRIGGER, TRUNCATE_TRIGGER, has_tables, sql};
use crate::connect::Client;
use crate::ddl::patiently;
use crate::names::{OWN_SCHEMA, qualified, schema_of};
use crate::session::Purpose;
use crate::store::PostgresStore;

/// A trigger that ought to be.
struct Wanted<'a> {
    mapping: &'a TableMapping,
    on: &'a TableName,
    trigger: &'static str,
}

/// Puts the marks on tables that are this role's; see [`crossfade_store::Target::watch_strangers`].
///
/// # Errors
/// The server's.
pub async fn watch(
    store: &PostgresStore,
    migration: &str,
    tables: &[TableMapping],
) -> Result<Vec<TableName>> {
    let client = store.connect(Purpose::Build).await?;
    make_tables(&client).await?;
    let watched = watched(&client, migration).await?;
    let wanted = wanted(tables);
    let mut lost = BTreeSet::new();
    let mut refused = BTreeSet::new();
    for (at, state) in states(&client, &wanted).await? {
        let Some(wanted) = wanted.get(at) else {
            continue;
        };
        let table = &wanted.mapping.target.name;
        if state.fires {
            continue;
        }
        if watched.contains(&named(table)) {
            lost.insert(table.clone());
        }
        let statement = if state.there {
            sql::enable(wanted.on, wanted.trigger)
        } else {
            sql::create(wanted.mapping, wanted.on, wanted.trigger, migration)
        };
        if !state.owned {
            refused.insert(table.clone());
            continue;
        }
        match patiently(&client, "marking a table", &statement).await {
            Ok(()) => {}
            // the function is another role's, or a partition is: `verify` alone sees strangers there
            Err(e) if e.kind == ErrorKind::Permission => {
                refused.insert(table.clone());
            }
            Err(e) => return Err(e.table(table)),
        }
    }
    let names = tables.iter().map(|m| &m.target.name);
    remember(&client, migration, names.filter(|n| !refused.contains(*n))).await?;
    store.keep(client);
    Ok(lost.into_iter().collect())
}

async fn make_tables(client: &Client) -> Result<()> {
    if has_tables(client).await? {
        return Ok(());
    }
    let doing = "making the tables that strangers are noted in";
    match client.batch(doing, &sql::make()).await {
        // another migration's run was faster
        Err(_) if has_tables(client).await? => Ok(()),
        made => made,
    }
}

fn wanted(tables: &[TableMapping]) -> Vec<Wanted<'_>> {
    let mut out = Vec::new();
    for mapping in tables {
        let target = &mapping.target;
        let mut want = |on, trigger| {
            out.push(Wanted {
                mapping,
                on,
                trigger,
            });
        };
        want(&target.name, ROW_TRIGGER);
        want(&target.name, TRUNCATE_TRIGGER);
        for partition in &target.partitions {
            want(&partition.name, TRUNCATE_TRIGGER);
        }
    }
    out
}

/// What is there of a trigger.
struct State {
    there: bool,
    /// It fires always, on every partition.
    fires: bool,
    owned: bool,
}

async fn states(client: &Client, wanted: &[Wanted<'_>]) -> Result<Vec<(usize, State)>> {
    let mut out = Vec::new();
    for trigger in [ROW_TRIGGER, TRUNCATE_TRIGGER] {
        let of = wanted.iter().enumerate();
        let of: Vec<(usize, String)> = of
            .filter(|(_, w)| w.trigger == trigger)
            .map(|(at, w)| (at, qualified(w.on)))
            .collect();
        let names: Vec<&str> = of.iter().map(|(_, name)| name.as_str()).collect();
        let rows = client
            .query(
                "looking for marks of strangers",
                &sql::states(),
                &[&names, &trigger],
            )
            .await?;
        for row in rows {
            let place = usize::try_from(row.get::<_, i64>(0)).ok();
            if let Some((at, _)) = place.and_then(|place| of.get(place)) {
                let state = State {
                    there: row.get(1),
                    fires: row.get(2),
                    owned: row.get(3),
                };
                out.push((*at, state));
            }
        }
    }
    Ok(out)
}

fn named(table: &TableName) -> (String, String) {
    (schema_of(table).to_owned(), table.name.clone())
}

/// The tables that were marked once.
async fn watched(client: &Client, migration: &str) -> Result<BTreeSet<(String, String)>> {
    let sql = format!(
        "SELECT table_schema, table_name FROM {OWN_SCHEMA}.stranger_watch WHERE migration = $1"
    );
    let rows = client
        .query("looking for marks of strangers", &sql, &[&migration])
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

async fn remember<'a>(
    client: &Client,
    migration: &str,
    tables: impl Iterator<Item = &'a TableName>,
) -> Result<()> {
    let (schemas, names): (Vec<String>, Vec<String>) = tables.map(named).unzip();
    let sql = format!(
        "INSERT INTO {OWN_SCHEMA}.stranger_watch
         SELECT $1, t.* FROM unnest($2::text[], $3::text[]) AS t ON CONFLICT DO NOTHING"
    );
    client
        .execute("marking tables", &sql, &[&migration, &schemas, &names])
        .await
        .map(drop)
}
