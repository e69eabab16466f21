//! Some rows as they are on the source, and what the mapping makes of them. For people: it shows values.

use crossfade_mapping::MappedTable;
use crossfade_model::{Cell, Column, Row, TableMapping};
use crossfade_plan::Plan;
use crossfade_store::{ChunkRange, ReadForm, RowBlock, Source};

use crate::error::EngineError;
use crate::verify::differ::row_text;

/// One table's rows before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The source's table.
    pub source: String,
    /// The target's.
    pub target: String,
    /// The source's columns.
    pub before: Vec<String>,
    /// The target's columns.
    pub after: Vec<String>,
    /// Each row, and what becomes of it.
    pub rows: Vec<PreviewedRow>,
}

/// A row before, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewedRow {
    /// Its values; `None` for NULL.
    pub before: Vec<Option<String>>,
    /// What becomes of it.
    pub after: Outcome,
}

/// What becomes of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is moved with these values.
    Moved(Vec<Option<String>>),
    /// The mapping leaves it out.
    LeftOut,
    /// It has values that an expression has no result for.
    Refused(String),
}

/// The first `rows` rows of each table of a plan, as a snapshot shows them. Makes nothing.
///
/// # Errors
/// The source cannot be read, or an expression does not fit its table.
pub async fn preview(
    plan: &Plan,
    source: &dyn Source,
    rows: usize,
) -> Result<Vec<Preview>, EngineError> {
    let mut out = Vec::with_capacity(plan.tables.len());
    for mapping in &plan.tables {
        out.push(one(mapping, source, rows).await?);
    }
    Ok(out)
}

async fn one(
    mapping: &TableMapping,
    source: &dyn Source,
    most: usize,
) -> Result<Preview, EngineError> {
    let raw = mapping.source_table();
    let own = |column: &Column, cell: &Cell| source.own_form(column, cell);
    let table = MappedTable::new(mapping, &own).map_err(|e| e.at(source.label(), raw))?;
    let mut snapshot = source.open_snapshot(&[raw]).await?;
    let mut rows: Vec<Row> = Vec::new();
    {
        let whole = ChunkRange::All;
        let mut stream = snapshot
            .read(table.as_it_is(), &whole, ReadForm::Rows)
            .await?;
        while rows.len() < most
            && let Some(block) = stream.next().await?
        {
            if let RowBlock::Rows(block) = block {
                rows.extend(block.into_iter().take(most - rows.len()));
            }
        }
    }
    // what is left unread ends with the connection
    drop(snapshot);
    let outcome = |row: &Row| match table.row(row) {
        Ok(Some(row)) => Outcome::Moved(row_text(&row)),
        Ok(None) => Outcome::LeftOut,
        Err(error) => Outcome::Refused(error.to_string()),
    };
    Ok(Preview {
        source: raw.name.to_string(),
        target: mapping.target.name.to_string(),
        before: raw.captured().map(|c| c.name.clone()).collect(),
        after: mapping.columns.iter().map(|c| c.target.clone()).collect(),
        rows: rows
            .iter()
            .map(|row| PreviewedRow {
                before: row_text(row),
                after: outcome(row),
            })
            .collect(),
    })
}
