//! The decoder and the assembler over events that come from anywhere: a stream, a file, a test.

use bytes::Bytes;

use crate::assemble::Assembler;
use crate::decoder::Decoder;
use crate::error::Result;
use crate::event::header::Checksum;
use crate::interest::Wanted;
use crate::item::{Batch, Item};
use crate::position::LogPosition;

/// Turns events into items. Pure.
pub struct Replay {
    decoder: Decoder,
    assembler: Assembler,
    batch: Batch,
}

/// The largest event that a server sends: its packets' limit, and a header.
pub(crate) const MOST_BYTES: usize = (1 << 30) + (1 << 20);

impl Replay {
    /// For the events of a file or a stream. `mariadb`: which server wrote it; `crc32`: whether events before the first format
    /// description have checksums; `hold`: see [`crate::StreamOptions::hold_bytes`].
    pub fn new(wanted: Wanted, mariadb: bool, crc32: bool, hold: usize) -> Replay {
        let checksum = match crc32 {
            true => Checksum::Crc32,
            false => Checksum::Off,
        };
        Replay {
            decoder: Decoder::new(wanted, mariadb, checksum, MOST_BYTES),
            assembler: Assembler::new(hold),
            batch: Batch::default(),
        }
    }

    /// Says where the first event stands, for events of a file: a stream tells it itself.
    #[must_use]
    pub fn at(mut self, base: &str, position: LogPosition) -> Replay {
        self.assembler.begin_at(base, position);
        self
    }

    /// Takes one whole event. Only after [`Replay::step`] has returned false.
    ///
    /// # Errors
    /// What stops the stream; nothing can be taken after.
    pub fn take(&mut self, event: Bytes) -> Result<()> {
        let decoded = self.decoder.take(event)?;
        self.assembler.take(decoded, &mut self.batch)
    }

    /// Goes on inside a compressed transaction by one event; false where there is none.
    ///
    /// # Errors
    /// As [`Replay::take`].
    pub fn step(&mut self) -> Result<bool> {
        match self.decoder.inner()? {
            None => Ok(false),
            Some(decoded) => {
                self.assembler.take(decoded, &mut self.batch)?;
                Ok(true)
            }
        }
    }

    /// Bytes that the items hold which wait to be taken; not exact.
    pub fn weight(&self) -> usize {
        self.batch.weight
    }

    /// How many items wait to be taken.
    pub fn count(&self) -> usize {
        self.batch.items.len()
    }

    /// Takes the items that are there.
    pub fn items(&mut self) -> Vec<Item> {
        std::mem::take(&mut self.batch).items
    }

    /// Behind the last event.
    pub fn position(&self) -> LogPosition {
        self.assembler.position()
    }

    /// The base of the log files' names; `None` before the first event.
    pub fn base(&self) -> Option<&str> {
        self.assembler.base()
    }

    /// See [`crate::BinlogStream::files`].
    pub fn files(&mut self) -> Vec<(u64, u32)> {
        self.assembler.files()
    }

    /// Where the first transaction begins that came; `None` before.
    pub fn first_transaction(&self) -> Option<LogPosition> {
        self.assembler.first_transaction()
    }
}
