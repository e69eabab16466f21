//! The target: durable state, changed only by whole target transactions.

use crossfade_rules::checkpoint::may_move;
use crossfade_rules::epoch::{Epoch, may_write};
use crossfade_rules::frontier::{
    Bounds, DurableFrontier, FrontierRow, OneKeyRow, OneKeyState, OwedRow,
};
use crossfade_rules::net::{Effect, NetBatch, NetMultiset};

use crate::source::{Img, KEYS, Key, MISSING, Row, Rows, Snap, Txn};

pub type ChunkRow = FrontierRow<Key, Snap, u8>;
pub type KeyRow = OneKeyRow<Key, Snap, Txn, u8>;
pub type Owed = OwedRow<Key, Txn>;

/// Everything durable in the target.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    pub rows: Rows,
    pub checkpoint: u8,
    /// Ascending.
    pub chunks: Vec<ChunkRow>,
    /// Physical parts that are done, as a mask.
    pub parts: u8,
    /// Of which table they are parts: whether it was rewritten before.
    pub rewritten: bool,
    pub owed: Vec<Owed>,
    /// Ascending.
    pub one_key: Vec<KeyRow>,
    /// The ledger, summed.
    pub captured: u64,
    pub settled: u64,
    /// Whether the unique index on `a` was built.
    pub index: bool,
}

/// What an applied change does, once decided.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Op {
    Put(Key, Row),
    Delete(Key),
    Update {
        old: Key,
        new: Key,
        img: Img,
    },
    /// Keys whose rows go, as a mask.
    Truncate(u8),
    Count(Key, bool),
}

/// A target transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Write {
    Load(LoadWrite),
    Batch(BatchWrite),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LoadWrite {
    pub empties: Option<Bounds<Key>>,
    pub rows: Vec<(Key, Row)>,
    /// Keyless: the rows are added to equal ones.
    pub adds: bool,
    pub chunk: Option<ChunkRow>,
    pub part: Option<(u8, bool)>,
    /// The table is emptied, and all of its frontier.
    pub begins_again: bool,
    pub parked: Option<Key>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BatchWrite {
    pub keyless: bool,
    pub ops: Vec<Op>,
    /// The checkpoint's move; `None` only with a seeded bug.
    pub checkpoint: Option<(u8, u8)>,
    pub owed: Option<Vec<Owed>>,
    pub one_key: Vec<KeyRow>,
    pub captured: u64,
    pub settled: u64,
}

impl Op {
    /// Whether it writes a row of this key.
    pub fn puts(&self, key: Key) -> bool {
        match self {
            Op::Put(put, _) => *put == key,
            Op::Update { new, .. } => *new == key,
            Op::Delete(_) | Op::Truncate(_) | Op::Count(..) => false,
        }
    }
}

impl BatchWrite {
    /// A key is parked at this checkpoint, and its row `gone`.
    pub fn parks(key: Key, gone: bool, at: u8) -> Self {
        BatchWrite {
            keyless: false,
            ops: gone.then_some(Op::Delete(key)).into_iter().collect(),
            checkpoint: Some((at, at)),
            owed: None,
            one_key: vec![KeyRow {
                key,
                state: OneKeyState::Parked {
                    owed: Default::default(),
                },
            }],
            captured: 0,
            settled: 0,
        }
    }
}

/// What the target, or a rule, refused.
pub type Fault = &'static str;

impl Target {
    pub fn new(checkpoint: u8) -> Self {
        Target {
            rows: [None; KEYS],
            checkpoint,
            chunks: Vec::new(),
            parts: 0,
            rewritten: false,
            owed: Vec::new(),
            one_key: Vec::new(),
            captured: 0,
            settled: 0,
            index: false,
        }
    }

    pub fn durable(&self) -> DurableFrontier<Key, Snap, Txn, u8> {
        DurableFrontier {
            chunks: self.chunks.clone(),
            owed: self.owed.clone(),
            one_key: self.one_key.clone(),
        }
    }

    /// Runs a target transaction whole, or (`Ok(false)`) not at all because its process was superseded.
    pub fn run(&mut self, write: &Write, held: Epoch, stored: Epoch) -> Result<bool, Fault> {
        if may_write(held, Some(stored)).is_err() {
            return Ok(false);
        }
        match write {
            Write::Load(load) => self.load(load),
            Write::Batch(batch) => self.batch(batch)?,
        }
        if self.index && self.duplicates() {
            return Err("unique conflict after the table was followed");
        }
        Ok(true)
    }

    pub fn duplicates(&self) -> bool {
        (0..KEYS).any(|one| {
            (0..one).any(|other| {
                matches!((self.rows[one], self.rows[other]), (Some(x), Some(y)) if x.a == y.a)
            })
        })
    }

    fn load(&mut self, load: &LoadWrite) {
        if let Some(bounds) = &load.empties {
            for key in (0..KEYS as u8).filter(|key| bounds.contains(key)) {
                self.rows[key as usize] = None;
            }
        }
        for (key, row) in &load.rows {
            let there = self.rows[*key as usize]
                .filter(|_| load.adds)
                .map_or(0, |row| row.a);
            self.rows[*key as usize] = Some(Row {
                a: there + row.a,
                b: row.b,
            });
        }
        if let Some(row) = &load.chunk {
            self.chunks.retain(|chunk| chunk.bounds != row.bounds);
            self.chunks.push(row.clone());
            self.chunks.sort_by_key(|chunk| chunk.bounds.low);
        }
        if let Some((part, rewritten)) = load.part {
            self.parts |= 1 << part;
            self.rewritten = rewritten;
        }
        if load.begins_again {
            self.parts = 0;
            self.chunks.clear();
        }
        if let Some(key) = load.parked {
            self.put_key(KeyRow {
                key,
                state: OneKeyState::Parked {
                    owed: Default::default(),
                },
            });
        }
    }

    fn put_key(&mut self, row: KeyRow) {
        self.one_key.retain(|other| other.key != row.key);
        self.one_key.push(row);
        self.one_key.sort_by_key(|row| row.key);
    }

    fn batch(&mut self, batch: &BatchWrite) -> Result<(), Fault> {
        if let Some((from, to)) = &batch.checkpoint {
            if may_move(Some(&self.checkpoint), Some(from), to).is_err() {
                return Err("checkpoint is not where the batch began");
            }
            self.checkpoint = *to;
        }
        if batch.keyless {
            self.count_rows(&batch.ops)?
        } else {
            self.net_rows(&batch.ops)?
        }
        if let Some(owed) = &batch.owed {
            self.owed.clone_from(owed);
        }
        batch
            .one_key
            .iter()
            .for_each(|row| self.put_key(row.clone()));
        let checkpoint = self.checkpoint;
        self.one_key.retain(
            |row| !matches!(&row.state, OneKeyState::Read { horizon, .. } if *horizon <= checkpoint),
        );
        self.captured += batch.captured;
        self.settled += batch.settled;
        Ok(())
    }

    fn net_rows(&mut self, ops: &[Op]) -> Result<(), Fault> {
        let mut net = NetBatch::new();
        for op in ops {
            let done = match op {
                Op::Put(key, row) => {
                    net.put(
                        *key,
                        Img {
                            a: row.a,
                            b: Some(row.b),
                        },
                    );
                    Ok(())
                }
                Op::Delete(key) => {
                    net.delete(*key);
                    Ok(())
                }
                Op::Update { old, new, img } => net.rekey(*old, *new, *img),
                Op::Truncate(keys) => {
                    self.flush(&mut net);
                    for key in (0..KEYS).filter(|key| keys & (1 << key) != 0) {
                        self.rows[key] = None;
                    }
                    Ok(())
                }
                Op::Count(..) => return Err("counted rows in a table with keys"),
            };
            done.map_err(|_| "an incomplete image over a deleted row")?;
        }
        self.flush(&mut net);
        Ok(())
    }

    fn flush(&mut self, net: &mut NetBatch<Key, Img>) {
        let before = self.rows;
        for (key, effect) in net.drain() {
            self.rows[key as usize] = match effect {
                Effect::Delete => None,
                Effect::Upsert { row, base } => {
                    let carried = base.and_then(|base| before[base as usize]).map(|row| row.b);
                    Some(Row {
                        a: row.a,
                        b: row.b.or(carried).unwrap_or(MISSING),
                    })
                }
            };
        }
    }

    fn count_rows(&mut self, ops: &[Op]) -> Result<(), Fault> {
        let mut net = NetMultiset::new();
        for op in ops {
            match op {
                Op::Count(key, true) => net.insert(*key),
                Op::Count(key, false) => net.delete(*key),
                Op::Truncate(_) => {
                    net = NetMultiset::new();
                    self.rows = [None; KEYS];
                }
                _ => return Err("a keyed change in a keyless table"),
            }
        }
        for (key, by) in net.drain() {
            let count = self.rows[key as usize].map_or(0, |row| i64::from(row.a)) + by;
            if !(0..=9).contains(&count) {
                return Err("rows counted that were never there");
            }
            self.rows[key as usize] = (count > 0).then_some(Row {
                a: u8::try_from(count).unwrap(),
                b: 0,
            });
        }
        Ok(())
    }
}
