//! Digests of rows, summed per bucket.
//!
//! A row's digest is SHA-256 over a per-run salt and, per column, a NULL mark or a length and the canonical form. Its
//! first two 64-bit words are two lanes, summed modulo 2^64 beside the row count: sums do not depend on the order of
//! rows, and unlike XOR they see a row that is there twice.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Row;
use crate::canonical::{self, CanonicalError};
use crate::mapping::ColumnMapping;

/// The two lanes of one row's digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RowDigest(pub u64, pub u64);

/// The sum of many rows' digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BucketSum {
    /// Rows.
    pub rows: u64,
    /// First lane, modulo 2^64.
    pub first: u64,
    /// Second lane, modulo 2^64.
    pub second: u64,
}

impl BucketSum {
    /// Adds one row.
    pub fn add(&mut self, digest: RowDigest) {
        self.rows = self.rows.wrapping_add(1);
        self.first = self.first.wrapping_add(digest.0);
        self.second = self.second.wrapping_add(digest.1);
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &BucketSum) {
        self.rows = self.rows.wrapping_add(other.rows);
        self.first = self.first.wrapping_add(other.first);
        self.second = self.second.wrapping_add(other.second);
    }
}

/// Computes row digests under one salt.
#[derive(Debug, Clone)]
pub struct Digester {
    salted: Sha256,
    buffer: Vec<u8>,
}

impl Digester {
    /// A digester for one run. The salt is secret until the run ends: sums can be forged once it is known.
    pub fn new(salt: &[u8; 32]) -> Digester {
        let mut salted = Sha256::new();
        salted.update(salt);
        Digester {
            salted,
            buffer: Vec::with_capacity(256),
        }
    }

    /// The digest of a row in the canonical form of its mapped columns.
    ///
    /// # Errors
    /// A cell that has no canonical form as its column's type; carries the column's index, never the value.
    pub fn row(
        &mut self,
        columns: &[ColumnMapping],
        row: &Row,
    ) -> Result<RowDigest, (usize, CanonicalError)> {
        self.buffer.clear();
        for (index, (column, cell)) in columns.iter().zip(&row.0).enumerate() {
            canonical::write_framed(column.canonical, cell, &mut self.buffer)
                .map_err(|e| (index, e))?;
        }
        let mut hash = self.salted.clone();
        hash.update(&self.buffer);
        let out = hash.finalize();
        let mut first = [0u8; 8];
        let mut second = [0u8; 8];
        first.copy_from_slice(&out[..8]);
        second.copy_from_slice(&out[8..16]);
        Ok(RowDigest(
            u64::from_be_bytes(first),
            u64::from_be_bytes(second),
        ))
    }

    /// The salted digest of any bytes (used to assign rows to buckets and to name rows without showing them).
    pub fn bytes(&self, bytes: &[u8]) -> RowDigest {
        let mut hash = self.salted.clone();
        hash.update(bytes);
        let out = hash.finalize();
        let mut first = [0u8; 8];
        let mut second = [0u8; 8];
        first.copy_from_slice(&out[..8]);
        second.copy_from_slice(&out[8..16]);
        RowDigest(u64::from_be_bytes(first), u64::from_be_bytes(second))
    }
}
