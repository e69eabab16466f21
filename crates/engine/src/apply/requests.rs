//! What comparisons ask of the applier, obeyed between two batches.

use crossfade_model::Position;
use crossfade_store::TargetSnapshot;

use crate::apply::applier::ApplierTask;
use crate::error::EngineError;
use crate::session::Session;
use crate::verify::collect::{Collector, VerifyRequest};

impl ApplierTask {
    /// Obeys one request.
    pub(super) async fn verify_request(
        &mut self,
        request: VerifyRequest,
    ) -> Result<(), EngineError> {
        match request {
            VerifyRequest::Begin { reply } => {
                self.forget_seen().await?;
                let unseen = self.session.lock().recent.clone();
                self.collector = Some(Collector::new(self.session.tables()));
                // a verify that has gone away is no reason to stop
                let _ = reply.send(unseen);
            }
            VerifyRequest::HandOver { horizon, reply } => {
                if let Some(collector) = &mut self.collector {
                    collector.hand_over(horizon, reply);
                }
                self.hand_over_collected().await?;
            }
            VerifyRequest::Cancel => self.collector = None,
            VerifyRequest::Repair(repairs) => self.repair(repairs).await?,
            meet => self.meet_request(meet).await?,
        }
        Ok(())
    }

    fn waited_long(&mut self) -> bool {
        self.collector.as_mut().is_some_and(Collector::waited_long)
    }

    /// Once the checkpoint is at the horizon that a verify waits for, opens the target's snapshot between two batches and
    /// hands both over.
    pub(super) async fn hand_over_collected(&mut self) -> Result<(), EngineError> {
        let checkpoint = self.session.lock().checkpoint;
        let due = self
            .collector
            .as_ref()
            .is_some_and(|c| c.is_due(checkpoint));
        // a row that was read again by itself may be newer than the checkpoint; where there are such rows all the time, a second
        // comparison decides
        let settled = self.session.lock().followed_beside_parked();
        if !due || !(settled || self.waited_long()) {
            return Ok(());
        }
        let (reader, checkpoint) = open_reader(&self.session).await?;
        if let Some(collector) = self.collector.take() {
            collector.deliver(reader, checkpoint);
        }
        Ok(())
    }
}

/// Opens the target's snapshot at the checkpoint, between two batches.
pub(super) async fn open_reader(
    session: &Session,
) -> Result<(Box<dyn TargetSnapshot>, Position), EngineError> {
    let checkpoint = session.lock().checkpoint;
    let reader = session.target.open_reader(&session.name).await?;
    if reader.position() != Some(checkpoint) {
        return Err(EngineError::internal(
            "the target's snapshot is at another position than its checkpoint",
        ));
    }
    Ok((reader, checkpoint))
}
