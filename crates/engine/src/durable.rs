//! The durable rows in the target, as records, and the state rebuilt from them.
//!
//! | kind | id | written in the transaction of |
//! | --- | --- | --- |
//! | `source` | `source` | the first checkpoint |
//! | `mark` | `mark` | each checkpoint, where the source has more to say of one |
//! | `frontier` | table/low bound | the chunk's rows |
//! | `parts` | table | the part's rows |
//! | `owed` | table | the applier's batch |
//! | `one_key` | table/key | the applier's batch |
//! | `ledger` | table | the applier's batch |
//! | `plan` | `plan` | the first checkpoint; a new one after an altered table was matched |
//! | `altered` | `altered` | of its own, when a run ends at an altered table |
//! | `anew` | table | of its own, when a table must be copied anew; then that which empties it |

use std::collections::HashMap;

use crossfade_model::{
    Cell, Key, Position, Row, Snapshot, TableMapping, TableName, TransactionId, hex,
};
use crossfade_rules::frontier::{DurableFrontier, FrontierRow, OneKeyRow, OneKeyState, OwedRow};
use crossfade_rules::ledger::LedgerCounts;
use crossfade_store::{
    Bound, CaptureStart, Record, RecordKey, RecordWrite, SourceIdentity, TargetState,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::EngineError;
use crate::session::{Altered, Keying, Parts, TableFrontier, TableState};

/// Who the source is and where its capture began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// Who the source is.
    pub identity: SourceIdentity,
    /// Where the capture began.
    pub start: CaptureStart,
    /// The mapped tables, by name, in the order of their ids: a table's id must mean the same after a restart.
    pub tables: Vec<String>,
}

/// A loaded chunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChunkRecord {
    pub table: String,
    pub row: FrontierRow<Key, Snapshot, Position>,
    pub low: Vec<Cell>,
    pub high: Vec<Cell>,
    pub rows: u64,
    /// All that the snapshot may have seen, in the source's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
}

/// What the source has more to say of a checkpoint.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    at: Position,
    mark: String,
}

const MARK: &str = "mark";

/// The mark of a checkpoint. One that is left from another checkpoint says nothing.
pub(crate) fn mark_record(
    at: Position,
    mark: Option<String>,
) -> Result<Option<RecordWrite>, EngineError> {
    let record = |mark| put(MARK, MARK.to_owned(), &Mark { at, mark });
    mark.map(record).transpose()
}

/// The mark of the checkpoint that the target holds.
pub(crate) fn stored_mark(state: &TargetState) -> Result<Option<String>, EngineError> {
    let mark: Option<Mark> = stored_one(state, MARK)?;
    Ok(mark
        .filter(|mark| Some(mark.at) == state.checkpoint)
        .map(|mark| mark.mark))
}

const ALTERED: &str = "altered";

/// The mark that a run ended at an altered table: everything up to the checkpoint was applied by the old plan.
pub(crate) fn altered_record(altered: &Altered) -> Result<RecordWrite, EngineError> {
    put(ALTERED, ALTERED.to_owned(), altered)
}

/// Takes the mark away: a new plan holds from the checkpoint on.
pub(crate) fn altered_gone() -> RecordWrite {
    RecordWrite::Remove(RecordKey::new(ALTERED, ALTERED))
}

/// The mark, where there is one.
pub fn stored_altered(state: &TargetState) -> Result<Option<Altered>, EngineError> {
    state
        .records
        .iter()
        .find(|r| r.key.kind == ALTERED)
        .map(from_json)
        .transpose()
}

/// A table that is copied once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Anew {
    /// Why, in words.
    pub what: String,
    /// Transactions that the new copy's snapshots must see, besides what they must see anyway: they were applied to the old one,
    /// or are the reason.
    pub owed: Vec<TransactionId>,
    /// The old copy is gone.
    pub begun: bool,
}

const ANEW: &str = "anew";

/// That a table is copied once more.
pub(crate) fn anew_record(mapping: &TableMapping, anew: &Anew) -> Result<RecordWrite, EngineError> {
    put(ANEW, table_word(mapping), anew)
}

/// Whether, and why, a table is copied once more.
pub(crate) fn stored_anew(
    state: &TargetState,
    mapping: &TableMapping,
) -> Result<Option<Anew>, EngineError> {
    let key = RecordKey::new(ANEW, table_word(mapping));
    let record = state.records.iter().find(|r| r.key == key);
    record.map(from_json).transpose()
}

/// The name of a table in records: its source name, with what separates words in ids escaped; with the target's where several
/// mappings are made of one table.
pub(crate) fn table_word(mapping: &TableMapping) -> String {
    let escape = |s: &str| {
        s.replace('%', "%25")
            .replace('/', "%2F")
            .replace('.', "%2E")
    };
    let word = |name: &TableName| match &name.schema {
        Some(schema) => format!("{}.{}", escape(schema), escape(&name.name)),
        None => escape(&name.name),
    };
    match mapping.shares_source {
        // no name has this in it, once it is escaped
        true => format!(
            "{}%>{}",
            word(&mapping.source.name),
            word(&mapping.target.name)
        ),
        false => word(&mapping.source.name),
    }
}

fn to_json<T: Serialize>(value: &T) -> Result<String, EngineError> {
    serde_json::to_string(value)
        .map_err(|e| EngineError::internal(format!("a durable row could not be written: {e}")))
}

fn from_json<T: DeserializeOwned>(record: &Record) -> Result<T, EngineError> {
    serde_json::from_str(&record.body).map_err(|e| {
        EngineError::internal(format!(
            "the stored row {}/{} in the target cannot be read: {e}",
            record.key.kind, record.key.id
        ))
    })
}

pub(crate) fn put<T: Serialize>(
    kind: &str,
    id: String,
    body: &T,
) -> Result<RecordWrite, EngineError> {
    Ok(RecordWrite::Put(Record {
        key: RecordKey::new(kind, id),
        body: to_json(body)?,
    }))
}

/// The record of a kind that stands for itself, where there is one.
pub(crate) fn stored_one<T: DeserializeOwned>(
    state: &TargetState,
    kind: &str,
) -> Result<Option<T>, EngineError> {
    let key = RecordKey::new(kind, kind);
    let record = state.records.iter().find(|r| r.key == key);
    record.map(from_json).transpose()
}

pub(crate) fn source_record(record: &SourceRecord) -> Result<RecordWrite, EngineError> {
    put("source", "source".to_owned(), record)
}

/// The stored source record, where there is one.
pub fn stored_source(state: &TargetState) -> Result<Option<SourceRecord>, EngineError> {
    state
        .records
        .iter()
        .find(|r| r.key.kind == "source")
        .map(from_json)
        .transpose()
}

pub(crate) fn chunk_record(
    mapping: &TableMapping,
    record: &ChunkRecord,
) -> Result<RecordWrite, EngineError> {
    let low = record
        .row
        .bounds
        .low
        .as_ref()
        .map_or_else(|| "-".to_owned(), |key| hex::encode(&key.0));
    put("frontier", format!("{}/{low}", table_word(mapping)), record)
}

/// Removes the frontier of a table that is one chunk from -∞ to +∞.
pub(crate) fn forget_chunks(mapping: &TableMapping) -> Vec<RecordWrite> {
    let word = table_word(mapping);
    vec![
        RecordWrite::Remove(RecordKey::new("frontier", format!("{word}/-"))),
        RecordWrite::Remove(RecordKey::new("parts", word)),
    ]
}

/// Removes everything that says what of a table was copied.
pub(crate) fn forget_copy(state: &TargetState, mapping: &TableMapping) -> Vec<RecordWrite> {
    let word = table_word(mapping);
    let copy = ["frontier", "parts", "owed", "one_key"];
    let of_copy = |key: &&RecordKey| copy.contains(&key.kind.as_str()) && is_of(&key.id, &word);
    let keys = state.records.iter().map(|r| &r.key).filter(of_copy);
    keys.cloned().map(RecordWrite::Remove).collect()
}

/// Whether a record's id is a table's word, or begins with it.
fn is_of(id: &str, word: &str) -> bool {
    id.strip_prefix(word)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(crate) fn parts_record(
    mapping: &TableMapping,
    parts: &Parts,
) -> Result<RecordWrite, EngineError> {
    put("parts", table_word(mapping), parts)
}

pub(crate) fn owed_record(
    mapping: &TableMapping,
    rows: &[OwedRow<Key, TransactionId>],
) -> Result<RecordWrite, EngineError> {
    if rows.is_empty() {
        return Ok(RecordWrite::Remove(RecordKey::new(
            "owed",
            table_word(mapping),
        )));
    }
    put("owed", table_word(mapping), &rows)
}

pub(crate) fn ledger_record(
    mapping: &TableMapping,
    counts: &LedgerCounts,
) -> Result<RecordWrite, EngineError> {
    put("ledger", table_word(mapping), counts)
}

fn one_key_id(mapping: &TableMapping, key: &Key) -> String {
    format!("{}/{}", table_word(mapping), hex::encode(&key.0))
}

/// A key with a frontier of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct OneKeyRecord {
    row: OneKeyRow<Key, Snapshot, TransactionId, Position>,
    /// The key's cells at their columns' places, others NULL.
    cells: Row,
    /// It is parked since the target refused the row.
    #[serde(default)]
    refused: bool,
}

pub(crate) fn one_key_record(
    mapping: &TableMapping,
    row: OneKeyRow<Key, Snapshot, TransactionId, Position>,
    cells: Row,
    refused: bool,
) -> Result<RecordWrite, EngineError> {
    put(
        "one_key",
        one_key_id(mapping, &row.key),
        &OneKeyRecord {
            row,
            cells,
            refused,
        },
    )
}

pub(crate) fn one_key_gone(mapping: &TableMapping, key: &Key) -> RecordWrite {
    RecordWrite::Remove(RecordKey::new("one_key", one_key_id(mapping, key)))
}

/// A copied chunk, or a key that was read by itself, whose snapshot may have seen more than the checkpoint stands for.
pub(crate) struct Ahead {
    /// All that it may have seen, where that is known.
    pub seen: Option<String>,
    key: RecordKey,
    copy: Copied,
}

enum Copied {
    Chunk(Box<ChunkRecord>),
    OneKey(Box<OneKeyRecord>),
}

/// All of them.
pub(crate) fn ahead(state: &TargetState, checkpoint: Position) -> Result<Vec<Ahead>, EngineError> {
    let mut out = Vec::new();
    for record in &state.records {
        let (horizon, seen, copy) = match record.key.kind.as_str() {
            "frontier" => {
                let chunk: ChunkRecord = from_json(record)?;
                let seen = chunk.seen.clone();
                (chunk.row.horizon, seen, Copied::Chunk(Box::new(chunk)))
            }
            "one_key" => {
                let one: OneKeyRecord = from_json(record)?;
                let OneKeyState::Read { horizon, .. } = one.row.state else {
                    continue;
                };
                (horizon, None, Copied::OneKey(Box::new(one)))
            }
            _ => continue,
        };
        if horizon > checkpoint {
            let key = record.key.clone();
            out.push(Ahead { seen, key, copy });
        }
    }
    Ok(out)
}

impl Ahead {
    /// Its row with another horizon.
    pub fn moved_to(self, end: Position) -> Result<RecordWrite, EngineError> {
        let (kind, id) = (self.key.kind, self.key.id);
        match self.copy {
            Copied::Chunk(mut chunk) => {
                chunk.row.horizon = end;
                put(&kind, id, &chunk)
            }
            Copied::OneKey(mut one) => {
                if let OneKeyState::Read { horizon, .. } = &mut one.row.state {
                    *horizon = end;
                }
                put(&kind, id, &one)
            }
        }
    }
}

/// The durable rows of one table.
#[derive(Clone)]
pub(crate) struct StoredTable {
    pub frontier: DurableFrontier<Key, Snapshot, TransactionId, Position>,
    pub bounds: HashMap<Key, Vec<Cell>>,
    pub parts: Option<Parts>,
    pub one_key_cells: HashMap<Key, Row>,
    /// Keys that are parked since the target refused their rows.
    pub refused: Vec<Key>,
    pub copied_rows: u64,
    pub ledger: LedgerCounts,
    pub owed_stored: bool,
}

/// Reads the durable rows of one table.
pub(crate) fn stored_table(
    state: &TargetState,
    mapping: &TableMapping,
) -> Result<StoredTable, EngineError> {
    let word = table_word(mapping);
    let mut stored = StoredTable {
        frontier: DurableFrontier {
            chunks: Vec::new(),
            owed: Vec::new(),
            one_key: Vec::new(),
        },
        bounds: HashMap::new(),
        parts: None,
        one_key_cells: HashMap::new(),
        refused: Vec::new(),
        copied_rows: 0,
        ledger: LedgerCounts::default(),
        owed_stored: false,
    };
    for record in &state.records {
        if !is_of(&record.key.id, &word) {
            continue;
        }
        match record.key.kind.as_str() {
            "frontier" => {
                let chunk: ChunkRecord = from_json(record)?;
                if chunk.table != word {
                    continue;
                }
                stored.copied_rows += chunk.rows;
                if let Some(key) = &chunk.row.bounds.low {
                    stored.bounds.insert(key.clone(), chunk.low);
                }
                if let Some(key) = &chunk.row.bounds.high {
                    stored.bounds.insert(key.clone(), chunk.high);
                }
                stored.frontier.chunks.push(chunk.row);
            }
            "parts" if record.key.id == word => stored.parts = Some(from_json(record)?),
            "owed" if record.key.id == word => {
                stored.frontier.owed = from_json(record)?;
                stored.owed_stored = true;
            }
            "one_key" => {
                let one: OneKeyRecord = from_json(record)?;
                let cells = placed(mapping, &one.row, one.cells, state.checkpoint)?;
                if one.refused {
                    stored.refused.push(one.row.key.clone());
                }
                stored.one_key_cells.insert(one.row.key.clone(), cells);
                stored.frontier.one_key.push(one.row);
            }
            "ledger" if record.key.id == word => stored.ledger = from_json(record)?,
            _ => {}
        }
    }
    Ok(stored)
}

/// A key's cells at the places that its columns have now: a parked key may have been stored before columns came or went.
fn placed(
    mapping: &TableMapping,
    of: &OneKeyRow<Key, Snapshot, TransactionId, Position>,
    cells: Row,
    checkpoint: Option<Position>,
) -> Result<Row, EngineError> {
    let key = &of.key;
    let encoder = mapping.key_encoder();
    let is_it = |row: &Row| encoder.key_of(row).is_ok_and(|found| found == *key);
    let Some(columns) = mapping.source.key.as_ref().map(|key| &key.columns) else {
        return Ok(cells);
    };
    if cells.0.len() == mapping.columns.len() && is_it(&cells) {
        return Ok(cells);
    }
    let mut places = columns.clone();
    places.sort_unstable();
    let mut row = Row(vec![Cell::Null; mapping.columns.len()]);
    let values = cells.0.iter().filter(|cell| !matches!(cell, Cell::Null));
    for (place, cell) in places.into_iter().zip(values) {
        if let Some(to) = row.0.get_mut(place) {
            *to = cell.clone();
        }
    }
    if is_it(&row) {
        return Ok(row);
    }
    // one that was read settles by itself
    if matches!(of.state, OneKeyState::Read { horizon, .. } if Some(horizon) <= checkpoint) {
        return Ok(cells);
    }
    Err(EngineError::Stopped {
        code: "engine.parked_key",
        table: Some(mapping.called()),
        key: None,
        what: "the key's columns have changed places while a row of it waited to be read again"
            .to_owned(),
        fix: "Put them back into their old order and run until the row is taken, or `abort` and begin again"
            .to_owned(),
    })
}

/// A table's state from its durable rows and the bounds that cut what is not loaded.
pub(crate) fn table_state(
    mapping: &TableMapping,
    stored: StoredTable,
    base: &Snapshot,
    splits: Vec<Bound>,
    keyed: bool,
) -> Result<TableState, EngineError> {
    let mut bounds = stored.bounds;
    let mut keys = Vec::with_capacity(splits.len());
    for bound in splits {
        keys.push(bound.key.clone());
        bounds.insert(bound.key, bound.cells);
    }
    let frontier =
        TableFrontier::restore(Some(base.clone()), keys, stored.frontier).map_err(|e| {
            EngineError::internal(format!(
                "the stored frontier of {} contradicts itself: {e}",
                mapping.called()
            ))
        })?;
    let refused = stored.refused.into_iter();
    Ok(TableState {
        refusals: refused.map(|key| (key, String::new())).collect(),
        frontier,
        bounds,
        keying: if keyed {
            Keying::Keyed
        } else {
            Keying::Without
        },
        loading: 0,
        parts: stored.parts,
        one_key_cells: stored.one_key_cells,
        parked_cleared: false,
        copied_rows: stored.copied_rows,
        ledger: stored.ledger,
        owed_stored: stored.owed_stored,
    })
}

#[cfg(test)]
#[path = "durable_tests.rs"]
mod tests;
