//! Which comparison is made.

use std::sync::Arc;

use crossfade_control::{Comparison, VerifyLayer};
use crossfade_plan::Projection;
use tokio::sync::mpsc;

use crate::error::EngineError;
use crate::layer_report::{Layer, LayerReport, ProjectionReport};
use crate::progress::VerifyReport;
use crate::run::Run;
use crate::sequences;
use crate::session::Session;
use crate::verify::collect::VerifyRequest;
use crate::verify::compare::now;
use crate::verify::{aggregate, compare, projection, recheck, sample};

/// Makes the comparison that was asked for.
pub(crate) async fn verify(
    run: &Run,
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    comparison: Comparison,
) -> Result<VerifyReport, EngineError> {
    let projections = &run.migration.projections;
    let layer = comparison.layer;
    if layer == VerifyLayer::Full {
        let written = session.strangers.count();
        let mut report = compare::verify(run, session, requests, comparison.gentle).await?;
        if report.equal {
            session.strangers.resolve(written);
        }
        let _turn = session.comparing.lock().await;
        let found = all(session, requests, projections).await?;
        report.equal &= found.iter().all(|p| p.equal);
        report.layers.projections = found;
        report.sequences = sequences::compare(session, &run.migration.plan.sequences).await?;
        report.equal &= report.sequences.iter().all(|s| s.equal);
        report.finished = now();
        return Ok(report);
    }
    if layer == VerifyLayer::Touched {
        return recheck::recheck(session, requests).await;
    }
    // the applier looks out for one comparison at a time
    let _turn = session.comparing.lock().await;
    let report = match layer {
        VerifyLayer::Aggregate => aggregate::verify(session, requests).await,
        VerifyLayer::Sample { millionths, seed } => {
            sample::verify(session, requests, millionths, seed).await
        }
        VerifyLayer::Full | VerifyLayer::Touched | VerifyLayer::Projections => {
            alone(session, requests, projections).await
        }
    };
    report.map_err(compare::told)
}

async fn all(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    projections: &[Projection],
) -> Result<Vec<ProjectionReport>, EngineError> {
    let mut out = Vec::with_capacity(projections.len());
    for one in projections {
        out.push(projection::compare(session, requests, one).await?);
    }
    Ok(out)
}

async fn alone(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    projections: &[Projection],
) -> Result<VerifyReport, EngineError> {
    let started = now();
    let projections = all(session, requests, projections).await?;
    let last = projections.last().map(|p| p.position.clone());
    Ok(VerifyReport {
        position: last.unwrap_or_else(|| session.source.show_position(session.lock().checkpoint)),
        started,
        finished: now(),
        tables: Vec::new(),
        equal: projections.iter().all(|p| p.equal),
        layers: LayerReport {
            layer: Layer::Projections,
            projections,
            ..LayerReport::default()
        },
        ..VerifyReport::default()
    })
}
