//! What the armed fence costs a writing statement: the same statement, timed with and without its triggers on a table that is made for it and
//! dropped. Temporary tables can have no triggers here.

use std::time::{Duration, Instant};

use crossfade_store::Result;
use sha2::{Digest as _, Sha256};

use super::triggers;
use crate::connect::Client;
use crate::names::{OWN_PREFIX, quote};
use crate::own;

/// Statements that are timed together.
const STATEMENTS: u32 = 100;

const DOING: &str = "measuring the fence";

/// Measures; the table goes also where that fails.
pub(super) async fn measure(client: &mut Client, migration: &str) -> Result<Duration> {
    let digest = Sha256::digest(migration.as_bytes());
    let table = format!(
        "{OWN_PREFIX}cost_{}",
        crossfade_model::hex::encode(&digest[..10])
    );
    let drop = format!("DROP TABLE IF EXISTS {}", quote(&table));
    client.run(DOING, &drop).await?;
    let measured = compared(client, migration, &table).await;
    client.run(DOING, &drop).await?;
    measured
}

async fn compared(client: &mut Client, migration: &str, table: &str) -> Result<Duration> {
    let name = quote(table);
    for sql in [
        format!(
            "CREATE TABLE {name} (one TINYINT NOT NULL PRIMARY KEY, writes BIGINT UNSIGNED NOT NULL) {}",
            own::OPTIONS
        ),
        format!("INSERT INTO {name} VALUES (1, 0)"),
    ] {
        client.run(DOING, &sql).await?;
    }
    let statement = format!("UPDATE {name} SET writes = writes + 1");
    // once each without being timed: what is used for the first time is opened first
    timed(client, &statement).await?;
    let without = timed(client, &statement).await?;
    triggers::put(client, migration, table).await?;
    timed(client, &statement).await?;
    let with = timed(client, &statement).await?;
    Ok(with.saturating_sub(without) / STATEMENTS)
}

/// In a transaction that is rolled back: nothing of it is in the log.
async fn timed(client: &mut Client, statement: &str) -> Result<Duration> {
    client.run(DOING, "START TRANSACTION").await?;
    let begun = Instant::now();
    for _ in 0..STATEMENTS {
        client.run(DOING, statement).await?;
    }
    let took = begun.elapsed();
    client.run(DOING, "ROLLBACK").await?;
    Ok(took)
}
