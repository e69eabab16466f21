//! The source's change stream, read into a bounded channel; progress told to the source behind the checkpoint.

use std::sync::Arc;

use crossfade_model::{Position, StreamEvent};
use crossfade_store::ChangeStream;
use tokio::sync::{mpsc, watch};

use crate::error::EngineError;
use crate::kill;
use crate::session::Session;

/// Blocks of events on their way to the applier. The stream's own blocks are bounded in bytes.
pub(crate) const CHANNEL_BLOCKS: usize = 8;

/// Reads the stream until the attempt stops. `confirmed` carries the durable checkpoint.
pub(crate) async fn read(
    session: Arc<Session>,
    mut stream: Box<dyn ChangeStream>,
    events: mpsc::Sender<Vec<StreamEvent>>,
    mut confirmed: watch::Receiver<Position>,
) -> Result<(), EngineError> {
    let mut stop = session.stop.clone();
    loop {
        tokio::select! {
            biased;
            _ = stop.changed() => {
                let last = *confirmed.borrow();
                stream.confirm(last).await?;
                return Ok(());
            }
            changed = confirmed.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let checkpoint = *confirmed.borrow_and_update();
                kill::point("apply.before_confirm");
                stream.confirm(checkpoint).await?;
            }
            // room first, then the read: a slow applier is felt by the source, not by our memory
            permit = events.reserve() => {
                let Ok(permit) = permit else { return Ok(()) };
                tokio::select! {
                    biased;
                    _ = stop.changed() => {
                        let last = *confirmed.borrow();
                        stream.confirm(last).await?;
                        return Ok(());
                    }
                    changed = confirmed.changed() => {
                        if changed.is_err() {
                            return Ok(());
                        }
                        let checkpoint = *confirmed.borrow_and_update();
                        kill::point("apply.before_confirm");
                        stream.confirm(checkpoint).await?;
                    }
                    next = stream.next() => {
                        let block = next?;
                        if !block.is_empty() {
                            session.lock().read(&block);
                            permit.send(block);
                        }
                    }
                }
            }
        }
    }
}
