//! `take-over`: takes a migration from a process that stands still.

use std::sync::Arc;

use crossfade_control::{AuditEntry, ControlError, ControlStore, SqliteControl};
use crossfade_engine::TakenOver;
use serde_json::json;

use super::abort;
use crate::args;
use crate::failure::Failure;
use crate::load::{Loaded, load};
use crate::show::Output;
use crate::show::text::visible;

/// Takes it over.
///
/// # Errors
/// A process that lives; a store that cannot be reached. It can be given again.
pub async fn take_over(asked: &args::TakeOver, output: &Output) -> Result<u8, Failure> {
    let loaded = load(&asked.file)?;
    let (control, stopped) = opened(&loaded)?;
    let Some(control) = control else {
        return Ok(nobody(output));
    };
    if let Some(process) = stopped {
        let detail = json!({ "process": process, "ended": true });
        let entry = AuditEntry::new("lease.taken_over", detail).by(asked.owner.as_str());
        control.audit(None, entry).await?;
        return Ok(ended(process, output));
    }
    // what is taken is named by the migration alone: the plan may be on a store that only that process reaches
    let migration = loaded.migration(abort::without_plan(&loaded), control);
    match crossfade_engine::take_over(&migration, &asked.owner).await? {
        None => Ok(nobody(output)),
        Some(taken) => {
            output.say(text(&taken));
            output.tell(&json!({ "taken_over": taken }));
            Ok(0)
        }
    }
}

/// A control store, where there is one.
type Opened = Option<Arc<dyn ControlStore>>;

/// The control store; and the process that was ended for it, where one was stopped with the store's lock in its hand.
fn opened(loaded: &Loaded) -> Result<(Opened, Option<u32>), Failure> {
    match loaded.existing_control() {
        Err(error @ ControlError::Failed { .. }) => {
            let Some(process) = SqliteControl::end_stopped(&loaded.control_path) else {
                return Err(error.into());
            };
            Ok((loaded.existing_control()?, Some(process)))
        }
        opened => Ok((opened?, None)),
    }
}

fn ended(process: u32, output: &Output) -> u8 {
    let who =
        format!("process {process}, stopped in the middle of a transaction of the control store");
    output.say(format!(
        "Taken from {who}: it had to be ended, since nobody could write there. Give the next command as after a crash: it finishes or releases what \
         was begun."
    ));
    output.tell(&json!({ "taken_over": { "holder": { "process": process }, "ended": [who] } }));
    0
}

fn nobody(output: &Output) -> u8 {
    output.say("No process holds the migration: any command can be given.");
    output.tell(&json!({ "taken_over": null }));
    0
}

fn text(taken: &TakenOver) -> String {
    let mut lines = vec![format!(
        "Taken from process {} on {}, which can commit nothing any more. Give the next command as after a crash: it finishes or releases what was begun.",
        taken.holder.process,
        visible(&taken.holder.host)
    )];
    lines.extend(
        taken
            .ended
            .iter()
            .map(|who| format!("  ended: {}", visible(who))),
    );
    lines.join("\n")
}
