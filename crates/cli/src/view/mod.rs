//! Shows a run while it works: bars on a terminal, lines on a pipe, JSON lines for programs.
//!
//! The run's tasks only hand over what is to be shown; a thread of its own prints, so that a reader who does not read
//! never holds the run up.

mod bars;
mod lines;

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossfade_engine::{Event, Observer, Progress};

use crate::show::{Output, line, made, number, strangers};

/// Events that wait to be shown, at most; more are dropped.
const WAITING: usize = 256;
/// How often the view looks for a new snapshot.
const TICK: Duration = Duration::from_millis(200);

/// Takes what a run shows of itself.
pub struct Feed {
    latest: Arc<Mutex<Option<Progress>>>,
    events: SyncSender<Event>,
}

impl Observer for Feed {
    fn progress(&self, progress: &Progress) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress.clone());
    }

    fn event(&self, event: &Event) {
        // a full channel means that nobody reads: the run goes on
        let _ = self.events.try_send(event.clone());
    }
}

/// The last snapshot that a run has shown.
#[derive(Clone)]
pub struct Latest(Arc<Mutex<Option<Progress>>>);

impl Latest {
    /// The snapshot.
    pub fn get(&self) -> Option<Progress> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The thread that prints. Ends once every feed is gone.
pub struct View {
    thread: Option<JoinHandle<()>>,
}

impl View {
    /// Starts to show.
    pub fn start(output: &Output) -> (Arc<Feed>, Latest, View) {
        let (events, received) = sync_channel(WAITING);
        let latest = Arc::new(Mutex::new(None));
        let feed = Arc::new(Feed {
            latest: latest.clone(),
            events,
        });
        let painter: Box<dyn Painter + Send> = if output.json {
            Box::new(Json)
        } else if output.is_watched() {
            Box::new(bars::Bars::new())
        } else {
            Box::new(lines::Lines)
        };
        let shared = latest.clone();
        let thread = std::thread::Builder::new()
            .name("view".to_owned())
            .spawn(move || show(&shared, &received, painter))
            .inspect_err(|error| tracing::warn!(%error, "progress cannot be shown"))
            .ok();
        (feed, Latest(latest), View { thread })
    }

    /// Waits until everything was shown. The feed must be gone.
    pub fn end(self) {
        if let Some(thread) = self.thread
            && thread.join().is_err()
        {
            tracing::warn!("the view ended early");
        }
    }
}

/// One way of showing a run.
trait Painter {
    /// How far apart snapshots are shown.
    fn every(&self) -> Duration;
    fn progress(&mut self, progress: &Progress);
    fn event(&mut self, event: &Event);
    fn end(&mut self) {}
}

fn show(
    latest: &Mutex<Option<Progress>>,
    events: &Receiver<Event>,
    mut painter: Box<dyn Painter + Send>,
) {
    let mut shown: Option<(Instant, i64)> = None;
    loop {
        let received = events.recv_timeout(TICK);
        let progress = latest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(progress) = progress {
            let due = shown
                .is_none_or(|(at, stamp)| stamp != progress.at && at.elapsed() >= painter.every());
            if due {
                painter.progress(&progress);
                shown = Some((Instant::now(), progress.at));
            }
        }
        match received {
            Ok(event) => painter.event(&event),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    painter.end();
}

/// A line of JSON for each snapshot and event.
struct Json;

impl Painter for Json {
    fn every(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn progress(&mut self, progress: &Progress) {
        line(&serde_json::json!({ "progress": progress }));
    }

    fn event(&mut self, event: &Event) {
        line(&serde_json::json!({ "event": event }));
    }
}

/// An event in words.
fn words(event: &Event) -> String {
    match event {
        Event::Started { epoch, resumed } => {
            let how = if *resumed {
                "goes on from what is durable"
            } else {
                "begins"
            };
            format!("run {epoch} {how}")
        }
        Event::CaptureCreated { made, position } if made.is_empty() => {
            format!("capture starts at {position}, in the source's own log")
        }
        Event::CaptureCreated { made, position } => {
            format!(
                "capture starts at {position}; made on the source: {}",
                made::texts(made).join(", ")
            )
        }
        Event::Succeeded { identity, position } => format!(
            "another server has taken the source's place ({identity}): it has all that was applied; its log goes on at {position}"
        ),
        Event::TablesCreated { tables } => {
            format!(
                "{} on the target",
                number::of(*tables as u64, "table is", "tables are")
            )
        }
        Event::TableCopied { table, rows } => {
            format!("{table}: all {} copied", number::of(*rows, "row", "rows"))
        }
        Event::Followed { position, seconds } => format!(
            "followed at {position} after {}: the target is the source as of the checkpoint from now on",
            number::seconds(*seconds)
        ),
        Event::Verified { summary } => {
            let verdict = if summary.equal { "equal" } else { "NOT EQUAL" };
            format!(
                "{verdict} at {}: {} rows compared in {}",
                summary.position,
                number::count(summary.rows),
                number::seconds(summary.seconds)
            )
        }
        Event::Paused => "paused; `crossfade resume` goes on".to_owned(),
        Event::Resumed => "resumed".to_owned(),
        Event::Retrying {
            error,
            after_seconds,
            attempt,
        } => format!(
            "try {attempt} failed: {error}; next in {}",
            number::seconds(*after_seconds)
        ),
        Event::Stranger { write } => format!("stranger: {}", strangers::line(write)),
        Event::Alarm {
            condition,
            what,
            rollback,
        } => {
            let then = if *rollback {
                "; authority goes back to the source, if that loses nothing"
            } else {
                ""
            };
            format!("ALARM ({condition}): {what}{then}")
        }
        Event::Warning { what } => format!("warning: {what}"),
        Event::Stopped { why } => format!("stopped: {why}"),
    }
}

/// What is being followed, in one line.
fn following(progress: &Progress) -> String {
    let refused = match progress.parked {
        0 => String::new(),
        rows => format!("; {} in quarantine", number::of(rows, "row", "rows")),
    };
    format!(
        "{}: {} changes/s, {} applied; lag {}{refused}",
        progress.activity,
        number::rate(progress.changes_per_second),
        number::count(progress.applied_changes),
        number::lag(&progress.lag)
    )
}

/// Seconds that the copy will still take at the present rate; `None` where nothing can be said.
fn time_left(estimated: u64, copied: u64, per_second: f64) -> Option<f64> {
    (per_second > 0.0 && estimated > copied).then(|| (estimated - copied) as f64 / per_second)
}
