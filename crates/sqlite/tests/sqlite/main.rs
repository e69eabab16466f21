//! SQLite as source and target, on real files, with an application that writes through its own connection.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod around;
mod capture;
mod common;
mod fence;
mod fence_back;
mod fence_held;
mod fence_latch;
mod lost;
mod snapshot;
mod target;
mod values;
