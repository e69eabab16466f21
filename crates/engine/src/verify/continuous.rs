//! Continuous reconciliation: while the target follows, both sides of one range after another are read again, for ever, at a
//! set share of the time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossfade_model::digest::Salt;
use crossfade_rules::proof::Ticket;
use tokio::sync::mpsc;

use crate::error::EngineError;
use crate::progress::{Event, TableVerify};
use crate::session::Session;
use crate::verify::book::{Proofs, RangeSpec, Stamp};
use crate::verify::collect::VerifyRequest;
use crate::verify::compare::{self, Part};
use crate::verify::pair::Pair;
use crate::verify::place;

/// Pause between two readings at least.
const LEAST_PAUSE: Duration = Duration::from_millis(100);
/// Pause between them at most, whatever one took.
const MOST_PAUSE: Duration = Duration::from_secs(120);
/// Pause after a reading that failed and may work later.
const LATER: Duration = Duration::from_secs(30);
/// Readings of one range, until two show the same.
const MOST_READINGS: u32 = 3;
/// Pause between them.
const AGAIN: Duration = Duration::from_secs(1);
/// Log behind the source's end from which on nothing is read: the stream comes first.
const MOST_BEHIND: u64 = 16 << 20;

/// Cuts the tables unless they are.
pub(crate) async fn ensure_cut(session: &Session) -> Result<(), EngineError> {
    if session.proofs().is_some() {
        return Ok(());
    }
    let cut = Proofs::cut(session.source.as_ref(), session.tables()).await?;
    session.proofs().get_or_insert(cut);
    Ok(())
}

/// Reads ranges until the attempt stops.
pub(crate) async fn run(
    session: Arc<Session>,
    requests: mpsc::Sender<VerifyRequest>,
) -> Result<(), EngineError> {
    let percent = session.options.reconcile_percent;
    if percent == 0 {
        return Ok(());
    }
    loop {
        let ready = session.wait_for(|state| {
            let behind = state.source_end.0.saturating_sub(state.checkpoint.0);
            let may = state.finished && !state.paused && behind <= MOST_BEHIND;
            may.then_some(())
        });
        if ready.await.is_none() {
            return Ok(());
        }
        // a switch reads what it needs by itself, and waits for nobody
        if session.switching() {
            if rested(&session, LEAST_PAUSE).await {
                return Ok(());
            }
            continue;
        }
        let begun = Instant::now();
        match next(&session, &requests).await {
            Ok(()) => {}
            Err(EngineError::Ending) => return Ok(()),
            Err(error @ EngineError::Control(_)) => return Err(error),
            // the stream notices by itself when a store is gone, and the watch when a table was altered; what only the reading
            // meets leaves the range unproven
            Err(error) => {
                session.observer.event(&Event::Warning {
                    what: format!("rows could not be read again: {error}"),
                });
                if rested(&session, LATER).await {
                    return Ok(());
                }
            }
        }
        if rested(&session, pause(begun.elapsed(), percent)).await {
            return Ok(());
        }
    }
}

/// So long that the reading was at most this share of the time.
fn pause(took: Duration, percent: u32) -> Duration {
    let share = f64::from(percent.clamp(1, 100));
    took.mul_f64((100.0 - share) / share)
        .clamp(LEAST_PAUSE, MOST_PAUSE)
}

/// True where the attempt is to stop.
async fn rested(session: &Session, pause: Duration) -> bool {
    let mut stop = session.stop.clone();
    tokio::select! {
        _ = stop.changed() => true,
        () = tokio::time::sleep(pause) => session.stopping(),
    }
}

async fn next(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
) -> Result<(), EngineError> {
    let _turn = session.comparing.lock().await;
    ensure_cut(session).await?;
    let begun = session.proofs().as_mut().and_then(Proofs::begin_next);
    match begun {
        Some((ticket, spec)) => settle(session, requests, ticket, &spec).await,
        None => Ok(()),
    }
}

/// Reads whole, and at once, what is not proven: more of it may have changed than is kept by its keys.
pub(crate) async fn unproven(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
) -> Result<(), EngineError> {
    let _turn = session.comparing.lock().await;
    ensure_cut(session).await?;
    let ranges = session.proofs().as_ref().map(Proofs::unproven);
    for range in ranges.unwrap_or_default() {
        let begun = session.proofs().as_mut().and_then(|p| p.begin_range(range));
        if let Some((ticket, spec)) = begun {
            settle(session, requests, ticket, &spec).await?;
        }
    }
    Ok(())
}

/// Reads one range until it is equal, or a difference has stayed.
async fn settle(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    mut ticket: Ticket,
    spec: &RangeSpec,
) -> Result<(), EngineError> {
    let range = ticket.range();
    let mut before: Option<TableVerify> = None;
    for _ in 0..MOST_READINGS {
        let found = match read(session, requests, ticket, spec).await? {
            Some(found) if !found.equal => found,
            _ => return Ok(()),
        };
        // only what stays after the stream has passed it is a difference
        if before.as_ref().is_some_and(|b| compare::stayed(b, &found)) {
            tell(session, &found);
            return Ok(());
        }
        before = Some(found);
        if rested(session, AGAIN).await {
            return Ok(());
        }
        ticket = match session.proofs().as_mut().and_then(|p| p.begin(range)) {
            Some(ticket) => ticket,
            None => return Ok(()),
        };
    }
    if let Some(proofs) = session.proofs().as_mut() {
        proofs.cancel(ticket);
    }
    Ok(())
}

/// Reads one range on both sides; `None` where it came to nothing.
async fn read(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    ticket: Ticket,
    spec: &RangeSpec,
) -> Result<Option<TableVerify>, EngineError> {
    let compared = range(session, requests, spec).await;
    let mut proofs = session.proofs();
    let Some(proofs) = proofs.as_mut() else {
        return Ok(None);
    };
    match compared {
        Ok(Some((stamp, found))) => {
            // a void outcome is no loss: the range is read again in its turn
            let _ = proofs.finish(ticket, stamp, found.equal);
            Ok(Some(found))
        }
        Ok(None) => {
            proofs.cancel(ticket);
            Ok(None)
        }
        Err(error) => {
            proofs.cancel(ticket);
            Err(error)
        }
    }
}

async fn range(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    spec: &RangeSpec,
) -> Result<Option<(Stamp, TableVerify)>, EngineError> {
    let table = &session.tables()[spec.table];
    let Some(pair) = Pair::open(session, requests, &[&table.source]).await? else {
        return Ok(None);
    };
    let stamp = Stamp {
        position: pair.position,
        at: compare::now(),
    };
    let salt: Salt = rand::random();
    let places = place::known(session, &pair, spec.table);
    let part = Part::new(spec.table, spec.range.clone(), places);
    let found = compare::parts(session, pair, &salt, vec![part]).await?;
    Ok(found.into_iter().next().map(|found| (stamp, found)))
}

fn tell(session: &Session, found: &TableVerify) {
    let more = if found.more { " or more" } else { "" };
    session.observer.event(&Event::Warning {
        what: format!(
            "table {}: {}{more} rows differ, and still do after the stream has passed them: `crossfade verify` names them",
            found.name,
            found.differences.len()
        ),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_keeps_to_the_share() {
        let second = Duration::from_secs(1);
        assert_eq!(pause(second, 50), second);
        assert_eq!(pause(second, 10), 9 * second);
        assert_eq!(pause(second, 100), LEAST_PAUSE);
        assert_eq!(pause(1000 * second, 1), MOST_PAUSE);
    }
}
