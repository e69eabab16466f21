//! The pairs of engines, and what is planted on them.

use crate::database::Engine;

/// A source and a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// As the command line and the table name it.
    pub name: &'static str,
    /// Where rows come from.
    pub source: Engine,
    /// Where rows go to, and where nearly all is planted.
    pub target: Engine,
}

/// All pairs.
pub const PAIRS: [Pair; 12] = [
    Pair {
        name: "pg15-pg17",
        source: Engine::Pg15,
        target: Engine::Pg17,
    },
    Pair {
        name: "pg17-pg18",
        source: Engine::Pg17,
        target: Engine::Pg18,
    },
    Pair {
        name: "pg15-sqlite",
        source: Engine::Pg15,
        target: Engine::Sqlite,
    },
    Pair {
        name: "sqlite-pg18",
        source: Engine::Sqlite,
        target: Engine::Pg18,
    },
    Pair {
        name: "sqlite-sqlite",
        source: Engine::Sqlite,
        target: Engine::Sqlite,
    },
    Pair {
        name: "pg18-mysql97",
        source: Engine::Pg18,
        target: Engine::Mysql97,
    },
    Pair {
        name: "mysql97-pg18",
        source: Engine::Mysql97,
        target: Engine::Pg18,
    },
    Pair {
        name: "mysql97-mysql97",
        source: Engine::Mysql97,
        target: Engine::Mysql97,
    },
    Pair {
        name: "mysql97-mariadb118",
        source: Engine::Mysql97,
        target: Engine::Maria118,
    },
    Pair {
        name: "mariadb1011-pg17",
        source: Engine::Maria1011,
        target: Engine::Pg17,
    },
    Pair {
        name: "sqlite-mariadb118",
        source: Engine::Sqlite,
        target: Engine::Maria118,
    },
    Pair {
        name: "mariadb1011-mariadb118",
        source: Engine::Maria1011,
        target: Engine::Maria118,
    },
];

impl Pair {
    /// The pair of that name.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn named(name: &str) -> Self {
        *PAIRS
            .iter()
            .find(|pair| pair.name == name)
            .unwrap_or_else(|| panic!("no pair is called {name}"))
    }
}
