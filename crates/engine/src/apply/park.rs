//! A row that the target refuses in the stream is parked: everything else goes on without it.
//!
//! Its key waits in quarantine with what the target said, and, durably, in the frontier: from there on its changes are left to the reading
//! that will take it up again ([`crate::parked`]). No image of it is kept, so none can be written over a newer one.

use std::sync::Arc;

use crossfade_model::{Key, Row};
use crossfade_store::{Effect, ErrorKind, MergeMode};

use crate::apply::applier::ApplierTask;
use crate::apply::keeping;
use crate::error::EngineError;
use crate::kill;
use crate::parked::{self, MOST_PARKED};
use crate::refused::{self, Refused};
use crate::session::Keying;

impl ApplierTask {
    /// Parks the row that a batch failed at, in a target transaction of its own that leaves the checkpoint where it is. True where that
    /// was done: the batch is to be decided again. False where the error has to end the attempt.
    pub(super) async fn park(&mut self, error: &EngineError) -> Result<bool, EngineError> {
        let session = Arc::clone(&self.session);
        if refused::is_of(error, ErrorKind::UniqueViolation) {
            return self.out_of_the_way().await;
        }
        let others = session.lock().parked();
        let Some(refused) = session.refused().take() else {
            return Ok(false);
        };
        let done = match parked::key_of(&session, &refused)? {
            Some(key) if others < MOST_PARKED => self.park_key(key, &refused).await?,
            _ => false,
        };
        if !done {
            *session.refused() = Some(refused);
        }
        Ok(done)
    }

    /// Takes every row off the target that is not of the checkpoint, since a unique value that it has may be another row's there: what is left
    /// of parked rows, and rows that were read by themselves and are newer, which are parked with it and read again later. Then only rows of
    /// the checkpoint are in each other's way. False where there was none.
    async fn out_of_the_way(&mut self) -> Result<bool, EngineError> {
        let session = Arc::clone(&self.session);
        let (checkpoint, uneven) = {
            let state = session.lock();
            let checkpoint = state.checkpoint;
            let mut uneven = Vec::new();
            for (mapping, at) in session.tables().iter().zip(&state.tables) {
                if at.keying != Keying::Keyed {
                    continue;
                }
                let ahead = at.frontier.ahead_of(&checkpoint);
                if ahead.is_empty() && (at.parked_cleared || at.frontier.parked_count() == 0) {
                    continue;
                }
                let parked = at.frontier.parked_rows().map(|row| row.key);
                let gone: Vec<Row> = parked
                    .chain(ahead.iter().cloned())
                    .filter_map(|key| at.one_key_cells.get(&key).cloned())
                    .collect();
                uneven.push((mapping, gone, ahead));
            }
            (checkpoint, uneven)
        };
        if uneven.is_empty() {
            return Ok(false);
        }
        self.applier.rollback().await?;
        self.applier.begin().await?;
        let mut records = Vec::new();
        for (mapping, gone, ahead) in &uneven {
            let effect = Effect::Keyed {
                upserts: Vec::new(),
                deletes: gone.clone(),
            };
            let (applier, label) = (self.applier.as_mut(), session.target.label());
            keeping::apply(applier, label, mapping, &effect, MergeMode::Fast).await?;
            for key in ahead {
                records.push(parked::record(&session, mapping.id, key)?);
            }
        }
        self.applier.records(&records).await?;
        self.applier.commit(Some(checkpoint), checkpoint).await?;
        let mut state = session.lock();
        for (mapping, _, ahead) in uneven {
            // at once: nothing is wrong with these rows
            state.parked_changed |= !ahead.is_empty();
            let at = &mut state.tables[mapping.id.0 as usize];
            at.parked_cleared = true;
            for key in ahead {
                at.frontier.park(key);
            }
        }
        Ok(true)
    }

    async fn park_key(&mut self, key: Key, refused: &Refused) -> Result<bool, EngineError> {
        let session = Arc::clone(&self.session);
        // before it is parked: a row that waits and is not named would be nobody's to look after
        let Some(entry) = refused::enter(&session, refused).await? else {
            return Ok(false);
        };
        kill::point("park.entered");
        let checkpoint = session.lock().checkpoint;
        self.applier.rollback().await?;
        self.applier.begin().await?;
        session.lock().tables[refused.id.0 as usize]
            .one_key_cells
            .insert(key.clone(), refused.cells.clone());
        let record = parked::record(&session, refused.id, &key)?;
        self.applier.records(&[record]).await?;
        self.applier.commit(Some(checkpoint), checkpoint).await?;
        parked::note(&session, key, refused, entry);
        kill::point("park.durable");
        Ok(true)
    }
}
