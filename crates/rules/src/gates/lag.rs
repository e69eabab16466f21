//! The lag over a sustained window.

use std::collections::VecDeque;

use super::LagEvidence;

/// Samples that are kept at most. More frequent ones are taken together, by the greatest.
const MOST: usize = 1024;

/// The lag of the last while: samples with the times that they are given, no clock. Memory is bounded whatever is added.
///
/// A window is *covered* once samples have come without a gap for its whole length: a gap (longer than a quarter of it) or a time
/// that goes backwards begins anew, since nobody knows what the lag was meanwhile.
#[derive(Debug, Clone)]
pub struct LagWindow {
    length_ms: u64,
    /// Since when samples have come without a gap.
    since_ms: u64,
    samples: VecDeque<Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at_ms: u64,
    lag_ms: u64,
}

impl LagWindow {
    /// A window of this length in milliseconds; of at least one.
    #[must_use]
    pub fn new(length_ms: u64) -> LagWindow {
        LagWindow {
            length_ms: length_ms.max(1),
            since_ms: 0,
            samples: VecDeque::new(),
        }
    }

    /// Adds what the lag was found to be at a time, both in milliseconds. The time's beginning does not matter.
    pub fn add(&mut self, at_ms: u64, lag_ms: u64) {
        match self.samples.back().copied() {
            Some(last) if self.follows(last, at_ms) => {}
            _ => {
                self.samples.clear();
                self.since_ms = at_ms;
            }
        }
        // no more than MOST steps of this length lie in a window
        let step = self.length_ms / MOST as u64 + 1;
        let second_last = self
            .samples
            .len()
            .checked_sub(2)
            .map(|i| self.samples[i].at_ms);
        match (self.samples.back_mut(), second_last) {
            (Some(last), Some(before)) if at_ms - before < step => {
                last.at_ms = at_ms;
                last.lag_ms = last.lag_ms.max(lag_ms);
            }
            _ => self.samples.push_back(Sample { at_ms, lag_ms }),
        }
        let oldest = at_ms.saturating_sub(self.length_ms);
        while self.samples.front().is_some_and(|s| s.at_ms < oldest) {
            self.samples.pop_front();
        }
    }

    /// What the window says at a time. A time before the last sample, or long after it, says nothing.
    #[must_use]
    pub fn evidence(&self, now_ms: u64) -> LagEvidence {
        let Some(last) = self.samples.back() else {
            return LagEvidence::default();
        };
        if !self.follows(*last, now_ms) {
            return LagEvidence::default();
        }
        let oldest = now_ms.saturating_sub(self.length_ms);
        let mut lags: Vec<u64> = self
            .samples
            .iter()
            .filter(|s| s.at_ms >= oldest)
            .map(|s| s.lag_ms)
            .collect();
        lags.sort_unstable();
        LagEvidence {
            p99_ms: percentile_99(&lags),
            covered_ms: now_ms.saturating_sub(self.since_ms).min(self.length_ms),
            samples: lags.len() as u64,
        }
    }

    /// The time comes after this sample, and without a gap.
    fn follows(&self, last: Sample, at_ms: u64) -> bool {
        at_ms
            .checked_sub(last.at_ms)
            .is_some_and(|gap| gap <= (self.length_ms / 4).max(1))
    }
}

/// The nearest rank: the least value that 99 of 100 do not exceed.
fn percentile_99(sorted: &[u64]) -> Option<u64> {
    let rank = (sorted.len() * 99).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}
