//! Certificates: signed files that state that source and target were equal at a named position, or how they differed, and
//! that anybody can check offline.
//!
//! | module | what |
//! | --- | --- |
//! | [`body`] | what a certificate states |
//! | [`mapping`] | the mapped tables, kept so that a side can be read again without the migration's file |
//! | [`render`] | the one rendering, and reading of exactly that |
//! | [`consistent`] | what must agree inside a certificate |
//! | [`signed`] | a body with its signature: made, written, checked |
//! | [`key`] | keys to sign and to check with |
//! | [`error`] | what can be wrong, and what to do |
//!
//! No store, no plan, no engine: a checker needs the file and a public key.

pub mod body;
pub mod consistent;
pub mod error;
mod files;
pub mod key;
pub mod mapping;
pub mod render;
pub mod signed;

pub use body::{
    Body, Classification, ColumnClaim, Difference, DifferenceKind, Excluded, Expected, Layer,
    Override, Place, Projection, ProjectionResult, SequenceValues, Side, StoreIdentity, TableProof,
    Verdict,
};
pub use error::CertificateError;
pub use key::{PublicKey, SigningKey};
pub use mapping::{Mapping, Reading};
pub use signed::Signed;

/// What tests begin from.
#[cfg(test)]
mod example;
