//! A table of our own under the fence, and who writes into it.

use async_trait::async_trait;
use crossfade_model::TableName;
use crossfade_store::{Result, WriteProbe};

use super::{names, register, sql};
use crate::connect::Client;
use crate::names::{OWN_SCHEMA, qualified, quote_literal};
use crate::session::Purpose;
use crate::store::PostgresStore;

/// One row, which is written again and again.
pub(super) struct Probe {
    client: Client,
    statement: String,
}

/// Opens; see [`crossfade_store::Fence::open_probe`].
///
/// # Errors
/// [`crossfade_store::ErrorKind::Missing`] where there is no register; the server's.
pub(super) async fn open(store: &PostgresStore, migration: &str) -> Result<Probe> {
    let client = store.connect(Purpose::Fence).await?;
    register::require(&client, migration).await?;
    let table = table(migration);
    make(&client, migration, &table).await?;
    Ok(Probe {
        client,
        statement: format!("UPDATE {} SET writes = writes + 1", qualified(&table)),
    })
}

/// The probe's table.
pub(super) fn table(migration: &str) -> TableName {
    TableName {
        schema: Some(OWN_SCHEMA.to_owned()),
        name: names::probe(migration),
    }
}

/// The table with its row, then the fence: a closed store would refuse the row. Two that make it at once wait for each other.
async fn make(client: &Client, migration: &str, table: &TableName) -> Result<()> {
    let doing = "making the probe's table";
    let name = qualified(table);
    let there = client
        .query_one(doing, "SELECT to_regclass($1) IS NOT NULL", &[&name])
        .await?;
    if there.get(0) {
        return Ok(());
    }
    let rows = format!(
        "BEGIN;
         SELECT pg_advisory_xact_lock({key});
         DO $probe$
         BEGIN
             IF to_regclass({literal}) IS NULL THEN
                 CREATE TABLE {name} (one boolean PRIMARY KEY CHECK (one), writes bigint NOT NULL);
                 INSERT INTO {name} VALUES (true, 0);
             END IF;
         END
         $probe$;
         {arm};
         COMMIT",
        key = names::latch(""),
        literal = quote_literal(&name),
        arm = sql::arm(table, migration, false),
    );
    let made = client.batch(doing, &rows).await;
    if made.is_err() {
        // the connection goes on after the failed transaction; its own error is the one to tell
        let _ended = client.batch(doing, "ROLLBACK").await;
    }
    made
}

#[async_trait]
impl WriteProbe for Probe {
    async fn write(&mut self) -> Result<()> {
        self.client
            .execute("probing for writes", &self.statement, &[])
            .await
            .map(drop)
    }
}
