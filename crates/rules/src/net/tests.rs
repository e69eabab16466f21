#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::*;

/// Two columns; `None` is a missing one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Row(Option<u8>, Option<u8>);

impl Image for Row {
    fn is_complete(&self) -> bool {
        self.0.is_some() && self.1.is_some()
    }
    fn overlay(&mut self, newer: Self) {
        *self = Row(newer.0.or(self.0), newer.1.or(self.1));
    }
}

type Table = BTreeMap<u8, Row>;

#[derive(Debug, Clone, Copy)]
enum Change {
    Insert(u8),
    Delete(u8),
    /// Whether the second column is in the image.
    Update(u8, bool),
    Rekey(u8, u8, bool),
}

const KEYS: [u8; 3] = [1, 2, 3];

fn alphabet() -> Vec<Change> {
    let mut all = Vec::new();
    for key in KEYS {
        all.extend([Change::Insert(key), Change::Delete(key)]);
        for whole in [false, true] {
            all.push(Change::Update(key, whole));
            all.extend(
                KEYS.iter()
                    .filter(|to| **to != key)
                    .map(|to| Change::Rekey(key, *to, whole)),
            );
        }
    }
    all
}

fn image(stamp: u8, whole: bool) -> Row {
    Row(Some(stamp), whole.then_some(stamp))
}

/// What the source's table becomes; `None` if the source could not have done it.
fn run(table: &Table, change: Change, stamp: u8) -> Option<Table> {
    let mut table = table.clone();
    match change {
        Change::Insert(key) => {
            if table.insert(key, image(stamp, true)).is_some() {
                return None;
            }
        }
        Change::Delete(key) => {
            table.remove(&key)?;
        }
        Change::Update(key, whole) => table.get_mut(&key)?.overlay(image(stamp, whole)),
        Change::Rekey(old, new, whole) => {
            let mut row = table.remove(&old)?;
            row.overlay(image(stamp, whole));
            if table.insert(new, row).is_some() {
                return None;
            }
        }
    }
    Some(table)
}

fn collapse(batch: &mut NetBatch<u8, Row>, change: Change, stamp: u8) -> Result<(), NoBase> {
    match change {
        Change::Insert(key) => batch.put(key, image(stamp, true)),
        Change::Delete(key) => batch.delete(key),
        Change::Update(key, whole) => batch.update(key, image(stamp, whole))?,
        Change::Rekey(old, new, whole) => batch.rekey(old, new, image(stamp, whole))?,
    }
    Ok(())
}

/// Writes the effects as a target would: bases read first.
fn write(before: &Table, batch: &NetBatch<u8, Row>) -> Table {
    let mut after = before.clone();
    for (key, effect) in batch.iter() {
        match effect {
            Effect::Delete => {
                after.remove(key);
            }
            Effect::Upsert { row, base } => {
                assert!(base.is_some() || row.is_complete());
                // of a whole image nothing is missing, and a row that came in this batch was not there
                let older = base.and_then(|base| before.get(&base).copied());
                assert!(older.is_some() || row.is_complete());
                let mut whole = older.unwrap_or(*row);
                whole.overlay(*row);
                assert!(whole.is_complete());
                after.insert(*key, whole);
            }
        }
    }
    after
}

fn explore(
    before: &Table,
    now: &Table,
    batch: &NetBatch<u8, Row>,
    depth: u8,
    alphabet: &[Change],
    visited: &mut u64,
) {
    assert_eq!(&write(before, batch), now);
    *visited += 1;
    if depth == 0 {
        return;
    }
    for change in alphabet {
        let stamp = 100 + depth;
        let Some(next) = run(now, *change, stamp) else {
            continue;
        };
        let mut batch = batch.clone();
        collapse(&mut batch, *change, stamp).unwrap();
        explore(before, &next, &batch, depth - 1, alphabet, visited);
    }
}

/// Every sequence of up to five changes that a source can make, from every table of up to three rows.
#[test]
fn equals_sequential_application_for_all_short_sequences() {
    let alphabet = alphabet();
    let mut visited = 0;
    for present in 0..8_u8 {
        let before: Table = KEYS
            .iter()
            .filter(|key| present & (1 << (*key - 1)) != 0)
            .map(|key| (*key, Row(Some(*key), Some(10 + *key))))
            .collect();
        explore(
            &before,
            &before,
            &NetBatch::new(),
            5,
            &alphabet,
            &mut visited,
        );
    }
    assert!(visited > 100_000, "{visited}");
}

#[test]
fn chain_of_keys_takes_missing_columns_from_its_first_row() {
    let mut batch = NetBatch::new();
    batch.rekey(1, 2, image(50, false)).unwrap();
    batch.rekey(2, 3, image(51, false)).unwrap();
    assert_eq!(batch.get(&1), Some(&Effect::Delete));
    assert_eq!(batch.get(&2), Some(&Effect::Delete));
    assert_eq!(
        batch.get(&3),
        Some(&Effect::Upsert {
            row: Row(Some(51), None),
            base: Some(1)
        })
    );
    batch.update(3, image(52, true)).unwrap();
    assert_eq!(
        batch.get(&3),
        Some(&Effect::Upsert {
            row: Row(Some(52), Some(52)),
            base: Some(1)
        })
    );
}

#[test]
fn swap_by_a_third_key_takes_each_from_the_other() {
    let mut batch = NetBatch::new();
    batch.rekey(1, 3, image(50, false)).unwrap();
    batch.rekey(2, 1, image(51, false)).unwrap();
    batch.rekey(3, 2, image(52, false)).unwrap();
    assert_eq!(
        batch.get(&1),
        Some(&Effect::Upsert {
            row: Row(Some(51), None),
            base: Some(2)
        })
    );
    assert_eq!(
        batch.get(&2),
        Some(&Effect::Upsert {
            row: Row(Some(52), None),
            base: Some(1)
        })
    );
    assert_eq!(batch.get(&3), Some(&Effect::Delete));
}

#[test]
fn an_incomplete_image_over_a_deleted_row_is_refused() {
    let mut batch = NetBatch::new();
    batch.delete(1);
    assert_eq!(batch.update(1, image(50, false)), Err(NoBase));
    assert_eq!(batch.rekey(1, 2, image(50, false)), Err(NoBase));
    assert_eq!(batch.get(&1), Some(&Effect::Delete));
    assert_eq!(batch.get(&2), None);
    batch.rekey(1, 2, image(50, true)).unwrap();
    assert_eq!(batch.drain().count(), 2);
    assert!(batch.is_empty());
}

/// Every sequence of inserts, deletes and updates of two rows gives the counts of the multiset.
#[test]
fn multiset_equals_sequential_application() {
    fn explore(counts: [i64; 2], net: &NetMultiset<usize>, depth: u8) {
        let drained: BTreeMap<usize, i64> = net.clone().drain().collect();
        let expected: BTreeMap<usize, i64> = counts
            .into_iter()
            .enumerate()
            .filter(|(_, count)| *count != 0)
            .collect();
        assert_eq!(drained, expected);
        assert_eq!(net.is_empty(), expected.is_empty());
        assert_eq!(net.len(), expected.len());
        if depth == 0 {
            return;
        }
        for row in 0..2 {
            let mut inserted = net.clone();
            inserted.insert(row);
            let mut next = counts;
            next[row] += 1;
            explore(next, &inserted, depth - 1);
            let mut deleted = net.clone();
            deleted.delete(row);
            next[row] -= 2;
            explore(next, &deleted, depth - 1);
            let mut updated = net.clone();
            updated.update(row, 1 - row);
            next[1 - row] += 1;
            explore(next, &updated, depth - 1);
        }
    }
    explore([0, 0], &NetMultiset::new(), 6);
}
