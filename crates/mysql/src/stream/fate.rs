//! Transactions that came in pieces, before it was known that a part of them, or all, did not happen.
//!
//! Servers write a transaction at its commit, and leave out what a savepoint took back. They do not where it also changed a table that
//! cannot roll back: then the log holds the rows and, behind them, `ROLLBACK TO`. What comes in one piece is whole. Of what came
//! in pieces it is remembered which of its rows remain; the stream fails, is opened again at the checkpoint before,
//! and brings these rows alone: the log says the same again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Rows `from..to` of a transaction, counted as the log brings them.
type Kept = Vec<(u64, u64)>;

/// Such transactions that are remembered at most; more are told anew.
const MOST: usize = 1000;

/// Fates by the transactions' ids.
#[derive(Debug, Default)]
pub(crate) struct Fates(Mutex<HashMap<u64, Kept>>);

impl Fates {
    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered of a transaction.
    pub fn of(&self, id: u64) -> Option<Kept> {
        self.known().get(&id).cloned()
    }

    /// Remembers.
    pub fn remember(&self, id: u64, kept: Kept) {
        let mut known = self.known();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(id, kept);
    }
}

/// A transaction that is coming in.
#[derive(Debug)]
pub(crate) struct Coming {
    /// Its id.
    pub id: u64,
    /// Its rows so far.
    read: u64,
    /// What remains, where that is known from before.
    known: Option<Kept>,
    /// What remains of what was read.
    kept: Kept,
    /// Something was taken back.
    pub rewound: bool,
}

impl Coming {
    pub fn new(id: u64, known: Option<Kept>) -> Coming {
        Coming {
            id,
            read: 0,
            known,
            kept: Vec::new(),
            rewound: false,
        }
    }

    /// Whether what remains is known from before.
    pub fn is_known(&self) -> bool {
        self.known.is_some()
    }

    /// Counts the next row; whether it is to be handed on.
    pub fn row(&mut self) -> bool {
        let at = self.read;
        self.read += 1;
        match self.kept.last_mut() {
            Some((_, to)) if *to == at => *to = self.read,
            _ => self.kept.push((at, self.read)),
        }
        match &self.known {
            Some(known) => known.iter().any(|(from, to)| (*from..*to).contains(&at)),
            None => !self.rewound,
        }
    }

    /// Only the first `kept` of the rows that remained do so still.
    pub fn rewind(&mut self, kept: u64) {
        self.rewound = true;
        let mut left = kept;
        self.kept.retain_mut(|(from, to)| {
            *to = (*from).saturating_add(left.min(*to - *from));
            left -= *to - *from;
            from < to
        });
    }

    /// What remains at the end; nothing where it did not happen.
    pub fn remains(self, happened: bool) -> Kept {
        if happened { self.kept } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(coming: &mut Coming, count: usize) -> Vec<bool> {
        (0..count).map(|_| coming.row()).collect()
    }

    #[test]
    fn what_a_savepoint_took_back_is_left_out_the_second_time() {
        let mut first = Coming::new(7, None);
        assert_eq!(rows(&mut first, 4), [true; 4]);
        first.rewind(3);
        // nothing more is handed on: it will come again
        assert_eq!(rows(&mut first, 2), [false; 2]);
        first.rewind(4);
        assert_eq!(rows(&mut first, 1), [false]);
        let kept = first.remains(true);
        assert_eq!(kept, [(0, 3), (4, 5), (6, 7)]);

        let mut second = Coming::new(7, Some(kept));
        assert_eq!(rows(&mut second, 4), [true, true, true, false]);
        second.rewind(3);
        assert_eq!(rows(&mut second, 2), [true, false]);
        second.rewind(4);
        assert_eq!(rows(&mut second, 1), [true]);
    }

    #[test]
    fn what_did_not_happen_leaves_nothing() {
        let mut first = Coming::new(7, None);
        rows(&mut first, 3);
        let kept = first.remains(false);
        let mut second = Coming::new(7, Some(kept));
        assert_eq!(rows(&mut second, 3), [false; 3]);
    }

    #[test]
    fn going_back_to_the_beginning_leaves_nothing() {
        let mut coming = Coming::new(7, None);
        rows(&mut coming, 3);
        coming.rewind(0);
        assert_eq!(coming.remains(true), []);
    }

    #[test]
    fn fates_are_bounded() {
        let fates = Fates::default();
        (0..2 * MOST as u64 + 1).for_each(|id| fates.remember(id, vec![(0, id)]));
        assert_eq!(fates.of(2 * MOST as u64), Some(vec![(0, 2 * MOST as u64)]));
        assert!(fates.known().len() <= MOST);
    }
}
