//! Capture: the source's changes as a stream, and its rows as chunks.

pub(crate) mod altered;
pub(crate) mod anew;
pub(crate) mod bounds;
pub(crate) mod load;
mod park;
pub(crate) mod start;
pub(crate) mod stream;
pub(crate) mod succession;
