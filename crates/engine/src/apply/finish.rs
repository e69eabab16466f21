//! What follows once every chunk is loaded and the checkpoint has passed every horizon: indexes, unique keys, foreign
//! keys, sequences.

use std::sync::Arc;
use std::time::Duration;

use crossfade_model::{Omission, Sequence};
use crossfade_store::ErrorKind;

use crate::error::EngineError;
use crate::kill;
use crate::progress::Event;
use crate::sequences;
use crate::session::Session;
use crate::strangers;

/// Pause before indexes are built again.
const AGAIN: Duration = Duration::from_secs(1);

/// How often sequences are raised while following.
const SEQUENCES_EVERY: Duration = Duration::from_secs(30);

/// Waits until the target follows, completes its schema (`was_followed`: it was complete before this attempt), then keeps sequences raised
/// until the attempt stops.
pub(crate) async fn run(
    session: Arc<Session>,
    planned: Vec<Sequence>,
    was_followed: bool,
    begun: std::time::Instant,
) -> Result<(), EngineError> {
    let mut warned = false;
    let position = loop {
        let ready = session.wait_for(|state| {
            // what is built below is there already, whatever was parked since
            let ready = was_followed && state.followed_beside_parked() || state.followed();
            ready.then_some(state.checkpoint)
        });
        let Some(position) = ready.await else {
            return Ok(());
        };
        match build_indexes(&session).await {
            // a row was parked meanwhile, and what is left of it has another one's value
            Err(EngineError::Store(error))
                if error.kind == ErrorKind::UniqueViolation && session.lock().parked() > 0 =>
            {
                if !std::mem::replace(&mut warned, true) {
                    session.observer.event(&Event::Warning {
                        what: format!("an index waits until no row waits in quarantine: {error}"),
                    });
                }
                tokio::time::sleep(AGAIN).await;
            }
            built => {
                built?;
                break position;
            }
        }
    };
    let again = loop {
        let whole = session.lock().followed();
        let later = session.target.build_foreign_keys(session.tables()).await?;
        // a row that is parked may be a parent
        let is_certain = whole && session.lock().parked() == 0;
        let again = !later.is_empty() && !is_certain;
        // what was complete before goes on as it is: what else is to be done does not wait for a person
        if again && !was_followed {
            tokio::time::sleep(AGAIN).await;
            let ready = session.wait_for(|state| state.followed().then_some(()));
            if ready.await.is_none() {
                return Ok(());
            }
            continue;
        }
        tell_omissions(&session, later);
        break again;
    };
    kill::point("foreign_keys.after");
    sequences::raise(&session, &planned).await?;
    // only now: the load would have paid for it
    strangers::watch(&session).await?;
    {
        let mut state = session.lock();
        state.finished = true;
        state.keys_awaited = again;
    }
    session.notify();
    let mut stop = session.stop.clone();
    let mut told = false;
    let mut keep_at = tokio::time::Instant::now() + SEQUENCES_EVERY;
    loop {
        tokio::select! {
            _ = stop.changed() => return Ok(()),
            // with parked rows it is not yet
            followed = session.wait_for(|state| state.followed().then_some(())), if !told => {
                if followed.is_none() {
                    return Ok(());
                }
                let awaited = session.lock().keys_awaited;
                if awaited {
                    let later = session.target.build_foreign_keys(session.tables()).await?;
                    // a parent may have been parked meanwhile
                    if !later.is_empty() && session.lock().parked() > 0 {
                        tokio::time::sleep(AGAIN).await;
                        continue;
                    }
                    tell_omissions(&session, later);
                    session.lock().keys_awaited = false;
                    session.notify();
                }
                told = true;
                session.observer.event(&Event::Followed {
                    position: session.source.show_position(position),
                    seconds: begun.elapsed().as_secs_f64(),
                });
            }
            () = tokio::time::sleep_until(keep_at) => {
                sequences::keep(&session, &planned).await?;
                keep_at = tokio::time::Instant::now() + SEQUENCES_EVERY;
            }
        }
    }
}

async fn build_indexes(session: &Session) -> Result<(), EngineError> {
    for mapping in session.tables() {
        // the key is there; the other indexes that do not constrain come with it
        session.target.build_key(mapping).await?;
    }
    kill::point("unique.before");
    for mapping in session.tables() {
        session.target.build_unique_indexes(mapping).await?;
    }
    kill::point("unique.after");
    Ok(())
}

fn tell_omissions(session: &Session, later: Vec<Omission>) {
    for omission in later {
        session.observer.event(&Event::Warning {
            what: format!(
                "{} {} is not there yet: {}",
                omission.kind, omission.name, omission.why
            ),
        });
    }
}
