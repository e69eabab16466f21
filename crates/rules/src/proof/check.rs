//! Touched keys, read by themselves on both sides.

use std::collections::BTreeSet;

use super::{Book, RangeId, Status};

/// A reading of touched keys by themselves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[must_use]
pub struct Check<K> {
    number: u64,
    keys: Vec<(RangeId, K)>,
}

impl<K> Check<K> {
    /// The keys to read, range by range, ascending.
    #[must_use]
    pub fn keys(&self) -> &[(RangeId, K)] {
        &self.keys
    }
}

/// What the reading of one key found. Both sides were read; what the stream said of the key has no part in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Both sides show the same row, or both show none.
    Equal,
    /// They do not.
    Differs,
}

/// What became of a check.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Checked<K> {
    /// Keys that are proven now.
    pub proven: usize,
    /// Keys that differ: their ranges do now.
    pub differ: Vec<(RangeId, K)>,
    /// Keys of which nothing was learnt, because they changed meanwhile. They are still touched.
    pub undecided: usize,
}

impl<K: Ord + Clone, P: Ord + Clone> Book<K, P> {
    /// A reading of all touched keys begins, before its source snapshot opens. One at a time: of an older one nothing is taken.
    pub fn begin_touched(&mut self) -> Check<K> {
        self.checks += 1;
        for range in &mut self.ranges {
            range.checking.clone_from(&range.touched);
        }
        let keys = self.touched().map(|(range, key)| (range, key.clone()));
        Check {
            number: self.checks,
            keys: keys.collect(),
        }
    }

    /// The reading is over: source snapshot and target at `at` were compared, by the same rules as for a range. A key
    /// that is equal is proven unless it was touched since the reading began. One that differs makes its range
    /// differ, and voids a reading of it, unless it was touched. Where a range was proven stays as it was: the older position.
    #[must_use]
    pub fn finish_touched(
        &mut self,
        check: Check<K>,
        at: P,
        found: impl IntoIterator<Item = ((RangeId, K), Verdict)>,
    ) -> Checked<K> {
        let valid = check.number == self.checks;
        let mut checked = Checked {
            proven: 0,
            differ: Vec::new(),
            undecided: 0,
        };
        for ((id, key), verdict) in found {
            let decided = self.change(id, |range| {
                if !valid || !range.checking.contains(&key) {
                    return false;
                }
                if verdict == Verdict::Equal {
                    range.touched.remove(&key);
                } else {
                    range.status = Status::Differs { at: at.clone() };
                    // it may have read the key before it differed
                    range.reading = None;
                }
                true
            });
            match verdict {
                _ if decided != Some(true) => checked.undecided += 1,
                Verdict::Equal => checked.proven += 1,
                Verdict::Differs => checked.differ.push((id, key)),
            }
        }
        if valid {
            self.end_check();
        }
        checked
    }

    /// The reading of touched keys came to nothing.
    pub fn cancel_touched(&mut self, check: Check<K>) {
        if check.number == self.checks {
            self.end_check();
        }
    }

    fn end_check(&mut self) {
        for range in &mut self.ranges {
            range.checking = BTreeSet::new();
        }
    }
}
