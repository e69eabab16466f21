//! What the probe query's answers say over their window.

use std::collections::VecDeque;
use std::time::Duration;

use crossfade_plan::Probe;

/// Answers of the last while, with the times at which they came; no clock.
#[derive(Debug)]
pub(super) struct Answers {
    length: Duration,
    begun: Option<Duration>,
    /// Milliseconds; `None` is an error.
    answers: VecDeque<(Duration, Option<u64>)>,
}

impl Answers {
    /// Over a window of this probe's length.
    pub fn new(probe: &Probe) -> Answers {
        Answers {
            length: Duration::from_secs(u64::from(probe.window_seconds)),
            begun: None,
            answers: VecDeque::new(),
        }
    }

    /// An answer that came, in milliseconds, or an error.
    pub fn add(&mut self, at: Duration, answer: Option<u64>) {
        self.begun.get_or_insert(at);
        self.answers.push_back((at, answer));
        let oldest = at.saturating_sub(self.length);
        while self.answers.front().is_some_and(|(at, _)| *at < oldest) {
            self.answers.pop_front();
        }
    }

    /// Which limit is exceeded, in words. Nothing is said before the window was watched for its whole length.
    pub fn exceeded(&self, now: Duration, probe: &Probe) -> Option<String> {
        if now < self.begun? + self.length || self.answers.is_empty() {
            return None;
        }
        let all = self.answers.len();
        let mut taken: Vec<u64> = self.answers.iter().filter_map(|(_, ms)| *ms).collect();
        let errors = all - taken.len();
        let over = |percent: u32| errors as u64 * 100 > u64::from(percent) * all as u64;
        if let Some(percent) = probe.error_percent.filter(|percent| over(*percent)) {
            return Some(format!(
                "{errors} of {all} answers of the probe query were errors (limit {percent} %)"
            ));
        }
        taken.sort_unstable();
        // the nearest rank: the least value that 99 of 100 do not exceed
        let rank = (taken.len() * 99).div_ceil(100).checked_sub(1)?;
        let (limit, p99) = (probe.latency_milliseconds?, *taken.get(rank)?);
        (p99 > u64::from(limit)).then(|| {
            format!("the probe query took {p99} ms at the 99th percentile (limit {limit} ms)")
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crossfade_plan::Listed;

    fn probe() -> Probe {
        Probe {
            query: Listed {
                text: "SELECT 1".to_owned(),
                line: 1,
            },
            every_seconds: 1,
            window_seconds: 10,
            error_percent: Some(10),
            latency_milliseconds: Some(100),
        }
    }

    fn after(answers: impl IntoIterator<Item = Option<u64>>) -> Option<String> {
        let (probe, mut all) = (probe(), Answers::new(&probe()));
        let mut now = Duration::ZERO;
        for answer in answers {
            all.add(now, answer);
            now += Duration::from_secs(1);
        }
        all.exceeded(now, &probe)
    }

    #[test]
    fn nothing_is_said_before_the_window_is_full() {
        assert_eq!(after([None; 5]), None);
        assert!(after([None; 11]).unwrap().contains("errors"));
    }

    #[test]
    fn only_the_windows_answers_count() {
        let good_since = [None; 30].into_iter().chain([Some(5); 11]);
        assert_eq!(after(good_since), None);
        let one_in_ten = (0..40).map(|i| (i % 10 != 0).then_some(5));
        assert!(after(one_in_ten).is_none_or(|why| why.contains("2 of 11")));
        assert!(after([Some(101); 20]).unwrap().contains("101 ms"));
        assert_eq!(after([Some(100); 20]), None);
    }
}
