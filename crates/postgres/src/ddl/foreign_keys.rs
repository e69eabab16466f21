//! Foreign keys, and the checks that some rows may not meet: added last, and validated beside running writes.

use crossfade_model::{Omission, TableMapping};
use crossfade_store::{Recovery, Result};

use super::patient::patiently;
use super::table::is_late;
use crate::connect::Client;
use crate::names::{qualified, quote_ident};
use crate::session::Purpose;
use crate::store::PostgresStore;

/// Adds and validates what is absent. What cannot be added now is returned, with why.
///
/// # Errors
/// Those that pass by themselves, such as the connection's.
pub async fn build_foreign_keys(
    store: &PostgresStore,
    tables: &[TableMapping],
) -> Result<Vec<Omission>> {
    let client = store.connect(Purpose::Build).await?;
    let mut left = Vec::new();
    for mapping in tables {
        let target = &mapping.target;
        let keys = target
            .foreign_keys
            .iter()
            .map(|k| ("foreign key", &k.name, &k.definition));
        let checks = target
            .checks
            .iter()
            .filter(|c| is_late(c))
            .map(|c| ("check", &c.name, &c.definition));
        for (kind, name, definition) in keys.chain(checks) {
            if let Err(e) = add(&client, mapping, name, definition).await {
                if e.recovery() == Recovery::Retry {
                    return Err(e);
                }
                left.push(Omission {
                    kind: kind.into(),
                    name: format!("{}: {name}", target.name),
                    why: e.what,
                });
            }
        }
    }
    store.keep(client);
    Ok(left)
}

async fn add(client: &Client, mapping: &TableMapping, name: &str, definition: &str) -> Result<()> {
    let table = qualified(&mapping.target.name);
    let constraint = quote_ident(name);
    let found = client
        .query_opt(
            "looking for a constraint",
            "SELECT convalidated FROM pg_constraint WHERE conrelid = to_regclass($1::text) AND conname = $2",
            &[&table, &name],
        )
        .await?;
    // the source itself does not vouch for its rows, so neither can the target
    let stays_unproven =
        definition.ends_with(" NOT VALID") || definition.ends_with(" NOT ENFORCED");
    match found {
        Some(row) if row.get(0) || stays_unproven => return Ok(()),
        Some(_) => {}
        None => {
            // a partitioned table's foreign key is validated as it is added (before version 18, which allows both)
            let plain = stays_unproven || mapping.target.partition_by.is_some();
            let suffix = if plain { "" } else { " NOT VALID" };
            let sql =
                format!("ALTER TABLE {table} ADD CONSTRAINT {constraint} {definition}{suffix}");
            patiently(client, "adding a constraint", &sql).await?;
            if plain {
                return Ok(());
            }
        }
    }
    let sql = format!("ALTER TABLE {table} VALIDATE CONSTRAINT {constraint}");
    let validated = client.batch("validating a constraint", &sql).await;
    if let Err(e) = &validated
        && e.recovery() != Recovery::Retry
    {
        // an unproven constraint would refuse changes that the source allowed
        let sql = format!("ALTER TABLE {table} DROP CONSTRAINT {constraint}");
        patiently(client, "dropping a constraint that does not hold", &sql).await?;
    }
    validated
}
