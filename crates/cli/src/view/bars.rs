//! Bars on a terminal: one a table while rows are copied, one for all, one line for the stream.

use std::collections::BTreeMap;
use std::time::Duration;

use crossfade_engine::{Event, Progress, TableProgress, TableState};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Painter, following, time_left, words};
use crate::show::number;

/// Tables with a bar of their own, at most: a screen has so many lines.
const SHOWN: usize = 12;

/// Bars on standard error.
pub(super) struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    stream: ProgressBar,
    tables: BTreeMap<String, ProgressBar>,
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("█▉▊▋▌▍▎▏ ")
}

const BAR: &str = "  {prefix:<28!} {bar:24} {percent:>3}%  {msg}";

impl Bars {
    pub(super) fn new() -> Bars {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        let total = all.add(
            ProgressBar::new(0)
                .with_style(style(BAR))
                .with_prefix("all tables"),
        );
        let stream = all.add(ProgressBar::no_length().with_style(style("  {spinner} {msg}")));
        Bars {
            all,
            total,
            stream,
            tables: BTreeMap::new(),
        }
    }

    fn table(&mut self, table: &TableProgress, followed: bool) {
        let active = matches!(table.state, TableState::Copying | TableState::BuildingKey);
        if !active || followed {
            if let Some(bar) = self.tables.remove(&table.name) {
                bar.finish_and_clear();
            }
            return;
        }
        if !self.tables.contains_key(&table.name) {
            if self.tables.len() >= SHOWN {
                return;
            }
            let bar = ProgressBar::new(0)
                .with_style(style(BAR))
                .with_prefix(table.name.clone());
            let bar = self.all.insert_before(&self.total, bar);
            self.tables.insert(table.name.clone(), bar);
        }
        if let Some(bar) = self.tables.get(&table.name) {
            let length = estimate(table);
            bar.set_length(length);
            bar.set_position(table.copied_rows.min(length));
            bar.set_message(match table.state {
                TableState::BuildingKey => "building the key".to_owned(),
                _ => format!(
                    "{} of about {} rows",
                    number::count(table.copied_rows),
                    number::count(length)
                ),
            });
        }
    }
}

/// An estimate that was too small grows with what was found.
fn estimate(table: &TableProgress) -> u64 {
    let done = table.chunks_total > 0 && table.chunks_loaded == table.chunks_total;
    if done {
        table.copied_rows
    } else {
        table.estimated_rows.max(table.copied_rows)
    }
}

impl Painter for Bars {
    fn every(&self) -> Duration {
        Duration::from_millis(200)
    }

    fn progress(&mut self, progress: &Progress) {
        for table in &progress.tables {
            self.table(table, progress.followed);
        }
        if progress.followed {
            if !self.total.is_finished() {
                self.total.finish_and_clear();
            }
        } else {
            let length: u64 = progress.tables.iter().map(estimate).sum();
            let left = time_left(length, progress.copied_rows, progress.rows_per_second)
                .map(|s| format!(", {} left", number::seconds(s)))
                .unwrap_or_default();
            self.total.set_length(length);
            self.total.set_position(progress.copied_rows.min(length));
            self.total.set_message(format!(
                "{} rows/s{left}",
                number::rate(progress.rows_per_second)
            ));
        }
        self.stream.set_message(following(progress));
        self.stream.tick();
    }

    fn event(&mut self, event: &Event) {
        // what has just happened stays above the bars
        if self.all.println(words(event)).is_err() {
            tracing::debug!("the terminal is gone");
        }
    }

    fn end(&mut self) {
        for bar in self.tables.values() {
            bar.finish_and_clear();
        }
        self.total.finish_and_clear();
        self.stream.finish_and_clear();
    }
}
