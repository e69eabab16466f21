//! What the stream does not show: the source's end and what its log keeps, tables whose shape has changed, a side that is another by now.

use std::sync::Arc;
use std::time::Duration;

use crossfade_store::{ErrorKind, StoreError, WatchOutcome};

use crate::acting;
use crate::error::EngineError;
use crate::run::Run;
use crate::session::{Altered, Session};
use crate::switch::incarnation;

/// How often the source is looked at for what the stream does not show.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// After so many looks both sides are asked who they are.
const WHO_EVERY: u32 = 10;

/// Looks until the attempt stops.
pub(crate) async fn run(run: Arc<Run>, session: Arc<Session>) -> Result<(), EngineError> {
    let mut stop = session.stop.clone();
    let mut rounds: u32 = 0;
    loop {
        tokio::select! {
            _ = stop.changed() => return Ok(()),
            () = tokio::time::sleep(WATCH_EVERY) => {}
        }
        if session.turned() {
            continue;
        }
        match session.tenure.check().await {
            // the target was opened while this asked
            Err(error) if error.kind == ErrorKind::Fenced && session.turned() => continue,
            checked => checked?,
        }
        acting::quiet(&session).await?;
        rounds = rounds.wrapping_add(1);
        if rounds.is_multiple_of(WHO_EVERY) {
            are_the_same(&run, &session).await?;
        }
        let probe = session.source.probe(&session.name).await?;
        {
            let mut state = session.lock();
            state.recent.retain(|t| !probe.snapshot.sees(*t));
            state.source_end = state.source_end.max(probe.log_end);
            state.log_kept_bytes = probe.log_kept_bytes;
        }
        if let WatchOutcome::Changed(changes) = session.source.watch(&session.spec).await? {
            // a server that was promoted has no slot: what is seen there is not of the one that this attempt follows
            if !are_the_same(&run, &session).await? {
                continue;
            }
            // a table that is gone is missing from the publication too: the table says more
            let mapped = |(name, _): &(String, String)| {
                let names = session.tables().iter().map(|t| t.source.name.to_string());
                names.into_iter().any(|n| n == *name)
            };
            let first = changes.iter().find(|c| mapped(c)).or(changes.first());
            let (table, what) = first.cloned().unwrap_or_default();
            note_altered(&session, table, what).await?;
        }
    }
}

/// Whether both sides are known to be who they were. What this attempt holds open may lead to a server that is not the one under its address
/// any more: the next attempt finds out what to do about the one that is. A switch asks before anything changes hands, and ends in order.
async fn are_the_same(run: &Run, session: &Session) -> Result<bool, EngineError> {
    match incarnation::changed(session, &run.migration.sides).await {
        Ok(None) => Ok(true),
        // a server that takes no new connection just now is no other one; a switch asks again
        Err(error) => {
            tracing::debug!(error = %error, "who answers was not asked");
            Ok(false)
        }
        Ok(Some(_)) if session.switching() => Ok(false),
        Ok(Some(store)) => Err(StoreError::new(
            ErrorKind::Connection,
            "engine.failed_over",
            &store,
            "another server or file answers under this address than when this run began",
        )
        .into()),
    }
}

/// Remembers that a table was altered; the applier ends the run once it has applied everything before.
pub(crate) async fn note_altered(
    session: &Session,
    table: String,
    what: String,
) -> Result<(), EngineError> {
    let seen_at = session.source.probe(&session.name).await?.log_end;
    let mut state = session.lock();
    if state.altered.is_none() {
        state.altered = Some(Altered {
            table,
            what,
            moved: Vec::new(),
            seen_at,
        });
    }
    drop(state);
    session.notify();
    Ok(())
}
