//! Writing to a table of which not every column or not every row is the mapping's own: what others have there stays.
//!
//! Stores may write a row by taking the old one away, and a column that they do not know of would be a default afterwards. So the rows
//! that are there are read first, in the transaction that writes them, and written back whole. A key that is held by a row of
//! somebody else's part of the table is an error, and never overwritten; a row that the batch takes away there holds none, and what
//! it has besides goes with it, as with a row that changes its key.

use std::collections::{HashMap, HashSet};

use crossfade_expression::{Bound, Expression, Input, Truth};
use crossfade_model::canonical::Canonical;
use crossfade_model::{Cell, ColumnMapping, Row, TableId, TableMapping};
use crossfade_store::{Applier, Effect, ErrorKind, MergeMode, StoreError, Upsert};

use crate::error::EngineError;

/// The code of a key that a row of others holds.
pub(crate) const OTHERS_ROW: &str = "mapping.others_row";
/// Keys read at once.
const AT_ONCE: usize = 200;
/// Tells the whole table's mapping from the one that it is made of, where stores keep what they know by a mapping's number.
const WHOLE: u32 = 1 << 31;

/// Applies a net effect, and leaves to others what is theirs.
///
/// # Errors
/// The store's; a key that a row of others holds.
pub(crate) async fn apply(
    applier: &mut dyn Applier,
    label: &str,
    mapping: &TableMapping,
    effect: &Effect,
    mode: MergeMode,
) -> Result<(), EngineError> {
    apply_together(applier, label, &[(mapping, effect)], mode).await
}

/// The effects that are to be written together: of mappings that share a target's table, in the order of `effects`. A row may move from
/// one part of it to another in one batch, and is held by the old part until that one's deletes are written.
pub(crate) fn groups<'a>(
    tables: &'a [TableMapping],
    effects: &'a [(TableId, Effect)],
) -> Vec<Vec<&'a (TableId, Effect)>> {
    let target = |table: TableId| tables.get(table.0 as usize).map(|m| &m.target.name);
    let mut out: Vec<Vec<&(TableId, Effect)>> = Vec::new();
    // whatever is emptied is so after what comes before it
    let mut since = 0;
    for item in effects {
        if !matches!(item.1, Effect::Keyed { .. }) {
            out.push(vec![item]);
            if matches!(item.1, Effect::Clear(_)) {
                since = out.len();
            }
            continue;
        }
        let shares = |group: &&mut Vec<&(TableId, Effect)>| {
            group.first().is_some_and(|(table, effect)| {
                matches!(effect, Effect::Keyed { .. }) && target(*table) == target(item.0)
            }) && group.iter().all(|(table, _)| *table != item.0)
        };
        match out.iter_mut().skip(since).find(shares) {
            Some(group) => group.push(item),
            None => out.push(vec![item]),
        }
    }
    out
}

/// Applies the net effects of one group; see [`groups`].
///
/// # Errors
/// As [`apply`].
pub(crate) async fn apply_together(
    applier: &mut dyn Applier,
    label: &str,
    group: &[(&TableMapping, &Effect)],
    mode: MergeMode,
) -> Result<(), EngineError> {
    let shared = group.len() > 1;
    let mut parts = Vec::with_capacity(group.len());
    for (mapping, effect) in group {
        match effect {
            Effect::Keyed { upserts, deletes } if shared || keeps(mapping) => {
                let keeper = Keeper::new(mapping, label)?;
                parts.push(Part::read(applier, keeper, upserts, deletes).await?);
            }
            _ => applier.apply(mapping, effect, mode).await?,
        }
    }
    // what goes in any part goes first: its keys may be another part's afterwards
    let mut removed = HashSet::new();
    for part in &parts {
        part.delete(applier, mode, &mut removed).await?;
    }
    let again = shared || !removed.is_empty();
    let mut written = HashSet::new();
    for part in &parts {
        part.put(applier, mode, &removed, &mut written, again)
            .await?;
    }
    Ok(())
}

/// Whether the target's table has rows or columns that this mapping does not write.
pub(crate) fn keeps(mapping: &TableMapping) -> bool {
    mapping.source.key.is_some() && (mapping.slice.is_some() || kept(mapping).next().is_some())
}

/// Whether the target's rows have columns that this mapping does not write: what takes a row away takes them along.
pub(crate) fn keeps_columns(mapping: &TableMapping) -> bool {
    mapping.source.key.is_some() && kept(mapping).next().is_some()
}

/// The target's columns that the mapping does not write and an update could lose.
fn kept(mapping: &TableMapping) -> impl Iterator<Item = &crossfade_model::Column> {
    mapping.target.captured().filter(|column| {
        let written = mapping.columns.iter().any(|c| c.target == column.name);
        let always = column.identity.as_ref().is_some_and(|i| i.always);
        !written && !always
    })
}

struct Keeper<'a> {
    mapping: &'a TableMapping,
    label: &'a str,
    /// The mapping with the columns that are kept, in the target's own form.
    whole: TableMapping,
    /// As `mapping`, with the key's columns in an order that all mappings of one target's table have.
    identifying: TableMapping,
    /// Which rows are this mapping's, over the columns of `whole`.
    slice: Option<Bound>,
}

/// Rows of the target by their identities, with all columns of `whole`.
type Found = HashMap<Vec<u8>, Row>;

/// One mapping's share of what is written to a table, and what was there before anything was.
struct Part<'a> {
    keeper: Keeper<'a>,
    upserts: &'a [Upsert],
    deletes: &'a [Row],
    before: Found,
}

impl<'a> Part<'a> {
    async fn read(
        applier: &mut dyn Applier,
        keeper: Keeper<'a>,
        upserts: &'a [Upsert],
        deletes: &'a [Row],
    ) -> Result<Part<'a>, EngineError> {
        let bases = upserts.iter().filter_map(|u| u.base.as_ref());
        let keys = upserts.iter().map(|u| &u.row).chain(bases).chain(deletes);
        let found = keeper.found(applier, keys).await?;
        let mut before = Found::with_capacity(found.len());
        for row in found {
            before.insert(keeper.identity(&row)?, row);
        }
        Ok(Part {
            keeper,
            upserts,
            deletes,
            before,
        })
    }

    /// Takes the rows away that are this mapping's, and notes which were there.
    async fn delete(
        &self,
        applier: &mut dyn Applier,
        mode: MergeMode,
        removed: &mut HashSet<Vec<u8>>,
    ) -> Result<(), EngineError> {
        let mut gone = Vec::with_capacity(self.deletes.len());
        for key in self.deletes {
            let identity = self.keeper.identity(key)?;
            match self.before.get(&identity) {
                // what others hold under this key was never this mapping's
                Some(row) if !self.keeper.is_ours(row) => continue,
                Some(_) => drop(removed.insert(identity)),
                None => {}
            }
            gone.push(key.clone());
        }
        self.keeper.take(applier, gone, mode).await
    }

    /// Writes the rows that come. `removed` were taken away in this batch, and `written` brought by it; `again`: what is there now is not
    /// what was.
    async fn put(
        &self,
        applier: &mut dyn Applier,
        mode: MergeMode,
        removed: &HashSet<Vec<u8>>,
        written: &mut HashSet<Vec<u8>>,
        again: bool,
    ) -> Result<(), EngineError> {
        let keeper = &self.keeper;
        if self.upserts.is_empty() {
            return Ok(());
        }
        let rows = self.upserts.iter().map(|u| &u.row);
        let read = match again || keeper.mapping.slice.is_some() {
            true => keeper.found(applier, rows).await?,
            false => self.before.values().cloned().collect(),
        };
        let mut now = Found::with_capacity(read.len());
        for row in read {
            // under a key that only the table's index holds equal it is as much in the way
            if !keeper.is_ours(&row) {
                return Err(keeper.held().into());
            }
            now.insert(keeper.identity(&row)?, row);
        }
        let (mut new, mut there) = (Vec::new(), Vec::new());
        for upsert in self.upserts {
            let identity = keeper.identity(&upsert.row)?;
            let own = now.get(&identity);
            let base = match &upsert.base {
                Some(base) => self.inherited(&keeper.identity(base)?, removed),
                // also what moves here from another part
                None => self.inherited(&identity, removed),
            };
            // what another part has written in this batch is newer than what was there
            let newer = own.filter(|_| written.contains(&identity));
            match newer.or(base).or(own) {
                Some(kept) => there.push(keeper.joined(upsert, base.unwrap_or(kept), kept)),
                None => new.push(Upsert {
                    base: upsert.base.clone().filter(|_| !upsert.row.is_complete()),
                    ..upsert.clone()
                }),
            }
            written.insert(identity);
        }
        keeper.write(applier, new, there, mode).await
    }

    /// The row that was there: this mapping's own, or one that another part has given up in this batch.
    fn inherited(&self, identity: &Vec<u8>, removed: &HashSet<Vec<u8>>) -> Option<&Row> {
        let row = self.before.get(identity)?;
        (removed.contains(identity) || self.keeper.is_ours(row)).then_some(row)
    }
}

impl<'a> Keeper<'a> {
    fn new(mapping: &'a TableMapping, label: &'a str) -> Result<Keeper<'a>, EngineError> {
        let mut whole = mapping.clone();
        whole.id = TableId(mapping.id.0 | WHOLE);
        // as the target has them they are read, and written again
        whole.source.columns.extend(kept(mapping).cloned());
        whole
            .columns
            .extend(kept(mapping).map(|column| ColumnMapping {
                source: column.name.clone(),
                target: column.name.clone(),
                canonical: Canonical::Exact,
            }));
        let slice = match &mapping.slice {
            None => None,
            Some(text) => Some(bound(&whole, text).map_err(|what| {
                EngineError::internal(format!(
                    "which rows of {} are whose: {what}",
                    mapping.target.name
                ))
            })?),
        };
        let mut identifying = mapping.clone();
        if let Some(key) = &mut identifying.source.key {
            let name = |at: &usize| mapping.columns.get(*at).map(|c| c.target.as_str());
            key.columns
                .sort_by(|one, other| name(one).cmp(&name(other)));
        }
        Ok(Keeper {
            mapping,
            label,
            whole,
            identifying,
            slice,
        })
    }

    async fn take(
        &self,
        applier: &mut dyn Applier,
        deletes: Vec<Row>,
        mode: MergeMode,
    ) -> Result<(), EngineError> {
        if deletes.is_empty() {
            return Ok(());
        }
        let upserts = Vec::new();
        let effect = Effect::Keyed { upserts, deletes };
        Ok(applier.apply(self.mapping, &effect, mode).await?)
    }

    /// Rows that are there are updated whole. More carefully, all go first, so that a unique value may move from any to any.
    async fn write(
        &self,
        applier: &mut dyn Applier,
        new: Vec<Upsert>,
        there: Vec<Upsert>,
        mode: MergeMode,
    ) -> Result<(), EngineError> {
        let keyed = |upserts| Effect::Keyed {
            upserts,
            deletes: Vec::new(),
        };
        if mode != MergeMode::Fast {
            let gone = there.iter().map(|u| self.mapping.key_only(&u.row));
            self.take(applier, gone.collect(), mode).await?;
        }
        if !there.is_empty() {
            applier.apply(&self.whole, &keyed(there), mode).await?;
        }
        if !new.is_empty() {
            applier.apply(self.mapping, &keyed(new), mode).await?;
        }
        Ok(())
    }

    /// Whatever the target has under these keys, and under keys that it holds equal.
    async fn found<'r>(
        &self,
        applier: &mut dyn Applier,
        keys: impl Iterator<Item = &'r Row>,
    ) -> Result<Vec<Row>, EngineError> {
        let keys: Vec<Row> = keys.map(|row| self.key_of(row)).collect();
        let mut found = Vec::new();
        for some in keys.chunks(AT_ONCE) {
            found.extend(applier.read_keys(&self.whole, some).await?);
        }
        Ok(found)
    }

    /// The key's cells at their places among the columns of `whole`.
    fn key_of(&self, row: &Row) -> Row {
        let mut key = self.mapping.key_only(row);
        key.0.resize(self.whole.columns.len(), Cell::Null);
        key
    }

    fn identity(&self, row: &Row) -> Result<Vec<u8>, EngineError> {
        let mut out = Vec::new();
        self.identifying
            .identity_of(row, &mut out)
            .map_err(|e| EngineError::internal(format!("a key to write: {e}")))?;
        Ok(out)
    }

    fn is_ours(&self, row: &Row) -> bool {
        self.slice
            .as_ref()
            .is_none_or(|s| matches!(s.holds(row), Ok(Truth::Holds)))
    }

    /// The row to write, with what its image lacks from the row that it was, and the columns that it keeps.
    fn joined(&self, upsert: &Upsert, was: &Row, kept: &Row) -> Upsert {
        let mut row = upsert.row.clone();
        row.fill_unchanged_from(was);
        row.0.resize(self.whole.columns.len(), Cell::Unchanged);
        row.fill_unchanged_from(kept);
        Upsert {
            row,
            base: None,
            fresh: false,
        }
    }

    fn held(&self) -> StoreError {
        let names = self.mapping.source.key_columns();
        let names: Vec<&str> = names.iter().map(|c| c.name.as_str()).collect();
        StoreError::new(
            ErrorKind::SchemaMismatch,
            OTHERS_ROW,
            self.label,
            format!(
                "a row to be written has the key ({}) of a row that is not this mapping's: it would be overwritten",
                names.join(", ")
            ),
        )
        .table(&self.mapping.target.name)
        .fix("Give rows of the two parts keys that differ, or put a constant before the key with `key`")
    }
}

/// A condition over the columns of a target's table, in the order of a mapping's.
fn bound(mapping: &TableMapping, text: &str) -> Result<Bound, String> {
    let column = |name: &str| mapping.target.columns.iter().find(|c| c.name == name);
    let inputs: Vec<Input> = mapping
        .columns
        .iter()
        .filter_map(|c| column(&c.target))
        .map(Input::from)
        .collect();
    let expression = Expression::parse(text).map_err(|e| e.what)?;
    expression.bind(&inputs).map_err(|e| e.what)
}

#[cfg(test)]
#[path = "keeping_tests.rs"]
mod tests;
