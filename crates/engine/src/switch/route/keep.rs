//! Routes are looked after while a run follows: one that a dead tool has left paused, that was down when it was to be led, or that somebody
//! has set back, is put right, again and again with growing pauses. Not while the migration is paused: who works on a pooler by hand pauses it.

use std::sync::Arc;
use std::time::Duration;

use crossfade_model::Mode;

use super::agree::{put_right, wrong};
use super::authority;
use super::paused;
use crate::error::EngineError;
use crate::progress::Event;
use crate::run::Run;
use crate::session::Session;

/// How often they are looked at.
const EVERY: Duration = Duration::from_secs(5);
/// The longest pause where they cannot be put right.
const LONGEST: Duration = Duration::from_secs(60);

/// Looks after them until the attempt stops.
pub(crate) async fn run(run: Arc<Run>, session: Arc<Session>) -> Result<(), EngineError> {
    if run.home.lead.routes.is_empty() {
        return Ok(());
    }
    let mut stop = session.stop.clone();
    let mut pause = EVERY;
    let mut told = Vec::new();
    loop {
        tokio::select! {
            _ = stop.changed() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
        pause = match look(&run, &session, &mut told).await {
            true => EVERY,
            false => (pause * 2).min(LONGEST),
        };
    }
}

/// True where nothing is left to be done. What is wrong is told once, until it is something else.
async fn look(run: &Run, session: &Session, told: &mut Vec<String>) -> bool {
    let lead = &run.home.lead;
    let _turn = lead.turn().await;
    // once it is our turn: a switch leads them itself, and waits for this turn before it does
    if session.switching() || session.turned() || session.lock().paused {
        return true;
    }
    let epoch = match run.migration.sides.source.peek_standing(run.base()).await {
        Ok(Some(standing)) if standing.register.mode == Mode::Open => standing.register.epoch,
        // nobody takes writes, or there is no register: nobody is to be led anywhere
        Ok(_) => return true,
        Err(error) => {
            tracing::debug!(error = %error, "the routes were not looked at");
            return false;
        }
    };
    let owed = lead.owed();
    if epoch == 0 && owed.is_none() {
        return true;
    }
    let side = authority(run.direction);
    let wrong = wrong(lead, side, epoch, owed).await;
    if wrong.is_nothing() {
        if owed.is_some() {
            lead.owe(None);
            paused::settled(&run.home, &run.lease).await;
        }
        told.clear();
        return true;
    }
    let done = put_right(lead, run.base(), side, epoch, &wrong).await;
    paused::settled(&run.home, &run.lease).await;
    if *told != wrong.what {
        for what in &wrong.what {
            let end = match &done {
                Ok(()) => "that was put right".to_owned(),
                Err(error) => format!("that cannot be put right yet: {error}"),
            };
            session.observer.event(&Event::Warning {
                what: format!("{what}: {end}"),
            });
        }
        told.clone_from(&wrong.what);
    }
    done.is_ok()
}
