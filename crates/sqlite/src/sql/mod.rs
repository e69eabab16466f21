//! SQL text as SQLite keeps it in `sqlite_master`: tokens, and what a CREATE TABLE statement says beyond the pragmas.

pub(crate) mod create_table;
pub(crate) mod names;
pub(crate) mod tokens;
