//! Events of a log, by themselves: what one says, and how it is framed. Pure: bytes in, meaning out.

pub mod column;
pub(crate) mod compressed;
pub mod format;
pub mod gtid;
pub mod header;
pub(crate) mod kind;
pub mod query;
pub mod rows;
pub mod table_map;
