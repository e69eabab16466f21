//! The client's side of the servers' protocol, as far as a replica needs it (MySQL internals, "Client/Server Protocol").
//!
//! A library's stream was not used: it inflates a compressed transaction whole into memory, and keeps silent about what it
//! cannot read in one.

mod auth;
mod connection;
mod handshake;
mod packet;
mod query;

pub use connection::{Address, Connection, Credentials, Flavour, Tls};
pub(crate) use handshake::server_error;
