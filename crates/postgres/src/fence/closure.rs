//! Everything through which rows of tables can be written: what hangs below them, and what they hang on.
//!
//! A statement fires the statement triggers of the table that it names and of no other: neither its partitions' nor its
//! children's (PostgreSQL documentation, "Overview of Trigger Behavior"). Views and functions write through tables.

use crossfade_model::TableName;
use crossfade_store::Result;

use super::names;
use crate::connect::Client;

/// A table of the closure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: TableName,
    pub(super) oid: u32,
    /// It stands above a table that was asked for, and is none itself.
    pub(super) above: bool,
    /// Its rows live on another server.
    pub(super) foreign: bool,
    /// Not in the log.
    pub(super) unlogged: bool,
    /// Its owner's.
    pub(super) owned: bool,
    /// A subscription writes into it or into what it hangs together with: no statement tells.
    pub(super) needs_rows: bool,
    /// What `pg_trigger.tgenabled` says of the statement trigger (`A`: always), where it is there and the fence's.
    pub(super) statement: Option<String>,
    /// The same of the row trigger.
    pub(super) row: Option<String>,
}

impl Member {
    /// True where every write takes the latch.
    pub(super) fn armed(&self) -> bool {
        let always = |state: &Option<String>| state.as_deref() == Some("A");
        always(&self.statement) && (!self.needs_rows || always(&self.row))
    }
}

/// The tables of these quoted names and everything that hangs together with them; what is not there is left out.
///
/// # Errors
/// The server's.
pub(super) async fn read(
    client: &Client,
    migration: &str,
    tables: &[String],
) -> Result<Vec<Member>> {
    // a trigger counts only if it calls the fence's function before all events (`tgtype` is a sum of bits: row 1, before 2, insert 4,
    // delete 8, update 16, truncate 32; PostgreSQL's `pg_trigger.h`), whatever columns are written
    let state =
        "(SELECT t.tgenabled::text FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal
        AND t.tgfoid = to_regprocedure($2)::oid AND t.tgattr = ''::int2vector AND t.tgname =";
    let sql = format!(
        "WITH RECURSIVE root AS (SELECT DISTINCT to_regclass(name)::oid AS oid FROM unnest($1::text[]) AS t (name)
             WHERE to_regclass(name) IS NOT NULL),
         down AS (SELECT oid FROM root UNION
             SELECT i.inhrelid FROM pg_inherits i JOIN down d ON i.inhparent = d.oid),
         up AS (SELECT oid FROM root UNION
             SELECT i.inhparent FROM pg_inherits i JOIN up u ON i.inhrelid = u.oid),
         every AS (SELECT oid FROM down UNION SELECT oid FROM up)
         SELECT n.nspname::text, c.relname::text, c.oid NOT IN (SELECT oid FROM down), c.relkind = 'f',
                c.relpersistence = 'u', pg_has_role(c.relowner, 'USAGE'),
                c.relkind = 'r' AND EXISTS (SELECT FROM pg_subscription_rel s JOIN every ON s.srrelid = every.oid),
                {state} $3 AND t.tgtype = 62), {state} $4 AND t.tgtype = 31), c.oid
         FROM every JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'f') ORDER BY 1, 2"
    );
    let rows = client
        .query(
            "looking at the fence's tables",
            &sql,
            &[
                &tables,
                &format!("{}()", names::function(migration)),
                &names::trigger(migration),
                &names::row_trigger(migration),
            ],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| Member {
            name: TableName {
                schema: Some(row.get(0)),
                name: row.get(1),
            },
            above: row.get(2),
            foreign: row.get(3),
            unlogged: row.get(4),
            owned: row.get(5),
            needs_rows: row.get(6),
            statement: row.get(7),
            row: row.get(8),
            oid: row.get(9),
        })
        .collect())
}
