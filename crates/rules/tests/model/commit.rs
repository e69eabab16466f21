//! The applier's target transaction.

use crossfade_rules::frontier::ChunkState;

use crate::bug::Bug;
use crate::target::{BatchWrite, Write};
use crate::world::{Batch, Process, State, World};

impl World {
    /// The batch's target transaction, as it would be now.
    pub fn batch_write(&self, state: &State) -> Write {
        let process = state.process.as_ref().unwrap();
        let batch = &process.batch;
        let past_held = self.has(Bug::CheckpointPastHeld) && batch.change > 0;
        let to = process.from.max(batch.next + u8::from(past_held));
        let mut one_key: Vec<_> = process.frontier.parked_rows().collect();
        if !self.has(Bug::OneKeyOnlyInMemory) && !self.has(Bug::OneKeyEndsWithBatch) {
            one_key.extend(process.frontier.staged_rows());
        }
        let owed = process.frontier.owed_rows().collect();
        Write::Batch(BatchWrite {
            keyless: self.scenario.keyless,
            ops: batch.ops.clone(),
            checkpoint: Some((process.from, to)),
            owed: (!self.has(Bug::OwedOnlyInMemory)).then_some(owed),
            one_key,
            captured: batch.ledger.captured,
            settled: batch.ledger.settled(),
        })
    }

    fn prune(&self, state: &mut State) {
        let mut probe = self.snapshot(&state.source);
        if self.has(Bug::OwedPrunedWhenLogged) {
            probe.mask = state.source.log.iter().fold(0, |mask, id| mask | 1 << id);
        }
        let process = state.process.as_mut().unwrap();
        let loading: Vec<_> = process
            .frontier
            .chunks()
            .filter(|id| process.frontier.state(*id) == ChunkState::Loading)
            .filter(|_| self.has(Bug::OwedPrunedWhileLoading))
            .collect();
        for id in &loading {
            let _ = process.frontier.lost(*id);
        }
        process.frontier.prune_owed(&probe);
        for id in &loading {
            let _ = process.frontier.begin_loading(*id);
        }
    }

    pub fn commit_batch(&self, state: &mut State) {
        self.prune(state);
        let Write::Batch(mut write) = self.batch_write(state) else {
            return;
        };
        let half = state.process.as_ref().unwrap().batch.half;
        match self.bug {
            Some(Bug::CheckpointBeforeRows) if half => write.checkpoint = None,
            Some(Bug::CheckpointAfterRows) if half => write.ops.clear(),
            Some(Bug::CheckpointBeforeRows) => {
                write.ops.clear();
                (write.captured, write.settled, write.one_key) = (0, 0, Vec::new());
            }
            Some(Bug::CheckpointAfterRows) => {
                write.checkpoint = None;
                (write.captured, write.settled, write.owed) = (0, 0, None);
            }
            Some(Bug::SplitTransaction) if state.process.as_ref().unwrap().batch.change > 0 => {
                (write.captured, write.settled) = (0, 0);
            }
            _ => {}
        }
        let two = self.has(Bug::CheckpointBeforeRows) || self.has(Bug::CheckpointAfterRows);
        let to = write.checkpoint.map(|(_, to)| to);
        self.run(state, &Write::Batch(write));
        let end = state.source.end();
        if let Some(to) = to {
            state.source.confirmed = state.source.confirmed.max(to);
        }
        let process = state.process.as_mut().unwrap();
        if two && !half {
            process.batch.half = true;
            return;
        }
        self.after_commit(process, to.unwrap_or(process.batch.next), end);
    }

    fn after_commit(&self, process: &mut Process, to: u8, source_end: u8) {
        let past_held = self.has(Bug::CheckpointPastHeld) && process.batch.change > 0;
        let split = self.has(Bug::SplitTransaction) && process.batch.change > 0;
        let batch = std::mem::take(&mut process.batch);
        process.from = to;
        process.batch = Batch {
            next: batch.next,
            ..Batch::default()
        };
        if past_held || split {
            process.batch.change = batch.change;
            process.batch.ledger = batch.ledger;
        }
        if self.has(Bug::OneKeyEndsWithBatch) {
            process.frontier.discard_staged();
        } else {
            process.frontier.commit_staged();
        }
        let settled = if self.has(Bug::SettledAtSourceEnd) {
            source_end
        } else {
            to
        };
        process.frontier.settle(&settled);
    }
}
