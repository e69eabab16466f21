//! `pause` and `resume`: a running `run` obeys at once; without one, the next obeys.

use std::time::Duration;

use crossfade_control::{Command, ControlError, ControlStore};
use serde_json::{Value, json};

use super::{Answer, ask};
use crate::args::File;
use crate::failure::Failure;
use crate::load::{control_path, read};
use crate::show::Output;

/// How long a run may take to obey: it finishes its batch first.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pauses or resumes. The databases are not asked: this works while they are down, too.
///
/// # Errors
/// A control store that cannot be used; a run that does not obey.
pub async fn pause(named: &File, paused: bool, output: &Output) -> Result<u8, Failure> {
    let file = read(&named.file)?;
    let control = crossfade_control::SqliteControl::open(&control_path(named), &file.name)?;
    let command = if paused {
        Command::Pause
    } else {
        Command::Resume
    };
    let running = control.state().await?.running
        && matches!(
            ask(&control, command, Some(PATIENCE)).await?,
            Answer::Done(_)
        );
    if !running {
        alone(&control, paused).await?;
    }
    let word = if paused { "paused" } else { "resumed" };
    output.say(match (paused, running) {
        (true, true) => "Paused: the run has stopped after its batch and stays connected. `crossfade resume` goes on.",
        (true, false) => "Paused: no run is active, and the next one waits until `crossfade resume`.",
        (false, true) => "Resumed: the run goes on.",
        (false, false) => "Resumed: no run is active; `crossfade run` goes on.",
    });
    output.tell(&json!({ "state": word, "running": running }));
    Ok(0)
}

/// Without a run: keeps the state for the next one.
async fn alone(control: &dyn ControlStore, paused: bool) -> Result<(), ControlError> {
    let lease = control.acquire().await?;
    control.set_paused(&lease, paused).await?;
    // an earlier order to the contrary that nobody obeyed is overtaken by this one
    for open in control.open_commands().await? {
        if matches!(open.command, Command::Pause | Command::Resume) {
            control
                .finish(&lease, open.id, Ok(Value::Bool(true)))
                .await?;
        }
    }
    Ok(())
}
