//! A snapshot of the source and one of the target, with the keys that changed between the two.

use std::sync::Arc;
use std::time::Duration;

use crossfade_model::{Position, Snapshot, Table, TransactionId};
use crossfade_rules::proof;
use crossfade_store::pace::Pace;
use crossfade_store::{SourceSnapshot, TargetSnapshot};
use tokio::sync::{mpsc, oneshot};

use crate::error::EngineError;
use crate::session::Session;
use crate::verify::collect::{Touched, VerifyRequest};

/// How long an applied transaction may take to become visible.
const VISIBLE_PATIENCE: Duration = Duration::from_secs(600);

/// Both sides, open for reading.
pub(crate) struct Pair {
    /// The source at S1.
    pub source: Box<dyn SourceSnapshot>,
    /// The target at p2, at or beyond S1's horizon.
    pub target: Box<dyn TargetSnapshot>,
    /// p2.
    pub position: Position,
    /// What changed from before S1 was opened up to p2, by table.
    pub touched: Vec<Touched>,
    /// That of a comparison that is not to be felt.
    pub pace: Option<Pace>,
}

impl Pair {
    /// Opens both sides so that `tables` can be read; `None` where too much changed meanwhile, or the run was paused, and
    /// it must be tried again.
    pub async fn open(
        session: &Arc<Session>,
        requests: &mpsc::Sender<VerifyRequest>,
        tables: &[&Table],
    ) -> Result<Option<Pair>, EngineError> {
        let opened = Pair::try_open(session, requests, tables).await;
        if opened.is_err() {
            // the applier need not collect any longer; if it has ended, it does not
            let _ = requests.send(VerifyRequest::Cancel).await;
        }
        opened
    }

    async fn try_open(
        session: &Arc<Session>,
        requests: &mpsc::Sender<VerifyRequest>,
        tables: &[&Table],
    ) -> Result<Option<Pair>, EngineError> {
        let unseen = ask(requests, |reply| VerifyRequest::Begin { reply }).await?;
        let unseen = unseen.await.map_err(gone)?;
        let mut source = seeing_snapshot(session, tables, &unseen).await?;
        source.wait_durable().await?;
        let horizon = source.horizon();
        let collected = ask(requests, |reply| VerifyRequest::HandOver { horizon, reply }).await?;
        let paused = session.wait_for(|state| state.paused.then_some(()));
        let collected = tokio::select! {
            collected = collected => collected.map_err(gone)?,
            // the source's snapshot must not outlast a pause: begun again after it
            paused = paused => {
                paused.ok_or(EngineError::Ending)?;
                source.close().await?;
                let _ = requests.send(VerifyRequest::Cancel).await;
                return Ok(None);
            }
        };
        if !proof::pair_is_exact(&horizon, &collected.position) {
            return Err(EngineError::internal(
                "the target was opened before the source's snapshot was reached",
            ));
        }
        let pair = Pair {
            source,
            target: collected.reader,
            position: collected.position,
            touched: collected.tables,
            pace: None,
        };
        if collected.too_much {
            pair.close().await?;
            return Ok(None);
        }
        Ok(Some(pair))
    }

    /// What the source's side sees.
    pub fn view(&self) -> &Snapshot {
        self.source.snapshot()
    }

    /// Reads slowly from now on.
    pub fn keep_pace(&mut self, pace: &Pace) {
        self.source.set_pace(pace.clone());
        self.target.set_pace(pace.clone());
        self.pace = Some(pace.clone());
    }

    /// Ends both reads.
    pub async fn close(self) -> Result<(), EngineError> {
        self.source.close().await?;
        self.target.close().await?;
        Ok(())
    }
}

pub(super) async fn ask<T>(
    requests: &mpsc::Sender<VerifyRequest>,
    request: impl FnOnce(oneshot::Sender<T>) -> VerifyRequest,
) -> Result<oneshot::Receiver<T>, EngineError> {
    let (reply, answer) = oneshot::channel();
    requests.send(request(reply)).await.map_err(gone)?;
    Ok(answer)
}

pub(super) fn gone<E>(_: E) -> EngineError {
    EngineError::Ending
}

/// A snapshot that sees every transaction applied before it was asked for.
pub(super) async fn seeing_snapshot(
    session: &Session,
    tables: &[&Table],
    unseen: &[TransactionId],
) -> Result<Box<dyn SourceSnapshot>, EngineError> {
    let begun = tokio::time::Instant::now();
    loop {
        let snapshot = session.source.open_snapshot(tables).await?;
        if proof::accept(snapshot.snapshot(), unseen).is_accepted() {
            return Ok(snapshot);
        }
        snapshot.close().await?;
        if session.stopping() {
            return Err(EngineError::Ending);
        }
        if begun.elapsed() > VISIBLE_PATIENCE {
            return Err(EngineError::stopped(
                "verify.visibility",
                "a transaction that was applied does not become visible on the source",
                "Look for a synchronous standby that does not answer",
            ));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
