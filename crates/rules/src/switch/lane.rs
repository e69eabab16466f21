//! Where changes are carried from, and into which store.
//!
//! A *tenure* is the time from one opening of a store to the next opening of the other. It is named by the epoch of the store's noted
//! beginning (zero: the source's first). Being fenced and released, or undone, is the same tenure: the lane goes on where it was.

use crossfade_model::{Mode, Register};

use super::register::is_held;

/// Where a lane begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneStart {
    /// The checkpoint in the follower is of this tenure: go on after it.
    GoOn,
    /// The checkpoint is of another tenure, or there is none: begin at what the authority noted before it opened, never at its log's end now.
    AtBeginning,
}

/// Where the lane out of a store begins. `tenure` is the epoch of that store's noted beginning (zero: its first, which no switch
/// began), `checkpoint` the tenure of which the follower's checkpoint is, `from` the store's register.
///
/// `None` where the store has no authority: whether its tenure begins at all is not yet known, or it is over.
#[must_use]
pub fn lane_start(from: Register, tenure: u64, checkpoint: Option<u64>) -> Option<LaneStart> {
    match checkpoint {
        Some(of) if of == tenure => Some(LaneStart::GoOn),
        _ if from.mode == Mode::Open || is_held(from) => Some(LaneStart::AtBeginning),
        _ => None,
    }
}

/// Whether changes may be carried into a store: not into one with authority, open or under a fence. `tenure` is the one that the
/// other store's noted beginning names, `checkpoint` that of the checkpoint in this store, which the transaction checks as it moves it.
#[must_use]
pub fn may_carry_into(into: Register, tenure: u64, checkpoint: Option<u64>) -> bool {
    into.mode != Mode::Open && !is_held(into) && checkpoint == Some(tenure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_tenure_begins_where_it_was_noted() {
        let open = Register::new(Mode::Open, 1);
        assert_eq!(lane_start(open, 1, None), Some(LaneStart::AtBeginning));
        assert_eq!(lane_start(open, 3, Some(1)), Some(LaneStart::AtBeginning));
        assert_eq!(lane_start(open, 1, Some(1)), Some(LaneStart::GoOn));
        // noted, and not opened: it may never be
        let closed = Register::new(Mode::Fenced, 0);
        assert_eq!(lane_start(closed, 1, None), None);
        // draining under the fence
        let fenced = Register::new(Mode::Fenced, 2);
        assert_eq!(lane_start(fenced, 1, Some(1)), Some(LaneStart::GoOn));
        // fenced again before the lane had begun: what is drained begins there too
        assert_eq!(lane_start(fenced, 1, Some(0)), Some(LaneStart::AtBeginning));
    }

    #[test]
    fn nothing_is_carried_into_the_authority() {
        let into = |mode, epoch| may_carry_into(Register::new(mode, epoch), 2, Some(2));
        assert!(into(Mode::Fenced, 0));
        assert!(into(Mode::Given, 2));
        assert!(into(Mode::Refused, 3));
        assert!(!into(Mode::Open, 2));
        assert!(!into(Mode::Fenced, 3));
        assert!(!may_carry_into(Register::new(Mode::Given, 2), 2, Some(0)));
    }
}
