//! A comparison as it was asked for: what is read, and whether what differs is repaired and compared again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossfade_control::Comparison;
use tokio::sync::mpsc;

use crate::error::EngineError;
use crate::evidence;
use crate::progress::VerifyReport;
use crate::run::{Run, Until};
use crate::sequences::{self, SequenceProblem};
use crate::session::Session;
use crate::verify::collect::VerifyRequest;
use crate::verify::{layers, repair};

/// Compares; with `repair_rows` reads rows that differ again, and compares once more.
pub(crate) async fn compared(
    run: &Run,
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    comparison: Comparison,
) -> Result<VerifyReport, EngineError> {
    if !comparison.evidence {
        return repaired(run, session, requests, comparison).await;
    }
    // who cannot be asked must not cost a comparison
    let stores = evidence::stores(session).await?;
    let mut report = repaired(run, session, requests, comparison).await?;
    let evidence = evidence::gather(run, session, requests, stores, &report).await?;
    report.evidence = Some(Box::new(evidence));
    Ok(report)
}

async fn repaired(
    run: &Run,
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    comparison: Comparison,
) -> Result<VerifyReport, EngineError> {
    let report = layers::verify(run, session, requests, comparison).await?;
    let Some(cap) = comparison.repair_rows else {
        return Ok(report);
    };
    let behind = report
        .sequences
        .iter()
        .any(|s| s.problem == Some(SequenceProblem::Behind));
    if behind {
        sequences::raise(session, &run.migration.plan.sequences).await?;
    }
    if report.tables.iter().all(|t| t.equal) && !behind {
        return Ok(report);
    }
    // an attempt before may have repaired, and come to no report
    let alone = matches!(run.until, Until::Verified(_));
    let cap = match alone && run.repaired.swap(true, Ordering::Relaxed) {
        true => 0,
        false => cap,
    };
    let (repaired, again) = repair::of_report(session, requests, &report, cap).await?;
    let again = again || behind;
    let mut report = if again {
        layers::verify(run, session, requests, comparison).await?
    } else {
        report
    };
    report.repair = Some(repaired);
    Ok(report)
}
