//! `abort`: ends a migration and removes what it made on the source.

use std::sync::Arc;
use std::time::Duration;

use crossfade_control::{Command, ControlStore};
use crossfade_engine::{Migration, stored_plan};
use crossfade_plan::Plan;
use crossfade_store::Made;
use serde_json::json;

use super::{Answer, ask};
use crate::args;
use crate::failure::Failure;
use crate::load::{Loaded, load};
use crate::show::{Output, made};

/// How long a run may take to end and to remove what was made.
const PATIENCE: Duration = Duration::from_secs(300);

/// Aborts.
///
/// # Errors
/// A store that cannot be reached or refuses; what was removed stays removed, and `abort` can be given again.
pub async fn abort(arguments: &args::Abort, output: &Output) -> Result<u8, Failure> {
    let loaded = load(&arguments.file)?;
    let control = loaded.control()?;
    let removed = match by_command(control.as_ref(), arguments.drop_target_tables).await? {
        Some(removed) => removed,
        None => directly(&loaded, control, arguments.drop_target_tables).await?,
    };
    tell(&removed, arguments.drop_target_tables, output);
    output.tell(&json!({ "removed": removed, "drop_target_tables": arguments.drop_target_tables }));
    Ok(0)
}

fn tell(removed: &[Made], drop_target_tables: bool, output: &Output) {
    if removed.is_empty() {
        output.say("Aborted. There was nothing to remove.");
        if drop_target_tables {
            output.say("Tables that an earlier `abort` has kept on the target are nobody's any more: drop them yourself.");
        }
        return;
    }
    output.say(format!("Aborted. Removed:\n{}", made::lines(removed)));
    output.say(if drop_target_tables {
        "The source's rows are untouched. Tables that the migration had made on the target are gone."
    } else {
        "The source's rows are untouched. The target's tables stay as they were, and follow no more."
    });
}

/// By the run that is active; `None` where there is none.
async fn by_command(
    control: &dyn ControlStore,
    drop_target_tables: bool,
) -> Result<Option<Vec<Made>>, Failure> {
    if !control.state().await?.running {
        return Ok(None);
    }
    match ask(
        control,
        Command::Abort { drop_target_tables },
        Some(PATIENCE),
    )
    .await?
    {
        Answer::RunEnded => Ok(None),
        Answer::Done(value) => serde_json::from_value(value)
            .map(Some)
            .map_err(|e| Failure::internal(format!("the run's answer cannot be read: {e}"))),
    }
}

async fn directly(
    loaded: &Loaded,
    control: Arc<dyn ControlStore>,
    drop_target_tables: bool,
) -> Result<Vec<Made>, Failure> {
    let migration = begun(loaded, control).await?;
    Ok(crossfade_engine::abort(migration, drop_target_tables).await?)
}

/// The migration as it was begun; one without tables where it was not, so that an unfinished beginning is removed too.
///
/// # Errors
/// The target cannot be read.
pub async fn begun(
    loaded: &Loaded,
    control: Arc<dyn ControlStore>,
) -> Result<Arc<Migration>, Failure> {
    let state = loaded.target.peek(&loaded.file.name).await?;
    let plan = match &state {
        Some(state) => stored_plan(state, loaded.target.as_ref())?,
        None => None,
    };
    let plan = plan.unwrap_or_else(|| without_plan(loaded));
    Ok(loaded.migration(plan, control))
}

/// A plan without tables.
pub fn without_plan(loaded: &Loaded) -> Plan {
    Plan {
        replanned: None,
        migration: loaded.file.name.clone(),
        source_engine: loaded.source.engine().to_owned(),
        target_engine: loaded.target.engine().to_owned(),
        tables: Vec::new(),
        present: Default::default(),
        types: Vec::new(),
        sequences: Vec::new(),
        omissions: Vec::new(),
        findings: Vec::new(),
        statements: Vec::new(),
    }
}
