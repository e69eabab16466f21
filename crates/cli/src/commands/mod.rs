//! The commands.

pub mod abort;
pub mod against;
pub mod belongs;
pub mod certificate;
pub mod certify;
pub mod gates;
pub mod init;
pub mod layer;
pub mod log;
pub mod pause;
pub mod plan;
pub mod quarantine;
pub mod rehearse;
pub mod run;
pub mod signal;
pub mod status;
pub mod switch;
pub mod take_over;
pub mod verify;

use std::time::Duration;

use crossfade_control::{Command, CommandId, CommandState, ControlStore};
use serde_json::Value;

use crate::failure::{FAILED, Failure};

/// How often a posted command is looked at.
const LOOK: Duration = Duration::from_millis(150);

/// How a command that was posted to a running `run` ended.
pub enum Answer {
    /// Done, with its result.
    Done(Value),
    /// The run has ended before it took the command, which is withdrawn.
    RunEnded,
}

/// Waits for the running `run` to obey a posted command.
///
/// # Errors
/// The command failed, or was not finished within `patience`.
pub async fn answer(
    control: &dyn ControlStore,
    id: CommandId,
    patience: Option<Duration>,
) -> Result<Answer, Failure> {
    let begun = tokio::time::Instant::now();
    loop {
        match control.command(id).await?.state {
            CommandState::Done(value) => return Ok(Answer::Done(value)),
            CommandState::Failed(why) => {
                return Err(Failure::new(FAILED, "command.failed", why)
                    .fix("look at `crossfade status` and give the command again"));
            }
            CommandState::Posted | CommandState::Acknowledged => {}
        }
        if !control.state().await?.running {
            // it may have finished in between
            let state = control.command(id).await?.state;
            if matches!(state, CommandState::Posted | CommandState::Acknowledged) {
                control.withdraw(id).await?;
                return Ok(Answer::RunEnded);
            }
            continue;
        }
        if patience.is_some_and(|p| begun.elapsed() > p) {
            let withdrawn = control.withdraw(id).await?;
            let what = if withdrawn {
                "the running `run` has not taken the command, which is withdrawn"
            } else {
                "the running `run` has taken the command and is not done with it"
            };
            return Err(Failure::new(FAILED, "command.unanswered", what)
                .fix("look at `crossfade status`, and at the run's own output"));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Posts a command and waits for its answer.
///
/// # Errors
/// As [`answer`].
pub async fn ask(
    control: &dyn ControlStore,
    command: Command,
    patience: Option<Duration>,
) -> Result<Answer, Failure> {
    let id = control.post(command).await?;
    answer(control, id, patience).await
}
