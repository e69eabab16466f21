//! Keys that a snapshot of their own decides: rows read again by themselves, and parked rows.

use std::borrow::Borrow;

use super::{Acceptance, Bounds, Frontier, OneKeyRow, OneKeyState};
use crate::visibility::{Covers, Sees};

impl<K, S, T, P> Frontier<K, S, T, P>
where
    K: Ord + Clone,
    S: Sees<T> + Covers + Clone + PartialEq,
    T: Ord + Clone,
    P: Ord + Clone,
{
    /// Whether `key` may be read by itself under `snapshot`: it sees `transaction` (the one whose image
    /// was not whole; `None` for a parked key), everything owed to the key, and all that the stream's start
    /// covers.
    pub fn accept_one_key<Q>(&self, key: &Q, snapshot: &S, transaction: Option<&T>) -> Acceptance
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let owed = match self.one_key.get(key) {
            Some(OneKeyState::Parked { owed }) => owed.as_slice(),
            _ => &[],
        };
        let sees_all = transaction
            .into_iter()
            .chain(owed)
            .all(|owed| snapshot.sees(owed));
        if sees_all && self.base.as_ref().is_none_or(|base| snapshot.covers(base)) {
            Acceptance::Accept
        } else {
            Acceptance::Again
        }
    }

    /// A key was read by itself at an accepted `snapshot`; `horizon` is the source's log end, read after
    /// it opened. From now on it decides this batch's later changes to the key. Its row, and
    /// [`Self::staged_rows`], must be in the batch's own target transaction.
    pub fn stage_one_key(&mut self, key: K, snapshot: S, horizon: P) {
        self.staged.insert(key, (snapshot, horizon));
    }

    /// The one-key rows to write (in place of any for the same key) in the batch's target transaction.
    pub fn staged_rows(&self) -> impl Iterator<Item = OneKeyRow<K, S, T, P>> + '_ {
        self.staged
            .iter()
            .map(|(key, (snapshot, horizon))| OneKeyRow {
                key: key.clone(),
                state: OneKeyState::Read {
                    snapshot: snapshot.clone(),
                    horizon: horizon.clone(),
                },
            })
    }

    /// The batch's target transaction has committed.
    pub fn commit_staged(&mut self) {
        for (key, (snapshot, horizon)) in std::mem::take(&mut self.staged) {
            self.one_key
                .insert(key, OneKeyState::Read { snapshot, horizon });
        }
    }

    /// The batch is decided again from its beginning, or its target transaction has not committed: its
    /// one-key reads decide nothing.
    pub fn discard_staged(&mut self) {
        self.staged.clear();
    }

    /// Whether `key` has a frontier of its own: durable, or staged by the batch at hand.
    pub fn has_one_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.staged.contains_key(key) || self.one_key.contains_key(key)
    }

    /// The row of `key` is not in the target, or not as it should be, and will be read again: the target refused it, in a chunk's load or in
    /// the stream, or it was read too early ([`Self::ahead_of`]) and is in another one's way. Until then its changes are left to that
    /// reading. To be called once the same is durable; for a chunk's load before [`Self::loaded`]. The batch at hand is then decided
    /// again, which owes it what the batch would have changed.
    pub fn park(&mut self, key: K) {
        self.one_key
            .insert(key, OneKeyState::Parked { owed: Vec::new() });
    }

    /// Whether `key` is parked.
    pub fn is_parked<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        matches!(self.one_key.get(key), Some(OneKeyState::Parked { .. }))
    }

    /// Keys whose rows are newer than the checkpoint: read by themselves, also by the batch at hand, and nobody has yet passed the horizon.
    pub fn ahead_of(&self, checkpoint: &P) -> Vec<K> {
        let ahead = self.one_key.iter().filter(|(key, state)| {
            matches!(state, OneKeyState::Read { horizon, .. } if horizon > checkpoint)
                && !self.staged.contains_key(*key)
        });
        let ahead = ahead.map(|(key, _)| key).chain(self.staged.keys());
        ahead.cloned().collect()
    }

    /// How many keys are parked; also those that the batch at hand has read, until it is durable.
    pub fn parked_count(&self) -> usize {
        self.parked().count()
    }

    fn parked(&self) -> impl Iterator<Item = (&K, &OneKeyState<S, T, P>)> {
        self.one_key
            .iter()
            .filter(|(_, state)| matches!(state, OneKeyState::Parked { .. }))
    }

    /// The rows of all parked keys, with what each is owed, but of those that the batch at hand has read
    /// ([`Self::staged_rows`] has them): to be stored in place of those stored.
    pub fn parked_rows(&self) -> impl Iterator<Item = OneKeyRow<K, S, T, P>> + '_ {
        self.parked()
            .filter(|(key, _)| !self.staged.contains_key(*key))
            .map(|(key, state)| OneKeyRow {
                key: key.clone(),
                state: state.clone(),
            })
    }

    /// Parked keys whose reading is due: the checkpoint has reached the horizon of every chunk, so a
    /// unique value that two snapshots showed twice is at one row only. Without those that the batch at
    /// hand has read.
    pub fn due(&self, checkpoint: &P) -> Vec<K> {
        if self
            .max_horizon()
            .is_none_or(|horizon| checkpoint < horizon)
        {
            return Vec::new();
        }
        self.parked_rows().map(|row| row.key).collect()
    }

    pub(super) fn expire_one_key(&mut self, checkpoint: &P) -> Vec<K> {
        let mut expired = Vec::new();
        self.one_key.retain(|key, state| match state {
            OneKeyState::Read { horizon, .. } if *horizon <= *checkpoint => {
                expired.push(key.clone());
                false
            }
            _ => true,
        });
        expired
    }

    pub(super) fn prune_parked(&mut self, probe: &S) {
        for state in self.one_key.values_mut() {
            if let OneKeyState::Parked { owed } = state {
                owed.retain(|owed| !probe.sees(owed));
            }
        }
    }

    pub(super) fn one_key_horizons(&self) -> impl Iterator<Item = &P> {
        self.one_key.values().filter_map(|state| match state {
            OneKeyState::Read { horizon, .. } => Some(horizon),
            OneKeyState::Parked { .. } => None,
        })
    }

    pub(super) fn one_key_passed(&self, checkpoint: &P) -> bool {
        self.staged.is_empty()
            && self.one_key.values().all(|state| match state {
                OneKeyState::Read { horizon, .. } => horizon <= checkpoint,
                OneKeyState::Parked { .. } => true,
            })
    }

    pub(super) fn one_key_keys<'a>(&'a self, bounds: &'a Bounds<K>) -> impl Iterator<Item = &'a K> {
        let staged = self
            .staged
            .keys()
            .filter(|key| !self.one_key.contains_key(*key));
        self.one_key
            .keys()
            .chain(staged)
            .filter(|key| bounds.contains::<K>(key))
    }
}
