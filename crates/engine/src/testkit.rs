//! Tables, rows and states made by hand, for tests of what is decided without any store.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;

use bytes::Bytes;
use crossfade_model::{
    Canonical, Cell, Change, Column, ColumnMapping, Key, KeyEncoder, KeyOrder, LogicalType,
    Position, Row, Snapshot, Table, TableId, TableKey, TableMapping, TableName, TransactionId,
};
use crossfade_rules::frontier::{ChunkId, Frontier};
use crossfade_store::Effect;

use crate::session::{Keying, State, TableState};

/// Whether a table has a key, and one that the program can order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Ordered,
    Unordered,
    Keyless,
}

fn column(name: &str, logical: LogicalType) -> Column {
    Column {
        name: name.to_owned(),
        logical,
        declared: "any".to_owned(),
        nullable: true,
        default: None,
        generated: None,
        identity: None,
        collation: None,
    }
}

/// Table `t{id}` of columns `id`, `a` and `b`; its key is `id`.
pub fn table(id: u32, form: Form) -> TableMapping {
    let logical = match form {
        Form::Ordered | Form::Keyless => LogicalType::Integer { bits: 64 },
        Form::Unordered => LogicalType::Text,
    };
    let source = Table {
        name: TableName {
            schema: None,
            name: format!("t{id}"),
        },
        columns: vec![
            column("id", logical),
            column("a", LogicalType::Text),
            column("b", LogicalType::Text),
        ],
        key: (form != Form::Keyless).then(|| TableKey {
            name: "key".to_owned(),
            columns: vec![0],
            primary: true,
            order: match form {
                Form::Unordered => KeyOrder::Unordered,
                _ => KeyOrder::Ordered,
            },
        }),
        full_before_images: form == Form::Keyless,
        indexes: Vec::new(),
        foreign_keys: Vec::new(),
        checks: Vec::new(),
        partition_by: None,
        partitions: Vec::new(),
        estimated_rows: 0,
        estimated_bytes: 0,
        definition: None,
    };
    let columns = ["id", "a", "b"].map(|name| ColumnMapping {
        source: name.to_owned(),
        target: name.to_owned(),
        canonical: Canonical::Text,
    });
    TableMapping {
        id: TableId(id),
        target: source.clone(),
        source,
        columns: columns.into(),
        same_shape: true,
        origin: None,
        back: None,
        slice: None,
        shares_source: false,
    }
}

/// A cell; `~` is one that the log did not carry.
fn cell(text: &str) -> Cell {
    match text {
        "~" => Cell::Unchanged,
        _ => Cell::TextForm(Bytes::copy_from_slice(text.as_bytes())),
    }
}

/// A row: `id`, `a`, `b`.
pub fn row(id: &str, a: &str, b: &str) -> Row {
    Row(vec![cell(id), cell(a), cell(b)])
}

/// A key's cells, others NULL.
pub fn key_row(id: &str) -> Row {
    Row(vec![cell(id), Cell::Null, Cell::Null])
}

/// The encoded key.
pub fn key(mapping: &TableMapping, id: &str) -> Key {
    mapping.key_of(&key_row(id)).unwrap()
}

pub fn insert(table: u32, new: Row) -> Change {
    Change::Insert {
        table: TableId(table),
        row: new,
    }
}

pub fn upsert(table: u32, new: Row) -> Change {
    Change::Upsert {
        table: TableId(table),
        row: new,
    }
}

pub fn update(table: u32, before: Option<Row>, new: Row) -> Change {
    Change::Update {
        table: TableId(table),
        before,
        row: new,
    }
}

pub fn delete(table: u32, before: Row) -> Change {
    Change::Delete {
        table: TableId(table),
        before,
    }
}

pub fn truncate_partitions(table: u32) -> Change {
    Change::TruncatePartitions {
        table: TableId(table),
    }
}

pub fn truncate(table: u32) -> Change {
    Change::Truncate {
        tables: vec![TableId(table)],
    }
}

/// A snapshot that sees the transactions up to this one.
pub fn sees(up_to: u64) -> Snapshot {
    Snapshot::Sequence(up_to)
}

pub fn t(id: u64) -> TransactionId {
    TransactionId(id)
}

/// A state of these tables: nothing loaded, keys there, chunks cut at `splits`.
pub fn state(mappings: &[TableMapping], splits: &[&str]) -> State {
    let tables = mappings
        .iter()
        .map(|mapping| {
            let bounds = splits
                .iter()
                .map(|split| (key(mapping, split), vec![cell(split)]));
            TableState {
                frontier: Frontier::new(
                    Some(sees(0)),
                    splits.iter().map(|split| key(mapping, split)),
                ),
                bounds: bounds.collect(),
                keying: Keying::Keyed,
                loading: 0,
                parts: None,
                one_key_cells: Default::default(),
                refusals: HashMap::new(),
                parked_cleared: false,
                copied_rows: 0,
                ledger: Default::default(),
                owed_stored: false,
            }
        })
        .collect();
    State {
        tables,
        stream_waits: false,
        gate_closed: false,
        paused: false,
        checkpoint: Position(0),
        source_end: Position(0),
        log_kept_bytes: 0,
        in_flight: Default::default(),
        transactions: 0,
        applied_commit_time: 0,
        recent: Vec::new(),
        keys_awaited: false,
        finished: false,
        parks: 1,
        parked_tried: 0,
        parked_changed: false,
        altered: None,
    }
}

/// The chunks of a table in key order.
pub fn chunks(state: &State, table: usize) -> Vec<ChunkId> {
    state.tables[table].frontier.chunks().collect()
}

/// Loads a chunk at a snapshot; not `complete`: some parts of it are missing.
pub fn fill(state: &mut State, table: usize, chunk: ChunkId, up_to: u64, complete: bool) {
    let frontier = &mut state.tables[table].frontier;
    frontier.begin_loading(chunk).unwrap();
    let row = frontier
        .row_for(chunk, &sees(up_to), &Position(up_to), complete)
        .unwrap();
    frontier.loaded(chunk, &row).unwrap();
}

/// Loads all chunks of all tables at one snapshot.
pub fn load_all(state: &mut State, up_to: u64) {
    for table in 0..state.tables.len() {
        for chunk in chunks(state, table) {
            fill(state, table, chunk, up_to, true);
        }
    }
}

pub fn encoders(mappings: &[TableMapping]) -> Vec<KeyEncoder> {
    mappings.iter().map(TableMapping::key_encoder).collect()
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Null => "-".to_owned(),
        Cell::Unchanged => "~".to_owned(),
        Cell::TextForm(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => format!("{other:?}"),
    }
}

fn words(row: &Row) -> String {
    row.0.iter().map(text).collect::<Vec<_>>().join(" ")
}

/// Effects as words, sorted within each effect: `0+1 x y` a row that is there, `0+1 x ~ from 2` one that takes columns from
/// another, `0-1` a key that is gone, `0 clear`; `!` marks rows said to be new.
pub fn shown(effects: &[(TableId, Effect)]) -> Vec<Vec<String>> {
    let one = |(table, effect): &(TableId, Effect)| {
        let table = table.0;
        let mut out = Vec::new();
        match effect {
            Effect::Keyed { upserts, deletes } => {
                for upsert in upserts {
                    let base = upsert.base.as_ref();
                    out.push(format!(
                        "{table}+{}{}{}",
                        words(&upsert.row),
                        base.map_or_else(String::new, |b| format!(" from {}", text(&b.0[0]))),
                        if upsert.fresh { "!" } else { "" },
                    ));
                }
                out.extend(deletes.iter().map(|k| format!("{table}-{}", text(&k.0[0]))));
            }
            Effect::Multiset { inserts, deletes } => {
                out.extend(inserts.iter().map(|r| format!("{table}+{}", words(r))));
                let gone = deletes.iter();
                out.extend(gone.map(|(r, n)| format!("{table}-{} ×{n}", words(r))));
            }
            Effect::Clear(range) => out.push(match range {
                crossfade_store::ChunkRange::Keys { low, high } => {
                    let bound = |b: &Option<crossfade_store::Bound>| {
                        b.as_ref().map_or_else(String::new, |b| text(&b.cells[0]))
                    };
                    format!("{table} clear {}..{}", bound(low), bound(high))
                }
                _ => format!("{table} clear"),
            }),
        }
        out.sort();
        out
    };
    effects.iter().map(one).collect()
}
