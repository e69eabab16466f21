//! From messages to events: whole transactions in commit order, in the plan's terms. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crossfade_model::{
    Cell, Change, Position, Row, StreamEvent, TableId, Transaction, TransactionId,
};

use super::pgoutput::{Message, OldTuple};
use super::tables::{Carried, Differs, Known, Tables};
use super::xid;

/// A break of the protocol: what the log said cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Broken {
    /// What was said.
    pub what: String,
    /// The table, where there is one.
    pub table: Option<String>,
}

fn broken(what: &str) -> Broken {
    Broken {
        what: what.to_owned(),
        table: None,
    }
}

enum Open {
    /// Between transactions.
    No,
    /// Begun, nothing of it was handed on yet: one without a change of ours is never shown.
    Begun(Transaction),
    /// Its beginning was handed on.
    Shown,
}

/// Turns messages into events.
pub struct Assembler {
    tables: Tables,
    known: HashMap<u32, Known>,
    /// A recent 64-bit transaction id.
    reference: u64,
    open: Open,
    /// The stream has passed this position: it was opened after it, or said so.
    passed: u64,
}

impl Assembler {
    /// A stream opened after `from`. `reference` is any 64-bit transaction id of the server's present.
    pub fn new(tables: Tables, from: Position, reference: u64) -> Assembler {
        Assembler {
            tables,
            known: HashMap::new(),
            reference,
            open: Open::No,
            passed: from.0,
        }
    }

    /// The planned tables.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// From now on `oid` in the log is this.
    pub fn learn(&mut self, oid: u32, known: Known) {
        self.known.insert(oid, known);
    }

    /// Between transactions, everything before `position` has been handed over. The server reads from before the stream's
    /// start, and says so: that is no progress.
    pub fn idle_at(&mut self, position: u64, out: &mut Vec<StreamEvent>) {
        if matches!(self.open, Open::No) && position > self.passed {
            self.passed = position;
            push_progress(position, out);
        }
    }

    /// Takes any message but a table's definition.
    ///
    /// # Errors
    /// A message that cannot come here.
    pub fn take(&mut self, message: Message, out: &mut Vec<StreamEvent>) -> Result<(), Broken> {
        match message {
            Message::Begin { xid, committed_at } => {
                if !matches!(self.open, Open::No) {
                    return Err(broken("a transaction began inside another"));
                }
                self.reference = xid::widen(xid, self.reference);
                self.open = Open::Begun(Transaction {
                    id: TransactionId(self.reference),
                    committed_at,
                });
            }
            Message::Commit { end } => {
                match std::mem::replace(&mut self.open, Open::No) {
                    Open::No => return Err(broken("a transaction ended that had not begun")),
                    Open::Begun(_) => self.idle_at(end, out),
                    Open::Shown => {
                        self.passed = end;
                        out.push(StreamEvent::Commit { end: Position(end) });
                    }
                };
            }
            Message::Insert { relation, new } => {
                let change = match self.carried(relation)? {
                    Some(carried) => self.insert(carried, new)?,
                    None => return Ok(()),
                };
                self.change(change, out)?;
            }
            Message::Update { relation, old, new } => {
                let change = match self.carried(relation)? {
                    Some(carried) => self.update(carried, old, new)?,
                    None => return Ok(()),
                };
                self.change(change, out)?;
            }
            Message::Delete { relation, old } => {
                let change = match self.carried(relation)? {
                    Some(carried) => Change::Delete {
                        table: self.table_id(carried),
                        before: self.before(carried, old)?,
                    },
                    None => return Ok(()),
                };
                self.change(change, out)?;
            }
            Message::Truncate { relations } => self.truncate(&relations, out)?,
            Message::Relation(_) | Message::Other => {}
        }
        Ok(())
    }

    fn change(&mut self, change: Change, out: &mut Vec<StreamEvent>) -> Result<(), Broken> {
        self.show(out)?;
        out.push(StreamEvent::Change(change));
        Ok(())
    }

    fn show(&mut self, out: &mut Vec<StreamEvent>) -> Result<(), Broken> {
        match std::mem::replace(&mut self.open, Open::Shown) {
            Open::Shown => {}
            Open::Begun(transaction) => out.push(StreamEvent::Begin(transaction)),
            Open::No => {
                self.open = Open::No;
                return Err(broken("a change outside a transaction"));
            }
        }
        Ok(())
    }

    fn carried(&self, oid: u32) -> Result<Option<&Carried>, Broken> {
        match self.known.get(&oid) {
            Some(Known::Planned(carried)) => Ok(Some(carried)),
            Some(Known::Ignored) => Ok(None),
            None => Err(broken("a change of a table that was not defined before")),
        }
    }

    fn table_id(&self, carried: &Carried) -> TableId {
        self.tables.mapping(carried.index).id
    }

    fn incomplete(&self, carried: &Carried, what: &str) -> Broken {
        Broken {
            what: what.to_owned(),
            table: Some(self.tables.mapping(carried.index).source.name.to_string()),
        }
    }

    fn row(&self, carried: &Carried, cells: Vec<Cell>) -> Result<Row, Broken> {
        carried.arrange(cells).ok_or_else(|| {
            self.incomplete(
                carried,
                "a row has another number of columns than its table",
            )
        })
    }

    fn insert(&self, carried: &Carried, new: Vec<Cell>) -> Result<Change, Broken> {
        let row = self.row(carried, new)?;
        if !row.is_complete() {
            return Err(self.incomplete(carried, "an inserted row lacks a column"));
        }
        let table = self.table_id(carried);
        Ok(Change::Insert { table, row })
    }

    fn update(
        &self,
        carried: &Carried,
        old: Option<OldTuple>,
        new: Vec<Cell>,
    ) -> Result<Change, Broken> {
        let mut row = self.row(carried, new)?;
        let whole = old.as_ref().is_some_and(|old| old.whole);
        let before = old.map(|old| self.before(carried, old)).transpose()?;
        if let (true, Some(before)) = (whole, &before) {
            // where the log has the whole old row, it has the values of the columns that stayed
            row.fill_unchanged_from(before);
        }
        let table = self.table_id(carried);
        Ok(Change::Update { table, before, row })
    }

    /// The old row, or its key alone: in a key's image the other columns are NULL whatever they were.
    fn before(&self, carried: &Carried, old: OldTuple) -> Result<Row, Broken> {
        let whole = old.whole;
        let row = self.row(carried, old.cells)?;
        if whole {
            return Ok(row);
        }
        Ok(self.tables.mapping(carried.index).key_only(&row))
    }

    fn truncate(&mut self, relations: &[u32], out: &mut Vec<StreamEvent>) -> Result<(), Broken> {
        let mut whole = Vec::new();
        let mut partial: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for oid in relations {
            let Some(carried) = self.carried(*oid)? else {
                continue;
            };
            match carried.partition {
                None => whole.push(carried.index),
                Some(partition) => {
                    partial.entry(carried.index).or_default().insert(partition);
                }
            }
        }
        for (index, emptied) in partial {
            if whole.contains(&index) {
                continue;
            }
            if self.tables.has_leaf_besides(index, &emptied) {
                let table = self.tables.mapping(index).id;
                self.change(Change::TruncatePartitions { table }, out)?;
            } else {
                whole.push(index);
            }
        }
        if whole.is_empty() {
            return Ok(());
        }
        whole.sort_unstable();
        whole.dedup();
        let tables = whole
            .into_iter()
            .map(|index| self.tables.mapping(index).id)
            .collect();
        self.change(Change::Truncate { tables }, out)
    }
}

/// The event that ends a stream.
pub fn schema_changed(differs: Differs) -> StreamEvent {
    StreamEvent::SchemaChanged {
        table: differs.table,
        what: differs.what,
        moved: Vec::new(),
    }
}

/// Progress replaces progress: only the last matters.
fn push_progress(position: u64, out: &mut Vec<StreamEvent>) {
    let position = Position(position);
    match out.last_mut() {
        Some(StreamEvent::Progress(last)) => *last = position,
        _ => out.push(StreamEvent::Progress(position)),
    }
}

#[cfg(test)]
mod tests;
