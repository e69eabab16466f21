//! Sums of the digests of rows that COPY hands over: each is hashed as it comes, from the bytes of its message.

use crossfade_model::{BucketSums, CanonicalError, Digester, TableMapping, Value};
use crossfade_store::sums::no_form;
use crossfade_store::{ErrorKind, Result, StoreError};

use crate::connect::Client;
use crate::copy_lines::{Lines, values};
use crate::copy_out::{self, malformed};
use crate::copy_text::Malformed;

/// Bytes after which other tasks have their turn.
const TURN: usize = 1 << 20;

/// Sums all rows of `source` (a table with its mapped columns, or a query in parentheses).
///
/// # Errors
/// The server's; a value that is not of its column's type.
pub async fn sum(
    client: &Client,
    label: &str,
    source: &str,
    mapping: &TableMapping,
    digester: &Digester,
) -> Result<BucketSums> {
    let mut reading = copy_out::Messages::begin(client, source, "").await?;
    let mut summing = Summing {
        mapping,
        digester: digester.clone(),
        sums: BucketSums::default(),
        scratch: Vec::new(),
    };
    let mut lines = Lines::default();
    let mut bytes = 0;
    while let Some(message) = reading.next().await? {
        lines
            .read(&message, |line| summing.line(line))
            .map_err(|e| summing.error(e, label))?;
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
    Form(usize, CanonicalError),
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
                digester
                    .value(column.canonical, text.map(Value::TextForm))
                    .map_err(|e| BadLine::Form(at, e))
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
            BadLine::Form(column, why) => no_form(self.mapping, column, &why.to_string(), label),
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
