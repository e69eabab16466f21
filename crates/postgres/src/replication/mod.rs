//! Following a source's log: the replication protocol, its decoder, and the change stream.

pub mod assemble;
mod backlog;
mod confirming;
pub mod pgoutput;
mod queue;
pub mod receiver;
pub mod session;
pub mod slot;
pub mod stream;
pub mod tables;
pub mod wire;
pub mod xid;
