//! The applier: decides whole source transactions in commit order, change by change, and commits
//! several in one target transaction (`commit.rs`).

use crossfade_rules::checkpoint::horizon_is_durable;
use crossfade_rules::frontier::{
    Acceptance, ChunkState, Decision, ImagePlan, LeftTo, truncate_outcome,
};
use crossfade_rules::ledger::Outcome;
use crossfade_rules::visibility::Sees;

use crate::bug::Bug;
use crate::source::{Change, Img, KEYS, Key, Row, Txn};
use crate::target::{BatchWrite, Op, Write};
use crate::world::{Batch, Event, Process, Rereads, State, World};

/// A change cannot be decided now.
struct Wait;

impl World {
    pub fn applier_events(&self, state: &State, process: &Process, events: &mut Vec<Event>) {
        let batch = &process.batch;
        if !batch.half {
            if batch.next < state.source.flushed {
                events.push(Event::Decide);
            }
            if self.scenario.retry {
                events.push(Event::BatchFails);
            }
            if let Some(key) = self.scenario.refuse
                && (!process.frontier.has_one_key(&key) && batch.ops.iter().any(|op| op.puts(key))
                    || process.frontier.ahead_of(&process.from).contains(&key))
            {
                events.push(Event::Refuse(key));
            }
            if let Some(key) = self.scenario.park.or(self.scenario.refuse)
                && batch.change == 0
                && process.frontier.due(&process.from).contains(&key)
            {
                events.push(Event::ReadParked(key));
            }
        }
        if self.may_commit_batch(state, process) {
            events.push(Event::CommitBatch);
        }
        if self.scenario.index && !state.target.index && self.says_index(process) {
            events.push(Event::BuildIndex);
        }
        if self.has(Bug::DecidedBeforeCommit) {
            let idle = |id: &u8| state.source.idle(*id) && process.early & (1 << id) == 0;
            events.extend(
                (0..self.scenario.txns.len() as u8)
                    .filter(idle)
                    .map(Event::DecideEarly),
            );
        }
        if !process.held.is_empty() {
            events.push(Event::Release);
        }
    }

    /// Whether the engine says that the table is followed.
    pub fn says_followed(&self, process: &Process) -> bool {
        if self.has(Bug::FollowedBeforeHorizon) {
            return all_loaded(process);
        }
        process.frontier.followed(&process.from)
    }

    fn says_index(&self, process: &Process) -> bool {
        if self.has(Bug::IndexBeforeHorizon) {
            return all_loaded(process);
        }
        self.says_followed(process)
    }

    fn can_decide(&self, state: &State) -> bool {
        self.decide_in(&mut state.clone()).is_ok()
    }

    pub fn may_commit_batch(&self, state: &State, process: &Process) -> bool {
        let batch = &process.batch;
        let taken = batch.next > process.from || batch.unparks || self.has(Bug::ResentNotSkipped);
        let inside = batch.change > 0;
        let whole = match self.bug {
            Some(Bug::CheckpointPastHeld) => !inside || !self.can_decide(state),
            Some(Bug::SplitTransaction) => true,
            _ => !inside,
        };
        let something = taken || inside && whole;
        let flushed = horizon_is_durable(&batch.horizon, &state.source.flushed);
        batch.half || something && whole && (flushed || self.has(Bug::FlushNotAwaited))
    }

    pub fn applier_event(&self, state: &mut State, event: Event) {
        match event {
            Event::Decide => {
                let _ = self.decide_in(state);
            }
            Event::CommitBatch => self.commit_batch(state),
            Event::BatchFails => self.batch_fails(state),
            Event::Refuse(key) => self.refuse(state, key),
            Event::ReadParked(key) => self.read_parked(state, key),
            Event::BuildIndex if state.target.duplicates() => {
                state.fault = Some("a unique index cannot be built");
            }
            Event::BuildIndex => state.target.index = true,
            Event::DecideEarly(id) => self.decide_early(state, id),
            Event::Release => self.release(state),
            _ => state.fault = Some("not an applier's event"),
        }
    }

    /// Decides the next change of the next transaction.
    fn decide_in(&self, state: &mut State) -> Result<(), Wait> {
        let process = state.process.as_ref().unwrap();
        let (place, at, early) = (process.batch.next, process.batch.change, process.early);
        let txn = state.source.txn(place);
        let changes = state.source.changes(&self.scenario, txn.id).to_vec();
        if early & (1 << txn.id) == 0 {
            let change = &changes[at as usize];
            match self.decide_change(state, change, txn) {
                Ok(()) => {}
                Err(Wait) if self.has(Bug::HeldInMemory) && !self.needs_snapshot(state, txn) => {
                    state.process.as_mut().unwrap().held.push((*change, txn));
                    settle(state, change.count(), Some(Outcome::Applied));
                }
                Err(Wait) => return Err(Wait),
            }
        } else {
            settle(state, changes[at as usize].count(), Some(Outcome::Applied));
        }
        let batch = &mut state.process.as_mut().unwrap().batch;
        if at == 0 {
            batch
                .ledger
                .capture(changes.iter().map(Change::count).sum());
        }
        let last = at as usize + 1 == changes.len();
        (batch.next, batch.change) = if last {
            (place + 1, 0)
        } else {
            (place, at + 1)
        };
        if last && self.has(Bug::ConfirmedEarly) {
            state.source.confirmed = place + 1;
        }
        Ok(())
    }

    /// Whether waiting may be for visibility rather than for a loader.
    fn needs_snapshot(&self, state: &State, txn: Txn) -> bool {
        state.source.visible & (1 << txn.id) == 0
    }

    fn decide_change(&self, state: &mut State, change: &Change, txn: Txn) -> Result<(), Wait> {
        match *change {
            Change::Put(key, row, _) => self.one_half(state, key, txn, Op::Put(key, row)),
            Change::Delete(key) => self.one_half(state, key, txn, Op::Delete(key)),
            Change::Add(key) => self.one_half(state, 0, txn, Op::Count(key, true)),
            Change::Remove(key) => self.one_half(state, 0, txn, Op::Count(key, false)),
            Change::Truncate => self.truncate(state, txn),
            Change::Update { old, new, img, .. } => self.update(state, old, new, img, txn),
        }
    }

    fn decide(&self, state: &State, key: Key, txn: Txn) -> Result<Decision, Wait> {
        let frontier = &state.process.as_ref().unwrap().frontier;
        match frontier.decide(&key, &txn) {
            Decision::Hold(chunk) if self.has(Bug::HoldTreatedAsLeave) => {
                Ok(Decision::Leave(LeftTo::Chunk(chunk)))
            }
            Decision::Hold(_) => Err(Wait),
            decision => Ok(decision),
        }
    }

    /// Records what follows from a decision; `Apply` is the caller's.
    fn record(&self, state: &mut State, key: Key, txn: Txn, decision: Decision) {
        let forgets = self.has(Bug::ParkedNotOwed) && decision == Decision::Leave(LeftTo::Key);
        if let Decision::Leave(to) = decision
            && !forgets
        {
            state
                .process
                .as_mut()
                .unwrap()
                .frontier
                .leave(&key, to, &txn);
        }
        settle(state, 1, decision.outcome());
    }

    fn one_half(&self, state: &mut State, key: Key, txn: Txn, op: Op) -> Result<(), Wait> {
        let decision = self.decide(state, key, txn)?;
        self.record(state, key, txn, decision);
        if decision == Decision::Apply {
            push(state, op);
        }
        Ok(())
    }

    fn truncate(&self, state: &mut State, txn: Txn) -> Result<(), Wait> {
        let parts = state.process.as_ref().unwrap().frontier.truncate(&txn);
        let outcome = truncate_outcome(&parts);
        if outcome.is_none() && !self.has(Bug::HoldTreatedAsLeave) {
            return Err(Wait);
        }
        let mut keys = 0_u8;
        let mut leave = Vec::new();
        for part in &parts {
            for key in (0..KEYS as u8).filter(|key| part.bounds.contains(key)) {
                let own = part.other_keys.iter().find(|(other, _)| *other == key);
                let own = own.filter(|_| !self.has(Bug::TruncateTakesOneKey));
                let decision = own.map_or(part.decision, |(_, decision)| *decision);
                match decision {
                    Decision::Apply => keys |= 1 << key,
                    Decision::Leave(LeftTo::Chunk(_))
                        if self.has(Bug::TruncateAppliedToPending) =>
                    {
                        keys |= 1 << key;
                    }
                    Decision::Leave(to) => leave.push((key, to)),
                    Decision::Skip | Decision::Hold(_) => {}
                }
            }
        }
        let frontier = &mut state.process.as_mut().unwrap().frontier;
        for (key, to) in leave {
            frontier.leave(&key, to, &txn);
        }
        settle(state, 1, outcome.or(Some(Outcome::Left)));
        if keys != 0 {
            push(state, Op::Truncate(keys));
        }
        Ok(())
    }

    fn update(
        &self,
        state: &mut State,
        old: Key,
        new: Key,
        img: Img,
        txn: Txn,
    ) -> Result<(), Wait> {
        let old_half = self.decide(state, old, txn)?;
        let new_half = match self.bug {
            Some(Bug::KeyChangeByOldKey) => old_half,
            _ => self.decide(state, new, txn)?,
        };
        let plan = self.plan(state, old, new, old_half, txn)?;
        let applies = (old_half == Decision::Apply, new_half == Decision::Apply);
        let reread = applies.1 && img.b.is_none() && plan == ImagePlan::Reread;
        // Read first: nothing may be recorded if it has to wait.
        let read = match reread {
            true => Some(self.read_one_key(state, new, Some(txn))?),
            false => None,
        };
        if let Some(row) = read
            && self.rereads == Rereads::First
        {
            begin_batch_with(state, new, row);
            return Err(Wait);
        }
        if old != new {
            self.record(state, old, txn, old_half);
        }
        self.record(state, new, txn, new_half);
        let put = |row| put_or_delete(new, row);
        let op = match (img.b, plan) {
            _ if !applies.1 => None,
            (Some(b), _) => Some(put(Some(Row { a: img.a, b }))),
            (None, ImagePlan::Carry) if self.has(Bug::CarriedFromNewKey) => {
                Some(Op::Update { old: new, new, img })
            }
            (None, ImagePlan::Carry) => Some(Op::Update { old, new, img }),
            (None, _) => read.map(put),
        };
        let moves = matches!(op, Some(Op::Update { old, new, .. }) if old != new);
        if applies.0 && old != new && !moves {
            push(state, Op::Delete(old));
        }
        if let Some(op) = op {
            push(state, op);
        }
        Ok(())
    }

    fn plan(
        &self,
        state: &State,
        old: Key,
        new: Key,
        old_half: Decision,
        txn: Txn,
    ) -> Result<ImagePlan, Wait> {
        let frontier = &state.process.as_ref().unwrap().frontier;
        match (frontier.carry_or_reread(&old, &new, &txn), old_half) {
            (ImagePlan::Reread, Decision::Leave(_)) if self.has(Bug::CarriedWhenLeft) => {
                Ok(ImagePlan::Carry)
            }
            (ImagePlan::Reread, Decision::Skip) if self.has(Bug::CarriedWhenCovered) => {
                Ok(ImagePlan::Carry)
            }
            (ImagePlan::Hold(_), _) if self.has(Bug::HoldTreatedAsLeave) => Ok(ImagePlan::Unneeded),
            (ImagePlan::Hold(_), _) => Err(Wait),
            (plan, _) => Ok(plan),
        }
    }

    /// Reads the row of `key` by itself under a snapshot that sees all it must, and gives it a frontier.
    fn read_one_key(
        &self,
        state: &mut State,
        key: Key,
        txn: Option<Txn>,
    ) -> Result<Option<Row>, Wait> {
        let snapshot = self.snapshot(&state.source);
        let horizon = state.source.end();
        let process = state.process.as_mut().unwrap();
        let accepted = process
            .frontier
            .accept_one_key(&key, &snapshot, txn.as_ref());
        if accepted == Acceptance::Again && !self.has(Bug::OneKeyNeedNotSee) {
            return Err(Wait);
        }
        if !self.has(Bug::OneKeyWithoutFrontier) {
            process.frontier.stage_one_key(key, snapshot, horizon);
        }
        process.batch.horizon = process.batch.horizon.max(horizon);
        let table = state.source.at_snapshot(&self.scenario, &snapshot);
        Ok(table[key as usize].map(|stored| stored.row))
    }

    /// Reads a parked key again, as a repair does: at a snapshot that sees every transaction which was applied.
    fn read_parked(&self, state: &mut State, key: Key) {
        let snapshot = self.snapshot(&state.source);
        let mut applied = 0..state.process.as_ref().unwrap().from;
        if !applied.all(|place| snapshot.sees(&state.source.txn(place))) {
            return;
        }
        if let Ok(row) = self.read_one_key(state, key, None) {
            state.process.as_mut().unwrap().batch.unparks = true;
            match self.rereads {
                Rereads::InPlace => push(state, put_or_delete(key, row)),
                Rereads::First => begin_batch_with(state, key, row),
            }
        }
    }

    /// The batch's target transaction fails at a row: its key is parked by a transaction of its own that leaves the checkpoint where it is,
    /// and the batch is decided again.
    fn refuse(&self, state: &mut State, key: Key) {
        if self.has(Bug::RefusedSkipped) {
            let batch = &mut state.process.as_mut().unwrap().batch;
            return batch.ops.retain(|op| !op.puts(key));
        }
        let process = state.process.as_ref().unwrap();
        // a row that was read too early is taken off the target with it
        let gone = process.frontier.has_one_key(&key);
        let write = BatchWrite::parks(key, gone, process.from);
        self.run(state, &Write::Batch(write));
        self.batch_fails(state);
        state.process.as_mut().unwrap().frontier.park(key);
    }

    fn batch_fails(&self, state: &mut State) {
        let process = state.process.as_mut().unwrap();
        process.batch = Batch {
            next: process.from,
            ..Batch::default()
        };
        if !self.has(Bug::StagedNotDiscarded) {
            process.frontier.discard_staged();
        }
    }

    fn decide_early(&self, state: &mut State, id: u8) {
        let txn = Txn { id, end: u8::MAX };
        let before = state.clone();
        for change in &self.scenario.txns[id as usize] {
            let ledger = state.process.as_ref().unwrap().batch.ledger;
            if self.decide_change(state, change, txn).is_err() {
                *state = before;
                return;
            }
            state.process.as_mut().unwrap().batch.ledger = ledger;
        }
        state.process.as_mut().unwrap().early |= 1 << id;
    }

    fn release(&self, state: &mut State) {
        let (change, txn) = state.process.as_ref().unwrap().held[0];
        let ledger = state.process.as_ref().unwrap().batch.ledger;
        if self.decide_change(state, &change, txn).is_err() {
            return;
        }
        let process = state.process.as_mut().unwrap();
        process.held.remove(0);
        process.batch.ledger = ledger;
        process.batch.unparks = true;
    }
}

fn all_loaded(process: &Process) -> bool {
    let loaded = |state| matches!(state, ChunkState::Loaded | ChunkState::Settled);
    process
        .frontier
        .chunks()
        .all(|id| loaded(process.frontier.state(id)))
}

fn put_or_delete(key: Key, row: Option<Row>) -> Op {
    row.map_or(Op::Delete(key), |row| Op::Put(key, row))
}

/// The batch is decided again, after a row that was read.
fn begin_batch_with(state: &mut State, key: Key, row: Option<Row>) {
    let process = state.process.as_mut().unwrap();
    let mut reads = std::mem::take(&mut process.batch.reads);
    reads.retain(|(other, _)| *other != key);
    reads.push((key, row));
    reads.sort_by_key(|(key, _)| *key);
    process.batch = Batch {
        next: process.from,
        ops: reads
            .iter()
            .map(|(key, row)| put_or_delete(*key, *row))
            .collect(),
        reads,
        horizon: process.batch.horizon,
        unparks: process.batch.unparks,
        ..Batch::default()
    };
}

fn push(state: &mut State, op: Op) {
    state.process.as_mut().unwrap().batch.ops.push(op);
}

fn settle(state: &mut State, count: u64, outcome: Option<Outcome>) {
    let ledger = &mut state.process.as_mut().unwrap().batch.ledger;
    for outcome in (0..count).filter_map(|_| outcome) {
        ledger.settle(outcome);
    }
}
