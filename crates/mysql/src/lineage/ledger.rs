//! What is known of the transactions that the open stream has brought, so that each checkpoint can be told by their names.

use std::collections::{BTreeMap, VecDeque};

use crossfade_model::Position;
use crossfade_mysql_binlog::{Gtid, LogPosition};

use super::Mark;
use super::applied::Applied;

/// Transactions that may be read ahead of the checkpoint; the stream itself is bounded far below.
const MOST_LATER: usize = 1 << 20;

/// Transactions up to a position, and those behind it.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// All before the first of `later`; `None` where that is not known.
    applied: Option<Applied>,
    /// From this position on that is the whole truth.
    from: Position,
    /// Those that were brought since, by their ends.
    later: VecDeque<(Position, Gtid)>,
    /// When log files were begun, by their numbers.
    files: BTreeMap<u64, u32>,
}

impl Ledger {
    /// These are all up to a position.
    pub fn at(applied: Applied, at: Position) -> Ledger {
        Ledger {
            applied: Some(applied),
            from: at,
            ..Ledger::default()
        }
    }

    /// Begins to know: these, with those that a stream brings meanwhile, are all from this position on.
    pub fn know(&mut self, applied: Applied, from: Position) {
        self.applied = Some(applied);
        self.from = from;
        self.later.clear();
    }

    /// Whether everything up to a position, and nothing more, is known.
    pub fn knows(&self, at: Position) -> bool {
        self.applied.is_some() && self.from <= at && self.later.is_empty()
    }

    /// What was known is so no more: a transaction came that has no name.
    pub fn forget(&mut self) {
        self.applied = None;
        self.later.clear();
    }

    /// A transaction that ends there.
    pub fn note(&mut self, end: Position, gtid: Gtid) {
        if self.applied.is_none() {
            return;
        }
        if self.later.len() >= MOST_LATER {
            self.forget();
            return;
        }
        self.later.push_back((end, gtid));
    }

    /// When a file was begun.
    pub fn note_file(&mut self, file: u64, begun: u32) {
        self.files.insert(file, begun);
    }

    /// When a file was begun, where that is known.
    pub fn begun(&self, file: u64) -> Option<u32> {
        self.files.get(&file).copied()
    }

    /// What is to be kept with a checkpoint; never asked of an earlier one after.
    pub fn mark(&mut self, at: Position) -> Mark {
        let mut is_whole = true;
        while let Some((_, gtid)) = self.later.pop_front_if(|(end, _)| *end <= at) {
            is_whole &= self.applied.as_mut().is_some_and(|all| all.add(&gtid));
        }
        if !is_whole {
            self.forget();
        }
        let file = LogPosition::unpack(at).file;
        self.files.retain(|known, _| *known >= file);
        let known = self.applied.as_ref().filter(|_| self.from <= at);
        Mark {
            applied: known.map(Applied::text),
            begun: self.begun(file),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::server::Flavor;
    use crossfade_mysql_binlog::MariadbGtid;

    fn place(file: u64, offset: u64) -> Position {
        LogPosition { file, offset }.pack(0).unwrap()
    }

    fn gtid(sequence: u64) -> Gtid {
        Gtid::Mariadb(MariadbGtid {
            domain: 0,
            server: 1,
            sequence,
        })
    }

    fn known(text: &str) -> Applied {
        Applied::parse(Flavor::Mariadb, text).unwrap()
    }

    #[test]
    fn a_checkpoint_has_what_ends_at_or_before_it() {
        let mut ledger = Ledger::at(known("0-1-5"), place(1, 100));
        ledger.note_file(1, 7);
        ledger.note(place(1, 200), gtid(6));
        ledger.note(place(2, 50), gtid(7));
        let mark = |applied: &str, begun| Mark {
            applied: Some(applied.to_owned()),
            begun,
        };
        assert_eq!(ledger.mark(place(1, 199)), mark("0-1-5", Some(7)));
        assert_eq!(ledger.mark(place(1, 200)), mark("0-1-6", Some(7)));
        ledger.note_file(2, 9);
        assert_eq!(ledger.mark(place(2, 60)), mark("0-1-7", Some(9)));
        assert_eq!(ledger.begun(1), None);
    }

    #[test]
    fn what_is_known_later_is_not_told_earlier() {
        let mut ledger = Ledger::default();
        ledger.know(known("0-1-9"), place(1, 300));
        ledger.note(place(1, 200), gtid(8));
        ledger.note(place(1, 300), gtid(9));
        assert_eq!(ledger.mark(place(1, 200)).applied, None);
        let whole = ledger.mark(place(1, 300)).applied;
        assert_eq!(whole.as_deref(), Some("0-1-9"));
    }

    #[test]
    fn a_transaction_without_a_name_ends_the_knowledge() {
        let mut ledger = Ledger::at(known("0-1-5"), place(1, 100));
        ledger.forget();
        ledger.note(place(1, 200), gtid(6));
        assert_eq!(ledger.mark(place(1, 200)).applied, None);
    }
}
