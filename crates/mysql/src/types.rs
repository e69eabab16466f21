//! Column types: read from the text in which the server declares them, and what their values mean.
//!
//! # What has no logical type of its own
//! - `bigint unsigned` goes beyond a signed 64-bit integer: it is a decimal, which is exact. Narrower unsigned integers are wider
//!   signed ones.
//! - `year` is an integer; `tinyint(1)` too, for it holds -128 to 127 and not two values.
//! - `time` goes from -838 to 838 hours and is no time of day: it is known by its text.
//! - `bit(n)` is known by its binary digits, `enum` and `set` by their texts (the log has their numbers, which mean nothing elsewhere).
//! - Geometry is the server's own bytes, the reference system's number (4 bytes, least significant first) and then WKB.

use crossfade_model::LogicalType;

/// How a column's values are read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Width in bits, and whether it is unsigned.
    Integer {
        bits: u8,
        unsigned: bool,
    },
    Year,
    /// Digits before and behind the point.
    Decimal {
        whole: u32,
        scale: u32,
    },
    Single,
    Double,
    /// `char`, `varchar` and the texts; the most characters, or bytes for the texts.
    Text {
        length: u64,
    },
    /// `enum` and `set`.
    Word,
    /// `binary`, `varbinary` and the blobs; whether shorter values are padded; bytes at most.
    Bytes {
        padded: bool,
        length: u64,
    },
    /// Geometry and vectors: bytes of a form that the server checks.
    Formed,
    Bit {
        width: u32,
    },
    Date,
    /// Digits of the seconds' fraction.
    Datetime {
        digits: u32,
    },
    Timestamp {
        digits: u32,
    },
    Time {
        digits: u32,
    },
    Json,
    Uuid,
    /// Known by its text (`inet4`, `inet6`, and what came later).
    Other,
}

/// A declared type's parts: `decimal(10,2) unsigned` is `decimal`, `[10, 2]`, `unsigned`.
struct Declared<'a> {
    name: &'a str,
    arguments: Vec<u64>,
    rest: &'a str,
}

fn parts(declared: &str) -> Declared<'_> {
    let (head, rest) = match (declared.find('('), declared.rfind(')')) {
        (Some(open), Some(close)) if open < close => (
            &declared[..open],
            (&declared[open + 1..close], &declared[close + 1..]),
        ),
        _ => match declared.split_once(' ') {
            Some((name, rest)) => (name, ("", rest)),
            None => (declared, ("", "")),
        },
    };
    Declared {
        name: head.trim(),
        arguments: rest
            .0
            .split(',')
            .filter_map(|a| a.trim().parse().ok())
            .collect(),
        rest: rest.1,
    }
}

impl Kind {
    /// Reads a declared type, as `information_schema` writes it.
    pub fn parse(declared: &str) -> Kind {
        let lower = declared.to_ascii_lowercase();
        let of = parts(&lower);
        let unsigned = of.rest.contains("unsigned") || of.rest.contains("zerofill");
        let argument = |at: usize| of.arguments.get(at).copied();
        let digits = u32::try_from(argument(0).unwrap_or(0)).unwrap_or(6).min(6);
        let integer = |bits| Kind::Integer { bits, unsigned };
        match of.name {
            "tinyint" | "bool" | "boolean" => integer(8),
            "smallint" => integer(16),
            "mediumint" => integer(24),
            "int" | "integer" => integer(32),
            "bigint" => integer(64),
            "year" => Kind::Year,
            "decimal" | "numeric" => {
                let precision = argument(0).unwrap_or(10).min(65) as u32;
                let scale = argument(1).unwrap_or(0).min(38) as u32;
                Kind::Decimal {
                    whole: precision.saturating_sub(scale),
                    scale,
                }
            }
            "float" => Kind::Single,
            "double" | "double precision" | "real" => Kind::Double,
            "char" => Kind::Text {
                length: argument(0).unwrap_or(1),
            },
            "varchar" => Kind::Text {
                length: argument(0).unwrap_or(0),
            },
            "tinytext" => Kind::Text { length: 255 },
            "text" => Kind::Text { length: 65_535 },
            "mediumtext" => Kind::Text { length: 16_777_215 },
            "longtext" => Kind::Text {
                length: u64::from(u32::MAX),
            },
            "enum" | "set" => Kind::Word,
            "binary" => Kind::Bytes {
                padded: true,
                length: argument(0).unwrap_or(1),
            },
            "varbinary" => Kind::Bytes {
                padded: false,
                length: argument(0).unwrap_or(0),
            },
            "tinyblob" => Kind::Bytes {
                padded: false,
                length: 255,
            },
            "blob" => Kind::Bytes {
                padded: false,
                length: 65_535,
            },
            "mediumblob" => Kind::Bytes {
                padded: false,
                length: 16_777_215,
            },
            "longblob" => Kind::Bytes {
                padded: false,
                length: u64::from(u32::MAX),
            },
            "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring"
            | "multipolygon" | "geometrycollection" | "geomcollection" | "vector" => Kind::Formed,
            "bit" => Kind::Bit {
                width: argument(0).unwrap_or(1).clamp(1, 64) as u32,
            },
            "date" => Kind::Date,
            "datetime" => Kind::Datetime { digits },
            "timestamp" => Kind::Timestamp { digits },
            "time" => Kind::Time { digits },
            "json" => Kind::Json,
            "uuid" => Kind::Uuid,
            _ => Kind::Other,
        }
    }

    /// What the values mean apart from this server.
    pub fn logical(self) -> LogicalType {
        match self {
            Kind::Integer {
                bits: 64,
                unsigned: true,
            }
            | Kind::Decimal { .. } => LogicalType::Decimal,
            Kind::Integer { bits, unsigned } => LogicalType::Integer {
                bits: match bits + u8::from(unsigned) {
                    0..=16 => 16,
                    17..=32 => 32,
                    _ => 64,
                },
            },
            Kind::Year => LogicalType::Integer { bits: 16 },
            Kind::Single => LogicalType::Float { bits: 32 },
            Kind::Double => LogicalType::Float { bits: 64 },
            Kind::Text { .. } => LogicalType::Text,
            Kind::Bytes { .. } | Kind::Formed => LogicalType::Bytes,
            Kind::Date => LogicalType::Date,
            Kind::Datetime { .. } => LogicalType::Timestamp,
            Kind::Timestamp { .. } => LogicalType::TimestampWithZone,
            Kind::Json => LogicalType::Json,
            Kind::Uuid => LogicalType::Uuid,
            Kind::Word | Kind::Bit { .. } | Kind::Time { .. } | Kind::Other => LogicalType::Other,
        }
    }

    /// True where the order of [`crossfade_model::Key`] is the server's own. `collation` is that of a text.
    pub fn is_ordered(self, collation: Option<&str>) -> bool {
        match self {
            Kind::Integer { bits, unsigned } => bits < 64 || !unsigned,
            Kind::Year
            | Kind::Date
            | Kind::Datetime { .. }
            | Kind::Timestamp { .. }
            | Kind::Bytes { .. } => true,
            // binary collations that pad with blanks order a text before its own beginning
            Kind::Text { .. } => {
                matches!(collation, Some("utf8mb4_0900_bin" | "utf8mb4_nopad_bin"))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_are_read() {
        for (declared, kind, logical) in [
            (
                "tinyint(1)",
                Kind::Integer {
                    bits: 8,
                    unsigned: false,
                },
                LogicalType::Integer { bits: 16 },
            ),
            (
                "int(10) unsigned zerofill",
                Kind::Integer {
                    bits: 32,
                    unsigned: true,
                },
                LogicalType::Integer { bits: 64 },
            ),
            (
                "bigint unsigned",
                Kind::Integer {
                    bits: 64,
                    unsigned: true,
                },
                LogicalType::Decimal,
            ),
            (
                "decimal(10,2) unsigned",
                Kind::Decimal { whole: 8, scale: 2 },
                LogicalType::Decimal,
            ),
            ("enum('a,b','(c)')", Kind::Word, LogicalType::Other),
            ("varchar(20)", Kind::Text { length: 20 }, LogicalType::Text),
            (
                "binary(16)",
                Kind::Bytes {
                    padded: true,
                    length: 16,
                },
                LogicalType::Bytes,
            ),
            ("bit(12)", Kind::Bit { width: 12 }, LogicalType::Other),
            (
                "timestamp(3)",
                Kind::Timestamp { digits: 3 },
                LogicalType::TimestampWithZone,
            ),
            (
                "datetime",
                Kind::Datetime { digits: 0 },
                LogicalType::Timestamp,
            ),
            ("time(6)", Kind::Time { digits: 6 }, LogicalType::Other),
            ("year(4)", Kind::Year, LogicalType::Integer { bits: 16 }),
            ("point", Kind::Formed, LogicalType::Bytes),
            ("inet6", Kind::Other, LogicalType::Other),
            ("double", Kind::Double, LogicalType::Float { bits: 64 }),
        ] {
            assert_eq!(Kind::parse(declared), kind, "{declared}");
            assert_eq!(kind.logical(), logical, "{declared}");
        }
    }
}
