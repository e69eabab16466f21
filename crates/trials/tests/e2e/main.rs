//! The program, end to end: real servers, real files, writers at work, and a comparison of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod certificate;
mod directions;
mod generated;
mod harness;
mod keyless;
mod keys;
mod layers;
mod mutations;
mod mysql;
mod names;
mod partitions;
mod proof;
mod quarantine;
mod standby;
mod strangers;
mod toast;
mod transactions;
mod truncate;
mod values;
