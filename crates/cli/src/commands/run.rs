//! `run`: copies and follows, going on from whatever was there.

use std::sync::Arc;

use crossfade_control::Comparison;
use crossfade_control::ControlError;
use crossfade_engine::{Migration, RunOutcome, Until};
use tokio::sync::watch;

use super::signal;
use crate::args;
use crate::failure::{Failure, REFUSED, refused};
use crate::load::{Loaded, load};
use crate::show::{Output, findings, made, verify};
use crate::view::View;

/// Runs a migration.
///
/// # Errors
/// See [`Failure`]; what is durable stays.
pub async fn run(arguments: &args::Run, output: &Output) -> Result<u8, Failure> {
    let loaded = load(&arguments.file)?;
    let (migration, _) = ready(&loaded, output).await?;
    let until = match arguments.until {
        None => Until::Stopped,
        Some(args::Until::Followed) => Until::Followed,
        Some(args::Until::Verified) => Until::Verified(Comparison::default()),
    };
    let stop = signal::stop()?;
    let outcome = watched(migration, until, stop, output).await?;
    Ok(told(outcome, output))
}

/// A migration that may be run: no other process runs it, and nothing blocks it. With it whether it has begun before.
///
/// # Errors
/// Another process, a finding that blocks, a store that cannot be read.
pub async fn ready(loaded: &Loaded, output: &Output) -> Result<(Arc<Migration>, bool), Failure> {
    // the file's wrong control store or a running process are told before the databases are asked
    let control = loaded.control()?;
    let state = control.state().await?;
    if state.running {
        return Err(ControlError::Held {
            holder: state.holder,
        }
        .into());
    }
    if state.paused {
        output.say("The migration is paused: the run waits until `crossfade resume`.");
    }
    let prepared = loaded.prepare().await?;
    if prepared.plan.is_blocked() {
        return Err(refused(prepared.plan.findings));
    }
    if !prepared.plan.findings.is_empty() {
        output.say(findings::text(&prepared.plan.findings));
    }
    let begun = prepared.has_begun();
    Ok((loaded.migration(prepared.plan, control), begun))
}

/// Runs with its progress shown.
///
/// # Errors
/// See [`crossfade_engine::run`].
pub async fn watched(
    migration: Arc<Migration>,
    until: Until,
    stop: watch::Receiver<bool>,
    output: &Output,
) -> Result<RunOutcome, Failure> {
    let (feed, _, view) = View::start(output);
    let outcome = Box::pin(crossfade_engine::run(migration, until, feed, stop)).await;
    // the run's tasks are over, and with them the last feed: the view comes to its end
    tokio::task::block_in_place(|| view.end());
    Ok(outcome?)
}

/// Tells how a run ended, and the exit code.
fn told(outcome: RunOutcome, output: &Output) -> u8 {
    let code = match &outcome {
        RunOutcome::Stopped { checkpoint } => {
            let at = checkpoint
                .as_ref()
                .map(|c| format!(" at checkpoint {c}"))
                .unwrap_or_default();
            output.say(format!("Stopped{at}. Run it again to go on from there."));
            0
        }
        RunOutcome::Followed { checkpoint } => {
            output.say(format!(
                "Followed: the target is the source as of {checkpoint}. Run it again to keep following, or `crossfade verify`."
            ));
            0
        }
        RunOutcome::Verified { report } => {
            output.say(verify::text(report, false));
            if report.is_equal_as_expected() {
                0
            } else {
                REFUSED
            }
        }
        RunOutcome::Switched { .. } => 0,
        RunOutcome::Completed { removed } => {
            output.say("Completed by a command from another shell. Removed:");
            output.say(made::lines(removed));
            0
        }
        RunOutcome::Aborted { removed } => {
            output.say("Aborted by a command from another shell. Removed:");
            output.say(made::lines(removed));
            0
        }
    };
    let outcome = match outcome {
        RunOutcome::Verified { report } => RunOutcome::Verified {
            report: Box::new(report.without_rows().without_evidence()),
        },
        other => other,
    };
    output.tell(&serde_json::json!({ "outcome": outcome }));
    code
}
