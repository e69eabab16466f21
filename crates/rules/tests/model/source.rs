//! The source: transactions that become logged, visible, flushed and aborted in separate events.

use crossfade_rules::net::Image;
use crossfade_rules::visibility::{Covers, Sees};

use crate::scenario::Scenario;

/// How many keys a table can have.
pub const KEYS: usize = 3;
/// What a target writes for a column that nothing supplied; no source row holds it.
pub const MISSING: u8 = 255;

const ANY_ROW: u8 = 1 << 6;
const TRUNCATE: u8 = 1 << 7;

pub type Key = u8;

/// A row: `a` is always logged, `b` only when it changed. In a keyless table `a` counts equal rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row {
    pub a: u8,
    pub b: u8,
}

/// A row and the physical part of the source's table that it lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    pub row: Row,
    pub part: u8,
}

pub type Table = [Option<Stored>; KEYS];
pub type Rows = [Option<Row>; KEYS];

/// A logged image; `None` is an unchanged column that the log left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Img {
    pub a: u8,
    pub b: Option<u8>,
}

impl Image for Img {
    fn is_complete(&self) -> bool {
        self.b.is_some()
    }
    fn overlay(&mut self, newer: Self) {
        *self = Img {
            a: newer.a,
            b: newer.b.or(self.b),
        };
    }
}

/// One change of a transaction. Written rows go to the part that the change names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// Insert, or update with its whole image.
    Put(Key, Row, u8),
    Delete(Key),
    /// Update, maybe of the key, maybe without its unchanged column.
    Update {
        old: Key,
        new: Key,
        img: Img,
        part: u8,
    },
    Truncate,
    /// Keyless: one such row comes.
    Add(Key),
    /// Keyless: one such row goes.
    Remove(Key),
}

impl Change {
    /// What it locks, as a mask: a bit for each key, one for any row of a keyless table, one for a
    /// truncate.
    fn locks(&self) -> u8 {
        match self {
            Change::Put(key, ..) | Change::Delete(key) => 1 << key,
            Change::Update { old, new, .. } => 1 << old | 1 << new,
            Change::Add(_) | Change::Remove(_) => ANY_ROW,
            Change::Truncate => TRUNCATE,
        }
    }

    /// Whether it and `other` cannot be done in either order: they lock the same row, or all rows.
    pub fn conflicts(&self, other: &Change) -> bool {
        conflict(self.locks(), other.locks())
    }

    /// How many changes the ledger counts it as.
    pub fn count(&self) -> u64 {
        match self {
            Change::Update { old, new, .. } if old != new => 2,
            _ => 1,
        }
    }

    fn run(&self, table: &mut Table) {
        match *self {
            Change::Put(key, row, part) => table[key as usize] = Some(Stored { row, part }),
            Change::Delete(key) => table[key as usize] = None,
            Change::Update {
                old,
                new,
                img,
                part,
            } => {
                let before = table[old as usize].take();
                let b = img
                    .b
                    .or(before.map(|stored| stored.row.b))
                    .unwrap_or(MISSING);
                table[new as usize] = Some(Stored {
                    row: Row { a: img.a, b },
                    part,
                });
            }
            Change::Truncate => *table = [None; KEYS],
            Change::Add(key) => {
                let count = table[key as usize].map_or(0, |stored| stored.row.a);
                table[key as usize] = Some(Stored {
                    row: Row { a: count + 1, b: 0 },
                    part: 0,
                });
            }
            Change::Remove(key) => {
                let count = table[key as usize].map_or(0, |stored| stored.row.a);
                table[key as usize] = (count > 1).then_some(Stored {
                    row: Row { a: count - 1, b: 0 },
                    part: 0,
                });
            }
        }
    }
}

/// Whether these locks exclude each other.
fn conflict(one: u8, other: u8) -> bool {
    one & other & !ANY_ROW != 0 || (one | other) & TRUNCATE != 0
}

/// A transaction's identity. `end` is its position, which only the seeded bug that compares positions uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Txn {
    pub id: u8,
    pub end: u8,
}

/// A snapshot: the transactions that it sees, as a mask; with a seeded bug, the log end to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Snap {
    pub mask: u8,
    pub by_position: Option<u8>,
}

impl Sees<Txn> for Snap {
    fn sees(&self, transaction: &Txn) -> bool {
        match self.by_position {
            Some(end) => transaction.end <= end,
            None => self.mask & (1 << transaction.id) != 0,
        }
    }
}

impl Covers for Snap {
    fn covers(&self, base: &Self) -> bool {
        self.mask & base.mask == base.mask
    }
}

/// What the source is at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    /// Transactions whose commit record is in the log, in its order.
    pub log: Vec<u8>,
    /// How much of the log survives a crash; only that is streamed.
    pub flushed: u8,
    /// What it was told to be consumed; it sends nothing before that again.
    pub confirmed: u8,
    /// Transactions that new snapshots see, as a mask.
    pub visible: u8,
    /// Transactions that were rolled back, as a mask.
    pub aborted: u8,
    /// Whether the source has crashed; transactions from then on have their second content.
    pub crashed: bool,
    /// The table was rewritten, its rows lie in the other part.
    pub rewritten: bool,
    /// Transactions that have their second content, as a mask.
    pub second: u8,
}

impl Source {
    pub fn new(scenario: &Scenario) -> Self {
        Source {
            log: (0..scenario.before).collect(),
            flushed: scenario.before,
            confirmed: scenario.before,
            visible: 0,
            aborted: 0,
            crashed: false,
            rewritten: false,
            second: 0,
        }
    }

    pub fn end(&self) -> u8 {
        self.log.len() as u8
    }

    pub fn snapshot(&self, by_position: bool) -> Snap {
        Snap {
            mask: self.visible,
            by_position: by_position.then(|| self.end()),
        }
    }

    pub fn txn(&self, place: u8) -> Txn {
        Txn {
            id: self.log[place as usize],
            end: place + 1,
        }
    }

    pub fn changes<'a>(&self, scenario: &'a Scenario, id: u8) -> &'a [Change] {
        if self.second & (1 << id) != 0 {
            &scenario.after_crash[id as usize]
        } else {
            &scenario.txns[id as usize]
        }
    }

    /// The table as a reader sees it who sees the transactions that `sees` says of (place in the log, identity).
    pub fn table(&self, scenario: &Scenario, sees: impl Fn(u8, u8) -> bool) -> Table {
        let mut table = scenario.table();
        for (place, id) in self.log.iter().enumerate() {
            if sees(place as u8, *id) {
                self.changes(scenario, *id)
                    .iter()
                    .for_each(|change| change.run(&mut table));
            }
        }
        table
    }

    pub fn at_snapshot(&self, scenario: &Scenario, snapshot: &Snap) -> Table {
        self.table(scenario, |_, id| snapshot.mask & (1 << id) != 0)
    }

    /// The table as after the first `end` transactions of the log.
    pub fn prefix(&self, scenario: &Scenario, end: u8) -> Rows {
        rows_of(&self.table(scenario, |place, _| place < end))
    }

    pub fn idle(&self, id: u8) -> bool {
        !self.log.contains(&id) && self.aborted & (1 << id) == 0
    }

    /// Whether `id` may commit: whoever touched its rows before has become visible (only then are
    /// row locks released), or was rolled back.
    pub fn may_commit(&self, scenario: &Scenario, id: u8) -> bool {
        let locks = |id: u8| {
            let changes = &scenario.txns[id as usize];
            changes
                .iter()
                .fold(0, |locks, change| locks | change.locks())
        };
        self.idle(id)
            && (0..id)
                .filter(|before| conflict(locks(*before), locks(id)))
                .all(|before| (self.visible | self.aborted) & (1 << before) != 0)
    }

    pub fn commit(&mut self, scenario: &Scenario, id: u8) {
        self.log.push(id);
        if self.crashed {
            self.second |= 1 << id;
        }
        if scenario.after_crash.is_empty() {
            self.flushed = self.end();
        }
    }

    /// Loses what was not flushed; its transaction identities are used again.
    pub fn crash(&mut self) {
        self.log.truncate(self.flushed as usize);
        self.visible = self.log.iter().fold(0, |mask, id| mask | 1 << id);
        self.crashed = true;
    }

    pub fn quiet(&self, scenario: &Scenario) -> bool {
        let all = (0..scenario.txns.len() as u8).all(|id| !self.idle(id));
        let logged = self.log.iter().fold(0, |mask, id| mask | 1 << id);
        all && self.visible == logged && self.flushed == self.end()
    }
}

pub fn rows_of(table: &Table) -> Rows {
    table.map(|stored| stored.map(|stored| stored.row))
}
