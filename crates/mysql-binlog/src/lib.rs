//! MySQL's and MariaDB's binary log: a pure decoder, an assembler of transactions, and the transport that brings the log.
//!
//! [`BinlogStream`] registers as a replica and brings [`Item`]s in commit order: transactions with whole images of the rows of
//! wanted tables, definitions (DDL), progress. What cannot be followed without losing a change stops the stream with an
//! [`Error`] that names the setting and the statement that fixes it; nothing is skipped that is not known to be without meaning.
//!
//! - `event`: one event, its frame and checksum; every rule with its source.
//! - [`value`]: how each column type becomes a cell.
//! - `decoder`: what later events are read by: format, tables, compressed transactions.
//! - `assemble`: transactions, savepoints, positions. Positions are packed in [`LogPosition`] alone.
//! - `wire`: connection, authentication, dump commands.
//!
//! The decoder does no I/O, never panics, and holds at most one event and, of a transaction, [`StreamOptions::hold_bytes`].

mod assemble;
mod cursor;
mod decoder;
mod error;
mod event;
mod gtid;
mod interest;
mod item;
mod position;
mod replay;
mod stream;
pub mod value;
mod wire;

pub use error::{Error, Result};
pub use event::column::ColumnType;
pub use event::rows::RowChange;
pub use event::table_map::{BINARY, Column, TableMap};
pub use gtid::{
    Gtid, GtidSet, MariadbGtid, MariadbPosition, MysqlGtid, MysqlSource, mariadb_state,
};
pub use interest::{Interest, Wanted};
pub use item::{Begin, Change, Definition, End, Item};
pub use position::{LogFile, LogPosition};
pub use replay::Replay;
pub use stream::{BinlogStream, ServerIs, Start, StreamOptions, replica_id};
pub use wire::{Address, Connection, Credentials, Flavour, Tls};
