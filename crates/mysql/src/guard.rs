//! Guards: row triggers that keep others from writing to tables that a migration fills. Crossfade's own sessions pass by
//! naming the migration in a variable of the session. Readers are not touched; TRUNCATE and DDL fire no triggers:
//! they are found in the log ([`crate::strangers`]).

use crossfade_store::Result;

use crate::connect::Client;
use crate::names::{literal, quote, with_ending};

const EVENTS: [&str; 3] = ["INSERT", "UPDATE", "DELETE"];

/// The session's variable.
pub(crate) const VARIABLE: &str = "@_crossfade_migration";

/// The statement by which a session passes the guards of a migration.
pub(crate) fn pass(migration: &str) -> String {
    format!("SET {VARIABLE} = {}", literal(migration))
}

/// The condition that a session passes as one of these migrations' own; never NULL.
pub(crate) fn passes(migrations: &[&str]) -> String {
    let names: Vec<String> = migrations.iter().map(|name| literal(name)).collect();
    format!("IFNULL({VARIABLE} IN ({}), FALSE)", names.join(", "))
}

/// A trigger's name is its database's: two long names of tables must not meet.
fn name(table: &str, event: &str) -> String {
    let event = event.to_ascii_lowercase();
    let plain = format!("_crossfade_{event}_{table}");
    if plain.chars().count() <= 64 {
        return plain;
    }
    use sha2::{Digest as _, Sha256};
    let digest = Sha256::digest(table.as_bytes());
    with_ending(
        &plain,
        &format!("_{}", crossfade_model::hex::encode(&digest[..6])),
    )
}

/// The statement that makes one guard.
fn statement(table: &str, event: &str, migration: &str) -> String {
    // at most 128 characters (MySQL documentation, "SIGNAL Statement")
    let message: String =
        format!("crossfade: table {table} is being migrated into; no writes until the switch")
            .chars()
            .take(128)
            .collect();
    format!(
        "CREATE TRIGGER {} BEFORE {event} ON {} FOR EACH ROW BEGIN \
         IF NOT ({VARIABLE} <=> {}) THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = {}; END IF; END",
        quote(&name(table, event)),
        quote(table),
        literal(migration),
        literal(&message)
    )
}

/// Closes a table; done before is no error.
pub(crate) async fn close(client: &mut Client, migration: &str, table: &str) -> Result<()> {
    let present = present(client, table).await?;
    for event in EVENTS {
        if !present.contains(&name(table, event)) {
            client
                .run("guarding a table", &statement(table, event, migration))
                .await
                .map_err(|e| e.table(table))?;
        }
    }
    Ok(())
}

/// The guards that are on a table.
async fn present(client: &mut Client, table: &str) -> Result<Vec<String>> {
    let rows = client
        .texts(
            "looking for guards",
            &format!(
                "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS
                 WHERE EVENT_OBJECT_SCHEMA = DATABASE() AND EVENT_OBJECT_TABLE = {}",
                literal(table)
            ),
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| row.text(0).to_owned())
        .filter(|found| EVENTS.iter().any(|event| *found == name(table, event)))
        .collect())
}

/// Whether the table refuses others' writes.
pub(crate) async fn is_closed(client: &mut Client, table: &str) -> Result<bool> {
    Ok(present(client, table).await?.len() == EVENTS.len())
}

/// Opens a table; returns the guards that were there.
pub(crate) async fn open(client: &mut Client, table: &str) -> Result<Vec<String>> {
    let present = present(client, table).await?;
    for name in &present {
        client
            .run(
                "taking a guard off",
                &format!("DROP TRIGGER IF EXISTS {}", quote(name)),
            )
            .await?;
    }
    Ok(present)
}
