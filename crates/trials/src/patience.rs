//! Waiting for something, for a while.

use std::time::{Duration, Instant};

/// How long anything in a test may take before it counts as stuck: far longer than on a loaded machine.
pub const LONG: Duration = Duration::from_secs(120);

/// Waits until `ready` gives a value.
///
/// # Panics
/// When it gives none in time.
pub fn wait_for<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(
            begun.elapsed() < limit,
            "waited {limit:?} in vain for: {what}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until `ready` is true.
///
/// # Panics
/// When it does not become true in time.
pub fn wait_until(what: &str, limit: Duration, mut ready: impl FnMut() -> bool) {
    wait_for(what, limit, || ready().then_some(()));
}
