//! A rendezvous: source and target at exactly the same position, nobody stopped.
//!
//! A source snapshot S1 shows exactly what the target holds where S1 sees a prefix of the log: every transaction before some
//! place, and none after it. The applier stops between two batches before the first transaction that S1 does not see, the
//! target's snapshot is opened there, and the applier goes on at once. Up to S1's horizon it keeps looking: one that S1 sees
//! after all makes the pair void, and another S1 is taken.

use crossfade_model::{Position, Snapshot, TransactionId};
use crossfade_store::TargetSnapshot;
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant};

/// How long the applier waits for S1 to be opened: what it applied meanwhile S1 would have to see.
const HOLD: Duration = Duration::from_secs(2);

/// Applied transactions remembered while S1 is opened, at most: one after so many is not seen anyway.
const MOST_APPLIED: usize = 4096;

/// What the next transaction of the log means for a meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It says nothing: apply it.
    Apply,
    /// The target's snapshot belongs before it.
    Stop,
    /// S1 sees it, and did not see one before it: no place in the log is what S1 shows.
    Void,
    /// It and all after it lie beyond what S1 can see: the pair stands.
    Met,
}

/// Decides about the transaction that follows what was applied up to `checkpoint`. `stopped`: the target's snapshot is open
/// already. Only for transactions that change mapped tables.
pub(crate) fn next(
    view: &Snapshot,
    horizon: Position,
    stopped: bool,
    checkpoint: Position,
    (id, end): (TransactionId, Position),
) -> Next {
    // what a poll brings is several commits, which only its end shows together: one that goes beyond the view may have begun
    // within it
    let cut = matches!(view, Snapshot::Sequence(_)) && checkpoint < horizon;
    match (stopped, view.sees(id)) {
        (false, true) => Next::Apply,
        (false, false) if cut => Next::Void,
        (false, false) => Next::Stop,
        (true, true) => Next::Void,
        (true, false) if end > horizon => Next::Met,
        (true, false) => Next::Apply,
    }
}

/// The target's side of a meeting.
pub(crate) struct Met {
    pub reader: Box<dyn TargetSnapshot>,
    pub position: Position,
}

/// What the source's side asks for.
pub(crate) struct Asked {
    pub view: Snapshot,
    pub horizon: Position,
    /// Hears of the target's side; `None` where S1 is void.
    pub reply: oneshot::Sender<Option<Met>>,
}

/// How far a meeting is, as the applier knows it.
pub(crate) enum Meeting {
    /// S1 is being opened.
    Opening {
        /// No batch is taken before, unless S1 is told.
        hold: Option<Instant>,
        /// Applied since.
        applied: Vec<TransactionId>,
    },
    /// The log has not come to the place yet.
    Before(Asked),
    /// The target's snapshot is open; the log goes on to the horizon.
    After(Asked, Met),
}

impl Meeting {
    pub fn new() -> Meeting {
        Meeting::Opening {
            hold: Some(Instant::now() + HOLD),
            applied: Vec::new(),
        }
    }

    /// Until when no batch is to be taken.
    pub fn hold(&self) -> Option<Instant> {
        match self {
            Meeting::Opening { hold, .. } => *hold,
            Meeting::Before(_) | Meeting::After(..) => None,
        }
    }

    /// S1 took too long: the applier goes on.
    pub fn go_on(&mut self) {
        if let Meeting::Opening { hold, .. } = self {
            *hold = None;
        }
    }

    /// S1 is open. `None`, told to whoever asked, where something applied since is not seen by it.
    pub fn ask(self, asked: Asked) -> Option<Meeting> {
        let Meeting::Opening { applied, .. } = self else {
            return None;
        };
        if applied.len() <= MOST_APPLIED && applied.iter().all(|t| asked.view.sees(*t)) {
            return Some(Meeting::Before(asked));
        }
        // a verify that has gone away is no reason to stop
        let _ = asked.reply.send(None);
        None
    }

    /// What the next transaction means.
    pub fn next(&mut self, checkpoint: Position, transaction: (TransactionId, Position)) -> Next {
        match self {
            Meeting::Opening { applied, .. } => {
                if applied.len() <= MOST_APPLIED {
                    applied.push(transaction.0);
                }
                Next::Apply
            }
            Meeting::Before(asked) => {
                next(&asked.view, asked.horizon, false, checkpoint, transaction)
            }
            Meeting::After(asked, _) => {
                next(&asked.view, asked.horizon, true, checkpoint, transaction)
            }
        }
    }

    /// The meeting with the target's snapshot at the place.
    pub fn at(self, met: Met) -> Meeting {
        match self {
            Meeting::Before(asked) => Meeting::After(asked, met),
            other => other,
        }
    }

    /// Whether the log is at the horizon, and whether the target's snapshot is open.
    pub fn passed(&self, checkpoint: Position) -> (bool, bool) {
        match self {
            Meeting::Opening { .. } => (false, false),
            Meeting::Before(asked) => (asked.horizon <= checkpoint, false),
            Meeting::After(asked, _) => (asked.horizon <= checkpoint, true),
        }
    }

    /// Tells whoever asked that the pair stands, or that it does not.
    pub fn end(self, stands: bool) {
        // a verify that has gone away is no reason to stop
        let _ = match self {
            Meeting::After(asked, met) => asked.reply.send(stands.then_some(met)),
            Meeting::Before(asked) => asked.reply.send(None),
            Meeting::Opening { .. } => return,
        };
    }
}

#[cfg(test)]
#[path = "meet_tests.rs"]
mod tests;
