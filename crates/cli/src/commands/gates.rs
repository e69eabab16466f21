//! `gates`: how each gate of the next switch stands, by the run that is active, or by what is durable.

use crossfade_control::Command;
use crossfade_engine::Gates;
use crossfade_rules::gates::refusing;
use std::time::Duration;

use super::{Answer, abort, ask};
use crate::args;
use crate::failure::{Failure, REFUSED};
use crate::load::{Loaded, load};
use crate::show::{Output, gates};

/// How long a run may take to look at both stores.
const PATIENCE: Duration = Duration::from_secs(60);

/// Shows the gates; exit code 2 where one stands in the way.
///
/// # Errors
/// They cannot be judged: the migration has not begun, a store that cannot be read.
pub async fn show(asked: &args::Gates, output: &Output) -> Result<u8, Failure> {
    let loaded = load(&asked.file)?;
    let found = gather(&loaded).await?;
    output.say(gates::text(&found));
    output.tell(&found);
    Ok(if refusing(&found.gates).next().is_some() {
        REFUSED
    } else {
        0
    })
}

async fn gather(loaded: &Loaded) -> Result<Gates, Failure> {
    let Some(control) = loaded.existing_control()? else {
        return Err(not_begun());
    };
    if control.state().await?.running {
        let answer = ask(control.as_ref(), Command::Gates, Some(PATIENCE)).await?;
        if let Answer::Done(value) = answer {
            return serde_json::from_value(value)
                .map_err(|e| Failure::internal(format!("the run's answer cannot be read: {e}")));
        }
    }
    let migration = abort::begun(loaded, control).await?;
    if migration.plan.tables.is_empty() {
        return Err(not_begun());
    }
    Ok(crossfade_engine::durable_gates(&migration).await?)
}

fn not_begun() -> Failure {
    Failure::new(
        REFUSED,
        "switch.not_begun",
        "the migration has not begun: there is nothing to judge",
    )
    .fix("`crossfade run` first")
}
