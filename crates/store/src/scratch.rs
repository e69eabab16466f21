//! Copies to rehearse on: a scratch database beside a store, and somebody who writes there as an application would.

use std::sync::Arc;

use async_trait::async_trait;
use crossfade_model::{Table, TableName};

use crate::{Result, Store};

/// A database that was made to be removed again.
#[async_trait]
pub trait Scratch: Send + Sync {
    /// Its URL without secrets.
    fn label(&self) -> &str;

    /// The database as where rows come from.
    ///
    /// # Errors
    /// It is gone.
    fn source(&self) -> Result<Arc<dyn Store>>;

    /// The database as where rows go to.
    ///
    /// # Errors
    /// It is gone.
    fn target(&self) -> Result<Arc<dyn Store>>;

    /// Removes it with all that is in it. That it is gone already is no error.
    async fn remove(&self) -> Result<()>;
}

/// Writes into tables as an application would, without changing what they say: rows are updated to what they are, deleted and inserted
/// again. Through an ordinary connection, so that capture, fence and guards meet it as they meet everybody.
#[async_trait]
pub trait Exerciser: Send {
    /// Writes to at most `rows` rows of the table, others from round to round, and returns how many rows were written. A row is deleted
    /// only where no foreign key could follow it.
    async fn exercise(&mut self, table: &Table, rows: u32, round: u64) -> Result<u64>;
}

/// A store on whose server scratch databases can be made.
#[async_trait]
pub trait Rehearsing: Send + Sync {
    /// Makes an empty database of this name beside the store's own, with the same encoding and collation.
    /// [`crate::ErrorKind::Conflict`] where there is one of that name; [`crate::ErrorKind::Permission`] with the statement that
    /// would permit it.
    async fn make_scratch(&self, name: &str) -> Result<Box<dyn Scratch>>;

    /// Opens a connection that writes as an application.
    async fn open_exerciser(&self) -> Result<Box<dyn Exerciser>>;

    /// Drops these tables of the store's own database, whoever made them. That one is gone already is no error.
    async fn drop_tables(&self, tables: &[TableName]) -> Result<()>;
}
