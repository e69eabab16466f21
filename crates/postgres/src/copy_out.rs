//! COPY TO STDOUT: opaque blocks, or rows as cells.

use std::pin::Pin;

use async_trait::async_trait;
use bytes::BytesMut;
use crossfade_store::{CopyFormat, ErrorKind, ReadForm, Result, RowBlock, RowStream, StoreError};
use futures_util::StreamExt as _;
use tokio_postgres::CopyOutStream;

use crate::connect::Client;
use crate::copy_text::RowReader;

/// Bytes of one block, about.
const BLOCK: usize = 1 << 20;

const DOING: &str = "reading rows";

/// The messages of a COPY, each a row.
pub struct Messages<'a> {
    client: &'a Client,
    stream: Pin<Box<CopyOutStream>>,
}

impl<'a> Messages<'a> {
    /// Reads what `source` (a table with its columns, or a query in parentheses) gives; `format` is empty for text.
    ///
    /// # Errors
    /// The server's.
    pub async fn begin(client: &'a Client, source: &str, format: &str) -> Result<Messages<'a>> {
        let sql = format!("COPY {source} TO STDOUT{format}");
        let stream = client
            .raw()
            .copy_out(&sql)
            .await
            .map_err(|e| client.error(DOING, &e))?;
        Ok(Messages {
            client,
            stream: Box::pin(stream),
        })
    }

    /// The next; `None` after the last.
    ///
    /// # Errors
    /// The server's.
    pub async fn next(&mut self) -> Result<Option<bytes::Bytes>> {
        match self.stream.next().await {
            Some(Ok(bytes)) => Ok(Some(bytes)),
            Some(Err(e)) => Err(self.client.error(DOING, &e)),
            None => Ok(None),
        }
    }
}

/// The error of COPY data that is none.
pub fn malformed(label: &str) -> StoreError {
    StoreError::new(
        ErrorKind::Corrupt,
        "postgres.copy",
        label,
        "the server's COPY data cannot be read",
    )
}

/// Rows that a COPY hands over.
pub struct CopyOut<'a> {
    label: &'a str,
    messages: Messages<'a>,
    /// `None`: blocks are handed on as they are.
    rows: Option<RowReader>,
    columns: usize,
    ended: bool,
}

impl<'a> CopyOut<'a> {
    /// Reads what `source` (a table with its columns, or a query in parentheses) gives.
    ///
    /// # Errors
    /// The server's.
    pub async fn begin(
        client: &'a Client,
        label: &'a str,
        source: &str,
        form: &ReadForm,
        columns: usize,
    ) -> Result<CopyOut<'a>> {
        let format = match form {
            ReadForm::Copy(CopyFormat::PostgresBinary) => " WITH (FORMAT binary)",
            ReadForm::Copy(CopyFormat::PostgresText) | ReadForm::Rows => "",
        };
        Ok(CopyOut {
            label,
            messages: Messages::begin(client, source, format).await?,
            rows: matches!(form, ReadForm::Rows).then(RowReader::default),
            columns,
            ended: false,
        })
    }

    async fn message(&mut self) -> Result<Option<bytes::Bytes>> {
        let message = self.messages.next().await?;
        self.ended = message.is_none();
        Ok(message)
    }

    /// Messages are rows, mostly small: many of them make a block.
    async fn copy_block(&mut self) -> Result<Option<RowBlock>> {
        let mut block = BytesMut::with_capacity(BLOCK + BLOCK / 8);
        while block.len() < BLOCK {
            match self.message().await? {
                Some(bytes) => block.extend_from_slice(&bytes),
                None => break,
            }
        }
        Ok((!block.is_empty()).then(|| RowBlock::Copy(block.freeze())))
    }

    async fn row_block(&mut self) -> Result<Option<RowBlock>> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        while bytes < BLOCK {
            let message = self.message().await?;
            let columns = self.columns;
            let Some(reader) = &mut self.rows else {
                break;
            };
            let read = match message {
                Some(message) => {
                    bytes += message.len();
                    reader.read(message, columns, &mut rows)
                }
                None => match reader.finish() {
                    Ok(()) => break,
                    Err(e) => Err(e),
                },
            };
            if read.is_err() {
                return Err(malformed(self.label));
            }
        }
        Ok((!rows.is_empty()).then_some(RowBlock::Rows(rows)))
    }
}

#[async_trait]
impl RowStream for CopyOut<'_> {
    async fn next(&mut self) -> Result<Option<RowBlock>> {
        if self.ended {
            return Ok(None);
        }
        if self.rows.is_some() {
            self.row_block().await
        } else {
            self.copy_block().await
        }
    }
}
