//! Writing to a table of which not every column or not every row is the mapping's own: what others have there stays.
//!
//! Stores may write a row by taking the old one away, and a column that they do not know of would be a default afterwards. So the rows
//! that are there are read first, in the transaction that writes them, and written back whole. A key that is held by a row of
//! somebody else's part of the table is an error, and never overwritten.

use std::collections::HashMap;

use crossfade_expression::{Bound, Expression, Input, Truth};
use crossfade_model::canonical::Canonical;
use crossfade_model::{Cell, ColumnMapping, Row, TableId, TableMapping};
use crossfade_store::{Applier, Effect, ErrorKind, MergeMode, StoreError, Upsert};

use crate::error::EngineError;

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
    match effect {
        Effect::Keyed { upserts, deletes } if keeps(mapping) => {
            let keeper = Keeper::new(mapping, label)?;
            keeper.apply(applier, upserts, deletes, mode).await
        }
        _ => Ok(applier.apply(mapping, effect, mode).await?),
    }
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
    /// Which rows are this mapping's, over the columns of `whole`.
    slice: Option<Bound>,
}

/// A row of the target by its identity, with all columns of `whole`.
type Found = HashMap<Vec<u8>, Row>;

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
        Ok(Keeper {
            mapping,
            label,
            whole,
            slice,
        })
    }

    async fn apply(
        &self,
        applier: &mut dyn Applier,
        upserts: &[Upsert],
        deletes: &[Row],
        mode: MergeMode,
    ) -> Result<(), EngineError> {
        let bases = upserts.iter().filter_map(|u| u.base.as_ref());
        let keys = upserts.iter().map(|u| &u.row).chain(bases).chain(deletes);
        let found = self.found(applier, keys).await?;
        let (mut new, mut there) = (Vec::new(), Vec::new());
        for upsert in upserts {
            let row = self.identity(&upsert.row)?;
            let own = found.get(&row);
            if own.is_some_and(|own| !self.is_ours(own)) {
                return Err(self.held().into());
            }
            let base = match &upsert.base {
                Some(base) => found.get(&self.identity(base)?),
                None => own,
            };
            match base.or(own) {
                Some(older) => there.push(self.joined(upsert, older)),
                None => new.push(upsert.clone()),
            }
        }
        let mut gone = Vec::with_capacity(deletes.len());
        for key in deletes {
            // what others hold under this key was never this mapping's
            let others = found
                .get(&self.identity(key)?)
                .is_some_and(|row| !self.is_ours(row));
            if !others {
                gone.push(key.clone());
            }
        }
        self.write(applier, new, there, gone, mode).await
    }

    /// Rows that are there are updated whole. More carefully, all go first, so that a unique value may move from any to any.
    async fn write(
        &self,
        applier: &mut dyn Applier,
        new: Vec<Upsert>,
        there: Vec<Upsert>,
        mut gone: Vec<Row>,
        mode: MergeMode,
    ) -> Result<(), EngineError> {
        let keyed = |upserts, deletes| Effect::Keyed { upserts, deletes };
        if mode != MergeMode::Fast {
            gone.extend(there.iter().map(|u| self.mapping.key_only(&u.row)));
        }
        if !gone.is_empty() {
            applier
                .apply(self.mapping, &keyed(Vec::new(), gone), mode)
                .await?;
        }
        if !there.is_empty() {
            applier
                .apply(&self.whole, &keyed(there, Vec::new()), mode)
                .await?;
        }
        if !new.is_empty() {
            applier
                .apply(self.mapping, &keyed(new, Vec::new()), mode)
                .await?;
        }
        Ok(())
    }

    async fn found<'r>(
        &self,
        applier: &mut dyn Applier,
        keys: impl Iterator<Item = &'r Row>,
    ) -> Result<Found, EngineError> {
        let keys: Vec<Row> = keys.map(|row| self.key_of(row)).collect();
        let mut found = Found::new();
        for some in keys.chunks(AT_ONCE) {
            for row in applier.read_keys(&self.whole, some).await? {
                found.insert(self.identity(&row)?, row);
            }
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
        self.mapping
            .identity_of(row, &mut out)
            .map_err(|e| EngineError::internal(format!("a key to write: {e}")))?;
        Ok(out)
    }

    fn is_ours(&self, row: &Row) -> bool {
        self.slice
            .as_ref()
            .is_none_or(|s| matches!(s.holds(row), Ok(Truth::Holds)))
    }

    /// The row to write with the columns that it keeps, and those that its image lacks, from the row that is there.
    fn joined(&self, upsert: &Upsert, older: &Row) -> Upsert {
        let mut row = upsert.row.clone();
        row.0.resize(self.whole.columns.len(), Cell::Unchanged);
        row.fill_unchanged_from(older);
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
            "mapping.others_row",
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
