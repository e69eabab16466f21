//! What a run watches for the gates while it follows: the lag by round trips, and all evidence now and then for the trend.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossfade_rules::gates::{
    DdlFreeze, Evidence, GateResult, LagEvidence, LagWindow, MappingEvidence,
};

use super::evidence::{self, Rehearsals};
use super::limits;
use crate::error::EngineError;
use crate::run::Run;
use crate::session::Session;

/// How often all evidence is gathered.
const GATHER_EVERY: Duration = Duration::from_secs(10);
/// How long a look at both stores' shapes holds; the way back is laid by a look of its own.
const SHAPES_HOLD: Duration = Duration::from_secs(60);
/// Evidence that is kept for the trend: the oldest is what the present is compared with.
const KEPT: usize = 6;

/// What the gates of one attempt are judged from, as far as it is gathered over time.
pub(crate) struct Watch {
    begun: Instant,
    lag: LagWindow,
    last_lag: Option<Duration>,
    /// Whether the stores refuse changes of the tables' shapes, once they were asked to.
    pub ddl: Option<DdlFreeze>,
    mapping: Option<(Instant, MappingEvidence)>,
    rehearsals: Rehearsals,
    history: VecDeque<Evidence>,
    shown: Vec<GateResult>,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch {
            begun: Instant::now(),
            lag: LagWindow::new(1),
            last_lag: None,
            ddl: None,
            mapping: None,
            rehearsals: Rehearsals::default(),
            history: VecDeque::new(),
            shown: Vec::new(),
        }
    }
}

impl Watch {
    /// Begins to watch the lag over a window of this length.
    fn begin(&mut self, window_ms: u64) {
        self.lag = LagWindow::new(window_ms);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn sample(&mut self, lag: Duration) {
        self.last_lag = Some(lag);
        let lag = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
        self.lag.add(self.now(), lag);
    }

    /// What the lag was over the window.
    pub fn lag(&self) -> LagEvidence {
        self.lag.evidence(self.now())
    }

    /// The lag of the last sample.
    pub fn last_lag(&self) -> Option<Duration> {
        self.last_lag
    }

    /// The gates as they were judged last; empty before.
    pub fn shown(&self) -> &[GateResult] {
        &self.shown
    }

    /// Earlier evidence, for the trend.
    pub fn before(&self) -> Option<&Evidence> {
        self.history.front()
    }

    /// What was read of the rehearsals, to go on from there.
    pub fn rehearsals(&self) -> Rehearsals {
        self.rehearsals.clone()
    }

    /// Keeps what was read of the rehearsals.
    pub fn keep_rehearsals(&mut self, read: Rehearsals) {
        self.rehearsals = read;
    }

    fn mapping(&self) -> Option<MappingEvidence> {
        let (at, mapping) = self.mapping.as_ref()?;
        (at.elapsed() < SHAPES_HOLD).then(|| mapping.clone())
    }

    /// Both stores' shapes are to be looked at again.
    pub fn forget_shapes(&mut self) {
        self.mapping = None;
    }

    fn keep(&mut self, evidence: Evidence, shown: Vec<GateResult>) {
        self.shown = shown;
        self.history.push_back(evidence);
        if self.history.len() > KEPT {
            self.history.pop_front();
        }
    }
}

/// Watches until the attempt stops.
pub(crate) async fn run(run: Arc<Run>, session: Arc<Session>) -> Result<(), EngineError> {
    let window_ms = limits(&run).lag_window_ms;
    session.gates().begin(window_ms);
    let finished = session.wait_for(|state| state.finished.then_some(()));
    if finished.await.is_none() {
        return Ok(());
    }
    // several samples a quarter of the window: a longer pause would be a gap in it
    let every = Duration::from_millis((window_ms / 8).clamp(50, 1_000));
    tokio::try_join!(lag(&session, every), gathered(&run, &session))?;
    Ok(())
}

/// Times how long the present end of the source's log takes to be durable on the target, again and again.
async fn lag(session: &Session, every: Duration) -> Result<(), EngineError> {
    let mut stop = session.stop.clone();
    loop {
        let begun = Instant::now();
        if round_trip(session, begun, every).await?.is_none() {
            return Ok(());
        }
        tokio::select! {
            _ = stop.changed() => return Ok(()),
            () = tokio::time::sleep(every.saturating_sub(begun.elapsed())) => {}
        }
    }
}

/// One round trip; while it lasts the lag is at least what has passed. `None` where the attempt stops.
async fn round_trip(
    session: &Session,
    begun: Instant,
    every: Duration,
) -> Result<Option<()>, EngineError> {
    let reached = async {
        let end = session.source.probe(&session.name).await?.log_end;
        let reached = session.wait_for(|state| (state.checkpoint >= end).then_some(()));
        Ok::<_, EngineError>(reached.await)
    };
    tokio::pin!(reached);
    loop {
        tokio::select! {
            biased;
            reached = &mut reached => {
                let reached = reached?;
                session.gates().sample(begun.elapsed());
                return Ok(reached);
            }
            () = tokio::time::sleep(every) => session.gates().sample(begun.elapsed()),
        }
    }
}

/// Gathers all evidence now and then.
async fn gathered(run: &Run, session: &Session) -> Result<(), EngineError> {
    let mut stop = session.stop.clone();
    loop {
        if !session.switching() {
            look(run, session).await?;
        }
        tokio::select! {
            _ = stop.changed() => return Ok(()),
            () = tokio::time::sleep(GATHER_EVERY) => {}
        }
    }
}

async fn look(run: &Run, session: &Session) -> Result<(), EngineError> {
    let mapping = mapping(run, session).await;
    let evidence = evidence::gather(run, session, mapping).await?;
    let shown = super::judged(run, session, &evidence);
    session.gates().keep(evidence, shown);
    Ok(())
}

/// Which columns the other lane cannot take back, as both stores' shapes were within the last minute.
pub(super) async fn mapping(run: &Run, session: &Session) -> Option<MappingEvidence> {
    let known = session.gates().mapping();
    if known.is_some() {
        return known;
    }
    let mapping = evidence::mapping(run).await?;
    session.gates().mapping = Some((Instant::now(), mapping.clone()));
    Some(mapping)
}
