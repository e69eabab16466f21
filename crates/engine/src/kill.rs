//! Named points at which a chaos run ends the process at once, as `kill -9` would.
//!
//! `CROSSFADE_KILL=point:n` ends the process the n-th time that it passes the point; `CROSSFADE_KILL=point:n:stop` stops it there, as
//! SIGSTOP does, until somebody sends SIGCONT. Without the variable a point costs one atomic load.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

struct Armed {
    point: String,
    left: AtomicU64,
    stop: bool,
}

static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

/// Every named point, for the chaos run to choose from.
pub const POINTS: &[&str] = &[
    "capture.created",
    "capture.recorded",
    "tables.created",
    "chunk.snapshot",
    "chunk.rows",
    "chunk.before_commit",
    "chunk.after_commit",
    "part.before_commit",
    "part.after_commit",
    "key.before",
    "key.after",
    "apply.decided",
    "apply.rows",
    "apply.before_commit",
    "apply.after_commit",
    "apply.before_confirm",
    "spill.written",
    "spill.half",
    "reread.read",
    "unique.before",
    "unique.after",
    "foreign_keys.after",
];

/// The points of a switch, for its own chaos run.
pub const SWITCH_POINTS: &[&str] = &[
    "switch.laid",
    "switch.armed",
    "switch.fired",
    "switch.barrier",
    "switch.drained",
    "switch.proved",
    "switch.fenced",
    "switch.sequences",
    "switch.noted",
    "switch.given",
    "switch.opened",
    "switch.routed",
];

/// The points of a row that the target refuses, which only a run that meets one passes.
pub const PARK_POINTS: &[&str] = &["park.entered", "park.durable"];

/// Passes a named point.
pub(crate) fn point(name: &'static str) {
    debug_assert!(
        [POINTS, SWITCH_POINTS, PARK_POINTS]
            .iter()
            .any(|points| points.contains(&name)),
        "unknown kill point {name}"
    );
    let armed = ARMED.get_or_init(|| {
        let value = std::env::var("CROSSFADE_KILL").ok()?;
        let mut words = value.split(':');
        Some(Armed {
            point: words.next().unwrap_or_default().to_owned(),
            left: AtomicU64::new(words.next().and_then(|n| n.parse().ok()).unwrap_or(1)),
            stop: words.next() == Some("stop"),
        })
    });
    if let Some(armed) = armed
        && armed.point == name
        && armed.left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        if armed.stop && stand_still() {
            return;
        }
        // no destructor and no flush runs, like SIGKILL
        std::process::abort();
    }
}

/// Stops the whole process; true once it goes on.
#[cfg(unix)]
fn stand_still() -> bool {
    use rustix::process::{Signal, getpid, kill_process};
    kill_process(getpid(), Signal::STOP).is_ok()
}

#[cfg(not(unix))]
fn stand_still() -> bool {
    false
}
