//! Verify: both sides equal at a position, under live writes.
//!
//! The source is read at a snapshot S1; the target at a position p2 at or beyond S1's horizon. Keys changed in between (a
//! superset of what S1 may not see) are taken out of both sums and compared one by one: the last logged image must be the
//! target's row. The rest must be equal, bucket by bucket.

pub(crate) mod aggregate;
pub(crate) mod ask;
pub(crate) mod book;
pub(crate) mod cause;
pub(crate) mod collect;
pub(crate) mod compare;
pub(crate) mod continuous;
pub(crate) mod differ;
pub(crate) mod gentle;
pub(crate) mod layers;
pub(crate) mod meet;
pub(crate) mod meet_pair;
pub(crate) mod name;
pub(crate) mod pair;
pub(crate) mod place;
pub(crate) mod projection;
pub(crate) mod recheck;
pub(crate) mod repair;
mod salt;
pub(crate) mod sample;
mod shared;
pub(crate) mod side;
pub(crate) mod touched;
