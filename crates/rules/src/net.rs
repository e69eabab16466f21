//! The net effect of a batch: for each key what its row must be afterwards, so that a hot key costs one
//! write a batch.
//!
//! Equality of `K` must be the **target's**. Only changes decided [`Apply`](crate::frontier::Decision::Apply)
//! go in, in the source's commit order. A truncate is a barrier: write what is there, then go on.
//! Big source transactions are written in several flushes of one target transaction.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::Hash;

/// A row image, of which columns may be missing because the source's log left them out as unchanged.
pub trait Image {
    /// Whether no column is missing.
    fn is_complete(&self) -> bool;

    /// Lays a newer image over this one: its missing columns keep the values (or the absence) here.
    fn overlay(&mut self, newer: Self);
}

impl Image for crossfade_model::Row {
    fn is_complete(&self) -> bool {
        crossfade_model::Row::is_complete(self)
    }

    fn overlay(&mut self, mut newer: Self) {
        newer.fill_unchanged_from(self);
        *self = newer;
    }
}

/// Images that are only looked at are copied when one is laid over them.
impl Image for Cow<'_, crossfade_model::Row> {
    fn is_complete(&self) -> bool {
        crossfade_model::Row::is_complete(self)
    }

    fn overlay(&mut self, newer: Self) {
        let mut newer = newer.into_owned();
        newer.fill_unchanged_from(self);
        *self = Cow::Owned(newer);
    }
}

/// What must become of the row of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect<K, R> {
    /// The row must be `row`, inserted or updated.
    Upsert {
        /// The image.
        row: R,
        /// The key that the row had in the target **before** the batch, where columns are missing in `row`, or the batch
        /// changes the row's key: they keep the values there, and so does whatever the target has of the row besides. If it
        /// is another key than the effect's own, that row is deleted or overwritten by this same batch, so read it first.
        base: Option<K>,
    },
    /// There must be no row. There may have been none.
    Delete,
}

/// An image without all columns came for a key whose row this batch has just deleted: there is nothing
/// to take the missing columns from. The row must be read again instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoBase;

impl fmt::Display for NoBase {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "an incomplete row image has no older row to take its missing columns from"
        )
    }
}

impl std::error::Error for NoBase {}

/// The net effects of a batch on one table.
#[derive(Debug, Clone)]
pub struct NetBatch<K, R> {
    effects: HashMap<K, Effect<K, R>>,
}

impl<K, R> Default for NetBatch<K, R> {
    fn default() -> Self {
        Self {
            effects: HashMap::new(),
        }
    }
}

impl<K: Hash + Eq + Clone, R: Image> NetBatch<K, R> {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keys touched.
    #[must_use]
    pub fn len(&self) -> usize {
        self.effects.len()
    }

    /// Whether nothing was touched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.effects.is_empty()
    }

    /// The effect on `key` so far, if the batch touched it.
    pub fn get(&self, key: &K) -> Option<&Effect<K, R>> {
        self.effects.get(key)
    }

    /// The row of `key` becomes `row`, which is whole: an insert, an update with its whole image, a row
    /// read again. Also the new half of a change of key.
    pub fn put(&mut self, key: K, row: R) {
        debug_assert!(row.is_complete());
        // a row that the batch brought here from another key is still that row
        let base = match self.effects.get_mut(&key) {
            Some(Effect::Upsert { base, .. }) => base.take().filter(|base| *base != key),
            Some(Effect::Delete) | None => None,
        };
        self.effects.insert(key, Effect::Upsert { row, base });
    }

    /// There is no row of `key` any more: a delete, a row read again and not found, the old half of a
    /// change of key.
    pub fn delete(&mut self, key: K) {
        self.effects.insert(key, Effect::Delete);
    }

    /// An update that keeps the key, whole or not.
    ///
    /// # Errors
    /// [`NoBase`] if the image is not whole and the batch has deleted the row; nothing was changed.
    pub fn update(&mut self, key: K, row: R) -> Result<(), NoBase> {
        if row.is_complete() {
            self.put(key, row);
            return Ok(());
        }
        match self.effects.entry(key) {
            Entry::Vacant(entry) => {
                let base = Some(entry.key().clone());
                entry.insert(Effect::Upsert { row, base });
            }
            Entry::Occupied(mut entry) => {
                let key = entry.key().clone();
                match entry.get_mut() {
                    Effect::Delete => return Err(NoBase),
                    Effect::Upsert { row: older, base } => {
                        older.overlay(row);
                        if older.is_complete() {
                            *base = base.take().filter(|base| *base != key);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// A change of key, both halves applied: the row of `old` goes, that of `new` becomes `row`, whose
    /// missing columns are those of `old`'s row. With equal keys the same as [`Self::update`].
    ///
    /// # Errors
    /// [`NoBase`] if the image is not whole and the batch has deleted `old`'s row; nothing was changed.
    pub fn rekey(&mut self, old: K, new: K, row: R) -> Result<(), NoBase> {
        if old == new {
            return self.update(new, row);
        }
        let effect = if row.is_complete() {
            let base = match self.effects.get_mut(&old) {
                None => Some(old.clone()),
                Some(Effect::Delete) => None,
                Some(Effect::Upsert { base, .. }) => Some(base.take().unwrap_or(old.clone())),
            };
            Effect::Upsert { row, base }
        } else {
            match self.effects.get_mut(&old) {
                None => Effect::Upsert {
                    row,
                    base: Some(old.clone()),
                },
                Some(Effect::Delete) => return Err(NoBase),
                Some(older) => {
                    let Effect::Upsert {
                        row: mut older,
                        base,
                    } = std::mem::replace(older, Effect::Delete)
                    else {
                        return Err(NoBase);
                    };
                    older.overlay(row);
                    let base = Some(base.unwrap_or(old.clone()));
                    Effect::Upsert { row: older, base }
                }
            }
        };
        self.effects.insert(old, Effect::Delete);
        self.effects.insert(new, effect);
        Ok(())
    }

    /// Takes all effects, in no particular order; the batch is empty afterwards and keeps its memory.
    pub fn drain(&mut self) -> impl Iterator<Item = (K, Effect<K, R>)> + '_ {
        self.effects.drain()
    }

    /// All effects, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Effect<K, R>)> {
        self.effects.iter()
    }
}

/// The net effect of a batch on a table without key: how many equal rows come or go. Images must be
/// whole.
#[derive(Debug, Clone)]
pub struct NetMultiset<R> {
    counts: HashMap<R, i64>,
}

impl<R> Default for NetMultiset<R> {
    fn default() -> Self {
        Self {
            counts: HashMap::new(),
        }
    }
}

impl<R: Hash + Eq> NetMultiset<R> {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One such row comes.
    pub fn insert(&mut self, row: R) {
        self.count(row, 1);
    }

    /// One such row goes.
    pub fn delete(&mut self, row: R) {
        self.count(row, -1);
    }

    /// One row becomes another.
    pub fn update(&mut self, old: R, new: R) {
        self.delete(old);
        self.insert(new);
    }

    fn count(&mut self, row: R, by: i64) {
        match self.counts.entry(row) {
            Entry::Vacant(entry) => {
                entry.insert(by);
            }
            Entry::Occupied(mut entry) => {
                *entry.get_mut() += by;
                if *entry.get() == 0 {
                    entry.remove();
                }
            }
        }
    }

    /// Different rows touched.
    #[must_use]
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether the batch changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Takes all counts, in no particular order: above zero, insert so many; below, delete exactly so many.
    pub fn drain(&mut self) -> impl Iterator<Item = (R, i64)> + '_ {
        self.counts.drain()
    }
}

#[cfg(test)]
mod tests;
