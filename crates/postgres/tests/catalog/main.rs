//! Connecting, describing, designing and building, against real servers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod build;
mod connect;
mod describe;
mod findings;
mod foreign;
#[path = "../support/mapping.rs"]
mod mapping;
mod obstacles;
mod settings;
#[path = "../support/mod.rs"]
mod support;
