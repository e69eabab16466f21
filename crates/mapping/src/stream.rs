//! A source's changes, presented by the mappings.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use crossfade_model::{Change, Position, Row, StreamEvent, TableId, TransactionId};
use crossfade_store::{ChangeStream, Result, Source};

use crate::changes;
use crate::limits::Place;
use crate::table::{MappedTable, MappingError};

/// Looks at a row that is nobody's, at most, until a reader sees the transaction that made it so.
const LOOKS: u32 = 600;

/// How long it is from one look to the next.
const REST: Duration = Duration::from_millis(500);

/// Presents a stream of tables as they are. One change may be one of several mappings, and none of some.
pub(crate) struct MappedStream {
    inner: Box<dyn ChangeStream>,
    store: Arc<dyn Source>,
    /// By the number under which the store below knows a table: the mappings that its rows go into.
    tables: HashMap<TableId, Vec<MappedTable>>,
    /// What was read below and is not presented yet: whoever waits for the next events may stop waiting.
    pending: Vec<StreamEvent>,
    /// The transaction that `pending` begins in.
    transaction: Option<TransactionId>,
    /// Changes of `pending` to rows that were nobody's, and are not any more, with the mapping that they are of.
    passed: HashSet<(usize, TableId)>,
}

/// A change to a row that is nobody's: is it so still?
struct Question {
    event: usize,
    mapped: MappedTable,
    error: MappingError,
    key: Option<Row>,
    transaction: Option<TransactionId>,
}

/// What came of presenting what is pending.
enum Presented {
    /// All of it, and the transaction in which it ends.
    Whole(Vec<StreamEvent>, Option<TransactionId>),
    /// Something has to be known first.
    Asks(Box<Question>),
}

impl MappedStream {
    pub(crate) fn new(
        inner: Box<dyn ChangeStream>,
        store: Arc<dyn Source>,
        tables: HashMap<TableId, Vec<MappedTable>>,
    ) -> MappedStream {
        MappedStream {
            inner,
            store,
            tables,
            pending: Vec::new(),
            transaction: None,
            passed: HashSet::new(),
        }
    }

    /// What is pending, presented.
    fn presented(&self) -> Result<Presented> {
        let mut out = Vec::with_capacity(self.pending.len());
        let mut changes = Vec::new();
        let mut transaction = self.transaction;
        for (at, event) in self.pending.iter().enumerate() {
            let StreamEvent::Change(change) = event else {
                if let StreamEvent::Begin(begun) = event {
                    transaction = Some(begun.id);
                }
                out.push(event.clone());
                continue;
            };
            for mapped in self.of(change) {
                let made = match self.passed.contains(&(at, mapped.id)) {
                    true => changes::mapped(&mapped.passing(), change, &mut changes),
                    false => changes::mapped(mapped, change, &mut changes),
                };
                match made {
                    Ok(()) => {}
                    Err(error @ MappingError::Nobodys { .. }) => {
                        return Ok(Presented::Asks(Box::new(Question {
                            event: at,
                            mapped: mapped.clone(),
                            error,
                            key: changes::raw_key(mapped, change),
                            transaction,
                        })));
                    }
                    Err(error) => return Err(error.at(self.store.label(), &mapped.raw.source)),
                }
            }
            out.extend(changes.drain(..).map(StreamEvent::Change));
        }
        Ok(Presented::Whole(out, transaction))
    }

    fn of<'a>(&'a self, change: &'a Change) -> impl Iterator<Item = &'a MappedTable> {
        let tables = changes::tables_of(change).iter();
        tables.flat_map(|table| self.tables.get(table).into_iter().flatten())
    }

    /// Goes on where the row has become another's since, or has gone: a later change says what it has become.
    ///
    /// # Errors
    /// It is nobody's still, and would be left out in silence.
    async fn ask(&mut self, question: Question) -> Result<()> {
        let Question { mapped, key, .. } = &question;
        let mut looks = 0;
        let is_gone = loop {
            let Some(key) = key else {
                break false;
            };
            let mut snapshot = self.store.open_snapshot(&[&mapped.raw.source]).await?;
            let seen = question
                .transaction
                .is_none_or(|transaction| snapshot.snapshot().sees(transaction));
            let rows = snapshot
                .read_keys(&mapped.raw, std::slice::from_ref(key))
                .await?;
            snapshot.close().await?;
            let place = |row: &Row| mapped.place(row);
            if rows
                .iter()
                .any(|row| matches!(place(row), Ok(Place::Nobodys(_))))
            {
                break false;
            }
            looks += 1;
            if seen || looks >= LOOKS {
                break seen;
            }
            tokio::time::sleep(REST).await;
        };
        if !is_gone {
            let table = &mapped.raw.source;
            return Err(question.error.at(self.store.label(), table));
        }
        self.passed.insert((question.event, question.mapped.id));
        Ok(())
    }
}

#[async_trait]
impl ChangeStream for MappedStream {
    async fn next(&mut self) -> Result<Vec<StreamEvent>> {
        if self.pending.is_empty() {
            self.pending = self.inner.next().await?;
        }
        loop {
            match self.presented()? {
                Presented::Whole(out, transaction) => {
                    self.transaction = transaction;
                    self.pending.clear();
                    self.passed.clear();
                    return Ok(out);
                }
                Presented::Asks(question) => self.ask(*question).await?,
            }
        }
    }

    async fn confirm(&mut self, checkpoint: Position) -> Result<()> {
        self.inner.confirm(checkpoint).await
    }
}
