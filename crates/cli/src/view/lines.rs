//! Plain lines, for a pipe or a log.

use std::io::Write as _;
use std::time::Duration;

use crossfade_engine::{Event, Progress};

use super::{Painter, following, time_left, words};
use crate::show::number;

/// A line every few seconds, to standard error.
pub(super) struct Lines;

fn put(text: &str) {
    // a closed pipe: nobody reads any more, the run goes on
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

impl Painter for Lines {
    fn every(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn progress(&mut self, progress: &Progress) {
        let estimated: u64 = progress.tables.iter().map(|t| t.estimated_rows).sum();
        let (loaded, chunks) = progress.tables.iter().fold((0, 0), |(l, c), t| {
            (l + t.chunks_loaded, c + t.chunks_total)
        });
        if !progress.followed {
            let left = time_left(estimated, progress.copied_rows, progress.rows_per_second)
                .map(|s| format!(", about {} left", number::seconds(s)))
                .unwrap_or_default();
            put(&format!(
                "copied {} of about {} rows ({loaded} of {chunks} chunks), {} rows/s{left}",
                number::count(progress.copied_rows),
                number::count(estimated.max(progress.copied_rows)),
                number::rate(progress.rows_per_second)
            ));
        }
        put(&following(progress));
    }

    fn event(&mut self, event: &Event) {
        put(&words(event));
    }
}
