//! The report of a switch, from what was prepared and what was done.

use crossfade_control::{SwitchOrder, Traffic};
use crossfade_model::Sequence;

use crate::run::{Migration, Run};
use crate::switch::lane::Direction;
use crate::switch::prepare::Prepared;
use crate::switch::report::{
    Act, Outcome, Part, Pause, ProofSummary, Raised, Side, Step, SwitchReport,
};
use crate::switch::window::{Switched, Taken};
use crate::verify_report::VerifyReport;

/// The report of an order that is obeyed in this lane; nothing was done yet.
pub(crate) fn blank(
    home: &Migration,
    direction: Direction,
    order: &SwitchOrder,
    began: i64,
) -> SwitchReport {
    let source = Side {
        part: Part::Source,
        store: home.source.label().to_owned(),
    };
    let target = Side {
        part: Part::Target,
        store: home.target.label().to_owned(),
    };
    let (act, from, to, way_back) = match direction {
        Direction::Forward => (
            Act::Switch,
            source,
            target,
            "`crossfade rollback` gives authority back; nothing is lost as long as `crossfade run` carries changes back.",
        ),
        Direction::Reverse => (
            Act::Rollback,
            target,
            source,
            "`crossfade switch writes` goes forward again; no new copy is needed.",
        ),
    };
    SwitchReport {
        migration: home.plan.migration.clone(),
        plan: home.plan.hash(),
        act,
        traffic: Traffic::Writes,
        owner: order.owner.clone(),
        by: format!("process {}", std::process::id()),
        began,
        ended: began,
        outcome: Outcome::DryRun,
        from,
        to,
        epoch: 0,
        gates: Vec::new(),
        pause: Pause {
            within_ms: order.within_ms,
            ..Pause::default()
        },
        fence_cost_us: None,
        steps: Vec::new(),
        barrier: None,
        beginning: None,
        proof: None,
        sequences: Vec::new(),
        routes: Vec::new(),
        ended_sessions: Vec::new(),
        accepted_loss_after: None,
        way_back: way_back.to_owned(),
        audit_head: None,
    }
}

/// Of a switch that happened, and whose process did not come to tell how.
pub(crate) fn found(
    run: &Run,
    direction: Direction,
    order: &SwitchOrder,
    now: i64,
) -> SwitchReport {
    SwitchReport {
        outcome: Outcome::Done,
        ..blank(&run.home, direction, order, now)
    }
}

/// What was prepared.
pub(crate) fn prepared(report: &mut SwitchReport, prepared: &Prepared, now: i64) {
    report.epoch = prepared.epoch;
    report.pause.predicted_ms = Some(whole(prepared.predicted_ms));
    report.fence_cost_us = prepared.fence_cost.map(whole_micros);
    report.proof = Some(summary(&prepared.proof));
    report.gates.clone_from(&prepared.gates);
    steps(report, &prepared.steps, 0.0);
    report.ended = now;
}

/// What was done. `offset` is when the window began, milliseconds after the report.
pub(crate) fn switched(
    report: &mut SwitchReport,
    run: &Run,
    switched: &Switched,
    offset: f64,
    now: i64,
) {
    report.outcome = Outcome::Done;
    // as long as the window, where no probe has measured it
    report.pause.measured_ms = switched.steps.last().map(|step| whole(step.at_ms));
    report.barrier = Some(run.migration.source.show_position(switched.barrier));
    // a position of the store that takes authority
    let new: &dyn crossfade_store::Source = run.migration.sides.target.as_ref();
    report.beginning = Some(new.show_position(switched.beginning.position));
    report.proof = Some(summary(&switched.proof));
    report.sequences = switched.sequences.iter().filter_map(raised).collect();
    steps(report, &switched.steps, offset);
    report.ended = now;
}

fn raised(sequence: &Sequence) -> Option<Raised> {
    Some(Raised {
        name: sequence.name.to_string(),
        from: None,
        to: sequence.last_value?,
    })
}

fn summary(report: &VerifyReport) -> ProofSummary {
    ProofSummary {
        equal: report.tables.iter().all(|t| t.equal),
        position: report.position.clone(),
        keys: report.tables.iter().map(|t| t.rows).sum(),
        ranges: report.proof.as_ref().map_or(0, |p| p.proven),
        differences: report
            .tables
            .iter()
            .map(|t| t.differences.len() as u64)
            .sum(),
    }
}

fn steps(report: &mut SwitchReport, taken: &[Taken], offset: f64) {
    let mut before = 0.0;
    for step in taken {
        report.steps.push(Step {
            step: step.step.to_owned(),
            at_ms: whole(offset + step.at_ms),
            took_ms: whole(step.at_ms - before),
            detail: String::new(),
        });
        before = step.at_ms;
    }
}

/// Whole microseconds, rounded up: a fence that was measured is never told as costing nothing.
fn whole_micros(cost: std::time::Duration) -> u64 {
    u64::try_from(cost.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX)
}

/// Whole milliseconds; never negative.
pub(crate) fn whole(ms: f64) -> u64 {
    ms.max(0.0).round() as u64
}
