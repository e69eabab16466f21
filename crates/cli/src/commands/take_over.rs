//! `take-over`: takes a migration from a process that stands still.

use crossfade_engine::TakenOver;
use serde_json::json;

use super::abort;
use crate::args;
use crate::failure::Failure;
use crate::load::load;
use crate::show::Output;
use crate::show::text::visible;

/// Takes it over.
///
/// # Errors
/// A process that lives; a store that cannot be reached. It can be given again.
pub async fn take_over(asked: &args::TakeOver, output: &Output) -> Result<u8, Failure> {
    let loaded = load(&asked.file)?;
    let Some(control) = loaded.existing_control()? else {
        return Ok(nobody(output));
    };
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
