//! What speaks against a migration, found before anything is made.

mod acting;
mod functions;
mod privileges;
mod server;
mod source_tables;
mod target;

use crossfade_model::{Finding, TableMapping, TableName};
use crossfade_store::{CaptureSpec, Result};

use crate::session::Purpose;
use crate::store::PostgresStore;

pub use acting::acting;
pub use server::names_our_walsender;

/// The oldest server that is supported (`server_version_num`).
const OLDEST: u32 = 130_000;

const SOURCE: &str = "source";
const TARGET: &str = "target";

fn too_old(version: u32, place: &str) -> Option<Finding> {
    (version < OLDEST).then(|| {
        Finding::blocks(
            "postgres.version",
            place,
            format!(
                "the server is version {}; 13 or newer is needed",
                version / 10_000
            ),
        )
        .fix("Upgrade the server")
    })
}

/// A finding's table, as people write it.
fn shown(name: &TableName) -> String {
    name.to_string()
}

/// What speaks against capturing these tables.
///
/// # Errors
/// The connection's.
pub async fn source(store: &PostgresStore, spec: &CaptureSpec) -> Result<Vec<Finding>> {
    let client = store.connect(Purpose::Check).await?;
    if let Some(finding) = too_old(client.version(), SOURCE) {
        return Ok(vec![finding]);
    }
    let mut findings = server::source(&client, spec).await?;
    let catalog = crate::describe::catalog(&client).await?;
    findings.extend(source_tables::check(&catalog, spec));
    findings.extend(functions::needed(&client, &catalog, spec).await?);
    findings.extend(privileges::source(&client, &catalog, spec).await?);
    store.keep(client);
    Ok(findings)
}

/// What speaks against writing these tables.
///
/// # Errors
/// The connection's.
pub async fn target(
    store: &PostgresStore,
    migration: &str,
    tables: &[TableMapping],
    fresh: bool,
) -> Result<Vec<Finding>> {
    let client = store.connect(Purpose::Check).await?;
    if let Some(finding) = too_old(client.version(), TARGET) {
        return Ok(vec![finding]);
    }
    let catalog = crate::describe::catalog(&client).await?;
    let findings = target::check(&client, &catalog, migration, tables, fresh).await?;
    store.keep(client);
    Ok(findings)
}
