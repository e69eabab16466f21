//! Where the target must stop so that it shows exactly what a source snapshot shows: for comparing whole query
//! results, whose rows cannot be taken out key by key.
//!
//! A snapshot need not be a prefix of the log: the log may hold a commit before another that readers see earlier. Then the two
//! never meet, and another snapshot is opened. Unlike elsewhere, [`Sees`] must be exact both ways here: a store that answers
//! `false` where it is not certain cannot be met.

use crate::visibility::Sees;

/// What to do with the transaction just fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The snapshot sees it and all before it: apply it, then feed the next.
    Continue,
    /// The snapshot does not see it. The target stays before the first of these; feed the next **without applying** it: one that the
    /// snapshot sees may still follow, up to its horizon.
    Hold,
    /// Everything that the snapshot sees was to be applied, and nothing else: the target, stopped before the first transaction that
    /// was not, shows what the snapshot shows.
    StopBefore,
    /// The snapshot sees a transaction after one that it does not see: open another.
    Never,
}

/// Decides for one snapshot, fed with the log's transactions one by one. The transactions that were applied before must
/// all be seen by the snapshot ([`super::accept`]), else the target is beyond it already.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Meet<S, P> {
    snapshot: S,
    /// The source's log end, read after the snapshot opened.
    horizon: P,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum State {
    /// All fed so far is seen.
    Prefix,
    /// One that is not seen was fed.
    Holding,
    Met,
    Never,
}

impl<S, P: Ord> Meet<S, P> {
    /// For a snapshot with its horizon.
    pub fn new(snapshot: S, horizon: P) -> Self {
        Self {
            snapshot,
            horizon,
            state: State::Prefix,
        }
    }

    /// The log's next transaction; `end` is the position after its commit record. Once met, or never, it stays so.
    pub fn feed<T>(&mut self, transaction: &T, end: &P) -> Step
    where
        S: Sees<T>,
    {
        let seen = self.snapshot.sees(transaction);
        self.state = match self.state {
            State::Met | State::Never => self.state,
            // beyond the horizon nothing is seen; if it is, the horizon is not this snapshot's
            _ if *end > self.horizon && !seen => State::Met,
            State::Prefix if *end <= self.horizon && seen => State::Prefix,
            State::Prefix | State::Holding if !seen => State::Holding,
            State::Prefix | State::Holding => State::Never,
        };
        self.step()
    }

    /// The log was read up to `position`, and everything before was fed: a quiet log ends the waiting too.
    pub fn read_to(&mut self, position: &P) -> Step {
        if matches!(self.state, State::Prefix | State::Holding) && *position >= self.horizon {
            self.state = State::Met;
        }
        self.step()
    }

    fn step(&self) -> Step {
        match self.state {
            State::Prefix => Step::Continue,
            State::Holding => Step::Hold,
            State::Met => Step::StopBefore,
            State::Never => Step::Never,
        }
    }
}

/// Where a snapshot meets a log that is known whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Whole {
    /// Before the transaction of this index: all before it are seen, none from it on.
    At(usize),
    /// Nowhere.
    Never,
}

/// Decides for a log that is known whole: at least up to the snapshot's horizon, in its order.
pub fn whole<'a, S, T>(snapshot: &S, log: impl IntoIterator<Item = &'a T>) -> Whole
where
    S: Sees<T>,
    T: 'a,
{
    let mut seen = log
        .into_iter()
        .map(|transaction| snapshot.sees(transaction));
    let mut at = 0;
    for one in seen.by_ref() {
        if !one {
            break;
        }
        at += 1;
    }
    if seen.any(|later| later) {
        Whole::Never
    } else {
        Whole::At(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A snapshot sees the transactions in its set (bits).
    #[derive(Debug, Clone, Copy)]
    struct Snap(u32);

    impl Sees<u8> for Snap {
        fn sees(&self, transaction: &u8) -> bool {
            self.0 & (1 << transaction) != 0
        }
    }

    #[test]
    fn a_snapshot_meets_the_log_where_it_sees_a_prefix() {
        let mut prefix = Meet::new(Snap(0b0011), 30_u64);
        assert_eq!(prefix.feed(&0_u8, &10), Step::Continue);
        assert_eq!(prefix.feed(&1, &20), Step::Continue);
        assert_eq!(prefix.read_to(&29), Step::Continue);
        let mut quiet = prefix.clone();
        assert_eq!(quiet.read_to(&30), Step::StopBefore);
        assert_eq!(quiet.feed(&1, &31), Step::StopBefore, "it stays so");
        let mut held = prefix.clone();
        assert_eq!(held.feed(&2, &30), Step::Hold, "another may be seen");
        assert_eq!(held.read_to(&30), Step::StopBefore);
        assert_eq!(prefix.feed(&2, &31), Step::StopBefore, "none is beyond");
        let mut never = Meet::new(Snap(0b0101), 30_u64);
        assert_eq!(never.feed(&0_u8, &10), Step::Continue);
        assert_eq!(never.feed(&1, &20), Step::Hold);
        assert_eq!(never.feed(&2, &30), Step::Never);
        assert_eq!(never.read_to(&30), Step::Never);
        assert_eq!(never.feed(&3, &40), Step::Never);
        let mut wrong = Meet::new(Snap(0b1), 5_u64);
        assert_eq!(wrong.feed(&0_u8, &10), Step::Never, "not its horizon");
    }

    #[test]
    fn the_steps_agree_with_the_whole_log() {
        for mask in 0..16 {
            let snapshot = Snap(mask);
            let log: [u8; 4] = [2, 0, 3, 1];
            // the horizon is at or beyond the last that is seen
            let last = log.iter().rposition(|id| snapshot.sees(id));
            for horizon in last.map_or(0, |last| last + 1)..=4 {
                let mut meet = Meet::new(snapshot, horizon);
                let steps: Vec<Step> = log
                    .iter()
                    .enumerate()
                    .map(|(place, id)| meet.feed(id, &(place + 1)))
                    .collect();
                let applied = steps
                    .iter()
                    .take_while(|step| **step == Step::Continue)
                    .count();
                let expected = match whole(&snapshot, &log) {
                    Whole::At(at) => (at, Step::StopBefore),
                    Whole::Never => (applied, Step::Never),
                };
                assert_eq!((applied, meet.read_to(&4)), expected, "{mask:b} {horizon}");
            }
        }
    }
}
