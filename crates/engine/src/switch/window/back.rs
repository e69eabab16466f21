//! What ends a window in which nothing was given, or of which that is not known.

use crossfade_model::{Mode, Register};
use crossfade_store::{Latch, Recovery, StoreError};

use super::{AGAIN, Window};
use crate::error::EngineError;
use crate::switch::locate;

/// Tries to take a fence back before that is left to the next command.
const UNDO_TRIES: u32 = 20;

impl Window<'_> {
    /// After a failure: applications wait, and nobody else may come by for hours. The session that held the latch may be gone, or a step have
    /// been given up whose outcome is unknown, so the registers are looked at as by a process that begins.
    pub(super) async fn rest(&self) {
        let (home, lease) = (&self.run.home, &self.run.lease);
        while let Err(error) = locate::settle(home, lease, self.session.observer.as_ref()).await {
            let passing =
                matches!(&error, EngineError::Store(e) if e.recovery() == Recovery::Retry);
            if !passing || self.session.stopping() {
                tracing::warn!(error = %error, "what the switch has left is ended by the next command");
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    pub(super) async fn release(&self, latch: Box<dyn Latch>) {
        if let Err(error) = latch.release().await {
            tracing::warn!(error = %error, "the old authority's latch was not released in order; its server does it");
        }
    }

    /// Nothing has been given: the source goes on as before. Where this fails, the next look at the registers does it.
    pub(super) async fn undo(&mut self, mut latch: Box<dyn Latch>) {
        if !self.closing || self.given() {
            return self.release(latch).await;
        }
        let epoch = self.prepared.epoch;
        let fenced = Register::new(Mode::Fenced, epoch);
        let open = Register::new(Mode::Open, epoch);
        // a commit that was given up half-way may have happened: this compares
        let undone = latch.commit(fenced, open).await;
        self.release(latch).await;
        let Err(error) = undone else {
            self.undone = true;
            return;
        };
        for _ in 0..UNDO_TRIES {
            match self.reopened(fenced, open).await {
                Ok(true) => {
                    self.undone = true;
                    return;
                }
                Ok(false) => break,
                Err(error) => tracing::warn!(error = %error, "taking the fence back, again"),
            }
            tokio::time::sleep(AGAIN).await;
        }
        tracing::error!(error = %error, "the fence was not taken back: the next command does it");
    }

    /// Whether the old authority is open, by its own word; one that is fenced is opened. It may have given its authority away by a step whose
    /// outcome nobody heard of.
    async fn reopened(&self, fenced: Register, open: Register) -> Result<bool, StoreError> {
        let (source, base) = (&self.run.migration.sides.source, self.run.base());
        let standing = source.standing(base).await?;
        match left(standing.map(|s| s.register), fenced) {
            Left::Open => Ok(true),
            Left::Otherwise => Ok(false),
            Left::Fenced => {
                source.swap(base, fenced, open).await?;
                Ok(true)
            }
        }
    }
}

/// What the old authority's register says after a switch that failed.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    Open,
    /// By that switch.
    Fenced,
    /// Authority was given, or another process acts: the look at both registers decides.
    Otherwise,
}

fn left(register: Option<Register>, fenced: Register) -> Left {
    match register {
        Some(register) if register == fenced => Left::Fenced,
        Some(register) if register.mode == Mode::Open => Left::Open,
        _ => Left::Otherwise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_that_says_given_was_not_opened_again() {
        let register = |mode, epoch| Some(Register::new(mode, epoch));
        let fenced = Register::new(Mode::Fenced, 3);
        assert_eq!(left(register(Mode::Given, 3), fenced), Left::Otherwise);
        assert_eq!(left(register(Mode::Refused, 3), fenced), Left::Otherwise);
        assert_eq!(left(register(Mode::Fenced, 5), fenced), Left::Otherwise);
        assert_eq!(left(None, fenced), Left::Otherwise);
        assert_eq!(left(Some(fenced), fenced), Left::Fenced);
        assert_eq!(left(register(Mode::Open, 3), fenced), Left::Open);
        // the fence was never committed
        assert_eq!(left(register(Mode::Open, 2), fenced), Left::Open);
    }
}
