//! The book of one table: what is proven of each range, and which keys are not.

use std::collections::{BTreeSet, VecDeque};

/// A range of rows that is compared as a whole (a bucket of keys, a range of keys): its number, below the book's count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RangeId(pub u32);

impl RangeId {
    /// As an index, for the caller's own per-range data.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What is known of a range.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Status<P> {
    /// Nothing: it has to be read whole.
    Unproven,
    /// It was equal at this position, but for its touched keys, which are not proven.
    Proven {
        /// The target's position at which it was read.
        at: P,
    },
    /// It differed at this position. Only a whole reading that finds it equal ends this.
    Differs {
        /// The target's position at which it was read.
        at: P,
    },
}

/// What a comparison of a range found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The sums without T are equal, and every key of T is as expected.
    Equal,
    /// They are not.
    Differs,
}

/// What became of a comparison's outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Finished {
    /// It is in the book.
    Taken,
    /// More keys were touched meanwhile than are kept, the range was truncated, one of its keys was found to differ, the
    /// book was reset, or the range was begun again: the outcome, whatever it is, says nothing.
    Void,
}

/// The right to finish one reading of one range.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[must_use]
pub struct Ticket {
    range: RangeId,
    number: u64,
}

impl Ticket {
    /// The range that is read.
    #[must_use]
    pub fn range(&self) -> RangeId {
        self.range
    }
}

/// Counts for people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Ranges of which nothing is known.
    pub unproven: usize,
    /// Ranges proven but for their touched keys.
    pub proven: usize,
    /// Ranges that differed.
    pub differs: usize,
    /// Touched keys of all of them.
    pub touched: usize,
}

/// A reading that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Reading<K> {
    number: u64,
    touched: BTreeSet<K>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Range<K, P> {
    pub(super) status: Status<P>,
    /// Keys changed since the range was last read, stream-proven or repaired. Nothing is kept of an unproven range.
    pub(super) touched: BTreeSet<K>,
    /// The touched keys that are being read by themselves and that nobody touched since.
    pub(super) checking: BTreeSet<K>,
    pub(super) reading: Option<Reading<K>>,
    begun: u64,
}

/// What is proven of one table. `K`: key; `P`: position.
///
/// Memory: three sets of at most `bound` keys for each range, and of all ranges together about `total` keys, since a few ranges
/// take most of the changes: the last one of a table that grows, those of hot rows. A book lives as long as its process: tickets of another
/// book mean nothing here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Book<K, P> {
    bound: usize,
    total: usize,
    /// Keys that are kept, of all ranges and their readings.
    kept: usize,
    pub(super) ranges: Vec<Range<K, P>>,
    /// All ranges, the one whose reading began longest ago first.
    turns: VecDeque<RangeId>,
    /// The next reading goes to whose turn it is, not to what is urgent.
    by_turn: bool,
    pub(super) checks: u64,
}

impl<K: Ord + Clone, P: Ord + Clone> Book<K, P> {
    /// A book of `count` ranges, all unproven, that keeps up to `bound` touched keys of each.
    #[must_use]
    pub fn new(count: u32, bound: usize) -> Self {
        let range = || Range {
            status: Status::Unproven,
            touched: BTreeSet::new(),
            checking: BTreeSet::new(),
            reading: None,
            begun: 0,
        };
        Self {
            bound,
            total: usize::MAX,
            kept: 0,
            ranges: (0..count).map(|_| range()).collect(),
            turns: (0..count).map(RangeId).collect(),
            by_turn: false,
            checks: 0,
        }
    }

    /// Keeps up to `total` touched keys of all ranges together, too.
    #[must_use]
    pub fn with_total(mut self, total: usize) -> Self {
        self.total = total;
        self
    }

    /// All ranges.
    pub fn ranges(&self) -> impl Iterator<Item = RangeId> + use<K, P> {
        // as many as `new` was given
        (0..u32::try_from(self.ranges.len()).unwrap_or(u32::MAX)).map(RangeId)
    }

    /// What is known of a range; of one that is not in the book nothing is.
    pub fn status(&self, range: RangeId) -> Status<P> {
        let known = self.ranges.get(range.index());
        known.map_or(Status::Unproven, |range| range.status.clone())
    }

    /// A change to `key` was applied. Idempotent. Over a bound the range becomes unproven (one that differs still does), and a
    /// reading of it that has met as many itself is void. A range that is not in the book means that the caller
    /// cuts the table otherwise: the book is [`reset`](Self::reset).
    pub fn touch(&mut self, range: RangeId, key: &K) {
        let bound = if self.kept < self.total {
            self.bound
        } else {
            0
        };
        let there = self.change(range, |at| at.touch(key, bound));
        if there.is_none() {
            self.reset();
        }
    }

    /// Every change of a range's keys goes through here, so that their number is known. `None`: there is no such range.
    pub(super) fn change<T>(
        &mut self,
        range: RangeId,
        change: impl FnOnce(&mut Range<K, P>) -> T,
    ) -> Option<T> {
        let at = self.ranges.get_mut(range.index())?;
        let before = at.kept();
        let changed = change(at);
        // `kept` counts this range's keys too
        self.kept = self.kept - before + at.kept();
        Some(changed)
    }

    /// A row was repaired: what it holds now is not verified before it is read again. A range that differs still does
    /// until it is read whole and found equal.
    pub fn repaired(&mut self, range: RangeId, key: &K) {
        self.touch(range, key);
    }

    /// Every key of the range may have changed: a truncate. It is unproven, a reading of it is void.
    pub fn touch_all(&mut self, range: RangeId) {
        if self.change(range, Range::forget).is_none() {
            self.reset();
        }
    }

    /// Touches may have been missed: every range is unproven and every reading void.
    pub fn reset(&mut self) {
        self.ranges.iter_mut().for_each(Range::forget);
        self.kept = 0;
    }

    /// A reading of the range begins, **before** its source snapshot opens: from now on touches are collected for the ticket
    /// too. One ticket a range: an older one is void. `None`: there is no such range.
    pub fn begin(&mut self, range: RangeId) -> Option<Ticket> {
        let number = self.change(range, |at| {
            at.begun += 1;
            at.reading = Some(Reading {
                number: at.begun,
                touched: BTreeSet::new(),
            });
            at.begun
        })?;
        self.turns.retain(|other| *other != range);
        self.turns.push_back(range);
        self.by_turn = !self.by_turn;
        Some(Ticket { range, number })
    }

    /// The reading is over: source snapshot and target at `at` were compared. If equal, the range is proven at `at`, but for every
    /// key touched since [`begin`](Self::begin), before or after `at`, whatever the source's snapshot saw of it.
    #[must_use]
    pub fn finish(&mut self, ticket: Ticket, at: P, outcome: Outcome) -> Finished {
        let taken = self.change(ticket.range, |range| {
            let reading = range.close(&ticket)?;
            range.touched = reading.touched;
            range.status = match outcome {
                Outcome::Equal => Status::Proven { at },
                Outcome::Differs => Status::Differs { at },
            };
            Some(())
        });
        match taken.flatten() {
            Some(()) => Finished::Taken,
            None => Finished::Void,
        }
    }

    /// The reading came to nothing: what was known of the range before still is.
    pub fn cancel(&mut self, ticket: Ticket) {
        self.change(ticket.range, |range| range.close(&ticket));
    }

    /// The keys that are not proven in ranges that are otherwise, and in ranges that differ. To be read on both sides.
    pub fn touched(&self) -> impl Iterator<Item = (RangeId, &K)> {
        self.ranges()
            .zip(&self.ranges)
            .flat_map(|(id, range)| range.touched.iter().map(move |key| (id, key)))
    }

    /// Whether every range is proven and no key is touched: at a fence, with everything applied, the table is
    /// equal. Nothing read here is older than [`oldest`](Self::oldest).
    pub fn everything_proven(&self) -> bool {
        self.ranges.iter().all(Range::is_proven_whole)
    }

    /// The proven range that was read longest ago, and where.
    pub fn oldest(&self) -> Option<(RangeId, &P)> {
        let proven = self.ranges().zip(&self.ranges);
        proven
            .filter_map(|(id, range)| match &range.status {
                Status::Proven { at } => Some((id, at)),
                Status::Unproven | Status::Differs { .. } => None,
            })
            .min_by_key(|(id, at)| (*at, *id))
    }

    /// The range that is most worth reading now: an unproven one, else one that differs, else the one whose reading began longest
    /// ago. Every other reading goes to the latter whatever is known of it, so that a range that always differs or is
    /// always changing keeps no other from being read. `None`: all are being read.
    pub fn next(&self) -> Option<RangeId> {
        let idle = self.turns.iter().filter_map(|id| {
            let range = self.ranges.get(id.index())?;
            let urgency = if self.by_turn { 0 } else { range.urgency() };
            range.reading.is_none().then_some((*id, urgency))
        });
        // the first of equals
        idle.min_by_key(|(_, urgency)| *urgency).map(|(id, _)| id)
    }

    /// Counts for people.
    pub fn progress(&self) -> Progress {
        let mut progress = Progress::default();
        for range in &self.ranges {
            progress.touched += range.touched.len();
            match range.status {
                Status::Unproven => progress.unproven += 1,
                Status::Proven { .. } => progress.proven += 1,
                Status::Differs { .. } => progress.differs += 1,
            }
        }
        progress
    }
}

impl<K: Ord + Clone, P> Range<K, P> {
    fn kept(&self) -> usize {
        let reading = self.reading.as_ref().map_or(0, |r| r.touched.len());
        self.touched.len() + reading
    }

    /// Takes the reading away from the range, if it is the ticket's.
    fn close(&mut self, ticket: &Ticket) -> Option<Reading<K>> {
        self.reading
            .take_if(|reading| reading.number == ticket.number)
    }

    fn touch(&mut self, key: &K, bound: usize) {
        self.checking.remove(key);
        if let Some(reading) = &mut self.reading
            && !keep(&mut reading.touched, key, bound)
        {
            self.reading = None;
        }
        if !matches!(self.status, Status::Unproven) && !keep(&mut self.touched, key, bound) {
            self.overflow();
        }
    }

    fn overflow(&mut self) {
        self.touched.clear();
        self.checking.clear();
        // that a difference was found stays known: the whole range has to be read in any case
        if matches!(self.status, Status::Proven { .. }) {
            self.status = Status::Unproven;
        }
    }

    fn forget(&mut self) {
        self.status = Status::Unproven;
        self.touched.clear();
        self.checking.clear();
        self.reading = None;
    }

    fn is_proven_whole(&self) -> bool {
        matches!(self.status, Status::Proven { .. }) && self.touched.is_empty()
    }

    fn urgency(&self) -> u8 {
        match self.status {
            Status::Unproven => 0,
            Status::Differs { .. } => 1,
            Status::Proven { .. } => 2,
        }
    }
}

/// Whether there is room for the key, which is then in the set.
fn keep<K: Ord + Clone>(set: &mut BTreeSet<K>, key: &K, bound: usize) -> bool {
    if set.contains(key) {
        return true;
    }
    let room = set.len() < bound;
    if room {
        set.insert(key.clone());
    }
    room
}
