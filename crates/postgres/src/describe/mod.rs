//! Reading a database's catalog into the portable description.

pub mod catalog;
mod definition;
pub mod key;
mod omissions;
mod partitions;
pub mod sequences;
mod sql;
mod table;
mod types;

use crossfade_model::{Schema, Sequence, TableName};
use crossfade_store::{Result, SequenceState};

use crate::connect::Client;
use crate::session::Purpose;
use crate::store::PostgresStore;
use catalog::Catalog;

pub use definition::{index_statement, retarget_foreign_key, retarget_index, unique_parts};
pub use sql::USER_SCHEMA;

/// Tables of users and what stands around them.
///
/// # Errors
/// The server's or the connection's.
pub async fn describe(store: &PostgresStore) -> Result<Schema> {
    let client = store.connect(Purpose::Describe).await?;
    begin(&client).await?;
    let catalog = Catalog::read(&client).await?;
    let mut omissions = omissions::read(&client).await?;
    omissions.extend(omissions::of_tables(&catalog));
    let types = types::read(&client, &mut omissions).await?;
    let sequences = sequences::read(&client).await?;
    client.batch("reading the catalog", "COMMIT").await?;
    store.keep(client);
    Ok(Schema {
        tables: table::tables(&catalog),
        types,
        sequences,
        omissions,
    })
}

/// The catalog alone, for findings.
///
/// # Errors
/// The server's or the connection's.
pub async fn catalog(client: &Client) -> Result<Catalog> {
    begin(client).await?;
    let catalog = Catalog::read(client).await?;
    client.batch("reading the catalog", "COMMIT").await?;
    Ok(catalog)
}

/// Present values of sequences.
///
/// # Errors
/// The server's or the connection's.
pub async fn sequences(store: &PostgresStore) -> Result<Vec<Sequence>> {
    let client = store.connect(Purpose::Describe).await?;
    let sequences = sequences::read(&client).await?;
    store.keep(client);
    Ok(sequences)
}

/// The same with how they go on.
///
/// # Errors
/// The server's or the connection's.
pub async fn sequence_states(store: &PostgresStore) -> Result<Vec<(TableName, SequenceState)>> {
    let client = store.connect(Purpose::Describe).await?;
    let found = sequences::find(&client).await?;
    store.keep(client);
    let states = found.into_iter().map(|f| (f.sequence.name, f.state));
    Ok(states.collect())
}

async fn begin(client: &Client) -> Result<()> {
    client
        .batch(
            "reading the catalog",
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        )
        .await
}
