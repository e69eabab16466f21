//! What the reading thread hands to the stream's consumer: whole frames, bounded by their bytes.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use crossfade_store::{Result, StoreError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Bytes of the stream that may wait for the consumer.
const QUEUE_BYTES: usize = 16 << 20;

/// Unit of the queue's bound: a semaphore counts in 32 bits.
const UNIT: usize = 1 << 10;

/// Bytes that a spool takes: a transaction too big for memory needs room in the same folder once more, behind the consumer.
const SPOOL_BYTES: u64 = 1 << 30;

/// Whole CopyData messages, in their frames, and their share of the queue.
pub struct Frames {
    /// The messages.
    pub bytes: Bytes,
    _share: OwnedSemaphorePermit,
}

/// The thread's end.
pub struct Queue {
    frames: mpsc::UnboundedSender<Result<Frames>>,
    space: Arc<Semaphore>,
}

/// The consumer's end.
pub type Handed = mpsc::UnboundedReceiver<Result<Frames>>;

fn units(bytes: &Bytes) -> u32 {
    // at most 16 Ki
    (bytes.len() / UNIT).clamp(1, QUEUE_BYTES / UNIT) as u32
}

impl Queue {
    /// An empty queue.
    pub fn new() -> (Queue, Handed) {
        let (frames, handed) = mpsc::unbounded_channel();
        let space = Arc::new(Semaphore::new(QUEUE_BYTES / UNIT));
        (Queue { frames, space }, handed)
    }

    /// Nobody takes anything any more.
    pub fn is_closed(&self) -> bool {
        self.frames.is_closed()
    }

    /// Waits until nobody takes anything any more.
    pub async fn closed(&self) {
        self.frames.closed().await;
    }

    /// The end: why nothing more comes.
    pub fn fail(&self, e: StoreError) {
        // a consumer that is gone needs no error
        drop(self.frames.send(Err(e)));
    }

    /// Hands frames over, or back where there is no space.
    fn try_put(&self, bytes: Bytes) -> std::result::Result<(), Bytes> {
        match Arc::clone(&self.space).try_acquire_many_owned(units(&bytes)) {
            Ok(share) => {
                self.send(bytes, share);
                Ok(())
            }
            Err(_) => Err(bytes),
        }
    }

    /// Hands frames over as soon as there is space; false where nobody takes them. Dropped before its end, it has handed over nothing.
    pub async fn put(&self, bytes: Bytes) -> bool {
        tokio::select! {
            share = Arc::clone(&self.space).acquire_many_owned(units(&bytes)) => {
                // the semaphore is never closed: there is always a share
                share.is_ok_and(|share| self.send(bytes, share))
            }
            () = self.closed() => false,
        }
    }

    fn send(&self, bytes: Bytes, share: OwnedSemaphorePermit) -> bool {
        let frames = Frames {
            bytes,
            _share: share,
        };
        self.frames.send(Ok(frames)).is_ok()
    }
}

/// Frames that found no space in the queue, in a file that has no name and goes with the process: who reads a query to its end at once keeps
/// no snapshot open on the server for as long as its consumer takes.
#[derive(Default)]
pub struct Spool {
    file: Option<File>,
    written: u64,
    read: u64,
    /// Of what was written and not read again, piece by piece.
    lengths: VecDeque<usize>,
}

impl Spool {
    /// Hands frames over, behind those that wait. Without a file that takes them, it waits for space.
    ///
    /// # Errors
    /// A file that does not give back what it took.
    pub async fn hand_over(&mut self, bytes: Bytes, queue: &Queue) -> std::io::Result<()> {
        let bytes = if self.lengths.is_empty() {
            match queue.try_put(bytes) {
                Ok(()) => return Ok(()),
                Err(bytes) => bytes,
            }
        } else {
            bytes
        };
        if self.keep(&bytes).is_err() && self.drain(queue).await? {
            queue.put(bytes).await;
        }
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if self.written > SPOOL_BYTES {
            return Err(std::io::Error::other("it is full"));
        }
        if self.file.is_none() {
            self.file = Some(tempfile::tempfile()?);
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.seek(SeekFrom::Start(self.written))?;
        file.write_all(bytes)?;
        self.written += bytes.len() as u64;
        self.lengths.push_back(bytes.len());
        Ok(())
    }

    /// Hands over all that waits; false where nobody takes it.
    ///
    /// # Errors
    /// A file that does not give back what it took.
    pub async fn drain(&mut self, queue: &Queue) -> std::io::Result<bool> {
        while let Some(bytes) = self.first()? {
            if !queue.put(bytes).await {
                return Ok(false);
            }
            self.forget_first();
        }
        Ok(!queue.is_closed())
    }

    fn first(&mut self) -> std::io::Result<Option<Bytes>> {
        let Some(&length) = self.lengths.front() else {
            return Ok(None);
        };
        let mut bytes = BytesMut::zeroed(length);
        if let Some(file) = &mut self.file {
            file.seek(SeekFrom::Start(self.read))?;
            file.read_exact(&mut bytes)?;
        }
        Ok(Some(bytes.freeze()))
    }

    fn forget_first(&mut self) {
        self.read += self.lengths.pop_front().unwrap_or(0) as u64;
        if self.lengths.is_empty() {
            // a file that stays long takes only room
            let _shortened = self.file.as_ref().map(|file| file.set_len(0));
            (self.read, self.written) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn what_finds_no_space_comes_later_and_in_order() {
        let (queue, mut handed) = Queue::new();
        let mut spool = Spool::default();
        let piece = |n: u8| Bytes::from(vec![n; 6 << 20]);
        for n in 0..5 {
            spool.hand_over(piece(n), &queue).await.unwrap();
        }
        assert_eq!(spool.lengths.len(), 3, "two have space");
        let reading = async {
            for n in 0..5 {
                let frames = handed.recv().await.unwrap().unwrap();
                assert_eq!(frames.bytes, piece(n));
            }
        };
        let (drained, ()) = tokio::join!(spool.drain(&queue), reading);
        assert!(drained.unwrap());
        assert!(spool.first().unwrap().is_none());
        drop(handed);
        spool.hand_over(piece(9), &queue).await.unwrap();
        assert!(!spool.drain(&queue).await.unwrap());
    }
}
