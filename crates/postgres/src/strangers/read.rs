//! Reading what was noted.

use crossfade_model::{Cell, TableName};
use crossfade_store::{ErrorKind, Result, StoreError, Stranger, Strangers, Written};
use tokio_postgres::Row;

use super::{ROW_TRIGGER, TRUNCATE_TRIGGER, has_tables};
use crate::connect::Client;
use crate::names::OWN_SCHEMA;
use crate::session::Purpose;
use crate::store::PostgresStore;

/// What is noted of a migration; see [`crossfade_store::Target::strangers`].
///
/// # Errors
/// The connection's.
pub async fn strangers(
    store: &PostgresStore,
    migration: &str,
    seen: Option<&str>,
) -> Result<Strangers> {
    let client = store.connect(Purpose::Check).await?;
    let mut out = Strangers::default();
    if has_tables(&client).await? {
        // transactions commit in another order than they number their entries in: only their snapshots tell what was seen
        let new = "s.seen IS NULL OR NOT pg_visible_in_snapshot(e.xid, s.seen)";
        let sql = format!(
            "WITH s AS MATERIALIZED (SELECT pg_current_snapshot()::text AS now, $2::text::pg_snapshot AS seen)
             SELECT s.now, e.* FROM s LEFT JOIN LATERAL (
                 SELECT e.id, e.table_schema, e.table_name, e.operation, e.key,
                        (extract(epoch FROM e.at) * 1000)::bigint AS at,
                        format('%s from %s, %s, server process %s', e.session_user_name,
                               coalesce(e.client_address, 'a local socket'),
                               coalesce(nullif(e.application_name, ''), 'unnamed program'), e.backend) AS who, e.told
                 FROM {OWN_SCHEMA}.stranger e WHERE e.migration = $1 AND ({new})
                 UNION ALL
                 SELECT NULL, e.table_schema, e.table_name, 'MORE', NULL, (extract(epoch FROM e.at) * 1000)::bigint, '', false
                 FROM {OWN_SCHEMA}.stranger_more e WHERE e.migration = $1 AND ({new})) e ON true
             ORDER BY e.at, e.id"
        );
        let doing = "looking for strangers";
        for row in client.query(doing, &sql, &[&migration, &seen]).await? {
            out.seen = Some(row.get(0));
            if let Some(operation) = row.get::<_, Option<&str>>(4) {
                let operation = written(store.label(), operation)?;
                out.entries.push(entry(&row, operation));
            }
        }
        out.unseen = unseen(&client, migration).await?;
    }
    store.keep(client);
    Ok(out)
}

fn entry(row: &Row, operation: Written) -> Stranger {
    Stranger {
        id: row.get(1),
        table: TableName {
            schema: Some(row.get(2)),
            name: row.get(3),
        },
        operation,
        key: row.get::<_, Option<Vec<String>>>(5).map(|texts| {
            let cells = texts.into_iter();
            cells.map(|text| Cell::TextForm(text.into())).collect()
        }),
        at: row.get(6),
        who: row.get(7),
        told: row.get(8),
    }
}

fn written(label: &str, word: &str) -> Result<Written> {
    Ok(match word {
        "INSERT" => Written::Insert,
        "UPDATE" => Written::Update,
        "DELETE" => Written::Delete,
        "TRUNCATE" => Written::Truncate,
        "MORE" => Written::More,
        _ => {
            let what = format!("table {OWN_SCHEMA}.stranger holds an operation that there is not");
            return Err(StoreError::new(
                ErrorKind::Corrupt,
                "postgres.stranger",
                label,
                what,
            ));
        }
    })
}

/// Tables that were marked, of which a trigger is gone or does not fire always, be it on one partition.
async fn unseen(client: &Client, migration: &str) -> Result<Vec<TableName>> {
    let sql = format!(
        "SELECT w.table_schema, w.table_name FROM {OWN_SCHEMA}.stranger_watch w
         WHERE w.migration = $1 AND EXISTS (
             SELECT FROM (SELECT to_regclass(format('%I.%I', w.table_schema, w.table_name))) AS c (oid)
             CROSS JOIN LATERAL (SELECT c.oid UNION SELECT p.relid FROM pg_partition_tree(c.oid) p) AS p (oid)
             CROSS JOIN unnest($2::text[]) AS k (name)
             WHERE NOT EXISTS (
                 SELECT FROM pg_trigger t WHERE t.tgrelid = p.oid AND t.tgname = k.name AND t.tgenabled = 'A'))
         ORDER BY 1, 2"
    );
    let triggers = [ROW_TRIGGER, TRUNCATE_TRIGGER].as_slice();
    let rows = client
        .query(
            "looking for marks of strangers",
            &sql,
            &[&migration, &triggers],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| TableName {
            schema: Some(row.get(0)),
            name: row.get(1),
        })
        .collect())
}

/// Remembers that these entries were told.
///
/// # Errors
/// The connection's.
pub async fn told(store: &PostgresStore, migration: &str, entries: &[i64]) -> Result<()> {
    let client = store.connect(Purpose::Check).await?;
    let sql = format!(
        "UPDATE {OWN_SCHEMA}.stranger SET told = true WHERE migration = $1 AND id = ANY ($2) AND NOT told"
    );
    client
        .execute("remembering what was told", &sql, &[&migration, &entries])
        .await?;
    store.keep(client);
    Ok(())
}
