//! Where traffic is to go, and which.

use serde::{Deserialize, Serialize};

/// A side of the migration. Stays what it is, whichever way rows go at the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The store named in `[source]`.
    Source,
    /// The store named in `[target]`.
    Target,
}

impl Side {
    /// The side's word, as files and programs read it.
    pub fn word(self) -> &'static str {
        match self {
            Side::Source => "source",
            Side::Target => "target",
        }
    }

    /// The opposite side.
    #[must_use]
    pub fn other(self) -> Side {
        match self {
            Side::Source => Side::Target,
            Side::Target => Side::Source,
        }
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

/// How one side is reached, without secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Its URL for people, without secrets.
    pub url_label: String,
    /// Host or folder of a Unix socket, where the store has one.
    pub host: Option<String>,
    /// Port, where the store has one.
    pub port: Option<u16>,
    /// Database or file.
    pub database: Option<String>,
}

/// Both sides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ends {
    /// The store named in `[source]`.
    pub source: End,
    /// The store named in `[target]`.
    pub target: End,
}

impl Ends {
    /// How a side is reached.
    pub fn of(&self, side: Side) -> &End {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    /// A side as the destination of one switch.
    pub fn destination(&self, side: Side, epoch: u64, migration: &str) -> Destination {
        let end = self.of(side).clone();
        Destination {
            side,
            epoch,
            migration: migration.to_owned(),
            url_label: end.url_label,
            host: end.host,
            port: end.port,
            database: end.database,
        }
    }
}

/// Where to, by the word of which switch. Holds no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The side.
    pub side: Side,
    /// The switch that says so. A route that remembers epochs refuses one that is lower than what it has seen.
    pub epoch: u64,
    /// The migration.
    pub migration: String,
    /// Its URL for people, without secrets.
    pub url_label: String,
    /// Host or folder of a Unix socket, where the store has one.
    pub host: Option<String>,
    /// Port, where the store has one.
    pub port: Option<u16>,
    /// Database or file.
    pub database: Option<String>,
}

/// Which traffic goes to a destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Traffic {
    /// All writes, and what a writing transaction reads.
    Writes,
    /// So much of the reads; the rest goes to the other side. Tenants that were named are not asked.
    Reads {
        /// 0 to 100.
        percent: u8,
    },
    /// All reads of one tenant.
    ReadsOfTenant(String),
}

impl std::fmt::Display for Traffic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Traffic::Writes => f.write_str("writes"),
            Traffic::Reads { percent } => write!(f, "{percent} % of the reads"),
            Traffic::ReadsOfTenant(_) => f.write_str("the reads of one tenant"),
        }
    }
}
