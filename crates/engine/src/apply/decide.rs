//! What becomes of each change of a batch, under the lock that loaders share: one pass over the batch, which either
//! decides all of it or says what to wait for or to read first.

use std::borrow::Cow;
use std::collections::HashMap;

use crossfade_model::{
    Change, Key, KeyEncoder, Position, Row, TableId, TableMapping, TransactionId,
};
use crossfade_rules::frontier::{Decision, ImagePlan};
use crossfade_rules::ledger::{LedgerCounts, Outcome};
use crossfade_store::Effect;

use crate::apply::steps::{NetKey, Steps, with_key_of};
use crate::error::EngineError;

mod sight;
#[cfg(test)]
mod tests;
mod truncate;

pub(crate) use sight::Sight;

/// A committed source transaction, whole.
#[derive(Debug)]
pub(crate) struct PendingTransaction {
    pub id: TransactionId,
    pub committed_at: i64,
    pub changes: Vec<Change>,
    pub end: Position,
}

/// Rows read again by key, and what was found.
pub(crate) type Rereads = HashMap<(TableId, Key), (NetKey<'static>, Option<Row>)>;

/// A row to be read again.
#[derive(Debug, Clone)]
pub(crate) struct RereadRequest {
    pub table: TableId,
    pub key: NetKey<'static>,
    /// What the reading must see.
    pub transaction: TransactionId,
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
    steps: Steps<'a>,
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

/// Decides a batch. Under the lock, what is left is recorded as owed before it is released.
pub(crate) fn decide<'a, 't: 'a>(
    mut sight: Sight<'_>,
    tables: &'a [TableMapping],
    encoders: &'a [KeyEncoder],
    transactions: impl Iterator<Item = (TransactionId, &'t [Change])>,
    rereads: &'a Rereads,
) -> Result<Verdict, EngineError> {
    let mut pass = Pass {
        tables,
        encoders,
        rereads,
        steps: Steps::new(tables),
        ledger: HashMap::new(),
        requests: Vec::new(),
        left: false,
    };
    for ((table, _), (key, row)) in rereads {
        pass.put_reread(*table, key, row.as_ref());
    }
    for (id, changes) in transactions {
        for change in changes {
            match pass.change(&mut sight, id, change) {
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
    fn put_reread(&mut self, table: TableId, key: &NetKey<'a>, row: Option<&'a Row>) {
        match row {
            Some(row) => self.steps.put(table, key.clone(), Cow::Borrowed(row)),
            None => self.steps.delete(table, key.clone()),
        }
    }

    fn change(
        &mut self,
        sight: &mut Sight<'_>,
        t: TransactionId,
        change: &'a Change,
    ) -> Result<(), Cut> {
        match change {
            Change::Insert { table, row } => self.image(sight, t, *table, row, true),
            Change::Upsert { table, row } => self.image(sight, t, *table, row, false),
            Change::Update { table, before, row } => {
                self.update(sight, t, *table, before.as_ref(), row)
            }
            Change::Delete { table, before } => self.delete(sight, t, *table, before),
            Change::Unclear { table, key } => self.unclear(sight, t, *table, key),
            Change::Filtered { table } => {
                self.count(*table).capture(1);
                self.count(*table).settle(Outcome::Filtered);
                Ok(())
            }
            Change::Truncate { tables } => {
                for table in tables {
                    self.truncate(sight, t, *table)?;
                }
                Ok(())
            }
            Change::TruncatePartitions { table } => self.truncate_partitions(sight, t, *table),
        }
    }

    fn mapping(&self, table: TableId) -> Result<&'a TableMapping, Cut> {
        Ok(self
            .tables
            .get(table.0 as usize)
            .ok_or_else(|| EngineError::internal("a change names a table that is not mapped"))?)
    }

    fn key(&self, table: TableId, row: Cow<'a, Row>) -> Result<NetKey<'a>, Cut> {
        let mapping = self.mapping(table)?;
        let key = self.encoders[table.0 as usize].key_of(&row).map_err(|e| {
            Cut::Error(EngineError::Stopped {
                code: "engine.key",
                table: Some(mapping.called()),
                key: None,
                what: format!("a change in the log has no usable key: {e}"),
                fix: "Look at the table's replica identity and at the key columns' types"
                    .to_owned(),
            })
        })?;
        Ok(NetKey::new(key, row))
    }

    fn count(&mut self, table: TableId) -> &mut LedgerCounts {
        self.ledger.entry(table).or_default()
    }

    /// Notes the outcome of one captured change to one key. What was captured is counted where the change is taken up, so that
    /// a change which no way leads to an outcome is seen as one.
    fn settle(
        &mut self,
        sight: &mut Sight<'_>,
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
            sight.leave(table, key, to, t);
        }
    }

    /// A whole row after an insert, or at the end of a poll.
    fn image(
        &mut self,
        sight: &mut Sight<'_>,
        t: TransactionId,
        table: TableId,
        row: &'a Row,
        insert: bool,
    ) -> Result<(), Cut> {
        self.count(table).capture(1);
        if self.mapping(table)?.source.key.is_none() {
            self.require_whole(table, row)?;
            let decision = self.keyless_decision(sight, table, t)?;
            if decision == Decision::Apply {
                self.steps.insert_whole(table, row);
            }
            return Ok(());
        }
        let row = Cow::Borrowed(row);
        let key = self.key(table, row.clone())?;
        let decision = sight.decision(table, &key.key, t)?;
        self.settle(sight, table, &key.key, decision, t);
        if decision == Decision::Apply {
            if insert {
                self.steps.insert(table, key, row);
            } else {
                self.steps.put(table, key, row);
            }
        }
        Ok(())
    }

    fn update(
        &mut self,
        sight: &mut Sight<'_>,
        t: TransactionId,
        table: TableId,
        before: Option<&'a Row>,
        row: &'a Row,
    ) -> Result<(), Cut> {
        self.count(table).capture(1);
        let mapping = self.mapping(table)?;
        if mapping.source.key.is_none() {
            return self.keyless_update(sight, t, table, before, row);
        }
        let row = with_key_of(mapping, before, row);
        let new = self.key(table, row.clone())?;
        let Some(before) = before else {
            return self.update_in_place(sight, t, table, new, row);
        };
        let old = self.key(table, Cow::Borrowed(before))?;
        if old == new {
            return self.update_in_place(sight, t, table, new, row);
        }
        // a change of key is two: one goes, one comes
        self.count(table).capture(1);
        let old_decision = sight.decision(table, &old.key, t)?;
        let new_decision = sight.decision(table, &new.key, t)?;
        self.settle(sight, table, &old.key, old_decision, t);
        self.settle(sight, table, &new.key, new_decision, t);
        let plan = if row.is_complete() || new_decision != Decision::Apply {
            ImagePlan::Unneeded
        } else {
            sight.carry_or_reread(table, &old.key, &new.key, t)
        };
        match (plan, old_decision, new_decision) {
            (ImagePlan::Hold(_), _, _) => return Err(Cut::Wait(table)),
            (ImagePlan::Carry, _, _) | (ImagePlan::Unneeded, Decision::Apply, Decision::Apply) => {
                if self
                    .steps
                    .rekey(table, old.clone(), new.clone(), row)
                    .is_err()
                {
                    self.steps.delete(table, old);
                    self.request(table, new, t)?;
                }
            }
            (ImagePlan::Reread, old_decision, _) => {
                if old_decision == Decision::Apply {
                    self.steps.delete(table, old);
                }
                self.request(table, new, t)?;
            }
            (ImagePlan::Unneeded, old_decision, new_decision) => {
                if old_decision == Decision::Apply {
                    self.steps.delete(table, old);
                }
                if new_decision == Decision::Apply {
                    self.steps.put(table, new, row);
                }
            }
        }
        Ok(())
    }

    fn update_in_place(
        &mut self,
        sight: &mut Sight<'_>,
        t: TransactionId,
        table: TableId,
        key: NetKey<'a>,
        row: Cow<'a, Row>,
    ) -> Result<(), Cut> {
        let decision = sight.decision(table, &key.key, t)?;
        self.settle(sight, table, &key.key, decision, t);
        if decision != Decision::Apply {
            return Ok(());
        }
        let carry = row.is_complete()
            || match sight.carry_or_reread(table, &key.key, &key.key, t) {
                ImagePlan::Carry | ImagePlan::Unneeded => true,
                ImagePlan::Reread => false,
                ImagePlan::Hold(_) => return Err(Cut::Wait(table)),
            };
        // a whole image needs no other
        let asked = (!row.is_complete()).then(|| key.clone());
        if (!carry || self.steps.update(table, key, row).is_err())
            && let Some(key) = asked
        {
            self.request(table, key, t)?;
        }
        Ok(())
    }

    /// The row was written, and no image says what it is.
    fn unclear(
        &mut self,
        sight: &mut Sight<'_>,
        t: TransactionId,
        table: TableId,
        key: &'a Row,
    ) -> Result<(), Cut> {
        self.count(table).capture(1);
        let key = self.key(table, Cow::Borrowed(key))?;
        let decision = sight.decision(table, &key.key, t)?;
        self.settle(sight, table, &key.key, decision, t);
        if decision == Decision::Apply {
            self.request(table, key, t)?;
        }
        Ok(())
    }

    fn request(
        &mut self,
        table: TableId,
        key: NetKey<'a>,
        transaction: TransactionId,
    ) -> Result<(), Cut> {
        let key = key.into_owned(self.mapping(table)?);
        self.requests.push(RereadRequest {
            table,
            key,
            transaction,
        });
        Ok(())
    }

    fn delete(
        &mut self,
        sight: &mut Sight<'_>,
        t: TransactionId,
        table: TableId,
        before: &'a Row,
    ) -> Result<(), Cut> {
        self.count(table).capture(1);
        if self.mapping(table)?.source.key.is_none() {
            self.require_whole(table, before)?;
            let decision = self.keyless_decision(sight, table, t)?;
            if decision == Decision::Apply {
                self.steps.delete_whole(table, before);
            }
            return Ok(());
        }
        let key = self.key(table, Cow::Borrowed(before))?;
        let decision = sight.decision(table, &key.key, t)?;
        self.settle(sight, table, &key.key, decision, t);
        if decision == Decision::Apply {
            self.steps.delete(table, key);
        }
        Ok(())
    }

    /// A table without key is one chunk: any key stands for it.
    fn keyless_decision(
        &mut self,
        sight: &mut Sight<'_>,
        table: TableId,
        t: TransactionId,
    ) -> Result<Decision, Cut> {
        let any = Key(bytes::Bytes::new());
        let decision = sight.decision(table, &any, t)?;
        self.settle(sight, table, &any, decision, t);
        Ok(decision)
    }

    fn keyless_update(
        &mut self,
        sight: &mut Sight<'_>,
        t: TransactionId,
        table: TableId,
        before: Option<&'a Row>,
        row: &'a Row,
    ) -> Result<(), Cut> {
        let missing = || {
            Cut::Error(EngineError::stopped(
                "engine.keyless_update",
                "an update of a table without key came without the whole old row",
                "Set REPLICA IDENTITY FULL on the table, or give it a key",
            ))
        };
        let old = before.ok_or_else(missing)?;
        self.require_whole(table, old)?;
        self.require_whole(table, row)?;
        let decision = self.keyless_decision(sight, table, t)?;
        if decision == Decision::Apply {
            self.steps.delete_whole(table, old);
            self.steps.insert_whole(table, row);
        }
        Ok(())
    }

    fn require_whole(&self, table: TableId, row: &Row) -> Result<(), Cut> {
        if row.is_complete() {
            return Ok(());
        }
        let mapping = self.mapping(table)?;
        Err(Cut::Error(EngineError::Stopped {
            code: "engine.keyless_image",
            table: Some(mapping.called()),
            key: None,
            what: "a row of a table without key came without all its columns".to_owned(),
            fix: "Set REPLICA IDENTITY FULL on the table, or give it a key".to_owned(),
        }))
    }
}
