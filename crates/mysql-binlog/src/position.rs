//! Where in a server's log something is, and the one place that packs it into the program's position.

use crossfade_model::Position;
use crossfade_store::ErrorKind;

use crate::error::{Error, Result};

/// Bits of a packed position that hold the offset: 256 GiB. A transaction is never split over files, so a file can be
/// larger than the 1 GiB of `max_binlog_size`, and than the 4 GiB that an event's own position can tell.
const OFFSET_BITS: u32 = 38;

/// Bits above that hold the file's number: a server that begins a new file each minute reaches the last one after two years.
const FILE_BITS: u32 = 20;

/// The largest packed file number.
const MAX_FILE: u64 = (1 << FILE_BITS) - 1;

/// The last succession: what is left of a signed 64-bit integer, five bits.
const MAX_SUCCESSION: u32 = (1 << (63 - OFFSET_BITS - FILE_BITS)) - 1;

/// A place in the log: the file by its number, and the offset of the next event in it.
///
/// Files are named `base.000001`, `base.000002` … (MySQL reference manual, "The Binary Log"); numbers only rise, until
/// `RESET BINARY LOGS AND GTIDS` (`RESET MASTER`) begins again, which makes all positions void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogPosition {
    /// The file's number.
    pub file: u64,
    /// The offset in bytes from the file's beginning.
    pub offset: u64,
}

impl LogPosition {
    /// As one number that compares in log order. `succession` says whose log it is: 0 for the server that was followed first, one
    /// more for each that took the place of the one before. It is above everything else, so that all positions of a
    /// server lie behind all of its predecessor.
    ///
    /// # Errors
    /// A succession, a file number or an offset that does not fit.
    pub fn pack(self, succession: u32) -> Result<Position> {
        if succession > MAX_SUCCESSION || self.file > MAX_FILE || self.offset >> OFFSET_BITS != 0 {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "binlog.position",
                format!(
                    "the log position {self} of server {succession} is beyond what can be stored"
                ),
            ));
        }
        let file = u64::from(succession) << FILE_BITS | self.file;
        Ok(Position(file << OFFSET_BITS | self.offset))
    }

    /// The place that was packed.
    pub fn unpack(position: Position) -> LogPosition {
        LogPosition {
            file: position.0 >> OFFSET_BITS & MAX_FILE,
            offset: position.0 & ((1 << OFFSET_BITS) - 1),
        }
    }

    /// The succession that was packed.
    pub fn succession(position: Position) -> u32 {
        // five bits are left
        (position.0 >> (OFFSET_BITS + FILE_BITS)) as u32
    }
}

impl std::fmt::Display for LogPosition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:06}:{}", self.file, self.offset)
    }
}

/// A log file's name, parted into its base and its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// What stands before the last dot (`log_bin_basename` without its folder).
    pub base: String,
    /// The number behind it.
    pub number: u64,
}

impl LogFile {
    /// Parts a name as the server gives it.
    ///
    /// # Errors
    /// A name without a number.
    pub fn parse(name: &str) -> Result<LogFile> {
        name.rsplit_once('.')
            .filter(|(_, digits)| !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit()))
            .and_then(|(base, digits)| {
                Some(LogFile {
                    base: base.to_owned(),
                    number: digits.parse().ok()?,
                })
            })
            .ok_or_else(|| Error::corrupt(format!("{name:?} is no name of a log file")))
    }

    /// The name as the server writes it: at least six digits.
    pub fn name(&self) -> String {
        format!("{}.{:06}", self.base, self.number)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn packed_positions_compare_in_log_order_and_come_back() {
        let places = [
            (0, 1, 4),
            (0, 1, u64::from(u32::MAX) + 10),
            (0, 2, 4),
            (0, 999_999, 0),
            (0, MAX_FILE, (1 << OFFSET_BITS) - 1),
            (1, 1, 4),
            (MAX_SUCCESSION, MAX_FILE, (1 << OFFSET_BITS) - 1),
        ];
        let place = |(_, file, offset)| LogPosition { file, offset };
        let packed = places.map(|all| place(all).pack(all.0).unwrap());
        assert!(packed.is_sorted());
        assert_eq!(packed.map(LogPosition::unpack), places.map(place));
        assert_eq!(packed.map(LogPosition::succession), places.map(|all| all.0));
        for all in [
            (0, MAX_FILE + 1, 4),
            (0, 1, 1 << OFFSET_BITS),
            (MAX_SUCCESSION + 1, 1, 4),
        ] {
            let refused = place(all).pack(all.0).unwrap_err();
            assert_eq!(refused.code, "binlog.position");
        }
    }

    #[test]
    fn names_are_parted_at_the_last_dot() {
        let file = LogFile::parse("host.a-bin.000012").unwrap();
        assert_eq!((file.base.as_str(), file.number), ("host.a-bin", 12));
        assert_eq!(file.name(), "host.a-bin.000012");
        assert_eq!(LogFile::parse("b.1234567").unwrap().name(), "b.1234567");
        for name in ["", "binlog", "binlog.", "binlog.index", "binlog.1a"] {
            assert!(LogFile::parse(name).is_err(), "{name}");
        }
    }
}
