//! What expressions mean, refuse, undo and filter; random ones; the same ones in PostgreSQL.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod filters;
mod inverses;
mod meaning;
mod properties;
mod random;
mod refused;
mod support;
