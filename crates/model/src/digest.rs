//! Digests of rows, summed per bucket.
//!
//! A row's digest is SHA-256 (FIPS 180-4) over a salt that fills one block and, per column, the framed canonical form
//! ([`crate::canonical::write_framed`]). Its first two 64-bit words are two lanes, summed modulo 2^64 beside the row count:
//! sums do not depend on the order of rows, and unlike XOR they see a row that is there twice, and values that were swapped.
//! Its next 16 bits choose the bucket: equal rows of two stores are in the same one, and no key is needed to find it.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Row;
use crate::canonical::{self, CanonicalError};
use crate::mapping::ColumnMapping;

/// Buckets of a table's rows.
pub const BUCKETS: usize = 4096;

/// Bytes of a salt.
pub const SALT: usize = 32;

/// The salt of one comparison. Secret until it has ended: sums can be forged by who knows it.
pub type Salt = [u8; SALT];

/// The digest of one row, as far as it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RowDigest {
    /// First lane.
    pub first: u64,
    /// Second lane.
    pub second: u64,
    /// The bits that choose the bucket.
    pub place: u16,
}

impl RowDigest {
    /// From the 32 bytes of SHA-256.
    fn new(bytes: &[u8; 32]) -> RowDigest {
        let word = |at: usize| {
            let mut word = [0u8; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_be_bytes(word)
        };
        RowDigest {
            first: word(0),
            second: word(8),
            place: u16::from_be_bytes([bytes[16], bytes[17]]),
        }
    }

    /// The bucket, below [`BUCKETS`].
    pub fn bucket(self) -> usize {
        usize::from(self.place) % BUCKETS
    }
}

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
        self.first = self.first.wrapping_add(digest.first);
        self.second = self.second.wrapping_add(digest.second);
    }

    /// Takes one row out.
    pub fn remove(&mut self, digest: RowDigest) {
        self.rows = self.rows.wrapping_sub(1);
        self.first = self.first.wrapping_sub(digest.first);
        self.second = self.second.wrapping_sub(digest.second);
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &BucketSum) {
        self.rows = self.rows.wrapping_add(other.rows);
        self.first = self.first.wrapping_add(other.first);
        self.second = self.second.wrapping_add(other.second);
    }
}

/// The sums of a table's rows, or of a range of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketSums(Vec<BucketSum>);

impl Default for BucketSums {
    fn default() -> BucketSums {
        BucketSums(vec![BucketSum::default(); BUCKETS])
    }
}

impl BucketSums {
    /// Adds one row.
    pub fn add(&mut self, digest: RowDigest) {
        self.0[digest.bucket()].add(digest);
    }

    /// Takes one row out.
    pub fn remove(&mut self, digest: RowDigest) {
        self.0[digest.bucket()].remove(digest);
    }

    /// Adds a sum of one bucket that was made elsewhere; false for a bucket that does not exist.
    #[must_use]
    pub fn merge_bucket(&mut self, bucket: usize, sum: &BucketSum) -> bool {
        match self.0.get_mut(bucket) {
            Some(own) => {
                own.merge(sum);
                true
            }
            None => false,
        }
    }

    /// Adds the sums of other rows.
    pub fn merge(&mut self, other: &BucketSums) {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            own.merge(other);
        }
    }

    /// The sum of all.
    pub fn total(&self) -> BucketSum {
        let mut total = BucketSum::default();
        for bucket in &self.0 {
            total.merge(bucket);
        }
        total
    }

    /// The buckets that are not equal.
    pub fn unequal<'a>(&'a self, other: &'a BucketSums) -> impl Iterator<Item = usize> + 'a {
        let both = self.0.iter().zip(&other.0).enumerate();
        both.filter(|(_, (a, b))| a != b).map(|(at, _)| at)
    }
}

/// Computes row digests under one salt.
#[derive(Debug, Clone)]
pub struct Digester {
    salted: Sha256,
    block: [u8; 64],
    buffer: Vec<u8>,
}

impl Digester {
    /// A digester for one comparison.
    pub fn new(salt: &Salt) -> Digester {
        let mut block = [0u8; 64];
        block[..SALT].copy_from_slice(salt);
        let mut salted = Sha256::new();
        salted.update(block);
        Digester {
            salted,
            block,
            buffer: Vec::with_capacity(256),
        }
    }

    /// What is hashed before a row's columns: the salt, filled up with zeros to one block. For servers that hash themselves.
    pub fn prefix(&self) -> &[u8; 64] {
        &self.block
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
        Ok(self.bytes(&self.buffer))
    }

    /// The digest of a row's framed columns.
    pub fn bytes(&self, framed: &[u8]) -> RowDigest {
        let mut hash = self.salted.clone();
        hash.update(framed);
        RowDigest::new(&hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Canonical, Cell};

    fn text_row(texts: &[&str]) -> Row {
        let cells = texts
            .iter()
            .map(|t| Cell::Text(t.as_bytes().to_vec().into()));
        Row(cells.collect())
    }

    fn columns(count: usize) -> Vec<ColumnMapping> {
        let column = ColumnMapping {
            source: "c".into(),
            target: "c".into(),
            canonical: Canonical::Text,
        };
        vec![column; count]
    }

    fn digest(texts: &[&str]) -> RowDigest {
        let row = text_row(texts);
        Digester::new(&[7; SALT])
            .row(&columns(texts.len()), &row)
            .unwrap()
    }

    #[test]
    fn a_digest_is_sha_256_of_the_salts_block_and_the_framed_columns() {
        let long = "x".repeat(254);
        let mut bytes = vec![7; SALT];
        bytes.resize(64, 0);
        bytes.extend_from_slice(b"\x03ab\x01\xFF\0\0\0\0\0\0\0\xFE");
        bytes.extend_from_slice(long.as_bytes());
        let expected = RowDigest::new(&Sha256::digest(&bytes).into());
        assert_eq!(digest(&["ab", "", &long]), expected);
    }

    #[test]
    fn columns_do_not_run_together_at_any_length() {
        for n in 250..260 {
            let (a, b) = ("x".repeat(n), "x".repeat(n + 1));
            assert_ne!(digest(&[&a, "xy"]), digest(&[&b, "y"]), "{n}");
        }
    }

    #[test]
    fn sums_see_doubles_and_forget_what_is_taken_out() {
        let (one, two) = (digest(&["1"]), digest(&["2"]));
        let mut sums = BucketSums::default();
        sums.add(one);
        let single = sums.clone();
        sums.add(one);
        assert_ne!(sums, single);
        assert_eq!(sums.unequal(&single).collect::<Vec<_>>(), [one.bucket()]);
        sums.add(two);
        sums.remove(one);
        sums.remove(two);
        assert_eq!(sums, single);
        assert_eq!(sums.total().rows, 1);
        assert!(!sums.merge_bucket(BUCKETS, &BucketSum::default()));
    }
}
