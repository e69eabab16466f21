//! The pure decisions of crossfade: what becomes of each change, when a chunk may be loaded, what a
//! resume may trust. No I/O, no clock, no knowledge of any store.
//!
//! The engine calls exactly these functions, and `tests/model` explores them exhaustively against
//! interleavings of commits, visibility delay, chunk reads, crashes and lost loaders. Three are checked elsewhere, where what
//! they decide upon is read: the run epoch and the stored checkpoint by a target's store, under the lock on its row
//! ([`epoch::may_write`] is what its SQL must say), and a horizon's durability by a source's, which waits for it
//! ([`checkpoint::horizon_is_durable`]).
//!
//! | module | decides |
//! | --- | --- |
//! | [`visibility`] | what the rules ask of a store's snapshot |
//! | [`frontier`] | per change: apply, skip, leave or hold; per chunk: when a snapshot is good enough |
//! | [`net`] | the net effect of a batch on each key |
//! | [`ledger`] | whether every captured change is accounted for |
//! | [`checkpoint`] | compare-and-swap of the checkpoint, what it has already covered, durability of a horizon |
//! | [`epoch`] | whether a process may still write to the target |
//! | [`proof`] | what is proven equal, which keys are not, what a comparison may conclude |
//! | [`gates`] | whether a switch may begin, from evidence that is given to it |
//! | [`resume`] | whether a stored checkpoint fits the source that is there now |
//! | [`switch`] | who has authority, which changes of a register are allowed, the order of a switch and the way back |

pub mod checkpoint;
pub mod epoch;
pub mod frontier;
pub mod gates;
pub mod ledger;
pub mod net;
pub mod proof;
pub mod resume;
pub mod switch;
pub mod visibility;
