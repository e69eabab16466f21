//! The salt of a comparison: chosen before anything is read and made known only after the end, so that nobody
//! could have fitted rows to it before they were read (a server that computes digests itself gets it with the first reading). What shows that is its hash, durable before the first row is read.

use crossfade_control::{IntentId, IntentState};
use crossfade_model::digest::Salt;
use crossfade_model::hex;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::error::EngineError;
use crate::progress::VerifyReport;
use crate::run::Run;

/// The kind of the intents that keep the hashes.
const KIND: &str = "verify";

/// A salt whose hash is durable.
pub(super) struct Committed {
    salt: Salt,
    commitment: String,
    intent: IntentId,
}

impl Committed {
    /// Chooses a salt and makes its hash durable. To be called by one comparison at a time: one that a dead process has left
    /// open is closed.
    pub async fn new(run: &Run) -> Result<Committed, EngineError> {
        let control = &run.migration.control;
        for left in control.state().await?.open_intents {
            if left.kind == KIND {
                let why = "the process ended before the comparison did".to_owned();
                control
                    .settle_intent(&run.lease, left.id, IntentState::Failed(why))
                    .await?;
            }
        }
        let salt: Salt = rand::random();
        let commitment = hex::encode(&Sha256::digest(salt));
        let detail = json!({ "commitment": commitment });
        let intent = control.record_intent(&run.lease, KIND, detail).await?;
        Ok(Committed {
            salt,
            commitment,
            intent,
        })
    }

    /// For the comparison's digests.
    pub fn salt(&self) -> &Salt {
        &self.salt
    }

    /// Ends the comparison: only one that has ended well makes its salt known.
    pub async fn end(
        self,
        run: &Run,
        outcome: Result<VerifyReport, EngineError>,
    ) -> Result<VerifyReport, EngineError> {
        let control = &run.migration.control;
        match outcome {
            Ok(mut report) => {
                let detail = json!({
                    "position": report.position,
                    "equal": report.equal,
                    "salt": hex::encode(&self.salt),
                });
                let state = IntentState::Done(detail);
                control
                    .settle_intent(&run.lease, self.intent, state)
                    .await?;
                report.salt = Some(hex::encode(&self.salt));
                report.commitment = Some(self.commitment);
                Ok(report)
            }
            Err(error) => {
                let state = IntentState::Failed(error.to_string());
                // the comparison's own error says more; what stays open is closed by the next
                let _ = control.settle_intent(&run.lease, self.intent, state).await;
                Err(error)
            }
        }
    }
}
