//! `verify`: compares both sides at one position, while writes go on.

use std::sync::Arc;

use crossfade_control::{Command, Comparison, ControlStore};
use crossfade_engine::{RunOutcome, Until, VerifyReport};
use serde_json::json;

use super::certify::Draft;
use super::layer;
use super::{Answer, run, signal};
use crate::args;
use crate::failure::{FAILED, Failure, REFUSED};
use crate::load::{Loaded, load};
use crate::show::{Output, verify as show};

/// Compares.
///
/// # Errors
/// A comparison that could not be made, a certificate that could not be written. A difference is no error; it makes the exit
/// code 2.
pub async fn verify(arguments: &args::Verify, output: &Output) -> Result<u8, Failure> {
    // before anything else: a key that cannot be used must not cost a comparison
    let draft = Draft::new(arguments)?;
    let asked = layer::asked(arguments)?;
    let loaded = load(&arguments.file)?;
    let control = loaded.control()?;
    let report = match by_command(&control, asked, output).await? {
        Some(report) => report,
        // what an earlier run has proven ended with it
        None if arguments.touched => return Err(no_run()),
        None => alone(&loaded, control.as_ref(), asked, output).await?,
    };
    output.say(show::text(&report, arguments.show_rows));
    let certified = draft.map(|draft| draft.write(&report).map(|signed| (draft, signed)));
    let equal = report.is_equal_as_expected();
    let shown = if arguments.show_rows {
        report
    } else {
        report.without_rows()
    };
    let certificate = match &certified {
        Some(Ok((draft, signed))) => Some(draft.told(signed)),
        _ => None,
    };
    output.tell(&json!({
        "report": shown.without_evidence(),
        "equal_as_expected": equal,
        "certificate": certificate,
    }));
    if let Some((draft, signed)) = certified.transpose()? {
        output.say(format!(
            "Wrote {}, signed with the key {}.",
            draft.path().display(),
            signed.signer().fingerprint()
        ));
    }
    Ok(if equal { 0 } else { REFUSED })
}

/// Without an active run: follows until a comparison was made, and ends.
async fn alone(
    loaded: &Loaded,
    control: &dyn ControlStore,
    asked: Comparison,
    output: &Output,
) -> Result<VerifyReport, Failure> {
    if control.state().await?.paused {
        return Err(paused());
    }
    let (migration, begun) = run::ready(loaded, output).await?;
    if !begun {
        return Err(Failure::new(
            REFUSED,
            "verify.not_begun",
            "the migration has not begun: there is nothing to compare",
        )
        .fix("`crossfade run` first"));
    }
    match run::watched(migration, Until::Verified(asked), signal::stop()?, output).await? {
        RunOutcome::Verified { report } => Ok(*report),
        RunOutcome::Stopped { .. } => Err(Failure::new(
            FAILED,
            "verify.stopped",
            "stopped before the comparison was made",
        )
        .fix("give `verify` again; it goes on from what is durable")),
        other => Err(Failure::internal(format!(
            "a comparison ended as {other:?}"
        ))),
    }
}

fn no_run() -> Failure {
    Failure::new(
        REFUSED,
        "verify.no_run",
        "no `run` is active: nothing is known of what changed since the last proof",
    )
    .fix("`crossfade run` in another shell, or `verify` without --touched")
}

fn paused() -> Failure {
    Failure::new(REFUSED, "verify.paused", "the migration is paused")
        .fix("`crossfade resume` first: a comparison needs the stream")
}

/// By the run that is active; `None` where there is none.
async fn by_command(
    control: &Arc<dyn ControlStore>,
    asked: Comparison,
    output: &Output,
) -> Result<Option<VerifyReport>, Failure> {
    let state = control.state().await?;
    if !state.running {
        return Ok(None);
    }
    if state.paused {
        return Err(paused());
    }
    output.say("Asked the running `run` to compare.");
    let mut stop = signal::stop()?;
    let id = control.post(Command::Verify(asked)).await?;
    let answer = tokio::select! {
        answer = super::answer(control.as_ref(), id, None) => answer?,
        _ = stop.changed() => {
            control.withdraw(id).await?;
            return Err(Failure::new(FAILED, "verify.stopped", "stopped waiting for the comparison"));
        }
    };
    match answer {
        Answer::RunEnded => Ok(None),
        Answer::Done(value) => {
            // rows' values are for whoever asked: they do not stay in the file
            control.forget_result(id).await?;
            serde_json::from_value(value)
                .map(Some)
                .map_err(|e| Failure::internal(format!("the run's report cannot be read: {e}")))
        }
    }
}
