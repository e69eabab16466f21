//! The keys that change while both sides are being opened, with their last images.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crossfade_model::{Change, Position, Row, Snapshot, TableId, TableMapping, TransactionId};
use crossfade_store::TargetSnapshot;
use tokio::sync::oneshot;

use crate::apply::steps::with_key_of;
use crate::error::EngineError;
use crate::verify::meet::Asked;
use crate::verify::repair::Repairs;
use crate::verify::side::own;

/// Keys and rows collected at most: a comparison that meets more begins again.
const MOST_ENTRIES: usize = 200_000;
/// How long rows that were read again by themselves are waited for.
const SETTLE_PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of them at most.
const MOST_BYTES: usize = 128 << 20;

/// What a verify asks of the applier.
pub(crate) enum VerifyRequest {
    /// Begin to collect. Answers with applied transactions that readers of the source may not see yet.
    Begin {
        reply: oneshot::Sender<Vec<TransactionId>>,
    },
    /// Hand over the target's snapshot and what was collected, once the checkpoint is at this horizon.
    HandOver {
        horizon: Position,
        reply: oneshot::Sender<Collected>,
    },
    /// Stop collecting.
    Cancel,
    /// Write these rows, which were read on the source after `Begin`, as they are there.
    Repair(Repairs),
    /// A snapshot of the source is about to be opened for a meeting. Answers as `Begin`.
    BeginMeet {
        reply: oneshot::Sender<Vec<TransactionId>>,
    },
    /// Hand over the target's snapshot at exactly what this view shows.
    Meet(Asked),
    /// The meeting is given up.
    CancelMeet,
}

/// The last image of a key.
#[derive(Debug, Clone)]
pub(crate) struct LastImage {
    /// `None`: the row is gone.
    pub row: Option<Row>,
    /// Identity of the row before the first of the images that did not carry all columns.
    pub base: Vec<u8>,
    /// The identities that it had since, and the transactions that gave them.
    pub moves: Vec<(TransactionId, Vec<u8>)>,
}

impl LastImage {
    fn gone(identity: Vec<u8>) -> LastImage {
        LastImage {
            row: None,
            base: identity,
            moves: Vec::new(),
        }
    }

    /// The identity of the row as this snapshot shows it: there are the columns that no image carried.
    pub fn identity_at(&self, view: &Snapshot) -> &[u8] {
        let seen = self.moves.iter().rev().find(|(t, _)| view.sees(*t));
        seen.map_or(&self.base, |(_, identity)| identity)
    }

    fn weight(&self) -> usize {
        let moves = self.moves.iter().map(|(_, identity)| 32 + identity.len());
        self.row.as_ref().map_or(0, Row::weight) + self.base.len() + moves.sum::<usize>()
    }
}

/// A change to a table without key.
#[derive(Debug, Clone)]
pub(crate) struct WholeChange {
    pub transaction: TransactionId,
    pub row: Row,
    /// One came, or one went.
    pub came: bool,
}

/// What was collected of one table.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    /// The last image of each key, by identity.
    pub keys: HashMap<Vec<u8>, LastImage>,
    /// The key's cells of every identity that a change named, in the source's form: these are the rows that are not summed but
    /// compared one by one.
    pub cells: HashMap<Vec<u8>, Row>,
    /// The changes to a table without key.
    pub whole: Vec<WholeChange>,
}

impl Touched {
    /// The changes to a table without key that a snapshot does not see.
    pub fn unseen(&self, view: &Snapshot) -> Vec<&WholeChange> {
        let all = self.whole.iter();
        all.filter(|w| !view.sees(w.transaction)).collect()
    }
}

/// What the applier hands over.
pub(crate) struct Collected {
    pub reader: Box<dyn TargetSnapshot>,
    pub position: Position,
    pub tables: Vec<Touched>,
    /// More was changed than can be held, or a table was truncated: this comparison must begin again.
    pub too_much: bool,
}

/// Collects while the applier applies.
pub(crate) struct Collector {
    mappings: Vec<TableMapping>,
    tables: Vec<Touched>,
    entries: usize,
    bytes: usize,
    too_much: bool,
    waiting: Option<(Position, oneshot::Sender<Collected>)>,
    /// When the checkpoint was first where the verify waits for.
    due_since: Option<Instant>,
}

impl Collector {
    pub fn new(mappings: &[TableMapping]) -> Collector {
        Collector {
            mappings: mappings.to_vec(),
            tables: mappings.iter().map(|_| Touched::default()).collect(),
            entries: 0,
            bytes: 0,
            too_much: false,
            waiting: None,
            due_since: None,
        }
    }

    /// Remembers who waits, and for which position.
    pub fn hand_over(&mut self, horizon: Position, reply: oneshot::Sender<Collected>) {
        self.waiting = Some((horizon, reply));
    }

    /// Whether the checkpoint is where the verify waits for.
    pub fn is_due(&self, checkpoint: Position) -> bool {
        self.waiting
            .as_ref()
            .is_some_and(|(horizon, _)| *horizon <= checkpoint)
    }

    /// Whether the target's snapshot could have been opened for some time.
    pub fn waited_long(&mut self) -> bool {
        self.due_since.get_or_insert_with(Instant::now).elapsed() > SETTLE_PATIENCE
    }

    /// Gives everything to the verify.
    pub fn deliver(self, reader: Box<dyn TargetSnapshot>, position: Position) {
        if let Some((_, reply)) = self.waiting {
            // a verify that has gone away is no reason to stop
            let _ = reply.send(Collected {
                reader,
                position,
                tables: self.tables,
                too_much: self.too_much,
            });
        }
    }

    /// Takes the changes of one applied transaction.
    pub fn collect(&mut self, id: TransactionId, changes: &[Change]) -> Result<(), EngineError> {
        for change in changes {
            if self.too_much {
                return Ok(());
            }
            self.change(id, change)?;
            if self.entries > MOST_ENTRIES || self.bytes > MOST_BYTES {
                self.give_up();
            }
        }
        Ok(())
    }

    /// Whether a key may have been changed since this began to collect.
    pub fn has_changed(&self, table: TableId, cells: &Row) -> Result<bool, EngineError> {
        let n = table.0 as usize;
        let (Some(mapping), Some(touched)) = (self.mappings.get(n), self.tables.get(n)) else {
            return Ok(true);
        };
        let mut identity = Vec::new();
        mapping
            .identity_of(cells, &mut identity)
            .map_err(|e| EngineError::internal(format!("a key to repair: {e}")))?;
        Ok(self.too_much || touched.cells.contains_key(&identity))
    }

    #[cfg(test)]
    pub fn into_touched(self) -> Vec<Touched> {
        self.tables
    }

    fn give_up(&mut self) {
        self.too_much = true;
        self.tables.iter_mut().for_each(|t| *t = Touched::default());
    }

    fn change(&mut self, id: TransactionId, change: &Change) -> Result<(), EngineError> {
        let (table, before, row) = match change {
            Change::Insert { table, row } | Change::Upsert { table, row } => {
                (*table, None, Some(row))
            }
            Change::Update { table, before, row } => (*table, before.as_ref(), Some(row)),
            Change::Delete { table, before } => (*table, Some(before), None),
            Change::Filtered { .. } => return Ok(()),
            // what the row is now no image says
            Change::Unclear { .. }
            | Change::Truncate { .. }
            | Change::TruncatePartitions { .. } => {
                self.give_up();
                return Ok(());
            }
        };
        let n = table.0 as usize;
        if self.mappings[n].source.key.is_none() {
            if let Some(before) = before {
                self.whole(n, id, before, false);
            }
            if let Some(row) = row {
                self.whole(n, id, row, true);
            }
            return Ok(());
        }
        match row {
            Some(row) => self.image(n, id, before, row),
            None => {
                if let Some(before) = before {
                    let identity = self.identity(n, before)?;
                    self.keep(n, identity.clone(), LastImage::gone(identity));
                }
                Ok(())
            }
        }
    }

    fn whole(&mut self, table: usize, transaction: TransactionId, row: &Row, came: bool) {
        self.entries += 1;
        self.bytes += row.weight();
        self.tables[table].whole.push(WholeChange {
            transaction,
            row: own(row),
            came,
        });
    }

    /// The row is there with this image. What the image lacks is in the image before, else in the row that a snapshot shows.
    fn image(
        &mut self,
        table: usize,
        id: TransactionId,
        before: Option<&Row>,
        row: &Row,
    ) -> Result<(), EngineError> {
        let row = with_key_of(&self.mappings[table], before, row);
        let new = self.identity(table, &row)?;
        let old = match before {
            Some(before) => self.identity(table, before)?,
            None => new.clone(),
        };
        let mut image = LastImage {
            row: None,
            base: old.clone(),
            moves: Vec::new(),
        };
        let mut row = own(&row);
        if !row.is_complete()
            && let Some(older) = self.take(table, &old)
            && let Some(older_row) = &older.row
        {
            row.fill_unchanged_from(older_row);
            (image.base, image.moves) = (older.base, older.moves);
        }
        if row.is_complete() {
            image = LastImage::gone(new.clone());
        } else if old != new {
            image.moves.push((id, new.clone()));
        }
        image.row = Some(row);
        if old != new {
            self.keep(table, old.clone(), LastImage::gone(old));
        }
        self.keep(table, new, image);
        Ok(())
    }

    fn identity(&mut self, table: usize, row: &Row) -> Result<Vec<u8>, EngineError> {
        let mut out = Vec::new();
        let mapping = &self.mappings[table];
        mapping
            .identity_of(row, &mut out)
            .map_err(|e| EngineError::internal(format!("a key in the log: {e}")))?;
        if !self.tables[table].cells.contains_key(&out) {
            let cells = own(&mapping.key_only(row));
            self.bytes += out.len() + cells.weight();
            self.tables[table].cells.insert(out.clone(), cells);
        }
        Ok(out)
    }

    fn take(&mut self, table: usize, identity: &[u8]) -> Option<LastImage> {
        let image = self.tables[table].keys.remove(identity)?;
        self.entries -= 1;
        self.bytes -= identity.len() + image.weight();
        Some(image)
    }

    fn keep(&mut self, table: usize, identity: Vec<u8>, image: LastImage) {
        self.take(table, &identity);
        self.entries += 1;
        self.bytes += identity.len() + image.weight();
        self.tables[table].keys.insert(identity, image);
    }
}

#[cfg(test)]
#[path = "collect_tests.rs"]
mod tests;
