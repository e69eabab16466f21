//! A row's key as bytes: equal bytes where the store holds two keys equal, and for [`KeyOrder::Ordered`] keys the same
//! order as the store's.
//!
//! [`KeyOrder::Ordered`]: crate::KeyOrder::Ordered

use bytes::Bytes;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Cell;
use crate::hex;
use crate::schema::LogicalType;
use crate::text_form;

/// An encoded key. Durable as hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub Bytes);

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        let digits = String::deserialize(deserializer)?;
        hex::decode(&digits)
            .map(|bytes| Key(bytes.into()))
            .ok_or_else(|| {
                serde::de::Error::custom("a key is an even number of hexadecimal digits")
            })
    }
}

/// Why a key could not be encoded. Never carries the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The table has no key.
    #[error("the table has no key")]
    NoKey,
    /// A key column is NULL or was not in the log.
    #[error("a key column is NULL or absent")]
    Absent,
    /// A key column's value is not of its type.
    #[error("a key column's value is not of its declared type")]
    Malformed,
}

// Class tags keep values of different storage classes apart, in SQLite's order (SQLite documentation, "Datatypes in
// SQLite", section 4.1): numbers before text before blobs.
const NUMBER: u8 = 1;
const TEXT: u8 = 2;
const BLOB: u8 = 3;

/// Appends one key column.
///
/// # Errors
/// [`KeyError::Absent`] for NULL and unchanged cells, [`KeyError::Malformed`] for a value that is not of the column's type.
pub fn encode(logical: LogicalType, cell: &Cell, out: &mut Vec<u8>) -> Result<(), KeyError> {
    match cell {
        Cell::Null | Cell::Unchanged => Err(KeyError::Absent),
        Cell::Unfit(_) => Err(KeyError::Malformed),
        Cell::Integer(i) => {
            out.push(NUMBER);
            push_integer(*i, out);
            Ok(())
        }
        Cell::Real(r) => {
            out.push(NUMBER);
            push_real(*r, out);
            Ok(())
        }
        Cell::Text(text) => {
            out.push(TEXT);
            push_bytes(text, out);
            Ok(())
        }
        Cell::Blob(blob) => {
            out.push(BLOB);
            push_bytes(blob, out);
            Ok(())
        }
        Cell::TextForm(text) => encode_text_form(logical, text, out),
    }
}

fn encode_text_form(logical: LogicalType, text: &[u8], out: &mut Vec<u8>) -> Result<(), KeyError> {
    let malformed = KeyError::Malformed;
    match logical {
        LogicalType::Integer { .. } => {
            push_ordered(text_form::integer(text).ok_or(malformed)?, out)
        }
        LogicalType::Date => push_ordered(text_form::date(text).ok_or(malformed)?, out),
        LogicalType::Time => push_ordered(text_form::time(text).ok_or(malformed)?, out),
        LogicalType::Timestamp => push_ordered(text_form::timestamp(text).ok_or(malformed)?, out),
        LogicalType::TimestampWithZone => {
            push_ordered(text_form::timestamp_with_zone(text).ok_or(malformed)?, out);
        }
        LogicalType::Boolean => out.push(u8::from(text_form::boolean(text).ok_or(malformed)?)),
        LogicalType::Uuid => out.extend_from_slice(&text_form::uuid(text).ok_or(malformed)?),
        LogicalType::Bytes => push_bytes(&text_form::hex_bytes(text).ok_or(malformed)?, out),
        LogicalType::Float { .. } => push_real(text_form::double(text).ok_or(malformed)?, out),
        // 1.0 and 1.00 are one key: identity by value (not by order)
        LogicalType::Decimal => {
            push_bytes(text_form::decimal(text).ok_or(malformed)?.as_bytes(), out)
        }
        LogicalType::Text | LogicalType::Json | LogicalType::Other | LogicalType::Any => {
            push_bytes(text, out);
        }
    }
    Ok(())
}

/// The length of an encoded column of a typed store, where it is always the same; otherwise a usual one.
pub(crate) fn length(logical: LogicalType) -> usize {
    match logical {
        LogicalType::Integer { .. }
        | LogicalType::Date
        | LogicalType::Time
        | LogicalType::Timestamp
        | LogicalType::TimestampWithZone => 8,
        LogicalType::Boolean => 1,
        _ => 16,
    }
}

fn push_ordered(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&((value as u64) ^ (1 << 63)).to_be_bytes());
}

/// An integer in the same order as reals: the double rounded to, then the exact integer to tell neighbours apart.
fn push_integer(value: i64, out: &mut Vec<u8>) {
    push_real_bits(value as f64, out);
    push_ordered(value, out);
}

fn push_real(value: f64, out: &mut Vec<u8>) {
    push_real_bits(value, out);
    // an integral double is the same key as the integer of its value
    if value.fract() == 0.0 && value.abs() < 9.3e18 {
        push_ordered(value as i64, out);
    } else {
        push_ordered(0, out);
    }
}

fn push_real_bits(value: f64, out: &mut Vec<u8>) {
    // -0 and 0 are one key
    let bits = if value == 0.0 { 0 } else { value.to_bits() };
    let ordered = if bits >> 63 == 1 {
        !bits
    } else {
        bits | 1 << 63
    };
    out.extend_from_slice(&ordered.to_be_bytes());
}

/// Bytes so that a prefix sorts first and the next column cannot run into this one: 0x00 becomes 0x00 0xFF, the end is
/// 0x00 0x00.
fn push_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    for &b in bytes {
        out.push(b);
        if b == 0 {
            out.push(0xFF);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn key(logical: LogicalType, cell: Cell) -> Vec<u8> {
        let mut out = Vec::new();
        encode(logical, &cell, &mut out).unwrap();
        out
    }

    fn text(logical: LogicalType, s: &str) -> Vec<u8> {
        key(
            logical,
            Cell::TextForm(Bytes::copy_from_slice(s.as_bytes())),
        )
    }

    #[test]
    fn order_is_the_stores() {
        let int = LogicalType::Integer { bits: 64 };
        let ints = [
            "-9223372036854775808",
            "-1",
            "0",
            "1",
            "9223372036854775807",
        ];
        assert!(ints.windows(2).all(|w| text(int, w[0]) < text(int, w[1])));
        let dates = [
            "-infinity",
            "0044-03-15 BC",
            "0001-01-01",
            "2024-02-29",
            "infinity",
        ];
        assert!(
            dates
                .windows(2)
                .all(|w| text(LogicalType::Date, w[0]) < text(LogicalType::Date, w[1]))
        );
        let blobs = ["\\x", "\\x00", "\\x0000", "\\x0001", "\\x01", "\\xff"];
        assert!(
            blobs
                .windows(2)
                .all(|w| text(LogicalType::Bytes, w[0]) < text(LogicalType::Bytes, w[1]))
        );
        let dynamic = [
            Cell::Real(f64::NEG_INFINITY),
            Cell::Integer(i64::MIN),
            Cell::Integer(-1),
            Cell::Real(-0.5),
            Cell::Integer(0),
            Cell::Integer((1 << 53) + 1),
            Cell::Integer((1 << 53) + 2),
            Cell::Text(Bytes::from_static(b"")),
            Cell::Text(Bytes::from_static(b"a")),
            Cell::Blob(Bytes::from_static(b"")),
        ];
        for w in dynamic.windows(2) {
            let any = LogicalType::Any;
            assert!(key(any, w[0].clone()) < key(any, w[1].clone()), "{w:?}");
        }
    }

    #[test]
    fn equal_values_are_one_key_and_columns_do_not_run_together() {
        let d = LogicalType::Decimal;
        assert_eq!(text(d, "1.0"), text(d, "1.00"));
        assert_eq!(
            key(LogicalType::Any, Cell::Integer(2)),
            key(LogicalType::Any, Cell::Real(2.0))
        );
        let t = LogicalType::Text;
        let two = |a: &str, b: &str| [text(t, a), text(t, b)].concat();
        assert_ne!(two("a", "bc"), two("ab", "c"));
        assert_ne!(two("a\0", "b"), two("a", "\0b"));
    }

    #[test]
    fn null_is_no_key() {
        let mut out = Vec::new();
        assert_eq!(
            encode(LogicalType::Text, &Cell::Null, &mut out),
            Err(KeyError::Absent)
        );
    }
}
