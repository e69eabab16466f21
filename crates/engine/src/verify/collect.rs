//! The keys that change while both sides are being opened, with their last images.

use std::collections::HashMap;

use crossfade_model::{Change, Position, Row, TableMapping, TransactionId};
use crossfade_store::TargetSnapshot;
use tokio::sync::oneshot;

use crate::error::EngineError;

/// Keys collected at most: a comparison that meets more begins again.
const MOST_KEYS: usize = 200_000;

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
}

/// The last image of a key.
#[derive(Debug, Clone)]
pub(crate) struct LastImage {
    /// `None`: the row is gone.
    pub row: Option<Row>,
    /// Identity of the row at S1 that holds the columns which no image carried.
    pub base: Vec<u8>,
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
    pub keys: HashMap<Vec<u8>, LastImage>,
    pub whole: Vec<WholeChange>,
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
    count: usize,
    too_much: bool,
    waiting: Option<(Position, oneshot::Sender<Collected>)>,
}

impl Collector {
    pub fn new(mappings: &[TableMapping]) -> Collector {
        Collector {
            mappings: mappings.to_vec(),
            tables: mappings.iter().map(|_| Touched::default()).collect(),
            count: 0,
            too_much: false,
            waiting: None,
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
            self.count += 1;
            if self.count > MOST_KEYS {
                self.too_much = true;
                self.tables.iter_mut().for_each(|t| *t = Touched::default());
                return Ok(());
            }
            self.change(id, change)?;
        }
        Ok(())
    }

    fn change(&mut self, id: TransactionId, change: &Change) -> Result<(), EngineError> {
        let (table, before, row) = match change {
            Change::Insert { table, row } | Change::Upsert { table, row } => {
                (*table, None, Some(row))
            }
            Change::Update { table, before, row } => (*table, before.as_ref(), Some(row)),
            Change::Delete { table, before } => (*table, Some(before), None),
            Change::Truncate { .. } => {
                self.too_much = true;
                return Ok(());
            }
        };
        let mapping = &self.mappings[table.0 as usize];
        let touched = &mut self.tables[table.0 as usize];
        if mapping.source.key.is_none() {
            let mut note = |row: &Row, came: bool| {
                touched.whole.push(WholeChange {
                    transaction: id,
                    row: row.clone(),
                    came,
                });
            };
            if let Some(before) = before {
                note(before, false);
            }
            if let Some(row) = row {
                note(row, true);
            }
            return Ok(());
        }
        let identity = |row: &Row| -> Result<Vec<u8>, EngineError> {
            let mut out = Vec::new();
            mapping
                .identity_of(row, &mut out)
                .map_err(|e| EngineError::internal(format!("a key in the log: {e}")))?;
            Ok(out)
        };
        let Some(row) = row else {
            if let Some(before) = before {
                let key = identity(before)?;
                touched.keys.insert(
                    key.clone(),
                    LastImage {
                        row: None,
                        base: key,
                    },
                );
            }
            return Ok(());
        };
        let new = identity(row)?;
        let old = before.map_or_else(|| Ok(new.clone()), identity)?;
        let older = touched.keys.get(&old).cloned();
        let mut image = row.clone();
        let mut base = old.clone();
        if let Some(older) = older {
            if let Some(older_row) = &older.row {
                image.fill_unchanged_from(older_row);
            }
            base = older.base;
        }
        if old != new {
            touched.keys.insert(
                old.clone(),
                LastImage {
                    row: None,
                    base: old,
                },
            );
        }
        touched.keys.insert(
            new,
            LastImage {
                row: Some(image),
                base,
            },
        );
        Ok(())
    }
}
