//! COPY FROM STDIN: rows or opaque blocks into a table, in bounded memory.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use crossfade_model::Cell;
use crossfade_model::canonical::Canonical;
use crossfade_store::Result;
use futures_util::SinkExt as _;
use tokio_postgres::{CopyInSink, Statement};

use crate::connect::Client;
use crate::copy_text::{BadCell, write_row};

/// Bytes handed to the connection at once.
const BLOCK: usize = 256 << 10;

/// A COPY that is under way. Dropping it makes the server forget the rows (and fail the transaction).
pub struct CopyIn {
    sink: Pin<Box<CopyInSink<Bytes>>>,
    buffer: BytesMut,
    scratch: String,
}

impl CopyIn {
    /// Begins.
    ///
    /// # Errors
    /// The server's.
    pub async fn begin(client: &Client, doing: &str, statement: &Statement) -> Result<CopyIn> {
        let sink = client
            .raw()
            .copy_in(statement)
            .await
            .map_err(|e| client.error(doing, &e))?;
        Ok(CopyIn {
            sink: Box::pin(sink),
            buffer: BytesMut::new(),
            scratch: String::new(),
        })
    }

    /// Adds a row in the text format.
    ///
    /// # Errors
    /// A value that has no text. The COPY is then of no use.
    pub fn row<'a>(
        &mut self,
        cells: impl IntoIterator<Item = (Canonical, &'a Cell)>,
    ) -> Result<(), BadCell> {
        write_row(cells, &mut self.scratch, &mut self.buffer)
    }

    /// Sends what has gathered once it is much. Call between rows.
    ///
    /// # Errors
    /// The connection's.
    pub async fn flush(&mut self, client: &Client, doing: &str) -> Result<()> {
        if self.buffer.len() < BLOCK {
            return Ok(());
        }
        let block = self.buffer.split().freeze();
        self.block(client, doing, block).await
    }

    /// Sends bytes of the COPY's own format.
    ///
    /// # Errors
    /// The connection's.
    pub async fn block(&mut self, client: &Client, doing: &str, block: Bytes) -> Result<()> {
        self.sink
            .send(block)
            .await
            .map_err(|e| client.error(doing, &e))
    }

    /// Ends the data; returns how many rows were written.
    ///
    /// # Errors
    /// The server's, for any of the rows.
    pub async fn finish(mut self, client: &Client, doing: &str) -> Result<u64> {
        let rest = self.buffer.split().freeze();
        if !rest.is_empty() {
            self.block(client, doing, rest).await?;
        }
        self.sink
            .as_mut()
            .finish()
            .await
            .map_err(|e| client.error(doing, &e))
    }
}
