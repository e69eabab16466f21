//! PgBouncer as a route: a real one, before real servers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod check;
mod clients;
mod failures;
mod support;
