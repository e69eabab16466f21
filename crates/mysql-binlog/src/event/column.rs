//! Types of columns as the log has them (MySQL internals, `Table_map_event`: "m_field_metadata").

use crossfade_store::ErrorKind;

use crate::cursor::Cursor;
use crate::error::{Error, Result};

/// How a column's values stand in a row's image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// An integer of 1, 2, 3, 4 or 8 bytes.
    Integer {
        /// Its bytes.
        bytes: u8,
    },
    /// An exact number.
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits behind the point.
        scale: u8,
    },
    /// A single.
    Float,
    /// A double.
    Double,
    /// A year.
    Year,
    /// A date.
    Date,
    /// A time of day or span, up to 838 hours either way.
    Time {
        /// Digits of the second's fraction.
        digits: u8,
    },
    /// A date and time without zone.
    Datetime {
        /// Digits of the second's fraction.
        digits: u8,
    },
    /// A point in time.
    Timestamp {
        /// Digits of the second's fraction.
        digits: u8,
    },
    /// `TIME`, `DATETIME`, `TIMESTAMP` in the form of before MySQL 5.6: a number of the type's code.
    OldTemporal {
        /// The type's code.
        code: u8,
    },
    /// Bits.
    Bit {
        /// Whole bytes.
        bytes: u8,
    },
    /// One of listed words.
    Enum {
        /// Bytes of the ordinal.
        bytes: u8,
    },
    /// Any of listed words.
    Set {
        /// Bytes of the bit field.
        bytes: u8,
    },
    /// Characters or bytes of fixed length.
    Char {
        /// The greatest length in bytes.
        max: u16,
    },
    /// Characters or bytes of varying length.
    Varchar {
        /// The greatest length in bytes.
        max: u16,
    },
    /// Long text or bytes.
    Blob {
        /// Bytes of the length.
        length: u8,
    },
    /// MySQL's binary JSON.
    Json {
        /// Bytes of the length.
        length: u8,
    },
    /// A geometry: its reference system and WKB.
    Geometry {
        /// Bytes of the length.
        length: u8,
    },
    /// MySQL's vector of singles.
    Vector {
        /// Bytes of the length.
        length: u8,
    },
    /// What this decoder does not read.
    Unknown {
        /// The type's code.
        code: u8,
    },
}

impl ColumnType {
    /// Reads a type's metadata, whose length only the type tells.
    pub(crate) fn read(code: u8, metadata: &mut Cursor) -> Result<ColumnType> {
        const WHAT: &str = "a column's metadata";
        let mut byte = || metadata.u8(WHAT);
        Ok(match code {
            1 => ColumnType::Integer { bytes: 1 },
            2 => ColumnType::Integer { bytes: 2 },
            9 => ColumnType::Integer { bytes: 3 },
            3 => ColumnType::Integer { bytes: 4 },
            8 => ColumnType::Integer { bytes: 8 },
            4 => {
                byte()?;
                ColumnType::Float
            }
            5 => {
                byte()?;
                ColumnType::Double
            }
            10 | 14 => ColumnType::Date,
            13 => ColumnType::Year,
            7 | 11 | 12 => ColumnType::OldTemporal { code },
            17 => ColumnType::Timestamp {
                digits: digits(byte()?)?,
            },
            18 => ColumnType::Datetime {
                digits: digits(byte()?)?,
            },
            19 => ColumnType::Time {
                digits: digits(byte()?)?,
            },
            15 => ColumnType::Varchar {
                max: metadata.u16(WHAT)?,
            },
            16 => {
                let (bits, bytes) = (byte()?, byte()?);
                match bytes.checked_add(u8::from(bits > 0)) {
                    Some(bytes @ 1..=8) => ColumnType::Bit { bytes },
                    _ => return Err(Error::corrupt("a column of bits has a wrong length")),
                }
            }
            246 => {
                let (precision, scale) = (byte()?, byte()?);
                if precision == 0 || precision > 65 || scale > precision {
                    return Err(Error::corrupt("a decimal column has a wrong precision"));
                }
                ColumnType::Decimal { precision, scale }
            }
            242 => ColumnType::Vector {
                length: length(byte()?)?,
            },
            245 => ColumnType::Json {
                length: length(byte()?)?,
            },
            249..=252 => ColumnType::Blob {
                length: length(byte()?)?,
            },
            255 => ColumnType::Geometry {
                length: length(byte()?)?,
            },
            253 | 254 => string(byte()?, byte()?)?,
            // MariaDB's COMPRESSED columns
            140 => {
                byte()?;
                ColumnType::Unknown { code }
            }
            141 => {
                metadata.u16(WHAT)?;
                ColumnType::Unknown { code }
            }
            6 => ColumnType::Unknown { code },
            other => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "binlog.type",
                    format!("the log has a column of an unknown type ({other})"),
                ));
            }
        })
    }
}

fn digits(digits: u8) -> Result<u8> {
    match digits {
        0..=6 => Ok(digits),
        _ => Err(Error::corrupt("a column has too many digits of a second")),
    }
}

fn length(bytes: u8) -> Result<u8> {
    match bytes {
        1..=4 => Ok(bytes),
        _ => Err(Error::corrupt("a column's length has a wrong length")),
    }
}

/// `MYSQL_TYPE_STRING` stands for enumerations and sets too; of a length beyond 255 the two high bits are hidden, inverted,
/// in the real type (MySQL internals, `Field_string::do_save_field_metadata`).
fn string(real: u8, low: u8) -> Result<ColumnType> {
    Ok(match real {
        247 if matches!(low, 1 | 2) => ColumnType::Enum { bytes: low },
        248 if matches!(low, 1..=8) => ColumnType::Set { bytes: low },
        247 | 248 => return Err(Error::corrupt("a column of words has a wrong length")),
        _ => ColumnType::Char {
            max: u16::from(low) | u16::from((real & 0x30) ^ 0x30) << 4,
        },
    })
}
