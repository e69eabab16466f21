//! The pace of a reading that must not be felt: it rests after every little work, so that its server's processors, disks and
//! caches are mostly the application's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Rests are no shorter: timers know milliseconds.
const LEAST_REST: Duration = Duration::from_millis(4);
/// Rests are no longer, so that a reading that is given up ends soon.
const MOST_REST: Duration = Duration::from_secs(1);
/// All of the time.
const WHOLE: u32 = 1000;

/// The share of the time in which may be read. Shared by whoever reads and whoever watches what the reading does to others.
#[derive(Debug, Clone)]
pub struct Pace(Arc<AtomicU32>);

impl Pace {
    /// So many thousandths of the time, at least one.
    #[must_use]
    pub fn new(thousandths: u32) -> Pace {
        let pace = Pace(Arc::default());
        pace.set(thousandths);
        pace
    }

    /// Sets the share; whoever reads feels it after his next rest.
    pub fn set(&self, thousandths: u32) {
        self.0.store(thousandths.clamp(1, WHOLE), Ordering::Relaxed);
    }

    /// The share, in thousandths.
    #[must_use]
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// The rest that so much work asks for.
    fn rest(&self, worked: Duration) -> Duration {
        let share = self.get();
        worked.saturating_mul(WHOLE - share) / share
    }
}

/// Who rests: it counts the time since its last rest as work, the server's included.
#[derive(Debug)]
pub struct Rests {
    pace: Option<Pace>,
    since: Instant,
}

impl Rests {
    /// None where there is no pace to keep.
    #[must_use]
    pub fn new(pace: Option<&Pace>) -> Rests {
        Rests {
            pace: pace.cloned(),
            since: Instant::now(),
        }
    }

    /// The rest that is due now, where it is long enough to be taken. It must be taken, and [`Rests::rested`] be told.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        let rest = self.pace.as_ref()?.rest(self.since.elapsed());
        (rest >= LEAST_REST).then_some(rest.min(MOST_REST))
    }

    /// The work begins again.
    pub fn rested(&mut self) {
        self.since = Instant::now();
    }

    /// Rests, where a rest is due.
    pub async fn take(&mut self) {
        if let Some(rest) = self.due() {
            tokio::time::sleep(rest).await;
            self.rested();
        }
    }

    /// As [`Rests::take`], in a thread that may wait.
    pub fn take_blocking(&mut self) {
        if let Some(rest) = self.due() {
            std::thread::sleep(rest);
            self.rested();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_keeps_to_the_share() {
        let ms = Duration::from_millis;
        let pace = Pace::new(100);
        assert_eq!(pace.rest(ms(2)), ms(18));
        pace.set(500);
        assert_eq!(pace.rest(ms(2)), ms(2));
        pace.set(5000);
        assert_eq!((pace.get(), pace.rest(ms(2))), (1000, ms(0)));
        pace.set(0);
        assert_eq!((pace.get(), pace.rest(ms(2))), (1, ms(1998)));
    }

    #[test]
    fn without_a_pace_nobody_rests() {
        let mut rests = Rests::new(None);
        rests.since = Instant::now() - Duration::from_secs(9);
        assert_eq!(rests.due(), None);
        rests.pace = Some(Pace::new(1));
        assert_eq!(rests.due(), Some(MOST_REST));
        rests.rested();
        rests.pace = Some(Pace::new(1000));
        assert_eq!(rests.due(), None);
    }
}
