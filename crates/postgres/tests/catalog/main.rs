//! Connecting, describing, designing and building, against real servers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod describe;
#[path = "../support/mod.rs"]
mod support;
