//! A writer's session on PostgreSQL.

use ::postgres::Client;

use super::threads::Writer;
use crate::postgres::{connect, describe};

impl Writer for Client {
    fn open(url: &str) -> Option<Self> {
        connect(url, None).ok()
    }

    fn run(&mut self, steps: &[String]) -> bool {
        let done = steps.iter().try_for_each(|step| self.batch_execute(step));
        if let Err(error) = &done {
            assert!(is_expected(error), "a writer: {}", describe(error));
        }
        done.is_ok()
    }

    fn roll_back(&mut self) -> bool {
        self.batch_execute("ROLLBACK").is_ok()
    }
}

/// Conflicts of two writers, and whatever a server says that is killed or restarted; never a mistake in the SQL.
fn is_expected(error: &postgres::Error) -> bool {
    match error.code() {
        None => true,
        // unique and foreign keys, deadlocks, shutdowns, disk full
        Some(code) => ["23505", "23503", "40", "57P", "53", "25P02", "08", "55P03"]
            .iter()
            .any(|known| code.code().starts_with(known)),
    }
}
