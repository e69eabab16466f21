//! The program, end to end: real servers, real files, writers at work, and a comparison of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod abort_conditions;
mod authority;
mod bank;
mod certificate;
mod clock;
mod destroyed;
mod directions;
mod failover;
mod folded;
mod gates;
mod generated;
mod gentle;
mod harness;
mod interrupted;
mod keyless;
mod keys;
mod layers;
mod mappings;
mod mutations;
mod mysql;
mod mysql_refused;
mod names;
mod partitions;
mod places;
mod planted;
mod proof;
mod quarantine;
mod refused;
mod rehearse;
mod routes_kept;
mod sequences;
mod standby;
mod strangers;
mod succession;
mod switch;
mod switch_refused;
mod take_over;
mod toast;
mod transactions;
mod truncate;
mod values;
mod values_mysql;
mod visibility;
mod wal_level;
