//! PostgreSQL as a store: connecting, the catalog, capture, reading, writing.

pub mod apply;
pub mod copy_in;
pub mod load;
pub mod range;
pub mod tenure;
pub mod writer;
pub mod copy_out;
pub mod reader;
pub mod snapshot;
pub mod operators;
pub mod capture;
pub mod cell_text;
pub mod connect;
pub mod ddl;
pub mod describe;
pub mod design;
pub mod copy_text;
pub mod error;
pub mod findings;
pub mod grants;
pub mod guard;
pub mod identity;
pub mod lsn;
pub mod names;
mod passfile;
pub mod replication;
pub mod session;
pub mod store;
pub mod tls;
pub mod types;
pub mod url;
pub mod visibility;
pub mod wire;

pub use connect::{Client, ConnectTarget};
pub use session::Purpose;
pub use store::PostgresStore;
