//! `switch`, `rollback`, `complete`.

use crossfade_control::{Command, ControlStore, SwitchOrder, Traffic};
use crossfade_engine::switch::report::{Outcome, Part};
use crossfade_engine::{Direction, RunOutcome, SwitchAnswer, SwitchReport, Until};
use crossfade_store::Made;
use serde_json::json;

use super::{Answer, abort, run, signal};
use crate::args;
use crate::failure::{FAILED, Failure, REFUSED, refused};
use crate::load::{Loaded, load};
use crate::show::text::visible;
use crate::show::{Output, made};

/// `switch reads`, `switch writes`.
///
/// # Errors
/// A refusal (exit 2) or a failure. Before authority was given nothing has changed; afterwards whoever looks next finishes it.
pub async fn switch(asked: &args::Switch, output: &Output) -> Result<u8, Failure> {
    match asked {
        args::Switch::Reads(reads) => {
            let order = reads.order()?;
            authority(&reads.order.file, Direction::Forward, order, output).await
        }
        args::Switch::Writes(writes) => {
            let order = writes.order()?;
            authority(&writes.order.file, Direction::Forward, order, output).await
        }
    }
}

/// Gives authority back to the source.
///
/// # Errors
/// As [`switch`].
pub async fn rollback(asked: &args::Rollback, output: &Output) -> Result<u8, Failure> {
    let order = asked.order()?;
    if asked.target_destroyed {
        let lost_after = asked.accept_loss_after.as_deref().unwrap_or_default();
        return destroyed(&asked.order.file, &order, lost_after, output).await;
    }
    authority(&asked.order.file, Direction::Reverse, order, output).await
}

/// Ends a migration whose target has authority.
///
/// # Errors
/// The source has authority; a store that cannot be reached. What was removed stays removed, and it can be given again.
pub async fn complete(asked: &args::Complete, output: &Output) -> Result<u8, Failure> {
    let loaded = load(&asked.file)?;
    let control = loaded.control()?;
    if asked.dry_run {
        let migration = abort::begun(&loaded, control).await?;
        let found = crossfade_engine::leftovers(&migration).await?;
        output.say(format!("`complete` would remove:\n{}", made::lines(&found)));
        output.tell(&json!({ "would_remove": found }));
        return Ok(0);
    }
    let owner = asked.owner.clone();
    let answer = if control.state().await?.running {
        super::ask(
            control.as_ref(),
            Command::Complete {
                owner: owner.clone(),
            },
            Some(asked.within),
        )
        .await?
    } else {
        Answer::RunEnded
    };
    let removed: Vec<Made> = match answer {
        Answer::Done(value) => serde_json::from_value(value)
            .map_err(|e| Failure::internal(format!("the run's answer cannot be read: {e}")))?,
        Answer::RunEnded => {
            let migration = abort::begun(&loaded, control).await?;
            crossfade_engine::complete(migration, &owner).await?
        }
    };
    output.say(format!(
        "Completed: the target has authority, and nothing follows it any more. Removed:\n{}\nThe source's tables stay as they were, closed to writes.",
        made::lines(&removed)
    ));
    output.tell(&json!({ "removed": removed }));
    Ok(0)
}

/// Opens the source without the target, which is gone for good.
async fn destroyed(
    file: &args::File,
    order: &SwitchOrder,
    lost_after: &str,
    output: &Output,
) -> Result<u8, Failure> {
    let loaded = load(file)?;
    let control = loaded.control()?;
    // the target holds the plan, and nobody can ask it
    let migration = loaded.migration(abort::without_plan(&loaded), control);
    let report = crossfade_engine::target_destroyed(migration, order, lost_after).await?;
    let would = if report.outcome == Outcome::Done {
        "is"
    } else {
        "would be"
    };
    output.say(format!(
        "Authority for writes {would} with the source: {} (epoch {}).\nLost: every write that the target took after {lost_after}, as {} \
         attests. Never bring that target back into use.\nThe way back: {}",
        report.to.store, report.epoch, report.owner, report.way_back
    ));
    output.tell(&json!({ "report": report }));
    Ok(0)
}

/// Gives authority for writes to the side that rows go to now.
async fn authority(
    file: &args::File,
    direction: Direction,
    order: SwitchOrder,
    output: &Output,
) -> Result<u8, Failure> {
    let loaded = load(file)?;
    let control = loaded.control()?;
    let report = match by_command(control.as_ref(), direction, &order, output).await? {
        Some(report) => report,
        None => alone(&loaded, direction, order, output).await?,
    };
    output.say(text(&report));
    output.tell(&json!({ "report": report }));
    Ok(0)
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
    if begun && !migration.control.state().await?.phase.is_followed() {
        return Err(Failure::new(
            REFUSED,
            "switch.not_followed",
            "the target does not follow yet: rows are still to be copied",
        )
        .fix("`crossfade run` first, until `crossfade status` says that it follows"));
    }
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

fn text(report: &SwitchReport) -> String {
    let predicted = report.pause.predicted_ms.unwrap_or_default();
    if report.traffic != Traffic::Writes {
        return reads_text(report);
    }
    if report.outcome != Outcome::Done {
        return format!(
            "Dry run: ready to fire. Writes would wait for about {predicted} ms. Nothing has changed. Armed, the fence costs writers {}; it is taken \
             off again until the switch.",
            cost(report)
        );
    }
    let to = match report.to.part {
        Part::Source => "source",
        Part::Target => "target",
    };
    let paused = report
        .pause
        .measured_ms
        .map(|ms| format!(" Writes waited for {ms} ms (predicted {predicted} ms)."))
        .unwrap_or_default();
    format!(
        "Authority for writes is with the {to} now: {} (epoch {}).{paused}\nWhile armed, the fence cost writers {}.\nThe way back: {}",
        report.to.store,
        report.epoch,
        cost(report),
        report.way_back
    )
}

fn cost(report: &SwitchReport) -> String {
    report.fence_cost_us.map_or_else(
        || "a little".to_owned(),
        |cost| format!("about {cost} µs a statement"),
    )
}

fn reads_text(report: &SwitchReport) -> String {
    if report.outcome != Outcome::Done {
        return "Dry run: every route can be reached, and no gate stands in the way. Nothing has changed."
            .to_owned();
    }
    let mut lines = vec![match &report.traffic {
        Traffic::Reads {
            percent: Some(0), ..
        } => "All reads go to the source.".to_owned(),
        Traffic::Reads {
            tenant: Some(tenant),
            ..
        } => format!("The reads of tenant {} go to the target.", visible(tenant)),
        Traffic::Reads { percent, .. } => {
            format!(
                "{} % of the reads go to the target.",
                percent.unwrap_or(100)
            )
        }
        Traffic::Writes => String::new(),
    }];
    for route in &report.routes {
        lines.push(format!("  {}: {}", route.route, visible(&route.detail)));
    }
    lines.push(
        "Writes stay with the source. The way back: `crossfade switch reads --percent 0`."
            .to_owned(),
    );
    lines.join("\n")
}
