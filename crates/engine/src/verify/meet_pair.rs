//! Source and target at exactly the same position.

use std::sync::Arc;
use std::time::Duration;

use crossfade_model::{Position, Table};
use crossfade_store::{SourceSnapshot, TargetSnapshot};
use tokio::sync::mpsc;

use crate::error::EngineError;
use crate::session::Session;
use crate::verify::collect::Touched;
use crate::verify::collect::VerifyRequest;
use crate::verify::meet::{Asked, Met};
use crate::verify::pair::{Pair, ask, gone, seeing_snapshot};

/// Snapshots of the source that may be void one after another.
const MOST_TRIES: u32 = 50;

/// Both sides, open for reading: the source shows exactly what the target has applied.
pub(crate) struct MeetPair {
    pub source: Box<dyn SourceSnapshot>,
    pub target: Box<dyn TargetSnapshot>,
    pub position: Position,
}

impl MeetPair {
    /// Opens both sides so that `tables` can be read on the source.
    pub async fn open(
        session: &Arc<Session>,
        requests: &mpsc::Sender<VerifyRequest>,
        tables: &[&Table],
    ) -> Result<MeetPair, EngineError> {
        for _ in 0..MOST_TRIES {
            let opened = MeetPair::try_open(session, requests, tables).await;
            if opened.is_err() {
                // the applier need not look out any longer; if it has ended, it does not
                let _ = requests.send(VerifyRequest::CancelMeet).await;
            }
            if let Some(pair) = opened? {
                return Ok(pair);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(EngineError::stopped(
            "verify.too_busy",
            format!(
                "the source and the target could not be read at the same position: {MOST_TRIES} snapshots of the source each showed a transaction before one that the log holds earlier"
            ),
            "Run `verify` at a quieter time; the full comparison does not need one position",
        ))
    }

    async fn try_open(
        session: &Arc<Session>,
        requests: &mpsc::Sender<VerifyRequest>,
        tables: &[&Table],
    ) -> Result<Option<MeetPair>, EngineError> {
        let unseen = ask(requests, |reply| VerifyRequest::BeginMeet { reply }).await?;
        let unseen = unseen.await.map_err(gone)?;
        let mut source = seeing_snapshot(session, tables, &unseen).await?;
        let (view, horizon) = (source.snapshot().clone(), source.horizon());
        let met = ask(requests, |reply| {
            VerifyRequest::Meet(Asked {
                view,
                horizon,
                reply,
            })
        })
        .await?;
        source.wait_durable().await?;
        let paused = session.wait_for(|state| state.paused.then_some(()));
        let met = tokio::select! {
            met = met => met.map_err(gone)?,
            // the source's snapshot must not outlast a pause: begun again after it
            paused = paused => {
                paused.ok_or(EngineError::Ending)?;
                let _ = requests.send(VerifyRequest::CancelMeet).await;
                None
            }
        };
        let Some(Met { reader, position }) = met else {
            source.close().await?;
            return Ok(None);
        };
        Ok(Some(MeetPair {
            source,
            target: reader,
            position,
        }))
    }

    /// As a pair between whose sides nothing changed.
    pub fn into_pair(self, session: &Session) -> Pair {
        Pair {
            source: self.source,
            target: self.target,
            position: self.position,
            touched: session
                .tables()
                .iter()
                .map(|_| Touched::default())
                .collect(),
            pace: None,
        }
    }

    /// Ends both reads.
    pub async fn close(self) -> Result<(), EngineError> {
        self.source.close().await?;
        self.target.close().await?;
        Ok(())
    }
}
