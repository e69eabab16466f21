//! What a switch does before it fires: everything that may take long or be refused, with writers undisturbed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossfade_control::{IntentState, SwitchOrder};
use crossfade_mapping::MappedSource;
use crossfade_model::{Finding, Register, Severity, Table, TableMapping};
use crossfade_rules::gates::{Gate, GateResult};
use crossfade_rules::switch::{Side, first, may_fence, next_epoch};
use crossfade_store::{CaptureSpec, ErrorKind, Source, Store, StoreError};
use tokio::sync::mpsc;

use crate::acting;
use crate::error::EngineError;
use crate::kill;
use crate::parked;
use crate::progress::VerifyReport;
use crate::run::Run;
use crate::session::Session;
use crate::switch::Direction;
use crate::switch::probe::{self, Probes};
use crate::switch::way_back;
use crate::switch::window::Taken;
use crate::switch::{gates, incarnation, lane, route, standbys};
use crate::verify::collect::VerifyRequest;
use crate::verify::{continuous, recheck};

/// How long to wait for the tables of the store that takes no writes to be armed.
const ARM_PATIENCE: Duration = Duration::from_secs(120);
/// How long to wait at least for those of the other one, whatever the time box is: writers do not wait meanwhile.
const ARM_LEAST: Duration = Duration::from_secs(5);
/// Touched keys are read again until they are few enough for the fence, at most so often.
const ROUNDS: u32 = 8;
/// So few are read in a moment.
const FEW_KEYS: u64 = 500;
/// What the steps inside the fence take that were not measured beforehand: five durable commits on two stores.
const STEPS_MILLIS: f64 = 60.0;

/// What a fired switch needs to know.
pub(crate) struct Prepared {
    /// The switch's epoch.
    pub epoch: u64,
    /// The lane's source, as it stands.
    pub from: Register,
    /// The lane's target, as it stands.
    pub to: Register,
    /// For how long writes are expected to wait, milliseconds.
    pub predicted_ms: f64,
    /// What was proven last.
    pub proof: VerifyReport,
    /// The gates as they stood, with overrides.
    pub gates: Vec<GateResult>,
    /// The steps, in milliseconds after the beginning.
    pub steps: Vec<Taken>,
    /// What the armed fence costs a statement that writes.
    pub fence_cost: Option<Duration>,
    /// What measures for how long writes wait, once the fence is fired.
    pub probes: Option<Probes>,
}

/// Does everything up to firing.
///
/// # Errors
/// A finding or a gate that refuses; a store's error. Nothing has changed hands; what was made stays for the next try.
pub(crate) async fn prepare(
    run: &Arc<Run>,
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    order: &SwitchOrder,
) -> Result<Prepared, EngineError> {
    let begun = Instant::now();
    let mut steps = Vec::new();
    let mut step = |step| {
        steps.push(Taken {
            step,
            at_ms: millis(begun.elapsed()),
        });
    };
    parked::finished(session).await?;
    gates::early(run, session, order).await?;
    let base = run.base();
    let sides = &run.migration.sides;
    let tables: Vec<Table> = session.source_tables().into_iter().cloned().collect();
    let others: Vec<Table> = session.target_tables().into_iter().cloned().collect();
    let others = described(sides.target.as_ref(), &others).await?;
    incarnation::same(session, sides).await?;
    standbys::ready(sides, &run.migration.standbys).await?;
    refuse(route::check(&run.home.lead).await?)?;
    refuse(sides.source.fence_findings(base, &tables).await?)?;
    refuse(sides.target.fence_findings(base, &others).await?)?;
    // behind a rollback nothing writes here until whoever rolled back runs on, which is refused then: `acting::told` says so before
    if run.direction == Direction::Forward {
        refuse(acting::behind(sides.source.as_ref(), base, session.tables()).await?)?;
    }
    step("preflight");
    let (from, to, epoch) = registers(sides, base).await?;
    gates::freeze(run, session, &tables, &others).await?;
    way_back(run, session).await?;
    sides.target.arm(base, &others, ARM_PATIENCE).await?;
    step("way_back");
    kill::point("switch.laid");
    arm(sides.source.as_ref(), base, &tables, order).await?;
    step("armed");
    kill::point("switch.armed");
    let probes = match order.dry_run {
        true => None,
        false => probe::open(sides, base).await,
    };
    let fence_cost = cost(sides.source.as_ref(), base).await;
    let (proof, predicted_ms) = approach(session, requests, order).await?;
    step("approached");
    let gates = gates::ready(run, session, order).await?;
    step("gates");
    Ok(Prepared {
        epoch,
        from,
        to,
        predicted_ms,
        proof,
        gates,
        steps,
        fence_cost,
        probes,
    })
}

/// Arms the tables of the store that has authority; whoever is in the way is waited for as long as the order allows, and ended where it
/// says so.
async fn arm(
    source: &dyn Store,
    base: &str,
    tables: &[Table],
    order: &SwitchOrder,
) -> Result<(), EngineError> {
    let within = Duration::from_millis(order.within_ms).clamp(ARM_LEAST, ARM_PATIENCE);
    let armed = if order.kill_blockers {
        match source.arm(base, tables, within / 2).await {
            Err(error) if error.kind == ErrorKind::Busy => {
                source.end_writers(base, tables).await?;
                source.arm(base, tables, within / 2).await
            }
            armed => armed,
        }
    } else {
        source.arm(base, tables, within).await
    };
    armed.map_err(in_the_way)
}

/// For people: a switch does not fail where it cannot be measured.
async fn cost(source: &dyn Store, base: &str) -> Option<Duration> {
    match source.fence_cost(base).await {
        Ok(cost) => cost,
        Err(error) => {
            tracing::info!(error = %error, "what the fence costs was not measured");
            None
        }
    }
}

/// Somebody who is in the way for too long refuses the switch: trying the whole attempt again would not make him go.
pub(crate) fn in_the_way(error: StoreError) -> EngineError {
    if error.kind != ErrorKind::Busy {
        return error.into();
    }
    let mut finding = Finding::blocks(error.code, error.store, error.what);
    finding.table = error.table;
    finding.fix = error.fix;
    EngineError::Refused {
        findings: vec![finding],
    }
}

/// Tables as the store has them now: a target's mapping holds them as they were planned.
async fn described(store: &dyn Store, tables: &[Table]) -> Result<Vec<Table>, EngineError> {
    let schema = crossfade_store::Target::describe(store).await?;
    Ok(tables
        .iter()
        .map(|table| schema.table(&table.name).unwrap_or(table).clone())
        .collect())
}

pub(crate) fn refuse(findings: Vec<Finding>) -> Result<(), EngineError> {
    if findings.iter().any(|f| f.severity == Severity::Blocks) {
        return Err(EngineError::Refused { findings });
    }
    Ok(())
}

/// Both registers, made where there are none, and the epoch at which the source's fence may be committed.
async fn registers(
    sides: &crate::switch::Sides,
    base: &str,
) -> Result<(Register, Register, u64), EngineError> {
    let (opens, waits) = (first(Side::Source), first(Side::Target));
    sides.source.make_register(base, opens).await?;
    sides.target.make_register(base, waits).await?;
    let (from, to) = tokio::try_join!(sides.source.standing(base), sides.target.standing(base))?;
    let (from, to) = (from.map(|s| s.register), to.map(|s| s.register));
    let epoch = next_epoch(from, to);
    if let (Some(from), Some(to)) = (from, to)
        && may_fence(from, to, epoch).is_ok()
    {
        return Ok((from, to, epoch));
    }
    let word = |r: Option<Register>| r.map_or_else(|| "nothing".to_owned(), |r| r.to_string());
    Err(EngineError::stopped(
        "switch.authority",
        format!(
            "the stores' registers say {} and {}: the switch needs one that is open and one that is not",
            word(from),
            word(to)
        ),
        "Another process may be switching; look at `status`, and try again",
    ))
}

/// Lays the way back: the capture on the lane's target, long before the fence, since making one waits for transactions that are
/// open then.
async fn way_back(run: &Run, session: &Session) -> Result<(), EngineError> {
    let name = run.direction.other().lane(run.base());
    let source = MappedSource::over(run.migration.sides.target.clone());
    let source = source.as_ref();
    let plan = match run.direction {
        lane::Direction::Forward => way_back::reversed_plan(&run.home).await?,
        lane::Direction::Reverse => run.home.plan.clone(),
    };
    let spec = CaptureSpec {
        replanned: None,
        migration: name.clone(),
        tables: plan.tables,
    };
    refuse(source.findings(&spec).await?)?;
    for mapping in &spec.tables {
        if !run.migration.sides.source.has_key(mapping).await? {
            return Err(keyless(mapping));
        }
    }
    if !source.made(&name).await?.is_empty() && works(source, &spec).await {
        return Ok(());
    }
    let control = &run.migration.control;
    let detail = serde_json::json!({ "lane": name, "store": source.label() });
    let intent = control
        .record_intent(&run.lease, "create_capture", detail)
        .await?;
    let start = source.create_capture(&spec).await?;
    let made = serde_json::to_value(&start.made).unwrap_or_default();
    control
        .settle_intent(&run.lease, intent, IntentState::Done(made))
        .await?;
    session
        .observer
        .event(&crate::progress::Event::CaptureCreated {
            made: start.made,
            position: source.show_position(start.position),
        });
    Ok(())
}

/// Changes that come back find their rows by what tells them apart where they are made.
fn keyless(mapping: &TableMapping) -> EngineError {
    let list = mapping.target_key_names().join(", ");
    EngineError::stopped(
        "switch.no_key_back",
        format!(
            "rows of {} would be told apart by ({list}) on their way back, and no unique index of {} is over just those columns",
            mapping.source.name, mapping.target.name
        ),
        "Make such an index there, or give the other side's table the key that this one has",
    )
}

/// Whether a capture that is there can be followed. One that cannot is made again: nothing of it is needed before the beginning is
/// noted.
async fn works(source: &dyn Source, spec: &CaptureSpec) -> bool {
    let tried = async {
        let end = source.probe(&spec.migration).await?.log_end;
        source.open_stream(spec, end).await?.next().await
    };
    match tried.await {
        Ok(_) => true,
        Err(error) => {
            tracing::warn!(error = %error, "the way back's capture does not work, and is made again");
            false
        }
    }
}

/// Comes so close that what is left fits into the fence, and measures it.
async fn approach(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    order: &SwitchOrder,
) -> Result<(VerifyReport, f64), EngineError> {
    let mut best = None;
    for _ in 0..ROUNDS {
        // proven a moment ago, or the gate would have refused
        if !gates::passes(order, Gate::Proof) {
            continuous::unproven(session, requests).await?;
        }
        let begun = Instant::now();
        let report = recheck::recheck(session, requests).await?;
        let checked = begun.elapsed();
        let read: u64 = report.tables.iter().map(|t| t.rows).sum();
        let begun = Instant::now();
        let end = session.source.probe(&session.name).await?.log_end;
        session
            .wait_for(|state| (state.checkpoint >= end).then_some(()))
            .await
            .ok_or(EngineError::Ending)?;
        let drained = begun.elapsed();
        let predicted = millis(checked) + millis(drained) + STEPS_MILLIS;
        best = Some((report, predicted));
        if read <= FEW_KEYS {
            break;
        }
    }
    best.ok_or_else(|| EngineError::internal("no proof was made before the switch"))
}

/// Refuses where rows differ: no override passes that. What was never read is the gate's to judge.
pub(crate) fn equal(report: &VerifyReport) -> Result<(), EngineError> {
    let differs = report.tables.iter().any(|t| !t.equal);
    let differ = report.proof.as_ref().map_or(0, |p| p.differ);
    if differs || differ > 0 {
        return Err(refused(
            "gate.proof",
            "rows differ between the two sides",
            "`crossfade verify` names them; `verify --repair` reads them again",
        ));
    }
    Ok(())
}

/// A refusal before anything has happened: exit code 2.
pub(crate) fn refused(code: &str, what: impl Into<String>, fix: &str) -> EngineError {
    EngineError::Refused {
        findings: vec![Finding::blocks(code, "switch", what.into()).fix(fix)],
    }
}

pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
