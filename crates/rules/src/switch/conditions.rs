//! What must hold of both stores before a register is changed. Each is asked with what was read of the stores for this very change, and
//! followed by the compare-and-swap, which is why reading too early does no harm.

use crossfade_model::{Mode, Register};

use super::register::{RegisterRefusal, is_held, may_move};

/// Why a step of the switch may not be taken, or not yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotYet {
    /// The register does not go this way.
    Register(RegisterRefusal),
    /// The other store is not what this step needs.
    Other {
        /// What it is.
        found: Register,
        /// What is needed.
        needed: &'static str,
        /// Of which epoch.
        epoch: u64,
    },
    /// The epoch was seen before, on either store.
    EpochUsed(u64),
    /// No barrier was written under the latch.
    NoBarrier,
    /// The follower has not passed the barrier.
    NotDrained,
    /// The last proof is missing or failed.
    NotProven,
    /// The sequences of the store that takes over were not raised for this epoch.
    SequencesNotRaised,
    /// The beginning was not noted in the store that takes over, for this epoch.
    NotNoted {
        /// For which epoch one was noted.
        noted: Option<u64>,
        /// For which it must be.
        epoch: u64,
    },
    /// Standbys that could be promoted have not confirmed the fence.
    Standbys(Vec<String>),
}

impl From<RegisterRefusal> for NotYet {
    fn from(refusal: RegisterRefusal) -> NotYet {
        NotYet::Register(refusal)
    }
}

impl std::fmt::Display for NotYet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NotYet::Register(refusal) => refusal.fmt(f),
            NotYet::Other {
                found,
                needed,
                epoch,
            } => write!(f, "the other store is {found}, not {needed}@{epoch}"),
            NotYet::EpochUsed(epoch) => write!(f, "epoch {epoch} was used before"),
            NotYet::NoBarrier => f.write_str("no barrier was written under the latch"),
            NotYet::NotDrained => f.write_str("the barrier has not come through"),
            NotYet::NotProven => f.write_str("the last proof is missing or failed"),
            NotYet::SequencesNotRaised => {
                f.write_str("the sequences of the store that takes over were not raised")
            }
            NotYet::NotNoted { noted, epoch } => {
                let noted = noted.map_or("none".to_owned(), |noted| noted.to_string());
                write!(
                    f,
                    "no beginning is noted for epoch {epoch} (last noted: {noted})"
                )
            }
            NotYet::Standbys(names) => {
                write!(
                    f,
                    "standbys that do not hold the fence: {}",
                    names.join(", ")
                )
            }
        }
    }
}

impl std::error::Error for NotYet {}

fn is_follower(register: Register) -> bool {
    register.mode != Mode::Open && !is_held(register)
}

/// Whether the authority's fence may be committed at an epoch: open now, the other a follower, the epoch new to both.
///
/// The change must be made through the latch under which the barrier was written. A latch that was lost is no latch: writes may have
/// got through, and the register does not show them.
///
/// # Errors
/// [`NotYet`].
pub fn may_fence(own: Register, other: Register, epoch: u64) -> Result<Register, NotYet> {
    let to = Register::new(Mode::Fenced, epoch);
    may_move(own, to)?;
    if epoch <= other.epoch {
        return Err(NotYet::EpochUsed(epoch));
    }
    if !is_follower(other) {
        return Err(NotYet::Other {
            found: other,
            needed: "a follower below",
            epoch,
        });
    }
    Ok(to)
}

/// Whether a fenced store may be released alone: it holds the fence of this epoch and has given nothing.
///
/// # Errors
/// [`NotYet`].
pub fn may_release(own: Register, epoch: u64) -> Result<Register, NotYet> {
    let to = Register::new(Mode::Open, epoch);
    if own.mode != Mode::Fenced {
        return Err(RegisterRefusal::NoSuchMove { from: own, to }.into());
    }
    may_move(own, to)?;
    Ok(to)
}

/// What was done under the fence, by the tool that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence<P> {
    /// The mark that was written under the latch, if it was held from then until the fence was committed.
    pub barrier: Option<P>,
    /// How far the follower durably is, all lanes.
    pub drained: Option<P>,
    /// The proof over what was touched last, read on both sides behind the barrier, found them equal.
    pub proven: bool,
    /// The epoch for which the follower's sequences were raised.
    pub raised: Option<u64>,
    /// The epoch of the beginning that the follower holds, as read from it.
    pub noted: Option<u64>,
    /// Standbys of the authority that could be promoted and have not confirmed the fence ([`missing_standbys`]).
    pub missing_standbys: Vec<String>,
}

/// Whether authority may be given: the fence is committed at this epoch, everything came through and is proven, and the other store
/// is ready to open. Whether clients are paused on their way plays no part.
///
/// # Errors
/// The first [`NotYet`], in the order of the steps.
pub fn may_give<P: PartialOrd>(
    own: Register,
    epoch: u64,
    evidence: &Evidence<P>,
) -> Result<Register, NotYet> {
    let to = Register::new(Mode::Given, epoch);
    may_move(own, to)?;
    let barrier = evidence.barrier.as_ref().ok_or(NotYet::NoBarrier)?;
    if !evidence.drained.as_ref().is_some_and(|at| at >= barrier) {
        return Err(NotYet::NotDrained);
    }
    if !evidence.proven {
        return Err(NotYet::NotProven);
    }
    if !evidence.missing_standbys.is_empty() {
        return Err(NotYet::Standbys(evidence.missing_standbys.clone()));
    }
    if evidence.raised != Some(epoch) {
        return Err(NotYet::SequencesNotRaised);
    }
    if evidence.noted != Some(epoch) {
        return Err(NotYet::NotNoted {
            noted: evidence.noted,
            epoch,
        });
    }
    Ok(to)
}

/// Whether a store may take authority at an epoch: the other has given it, and where this store's changes will begin was noted here for it.
///
/// # Errors
/// [`NotYet`].
pub fn may_open(
    own: Register,
    other: Register,
    noted: Option<u64>,
    epoch: u64,
) -> Result<Register, NotYet> {
    let to = Register::new(Mode::Open, epoch);
    if own.epoch >= epoch {
        return Err(RegisterRefusal::EpochNotRaised { from: own, to }.into());
    }
    may_move(own, to)?;
    if other != Register::new(Mode::Given, epoch) {
        return Err(NotYet::Other {
            found: other,
            needed: "given",
            epoch,
        });
    }
    if noted != Some(epoch) {
        return Err(NotYet::NotNoted { noted, epoch });
    }
    Ok(to)
}

/// Whether a store may decline an epoch: the other is fenced for it or has given it, and this one has not opened.
///
/// An epoch that nobody offers must not be declined: if this store has itself given a lower one that the other has yet to take, nobody
/// could open any more.
///
/// # Errors
/// [`NotYet`].
pub fn may_refuse(own: Register, other: Register, epoch: u64) -> Result<Register, NotYet> {
    let to = Register::new(Mode::Refused, epoch);
    may_move(own, to)?;
    let offered =
        other == Register::new(Mode::Given, epoch) || other == Register::new(Mode::Fenced, epoch);
    if !offered {
        return Err(NotYet::Other {
            found: other,
            needed: "fenced or given",
            epoch,
        });
    }
    Ok(to)
}

/// Whether a store that has given authority may take it back: the other has declined that epoch.
///
/// # Errors
/// [`NotYet`].
pub fn may_reopen(own: Register, other: Register) -> Result<Register, NotYet> {
    let epoch = own.epoch;
    let to = Register::new(Mode::Open, epoch);
    if own.mode != Mode::Given {
        return Err(RegisterRefusal::NoSuchMove { from: own, to }.into());
    }
    may_move(own, to)?;
    if other != Register::new(Mode::Refused, epoch) {
        return Err(NotYet::Other {
            found: other,
            needed: "refused",
            epoch,
        });
    }
    Ok(to)
}

/// What a closed store becomes when a person attests that the other is destroyed and accepts the loss: open, beyond every epoch that is
/// known of either, so that the other is seen to be behind should it come back. The only way without the other store's word.
///
/// # Errors
/// [`NotYet`] if this store is open, or holds a fence (which can be released).
pub fn reopen_attested(own: Register, highest_known: u64) -> Result<Register, NotYet> {
    let epoch = own.epoch.max(highest_known) + 1;
    let to = Register::new(Mode::Open, epoch);
    may_move(own, to)?;
    Ok(to)
}

/// Whether the beginning of an epoch may be noted in a store, or noted again: it is a follower below the epoch, and none of a later epoch is
/// noted. To be asked under the store's latch: a stopped tool may come with an old epoch at any time.
///
/// # Errors
/// [`NotYet`].
pub fn may_note(own: Register, noted: Option<u64>, epoch: u64) -> Result<(), NotYet> {
    may_move(own, Register::new(Mode::Open, epoch))?;
    if epoch <= own.epoch || noted.is_some_and(|noted| noted > epoch) {
        return Err(NotYet::EpochUsed(epoch));
    }
    Ok(())
}

/// The standbys that must hold the fence and have not confirmed it.
#[must_use]
pub fn missing_standbys(named: &[String], confirmed: &[String]) -> Vec<String> {
    named
        .iter()
        .filter(|name| !confirmed.contains(name))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(mode: Mode, epoch: u64) -> Register {
        Register::new(mode, epoch)
    }

    fn evidence() -> Evidence<u8> {
        Evidence {
            barrier: Some(7),
            drained: Some(7),
            proven: true,
            raised: Some(2),
            noted: Some(2),
            missing_standbys: Vec::new(),
        }
    }

    #[test]
    fn given_needs_every_condition() {
        let own = at(Mode::Fenced, 2);
        assert_eq!(may_give(own, 2, &evidence()), Ok(at(Mode::Given, 2)));
        type Spoil = fn(&mut Evidence<u8>);
        let spoilt: [(Spoil, &str); 8] = [
            (|e| e.barrier = None, "barrier"),
            (|e| e.drained = None, "come through"),
            (|e| e.drained = Some(6), "come through"),
            (|e| e.proven = false, "proof"),
            (|e| e.missing_standbys = vec!["s1".into()], "s1"),
            (|e| e.raised = None, "sequences"),
            (|e| e.raised = Some(1), "sequences"),
            (|e| e.noted = Some(1), "beginning"),
        ];
        for (spoil, word) in spoilt {
            let mut evidence = evidence();
            spoil(&mut evidence);
            let why = may_give(own, 2, &evidence).unwrap_err().to_string();
            assert!(why.contains(word), "{why}");
        }
        for own in [at(Mode::Open, 1), at(Mode::Open, 2), at(Mode::Fenced, 3)] {
            assert!(may_give(own, 2, &evidence()).is_err(), "{own}");
        }
    }

    #[test]
    fn a_store_opens_only_at_what_was_given() {
        let target = at(Mode::Fenced, 0);
        let opens = |own, other, noted| may_open(own, other, noted, 1).is_ok();
        assert!(opens(target, at(Mode::Given, 1), Some(1)));
        assert!(!opens(target, at(Mode::Given, 1), None));
        assert!(!opens(target, at(Mode::Fenced, 1), Some(1)));
        assert!(!opens(target, at(Mode::Given, 2), Some(1)));
        assert!(!opens(at(Mode::Refused, 1), at(Mode::Given, 1), Some(1)));
        assert!(!opens(at(Mode::Given, 1), at(Mode::Given, 1), Some(1)));
    }

    #[test]
    fn only_an_offer_is_declined_and_only_a_declined_one_taken_back() {
        let target = at(Mode::Fenced, 0);
        assert!(may_refuse(target, at(Mode::Given, 1), 1).is_ok());
        assert!(may_refuse(target, at(Mode::Fenced, 1), 1).is_ok());
        assert!(may_refuse(at(Mode::Given, 1), target, 2).is_err());
        assert!(may_refuse(at(Mode::Open, 1), at(Mode::Given, 1), 1).is_err());
        assert!(may_reopen(at(Mode::Given, 1), at(Mode::Refused, 1)).is_ok());
        assert!(may_reopen(at(Mode::Given, 1), target).is_err());
        assert!(may_reopen(at(Mode::Refused, 1), at(Mode::Refused, 1)).is_err());
    }

    #[test]
    fn fence_and_release_are_of_one_epoch() {
        let (open, target) = (at(Mode::Open, 1), at(Mode::Fenced, 0));
        assert_eq!(may_fence(open, target, 2), Ok(at(Mode::Fenced, 2)));
        assert!(may_fence(open, target, 1).is_err());
        assert!(may_fence(open, at(Mode::Refused, 2), 2).is_err());
        assert!(may_fence(open, open, 2).is_err());
        assert!(may_release(at(Mode::Fenced, 2), 2).is_ok());
        assert!(may_release(at(Mode::Fenced, 2), 1).is_err());
        assert!(may_release(at(Mode::Given, 2), 2).is_err());
        assert!(may_release(target, 0).is_err());
    }

    #[test]
    fn a_stopped_tool_notes_nothing_late() {
        let target = at(Mode::Fenced, 0);
        assert_eq!(may_note(target, None, 1), Ok(()));
        assert_eq!(may_note(target, Some(1), 1), Ok(()));
        assert!(may_note(target, Some(2), 1).is_err());
        assert!(may_note(at(Mode::Open, 1), Some(1), 1).is_err());
        assert!(may_note(at(Mode::Fenced, 2), Some(1), 3).is_err());
        assert!(may_note(at(Mode::Given, 2), Some(1), 1).is_err());
        assert!(may_note(at(Mode::Given, 2), Some(1), 2).is_err());
    }

    #[test]
    fn an_attested_reopening_is_beyond_every_epoch() {
        let own = at(Mode::Given, 3);
        assert_eq!(reopen_attested(own, 5), Ok(at(Mode::Open, 6)));
        assert_eq!(reopen_attested(own, 0), Ok(at(Mode::Open, 4)));
        assert!(reopen_attested(at(Mode::Open, 3), 3).is_err());
        assert!(reopen_attested(at(Mode::Fenced, 3), 3).is_err());
    }

    #[test]
    fn named_standbys_must_all_confirm() {
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let named = names(&["a", "b"]);
        assert_eq!(missing_standbys(&named, &names(&["b", "c"])), names(&["a"]));
        assert!(missing_standbys(&named, &names(&["b", "a"])).is_empty());
        assert!(missing_standbys(&[], &[]).is_empty());
    }
}
