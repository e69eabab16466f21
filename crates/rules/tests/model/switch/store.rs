//! A store: its register, its rows as a log, and what it holds of the two lanes.

use crossfade_model::{Mode, Register};
use crossfade_rules::switch::{Side, first};

/// A committed row, by the number that its store's sequence gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry {
    pub id: u8,
    /// Written by a client, who was told so, and not carried from the other store.
    pub own: bool,
}

/// A place in a log, and the epoch that it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub epoch: u64,
    pub at: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Store {
    pub register: Register,
    /// Whether somebody has the latch.
    pub latched: bool,
    pub log: Vec<Entry>,
    /// The sequence's next number.
    pub next: u8,
    /// Where its own changes begin.
    pub beginning: Place,
    /// How far of the other store's log it is, and of which tenure; `None` where nothing was ever carried in.
    pub checkpoint: Option<Place>,
}

impl Store {
    pub fn new(side: Side) -> Store {
        let start = Place { epoch: 0, at: 0 };
        Store {
            register: first(side),
            latched: false,
            log: Vec::new(),
            next: 0,
            beginning: start,
            checkpoint: (side == Side::Target).then_some(start),
        }
    }

    pub fn is_open(&self) -> bool {
        self.register.mode == Mode::Open
    }

    /// The log's end.
    pub fn end(&self) -> u8 {
        self.log.len() as u8
    }

    pub fn checkpoint_tenure(&self) -> Option<u64> {
        self.checkpoint.map(|place| place.epoch)
    }

    /// A client's write. The store takes it if it is open and nobody has the latch.
    pub fn write(&mut self) -> bool {
        if !self.is_open() || self.latched {
            return false;
        }
        self.log.push(Entry {
            id: self.next,
            own: true,
        });
        self.next += 1;
        true
    }
}
