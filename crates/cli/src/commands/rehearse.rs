//! `rehearse`: switch and roll back on copies.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossfade_control::{ControlError, ControlStore, SqliteControl};
use crossfade_engine::{EngineError, Rehearsal, RehearsalReport, Silent};
use crossfade_plan::StoreUrl;
use crossfade_store::{Result as StoreResult, Scratch, Store};
use serde_json::json;
use tokio::sync::watch;

use super::signal;
use crate::args;
use crate::failure::{FAILED, Failure, USAGE};
use crate::load::load;
use crate::show::Output;
use crate::stores;
use crate::view::View;

/// Rehearses.
///
/// # Errors
/// It could not begin. What did not pass is in the report, and makes the exit code 1.
pub async fn rehearse(asked: &args::Rehearse, output: &Output) -> Result<u8, Failure> {
    let loaded = load(&asked.file)?;
    let folder = stores::folder_of(&asked.file.file);
    let given = |url: &Option<String>, option: &str| match url {
        None => Ok(None),
        Some(url) => {
            Given::new(url, &folder, option).map(|given| Some(Box::new(given) as Box<dyn Scratch>))
        }
    };
    let controls = Controls::beside(&loaded.control_path);
    let place = controls.folder.clone();
    let rehearsal = Rehearsal {
        scratch_source: given(&asked.scratch_source, "--scratch-source")?,
        scratch_target: given(&asked.scratch_target, "--scratch-target")?,
        file: loaded.file.clone(),
        sides: loaded.sides.clone(),
        control: loaded.control()?,
        open_control: Box::new(move |name| open(&place, name)),
        owner: asked.owner.clone(),
        within: asked.within,
        keep: asked.keep,
    };
    let stop = signal::stop()?;
    let mut report = watched(rehearsal, stop, output).await?;
    // the stores are closed by now
    if let Some(left) = controls.remove() {
        report.left.push(left);
    }
    Ok(told(&report, output))
}

/// With its progress shown to people; JSON is the report alone.
async fn watched(
    rehearsal: Rehearsal,
    stop: watch::Receiver<bool>,
    output: &Output,
) -> Result<RehearsalReport, EngineError> {
    if output.json {
        let silent = Arc::new(Silent);
        return Box::pin(crossfade_engine::rehearse(rehearsal, silent, stop)).await;
    }
    let (feed, _, view) = View::start(output);
    let outcome = Box::pin(crossfade_engine::rehearse(rehearsal, feed, stop)).await;
    tokio::task::block_in_place(|| view.end());
    outcome
}

fn told(report: &RehearsalReport, output: &Output) -> u8 {
    output.say(report.markdown());
    if let Some(fix) = &report.fix {
        output.say(format!("Do: {fix}"));
    }
    output.tell(&json!({ "report": report }));
    if report.passed { 0 } else { FAILED }
}

/// The folder of what the rehearsal's own migrations keep.
struct Controls {
    folder: PathBuf,
}

impl Controls {
    fn beside(control: &Path) -> Controls {
        let mut name = control.as_os_str().to_owned();
        name.push(format!(".rehearsal-{}", std::process::id()));
        Controls {
            folder: name.into(),
        }
    }

    /// Removes it; what is left, in words.
    fn remove(&self) -> Option<String> {
        match std::fs::remove_dir_all(&self.folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Some(format!("{}: {e}", self.folder.display()))
            }
            _ => None,
        }
    }
}

fn open(folder: &Path, name: &str) -> Result<Arc<dyn ControlStore>, ControlError> {
    let unusable = |e: std::io::Error| ControlError::Failed {
        store: folder.display().to_string(),
        what: "the folder cannot be made".to_owned(),
        cause: Some(Box::new(e)),
    };
    std::fs::create_dir_all(folder).map_err(unusable)?;
    let path = folder.join(format!("{name}.control"));
    Ok(Arc::new(SqliteControl::open(&path, name)?))
}

/// A database that a person gave: it stays, what is made in it goes.
struct Given {
    url: StoreUrl,
    folder: PathBuf,
    label: String,
}

impl Given {
    fn new(url: &str, folder: &Path, option: &str) -> Result<Given, Failure> {
        let url = StoreUrl::parse(url).map_err(|problem| {
            Failure::new(USAGE, "usage.url", format!("{option}: {}", problem.what)).fix(problem.fix)
        })?;
        let store = stores::store_as_target(&url, folder)?;
        Ok(Given {
            label: crossfade_store::Source::label(store.as_ref()).to_owned(),
            url,
            folder: folder.to_owned(),
        })
    }
}

#[async_trait::async_trait]
impl Scratch for Given {
    fn label(&self) -> &str {
        &self.label
    }

    fn source(&self) -> StoreResult<Arc<dyn Store>> {
        stores::store_as_source(&self.url, &self.folder)
    }

    fn target(&self) -> StoreResult<Arc<dyn Store>> {
        stores::store_as_target(&self.url, &self.folder)
    }

    async fn remove(&self) -> StoreResult<()> {
        Ok(())
    }
}
