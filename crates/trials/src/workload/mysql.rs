//! A writer's session on MySQL and MariaDB.

use super::threads::Writer;
use crate::mysql::{Refusal, Session};

impl Writer for Session {
    fn open(url: &str) -> Option<Self> {
        Session::open(url).ok()
    }

    fn run(&mut self, steps: &[String]) -> bool {
        let done = steps.iter().try_for_each(|step| Session::run(self, step));
        if let Err(refusal) = &done {
            assert!(is_expected(refusal), "a writer: {refusal}");
        }
        done.is_ok()
    }

    fn roll_back(&mut self) -> bool {
        Session::run(self, "ROLLBACK").is_ok()
    }
}

/// Conflicts of two writers, and whatever a server says that is killed or restarted; never a mistake in the SQL.
fn is_expected(refusal: &Refusal) -> bool {
    // unique and foreign keys, deadlocks, waits for locks, a shutdown, no room, a server that reads only
    const KNOWN: [u16; 15] = [
        1062, 1451, 1452, 1761, 1557, 1213, 1205, 1053, 1021, 1114, 1290, 1836, 1927, 1317, 1020,
    ];
    refusal.code.is_none_or(|code| KNOWN.contains(&code))
}
