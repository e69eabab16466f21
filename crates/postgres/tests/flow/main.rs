//! Capture, stream, reads and writes on real servers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod apply;
mod apply_more;
mod capture;
mod fence;
mod kit;
mod load;
mod snapshot;
mod strangers;
mod stream;
mod stream_backlog;
mod stream_encrypted;
mod stream_shapes;
mod sums;
mod sums_raw;
#[path = "../support/mod.rs"]
mod support;
mod tenure;
mod values;
