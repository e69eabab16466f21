//! A sequence of the target that stands behind the source's.

use super::{Sql, each};

/// What kind of corruption it is.
pub const KIND: &str = "sequence behind";

/// Sets the target's sequence back, where the target has one.
pub const BACK: Sql = each(
    "SELECT setval(pg_get_serial_sequence('rich', 'id'), 1)",
    "UPDATE sqlite_sequence SET seq = 1 WHERE name = 'rich'",
);

/// Puts it where it was, or further.
pub const FORTH: Sql = each(
    "SELECT setval(pg_get_serial_sequence('rich', 'id'), 1000000)",
    "UPDATE sqlite_sequence SET seq = 1000000 WHERE name = 'rich'",
);
