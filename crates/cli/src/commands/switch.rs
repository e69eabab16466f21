//! `switch writes` and `rollback`: authority for writes changes hands, within a time box.

use crossfade_control::{Command, ControlStore, SwitchOrder, Traffic};
use crossfade_engine::{Direction, RunOutcome, SwitchAnswer, SwitchReport, Until};
use serde_json::json;

use super::{Answer, run, signal};
use crate::args;
use crate::failure::{FAILED, Failure, REFUSED, USAGE, refused};
use crate::load::{Loaded, load};
use crate::show::Output;

/// Gives authority for writes to the side that rows go to now.
///
/// # Errors
/// A refusal (exit 2) or a failure. Before authority was given nothing has changed; afterwards whoever looks next finishes it.
pub async fn switch(
    arguments: &args::Order,
    direction: Direction,
    output: &Output,
) -> Result<u8, Failure> {
    let order = order(arguments)?;
    let loaded = load(&arguments.file)?;
    let control = loaded.control()?;
    let report = match by_command(control.as_ref(), direction, &order, output).await? {
        Some(report) => report,
        None => alone(&loaded, direction, order, output).await?,
    };
    output.say(text(&report, direction));
    output.tell(&json!({ "report": report }));
    Ok(0)
}

fn order(arguments: &args::Order) -> Result<SwitchOrder, Failure> {
    Ok(SwitchOrder {
        what: Traffic::Writes,
        owner: arguments.owner.clone(),
        within_ms: millis(&arguments.within)?,
        dry_run: arguments.dry_run,
        kill_blockers: arguments.kill_blockers,
        overrides: Vec::new(),
    })
}

/// `500ms`, `30s`, `2m`.
fn millis(text: &str) -> Result<u64, Failure> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        _ => None,
    };
    let number = digits.parse::<u64>().ok();
    let found = number.zip(unit).and_then(|(n, unit)| n.checked_mul(unit));
    found.filter(|n| *n > 0).ok_or_else(|| {
        Failure::new(
            USAGE,
            "usage.within",
            format!("--within {text} is no length of time"),
        )
        .fix("write it as 500ms, 30s or 2m")
    })
}

/// By the run that is active; `None` where there is none.
async fn by_command(
    control: &dyn ControlStore,
    direction: Direction,
    order: &SwitchOrder,
    output: &Output,
) -> Result<Option<SwitchReport>, Failure> {
    let state = control.state().await?;
    if !state.running {
        return Ok(None);
    }
    if state.paused {
        return Err(
            Failure::new(REFUSED, "switch.paused", "the migration is paused")
                .fix("`crossfade resume` first"),
        );
    }
    output.say("Asked the running `run`.");
    let command = match direction {
        Direction::Forward => Command::Switch(order.clone()),
        Direction::Reverse => Command::Rollback(order.clone()),
    };
    let mut stop = signal::stop()?;
    let id = control.post(command).await?;
    let answer = tokio::select! {
        answer = super::answer(control, id, None) => answer?,
        _ = stop.changed() => {
            let withdrawn = control.withdraw(id).await?;
            let what = if withdrawn {
                "stopped before the run had taken the order: nothing has changed"
            } else {
                "stopped waiting; the run goes on with the order"
            };
            return Err(Failure::new(FAILED, "switch.stopped", what).fix("look at `crossfade status`"));
        }
    };
    match answer {
        Answer::RunEnded => Ok(None),
        Answer::Done(value) => {
            let answer: SwitchAnswer = serde_json::from_value(value)
                .map_err(|e| Failure::internal(format!("the run's answer cannot be read: {e}")))?;
            told(answer).map(Some)
        }
    }
}

fn told(answer: SwitchAnswer) -> Result<SwitchReport, Failure> {
    match answer {
        SwitchAnswer::Report(report) => Ok(*report),
        SwitchAnswer::Refused(findings) => Err(refused(findings)),
        SwitchAnswer::Failed { code, what, fix } => {
            let mut failure = Failure::new(FAILED, &code, what);
            failure.fix = fix;
            Err(failure)
        }
    }
}

/// Without an active run: follows until authority has changed hands, and ends.
async fn alone(
    loaded: &Loaded,
    direction: Direction,
    order: SwitchOrder,
    output: &Output,
) -> Result<SwitchReport, Failure> {
    let (migration, begun) = run::ready(loaded, output).await?;
    if !begun {
        return Err(Failure::new(
            REFUSED,
            "switch.not_begun",
            "the migration has not begun: the target holds nothing",
        )
        .fix("`crossfade run` first"));
    }
    let until = Until::Switched(direction, order);
    match run::watched(migration, until, signal::stop()?, output).await? {
        RunOutcome::Switched { report } => Ok(*report),
        RunOutcome::Stopped { .. } => Err(Failure::new(
            FAILED,
            "switch.stopped",
            "stopped before authority was given: nothing has changed",
        )
        .fix("give the command again")),
        other => Err(Failure::internal(format!("a switch ended as {other:?}"))),
    }
}

fn text(report: &SwitchReport, direction: Direction) -> String {
    if !report.switched {
        return format!(
            "Dry run: ready to fire. Writes would wait for about {:.0} ms. Nothing has changed; the fence is armed, which costs writers a little \
             until the switch.",
            report.predicted_ms
        );
    }
    let paused = report
        .paused_ms
        .map(|ms| {
            format!(
                " Writes waited for {ms:.0} ms (predicted {:.0} ms).",
                report.predicted_ms
            )
        })
        .unwrap_or_default();
    let back = match direction {
        Direction::Forward => {
            "The way back: `crossfade rollback`, which loses nothing as long as `crossfade run` carries changes back."
        }
        Direction::Reverse => "Forward again: `crossfade switch writes`; no new copy is needed.",
    };
    format!(
        "Authority for writes is with the {} now (epoch {}).{paused}\n{back}",
        report.authority, report.epoch
    )
}
