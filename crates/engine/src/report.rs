//! Progress, about twice a second, to the observer and the control store.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossfade_plan::Phase;
use crossfade_store::Made;

use crate::error::EngineError;
use crate::progress::{
    Lag, Progress, TableLedger, TableProgress, TableState as Stage, VerifySummary,
};
use crate::run::Run;
use crate::session::{Keying, Session, TableState};
use crate::switch::Direction;

const EVERY: Duration = Duration::from_millis(500);

/// What rates are computed from.
struct Rates {
    at: Instant,
    rows: u64,
    changes: u64,
    rows_per_second: f64,
    changes_per_second: f64,
}

impl Rates {
    fn new(session: &Session) -> Rates {
        let (rows, changes) = counts(session);
        Rates {
            at: Instant::now(),
            rows,
            changes,
            rows_per_second: 0.0,
            changes_per_second: 0.0,
        }
    }

    fn update(&mut self, session: &Session) {
        let seconds = self.at.elapsed().as_secs_f64();
        if seconds < 0.2 {
            return;
        }
        let (rows, changes) = counts(session);
        let smooth = |old: f64, new: f64| {
            if old == 0.0 {
                new
            } else {
                old * 0.6 + new * 0.4
            }
        };
        self.rows_per_second = smooth(
            self.rows_per_second,
            rows.saturating_sub(self.rows) as f64 / seconds,
        );
        self.changes_per_second = smooth(
            self.changes_per_second,
            changes.saturating_sub(self.changes) as f64 / seconds,
        );
        (self.at, self.rows, self.changes) = (Instant::now(), rows, changes);
    }
}

fn counts(session: &Session) -> (u64, u64) {
    let state = session.lock();
    (
        state.tables.iter().map(|t| t.copied_rows).sum(),
        state.tables.iter().map(|t| t.ledger.captured).sum(),
    )
}

/// Reports until the attempt stops.
pub(crate) async fn run(run: Arc<Run>, session: Arc<Session>) -> Result<(), EngineError> {
    let mut stop = session.stop.clone();
    let mut rates = Rates::new(&session);
    let first_changes = rates.changes;
    let made = session.source.made(&session.name).await?;
    loop {
        rates.update(&session);
        let kept = kept(&run).await?;
        let progress = progress(run.direction, &session, &rates, first_changes, &made, kept);
        run.observer.progress(&progress);
        let value = serde_json::to_value(&progress).ok();
        run.migration.control.heartbeat(&run.lease, value).await?;
        tokio::select! {
            _ = stop.changed() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// The last word of an attempt, so that `status` shows where it ended.
pub(crate) async fn last(run: &Run, session: &Session) {
    let rates = Rates::new(session);
    let made = session.source.made(&session.name).await.unwrap_or_default();
    let kept = kept(run).await.unwrap_or_default();
    let progress = progress(run.direction, session, &rates, rates.changes, &made, kept);
    run.observer.progress(&progress);
    if let Ok(value) = serde_json::to_value(&progress) {
        // for people only: the run's outcome does not depend on it
        let _ = run
            .migration
            .control
            .heartbeat(&run.lease, Some(value))
            .await;
    }
}

/// What the control store keeps that a snapshot shows.
#[derive(Default)]
struct Kept {
    last_verified: Option<VerifySummary>,
    phase: Phase,
}

async fn kept(run: &Run) -> Result<Kept, EngineError> {
    let state = run.migration.control.state().await?;
    let report = state
        .report
        .and_then(|r| serde_json::from_value::<crate::progress::VerifyReport>(r).ok());
    Ok(Kept {
        last_verified: report.map(|r| r.summary()),
        phase: state.phase,
    })
}

fn progress(
    direction: Direction,
    session: &Session,
    rates: &Rates,
    first_changes: u64,
    made: &[Made],
    kept: Kept,
) -> Progress {
    let gates = session.gates().shown().to_vec();
    let state = session.lock();
    let followed = state.followed();
    let shown_followed = state.followed_beside_parked();
    let tables: Vec<TableProgress> = session
        .tables()
        .iter()
        .zip(&state.tables)
        .map(|(mapping, table)| TableProgress {
            name: mapping.called(),
            estimated_rows: mapping.source.estimated_rows,
            copied_rows: table.copied_rows,
            chunks_total: table.frontier.chunk_count() as u64,
            chunks_loaded: {
                let p = table.frontier.progress();
                (p.loaded + p.settled) as u64
            },
            state: stage(table),
        })
        .collect();
    let ledger = session
        .tables()
        .iter()
        .zip(&state.tables)
        .map(|(mapping, table)| TableLedger {
            name: mapping.called(),
            counts: table.ledger,
            balanced: table.ledger.balances(),
        })
        .collect();
    let source = &session.source;
    let behind = state.source_end > state.checkpoint;
    let seconds = if behind && state.applied_commit_time > 0 {
        ((now_micros() - state.applied_commit_time) as f64 / 1e6).max(0.0)
    } else {
        0.0
    };
    Progress {
        at: now_micros() / 1000,
        epoch: session.tenure.state().epoch,
        phase: if direction == Direction::Reverse {
            Phase::WritesSwitched
        } else if shown_followed && state.finished && kept.phase.is_followed() {
            kept.phase
        } else if shown_followed && state.finished {
            Phase::Following
        } else {
            Phase::Copying
        },
        paused: state.paused,
        activity: activity(&state).to_owned(),
        copied_rows: tables.iter().map(|t| t.copied_rows).sum(),
        tables,
        rows_per_second: rates.rows_per_second,
        applied_changes: rates.changes.saturating_sub(first_changes),
        changes_per_second: rates.changes_per_second,
        checkpoint: Some(source.show_position(state.checkpoint)),
        source_end: Some(source.show_position(state.source_end)),
        lag: Lag {
            bytes: source.log_bytes(state.checkpoint, state.source_end),
            transactions: state.in_flight.len() as u64,
            seconds,
        },
        log_kept_bytes: state.log_kept_bytes,
        ledger,
        followed,
        parked: state.parked() as u64,
        made: made.to_vec(),
        last_verified: kept.last_verified,
        strangers: session.strangers.shown(),
        direction,
        gates,
        proof: {
            let proofs = session.proofs();
            proofs
                .as_ref()
                .map(|p| p.progress(|at| source.show_position(at)))
        },
    }
}

fn activity(state: &crate::session::State) -> &'static str {
    if state.paused {
        "paused"
    } else if state.tables.iter().any(|t| t.keying == Keying::Building) {
        "building keys"
    } else if !state.all_loaded() {
        "copying"
    } else if !state.followed_beside_parked() {
        "catching up"
    } else if !state.finished && state.parked() > 0 {
        "waiting for rows in quarantine"
    } else if !state.finished {
        "building indexes"
    } else {
        "following"
    }
}

fn stage(table: &TableState) -> Stage {
    let p = table.frontier.progress();
    if table.keying == Keying::Building {
        Stage::BuildingKey
    } else if p.pending == 0 && p.loading == 0 && p.loaded == 0 {
        Stage::Following
    } else if p.pending == 0 && p.loading == 0 {
        Stage::Copied
    } else if p.loading > 0 || p.loaded > 0 || p.settled > 0 {
        Stage::Copying
    } else {
        Stage::Waiting
    }
}

fn now_micros() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_micros() as i64)
}
