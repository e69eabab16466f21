//! The net effects of a batch, collected in the order in which they must be written.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use crossfade_model::{Canonical, Cell, Key, Row, TableId, TableMapping, canonical};
use crossfade_rules::net::{Effect as NetEffect, NetBatch, NetMultiset, NoBase};
use crossfade_store::{ChunkRange, Effect, Upsert};

/// A key with its cells: equal by key.
#[derive(Debug, Clone)]
pub(crate) struct NetKey {
    pub key: Key,
    /// The key's cells at their columns' places, others NULL.
    pub cells: Row,
}

impl PartialEq for NetKey {
    fn eq(&self, other: &NetKey) -> bool {
        self.key == other.key
    }
}

impl Eq for NetKey {}

impl Hash for NetKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

/// A whole row of a table without key: equal by the bytes of its cells.
#[derive(Debug, Clone)]
pub(crate) struct WholeRow {
    bytes: Vec<u8>,
    pub row: Row,
}

impl WholeRow {
    /// `None` where a column is not in the image.
    pub fn new(row: Row) -> Option<WholeRow> {
        let mut bytes = Vec::new();
        for cell in &row.0 {
            canonical::write_framed(Canonical::Exact, cell, &mut bytes).ok()?;
        }
        Some(WholeRow { bytes, row })
    }
}

impl PartialEq for WholeRow {
    fn eq(&self, other: &WholeRow) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for WholeRow {}

impl Hash for WholeRow {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

/// One table's net effects so far.
#[derive(Debug, Default)]
struct TableNet {
    keyed: NetBatch<NetKey, Row>,
    multiset: NetMultiset<WholeRow>,
    /// Only inserts, each of another key.
    inserts: usize,
    others: bool,
}

/// What a batch does to the target, in order.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    nets: HashMap<TableId, TableNet>,
    done: Vec<(TableId, Effect)>,
}

impl Steps {
    fn net(&mut self, table: TableId) -> &mut TableNet {
        self.nets.entry(table).or_default()
    }

    /// A new row.
    pub fn insert(&mut self, table: TableId, key: NetKey, row: Row) {
        let net = self.net(table);
        net.inserts += 1;
        net.keyed.put(key, row);
    }

    /// A whole row, whether it was there before or not.
    pub fn put(&mut self, table: TableId, key: NetKey, row: Row) {
        let net = self.net(table);
        net.others = true;
        net.keyed.put(key, row);
    }

    /// A row that keeps its key.
    pub fn update(&mut self, table: TableId, key: NetKey, row: Row) -> Result<(), NoBase> {
        let net = self.net(table);
        net.others = true;
        net.keyed.update(key, row)
    }

    /// A row that changes its key.
    pub fn rekey(
        &mut self,
        table: TableId,
        old: NetKey,
        new: NetKey,
        row: Row,
    ) -> Result<(), NoBase> {
        let net = self.net(table);
        net.others = true;
        net.keyed.rekey(old, new, row)
    }

    /// A row that is gone.
    pub fn delete(&mut self, table: TableId, key: NetKey) {
        let net = self.net(table);
        net.others = true;
        net.keyed.delete(key);
    }

    /// A row of a table without key comes.
    pub fn insert_whole(&mut self, table: TableId, row: WholeRow) {
        self.net(table).multiset.insert(row);
    }

    /// A row of a table without key goes.
    pub fn delete_whole(&mut self, table: TableId, row: WholeRow) {
        self.net(table).multiset.delete(row);
    }

    /// A chunk's rows are gone: everything so far is written before.
    pub fn clear(&mut self, table: TableId, range: ChunkRange) {
        self.flush();
        self.done.push((table, Effect::Clear(range)));
    }

    fn flush(&mut self) {
        let mut tables: Vec<TableId> = self.nets.keys().copied().collect();
        tables.sort();
        for table in tables {
            if let Some(net) = self.nets.remove(&table) {
                self.done.extend(effects(net).map(|effect| (table, effect)));
            }
        }
    }

    /// The effects in order.
    pub fn finish(mut self) -> Vec<(TableId, Effect)> {
        self.flush();
        self.done
    }
}

fn effects(mut net: TableNet) -> impl Iterator<Item = Effect> {
    let fresh = !net.others && net.inserts == net.keyed.len();
    let mut upserts = Vec::with_capacity(net.keyed.len());
    let mut deletes = Vec::new();
    for (key, effect) in net.keyed.drain() {
        match effect {
            NetEffect::Upsert { row, base } => upserts.push(Upsert {
                row,
                base: base.filter(|b| *b != key).map(|b| b.cells),
                fresh,
            }),
            NetEffect::Delete => deletes.push(key.cells),
        }
    }
    let keyed =
        (!upserts.is_empty() || !deletes.is_empty()).then_some(Effect::Keyed { upserts, deletes });
    let mut inserts = Vec::new();
    let mut taken = Vec::new();
    for (whole, count) in net.multiset.drain() {
        if count > 0 {
            for _ in 1..count {
                inserts.push(whole.row.clone());
            }
            inserts.push(whole.row);
        } else {
            taken.push((whole.row, count.unsigned_abs()));
        }
    }
    let multiset = (!inserts.is_empty() || !taken.is_empty()).then_some(Effect::Multiset {
        inserts,
        deletes: taken,
    });
    keyed.into_iter().chain(multiset)
}

/// The key of a row, with its cells.
pub(crate) fn net_key(
    mapping: &TableMapping,
    encoder: &crossfade_model::KeyEncoder,
    row: &Row,
) -> Result<NetKey, crossfade_model::KeyError> {
    Ok(NetKey {
        key: encoder.key_of(row)?,
        cells: mapping.key_only(row),
    })
}

/// A new image with its whole key. A key column that is stored out of line and did not change is not in it, but in the old
/// key, which comes with the change then.
pub(crate) fn with_key_of<'a>(
    mapping: &TableMapping,
    before: Option<&Row>,
    row: &'a Row,
) -> Cow<'a, Row> {
    let (Some(key), Some(before)) = (&mapping.source.key, before) else {
        return Cow::Borrowed(row);
    };
    let unchanged = |at: &usize| matches!(row.0.get(*at), Some(Cell::Unchanged));
    if !key.columns.iter().any(unchanged) {
        return Cow::Borrowed(row);
    }
    let mut whole = row.clone();
    for &at in key.columns.iter().filter(|at| unchanged(at)) {
        if let (Some(to), Some(from)) = (whole.0.get_mut(at), before.0.get(at)) {
            *to = from.clone();
        }
    }
    Cow::Owned(whole)
}

#[cfg(test)]
#[path = "steps_tests.rs"]
mod tests;
