//! Apply: whole source transactions, decided by the frontier, netted per key, written with the checkpoint.

pub(crate) mod ahead;
pub(crate) mod applier;
pub(crate) mod big;
pub(crate) mod clearing;
pub(crate) mod decide;
pub(crate) mod finish;
pub(crate) mod gather;
pub(crate) mod keeping;
pub(crate) mod meeting;
pub(crate) mod park;
mod repair;
pub(crate) mod requests;
mod reread;
pub(crate) mod spill;
pub(crate) mod steps;
pub(crate) mod waiting;
pub(crate) mod write;
