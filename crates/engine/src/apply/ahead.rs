//! The batch behind the one that is being written: gathered beside it, and decided beside it where nothing can change the
//! decision any more.

use std::sync::Arc;

use crossfade_model::KeyEncoder;
use crossfade_rules::checkpoint::already_applied;
use tokio::sync::mpsc;

use crate::apply::decide::{Decided, Rereads, Sight, Verdict, decide};
use crate::apply::gather::{Gathered, Gatherer};
use crate::error::EngineError;
use crate::session::Session;

/// Batches that wait for the applier. Another is gathered only once there is room for it.
pub(crate) const WAITING: usize = 1;

/// What to apply next.
#[derive(Debug)]
pub(crate) struct Next {
    pub gathered: Gathered,
    /// What becomes of all changes of the batch; holds as long as [`crate::session::State::applies_all`] does.
    pub decided: Option<Decided>,
}

impl From<Gathered> for Next {
    fn from(gathered: Gathered) -> Next {
        Next {
            gathered,
            decided: None,
        }
    }
}

/// Gathers until the stream ends or the attempt stops.
pub(crate) async fn run(
    session: Arc<Session>,
    mut gatherer: Gatherer,
    next: mpsc::Sender<Next>,
) -> Result<(), EngineError> {
    let encoders: Vec<_> = session.tables().iter().map(|t| t.key_encoder()).collect();
    let mut stop = session.stop.clone();
    loop {
        let gathering = async {
            // the applier that is gone says by itself why
            let Ok(room) = next.reserve().await else {
                return Ok(None);
            };
            Ok::<_, EngineError>(Some((room, gatherer.next(session.draining()).await?)))
        };
        let gathered = tokio::select! {
            biased;
            _ = stop.changed() => return Ok(()),
            gathered = gathering => gathered?,
        };
        let Some((room, gathered)) = gathered else {
            return Ok(());
        };
        let last = matches!(gathered, Gathered::SchemaChanged { .. } | Gathered::Ended);
        let decided = decided(&session, &encoders, &gathered);
        room.send(Next { gathered, decided });
        if last {
            return Ok(());
        }
    }
}

/// The batch decided, where every change is applied whatever else happens. Anything else, an error too, is left to the applier,
/// who decides once everything before is written.
fn decided(session: &Session, encoders: &[KeyEncoder], gathered: &Gathered) -> Option<Decided> {
    let Gathered::Batch { transactions, .. } = gathered else {
        return None;
    };
    if transactions.is_empty() {
        return None;
    }
    let checkpoint = {
        let state = session.lock();
        state.applies_all().then_some(state.checkpoint)?
    };
    // the applier leaves these out
    if transactions
        .iter()
        .any(|t| already_applied(&t.end, Some(&checkpoint)))
    {
        return None;
    }
    let changes = transactions.iter().map(|t| (t.id, t.changes.as_slice()));
    match decide(
        Sight::Settled,
        session.tables(),
        encoders,
        changes,
        &Rereads::new(),
    ) {
        Ok(Verdict::Decided(decided)) => Some(decided),
        _ => None,
    }
}
