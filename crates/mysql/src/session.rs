//! What a session of crossfade sets, so that text forms, waits and strictness are the same whatever the server's defaults say.

use crate::server::{Flavor, Server};

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Reading definitions, looking for findings.
    Check,
    /// Reading rows of the source.
    Snapshot,
    /// Writing changes.
    Apply,
    /// Writing chunks.
    Load,
    /// Holding the right to write.
    Tenure,
    /// Making tables, keys, indexes and constraints.
    Build,
    /// Reading rows of the target.
    Read,
    /// Who takes writes: register, fence, latch.
    Fence,
}

impl Purpose {
    /// The name that the server shows of the session (a connection attribute).
    pub fn name(self) -> &'static str {
        match self {
            Purpose::Check => "crossfade:check",
            Purpose::Snapshot => "crossfade:snapshot",
            Purpose::Apply => "crossfade:apply",
            Purpose::Load => "crossfade:load",
            Purpose::Tenure => "crossfade:tenure",
            Purpose::Build => "crossfade:build",
            Purpose::Read => "crossfade:read",
            Purpose::Fence => "crossfade:fence",
        }
    }

    /// Seconds to wait for a table's lock. Short on the source: whoever waits for one makes all later users of the table wait.
    fn lock_wait(self) -> u32 {
        match self {
            Purpose::Check | Purpose::Snapshot | Purpose::Fence => 5,
            Purpose::Apply | Purpose::Load | Purpose::Tenure | Purpose::Read => 30,
            Purpose::Build => 900,
        }
    }

    fn writes(self) -> bool {
        matches!(self, Purpose::Apply | Purpose::Load)
    }
}

/// The SQL mode. Strict for all engines, so that nothing is cut or bent on the way in. Zero and impossible dates pass: another
/// store's values are checked before they are sent, and a MySQL source's are kept as they are. 0 stays 0 in an
/// AUTO_INCREMENT column. Backslashes in literals are plain characters.
pub(crate) const SQL_MODE: &str = "STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION,ALLOW_INVALID_DATES";

/// The mode in which the server's own statements are printed and run again: it escapes by backslashes what it prints, and some of it
/// (expressions of checks and defaults) whatever the mode says.
pub(crate) const PRINTED_MODE: &str =
    "STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION,ALLOW_INVALID_DATES";

/// Comes before the first question: the server's own limit may cut every answer short, also those of SHOW. (DEFAULT would be that limit.)
pub(crate) const UNLIMITED: &str = "SET SESSION sql_select_limit = 18446744073709551615";

/// The statements that set a session up, after [`UNLIMITED`].
///
/// Foreign keys are not looked at by sessions that write rows: what a cascade does on the source is in the source's changes
/// (or `plan` refuses the source), and doing it again here would take rows that the stream still speaks of. Without the
/// checks InnoDB does no cascade either (MySQL documentation, "FOREIGN KEY Constraints", `foreign_key_checks`). They are
/// validated when the keys are added, by a session that has the checks on.
pub(crate) fn settings(server: &Server, purpose: Purpose) -> Vec<String> {
    let isolation = if purpose.writes()
        || matches!(purpose, Purpose::Tenure | Purpose::Build | Purpose::Fence)
    {
        "READ COMMITTED"
    } else {
        "REPEATABLE READ"
    };
    let wait = purpose.lock_wait();
    let checks = if purpose.writes() { "OFF" } else { "ON" };
    let mut assignments = vec![
        "time_zone = '+00:00'".to_owned(),
        format!("sql_mode = '{SQL_MODE}'"),
        "autocommit = ON".to_owned(),
        format!("lock_wait_timeout = {wait}"),
        format!("innodb_lock_wait_timeout = {}", wait.min(30)),
        "wait_timeout = 21600".to_owned(),
        "net_read_timeout = 600".to_owned(),
        "net_write_timeout = 600".to_owned(),
        format!("foreign_key_checks = {checks}"),
        // off, it would let a unique index be wrong
        "unique_checks = ON".to_owned(),
        "sql_big_selects = ON".to_owned(),
        // a chained transaction would begin under whatever the last one had
        "completion_type = NO_CHAIN".to_owned(),
        // what a bulk load bent is told by its warnings and notes
        "sql_notes = ON".to_owned(),
        // a key has 3072 bytes at most; rows sorted by fewer would come in another order
        "max_sort_length = 4096".to_owned(),
        "sql_safe_updates = OFF".to_owned(),
        "sql_auto_is_null = OFF".to_owned(),
        "sql_quote_show_create = ON".to_owned(),
        "div_precision_increment = 4".to_owned(),
    ];
    match server.flavor {
        Flavor::Mysql => assignments.extend(
            [
                "max_execution_time = 0",
                // else AUTO_INCREMENT values may be a day old
                "information_schema_stats_expiry = 0",
                // else a list of keys that is too long is answered by reading the whole table
                "range_optimizer_max_mem_size = 0",
            ]
            .map(str::to_owned),
        ),
        Flavor::Mariadb => assignments.extend(
            [
                "max_statement_time = 0",
                "in_predicate_conversion_threshold = 0",
                "optimizer_max_sel_arg_weight = 0",
                "idle_transaction_timeout = 0",
                "check_constraint_checks = ON",
            ]
            .map(str::to_owned),
        ),
    }
    vec![
        "SET NAMES utf8mb4".to_owned(),
        format!("SET SESSION {}", assignments.join(", ")),
        format!("SET SESSION TRANSACTION ISOLATION LEVEL {isolation}, READ WRITE"),
    ]
}
