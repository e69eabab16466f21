//! `status`: where truth is, what shows the follower equal, the way back; then how far everything is.
//!
//! Works beside a running `run` (from the snapshot that it keeps in the control store, and from the target) and without one.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use crossfade_control::ControlState;
use crossfade_engine::{
    DurableStatus, EngineError, Lag, Progress, StrangersSeen, VerifyReport, durable_status,
    stored_altered, stored_plan, strangers_seen,
};
use crossfade_plan::Phase;
use crossfade_store::{Made, TargetState};

use super::signal;
use crate::args;
use crate::failure::Failure;
use crate::load::{Loaded, load};
use crate::show::status::{Shown, answers, json, text};
use crate::show::{Output, number};

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
        made: Vec::new(),
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
        if shown.running {
            shown.phase = progress.phase;
        }
    }
}

/// What the stores say themselves.
async fn asked(loaded: &Loaded, shown: &mut Shown) {
    let target = bounded(loaded.target.peek(&loaded.file.name)).await;
    let state = match target {
        Ok(state) => state,
        Err(why) => {
            shown.unreachable.push(why);
            None
        }
    };
    match bounded(loaded.source.made(&loaded.file.name)).await {
        Ok(made) => shown.made = made,
        Err(why) => shown.unreachable.push(why),
    }
    let Some(state) = state else { return };
    match bounded(loaded.target.strangers(&loaded.file.name, None)).await {
        Ok(found) => shown.strangers = strangers_seen(&found),
        Err(why) => shown.unreachable.push(why),
    }
    if shown.phase == Phase::Planned {
        // the control store was lost or is elsewhere; the target knows that something was begun
        shown.phase = Phase::Copying;
    }
    match durable(loaded, &state) {
        Ok(found) => shown.durable = found,
        Err(error) => shown.unreachable.push(error.to_string()),
    }
    match stored_altered(&state) {
        Ok(found) => shown.altered = found,
        Err(error) => shown.unreachable.push(error.to_string()),
    }
    match lag(loaded, &state, &shown.made).await {
        Ok(found) => shown.lag = found,
        Err(why) => shown.unreachable.push(why),
    }
}

/// What the target's state says, by the plan that is kept in it.
fn durable(loaded: &Loaded, state: &TargetState) -> Result<Option<DurableStatus>, EngineError> {
    let plan = stored_plan(state, loaded.target.as_ref())?;
    plan.map(|plan| durable_status(&plan, loaded.source.as_ref(), state))
        .transpose()
}

/// The lag without a run: the source's end minus the checkpoint.
async fn lag(loaded: &Loaded, state: &TargetState, made: &[Made]) -> Result<Option<Lag>, String> {
    let (Some(checkpoint), false) = (state.checkpoint, made.is_empty()) else {
        return Ok(None);
    };
    let probe = bounded(loaded.source.probe(&loaded.file.name)).await?;
    Ok(loaded
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
