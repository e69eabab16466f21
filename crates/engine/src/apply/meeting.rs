//! The applier's part of a rendezvous: stops between two transactions for the target's snapshot, and goes on.

use crossfade_model::{Position, TransactionId};

use crate::apply::applier::ApplierTask;
use crate::apply::decide::{Decided, PendingTransaction};
use crate::apply::requests::open_reader;
use crate::error::EngineError;
use crate::verify::collect::VerifyRequest;
use crate::verify::meet::{Asked, Meeting, Met, Next};

impl ApplierTask {
    /// Begins, ends or gives up a meeting.
    pub(super) async fn meet_request(&mut self, request: VerifyRequest) -> Result<(), EngineError> {
        match request {
            VerifyRequest::BeginMeet { reply } => {
                self.forget_seen().await?;
                let unseen = self.session.lock().recent.clone();
                self.meeting = Some(Meeting::new());
                // a verify that has gone away is no reason to stop
                let _ = reply.send(unseen);
            }
            VerifyRequest::Meet(asked) => self.meet(asked).await?,
            _ => self.meeting = None,
        }
        Ok(())
    }

    async fn meet(&mut self, asked: Asked) -> Result<(), EngineError> {
        if let Some(meeting) = self.meeting.take() {
            self.meeting = meeting.ask(asked);
        }
        self.meet_at_horizon().await
    }

    /// Applies a batch, cut where a meeting is to take place.
    pub(super) async fn meeting_batch(
        &mut self,
        mut transactions: Vec<PendingTransaction>,
        ahead: Option<Decided>,
        end: Option<Position>,
    ) -> Result<(), EngineError> {
        if self.meeting.is_none() {
            return self.batch(transactions, ahead, end).await;
        }
        let mut at = 0;
        while self.meeting.is_some() && at < transactions.len() {
            let next = &transactions[at];
            let before = at.checked_sub(1).map(|last| transactions[last].end);
            if !next.changes.is_empty() && self.looks_at(before, next.id, next.end) == Next::Stop {
                let rest = transactions.split_off(at);
                let end = transactions.last().map(|t| t.end);
                self.batch(std::mem::replace(&mut transactions, rest), None, end)
                    .await?;
                self.meet_here().await?;
                // the same one again: it may lie beyond the horizon
                at = 0;
                continue;
            }
            at += 1;
        }
        self.batch(transactions, None, end).await
    }

    /// Stops before a transaction that is applied alone, where a meeting is to take place there.
    pub(super) async fn meeting_big(
        &mut self,
        id: TransactionId,
        end: Position,
    ) -> Result<(), EngineError> {
        if self.meeting.is_some() && self.looks_at(None, id, end) == Next::Stop {
            self.meet_here().await?;
            self.looks_at(None, id, end);
        }
        Ok(())
    }

    /// What the next transaction means for the meeting, whose end is told. `before`: what is applied first, where not all is yet.
    fn looks_at(&mut self, before: Option<Position>, id: TransactionId, end: Position) -> Next {
        // the source sends again what a restart finds applied
        let checkpoint = self.session.lock().checkpoint;
        if crossfade_rules::checkpoint::already_applied(&end, Some(&checkpoint)) {
            return Next::Apply;
        }
        let Some(meeting) = &mut self.meeting else {
            return Next::Apply;
        };
        let checkpoint = before.map_or(checkpoint, |end| end.max(checkpoint));
        let next = meeting.next(checkpoint, (id, end));
        if matches!(next, Next::Void | Next::Met)
            && let Some(meeting) = self.meeting.take()
        {
            meeting.end(next == Next::Met);
        }
        next
    }

    /// Opens the target's snapshot between two batches.
    async fn meet_here(&mut self) -> Result<(), EngineError> {
        // the batch before may have come to the horizon
        if !matches!(self.meeting, Some(Meeting::Before(_))) {
            return Ok(());
        }
        // a row that was read again by itself may be newer than the checkpoint
        if !self.session.lock().followed_beside_parked() {
            if let Some(meeting) = self.meeting.take() {
                meeting.end(false);
            }
            return Ok(());
        }
        let (reader, position) = open_reader(&self.session).await?;
        self.meeting = self
            .meeting
            .take()
            .map(|meeting| meeting.at(Met { reader, position }));
        Ok(())
    }

    /// Ends the meeting once the checkpoint is at the horizon: nothing beyond is seen by the source's side.
    pub(super) async fn meet_at_horizon(&mut self) -> Result<(), EngineError> {
        let checkpoint = self.session.lock().checkpoint;
        let passed = self.meeting.as_ref().map(|m| m.passed(checkpoint));
        let Some((true, open)) = passed else {
            return Ok(());
        };
        if !open {
            self.meet_here().await?;
        }
        if let Some(meeting) = self.meeting.take() {
            meeting.end(true);
        }
        Ok(())
    }
}
