//! What becomes of each change of a batch, under the lock that loaders share: one pass over the batch, which either
//! decides all of it or says what to wait for or to read first.

use std::collections::HashMap;

use crossfade_model::{
    Change, Key, KeyEncoder, Position, Row, TableId, TableMapping, TransactionId,
};
use crossfade_rules::frontier::{Decision, ImagePlan};
use crossfade_rules::ledger::LedgerCounts;
use crossfade_store::Effect;

use crate::apply::steps::{NetKey, Steps, WholeRow, net_key, with_key_of};
use crate::error::EngineError;
use crate::session::{Keying, State, TableState};

#[cfg(test)]
mod tests;
mod truncate;

/// A committed source transaction, whole.
#[derive(Debug)]
pub(crate) struct PendingTransaction {
    pub id: TransactionId,
    pub committed_at: i64,
    pub changes: Vec<Change>,
    pub end: Position,
}

/// Rows read again by key, and what was found.
pub(crate) type Rereads = HashMap<(TableId, Key), (NetKey, Option<Row>)>;

/// A row to be read again.
#[derive(Debug, Clone)]
pub(crate) struct RereadRequest {
    pub table: TableId,
    pub key: NetKey,
    /// What the reading must see.
    pub transactions: Vec<TransactionId>,
}

/// What a pass came to.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Every change has an outcome.
    Decided(Decided),
    /// A chunk of this table is loading, or its rows are there without their key.
    Wait(TableId),
    /// These rows must be read first.
    Reread(Vec<RereadRequest>),
    /// Rows of this table's copy are gone by this transaction, and nobody knows which: the table must be copied anew, by
    /// snapshots that see it.
    CopyAnew(TableId, TransactionId),
}

/// A decided batch.
#[derive(Debug)]
pub(crate) struct Decided {
    /// Effects in the order in which they are to be written.
    pub effects: Vec<(TableId, Effect)>,
    /// What to add to each table's ledger.
    pub ledger: HashMap<TableId, LedgerCounts>,
    /// Some change was left to a later snapshot.
    pub left: bool,
}

/// One pass's working state.
struct Pass<'a> {
    tables: &'a [TableMapping],
    encoders: &'a [KeyEncoder],
    rereads: &'a Rereads,
    steps: Steps,
    ledger: HashMap<TableId, LedgerCounts>,
    requests: Vec<RereadRequest>,
    left: bool,
}

/// The pass was cut short: the batch cannot be decided yet.
enum Cut {
    Wait(TableId),
    CopyAnew(TableId, TransactionId),
    Error(EngineError),
}

impl From<EngineError> for Cut {
    fn from(error: EngineError) -> Cut {
        Cut::Error(error)
    }
}

/// Decides a batch. Under the lock; what is left is recorded as owed before it is released.
pub(crate) fn decide<'a>(
    state: &mut State,
    tables: &[TableMapping],
    encoders: &[KeyEncoder],
    transactions: impl Iterator<Item = (TransactionId, &'a [Change])>,
    rereads: &Rereads,
) -> Result<Verdict, EngineError> {
    let mut pass = Pass {
        tables,
        encoders,
        rereads,
        steps: Steps::default(),
        ledger: HashMap::new(),
        requests: Vec::new(),
        left: false,
    };
    for ((table, _), (key, row)) in rereads {
        pass.put_reread(*table, key, row.as_ref());
    }
    for (id, changes) in transactions {
        for change in changes {
            match pass.change(state, id, change) {
                Ok(()) => {}
                Err(Cut::Wait(table)) => return Ok(Verdict::Wait(table)),
                Err(Cut::CopyAnew(table, t)) => return Ok(Verdict::CopyAnew(table, t)),
                Err(Cut::Error(error)) => return Err(error),
            }
        }
    }
    if !pass.requests.is_empty() {
        return Ok(Verdict::Reread(pass.requests));
    }
    Ok(Verdict::Decided(Decided {
        effects: pass.steps.finish(),
        ledger: pass.ledger,
        left: pass.left,
    }))
}

impl<'a> Pass<'a> {
    fn put_reread(&mut self, table: TableId, key: &NetKey, row: Option<&Row>) {
        match row {
            Some(row) => self.steps.put(table, key.clone(), row.clone()),
            None => self.steps.delete(table, key.clone()),
        }
    }

    fn change(&mut self, state: &mut State, t: TransactionId, change: &Change) -> Result<(), Cut> {
        match change {
            Change::Insert { table, row } => self.image(state, t, *table, row, true),
            Change::Upsert { table, row } => self.image(state, t, *table, row, false),
            Change::Update { table, before, row } => {
                self.update(state, t, *table, before.as_ref(), row)
            }
            Change::Delete { table, before } => self.delete(state, t, *table, before),
            Change::Truncate { tables } => {
                for table in tables {
                    self.truncate(state, t, *table)?;
                }
                Ok(())
            }
            Change::TruncatePartitions { table } => self.truncate_partitions(state, t, *table),
        }
    }

    fn mapping(&self, table: TableId) -> Result<&'a TableMapping, Cut> {
        Ok(self
            .tables
            .get(table.0 as usize)
            .ok_or_else(|| EngineError::internal("a change names a table that is not mapped"))?)
    }

    fn key(&self, table: TableId, row: &Row) -> Result<NetKey, Cut> {
        let mapping = self.mapping(table)?;
        net_key(mapping, &self.encoders[table.0 as usize], row).map_err(|e| {
            Cut::Error(EngineError::Stopped {
                code: "engine.key",
                table: Some(mapping.source.name.to_string()),
                key: None,
                what: format!("a change in the log has no usable key: {e}"),
                fix: "Look at the table's replica identity and at the key columns' types"
                    .to_owned(),
            })
        })
    }

    /// The decision for one key; a row that would be written to a table without its key waits.
    fn decision(
        &self,
        state: &State,
        table: TableId,
        key: &Key,
        t: TransactionId,
    ) -> Result<Decision, Cut> {
        let at: &TableState = &state.tables[table.0 as usize];
        let decision = at.frontier.decide(key, &t);
        match decision {
            Decision::Hold(_) => Err(Cut::Wait(table)),
            Decision::Apply if at.keying != Keying::Keyed => Err(Cut::Wait(table)),
            decided => Ok(decided),
        }
    }

    fn count(&mut self, table: TableId) -> &mut LedgerCounts {
        self.ledger.entry(table).or_default()
    }

    /// Notes the outcome of one captured change to one key. What was captured is counted where the change is taken up, so that
    /// a change which no way leads to an outcome is seen as one.
    fn settle(
        &mut self,
        state: &mut State,
        table: TableId,
        key: &Key,
        decision: Decision,
        t: TransactionId,
    ) {
        if let Some(outcome) = decision.outcome() {
            self.count(table).settle(outcome);
        }
        if let Decision::Leave(to) = decision {
            self.left = true;
            state.tables[table.0 as usize].frontier.leave(key, to, &t);
        }
    }

    /// A whole row after an insert, or at the end of a poll.
    fn image(
        &mut self,
        state: &mut State,
        t: TransactionId,
        table: TableId,
        row: &Row,
        insert: bool,
    ) -> Result<(), Cut> {
        self.count(table).capture(1);
        if self.mapping(table)?.source.key.is_none() {
            let whole = self.whole(table, row)?;
            let decision = self.keyless_decision(state, table, t)?;
            if decision == Decision::Apply {
                self.steps.insert_whole(table, whole);
            }
            return Ok(());
        }
        let key = self.key(table, row)?;
        let decision = self.decision(state, table, &key.key, t)?;
        self.settle(state, table, &key.key, decision, t);
        if decision == Decision::Apply {
            if insert {
                self.steps.insert(table, key, row.clone());
            } else {
                self.steps.put(table, key, row.clone());
            }
        }
        Ok(())
    }

    fn update(
        &mut self,
        state: &mut State,
        t: TransactionId,
        table: TableId,
        before: Option<&Row>,
        row: &Row,
    ) -> Result<(), Cut> {
        self.count(table).capture(1);
        let mapping = self.mapping(table)?;
        if mapping.source.key.is_none() {
            return self.keyless_update(state, t, table, before, row);
        }
        let row = &*with_key_of(mapping, before, row);
        let new = self.key(table, row)?;
        let old = match before {
            Some(before) => self.key(table, before)?,
            None => new.clone(),
        };
        if old == new {
            return self.update_in_place(state, t, table, new, row);
        }
        // a change of key is two: one goes, one comes
        self.count(table).capture(1);
        let old_decision = self.decision(state, table, &old.key, t)?;
        let new_decision = self.decision(state, table, &new.key, t)?;
        self.settle(state, table, &old.key, old_decision, t);
        self.settle(state, table, &new.key, new_decision, t);
        let frontier = &state.tables[table.0 as usize].frontier;
        let plan = if row.is_complete() || new_decision != Decision::Apply {
            ImagePlan::Unneeded
        } else {
            frontier.carry_or_reread(&old.key, &new.key, &t)
        };
        match (plan, old_decision, new_decision) {
            (ImagePlan::Hold(_), _, _) => return Err(Cut::Wait(table)),
            (ImagePlan::Carry, _, _) | (ImagePlan::Unneeded, Decision::Apply, Decision::Apply) => {
                if self
                    .steps
                    .rekey(table, old.clone(), new.clone(), row.clone())
                    .is_err()
                {
                    self.steps.delete(table, old);
                    self.request(table, new, t);
                }
            }
            (ImagePlan::Reread, old_decision, _) => {
                if old_decision == Decision::Apply {
                    self.steps.delete(table, old);
                }
                self.request(table, new, t);
            }
            (ImagePlan::Unneeded, old_decision, new_decision) => {
                if old_decision == Decision::Apply {
                    self.steps.delete(table, old);
                }
                if new_decision == Decision::Apply {
                    self.steps.put(table, new, row.clone());
                }
            }
        }
        Ok(())
    }

    fn update_in_place(
        &mut self,
        state: &mut State,
        t: TransactionId,
        table: TableId,
        key: NetKey,
        row: &Row,
    ) -> Result<(), Cut> {
        let decision = self.decision(state, table, &key.key, t)?;
        self.settle(state, table, &key.key, decision, t);
        if decision != Decision::Apply {
            return Ok(());
        }
        let carry = row.is_complete()
            || match state.tables[table.0 as usize]
                .frontier
                .carry_or_reread(&key.key, &key.key, &t)
            {
                ImagePlan::Carry | ImagePlan::Unneeded => true,
                ImagePlan::Reread => false,
                ImagePlan::Hold(_) => return Err(Cut::Wait(table)),
            };
        if !carry || self.steps.update(table, key.clone(), row.clone()).is_err() {
            self.request(table, key, t);
        }
        Ok(())
    }

    fn request(&mut self, table: TableId, key: NetKey, transaction: TransactionId) {
        self.requests.push(RereadRequest {
            table,
            key,
            transactions: vec![transaction],
        });
    }

    fn delete(
        &mut self,
        state: &mut State,
        t: TransactionId,
        table: TableId,
        before: &Row,
    ) -> Result<(), Cut> {
        self.count(table).capture(1);
        if self.mapping(table)?.source.key.is_none() {
            let whole = self.whole(table, before)?;
            let decision = self.keyless_decision(state, table, t)?;
            if decision == Decision::Apply {
                self.steps.delete_whole(table, whole);
            }
            return Ok(());
        }
        let key = self.key(table, before)?;
        let decision = self.decision(state, table, &key.key, t)?;
        self.settle(state, table, &key.key, decision, t);
        if decision == Decision::Apply {
            self.steps.delete(table, key);
        }
        Ok(())
    }

    /// A table without key is one chunk: any key stands for it.
    fn keyless_decision(
        &mut self,
        state: &mut State,
        table: TableId,
        t: TransactionId,
    ) -> Result<Decision, Cut> {
        let any = Key(bytes::Bytes::new());
        let decision = self.decision(state, table, &any, t)?;
        self.settle(state, table, &any, decision, t);
        Ok(decision)
    }

    fn keyless_update(
        &mut self,
        state: &mut State,
        t: TransactionId,
        table: TableId,
        before: Option<&Row>,
        row: &Row,
    ) -> Result<(), Cut> {
        let missing = || {
            Cut::Error(EngineError::stopped(
                "engine.keyless_update",
                "an update of a table without key came without the whole old row",
                "Set REPLICA IDENTITY FULL on the table, or give it a key",
            ))
        };
        let old = self.whole(table, before.ok_or_else(missing)?)?;
        let new = self.whole(table, row)?;
        let decision = self.keyless_decision(state, table, t)?;
        if decision == Decision::Apply {
            self.steps.delete_whole(table, old);
            self.steps.insert_whole(table, new);
        }
        Ok(())
    }

    fn whole(&self, table: TableId, row: &Row) -> Result<WholeRow, Cut> {
        let mapping = self.mapping(table)?;
        WholeRow::new(row.clone()).ok_or_else(|| {
            Cut::Error(EngineError::Stopped {
                code: "engine.keyless_image",
                table: Some(mapping.source.name.to_string()),
                key: None,
                what: "a row of a table without key came without all its columns".to_owned(),
                fix: "Set REPLICA IDENTITY FULL on the table, or give it a key".to_owned(),
            })
        })
    }
}
