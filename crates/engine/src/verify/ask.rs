//! A comparison as it was asked for: what is read, and whether what differs is repaired and compared again.

use std::sync::Arc;

use crossfade_control::Comparison;
use crossfade_plan::Projection;
use tokio::sync::mpsc;

use crate::error::EngineError;
use crate::progress::VerifyReport;
use crate::session::Session;
use crate::verify::collect::VerifyRequest;
use crate::verify::{layers, repair};

/// Compares; with `repair_rows` reads rows that differ again, and compares once more.
pub(crate) async fn compared(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    comparison: Comparison,
    projections: &[Projection],
) -> Result<VerifyReport, EngineError> {
    let report = layers::verify(session, requests, comparison.layer, projections).await?;
    let Some(cap) = comparison.repair_rows else {
        return Ok(report);
    };
    if report.tables.iter().all(|t| t.equal) {
        return Ok(report);
    }
    let (repaired, again) = repair::of_report(session, requests, &report, cap).await?;
    let mut report = if again {
        layers::verify(session, requests, comparison.layer, projections).await?
    } else {
        report
    };
    report.repair = Some(repaired);
    Ok(report)
}
