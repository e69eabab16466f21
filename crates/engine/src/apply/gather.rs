//! Gathers events into batches of whole source transactions; a transaction too big for a batch goes to a spill.

use std::collections::VecDeque;
use std::time::Duration;

use crossfade_model::{Change, Position, StreamEvent, TableId, Transaction, TransactionId};
use crossfade_plan::RunOptions;
use tokio::sync::mpsc;

use crate::apply::decide::PendingTransaction;
use crate::apply::spill::Spill;
use crate::error::EngineError;
use crate::kill;
use crate::planted;

/// A transaction that did not fit a batch.
#[derive(Debug)]
pub(crate) struct BigTransaction {
    pub id: TransactionId,
    pub committed_at: i64,
    pub spill: Spill,
    pub end: Position,
}

/// What to apply next.
#[derive(Debug)]
pub(crate) enum Gathered {
    /// Whole transactions, perhaps none, and the position after them.
    Batch {
        transactions: Vec<PendingTransaction>,
        end: Option<Position>,
    },
    /// One that is applied alone.
    Big(BigTransaction),
    /// The log shows that a table's shape is not the planned one; everything before was gathered earlier.
    SchemaChanged {
        table: TableId,
        what: String,
        moved: Vec<TableId>,
    },
    /// The stream has ended.
    Ended,
}

struct Open {
    transaction: Transaction,
    changes: Vec<Change>,
    weight: usize,
    spill: Option<Spill>,
}

/// Gathers from the stream's channel.
pub(crate) struct Gatherer {
    events: mpsc::Receiver<Vec<StreamEvent>>,
    waiting: VecDeque<StreamEvent>,
    open: Option<Open>,
    transactions: Vec<PendingTransaction>,
    changes: usize,
    weight: usize,
    end: Option<Position>,
    most_changes: usize,
    most_weight: usize,
    linger: Duration,
}

impl Gatherer {
    pub fn new(events: mpsc::Receiver<Vec<StreamEvent>>, options: &RunOptions) -> Gatherer {
        Gatherer {
            events,
            waiting: VecDeque::new(),
            open: None,
            transactions: Vec::new(),
            changes: 0,
            weight: 0,
            end: None,
            most_changes: options.batch_changes as usize,
            most_weight: usize::try_from(options.batch_bytes).unwrap_or(usize::MAX),
            linger: Duration::from_millis(u64::from(options.batch_milliseconds)),
        }
    }

    fn full(&self) -> bool {
        self.changes >= self.most_changes || self.weight >= self.most_weight
    }

    fn take_batch(&mut self) -> Gathered {
        // an open transaction's changes stay, and count towards its own batch
        let open = self.open.as_ref().filter(|o| o.spill.is_none());
        self.changes = open.map_or(0, |o| o.changes.len());
        self.weight = open.map_or(0, |o| o.weight);
        Gathered::Batch {
            transactions: std::mem::take(&mut self.transactions),
            end: self.end.take(),
        }
    }

    fn has_batch(&self) -> bool {
        self.end.is_some()
    }

    /// The next batch: as soon as something is there, filled for at most the linger time, or not at all where somebody waits for it.
    /// Cancel-safe.
    pub async fn next(&mut self, hurry: bool) -> Result<Gathered, EngineError> {
        let mut deadline = None;
        loop {
            while let Some(event) = self.waiting.pop_front() {
                if let Some(gathered) = self.event(event)? {
                    return Ok(gathered);
                }
            }
            if self.full() && self.has_batch() {
                return Ok(self.take_batch());
            }
            let received = if self.has_batch() {
                let linger = if hurry { Duration::ZERO } else { self.linger };
                let until = *deadline.get_or_insert_with(|| tokio::time::Instant::now() + linger);
                match tokio::time::timeout_at(until, self.events.recv()).await {
                    Ok(received) => received,
                    Err(_) => return Ok(self.take_batch()),
                }
            } else {
                self.events.recv().await
            };
            match received {
                Some(block) => self.waiting.extend(block),
                None if self.has_batch() => return Ok(self.take_batch()),
                None => return Ok(Gathered::Ended),
            }
        }
    }

    /// Takes one event; something when a batch must be applied before going on.
    fn event(&mut self, event: StreamEvent) -> Result<Option<Gathered>, EngineError> {
        match event {
            StreamEvent::Begin(transaction) => {
                if self.full() && self.has_batch() {
                    self.waiting.push_front(StreamEvent::Begin(transaction));
                    return Ok(Some(self.take_batch()));
                }
                if self.open.is_some() {
                    return Err(EngineError::internal("a transaction began inside another"));
                }
                self.open = Some(Open {
                    transaction,
                    changes: Vec::new(),
                    weight: 0,
                    spill: None,
                });
            }
            StreamEvent::Change(change) => self.change(planted::change(change))?,
            StreamEvent::Commit { end } => return self.commit(end),
            StreamEvent::Progress(position) => {
                if self.open.is_none() {
                    self.end = Some(self.end.map_or(position, |end| end.max(position)));
                }
            }
            StreamEvent::SchemaChanged { table, what, moved } => {
                if self.has_batch() {
                    self.waiting
                        .push_front(StreamEvent::SchemaChanged { table, what, moved });
                    return Ok(Some(self.take_batch()));
                }
                return Ok(Some(Gathered::SchemaChanged { table, what, moved }));
            }
        }
        Ok(None)
    }

    fn change(&mut self, change: Change) -> Result<(), EngineError> {
        let Some(open) = self.open.as_mut() else {
            return Err(EngineError::internal("a change came outside a transaction"));
        };
        if let Some(spill) = &mut open.spill {
            return spill.push(&change).map_err(spill_error);
        }
        let weight = change.weight();
        self.changes += 1;
        self.weight += weight;
        open.weight += weight;
        open.changes.push(change);
        if open.changes.len() >= self.most_changes || open.weight >= self.most_weight {
            self.changes -= open.changes.len();
            self.weight -= open.weight;
            let mut spill = Spill::new().map_err(spill_error)?;
            for change in open.changes.drain(..) {
                spill.push(&change).map_err(spill_error)?;
            }
            open.spill = Some(spill);
        }
        Ok(())
    }

    fn commit(&mut self, end: Position) -> Result<Option<Gathered>, EngineError> {
        let Some(open) = self.open.take() else {
            return Err(EngineError::internal("a commit came outside a transaction"));
        };
        let Open {
            transaction,
            changes,
            weight,
            spill,
        } = open;
        if let Some(spill) = spill {
            kill::point("spill.written");
            if self.has_batch() {
                // what came before goes first; this one comes back as if it had just ended
                self.waiting.push_front(StreamEvent::Commit { end });
                self.open = Some(Open {
                    transaction,
                    changes,
                    weight,
                    spill: Some(spill),
                });
                return Ok(Some(self.take_batch()));
            }
            return Ok(Some(Gathered::Big(BigTransaction {
                id: transaction.id,
                committed_at: transaction.committed_at,
                spill,
                end,
            })));
        }
        self.transactions.push(PendingTransaction {
            id: transaction.id,
            committed_at: transaction.committed_at,
            changes,
            end,
        });
        self.end = Some(end);
        Ok((self.full()).then(|| self.take_batch()))
    }
}

fn spill_error(error: std::io::Error) -> EngineError {
    EngineError::stopped(
        "engine.spill",
        format!("a transaction too big for memory could not be kept in a temporary file: {error}"),
        "Make room where TMPDIR points, or set TMPDIR to a folder with room, and run again",
    )
}

#[cfg(test)]
#[path = "gather_tests.rs"]
mod tests;
