//! The net effects of a batch, collected in the order in which they must be written.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};

use crossfade_model::{Canonical, Cell, Key, Row, TableId, TableMapping, canonical};
use crossfade_rules::net::{Effect as NetEffect, NetBatch, NetMultiset, NoBase};
use crossfade_store::{ChunkRange, Effect, Upsert};

use crate::apply::keeping::keeps_columns;

/// A key with a row that holds its cells: equal by key.
#[derive(Debug, Clone)]
pub(crate) struct NetKey<'a> {
    pub key: Key,
    /// A row of that key; its other cells mean nothing here.
    row: Cow<'a, Row>,
}

impl<'a> NetKey<'a> {
    /// Of a row that is known to have this key.
    pub fn new(key: Key, row: Cow<'a, Row>) -> NetKey<'a> {
        NetKey { key, row }
    }

    /// The key's cells at their columns' places, others NULL.
    pub fn cells(&self, mapping: &TableMapping) -> Row {
        mapping.key_only(&self.row)
    }

    /// One that outlives the row.
    pub fn into_owned(self, mapping: &TableMapping) -> NetKey<'static> {
        NetKey {
            row: Cow::Owned(self.cells(mapping)),
            key: self.key,
        }
    }
}

impl PartialEq for NetKey<'_> {
    fn eq(&self, other: &NetKey<'_>) -> bool {
        self.key == other.key
    }
}

impl Eq for NetKey<'_> {}

impl Hash for NetKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

/// A whole row of a table without key: equal by the bytes of its cells.
#[derive(Debug, Clone)]
struct WholeRow<'a> {
    bytes: Vec<u8>,
    row: &'a Row,
}

impl<'a> WholeRow<'a> {
    fn new(row: &'a Row) -> WholeRow<'a> {
        let mut bytes = Vec::new();
        for cell in &row.0 {
            // only an absent cell has no exact form, and then the row is not whole
            let _whole = canonical::write_framed(Canonical::Exact, cell, &mut bytes);
        }
        WholeRow { bytes, row }
    }
}

impl PartialEq for WholeRow<'_> {
    fn eq(&self, other: &WholeRow<'_>) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for WholeRow<'_> {}

impl Hash for WholeRow<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

/// One table's net effects so far. Images are the changes' own until the end: most of a hot key's are never written.
#[derive(Debug, Default)]
struct TableNet<'a> {
    keyed: NetBatch<NetKey<'a>, Cow<'a, Row>>,
    /// Keys whose rows were not there before.
    new: HashSet<Key>,
    /// Rows without key, while none has gone.
    arrived: Vec<&'a Row>,
    /// The same, counted, once one has gone.
    multiset: NetMultiset<WholeRow<'a>>,
    gone: bool,
}

impl<'a> TableNet<'a> {
    fn insert(&mut self, key: NetKey<'a>, row: Cow<'a, Row>) {
        // one that the batch has touched before was there, or is known to be new
        if self.keyed.get(&key).is_none() {
            self.new.insert(key.key.clone());
        }
        self.keyed.put(key, row);
    }
}

/// What a batch does to the target, in order.
#[derive(Debug)]
pub(crate) struct Steps<'a> {
    tables: &'a [TableMapping],
    nets: HashMap<TableId, TableNet<'a>>,
    done: Vec<(TableId, Effect)>,
}

impl<'a> Steps<'a> {
    pub fn new(tables: &'a [TableMapping]) -> Steps<'a> {
        Steps {
            tables,
            nets: HashMap::new(),
            done: Vec::new(),
        }
    }

    fn net(&mut self, table: TableId) -> &mut TableNet<'a> {
        self.nets.entry(table).or_default()
    }

    /// A new row.
    pub fn insert(&mut self, table: TableId, key: NetKey<'a>, row: Cow<'a, Row>) {
        self.net(table).insert(key, row);
    }

    /// A whole row, whether it was there before or not.
    pub fn put(&mut self, table: TableId, key: NetKey<'a>, row: Cow<'a, Row>) {
        self.net(table).keyed.put(key, row);
    }

    /// A row that keeps its key.
    pub fn update(
        &mut self,
        table: TableId,
        key: NetKey<'a>,
        row: Cow<'a, Row>,
    ) -> Result<(), NoBase> {
        self.net(table).keyed.update(key, row)
    }

    /// A row that changes its key.
    pub fn rekey(
        &mut self,
        table: TableId,
        old: NetKey<'a>,
        new: NetKey<'a>,
        row: Cow<'a, Row>,
    ) -> Result<(), NoBase> {
        self.net(table).keyed.rekey(old, new, row)
    }

    /// A row that is gone.
    pub fn delete(&mut self, table: TableId, key: NetKey<'a>) {
        self.net(table).keyed.delete(key);
    }

    /// A row of a table without key comes; it is whole.
    pub fn insert_whole(&mut self, table: TableId, row: &'a Row) {
        let net = self.net(table);
        if net.gone {
            net.multiset.insert(WholeRow::new(row));
        } else {
            net.arrived.push(row);
        }
    }

    /// A row of a table without key goes; it is whole.
    pub fn delete_whole(&mut self, table: TableId, row: &'a Row) {
        let net = self.net(table);
        net.gone = true;
        for row in net.arrived.drain(..) {
            net.multiset.insert(WholeRow::new(row));
        }
        net.multiset.delete(WholeRow::new(row));
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
            let mapping = self.tables.get(table.0 as usize);
            if let (Some(net), Some(mapping)) = (self.nets.remove(&table), mapping) {
                self.done
                    .extend(effects(net, mapping).map(|effect| (table, effect)));
            }
        }
    }

    /// The effects in order.
    pub fn finish(mut self) -> Vec<(TableId, Effect)> {
        self.flush();
        self.done
    }
}

fn effects(mut net: TableNet<'_>, mapping: &TableMapping) -> impl Iterator<Item = Effect> {
    let mut upserts = Vec::with_capacity(net.keyed.len());
    let mut deletes = Vec::new();
    // what the target has besides is the row's under its older key
    let keeps = keeps_columns(mapping);
    let mut keyed: Vec<_> = net.keyed.drain().collect();
    // in the key's order, so that the target walks its index from one end to the other
    keyed.sort_unstable_by(|(one, _), (other, _)| one.key.cmp(&other.key));
    for (key, effect) in keyed {
        match effect {
            NetEffect::Upsert { row, base } => {
                let base = base.filter(|b| *b != key && (keeps || !row.is_complete()));
                upserts.push(Upsert {
                    row: row.into_owned(),
                    base: base.map(|b| b.cells(mapping)),
                    fresh: net.new.contains(&key.key),
                });
            }
            NetEffect::Delete => deletes.push(key.cells(mapping)),
        }
    }
    let keyed =
        (!upserts.is_empty() || !deletes.is_empty()).then_some(Effect::Keyed { upserts, deletes });
    let mut inserts: Vec<Row> = net.arrived.into_iter().cloned().collect();
    let mut taken = Vec::new();
    for (whole, count) in net.multiset.drain() {
        let times = count.unsigned_abs();
        if count > 0 {
            inserts.extend((0..times).map(|_| whole.row.clone()));
        } else {
            taken.push((whole.row.clone(), times));
        }
    }
    let multiset = (!inserts.is_empty() || !taken.is_empty()).then_some(Effect::Multiset {
        inserts,
        deletes: taken,
    });
    keyed.into_iter().chain(multiset)
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
