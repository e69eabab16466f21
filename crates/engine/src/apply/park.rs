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

impl ApplierTask {
    /// Parks the row that a batch failed at, in a target transaction of its own that leaves the checkpoint where it is. True where that
    /// was done: the batch is to be decided again. False where the error has to end the attempt.
    pub(super) async fn park(&mut self, error: &EngineError) -> Result<bool, EngineError> {
        let session = Arc::clone(&self.session);
        // a switch asks for rows that are all there
        if session.switching() || session.draining() {
            return Ok(false);
        }
        if refused::is_of(error, ErrorKind::UniqueViolation) {
            return self.clear_parked().await;
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

    /// Takes away what is left on the target of parked rows: a unique value that they have given up since may be another row's by now.
    /// False where nothing was.
    async fn clear_parked(&mut self) -> Result<bool, EngineError> {
        let session = Arc::clone(&self.session);
        let (checkpoint, effects) = {
            let mut state = session.lock();
            let mut effects = Vec::new();
            for (mapping, at) in session.tables().iter().zip(&mut state.tables) {
                let keys = at.frontier.parked_rows().map(|row| row.key);
                let deletes: Vec<Row> = keys
                    .filter_map(|key| at.one_key_cells.get(&key).cloned())
                    .collect();
                if !deletes.is_empty() && !at.parked_cleared {
                    at.parked_cleared = true;
                    effects.push((mapping, deletes));
                }
            }
            (state.checkpoint, effects)
        };
        if effects.is_empty() {
            return Ok(false);
        }
        self.applier.rollback().await?;
        self.applier.begin().await?;
        for (mapping, deletes) in effects {
            let upserts = Vec::new();
            let effect = Effect::Keyed { upserts, deletes };
            let (applier, label) = (self.applier.as_mut(), session.target.label());
            keeping::apply(applier, label, mapping, &effect, MergeMode::Fast).await?;
        }
        self.applier.commit(Some(checkpoint), checkpoint).await?;
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
        self.applier
            .records(&[parked::record(&session, &key, refused)?])
            .await?;
        self.applier.commit(Some(checkpoint), checkpoint).await?;
        parked::note(&session, key, refused, entry);
        kill::point("park.durable");
        Ok(true)
    }
}
