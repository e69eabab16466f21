//! The first of two passes over a big transaction that met a unique conflict: every row that it touches is taken away.
//!
//! Its pieces are written one after another, and between two of them the rows may be such as the source never had: a poll of a
//! change table brings all keys at their last images, and a deferred constraint is checked only at the end. Then a value that a
//! piece brings may still be held by a row that a later piece changes. Once all touched rows are gone, the pieces only add rows
//! of the end state and meet no conflict among themselves.
//!
//! A table in which some image is not whole is left out: its missing columns are in the rows that would be taken away.

use std::collections::HashSet;

use crossfade_model::{Change, Row, TableId, TableMapping};
use crossfade_store::Effect;

use crate::apply::keeping::keeps;

/// The keyed tables of which some images so far were not whole, or that have no key.
#[derive(Debug, Default)]
pub(crate) struct Partial(HashSet<TableId>);

impl Partial {
    /// Looks at some changes.
    pub fn note(&mut self, tables: &[TableMapping], changes: &[Change]) {
        for change in changes {
            let (table, row) = match change {
                Change::Insert { table, row }
                | Change::Upsert { table, row }
                | Change::Update { table, row, .. } => (table, Some(row)),
                Change::Unclear { table, .. } => (table, None),
                _ => continue,
            };
            // what others have of a row would go with it
            let keyed = tables
                .get(table.0 as usize)
                .is_some_and(|mapping| mapping.source.key.is_some() && !keeps(mapping));
            if !keyed || row.is_none_or(|row| !row.is_complete()) {
                self.0.insert(*table);
            }
        }
    }

    /// The changes whose rows can be taken away.
    pub fn clearable(&self, changes: &[Change]) -> Vec<Change> {
        let left_out = |table: &TableId| self.0.contains(table);
        changes
            .iter()
            .filter_map(|change| match change {
                Change::Insert { table, .. }
                | Change::Upsert { table, .. }
                | Change::Update { table, .. }
                | Change::Delete { table, .. }
                | Change::Unclear { table, .. }
                | Change::Filtered { table }
                | Change::TruncatePartitions { table } => {
                    (!left_out(table)).then(|| change.clone())
                }
                Change::Truncate { tables } => {
                    let tables: Vec<TableId> =
                        tables.iter().copied().filter(|t| !left_out(t)).collect();
                    (!tables.is_empty()).then_some(Change::Truncate { tables })
                }
            })
            .collect()
    }
}

/// What takes away the rows that `effect` touches; `None` where that is nothing, or nothing that has a key.
pub(crate) fn cleared(mapping: &TableMapping, effect: Effect) -> Option<Effect> {
    match effect {
        Effect::Keyed { upserts, deletes } => {
            let written = upserts.iter().map(|upsert| mapping.key_only(&upsert.row));
            let deletes: Vec<Row> = deletes.into_iter().chain(written).collect();
            (!deletes.is_empty()).then_some(Effect::Keyed {
                upserts: Vec::new(),
                deletes,
            })
        }
        Effect::Clear(range) => Some(Effect::Clear(range)),
        Effect::Multiset { .. } => None,
    }
}

#[cfg(test)]
#[path = "clearing_tests.rs"]
mod tests;
