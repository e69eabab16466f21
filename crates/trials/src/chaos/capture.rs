//! What a migration makes on its source, found by asking the source.

use rand::Rng;
use rand::rngs::StdRng;

use crate::compare::quote;
use crate::database::{Database, Dialect};
use crate::patience::{LONG, wait_until};

const SLOTS: &str =
    "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()";

/// All that a migration can have left: slots, publications, triggers, tables and schemas of its own.
#[must_use]
pub fn left(source: &Database) -> Vec<String> {
    let queries: &[&str] = match source.dialect() {
        Dialect::Postgres => &[
            SLOTS,
            "SELECT pubname FROM pg_publication",
            "SELECT tgname FROM pg_trigger WHERE tgname LIKE '%crossfade%'",
            "SELECT relname FROM pg_class WHERE relname LIKE '%crossfade%'",
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE '%crossfade%'",
            "SELECT proname FROM pg_proc WHERE proname LIKE '%crossfade%'",
        ],
        // the server's own log is the capture
        Dialect::Mysql => &[
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME LIKE '%crossfade%'",
            "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() AND TRIGGER_NAME LIKE '%crossfade%'",
        ],
        Dialect::Sqlite => {
            &["SELECT type || ' ' || name FROM sqlite_master WHERE name LIKE '%crossfade%'"]
        }
    };
    queries
        .iter()
        .flat_map(|sql| source.rows(sql))
        .map(|mut row| row.swap_remove(0).unwrap_or_default())
        .collect()
}

/// Checks that nothing of a migration is left on its source.
///
/// # Panics
/// With what is left.
#[track_caller]
pub fn assert_gone(source: &Database) {
    let left = left(source);
    assert!(left.is_empty(), "left on the source: {left:?}");
}

/// Removes something without which changes are lost, and says what.
///
/// # Panics
/// When there is nothing to remove.
pub fn lose(source: &Database, random: &mut StdRng) -> String {
    match source.dialect() {
        Dialect::Postgres => {
            let slots = source.rows(SLOTS);
            let slot = slots[0][0].clone().expect("a name");
            // the server may not have noticed yet that its reader is dead
            wait_until("the slot is free", LONG, || {
                source
                    .try_run(&format!("SELECT pg_drop_replication_slot('{slot}')"))
                    .is_ok()
            });
            format!("slot {slot}")
        }
        Dialect::Mysql => {
            source.run("FLUSH BINARY LOGS");
            let logs = || {
                let logs = source.rows("SHOW BINARY LOGS");
                let names = logs.into_iter().map(|mut row| row.swap_remove(0));
                names.flatten().collect::<Vec<String>>()
            };
            let last = logs().pop().expect("a log has files");
            // the server may not have noticed yet that its reader is dead
            wait_until("the log is purged", LONG, || {
                source.run(&format!("PURGE BINARY LOGS TO '{last}'"));
                logs().first() == Some(&last)
            });
            format!("the log before {last}")
        }
        Dialect::Sqlite => {
            let triggers = source.rows(
                "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE '%crossfade%' ORDER BY name",
            );
            let trigger = &triggers[random.random_range(0..triggers.len())][0];
            let trigger = trigger.clone().expect("a name");
            source.run(&format!("DROP TRIGGER {}", quote(&trigger)));
            format!("trigger {trigger}")
        }
    }
}
