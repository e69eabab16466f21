//! Ctrl-C and SIGTERM: stop cleanly after the current batch; given a second time, at once.

use std::io::Write as _;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::failure::Failure;

/// A receiver that turns true at the first signal. The second one ends the process at once: what is durable stays.
///
/// # Errors
/// The operating system refuses the handlers.
pub fn stop() -> Result<watch::Receiver<bool>, Failure> {
    let refused = |e: std::io::Error| Failure::internal(format!("signals cannot be received: {e}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        for given in 1.. {
            let number = tokio::select! {
                _ = interrupt.recv() => 2,
                _ = terminate.recv() => 15,
            };
            if given > 1 {
                // by the shell's rule: 128 and the signal's number
                std::process::exit(128 + number);
            }
            let _ = writeln!(
                std::io::stderr(),
                "stopping after the current batch; once more ends at once"
            );
            if sender.send(true).is_err() {
                tracing::debug!("nothing is running");
            }
        }
    });
    Ok(receiver)
}
