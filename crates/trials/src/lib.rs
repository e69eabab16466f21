//! What the end-to-end tests, the chaos runs, the mutations and the soak are made of: the built program driven as a user
//! would, stores of their own, seeded writers, and a comparison of two stores that shares no code with the product.
//!
//! All of it is for tests: whatever goes wrong outside the program under test is a panic that says what.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod bank;
pub mod bench;
pub mod binary;
pub mod chaos;
pub mod compare;
pub mod database;
pub mod forward;
pub mod mutations;
pub mod mysql;
pub mod patience;
pub mod pgbouncer;
pub mod postgres;
pub mod seed;
pub mod semi_sync;
pub mod shop;
pub mod soak;
pub mod sqlite;
pub mod trial;
pub mod workload;

pub use binary::{Outcome, Running};
pub use database::{Database, Engine};
pub use trial::Trial;
