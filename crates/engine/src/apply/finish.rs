//! What follows once every chunk is loaded and the checkpoint has passed every horizon: indexes, unique keys, foreign
//! keys, sequences.

use std::sync::Arc;
use std::time::Duration;

use crossfade_model::Sequence;

use crate::error::EngineError;
use crate::kill;
use crate::progress::Event;
use crate::sequences;
use crate::session::Session;
use crate::strangers;

/// How often sequences are raised while following.
const SEQUENCES_EVERY: Duration = Duration::from_secs(30);

/// Waits until the target follows, completes its schema (`was_followed`: it was complete before this attempt), then keeps sequences raised until the attempt stops.
pub(crate) async fn run(
    session: Arc<Session>,
    planned: Vec<Sequence>,
    was_followed: bool,
    begun: std::time::Instant,
) -> Result<(), EngineError> {
    let Some(position) = session
        .wait_for(|state| {
            // what is built below is there already, whatever was parked since
            let ready = was_followed && state.followed_beside_parked() || state.followed();
            ready.then_some(state.checkpoint)
        })
        .await
    else {
        return Ok(());
    };
    for mapping in session.tables() {
        // the key is there; the other indexes that do not constrain come with it
        session.target.build_key(mapping).await?;
    }
    kill::point("unique.before");
    for mapping in session.tables() {
        session.target.build_unique_indexes(mapping).await?;
    }
    kill::point("unique.after");
    let later = session.target.build_foreign_keys(session.tables()).await?;
    kill::point("foreign_keys.after");
    for omission in later {
        session.observer.event(&Event::Warning {
            what: format!(
                "{} {} is not there yet: {}",
                omission.kind, omission.name, omission.why
            ),
        });
    }
    sequences::raise(&session, &planned).await?;
    // only now: the load would have paid for it
    strangers::watch(&session).await?;
    session.lock().finished = true;
    session.notify();
    session.observer.event(&Event::Followed {
        position: session.source.show_position(position),
        seconds: begun.elapsed().as_secs_f64(),
    });
    let mut stop = session.stop.clone();
    loop {
        tokio::select! {
            _ = stop.changed() => return Ok(()),
            () = tokio::time::sleep(SEQUENCES_EVERY) => sequences::keep(&session, &planned).await?,
        }
    }
}
