//! Events from the polling thread to the stream, in bounded blocks.

use crossfade_model::StreamEvent;
use crossfade_store::StoreError;
use tokio::sync::mpsc;

/// Events of a block at most.
const BLOCK_EVENTS: usize = 2048;

/// Bytes of events from which on a block is full.
const BLOCK_BYTES: usize = 1 << 20;

/// A poll of up to this many bytes is read whole before it is handed on, so that a slow applier does not hold the read
/// transaction open, which would keep the application's log from being checkpointed.
const HELD_BYTES: usize = 16 << 20;

/// What the polling thread sends.
pub(crate) type Sent = std::result::Result<Vec<StreamEvent>, Box<StoreError>>;

/// Why a poll ended early.
pub(crate) enum Ended {
    /// Nobody listens any more.
    Closed,
    Failed(Box<StoreError>),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Ended {
        Ended::Failed(Box::new(error))
    }
}

/// Events on their way, in blocks. Held back until the read transaction ended, while they are few.
pub(crate) struct Sink {
    events: mpsc::Sender<Sent>,
    block: Vec<StreamEvent>,
    block_bytes: usize,
    held: Vec<Vec<StreamEvent>>,
    held_bytes: usize,
    streaming: bool,
}

impl Sink {
    pub fn new(events: mpsc::Sender<Sent>) -> Sink {
        Sink {
            events,
            block: Vec::new(),
            block_bytes: 0,
            held: Vec::new(),
            held_bytes: 0,
            streaming: false,
        }
    }

    pub fn push(&mut self, event: StreamEvent) -> std::result::Result<(), Ended> {
        self.block_bytes += match &event {
            StreamEvent::Change(change) => change.weight(),
            _ => 32,
        };
        self.block.push(event);
        if self.block.len() < BLOCK_EVENTS && self.block_bytes < BLOCK_BYTES {
            return Ok(());
        }
        let full = std::mem::take(&mut self.block);
        self.held_bytes += self.block_bytes;
        self.block_bytes = 0;
        self.held.push(full);
        if self.streaming || self.held_bytes > HELD_BYTES {
            self.streaming = true;
            self.send_held()?;
        }
        Ok(())
    }

    fn send_held(&mut self) -> std::result::Result<(), Ended> {
        for block in self.held.drain(..) {
            self.events
                .blocking_send(Ok(block))
                .map_err(|_| Ended::Closed)?;
        }
        Ok(())
    }

    pub fn finish(mut self) -> std::result::Result<(), Ended> {
        self.send_held()?;
        if self.block.is_empty() {
            return Ok(());
        }
        self.events
            .blocking_send(Ok(self.block))
            .map_err(|_| Ended::Closed)
    }
}
