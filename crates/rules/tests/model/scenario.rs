//! What happens in the source, and how the table is loaded: one small world for the checker each.

use crate::source::{Change, Img, KEYS, Key, Row, Stored, Table};

/// One world.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub name: &'static str,
    /// Rows before all transactions: key, row, physical part.
    pub rows: Vec<(Key, Row, u8)>,
    /// Transactions; those that share a key commit in this order, others in any.
    pub txns: Vec<Vec<Change>>,
    /// So many of them are in the log before the stream starts, visible or not.
    pub before: u8,
    /// Transactions that may be rolled back, as a mask.
    pub may_abort: u8,
    /// Content of transactions that run after a crash of the source; empty: it flushes at each commit.
    pub after_crash: Vec<Vec<Change>>,
    /// Chunk bounds.
    pub splits: Vec<Key>,
    /// Chunk bounds of a later run.
    pub later_splits: Option<Vec<Key>>,
    /// A pending chunk may be split here.
    pub split_at: Option<Key>,
    /// The one chunk is loaded in two physical parts.
    pub parts: bool,
    /// The table may be rewritten while no loader has it locked, so that all rows change their part.
    pub rewrite: bool,
    /// A chunk takes two target transactions.
    pub two_writes: bool,
    /// Loading may park this key.
    pub park: Option<Key>,
    /// The target refuses the rows of this key, until it is read by itself.
    pub refuse: Option<Key>,
    /// Target transactions may outlive their process.
    pub zombies: bool,
    /// The applier's target transaction may fail.
    pub retry: bool,
    /// A unique index on the first column is built once followed.
    pub index: bool,
    pub keyless: bool,
}

impl Scenario {
    pub fn new(name: &'static str, keys: &[Key], txns: Vec<Vec<Change>>) -> Self {
        Scenario {
            name,
            rows: keys.iter().map(|key| (*key, row(*key), 0)).collect(),
            txns,
            before: 0,
            may_abort: 0,
            after_crash: Vec::new(),
            splits: vec![2],
            later_splits: None,
            split_at: None,
            parts: false,
            rewrite: false,
            two_writes: false,
            park: None,
            refuse: None,
            zombies: false,
            retry: false,
            index: false,
            keyless: false,
        }
    }

    /// The same with only the first `count` transactions.
    pub fn take(mut self, count: usize) -> Self {
        self.txns.truncate(count);
        self
    }

    /// Whether a row may have to be read again.
    pub fn reads_again(&self) -> bool {
        let thin =
            |change: &Change| matches!(change, Change::Update { img, .. } if img.b.is_none());
        self.park.or(self.refuse).is_some() || self.txns.iter().flatten().any(thin)
    }

    pub fn table(&self) -> Table {
        let mut table = [None; KEYS];
        for (key, row, part) in &self.rows {
            table[*key as usize] = Some(Stored {
                row: *row,
                part: *part,
            });
        }
        table
    }
}

fn row(key: Key) -> Row {
    Row {
        a: key + 1,
        b: 10 + key,
    }
}

fn put(key: Key, value: u8) -> Change {
    put_in(key, value, 0)
}

fn put_in(key: Key, value: u8, part: u8) -> Change {
    Change::Put(key, Row { a: value, b: value }, part)
}

fn del(key: Key) -> Change {
    Change::Delete(key)
}

/// An update without its unchanged column.
fn thin(old: Key, new: Key, value: u8) -> Change {
    thin_in(old, new, value, 0)
}

fn thin_in(old: Key, new: Key, value: u8, part: u8) -> Change {
    Change::Update {
        old,
        new,
        img: Img { a: value, b: None },
        part,
    }
}

fn whole(old: Key, new: Key, value: u8) -> Change {
    Change::Update {
        old,
        new,
        img: Img {
            a: value,
            b: Some(value),
        },
        part: 0,
    }
}

/// A scenario by its name.
pub fn named(name: &str) -> Scenario {
    all()
        .into_iter()
        .find(|scenario| scenario.name == name)
        .unwrap()
}

/// All scenarios, three transactions each.
pub fn all() -> Vec<Scenario> {
    [contents(), surroundings(), loads()].concat()
}

/// What transactions do.
pub fn contents() -> Vec<Scenario> {
    let new = Scenario::new;
    vec![
        new(
            "rows come, change, go",
            &[0, 2],
            vec![vec![whole(0, 0, 50)], vec![put(1, 51)], vec![del(2)]],
        ),
        new(
            "one key comes, goes, comes",
            &[0],
            vec![vec![del(0)], vec![put(0, 51)], vec![thin(0, 0, 52)]],
        ),
        new(
            "transactions of several keys",
            &[0, 2],
            vec![
                vec![whole(0, 0, 50), whole(2, 2, 51)],
                vec![del(0), put(1, 52)],
                vec![thin(2, 2, 53), put(0, 54)],
            ],
        ),
        new(
            "whole key changes between chunks",
            &[0, 1],
            vec![vec![whole(0, 2, 50)], vec![whole(2, 0, 51)], vec![del(1)]],
        ),
        new(
            "thin updates of one row",
            &[0, 2],
            vec![
                vec![thin(0, 0, 50)],
                vec![whole(0, 0, 51)],
                vec![thin(0, 0, 52)],
            ],
        ),
        new(
            "thin key change, old key used again",
            &[0],
            vec![vec![thin(0, 2, 50)], vec![put(0, 51)], vec![thin(2, 1, 52)]],
        ),
        new(
            "thin key change, then the row goes",
            &[0],
            vec![vec![thin(0, 2, 50)], vec![whole(2, 2, 51)], vec![del(2)]],
        ),
        new(
            "thin key change beside a whole change",
            &[0, 1],
            vec![
                vec![thin(0, 2, 50), whole(1, 1, 51)],
                vec![whole(1, 0, 52)],
                vec![thin(2, 1, 53)],
            ],
        ),
        new(
            "thin key change into a chunk, second change late",
            &[0, 1],
            vec![
                vec![whole(1, 1, 50)],
                vec![thin(0, 2, 51)],
                vec![thin(2, 2, 52)],
            ],
        ),
        new(
            "two thin key changes meet",
            &[0, 2],
            vec![
                vec![thin(2, 1, 50)],
                vec![thin(0, 2, 51)],
                vec![thin(1, 0, 52)],
            ],
        ),
        new(
            "truncate between inserts",
            &[0, 2],
            vec![vec![Change::Truncate], vec![put(0, 51)], vec![put(2, 52)]],
        ),
        new(
            "truncate after a thin key change",
            &[0],
            vec![
                vec![thin(0, 2, 50)],
                vec![Change::Truncate, put(2, 51)],
                vec![thin(2, 0, 52)],
            ],
        ),
        new(
            "truncate and insert in one",
            &[0],
            vec![
                vec![thin(0, 2, 50), Change::Truncate, put(2, 51)],
                vec![put(0, 52)],
                vec![thin(0, 1, 53)],
            ],
        ),
    ]
}

/// What happens around the stream.
fn surroundings() -> Vec<Scenario> {
    let new = Scenario::new;
    let plain = || {
        vec![
            vec![whole(0, 0, 50)],
            vec![thin(0, 2, 51)],
            vec![put(0, 52)],
        ]
    };
    vec![
        Scenario {
            before: 1,
            ..new(
                "the stream starts after a transaction",
                &[0],
                vec![
                    vec![put(2, 50)],
                    vec![whole(0, 0, 51)],
                    vec![thin(0, 1, 52)],
                ],
            )
        },
        Scenario {
            may_abort: 0b011,
            ..new(
                "transactions roll back",
                &[0, 2],
                vec![
                    vec![whole(0, 0, 50), del(2)],
                    vec![thin(0, 0, 51)],
                    vec![thin(0, 0, 52)],
                ],
            )
        },
        Scenario {
            after_crash: vec![vec![put(1, 60)], vec![put(1, 61)], vec![put(2, 62)]],
            ..new(
                "the source loses its unflushed end",
                &[0],
                vec![
                    vec![whole(0, 0, 50)],
                    vec![thin(0, 2, 51)],
                    vec![put(0, 52)],
                ],
            )
        },
        Scenario {
            zombies: true,
            ..new("transactions outlive their process", &[0], plain())
        },
        Scenario {
            retry: true,
            ..new("target transactions fail", &[0], plain())
        },
        Scenario {
            index: true,
            ..new(
                "a unique value moves",
                &[0, 2],
                vec![
                    vec![whole(0, 0, 50), whole(2, 2, 1)],
                    vec![thin(0, 0, 3)],
                    vec![del(2), put(1, 1)],
                ],
            )
        },
    ]
}

/// How chunks are cut and loaded.
fn loads() -> Vec<Scenario> {
    let new = Scenario::new;
    let moves = || {
        vec![
            vec![thin_in(0, 0, 50, 1)],
            vec![thin_in(1, 2, 51, 0)],
            vec![put_in(1, 52, 1)],
        ]
    };
    let in_parts = |name, txns| Scenario {
        rows: vec![(0, row(0), 0), (1, row(1), 1)],
        splits: vec![],
        parts: true,
        ..new(name, &[], txns)
    };
    let keyless = |name, txns| Scenario {
        rows: vec![(0, Row { a: 2, b: 0 }, 0), (1, Row { a: 1, b: 0 }, 0)],
        splits: vec![],
        keyless: true,
        ..new(name, &[], txns)
    };
    vec![
        Scenario {
            two_writes: true,
            ..new(
                "a chunk takes two target transactions",
                &[0, 1],
                vec![vec![del(0)], vec![thin(1, 0, 51)], vec![put(2, 52)]],
            )
        },
        Scenario {
            later_splits: Some(vec![1]),
            ..new(
                "a later run cuts otherwise",
                &[0, 1],
                vec![vec![whole(1, 1, 50)], vec![thin(0, 2, 51)], vec![del(1)]],
            )
        },
        Scenario {
            splits: vec![],
            split_at: Some(2),
            ..new(
                "a pending chunk is split",
                &[0],
                vec![
                    vec![put(2, 50)],
                    vec![thin(2, 1, 51)],
                    vec![whole(0, 2, 52)],
                ],
            )
        },
        Scenario {
            park: Some(0),
            ..new(
                "a key is parked",
                &[0, 1],
                vec![
                    vec![whole(0, 0, 50)],
                    vec![thin(0, 2, 51)],
                    vec![thin(1, 0, 52)],
                ],
            )
        },
        Scenario {
            park: Some(0),
            ..new(
                "a key is parked, then truncated",
                &[0, 1],
                vec![
                    vec![Change::Truncate],
                    vec![put(0, 51)],
                    vec![thin(0, 0, 52)],
                ],
            )
        },
        Scenario {
            refuse: Some(0),
            ..new(
                "a row is refused",
                &[0, 1],
                vec![
                    vec![whole(0, 0, 50), put(2, 53)],
                    vec![thin(0, 2, 51)],
                    vec![thin(1, 0, 52)],
                ],
            )
        },
        Scenario {
            refuse: Some(0),
            ..new(
                "a row is refused, then truncated",
                &[0, 1],
                vec![
                    vec![put(0, 51)],
                    vec![Change::Truncate],
                    vec![thin(1, 1, 52), put(0, 53)],
                ],
            )
        },
        in_parts("rows move between physical parts", moves()),
        Scenario {
            rewrite: true,
            ..in_parts("a table in parts is rewritten", moves())
        },
        in_parts(
            "rows go while parts are loaded",
            vec![
                vec![del(0)],
                vec![put_in(0, 51, 1)],
                vec![thin_in(1, 1, 52, 0)],
            ],
        ),
        in_parts(
            "keys change while parts are loaded",
            vec![
                vec![thin_in(1, 2, 50, 0)],
                vec![put_in(1, 51, 1)],
                vec![thin_in(0, 0, 52, 1)],
            ],
        ),
        in_parts(
            "truncate while parts are loaded",
            vec![
                vec![thin_in(1, 2, 50, 1), Change::Truncate],
                vec![put_in(1, 51, 0)],
                vec![thin_in(1, 0, 52, 1)],
            ],
        ),
        keyless(
            "equal rows come and go",
            vec![
                vec![Change::Add(0)],
                vec![Change::Remove(1), Change::Add(0)],
                vec![Change::Remove(0)],
            ],
        ),
        keyless(
            "a keyless table is truncated",
            vec![
                vec![Change::Add(1)],
                vec![Change::Truncate, Change::Add(0)],
                vec![Change::Add(1)],
            ],
        ),
    ]
}
