//! What a store must be able to do: the contract between the engine and each store's crate.
//!
//! The engine knows stores only through these traits. What differs between stores is a capability that a store declares
//! ([`Capabilities`]), never an `if` on its name.

pub mod aggregates;
pub mod authority;
pub mod custom;
pub mod error;
pub mod exact_sum;
pub mod literal;
pub mod pace;
pub mod planted;
pub mod query;
pub mod record;
pub mod scratch;
pub mod sequences;
pub mod slice;
pub mod source;
pub mod strangers;
pub mod sums;
pub mod target;

pub use aggregates::{Aggregates, Measure};
pub use authority::{Blocker, Fence, Fire, Latch, Standing, Store, WriteProbe};
pub use custom::{Custom, Truths};
pub use error::{ErrorKind, Recovery, Result, StoreError};
pub use query::{ColumnClass, Query, QueryColumn};
pub use record::{Record, RecordKey, RecordWrite, TargetState};
pub use scratch::{Exerciser, Rehearsing, Scratch};
pub use sequences::{HeldSequence, SequenceState};
pub use source::{
    Bound, CaptureSpec, CaptureStart, ChangeStream, ChunkRange, CopyFormat, Kept, Made, Probe,
    ReadForm, RowBlock, RowStream, Source, SourceIdentity, SourceSnapshot, Successor, WatchOutcome,
};
pub use strangers::{Stranger, Strangers, Written};
pub use sums::SumPlace;
pub use target::{
    Applier, DeclaredColumn, Effect, Loader, MergeMode, Target, TargetSnapshot, Tenure, Upsert,
};

/// What a store can do. Declared by the store, asked by the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Formats in which rows can be read and written as an opaque byte stream, best first; empty where none.
    pub copy_formats: Vec<CopyFormat>,
    /// Several transactions may write at once. Where not, loaders and applier take turns.
    pub concurrent_writers: bool,
    /// The change stream brings whole source transactions with their identity; otherwise it brings polls.
    pub streams_transactions: bool,
    /// The capture is a log that the store keeps anyway: [`Source::create_capture`] makes nothing, and nothing but the log can be gone.
    pub captures_in_place: bool,
    /// The primary key can be added to a filled table (and so is built after the load).
    pub key_after_load: bool,
    /// Keys whose texts differ may be one value to it ('a' and 'A'): a row can go from one to the other, and never has both.
    pub differing_keys_are_equal: bool,
}
