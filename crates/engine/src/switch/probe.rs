//! For how long writes were blocked: between the last write that a probe made on the old authority and its first on the new one. Its
//! failure never fails a switch.

use std::time::{Duration, Instant};

use crossfade_store::{ErrorKind, WriteProbe};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::switch::Sides;

/// Pause between two writes: how exact the measure is.
const EVERY: Duration = Duration::from_millis(5);
/// How long to wait for the first write before the window begins, and for the first one on the new authority after its end.
const PATIENCE: Duration = Duration::from_secs(2);

/// Probes of both stores, opened before the fence.
pub(crate) struct Probes {
    old: Box<dyn WriteProbe>,
    new: Box<dyn WriteProbe>,
}

/// Opens both; `None`, told in the log, where that fails: the pause is then told by the window's own clock.
pub(crate) async fn open(sides: &Sides, base: &str) -> Option<Probes> {
    match tokio::try_join!(sides.source.open_probe(base), sides.target.open_probe(base)) {
        Ok((old, new)) => Some(Probes { old, new }),
        Err(error) => {
            tracing::warn!(error = %error, "the pause will not be measured by writes");
            None
        }
    }
}

/// How far the switch is, as far as the probe must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    /// The old authority takes writes, or holds them.
    Before,
    /// It has given its authority away.
    Given,
}

/// A probe at work. Dropping it ends it.
pub(crate) struct Measuring {
    reached: watch::Sender<Reached>,
    begun: watch::Receiver<bool>,
    task: JoinHandle<Option<Duration>>,
}

impl Drop for Measuring {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Measuring {
    /// Begins to write; returns once the first write has happened, or will not soon.
    pub async fn begin(probes: Probes) -> Measuring {
        let (reached, given) = watch::channel(Reached::Before);
        let (wrote, mut begun) = watch::channel(false);
        let task = tokio::spawn(measure(probes, given, wrote));
        // one that cannot write is no reason to wait for longer
        let _ = tokio::time::timeout(PATIENCE, begun.wait_for(|wrote| *wrote)).await;
        Measuring {
            reached,
            begun,
            task,
        }
    }

    /// The old authority has given its authority away.
    pub fn given(&self) {
        self.reached.send_replace(Reached::Given);
    }

    /// What was measured, once the new authority has taken a write; `None` where that did not come about.
    pub async fn end(mut self) -> Option<Duration> {
        if !*self.begun.borrow() {
            return None;
        }
        match tokio::time::timeout(PATIENCE, &mut self.task).await {
            Ok(Ok(measured)) => measured,
            Ok(Err(_)) | Err(_) => None,
        }
    }
}

async fn measure(
    mut probes: Probes,
    mut given: watch::Receiver<Reached>,
    wrote: watch::Sender<bool>,
) -> Option<Duration> {
    let mut last = None;
    loop {
        tokio::select! {
            biased;
            written = probes.old.write() => match written {
                Ok(()) => {
                    last = Some(Instant::now());
                    wrote.send_replace(true);
                }
                Err(error) if error.kind == ErrorKind::Connection => return None,
                Err(_) => {}
            },
            reached = given.wait_for(|reached| *reached == Reached::Given) => {
                reached.ok()?;
                break;
            }
        }
        tokio::time::sleep(EVERY).await;
    }
    let last = last?;
    loop {
        match probes.new.write().await {
            Ok(()) => return Some(last.elapsed()),
            Err(error) if error.kind == ErrorKind::Connection => return None,
            Err(_) => tokio::time::sleep(EVERY).await,
        }
    }
}
