//! `status`: where truth is, what shows the follower equal, the way back; then how far everything is.
//!
//! Works beside a running `run` (from the snapshot that it keeps in the control store, and from the target) and without one.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use crossfade_control::ControlState;
use crossfade_engine::{
    Direction, DurableStatus, EngineError, Lag, Progress, StrangersSeen, VerifyReport,
    durable_status, made_on_source, made_on_target, stored_altered, stored_plan, strangers_seen,
    whose,
};
use crossfade_plan::Phase;
use crossfade_store::{Source, Store, TargetState};

use super::signal;
use crate::args;
use crate::failure::Failure;
use crate::load::{Loaded, load};
use crate::show::status::{Shown, answers, json, text};
use crate::show::{Output, authority, number};

/// A snapshot of a running `run` that is older than this is not shown as the present, in milliseconds.
const FRESH: i64 = 15_000;
/// How long a database may take to answer before status goes on without it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Shows the status.
///
/// # Errors
/// A file that is wrong, a control store that cannot be read. A database that cannot be reached is told, and is no error.
pub async fn status(arguments: &args::Status, output: &Output) -> Result<u8, Failure> {
    let loaded = load(&arguments.file)?;
    if !arguments.watch {
        let shown = gather(&loaded).await?;
        print(&shown, output);
        return Ok(0);
    }
    let mut stop = signal::stop()?;
    let screen = !output.json && std::io::stdout().is_terminal();
    loop {
        let shown = tokio::select! {
            shown = gather(&loaded) => shown?,
            _ = stop.changed() => return Ok(0),
        };
        if screen {
            // back to the top, and clear what is below (ECMA-48: CUP, ED)
            let _ = write!(std::io::stdout(), "\x1b[H\x1b[2J");
        }
        print(&shown, output);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            _ = stop.changed() => return Ok(0),
        }
    }
}

fn print(shown: &Shown, output: &Output) {
    output.say(format!("{}\n\n{}", answers(shown), text(shown)));
    output.tell(&json(shown));
}

/// Gathers what is known, from the control store and, as far as they answer, from both stores.
///
/// # Errors
/// The control store cannot be read.
pub async fn gather(loaded: &Loaded) -> Result<Shown, Failure> {
    let control = loaded.existing_control()?;
    let state = match &control {
        Some(control) => Some(control.state().await?),
        None => None,
    };
    let mut shown = Shown {
        migration: loaded.file.name.clone(),
        source: loaded.source.label().to_owned(),
        target: loaded.target.label().to_owned(),
        phase: state.as_ref().map_or(Phase::Planned, |s| s.phase),
        running: state.as_ref().is_some_and(|s| s.running),
        paused: state.as_ref().is_some_and(|s| s.paused),
        holder: state.as_ref().and_then(|s| s.holder.clone()),
        progress: None,
        durable: None,
        lag: None,
        report: None,
        altered: None,
        direction: Direction::Forward,
        authority: None,
        made: Vec::new(),
        made_on_target: Vec::new(),
        open_intents: state
            .as_ref()
            .map(|s| s.open_intents.clone())
            .unwrap_or_default(),
        quarantine: state.as_ref().map(|s| s.quarantine).unwrap_or_default(),
        strangers: StrangersSeen::default(),
        unreachable: Vec::new(),
    };
    if let Some(state) = &state {
        remembered(state, &mut shown);
    }
    if state.is_some() {
        told_by_both(loaded, &mut shown).await;
    }
    let live = shown.running
        && shown
            .progress
            .as_ref()
            .is_some_and(|p| number::now() - p.at < FRESH);
    if !live {
        asked(loaded, &mut shown).await;
    }
    Ok(shown)
}

/// What the control store remembers: for people, and never relied upon.
fn remembered(state: &ControlState, shown: &mut Shown) {
    let progress = state.progress.as_ref().map(|(_, value)| value.clone());
    shown.progress = progress.and_then(|p| serde_json::from_value::<Progress>(p).ok());
    shown.report = state
        .report
        .clone()
        .and_then(|r| serde_json::from_value::<VerifyReport>(r).ok())
        .map(|r| r.summary());
    if let Some(progress) = &shown.progress {
        shown.made.clone_from(&progress.made);
        shown.strangers.clone_from(&progress.strangers);
        if shown.report.is_none() {
            shown.report.clone_from(&progress.last_verified);
        }
        // a snapshot may be older than what a command has changed since
        let both = progress.phase.is_followed() && shown.phase.is_followed();
        if shown.running && !both {
            shown.phase = progress.phase;
        }
    }
}

/// Who has authority, and what was made on both stores: neither is in any snapshot of a run.
async fn told_by_both(loaded: &Loaded, shown: &mut Shown) {
    let name = &loaded.file.name;
    let (whose, on_source, on_target) = tokio::join!(
        whose(&loaded.sides, name, PATIENCE),
        bounded(made_on_source(&loaded.sides, name)),
        bounded(made_on_target(&loaded.sides, name)),
    );
    for why in [&whose.source, &whose.target]
        .into_iter()
        .filter_map(|read| read.as_ref().err())
    {
        shown.cannot_ask(why.clone());
    }
    let authority = authority::Shown::of(&whose);
    shown.phase = authority.phase(shown.phase);
    shown.direction = authority::direction(shown.phase);
    shown.authority = Some(authority);
    match on_source {
        Ok(made) => shown.made = made,
        Err(why) => shown.cannot_ask(why),
    }
    match on_target {
        Ok(made) => shown.made_on_target = made,
        Err(why) => shown.cannot_ask(why),
    }
}

/// The lane at work: where its rows come from and go to, and its name.
struct Lane {
    source: Arc<dyn Store>,
    target: Arc<dyn Store>,
    name: String,
}

impl Lane {
    fn of(loaded: &Loaded, direction: Direction) -> Lane {
        let sides = match direction {
            Direction::Forward => loaded.sides.clone(),
            Direction::Reverse => loaded.sides.exchanged(),
        };
        Lane {
            source: sides.source,
            target: sides.target,
            name: direction.lane(&loaded.file.name),
        }
    }
}

/// What the stores say themselves.
async fn asked(loaded: &Loaded, shown: &mut Shown) {
    let lane = Lane::of(loaded, shown.direction);
    let target = bounded(lane.target.peek(&lane.name)).await;
    let state = match target {
        Ok(state) => state,
        Err(why) => {
            shown.cannot_ask(why);
            None
        }
    };
    let Some(state) = state else { return };
    match bounded(lane.target.strangers(&lane.name, None)).await {
        Ok(found) => shown.strangers = strangers_seen(&found),
        Err(why) => shown.cannot_ask(why),
    }
    if shown.phase == Phase::Planned {
        // the control store was lost or is elsewhere; the target knows that something was begun
        shown.phase = Phase::Copying;
    }
    match durable(&lane, &state) {
        Ok(found) => shown.durable = found,
        Err(error) => shown.cannot_ask(error.to_string()),
    }
    match stored_altered(&state) {
        Ok(found) => shown.altered = found,
        Err(error) => shown.cannot_ask(error.to_string()),
    }
    match lag(&lane, &state).await {
        Ok(found) => shown.lag = found,
        Err(why) => shown.cannot_ask(why),
    }
}

/// What the target's state says, by the plan that is kept in it.
fn durable(lane: &Lane, state: &TargetState) -> Result<Option<DurableStatus>, EngineError> {
    let plan = stored_plan(state, lane.target.as_ref())?;
    plan.map(|plan| durable_status(&plan, lane.source.as_ref(), state))
        .transpose()
}

/// The lag without a run: the source's end minus the checkpoint.
async fn lag(lane: &Lane, state: &TargetState) -> Result<Option<Lag>, String> {
    let Some(checkpoint) = state.checkpoint else {
        return Ok(None);
    };
    if bounded(Source::made(lane.source.as_ref(), &lane.name))
        .await?
        .is_empty()
    {
        return Ok(None);
    }
    let probe = bounded(lane.source.probe(&lane.name)).await?;
    Ok(lane
        .source
        .log_bytes(checkpoint, probe.log_end)
        .map(|bytes| Lag {
            bytes: Some(bytes),
            transactions: 0,
            seconds: 0.0,
        }))
}

async fn bounded<T>(asked: impl Future<Output = crossfade_store::Result<T>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => answer.map_err(|e| e.to_string()),
        Err(_) => Err(format!(
            "a database has not answered within {} s",
            PATIENCE.as_secs()
        )),
    }
}
