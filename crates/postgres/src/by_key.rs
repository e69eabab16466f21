//! Rows by key, in the snapshot of the session's transaction.

use crossfade_model::canonical::Canonical;
use crossfade_model::{Column, Row, TableMapping, TableName};
use crossfade_store::{ErrorKind, ReadForm, Result, RowBlock, RowStream as _, StoreError};

use crate::cell_text;
use crate::connect::Client;
use crate::copy_out::CopyOut;
use crate::names::{quote_ident, quote_literal};
use crate::operators::equality;

/// One key column.
pub struct KeyPart<'a> {
    column: &'a Column,
    /// The form in which its values are given.
    class: Canonical,
    /// Its place in a row.
    place: usize,
}

/// What is read.
pub struct Selection<'a> {
    /// The table, for its key's operators.
    pub table: &'a TableName,
    /// The table as a query names it.
    pub relation: String,
    /// The columns, in the order of rows.
    pub columns: &'a [&'a str],
    /// The key; empty where a column of it is missing.
    pub key: Vec<KeyPart<'a>>,
}

/// The key columns of a mapping; `column` gives one side's column by its place in a row. Empty without a key.
pub fn parts<'a>(
    mapping: &TableMapping,
    class: impl Into<Option<Canonical>>,
    column: impl Fn(usize) -> Option<&'a Column>,
) -> Vec<KeyPart<'a>> {
    let class = class.into();
    let places = mapping.source.key_places();
    let parts: Option<Vec<KeyPart<'a>>> = places
        .iter()
        .map(|&place| {
            let mapped = mapping.columns.get(place)?;
            Some(KeyPart {
                column: column(place)?,
                class: class.unwrap_or(mapped.canonical),
                place,
            })
        })
        .collect();
    parts.unwrap_or_default()
}

/// Reads the rows of these keys; each at most a few times where the table holds several of one key.
///
/// # Errors
/// The connection's; a table without a key.
pub async fn read(
    client: &Client,
    label: &str,
    selection: &Selection<'_>,
    keys: &[Row],
) -> Result<Vec<Row>> {
    let defect = |code, what: &str| {
        StoreError::new(ErrorKind::Internal, code, label, what).table(selection.table)
    };
    if selection.key.is_empty() {
        return Err(defect("postgres.no_key", "keys of a table without a key"));
    }
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let values =
        values(&selection.key, keys).ok_or_else(|| defect("postgres.key", "a key is not whole"))?;
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = selection
        .key
        .iter()
        .map(|p| p.column.name.as_str())
        .collect();
    let equal = equality(client, selection.table, &names).await?;
    let matches: Vec<String> = names
        .iter()
        .zip(&equal)
        .enumerate()
        .map(|(at, (name, equal))| format!("t.{} {equal} k.k{at}", quote_ident(name)))
        .collect();
    let numbered: Vec<String> = (0..names.len()).map(|at| format!("k{at}")).collect();
    let selected: Vec<String> = selection
        .columns
        .iter()
        .map(|name| format!("t.{}", quote_ident(name)))
        .collect();
    let source = format!(
        "(SELECT {} FROM {} t JOIN (VALUES {values}) k ({}) ON {})",
        selected.join(", "),
        selection.relation,
        numbered.join(", "),
        matches.join(" AND "),
    );
    let doing = "reading rows by key";
    // a few hundred keys, each by the index, however the statistics are
    client.batch(doing, "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off").await?;
    let rows = rows(client, label, &source, selection.columns.len())
        .await
        .map_err(|e| e.table(selection.table))?;
    client.batch(doing, "SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on").await?;
    Ok(rows)
}

/// All rows of a query.
///
/// # Errors
/// The connection's.
pub async fn rows(client: &Client, label: &str, source: &str, width: usize) -> Result<Vec<Row>> {
    let mut reading = CopyOut::begin(client, label, source, &ReadForm::Rows, width).await?;
    let mut rows = Vec::new();
    while let Some(block) = reading.next().await? {
        if let RowBlock::Rows(more) = block {
            rows.extend(more);
        }
    }
    Ok(rows)
}

/// The keys as SQL, without those that no row here can have: text holds no zero byte and nothing but its encoding (manual, "Character
/// Types").
fn values(key: &[KeyPart<'_>], keys: &[Row]) -> Option<String> {
    let mut scratch = String::new();
    let mut values = Vec::with_capacity(keys.len());
    'keys: for row in keys {
        let mut literals = Vec::with_capacity(key.len());
        for part in key {
            let text = cell_text::of(part.class, row.0.get(part.place)?, &mut scratch).ok()??;
            match std::str::from_utf8(text) {
                Ok(text) if !text.contains('\0') => {
                    literals.push(format!("{}::{}", quote_literal(text), part.column.declared));
                }
                _ => continue 'keys,
            }
        }
        values.push(format!("({})", literals.join(", ")));
    }
    Some(values.join(", "))
}
