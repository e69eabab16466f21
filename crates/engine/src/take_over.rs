//! Taking a migration over from a process that stands still: stopped, swapped out, on a machine that hangs. It seems to hold what a dead
//! one would have let go of.
//!
//! It loses the lease of the control store, then on either side the fence and the right to write. What it tries afterwards is refused by
//! their epochs; when it goes on it finds that out and ends.

use std::time::Duration;

use crossfade_control::{ControlError, Holder};
use serde::Serialize;

use crate::error::EngineError;
use crate::run::Migration;
use crate::switch::Direction;
use crate::switch::prepare::refused;

/// So long a living run is never silent: it shows itself twice a second while it works.
const SILENCE: Duration = Duration::from_secs(4);

/// What was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TakenOver {
    /// The process that had the lease.
    pub holder: Holder,
    /// Sessions and processes that were ended, in words.
    pub ended: Vec<String>,
}

/// Takes the migration from the process that holds it, if that shows no life; `None` where no process holds it. Nothing is run
/// afterwards: the next command goes on as after a crash.
///
/// # Errors
/// A refusal where it lives; the stores'. What was taken by then stays taken, and it can be given again.
pub async fn take_over(home: &Migration, owner: &str) -> Result<Option<TakenOver>, EngineError> {
    let Some(holder) = silent(home).await? else {
        return Ok(None);
    };
    match home.control.take_over(owner, &holder).await {
        Err(ControlError::Held { .. }) => return Err(alive(&holder)),
        taken => taken?,
    }
    let name = &home.plan.migration;
    let mut ended = Vec::new();
    for (store, lane) in [
        (&home.sides.target, Direction::Forward.lane(name)),
        (&home.sides.source, Direction::Reverse.lane(name)),
    ] {
        let label = crossfade_store::Source::label(store.as_ref());
        // first: under a fence nobody could write that the tenure has ended
        let of_fence = store.end_holder(name).await?;
        let of_lane = store.end_tenure(&lane).await?;
        ended.extend(
            of_fence
                .into_iter()
                .chain(of_lane)
                .map(|who| format!("{label}: {who}")),
        );
    }
    Ok(Some(TakenOver { holder, ended }))
}

/// The process that holds the lease, once it was watched for as long as a living one is never silent; no clock but this process's own
/// is asked.
async fn silent(home: &Migration) -> Result<Option<Holder>, EngineError> {
    let before = home.control.state().await?;
    let Some(holder) = before.holder.filter(|_| before.running) else {
        return Ok(None);
    };
    tokio::time::sleep(SILENCE).await;
    let after = home.control.state().await?;
    if !after.running {
        return Ok(None);
    }
    if after.holder.as_ref() != Some(&holder) {
        return Err(alive(&holder));
    }
    Ok(Some(holder))
}

fn alive(holder: &Holder) -> EngineError {
    refused(
        "take_over.alive",
        format!(
            "the run of process {} on {} lives: it obeys commands",
            holder.process, holder.host
        ),
        "give it the command, or stop it as whoever started it would; taking over is for one that stands still",
    )
}
