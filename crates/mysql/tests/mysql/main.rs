//! MySQL and MariaDB on real servers: each test runs on all three.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod apply;
mod describe;
mod fence;
mod fence_deadlocks;
mod findings;
mod kit;
mod snapshot;
mod stream;
mod target;
mod values;
