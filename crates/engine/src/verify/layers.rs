//! Which comparison is made.

use std::sync::Arc;

use crossfade_control::VerifyLayer;
use tokio::sync::mpsc;

use crate::error::EngineError;
use crate::progress::VerifyReport;
use crate::session::Session;
use crate::verify::collect::VerifyRequest;
use crate::verify::{aggregate, compare, sample};

/// Makes the comparison that was asked for.
pub(crate) async fn verify(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    layer: VerifyLayer,
) -> Result<VerifyReport, EngineError> {
    if layer == VerifyLayer::Full {
        return compare::verify(session, requests).await;
    }
    // the applier looks out for one comparison at a time
    let _turn = session.comparing.lock().await;
    let report = match layer {
        VerifyLayer::Aggregate => aggregate::verify(session, requests).await,
        VerifyLayer::Sample { millionths, seed } => {
            sample::verify(session, requests, millionths, seed).await
        }
        VerifyLayer::Full | VerifyLayer::Projections => {
            Err(EngineError::internal("no such comparison"))
        }
    };
    report.map_err(compare::told)
}
