//! Exact numbers (MySQL internals, `decimal2bin` in `strings/decimal.cc`): groups of nine digits in four bytes, big-endian,
//! shorter groups at both ends in as few bytes as hold them; the first bit inverted, and all bits of a negative number.

use super::number::write_padded;
use crate::cursor::Cursor;
use crate::error::Result;

const DIGITS: usize = 9;

/// Bytes that hold a group of so many digits.
const BYTES: [usize; DIGITS + 1] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

/// Appends the number with `scale` digits behind the point.
pub(super) fn write(precision: u8, scale: u8, from: &mut Cursor, out: &mut Vec<u8>) -> Result<()> {
    let (whole, fraction) = (
        usize::from(precision.saturating_sub(scale)),
        usize::from(scale),
    );
    let bytes = |digits: usize| {
        digits / DIGITS * 4 + BYTES.get(digits % DIGITS).copied().unwrap_or_default()
    };
    let mut image = from
        .take(bytes(whole) + bytes(fraction), "a decimal")?
        .to_vec();
    let negative = match image.first_mut() {
        Some(first) => {
            *first ^= 0x80;
            *first & 0x80 != 0
        }
        None => false,
    };
    if negative {
        image.iter_mut().for_each(|byte| *byte = !*byte);
    }
    let mut digits = Vec::with_capacity(whole + fraction);
    let mut left = image.as_slice();
    let mut group = |count: usize| {
        let taken = BYTES
            .get(count)
            .copied()
            .unwrap_or_default()
            .min(left.len());
        let (bytes, rest) = left.split_at(taken);
        left = rest;
        let value = bytes
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte));
        // a group of more digits than it may have is cut: the log's number is damaged, and a checksum stands over it
        write_padded(value % 10_u64.pow(count as u32), count, &mut digits);
    };
    group(whole % DIGITS);
    (0..whole / DIGITS).for_each(|_| group(DIGITS));
    (0..fraction / DIGITS).for_each(|_| group(DIGITS));
    group(fraction % DIGITS);

    let (whole, fraction) = digits.split_at(whole.min(digits.len()));
    let first = whole.iter().position(|digit| *digit != b'0');
    if negative && digits.iter().any(|digit| *digit != b'0') {
        out.push(b'-');
    }
    out.extend_from_slice(first.map_or(&b"0"[..], |first| whole.get(first..).unwrap_or_default()));
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;

    fn decimal(precision: u8, scale: u8, bytes: &'static [u8]) -> String {
        let mut out = Vec::new();
        let mut from = Cursor::new(Bytes::from_static(bytes));
        write(precision, scale, &mut from, &mut out).unwrap();
        assert!(from.is_empty());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_manuals_example_and_its_negative() {
        // "1234567890.1234" as DECIMAL(14,4), from the comment in strings/decimal.cc
        assert_eq!(
            decimal(14, 4, &[0x81, 0x0d, 0xfb, 0x38, 0xd2, 0x04, 0xd2]),
            "1234567890.1234"
        );
        assert_eq!(
            decimal(14, 4, &[0x7e, 0xf2, 0x04, 0xc7, 0x2d, 0xfb, 0x2d]),
            "-1234567890.1234"
        );
        assert_eq!(decimal(2, 2, &[0x80]), "0.00");
        assert_eq!(decimal(1, 0, &[0x85]), "5");
        assert_eq!(decimal(2, 2, &[0x7f]), "0.00", "no negative zero");
    }
}
