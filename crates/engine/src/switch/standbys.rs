//! Standbys that somebody could promote: those that the migration file names must durably hold a switch before authority is given away.
//! One that was promoted without would be open as before, beside the store that has taken over.

use std::time::Duration;

use crossfade_model::{Finding, Position, Severity};
use crossfade_plan::Standbys;
use crossfade_rules::switch::{NotYet, missing_standbys};
use crossfade_store::{ErrorKind, Latch, Source, Store, StoreError};
use tokio::time::Instant;

use crate::error::EngineError;
use crate::switch::Sides;
use crate::switch::lane::as_warning;
use crate::switch::prepare::{refuse, refused};

/// Pause between two looks.
const AGAIN: Duration = Duration::from_millis(5);

/// What `plan` tells of them: what will refuse the switch, and who is not named.
///
/// # Errors
/// The stores'.
pub(crate) async fn told(sides: &Sides, named: &Standbys) -> Result<Vec<Finding>, EngineError> {
    let mut out = Vec::new();
    for (store, named, place) in [
        (&sides.source, &named.source, "source"),
        (&sides.target, &named.target, "target"),
    ] {
        let found = match store.standby_findings(named).await {
            Ok(found) => found,
            // a file that is made once the migration begins
            Err(StoreError {
                kind: ErrorKind::Missing,
                ..
            }) => continue,
            Err(error) => return Err(error.into()),
        };
        out.extend(found.into_iter().map(|finding| match finding.severity {
            Severity::Blocks => as_warning(finding, place),
            _ => Finding {
                place: place.to_owned(),
                ..finding
            },
        }));
    }
    Ok(out)
}

/// Refuses a switch that would wait in vain for one.
///
/// # Errors
/// A refusal; the stores'.
pub(crate) async fn ready(sides: &Sides, named: &Standbys) -> Result<(), EngineError> {
    for (store, named) in [
        (&sides.source, &named.source),
        (&sides.target, &named.target),
    ] {
        if !named.is_empty() {
            refuse(store.standby_findings(named).await?)?;
        }
    }
    Ok(())
}

/// Waits until every named standby of the old authority holds the fence, and every one of the new authority all that it begins with;
/// gives those that do not by `deadline`. `begins`: the new authority's log up to there.
///
/// # Errors
/// The stores'.
pub(crate) async fn missing(
    latch: &mut dyn Latch,
    target: &dyn Store,
    begins: Position,
    named: &Standbys,
    deadline: Instant,
) -> Result<Vec<String>, StoreError> {
    loop {
        let mut missing = Vec::new();
        if !named.source.is_empty() {
            let holding = latch.standbys_holding(&named.source).await?;
            missing.extend(missing_standbys(&named.source, &holding));
        }
        if !named.target.is_empty() {
            let holding = target.standbys_holding(&named.target, begins).await?;
            missing.extend(missing_standbys(&named.target, &holding));
        }
        if missing.is_empty() || Instant::now() >= deadline {
            return Ok(missing);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// The new authority's log up to now: what was applied to it, and where it notes that it begins.
///
/// # Errors
/// The store's.
pub(crate) async fn begins(
    target: &dyn Store,
    lane: &str,
    named: &Standbys,
) -> Result<Position, StoreError> {
    match named.target.is_empty() {
        true => Ok(Position(0)),
        false => Ok(Source::probe(target, lane).await?.log_end),
    }
}

/// Why authority is not given, for people.
pub(crate) fn not_given(why: NotYet) -> EngineError {
    match why {
        NotYet::Standbys(names) => refused(
            "switch.standbys",
            format!(
                "the time box ended before these standbys held what the switch has done: {}. The fence is lifted, nothing has changed",
                names.join(", ")
            ),
            "See why they are behind (pg_stat_replication), give it more time with --within, or take them out of [standbys]",
        ),
        why => EngineError::rule(why),
    }
}
