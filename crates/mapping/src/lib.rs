//! Rows that are not carried as the source has them: a store's rows are presented as a mapping's expressions make them, in the
//! backfill, in the stream and in the proof alike.
//!
//! The store below captures and reads its tables as they are ([`Origin::table`](crossfade_model::Origin)); who asks
//! [`MappedSource`] sees only the rows that the mapping moves, in the shape in which it moves them.

mod changes;
mod limits;
mod range;
mod snapshot;
mod source;
mod stream;
mod table;

pub use source::MappedSource;
pub use table::{MappedTable, MappingError};

#[cfg(test)]
mod testkit;
