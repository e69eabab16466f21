//! A comparison that is not felt: one side after the other, a small share of the time, and less as soon as the source
//! answers later than it did before.
//!
//! What the application feels is not known here. What is: how long the source takes for a query that does nothing, on a
//! connection that is open. It waits for the same processors.

use std::sync::Arc;
use std::time::Duration;

use crossfade_store::Source;
use crossfade_store::pace::Pace;
use tokio::task::JoinSet;

use crate::error::EngineError;

/// Thousandths of the time with which a reading begins.
const FIRST: u32 = 30;
/// At most, however fast the source answers.
const MOST: u32 = 150;
/// At least, however late it does.
const LEAST: u32 = 10;
/// What is added after a window without a second late answer.
const MORE: u32 = 10;
/// Between two questions.
const EVERY: Duration = Duration::from_millis(50);
/// Answers that are looked at together.
const WINDOW: usize = 40;
/// Of these so many may be late. What happens to one in twenty is the 95th percentile itself: half of that leaves it alone.
const MOST_LATE: usize = 1;
/// Answers before the reading, and between them.
const BEFORE: usize = 30;
const BEFORE_EVERY: Duration = Duration::from_millis(10);
/// A delay that is no sign of anything.
const NOISE: Duration = Duration::from_micros(300);

/// Sets the pace as long as it lives.
pub(super) struct Watched {
    pub pace: Pace,
    _watch: JoinSet<()>,
}

impl Watched {
    /// Finds out how fast the source answers now, before anything is read, and watches it from now on.
    pub async fn begin(source: &Arc<dyn Source>) -> Result<Watched, EngineError> {
        let pace = Pace::new(FIRST);
        let mut watch = JoinSet::new();
        let mut before = Vec::with_capacity(BEFORE);
        for _ in 0..BEFORE {
            before.extend(source.round_trip().await?);
            tokio::time::sleep(BEFORE_EVERY).await;
        }
        before.sort_unstable();
        // a file answers in this process: nothing is known of what others feel, and the share stays as it is
        if let (Some(usual), Some(slow)) = (
            before.get(before.len() / 2),
            before.get(before.len().saturating_sub(2)),
        ) {
            let (source, pace) = (Arc::clone(source), pace.clone());
            // on a machine that is busy by itself many answers are late whether or not anything is read
            let late = (*usual * 2 + NOISE).max(*slow * 13 / 10);
            watch.spawn(async move { run(source.as_ref(), &pace, late).await });
        }
        Ok(Watched {
            pace,
            _watch: watch,
        })
    }
}

async fn run(source: &dyn Source, pace: &Pace, late: Duration) {
    let mut window = Window::default();
    loop {
        tokio::time::sleep(EVERY).await;
        // one that is not answered is late; that the source is gone the reading finds out for itself
        let answered = source.round_trip().await;
        let is_late = !matches!(answered, Ok(Some(took)) if took <= late);
        pace.set(window.take(is_late, pace.get()));
    }
}

/// The last answers since the share was set.
#[derive(Debug, Default)]
struct Window {
    answers: usize,
    late: usize,
}

impl Window {
    /// The share after one more answer.
    fn take(&mut self, late: bool, share: u32) -> u32 {
        self.answers += 1;
        self.late += usize::from(late);
        if self.late > MOST_LATE {
            *self = Window::default();
            return (share / 2).max(LEAST);
        }
        if self.answers < WINDOW {
            return share;
        }
        *self = Window::default();
        (share + MORE).min(MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_answers_halve_the_share_at_once_and_seconds_without_raise_it_slowly() {
        let mut window = Window::default();
        let mut share = FIRST;
        for _ in 0..WINDOW - 1 {
            share = window.take(false, share);
        }
        assert_eq!(share, FIRST);
        share = window.take(false, share);
        assert_eq!(share, FIRST + MORE);
        // one is by chance
        share = window.take(true, share);
        assert_eq!(share, FIRST + MORE);
        share = window.take(true, share);
        assert_eq!(share, (FIRST + MORE) / 2);
        for _ in 0..100 {
            share = window.take(true, share);
        }
        assert_eq!(share, LEAST);
        for _ in 0..100 * WINDOW {
            share = window.take(false, share);
        }
        assert_eq!(share, MOST);
    }
}
