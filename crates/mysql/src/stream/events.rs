//! What the log brings, in the engine's words.

use std::sync::Arc;

use crossfade_model::{Change, Position, Replanned, StreamEvent, Transaction, TransactionId};
use crossfade_mysql_binlog::{Begin, Definition, End, Item, LogPosition, RowChange, TableMap};
use crossfade_store::{ErrorKind, Result, StoreError};

use super::fate::{Coming, Fates};
use super::image::{Tables, Unread};
use super::statement::{self, Altered, Effect};
use crate::lineage::Lineage;

/// Turns items into events.
pub(super) struct Events {
    tables: Tables,
    fates: Arc<Fates>,
    lineage: Arc<Lineage>,
    /// Whose log this is.
    succession: u32,
    label: Arc<str>,
    coming: Option<Coming>,
    /// The next definition that alters a table is part of the plan, if it ends by this plan's end of the log and before any row.
    passes: Option<Replanned>,
    /// Nothing after it is told: a table was altered.
    ended: bool,
}

impl Events {
    pub fn new(
        tables: Tables,
        fates: Arc<Fates>,
        lineage: Arc<Lineage>,
        label: Arc<str>,
    ) -> Events {
        Events {
            tables,
            fates,
            succession: lineage.succession(),
            lineage,
            label,
            coming: None,
            passes: None,
            ended: false,
        }
    }

    /// The stream begins where the tables were planned anew, since one was altered: that definition comes before any row of theirs, and
    /// ends by the plan's end of the log. One that moves rows is passed only where that was known when the tables were planned.
    pub fn pass_one(&mut self, replanned: Replanned) {
        self.passes = Some(replanned);
    }

    fn is_passed(&mut self, altered: &Altered, position: Position) -> bool {
        let is_planned = |replanned: &Replanned| {
            position <= replanned.log_end && (replanned.moved || altered.moved.is_empty())
        };
        self.passes.take().as_ref().is_some_and(is_planned)
    }

    /// Whether the stream has come to an altered table.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Takes the next item.
    ///
    /// # Errors
    /// What stops the stream. Events that were told before it stand.
    pub fn take(&mut self, item: Item, out: &mut Vec<StreamEvent>) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        match item {
            Item::Begin(begin) => self.begin(&begin, out),
            Item::Change(change) => self.change(&change.table, change.row, out),
            Item::Rewind { kept } => {
                self.coming()?.rewind(kept);
                Ok(())
            }
            Item::Commit(end) => self.end(&end, true, out),
            Item::Abort(end) => self.end(&end, false, out),
            Item::Definition(definition) => self.define(&definition, out),
            Item::Passed(end) => {
                progress(self.ended_at(&end, false)?, out);
                Ok(())
            }
        }
    }

    /// Where something ended, noted for the checkpoints that come.
    fn ended_at(&self, end: &End, is_transaction: bool) -> Result<Position> {
        let position = self.packed(end.position)?;
        self.lineage.note(position, end, is_transaction);
        Ok(position)
    }

    fn packed(&self, position: LogPosition) -> Result<Position> {
        position
            .pack(self.succession)
            .map_err(|e| e.into_store(&self.label))
    }

    fn coming(&mut self) -> Result<&mut Coming> {
        let label = &self.label;
        self.coming.as_mut().ok_or_else(|| {
            StoreError::new(
                ErrorKind::Internal,
                "mysql.stream",
                &**label,
                "a change came outside a transaction",
            )
        })
    }

    /// The id of a transaction: see [`crate::position`].
    fn id(&self, begin: &Begin) -> Result<u64> {
        Ok(self.packed(begin.start)?.0 + 1)
    }

    fn begin(&mut self, begin: &Begin, out: &mut Vec<StreamEvent>) -> Result<()> {
        let id = self.id(begin)?;
        self.coming = Some(Coming::new(id, self.fates.of(id)));
        out.push(StreamEvent::Begin(Transaction {
            id: TransactionId(id),
            committed_at: begin.committed_at,
        }));
        Ok(())
    }

    fn change(
        &mut self,
        map: &Arc<TableMap>,
        row: RowChange,
        out: &mut Vec<StreamEvent>,
    ) -> Result<()> {
        if !self.coming()?.row() {
            return Ok(());
        }
        let read = match row {
            RowChange::Insert { row } => self
                .tables
                .read(map, [row])
                .map(|read| read.map(|(table, [row])| Change::Insert { table, row })),
            RowChange::Update { before, after } => {
                self.tables.read(map, [before, after]).map(|read| {
                    read.map(|(table, [before, row])| Change::Update {
                        table,
                        before: Some(before),
                        row,
                    })
                })
            }
            RowChange::Delete { before } => self
                .tables
                .read(map, [before])
                .map(|read| read.map(|(table, [before])| Change::Delete { table, before })),
        };
        match read {
            Ok(change) => {
                if change.is_some() {
                    self.passes = None;
                }
                out.extend(change.map(StreamEvent::Change));
                Ok(())
            }
            Err((table, Unread::Changed(what))) => {
                self.ended = true;
                out.push(StreamEvent::SchemaChanged {
                    table,
                    what,
                    moved: Vec::new(),
                });
                Ok(())
            }
            Err((_, Unread::Failed(error))) => Err(*error),
        }
    }

    /// The end of a transaction. One of which more was handed on than has happened must come again.
    fn end(&mut self, end: &End, happened: bool, out: &mut Vec<StreamEvent>) -> Result<()> {
        let position = self.ended_at(end, happened)?;
        let Some(coming) = self.coming.take() else {
            return Err(StoreError::new(
                ErrorKind::Internal,
                "mysql.stream",
                &*self.label,
                "a transaction ended that had not begun",
            ));
        };
        if coming.is_known() || (happened && !coming.rewound) {
            out.push(StreamEvent::Commit { end: position });
            return Ok(());
        }
        let id = coming.id;
        self.fates.remember(id, coming.remains(happened));
        Err(StoreError::new(
            ErrorKind::Conflict,
            "mysql.taken_back",
            &*self.label,
            "a part of a big transaction was taken back after it had been read: it is read again without that part",
        ))
    }

    fn define(&mut self, definition: &Definition, out: &mut Vec<StreamEvent>) -> Result<()> {
        if !definition.is_utf8 && !statement::is_elsewhere(definition, &self.tables) {
            return Err(StoreError::new(
                ErrorKind::Unsupported,
                "mysql.definition",
                &*self.label,
                "the log holds a definition in a character set other than UTF-8: what it names cannot be read",
            )
            .fix("`abort` and begin again; let definitions be made by sessions that speak UTF-8"));
        }
        let effect = statement::effect(definition, &self.tables);
        let Some(end) = &definition.end else {
            return self.defined_inside(effect, out);
        };
        let position = self.ended_at(end, true)?;
        let change = match effect {
            Effect::Nothing => {
                progress(position, out);
                return Ok(());
            }
            Effect::Alters(altered) if self.is_passed(&altered, position) => {
                progress(position, out);
                return Ok(());
            }
            Effect::Alters(altered) => {
                self.altered(altered, out);
                return Ok(());
            }
            Effect::Truncates(table) => Change::Truncate {
                tables: vec![table],
            },
            Effect::TruncatesPartitions(table) => Change::TruncatePartitions { table },
        };
        out.push(StreamEvent::Begin(Transaction {
            id: TransactionId(self.id(&definition.begin)?),
            committed_at: definition.begin.committed_at,
        }));
        out.push(StreamEvent::Change(change));
        out.push(StreamEvent::Commit { end: position });
        Ok(())
    }

    /// `CREATE TABLE … SELECT`: the table is new, and its rows follow.
    fn defined_inside(&mut self, effect: Effect, out: &mut Vec<StreamEvent>) -> Result<()> {
        match effect {
            Effect::Nothing => {}
            Effect::Alters(altered) => self.altered(altered, out),
            Effect::Truncates(table) | Effect::TruncatesPartitions(table) => {
                let altered = Altered {
                    table,
                    what: "it was emptied inside a transaction".to_owned(),
                    moved: vec![table],
                };
                self.altered(altered, out);
            }
        }
        Ok(())
    }

    fn altered(&mut self, altered: Altered, out: &mut Vec<StreamEvent>) {
        self.ended = true;
        let Altered { table, what, moved } = altered;
        out.push(StreamEvent::SchemaChanged { table, what, moved });
    }
}

/// Progress takes the place of progress: only the last matters.
fn progress(position: Position, out: &mut Vec<StreamEvent>) {
    match out.last_mut() {
        Some(StreamEvent::Progress(last)) => *last = position,
        _ => out.push(StreamEvent::Progress(position)),
    }
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
