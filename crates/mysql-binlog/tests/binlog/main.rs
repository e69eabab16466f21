//! The decoder and the stream against real servers, and against what real servers wrote.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
mod damaged;
mod golden;
mod log;
mod refused;
mod samples;
mod tables;
mod transactions;
mod values;
