//! The MySQL and MariaDB versions that the tests run against, and where each comes from.

use std::fmt;
use std::path::{Path, PathBuf};

/// A server that speaks MySQL's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// MySQL 9.7.
    Mysql97,
    /// MariaDB 10.11.
    Mariadb1011,
    /// MariaDB 11.8.
    Mariadb118,
}

impl Flavor {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mysql97, Self::Mariadb1011, Self::Mariadb118];

    /// The server's name among the test servers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mysql97 => "mysql97",
            Self::Mariadb1011 => "mariadb1011",
            Self::Mariadb118 => "mariadb118",
        }
    }

    /// What the program says of its version.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::Mysql97 => "9.7.",
            Self::Mariadb1011 => "10.11.",
            Self::Mariadb118 => "11.8.",
        }
    }

    /// The Debian suite that it is unpacked from.
    #[must_use]
    pub fn suite(self) -> &'static str {
        match self {
            Self::Mysql97 | Self::Mariadb118 => "sid",
            Self::Mariadb1011 => "bookworm",
        }
    }

    /// The packages that hold its programs.
    #[must_use]
    pub fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Mysql97 => &["mysql-server-core", "mysql-client-core"],
            Self::Mariadb1011 | Self::Mariadb118 => &["mariadb-server-core", "mariadb-client-core"],
        }
    }

    /// Whether it is MySQL, not MariaDB.
    #[must_use]
    pub fn is_mysql(self) -> bool {
        self == Self::Mysql97
    }

    /// The folder that it is unpacked into.
    #[must_use]
    pub fn prefix(self, cache: &Path) -> PathBuf {
        cache.join(self.name())
    }

    /// The folder of an initialised data folder, which servers begin with a copy of.
    #[must_use]
    pub fn template(self, cache: &Path) -> PathBuf {
        cache.join(format!("{}-data", self.name()))
    }

    /// The server's program.
    #[must_use]
    pub fn program(self, cache: &Path) -> PathBuf {
        let name = if self.is_mysql() {
            "mysqld"
        } else {
            "mariadbd"
        };
        self.prefix(cache).join("usr/sbin").join(name)
    }

    /// The command-line client.
    #[must_use]
    pub fn client(self, cache: &Path) -> PathBuf {
        let name = if self.is_mysql() { "mysql" } else { "mariadb" };
        self.prefix(cache).join("usr/bin").join(name)
    }
}

impl fmt::Display for Flavor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
