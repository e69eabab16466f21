//! Whether another attempt follows one that has failed. Pure: it is told what time it is.
//!
//! Only durable work is progress. A store that cannot be reached is waited for as long as the options allow; an attempt that came
//! to work and moved nothing before it failed is repeated a few times, however long each of them took.

use std::time::Duration;

use crossfade_model::Position;

/// Attempts in a row that worked and moved nothing.
const MOST_FRUITLESS: u32 = 5;

/// How far the work was when an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reached {
    /// The durable checkpoint.
    pub checkpoint: Position,
    /// Chunks, and parts of chunks, in the target.
    pub loaded: u64,
}

/// What was tried since the last progress.
#[derive(Debug)]
pub(crate) struct Retries {
    patience: Duration,
    best: Option<Reached>,
    /// When the first attempt since then failed.
    failing_since: Option<Duration>,
    /// When the first attempt failed since a store could not be reached.
    away_since: Option<Duration>,
    fruitless: u32,
    tries: u32,
}

impl Retries {
    pub fn new(patience: Duration) -> Retries {
        Retries {
            patience,
            best: None,
            failing_since: None,
            away_since: None,
            fruitless: 0,
            tries: 0,
        }
    }

    /// Attempts without progress that failed.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// An attempt has ended only so that the next one begins from what it made durable.
    pub fn begun_again(&mut self) {
        self.tries = self.tries.max(1);
    }

    /// An attempt has failed at `now`, having `reached` so far; `None` where it did not come to work. Gives the pause before the
    /// next one; `None`: no other.
    pub fn failed(&mut self, now: Duration, reached: Option<Reached>) -> Option<Duration> {
        if let Some(reached) = reached {
            self.away_since = None;
            if self.is_progress(&reached) {
                self.fruitless = 0;
                self.tries = 0;
                self.failing_since = None;
            } else {
                self.fruitless += 1;
            }
        }
        self.tries += 1;
        let since = *self.failing_since.get_or_insert(now);
        let spent = match reached {
            None => now.saturating_sub(*self.away_since.get_or_insert(now)) > self.patience,
            Some(_) => {
                self.fruitless >= MOST_FRUITLESS && now.saturating_sub(since) > self.patience
            }
        };
        (!spent).then(|| Duration::from_millis(100 << self.tries.min(6)))
    }

    fn is_progress(&mut self, reached: &Reached) -> bool {
        let Some(best) = &mut self.best else {
            self.best = Some(*reached);
            return true;
        };
        let moved = reached.checkpoint > best.checkpoint || reached.loaded > best.loaded;
        best.checkpoint = best.checkpoint.max(reached.checkpoint);
        best.loaded = best.loaded.max(reached.loaded);
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(checkpoint: u64, loaded: u64) -> Option<Reached> {
        Some(Reached {
            checkpoint: Position(checkpoint),
            loaded,
        })
    }

    /// How many attempts there are at most, each `lasting` so long and reaching what `reach` says.
    fn attempts(lasting: Duration, reach: impl Fn(u64) -> Option<Reached>) -> Option<u64> {
        let mut retries = Retries::new(60 * SECOND);
        let mut now = Duration::ZERO;
        for attempt in 1..10_000 {
            now += lasting;
            now += match retries.failed(now, reach(attempt)) {
                Some(pause) => pause,
                None => return Some(attempt),
            };
        }
        None
    }

    #[test]
    fn attempts_that_move_nothing_end_however_long_each_lasts() {
        for seconds in [0, 1, 31, 600, 100_000] {
            let most = attempts(SECOND * seconds, |_| at(7, 3));
            assert!(
                most.is_some_and(|n| (5..40).contains(&n)),
                "{seconds}: {most:?}"
            );
        }
        assert_eq!(attempts(31 * SECOND, |_| at(7, 3)), Some(6));
    }

    #[test]
    fn what_goes_back_and_forth_is_no_progress() {
        assert!(attempts(SECOND * 90, |n| at(7, n % 2)).is_some());
    }

    #[test]
    fn a_checkpoint_or_a_chunk_that_moves_is_progress() {
        assert_eq!(attempts(SECOND, |n| at(n, 0)), None);
        assert_eq!(attempts(SECOND * 90, |n| at(7, n)), None);
    }

    #[test]
    fn a_store_that_is_away_is_waited_for_as_long_as_allowed() {
        let most = attempts(Duration::ZERO, |_| None);
        assert!(most.is_some_and(|n| (10..30).contains(&n)), "{most:?}");
        // after hours of work nothing of the patience is used up
        let mut retries = Retries::new(60 * SECOND);
        assert!(retries.failed(SECOND, None).is_some());
        assert!(retries.failed(9_000 * SECOND, at(7, 0)).is_some());
        assert!(retries.failed(20_000 * SECOND, at(8, 0)).is_some());
        assert!(retries.failed(20_001 * SECOND, None).is_some());
        assert!(retries.failed(20_060 * SECOND, None).is_some());
        assert!(retries.failed(20_062 * SECOND, None).is_none());
    }

    #[test]
    fn pauses_grow_and_are_short_again_after_progress() {
        let mut retries = Retries::new(60 * SECOND);
        let pause =
            |retries: &mut Retries, reached| retries.failed(SECOND, reached).map(|d| d.as_millis());
        assert_eq!(pause(&mut retries, None), Some(200));
        assert_eq!(pause(&mut retries, None), Some(400));
        assert_eq!(pause(&mut retries, at(1, 0)), Some(200));
        assert_eq!(pause(&mut retries, at(1, 0)), Some(400));
        assert_eq!(retries.tries(), 2);
    }
}
