//! The change stream: a polling thread behind a bounded channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use crossfade_model::{Position, StreamEvent};
use crossfade_store::{CaptureSpec, ChangeStream, ErrorKind, Result};
use tokio::sync::mpsc;

use crate::conn::{Place, blocking};
use crate::poll::Poller;
use crate::sink::Sent;

/// Blocks on their way to the applier.
const BLOCKS_AHEAD: usize = 4;

/// How long `next` waits before it returns without an event.
const QUIET: Duration = Duration::from_millis(500);

/// A stream of one migration.
pub(crate) struct SqliteStream {
    place: Place,
    events: mpsc::Receiver<Sent>,
    confirmed: Arc<AtomicU64>,
}

/// Opens the stream after `from`.
pub(crate) async fn open(
    place: &Place,
    spec: &CaptureSpec,
    from: Position,
) -> Result<SqliteStream> {
    let (sender, events) = mpsc::channel(BLOCKS_AHEAD);
    let confirmed = Arc::new(AtomicU64::new(from.0));
    let poller = {
        let (place, spec) = (place.clone(), spec.clone());
        let confirmed = Arc::clone(&confirmed);
        let at = place.clone();
        blocking(&at, move || {
            Poller::open(&place, &spec, from, confirmed, sender)
        })
        .await?
    };
    std::thread::Builder::new()
        .name("sqlite-poll".to_owned())
        .spawn(move || poller.run())
        .map_err(|e| {
            place
                .error(
                    ErrorKind::Unavailable,
                    "sqlite.thread",
                    "cannot start the polling thread",
                )
                .cause(e)
        })?;
    Ok(SqliteStream {
        place: place.clone(),
        events,
        confirmed,
    })
}

#[async_trait]
impl ChangeStream for SqliteStream {
    async fn next(&mut self) -> Result<Vec<StreamEvent>> {
        match tokio::time::timeout(QUIET, self.events.recv()).await {
            Err(_) => Ok(Vec::new()),
            Ok(Some(Ok(events))) => Ok(events),
            Ok(Some(Err(error))) => Err(*error),
            Ok(None) => Err(self.place.error(
                ErrorKind::Internal,
                "sqlite.poll",
                "the polling thread ended early",
            )),
        }
    }

    async fn confirm(&mut self, checkpoint: Position) -> Result<()> {
        self.confirmed.fetch_max(checkpoint.0, Ordering::AcqRel);
        Ok(())
    }
}
