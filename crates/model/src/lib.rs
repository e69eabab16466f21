//! The nouns of crossfade: tables, cells, rows, keys, changes, positions, snapshots, mappings, digests.
//!
//! No I/O, no store's dialect, no dependency on any other crossfade crate.

pub mod authority;
pub mod canonical;
pub mod cell;
pub mod change;
pub mod digest;
pub mod finding;
pub mod hex;
pub mod key;
pub mod mapping;
pub mod position;
pub mod schema;
pub mod sum_text;
pub mod text_form;
pub mod time;
pub mod value;

pub use authority::{Beginning, LogOwner, Mode, Register, reverse_lane};
pub use canonical::{Canonical, CanonicalError};
pub use cell::{Cell, Row};
pub use change::{Change, Replanned, StreamEvent, Transaction};
pub use digest::{BucketSum, BucketSums, Digester, RowDigest};
pub use finding::{Finding, Severity};
pub use key::{Key, KeyError};
pub use mapping::{
    Back, ColumnMapping, Held, KeyEncoder, Limits, Lost, Origin, TableId, TableMapping,
    of_each_target,
};
pub use position::{Position, Snapshot, TransactionId};
pub use schema::{
    Check, Column, ForeignKey, Generated, Identity, Index, KeyOrder, LogicalType, Omission,
    Partition, Schema, Sequence, Table, TableKey, TableName, UserType,
};
pub use value::Value;
