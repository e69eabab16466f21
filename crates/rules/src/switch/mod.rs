//! The switch of writes and, with the stores' parts exchanged, the rollback.
//!
//! Authority lives in the two stores' registers and nowhere else. Three rules carry everything:
//!
//! - **No register's value comes back.** Epochs never fall, a fence takes an epoch that neither store has seen, and within one
//!   epoch a register goes fenced → given → open or fenced → open, never round. So a compare-and-swap that succeeds shows that
//!   nothing happened in between, however long its tool was stopped, and a register that reads the same before and after the
//!   other was read held that value when the other was read ([`both_at_once`]).
//! - **Fenced at an epoch above zero is a held fence of the authority**; fenced at zero is a target that was never opened.
//!   Registers begin as [`first`] says, and only an open store is fenced later.
//! - **A store opens at E only if the other is given at E; one that has given E reopens only if the other is refused at E.** One
//!   register cannot be both open and refused at E, and it cannot leave given at E otherwise.
//!
//! | module | decides |
//! | --- | --- |
//! | [`register`] | which compare-and-swaps a register allows at all |
//! | [`verdict`] | who has authority, and what a command that starts now does first |
//! | [`conditions`] | what must hold of both stores before each of those swaps |
//! | [`step`] | the order of the switch, as data |
//! | [`lane`] | where changes are carried from, and whether they may be carried into a store now |

pub mod conditions;
pub mod lane;
pub mod register;
pub mod step;
pub mod verdict;

pub use conditions::{
    Evidence, NotYet, may_fence, may_give, may_note, may_open, may_refuse, may_release, may_reopen,
    missing_standbys, reopen_attested,
};
pub use lane::{LaneStart, lane_start, may_carry_into};
pub use register::{RegisterRefusal, Side, first, is_held, may_move};
pub use step::{ORDER, OnError, Step, StepFacts};
pub use verdict::{Swap, Todo, Verdict, both_at_once, next_epoch, verdict, verdict_alone};
