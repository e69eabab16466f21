//! Marks of strangers: triggers that note every write on a followed table that is not the migration's.
//!
//! They fire whatever `session_replication_role` is. Their condition lets our own sessions pass, which name the migration in the
//! setting [`crate::names::APPLY_SETTING`]; the function runs as the role that made it, so that a stranger needs no privilege. What is
//! noted is written in the stranger's own transaction: it is there exactly if his rows are.

mod read;
mod sql;
mod watch;

use crossfade_model::TableName;
use crossfade_store::Result;

use crate::connect::Client;

pub use read::{strangers, told};
pub(crate) use sql::drop as drop_statement;
pub use watch::watch;

/// The trigger on rows. On the root of a partitioned table: the server clones it to the partitions.
pub const ROW_TRIGGER: &str = "crossfade_stranger";

/// The trigger on TRUNCATE, which is not cloned.
pub const TRUNCATE_TRIGGER: &str = "crossfade_stranger_truncate";

/// Entries that are kept of one migration, about: transactions at once may each use what is left. What comes later only says
/// that there is more.
const MOST_KEPT: i32 = 10_000;

/// The tables.
pub(crate) const TABLES: [&str; 3] = ["stranger", "stranger_more", "stranger_watch"];

/// A table with marks of this migration, and their triggers' names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// The table, or a partition.
    pub table: TableName,
    /// The trigger.
    pub trigger: String,
}

/// The triggers of a migration, without the server's clones.
///
/// # Errors
/// The server's.
pub async fn marked(client: &Client, migration: &str) -> Result<Vec<Marked>> {
    let triggers = [ROW_TRIGGER, TRUNCATE_TRIGGER].as_slice();
    let rows = client
        .query(
            "looking for marks of strangers",
            &sql::marked(),
            &[&triggers, &migration],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| Marked {
            table: TableName {
                schema: Some(row.get(0)),
                name: row.get(1),
            },
            trigger: row.get(2),
        })
        .collect())
}

/// Makes the function anew where it is there and knows no gate.
///
/// # Errors
/// The server's.
pub async fn renew_function(client: &Client) -> Result<()> {
    crate::guard::renew(client, "stranger", &sql::function()).await
}

/// True where the tables that strangers' writes are noted in are there and this role may use them.
///
/// # Errors
/// The server's.
pub async fn has_tables(client: &Client) -> Result<bool> {
    let row = client
        .query_one(
            "looking for noted strangers",
            "SELECT bool_and(coalesce(has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'DELETE'), false))
             FROM unnest($2::text[]) AS t (name) CROSS JOIN to_regclass($1 || '.' || t.name) AS c (oid)",
            &[&crate::names::OWN_SCHEMA, &TABLES.as_slice()],
        )
        .await?;
    Ok(row.get(0))
}
