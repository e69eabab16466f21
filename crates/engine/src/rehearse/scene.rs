//! Where a rehearsal takes place: scratch databases, what runs on them, and the removal of it all.

use std::sync::Arc;
use std::time::Duration;

use crossfade_model::{TableName, reverse_lane};
use crossfade_store::{ErrorKind, Made, Scratch, Source, Store, StoreError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::error::EngineError;
use crate::progress::RunOutcome;
use crate::rehearse::{Rehearsal, RehearsalReport};
use crate::run::Migration;
use crate::switch::prepare::refused;

/// Rehearsals of one migration whose copies may be there at once.
const MOST: u32 = 99;
/// Characters of the migration's name that stand in the names of what is made: such names are short on servers.
const LONGEST_NAME: usize = 20;
/// How long a run may take to end.
const ENDING: Duration = Duration::from_secs(30);

/// A scratch database.
pub(super) struct Place {
    pub scratch: Box<dyn Scratch>,
    /// It was given, and stays; what is made in it goes.
    given: bool,
}

/// A run that goes on beside the procedure.
pub(super) struct Running {
    pub stop: watch::Sender<bool>,
    pub task: JoinHandle<Result<RunOutcome, EngineError>>,
}

/// What there is to be removed.
pub(super) struct Scene {
    /// The name of the rehearsed migration; what is made is named by it.
    pub name: String,
    pub source: Place,
    pub target: Place,
    /// The copy from the real source, once it may have made something.
    pub copy: Option<Arc<Migration>>,
    /// The rehearsed migration, once it may have made something.
    pub migration: Option<Arc<Migration>>,
    pub run: Option<Running>,
}

impl Scene {
    /// Makes the scratch databases that were not given.
    pub async fn set(
        asked: &mut Rehearsal,
        report: &mut RehearsalReport,
    ) -> Result<Scene, EngineError> {
        let given = |scratch| Place {
            scratch,
            given: true,
        };
        let source = asked.scratch_source.take().map(given);
        let target = asked.scratch_target.take().map(given);
        for place in [&source, &target].into_iter().flatten() {
            fit(asked, place.scratch.as_ref()).await?;
        }
        if let (Some(source), Some(target)) = (&source, &target)
            && source.scratch.label() == target.scratch.label()
        {
            return Err(same(target.scratch.label()));
        }
        let short: String = asked.file.name.chars().take(LONGEST_NAME).collect();
        let (name, source, target) = made(asked, &short, source, target).await?;
        report.scratch_source = source.scratch.label().to_owned();
        report.scratch_target = target.scratch.label().to_owned();
        Ok(Scene {
            name,
            source,
            target,
            copy: None,
            migration: None,
            run: None,
        })
    }

    /// The name of the copy's migration.
    pub fn copy_name(&self) -> String {
        format!("{}_copy", self.name)
    }

    /// Ends and removes everything. Returns what is still there, in words.
    pub async fn strike(mut self, keep: bool) -> Vec<String> {
        let mut left = Vec::new();
        if let Some(Running { stop, mut task }) = self.run.take() {
            stop.send_replace(true);
            if tokio::time::timeout(ENDING, &mut task).await.is_err() {
                task.abort();
                left.push("a run that did not end was cut off".to_owned());
            }
        }
        // on the real source nothing stays, whatever is kept
        if let Some(copy) = &self.copy {
            let name = &copy.plan.migration;
            note(
                &mut left,
                copy.source.label(),
                copy.sides.source.remove_capture(name).await,
            );
        }
        if keep {
            let kept = [&self.source, &self.target].map(|place| place.scratch.label());
            left.extend(kept.map(|label| format!("{label}, as you wished")));
            return left;
        }
        self.clear_given(&mut left).await;
        for place in [&self.source, &self.target] {
            if place.given {
                continue;
            }
            if let Err(error) = place.scratch.remove().await {
                left.push(format!("{}: {error}", place.scratch.label()));
            }
        }
        left
    }

    /// What was made in databases that stay.
    async fn clear_given(&self, left: &mut Vec<String>) {
        if let Some(migration) = self.migration.as_ref().filter(|_| self.any_given()) {
            let base = &migration.plan.migration;
            let back = reverse_lane(base);
            let (source, target) = (&migration.sides.source, &migration.sides.target);
            note(left, source.label_of(), source.remove_capture(base).await);
            note(left, target.label_of(), target.remove_capture(&back).await);
            note(left, source.label_of(), source.remove_fence(base).await);
            note(left, target.label_of(), target.remove_fence(base).await);
            note(left, source.label_of(), source.remove(&back, &[]).await);
            let own = migration.plan.own_tables();
            note(left, target.label_of(), target.remove(base, &own).await);
        }
        if let Some(copy) = self.copy.as_ref().filter(|_| self.source.given) {
            let (name, target) = (&copy.plan.migration, &copy.sides.target);
            let own = copy.plan.own_tables();
            note(left, target.label_of(), target.remove(name, &own).await);
            // once the copy was ended its tables are nobody's; that there were none before was seen
            let names: Vec<TableName> = own.into_iter().map(|m| m.target.name).collect();
            note(left, target.label_of(), target.drop_tables(&names).await);
        }
    }

    fn any_given(&self) -> bool {
        self.source.given || self.target.given
    }
}

/// A store's label, whichever part it plays.
trait Labelled {
    fn label_of(&self) -> &str;
}

impl Labelled for Arc<dyn Store> {
    fn label_of(&self) -> &str {
        Source::label(self.as_ref())
    }
}

fn note<T>(left: &mut Vec<String>, label: &str, removed: Result<T, StoreError>) {
    match removed {
        // what is in a database that was never begun, or is gone
        Err(error) if error.kind == ErrorKind::Missing => {}
        Err(error) => left.push(format!("{label}: {error}")),
        Ok(_) => {}
    }
}

/// Scratch databases under the first number for which there are none.
async fn made(
    asked: &Rehearsal,
    short: &str,
    mut source: Option<Place>,
    mut target: Option<Place>,
) -> Result<(String, Place, Place), EngineError> {
    for number in 1..=MOST {
        let name = format!("{short}_rehearsal_{number}");
        let from = match source.take() {
            Some(given) => given,
            None => match beside(&asked.sides.source, &format!("{name}_source")).await? {
                Some(made) => made,
                None => continue,
            },
        };
        let to = match target.take() {
            Some(given) => Ok(Some(given)),
            None => beside(&asked.sides.target, &format!("{name}_target")).await,
        };
        match to {
            Ok(Some(to)) => return Ok((name, from, to)),
            Ok(None) if from.given => source = Some(from),
            Ok(None) => from.scratch.remove().await?,
            Err(error) => {
                if !from.given {
                    from.scratch.remove().await?;
                }
                return Err(error);
            }
        }
    }
    Err(refused(
        "rehearse.copies",
        format!("there are {MOST} copies of earlier rehearsals"),
        "remove those that nobody needs",
    ))
}

async fn beside(store: &Arc<dyn Store>, name: &str) -> Result<Option<Place>, EngineError> {
    match store.make_scratch(name).await {
        Ok(scratch) => Ok(Some(Place {
            scratch,
            given: false,
        })),
        Err(error) if error.kind == ErrorKind::Conflict => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A database that was given must be neither of the migration's own.
async fn fit(asked: &Rehearsal, scratch: &dyn Scratch) -> Result<(), EngineError> {
    let given = scratch.target()?;
    let identity = Source::identity(given.as_ref()).await?.identity;
    for own in [&asked.sides.source, &asked.sides.target] {
        let is_own = Source::identity(own.as_ref()).await?.identity == identity;
        if is_own || own.label_of() == scratch.label() {
            return Err(same(scratch.label()));
        }
    }
    Ok(())
}

fn same(label: &str) -> EngineError {
    refused(
        "rehearse.same_database",
        format!("{label} is given for a copy, and is used already"),
        "give an empty database of its own for each copy",
    )
}

/// Things that were made, in words.
pub(super) fn words(made: &[Made]) -> String {
    let words: Vec<String> = made
        .iter()
        .map(|made| format!("{} {}", made.kind, made.name))
        .collect();
    words.join(", ")
}
