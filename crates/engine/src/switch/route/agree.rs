//! Routes as somebody else has left them: whatever does not lead to the authority is pointed there, whatever still waits goes on. Before
//! the first switch a route is its owner's.

use crossfade_route::{RouteError, Side, Traffic};

use super::{Lead, authority};
use crate::progress::{Event, Observer};
use crate::switch::lane::Direction;

/// What is wrong with the routes.
#[derive(Debug, Default)]
pub(super) struct Wrong {
    strays: bool,
    waits: bool,
    /// Each in words.
    pub what: Vec<String>,
    /// One that does not say.
    pub silent: Option<RouteError>,
}

impl Wrong {
    pub fn is_nothing(&self) -> bool {
        !self.strays && !self.waits && self.silent.is_none()
    }
}

/// Looks at all of them. `owed`: the epoch for which those that do not show it may be paused.
pub(super) async fn wrong(lead: &Lead, side: Side, epoch: u64, owed: Option<u64>) -> Wrong {
    let mut wrong = Wrong::default();
    for (label, shown) in lead.routes.shows().await {
        let state = match shown {
            Ok(state) => state,
            Err(error) => {
                wrong.what.push(format!(
                    "route {label} does not say whether it leads to the {}",
                    side.word()
                ));
                wrong.silent = Some(error);
                continue;
            }
        };
        let strays = epoch > 0 && state.writes.is_some_and(|to| to != side);
        let waits = state.paused.unwrap_or(owed.is_some());
        if strays || waits {
            let how = match strays {
                true => "does not lead writes to",
                false => "waits before",
            };
            let word = side.word();
            wrong.what.push(format!("route {label} {how} the {word}"));
        }
        wrong.strays |= strays;
        wrong.waits |= waits;
    }
    wrong
}

/// Points and resumes what is wrong, as far as it can be reached. Each route's own call brings about a state, so that those which are right
/// stay as they are.
///
/// # Errors
/// The first route's that could not be.
pub(super) async fn put_right(
    lead: &Lead,
    migration: &str,
    side: Side,
    epoch: u64,
    wrong: &Wrong,
) -> Result<(), RouteError> {
    let owed = lead.owed();
    let mut done = Ok(());
    if wrong.strays || (wrong.silent.is_some() && epoch > 0) {
        let destination = lead.ends.destination(side, epoch, migration);
        done = lead.routes.point(&destination, &Traffic::Writes).await;
    }
    if wrong.waits || wrong.silent.is_some() {
        let resumed = lead.routes.resume(owed.unwrap_or(0).max(epoch)).await;
        done = done.and(resumed);
    }
    if done.is_ok() {
        lead.owe(None);
    }
    done
}

/// A process that begins finds the routes as the one before has left them. `interrupted`: the epoch of a switch whose process did not come to
/// its end.
pub(crate) async fn agree(
    lead: &Lead,
    migration: &str,
    direction: Direction,
    epoch: u64,
    interrupted: Option<u64>,
    observer: &dyn Observer,
) {
    if interrupted.is_some() {
        lead.owe(interrupted);
    }
    let owed = lead.owed();
    if lead.routes.is_empty() || (epoch == 0 && owed.is_none()) {
        return;
    }
    let _turn = lead.turn().await;
    let side = authority(direction);
    let wrong = wrong(lead, side, epoch, owed).await;
    for what in &wrong.what {
        observer.event(&Event::Warning {
            what: format!("{what}: that is put right"),
        });
    }
    if let Err(error) = put_right(lead, migration, side, epoch, &wrong).await {
        observer.event(&Event::Warning {
            what: format!("a route could not be put right yet: {error}"),
        });
    }
}
