//! What happens around a comparison: one small world for the checker each.

use crate::scenario::Scenario;
use crate::source::{Change, Img, Key, Row};
use crate::sweep;

/// One world. The table is followed from the beginning.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Rows and transactions.
    pub scenario: Scenario,
    /// Keys from here on are in a second range.
    pub split: Option<Key>,
    /// Touched keys that the book keeps of each range.
    pub bound: usize,
    /// Readings of ranges, and of touched keys by themselves.
    pub readings: u8,
    pub checks: u8,
    /// Somebody else writes this row of the target, once.
    pub stranger: Option<Key>,
    /// The images of this transaction are decoded wrongly.
    pub garbled: Option<u8>,
    /// Rows that may be repaired: the cap.
    pub repairs: u64,
    /// Times that an attempt, or the process, may fail.
    pub fails: u8,
    /// Comparisons may be given up.
    pub cancels: bool,
}

impl Setting {
    fn new(name: &'static str, keys: &[Key], txns: Vec<Vec<Change>>) -> Self {
        Self::of(Scenario::new(name, keys, txns))
    }

    fn of(scenario: Scenario) -> Self {
        Setting {
            scenario,
            split: None,
            bound: 3,
            readings: 1,
            checks: 1,
            stranger: None,
            garbled: None,
            repairs: 0,
            fails: 0,
            cancels: false,
        }
    }

    /// The same with only the first `count` transactions.
    pub fn take(mut self, count: usize) -> Self {
        self.scenario = self.scenario.take(count);
        self
    }

    /// The same with one more reading of each kind.
    pub fn longer(mut self) -> Self {
        self.readings += 1;
        self.checks += 1;
        self
    }
}

fn put(key: Key, value: u8) -> Change {
    Change::Put(key, Row { a: value, b: value }, 0)
}

fn thin(key: Key, value: u8) -> Change {
    Change::Update {
        old: key,
        new: key,
        img: Img { a: value, b: None },
        part: 0,
    }
}

fn moved(old: Key, new: Key, value: u8) -> Change {
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

fn plain(name: &'static str) -> Setting {
    Setting::new(
        name,
        &[0, 2],
        vec![vec![put(0, 50)], vec![thin(2, 51)], vec![put(0, 52)]],
    )
}

fn one_row(name: &'static str) -> Setting {
    Setting::new(
        name,
        &[0],
        vec![vec![thin(0, 50)], vec![put(0, 51)], vec![thin(0, 52)]],
    )
}

/// A setting by its name.
pub fn named(name: &str) -> Setting {
    all()
        .into_iter()
        .find(|setting| setting.scenario.name == name)
        .unwrap()
}

/// All settings, three transactions each.
pub fn all() -> Vec<Setting> {
    vec![
        Setting {
            cancels: true,
            ..plain("rows change")
        },
        Setting {
            readings: 2,
            ..one_row("a row changes again and again")
        },
        Setting {
            split: Some(2),
            readings: 2,
            ..Setting::new(
                "keys change between two ranges",
                &[0],
                vec![
                    vec![moved(0, 2, 50)],
                    vec![moved(2, 0, 51)],
                    vec![Change::Delete(0), put(1, 52)],
                ],
            )
        },
        Setting {
            readings: 2,
            ..Setting::new(
                "rows go and the table is emptied",
                &[0, 1, 2],
                vec![
                    vec![Change::Delete(0)],
                    vec![Change::Truncate, put(1, 51)],
                    vec![put(0, 52)],
                ],
            )
        },
        Setting {
            bound: 1,
            readings: 2,
            ..Setting::new(
                "more changes than the book keeps",
                &[0, 1],
                vec![
                    vec![put(0, 50)],
                    vec![thin(1, 51), put(0, 52)],
                    vec![put(2, 53)],
                ],
            )
        },
        Setting {
            stranger: Some(0),
            readings: 2,
            ..plain("somebody else writes the target")
        },
        Setting {
            stranger: Some(0),
            repairs: 1,
            readings: 2,
            ..one_row("a row is repaired")
        },
        Setting {
            garbled: Some(0),
            readings: 2,
            cancels: true,
            ..plain("a transaction is decoded wrongly")
        },
        Setting {
            garbled: Some(1),
            ..one_row("a row is decoded wrongly after it was decoded well")
        },
        Setting {
            garbled: Some(1),
            bound: 1,
            readings: 2,
            ..plain("a transaction is decoded wrongly that the book has no room for")
        },
        Setting {
            garbled: Some(0),
            stranger: Some(0),
            readings: 2,
            checks: 0,
            repairs: 1,
            ..Setting::new(
                "a row decoded wrongly is repaired",
                &[0],
                vec![vec![put(0, 50)], vec![thin(0, 51)], vec![put(0, 52)]],
            )
        },
        Setting {
            fails: 1,
            readings: 2,
            ..one_row("attempts fail")
        },
        Setting {
            garbled: Some(0),
            fails: 1,
            ..plain("an attempt fails after a transaction was decoded wrongly")
        },
    ]
}

/// Every two changes, in two ranges, decoded wrongly, and with a row that somebody else writes. A change of key without
/// its whole image is left out: which row its columns come from is decided by those who collect images.
pub fn all_pairs() -> Vec<Setting> {
    let thin = |change: &Change| matches!(change, Change::Update { old, new, img, .. } if old != new && img.b.is_none());
    let whole = |scenario: &Scenario| !scenario.txns.iter().flatten().any(thin);
    let around = |scenario: Scenario| {
        let plain = Setting::of(scenario);
        [
            Setting {
                split: Some(1),
                readings: 2,
                checks: 0,
                ..plain.clone()
            },
            Setting {
                garbled: Some(1),
                bound: 1,
                ..plain.clone()
            },
            Setting {
                stranger: Some(1),
                checks: 0,
                ..plain
            },
        ]
    };
    let pairs = sweep::pairs().into_iter().filter(whole);
    pairs.flat_map(around).collect()
}
