//! Keeps the log of the lane at rest from growing: its capture stays, so that going the other way needs no new copy, but what it
//! would bring is what this lane has applied.

use std::sync::Arc;
use std::time::Duration;

use crossfade_model::Mode;
use crossfade_rules::switch::is_held;

use crate::error::EngineError;
use crate::run::Run;
use crate::session::Session;
use crate::switch::{Direction, gates};

/// How often.
const EVERY: Duration = Duration::from_secs(10);

/// Gives up the resting lane's log on the target until the attempt stops.
pub(crate) async fn run(run: Arc<Run>, session: Arc<Session>) -> Result<(), EngineError> {
    let mut stop = session.stop.clone();
    if !session.switching() {
        disarm(&run, &session).await;
    }
    // a switch that was given up, or a rollback, has come to its end
    if run.direction == Direction::Forward && !session.switching() {
        gates::thaw(&run, &session).await;
    }
    loop {
        tokio::select! {
            _ = stop.changed() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
        if session.switching() {
            continue;
        }
        // whatever fails here fails again, and the log that is kept is told by `status`
        if let Err(error) = once(&run, &session).await {
            tracing::debug!(error = %error, "the resting lane's log was not given up");
        }
    }
}

/// While no switch is near, writers of the authority need not pay for its fence.
pub(crate) async fn disarm(run: &Run, session: &Session) {
    let tables: Vec<_> = session.source_tables().into_iter().cloned().collect();
    let source = &run.migration.sides.source;
    let disarmed = async {
        match source.peek_standing(run.base()).await? {
            Some(standing) if standing.register.mode == Mode::Open => {
                source.disarm(run.base(), &tables).await
            }
            _ => Ok(Vec::new()),
        }
    };
    match disarmed.await {
        Ok(left) if left.is_empty() => {}
        Ok(left) => tracing::info!(
            tables = left.len(),
            "tables are still armed: somebody uses them"
        ),
        Err(error) => tracing::info!(error = %error, "tables are still armed"),
    }
}

async fn once(run: &Run, session: &Session) -> Result<(), EngineError> {
    let target = &run.migration.sides.target;
    let lane = run.direction.other().lane(run.base());
    let keeper: &dyn crossfade_store::Source = target.as_ref();
    if keeper.made(&lane).await?.is_empty() {
        return Ok(());
    }
    let end = keeper.probe(&lane).await?.log_end;
    // in this order: what was read before the store was seen closed lies before any write of its own authority
    let standing = target.peek_standing(run.base()).await?;
    let at_rest = standing.is_some_and(|s| {
        let noted = s.beginning.map_or(0, |b| b.epoch);
        // under a held fence it still has authority; with a beginning noted beyond its register it is about to take it
        s.register.mode != Mode::Open && !is_held(s.register) && noted <= s.register.epoch
    });
    if at_rest && !session.switching() {
        target.skip_log(&lane, end).await?;
    }
    Ok(())
}
