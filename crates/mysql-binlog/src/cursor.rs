//! Reading numbers and slices off the front of bytes. Never panics, never copies.

use bytes::{Buf as _, Bytes};

use crate::error::{Error, Result};

/// What is left to read.
#[derive(Debug, Clone)]
pub(crate) struct Cursor {
    left: Bytes,
}

impl Cursor {
    pub fn new(left: Bytes) -> Cursor {
        Cursor { left }
    }

    pub fn len(&self) -> usize {
        self.left.len()
    }

    pub fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// What is left, and nothing after.
    pub fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.left)
    }

    pub fn take(&mut self, length: usize, what: &str) -> Result<Bytes> {
        if self.left.len() < length {
            return Err(Error::short(what));
        }
        Ok(self.left.split_to(length))
    }

    pub fn skip(&mut self, length: usize, what: &str) -> Result<()> {
        if self.left.len() < length {
            return Err(Error::short(what));
        }
        self.left.advance(length);
        Ok(())
    }

    pub fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let array = *self
            .left
            .first_chunk::<N>()
            .ok_or_else(|| Error::short(what))?;
        self.left.advance(N);
        Ok(array)
    }

    pub fn u8(&mut self, what: &str) -> Result<u8> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    pub fn u16(&mut self, what: &str) -> Result<u16> {
        self.array(what).map(u16::from_le_bytes)
    }

    pub fn u32(&mut self, what: &str) -> Result<u32> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub fn u64(&mut self, what: &str) -> Result<u64> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A little-endian number of 1 to 8 bytes.
    pub fn uint(&mut self, length: usize, what: &str) -> Result<u64> {
        let bytes = self.peek(length.min(8), what)?;
        let value = bytes
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u64::from(*byte));
        self.left.advance(length.min(8));
        Ok(value)
    }

    /// A big-endian number of 1 to 8 bytes.
    pub fn uint_be(&mut self, length: usize, what: &str) -> Result<u64> {
        let bytes = self.peek(length.min(8), what)?;
        let value = bytes
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte));
        self.left.advance(length.min(8));
        Ok(value)
    }

    fn peek(&self, length: usize, what: &str) -> Result<&[u8]> {
        self.left.get(..length).ok_or_else(|| Error::short(what))
    }

    /// A length-encoded integer (MySQL internals, "Protocol::LengthEncodedInteger"). 0xFB and 0xFF are no numbers.
    pub fn lenenc(&mut self, what: &str) -> Result<u64> {
        match self.u8(what)? {
            short @ 0..=0xfa => Ok(u64::from(short)),
            0xfc => self.uint(2, what),
            0xfd => self.uint(3, what),
            0xfe => self.uint(8, what),
            _ => Err(Error::corrupt(format!("{what} is no length"))),
        }
    }

    /// A length-encoded integer as a length in memory.
    pub fn length(&mut self, what: &str) -> Result<usize> {
        usize::try_from(self.lenenc(what)?).map_err(|_| Error::short(what))
    }

    /// Bytes behind their length-encoded length.
    pub fn lenenc_bytes(&mut self, what: &str) -> Result<Bytes> {
        let length = self.length(what)?;
        self.take(length, what)
    }

    /// Bytes up to a zero, which is taken too.
    pub fn nul_terminated(&mut self, what: &str) -> Result<Bytes> {
        let end = self
            .left
            .iter()
            .position(|byte| *byte == 0)
            .ok_or_else(|| Error::short(what))?;
        let bytes = self.left.split_to(end);
        self.left.advance(1);
        Ok(bytes)
    }
}

/// Text that is UTF-8 by the format; anything else is shown with replacement characters.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
