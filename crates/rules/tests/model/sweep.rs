//! Scenarios by enumeration: every short sequence of changes, and every surrounding of a scenario.

use std::collections::BTreeSet;

use crate::scenario::{Scenario, contents};
use crate::source::{Change, Img, Key, Row, Source};

/// Every kind of change to every key; row values tell the transaction, and rows move between parts.
fn changes(value: u8) -> Vec<Change> {
    let part = value % 2;
    let keys: [Key; 3] = [0, 1, 2];
    let mut all = vec![Change::Truncate];
    for old in keys {
        all.push(Change::Put(old, Row { a: value, b: value }, part));
        all.push(Change::Delete(old));
        for new in keys {
            for b in [None, Some(value)] {
                all.push(Change::Update {
                    old,
                    new,
                    img: Img { a: value, b },
                    part,
                });
            }
        }
    }
    all
}

/// Whether the source could have done these transactions one after the other: inserts where there is no row,
/// the rest where there is one.
fn possible(scenario: &Scenario) -> bool {
    let mut source = Source::new(scenario);
    (0..scenario.txns.len() as u8).all(|id| {
        let table = source.table(scenario, |_, _| true);
        let there = |key: Key| table[key as usize].is_some();
        let fits = scenario.txns[id as usize]
            .iter()
            .all(|change| match change {
                Change::Put(key, ..) => !there(*key),
                Change::Delete(key) => there(*key),
                Change::Update { old, new, .. } => there(*old) && (old == new || !there(*new)),
                Change::Truncate | Change::Add(_) | Change::Remove(_) => true,
            });
        source.commit(scenario, id);
        fits
    })
}

fn sequences(name: &'static str, length: u8) -> Vec<Scenario> {
    let mut all: Vec<Vec<Vec<Change>>> = vec![Vec::new()];
    for place in 0..length {
        all = all
            .into_iter()
            .flat_map(|before| {
                changes(50 + place).into_iter().map(move |change| {
                    let mut txns = before.clone();
                    txns.push(vec![change]);
                    txns
                })
            })
            .collect();
    }
    all.into_iter()
        .map(|txns| Scenario::new(name, &[0, 1], txns))
        .filter(possible)
        .collect()
}

/// A scenario in every surrounding that fits it.
fn in_surroundings(plain: &Scenario) -> Vec<Scenario> {
    let plain = plain.clone();
    vec![
        Scenario {
            zombies: true,
            ..plain.clone()
        },
        Scenario {
            retry: true,
            ..plain.clone()
        },
        Scenario {
            two_writes: true,
            ..plain.clone()
        },
        Scenario {
            park: Some(0),
            ..plain.clone()
        },
        Scenario {
            refuse: Some(0),
            ..plain.clone()
        },
        Scenario {
            before: 1,
            ..plain.clone()
        },
        Scenario {
            splits: vec![],
            split_at: Some(1),
            ..plain.clone()
        },
        Scenario {
            splits: vec![],
            parts: true,
            rows: plain
                .rows
                .iter()
                .map(|(key, row, _)| (*key, *row, key % 2))
                .collect(),
            ..plain
        },
    ]
}

/// The named contents in all surroundings.
pub fn surrounded(count: usize) -> Vec<Scenario> {
    let plain = contents().into_iter().map(|scenario| scenario.take(count));
    plain
        .flat_map(|scenario| in_surroundings(&scenario))
        .collect()
}

/// Every two changes, one after the other.
pub fn pairs() -> Vec<Scenario> {
    sequences("two changes", 2)
}

pub fn all_pairs() -> Vec<Scenario> {
    let plain = pairs();
    plain.iter().flat_map(in_surroundings).collect()
}

/// Every three changes, but for those that are explored under other names: transactions that lock different rows
/// commit in any order whatever their numbers, and the two rows that are there lie in one chunk.
pub fn all_triples() -> Vec<Scenario> {
    let mut seen = BTreeSet::new();
    let mut all = sequences("three changes", 3);
    all.retain(|scenario| seen.insert(essence(scenario)));
    all
}

/// What a change does, without its values: its kind, the keys before and after, whether a column is left out.
type Shape = (u8, Key, Key, bool);

fn shape(change: &Change, swapped: bool) -> Shape {
    let name = |key: &Key| match *key {
        0 | 1 if swapped => 1 - key,
        other => other,
    };
    match change {
        Change::Truncate => (0, 0, 0, false),
        Change::Put(key, ..) => (1, name(key), 0, false),
        Change::Delete(key) => (2, name(key), 0, false),
        Change::Update { old, new, img, .. } => (3, name(old), name(new), img.b.is_none()),
        Change::Add(key) => (4, name(key), 0, false),
        Change::Remove(key) => (5, name(key), 0, false),
    }
}

/// The least among all names that three transactions of one change each, and their rows, could have.
fn essence(scenario: &Scenario) -> Vec<Shape> {
    const ORDERS: [[usize; 3]; 6] = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    let change = |place: usize| &scenario.txns[place][0];
    let allowed = |order: &&[usize; 3]| {
        (0..3).all(|later| {
            (0..later).all(|earlier| {
                order[earlier] < order[later]
                    || !change(order[earlier]).conflicts(change(order[later]))
            })
        })
    };
    let named = ORDERS.iter().filter(allowed).flat_map(|order| {
        [false, true].map(|swapped| order.map(|place| shape(change(place), swapped)).to_vec())
    });
    named.min().unwrap_or_default()
}

#[test]
fn three_changes_are_told_apart_by_what_they_do() {
    let all = sequences("three changes", 3);
    assert_eq!((all.len(), all_triples().len()), (1358, 416));
}
