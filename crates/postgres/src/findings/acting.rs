//! What runs by itself for rows that crossfade writes, although its sessions keep a server's triggers quiet.

use crossfade_model::{Finding, TableName};
use crossfade_store::Result;

use super::target::may_skip_triggers;
use super::{TARGET, shown};
use crate::names::{OWN_SCHEMA, qualified, quote_ident};
use crate::session::Purpose;
use crate::store::PostgresStore;

/// See [`crossfade_store::Target::acting`]: triggers and rules of these tables and of their partitions that fire in a session of this role's,
/// and, where it may not set `session_replication_role`, foreign keys of any table that change rows when rows of these change.
///
/// # Errors
/// The connection's.
pub async fn acting(store: &PostgresStore, tables: &[&TableName]) -> Result<Vec<Finding>> {
    let client = store.connect(Purpose::Check).await?;
    let names: Vec<String> = tables.iter().map(|name| qualified(name)).collect();
    // crossfade's own, by their functions, let the migration pass
    let sql = format!(
        "WITH RECURSIVE skips AS (SELECT {} AS may),
         mapped AS (SELECT t.at, to_regclass(t.name)::oid AS oid FROM unnest($1::text[]) WITH ORDINALITY AS t (name, at)
             WHERE to_regclass(t.name) IS NOT NULL
             UNION SELECT m.at, i.inhrelid FROM pg_inherits i JOIN mapped m ON i.inhparent = m.oid)
         SELECT m.at, 'trigger', t.tgname::text, n.nspname::text, c.relname::text
         FROM mapped m CROSS JOIN skips s JOIN pg_class c ON c.oid = m.oid JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_trigger t ON t.tgrelid = m.oid JOIN pg_proc p ON p.oid = t.tgfoid
         WHERE NOT t.tgisinternal AND p.pronamespace IS DISTINCT FROM to_regnamespace('{OWN_SCHEMA}')::oid
           AND (t.tgenabled IN ('A', 'R') AND s.may OR t.tgenabled IN ('A', 'O') AND NOT s.may)
         UNION ALL
         SELECT m.at, 'rule', r.rulename::text, n.nspname::text, c.relname::text
         FROM mapped m CROSS JOIN skips s JOIN pg_class c ON c.oid = m.oid JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_rewrite r ON r.ev_class = m.oid
         WHERE r.ev_type <> '1' AND (r.ev_enabled IN ('A', 'R') AND s.may OR r.ev_enabled IN ('A', 'O') AND NOT s.may)
         UNION ALL
         SELECT DISTINCT m.at, 'foreign key', k.conname::text, n.nspname::text, c.relname::text
         FROM mapped m CROSS JOIN skips s JOIN pg_constraint k ON k.confrelid = m.oid AND k.contype = 'f'
         JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE NOT s.may AND k.conparentid = 0 AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd'))
         ORDER BY 1, 2, 3, 4, 5",
        may_skip_triggers(&client)
    );
    let rows = client
        .query(
            "looking for what acts on rows by itself",
            &sql,
            &[&names.as_slice()],
        )
        .await?;
    let mut out = Vec::new();
    for row in &rows {
        let (at, kind, name): (i64, &str, &str) = (row.get(0), row.get(1), row.get(2));
        let on = TableName {
            schema: Some(row.get(3)),
            name: row.get(4),
        };
        let Some(table) = usize::try_from(at - 1).ok().and_then(|at| tables.get(at)) else {
            continue;
        };
        let (on, name) = (qualified(&on), quote_ident(name));
        let fix = match kind {
            "foreign key" => format!(
                "ALTER TABLE {on} DROP CONSTRAINT {name}; or let the role set session_replication_role, by which it acts on applications' rows only"
            ),
            "rule" => {
                format!("ALTER TABLE {on} DISABLE RULE {name}; until crossfade writes here no more")
            }
            _ => format!(
                "ALTER TABLE {on} ENABLE TRIGGER {name}; by which it fires for applications only, where the role may set session_replication_role; else DISABLE TRIGGER"
            ),
        };
        out.push(
            Finding::blocks(
                "postgres.trigger_in_the_way",
                TARGET,
                format!("{kind} {name} of {on} would run for the rows that crossfade writes"),
            )
            .table(shown(table))
            .fix(fix),
        );
    }
    store.keep(client);
    Ok(out)
}
