//! Sums of the digests of rows that COPY hands over: each is hashed as it comes, from the bytes of its message.

use crossfade_model::{BucketSums, Digester, TableMapping, Value};
use crossfade_store::{ErrorKind, Result, StoreError};

use crate::connect::Client;
use crate::copy_lines::{Lines, values};
use crate::copy_out::{self, malformed};
use crate::copy_text::Malformed;
use crate::sums::raw::{self, RawReads};

/// Bytes after which other tasks have their turn.
const TURN: usize = 1 << 20;

/// Sums all rows of `source` (a table with its mapped columns, or a query in parentheses).
///
/// They are read by the `second` session, where there is one, else by the client.
///
/// # Errors
/// The server's; a value that is not of its column's type.
pub async fn sum(
    client: &Client,
    second: &mut RawReads,
    label: &str,
    source: &str,
    mapping: &TableMapping,
    digester: &Digester,
) -> Result<BucketSums> {
    let mut summing = Summing {
        mapping,
        digester: digester.clone(),
        sums: BucketSums::default(),
        scratch: Vec::new(),
    };
    let mut rests = second.rests();
    if let Some(reading) = second.begin(client).await {
        let mut lines = Lines::default();
        let each = |message: &[u8]| {
            lines
                .read(message, |line| summing.line(line))
                .map_err(|e| summing.error(e, label))
        };
        match reading.copy(client, source, each).await {
            Ok(rows) => {
                lines.finish().map_err(|_| malformed(label))?;
                // the server's own count: no row was lost between the two
                return if rows == summing.sums.total().rows {
                    Ok(summing.sums)
                } else {
                    Err(malformed(label))
                };
            }
            // who waits for the table stands before a second session, never before the one that has its lock
            Err(e) if raw::waited_for_lock(&e) && summing.sums.total().rows == 0 => {}
            Err(e) => return Err(e),
        }
    }
    let mut reading = copy_out::Messages::begin(client, source, "").await?;
    let mut lines = Lines::default();
    let mut bytes = 0;
    while let Some(message) = reading.next().await? {
        lines
            .read(&message, |line| summing.line(line))
            .map_err(|e| summing.error(e, label))?;
        rests.take().await;
        bytes += message.len();
        if bytes > TURN {
            bytes = 0;
            tokio::task::yield_now().await;
        }
    }
    lines.finish().map_err(|_| malformed(label))?;
    Ok(summing.sums)
}

struct Summing<'a> {
    mapping: &'a TableMapping,
    digester: Digester,
    sums: BucketSums,
    scratch: Vec<u8>,
}

/// Why a line could not be summed.
enum BadLine {
    Malformed,
    Width,
}

impl From<Malformed> for BadLine {
    fn from(_: Malformed) -> BadLine {
        BadLine::Malformed
    }
}

impl Summing<'_> {
    fn line(&mut self, line: &[u8]) -> std::result::Result<(), BadLine> {
        let columns = &self.mapping.columns;
        let digester = &mut self.digester;
        digester.begin();
        let mut width = 0;
        // a table of no columns has empty lines
        if !columns.is_empty() || !line.is_empty() {
            width = values(line, &mut self.scratch, |at, text| {
                let column = columns.get(at).ok_or(BadLine::Width)?;
                digester.value(column.canonical, text.map(Value::TextForm));
                Ok::<(), BadLine>(())
            })?;
        }
        if width != columns.len() {
            return Err(BadLine::Width);
        }
        self.sums.add(digester.end());
        Ok(())
    }

    fn error(&self, bad: BadLine, label: &str) -> StoreError {
        match bad {
            BadLine::Malformed => malformed(label),
            BadLine::Width => StoreError::new(
                ErrorKind::Corrupt,
                "postgres.copy",
                label,
                "a row has another number of columns than were asked for",
            )
            .table(&self.mapping.source.name),
        }
    }
}
