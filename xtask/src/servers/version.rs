//! The PostgreSQL versions that the tests run against, and where each comes from.

use std::fmt;
use std::path::{Path, PathBuf};

/// A major version of PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 15, the system's own package.
    V15,
    /// 17, unpacked into the cache.
    V17,
    /// 18, unpacked into the cache.
    V18,
}

impl Version {
    /// All of them, oldest first.
    pub const ALL: [Self; 3] = [Self::V15, Self::V17, Self::V18];

    /// The major version's number.
    #[must_use]
    pub fn major(self) -> u32 {
        match self {
            Self::V15 => 15,
            Self::V17 => 17,
            Self::V18 => 18,
        }
    }

    /// The Debian suite that this version is unpacked from; `None` for the system's own packages.
    #[must_use]
    pub fn suite(self) -> Option<&'static str> {
        match self {
            Self::V15 => None,
            Self::V17 => Some("trixie"),
            Self::V18 => Some("sid"),
        }
    }

    /// The folder that this version is unpacked into.
    #[must_use]
    pub fn prefix(self, cache: &Path) -> PathBuf {
        cache.join(format!("postgresql-{}", self.major()))
    }

    /// The folder of this version's programs (postgres, initdb, psql, pg_dump, pgbench, …).
    #[must_use]
    pub fn bin(self, cache: &Path) -> PathBuf {
        let root = match self.suite() {
            None => PathBuf::from("/"),
            Some(_) => self.prefix(cache),
        };
        root.join(format!("usr/lib/postgresql/{}/bin", self.major()))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.major())
    }
}
