//! Digests of rows, summed per bucket.
//!
//! A row's digest is SHA-256 (FIPS 180-4) over a salt that fills one block and, per column, the framed canonical form
//! ([`crate::canonical::write_framed`]). Its first two 64-bit words are two lanes, summed modulo 2^64 beside the row count:
//! sums do not depend on the order of rows, and unlike XOR they see a row that is there twice, and values that were swapped.
//! Its next 16 bits choose the bucket: equal rows of two stores are in the same one, and no key is needed to find it.

use serde::{Deserialize, Serialize};
use sha2::digest::generic_array::GenericArray;

use crate::canonical::{self, Canonical, CanonicalError};
use crate::mapping::ColumnMapping;
use crate::{Row, Value};

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
    /// From the eight words of SHA-256.
    fn new(words: &[u32; 8]) -> RowDigest {
        let lane = |at: usize| u64::from(words[at]) << 32 | u64::from(words[at + 1]);
        RowDigest {
            first: lane(0),
            second: lane(2),
            place: (words[4] >> 16) as u16,
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
    /// SHA-256's state after the salt's block.
    salted: [u32; 8],
    block: [u8; BLOCK],
    buffer: Vec<u8>,
}

/// Bytes of one block of SHA-256.
const BLOCK: usize = 64;

/// SHA-256's state before its first block (FIPS 180-4, 5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

impl Digester {
    /// A digester for one comparison.
    pub fn new(salt: &Salt) -> Digester {
        let mut block = [0u8; BLOCK];
        block[..SALT].copy_from_slice(salt);
        let mut salted = INITIAL;
        sha2::compress256(&mut salted, &[block.into()]);
        Digester {
            salted,
            block,
            buffer: Vec::with_capacity(256),
        }
    }

    /// What is hashed before a row's columns: the salt, filled up with zeros to one block. For servers that hash themselves.
    pub fn prefix(&self) -> &[u8; BLOCK] {
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
        self.begin();
        for (index, (column, cell)) in columns.iter().zip(&row.0).enumerate() {
            canonical::write_framed(column.canonical, cell, &mut self.buffer)
                .map_err(|e| (index, e))?;
        }
        Ok(self.end())
    }

    /// Begins a row that is not held as cells: [`Digester::value`] for every mapped column follows, and [`Digester::end`].
    #[inline]
    pub fn begin(&mut self) {
        self.buffer.clear();
    }

    /// The row's next value; `None` for NULL.
    ///
    /// # Errors
    /// A value that has no canonical form of this class.
    #[inline]
    pub fn value(
        &mut self,
        class: Canonical,
        value: Option<Value<'_>>,
    ) -> Result<(), CanonicalError> {
        canonical::write_value(class, value, &mut self.buffer)
    }

    /// The digest of the row. The hash is finished by hand (FIPS 180-4, 5.1.1): hashing a short row costs little more than its
    /// two or three blocks, and a hasher's own buffering would be a good part of it.
    pub fn end(&mut self) -> RowDigest {
        let bits = 8 * (BLOCK + self.buffer.len()) as u64;
        self.buffer.push(0x80);
        // zeros up to the last eight bytes of a block
        let whole = (self.buffer.len() + 8).next_multiple_of(BLOCK);
        self.buffer.resize(whole - 8, 0);
        self.buffer.extend_from_slice(&bits.to_be_bytes());
        let mut state = self.salted;
        for block in self.buffer.chunks_exact(BLOCK) {
            let block = GenericArray::from_slice(block);
            sha2::compress256(&mut state, std::slice::from_ref(block));
        }
        RowDigest::new(&state)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Cell;
    use sha2::{Digest as _, Sha256};

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

    fn of_bytes(bytes: &[u8]) -> RowDigest {
        let hash = Sha256::digest(bytes);
        let lane = |at: usize| u64::from_be_bytes(hash[at..at + 8].try_into().unwrap());
        RowDigest {
            first: lane(0),
            second: lane(8),
            place: u16::from_be_bytes([hash[16], hash[17]]),
        }
    }

    #[test]
    fn a_digest_is_sha_256_of_the_salts_block_and_the_framed_columns() {
        let long = "x".repeat(254);
        let mut bytes = vec![7; SALT];
        bytes.resize(64, 0);
        bytes.extend_from_slice(b"\x03ab\x01\xFF\0\0\0\0\0\0\0\xFE");
        bytes.extend_from_slice(long.as_bytes());
        assert_eq!(digest(&["ab", "", &long]), of_bytes(&bytes));
    }

    #[test]
    fn the_hash_is_finished_rightly_at_every_length_of_a_row() {
        for n in 0..200 {
            let mut bytes = vec![7; SALT];
            bytes.resize(64, 0);
            bytes.push(n + 1);
            bytes.extend(std::iter::repeat_n(b'x', n.into()));
            assert_eq!(digest(&[&"x".repeat(n.into())]), of_bytes(&bytes), "{n}");
        }
    }

    #[test]
    fn a_row_has_one_digest_as_cells_and_as_values() {
        let mut digester = Digester::new(&[7; SALT]);
        digester.begin();
        for text in ["1", "", "two"] {
            let value = Value::Text(text.as_bytes());
            digester.value(Canonical::Text, Some(value)).unwrap();
        }
        assert_eq!(digester.end(), digest(&["1", "", "two"]));
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
