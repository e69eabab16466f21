//! What the stream does not show by itself: a lost slot, a changed publication, partitions that came or went, definitions
//! that changed while nobody wrote.

use std::collections::{BTreeSet, HashMap};

use crossfade_model::Table;
use crossfade_store::{CaptureSpec, Result, WatchOutcome};

use super::publication;
use crate::connect::Client;
use crate::names::{capture_name, schema_of};
use crate::replication::slot;
use crate::session::Purpose;
use crate::store::PostgresStore;

/// Looks once; see [`crossfade_store::Source::watch`].
///
/// # Errors
/// The connection's.
pub async fn watch(store: &PostgresStore, spec: &CaptureSpec) -> Result<WatchOutcome> {
    let client = store.connect(Purpose::Check).await?;
    let name = capture_name(&spec.migration);
    let mut changed = Vec::new();
    match slot::read(&client, &name).await? {
        None => changed.push((format!("replication slot {name}"), "it is gone".to_owned())),
        Some(found) => {
            if let Some(why) = found.lost {
                changed.push((
                    format!("replication slot {name}"),
                    format!("the server invalidated it: {why}"),
                ));
            }
        }
    }
    if let Some(difference) = publication::difference(&client, &name, &spec.tables).await? {
        changed.push((format!("publication {name}"), difference));
    }
    let tables: Vec<&Table> = spec.tables.iter().map(|mapping| &mapping.source).collect();
    changed.extend(differences(&client, &tables).await?);
    store.keep(client);
    Ok(if changed.is_empty() {
        WatchOutcome::Same
    } else {
        WatchOutcome::Changed(changed)
    })
}

/// The tables whose definition in the catalog is not the planned one, each with what differs first.
///
/// # Errors
/// The connection's.
pub async fn differences(client: &Client, tables: &[&Table]) -> Result<Vec<(String, String)>> {
    let shapes = shapes(client, tables).await?;
    let mut changed = Vec::new();
    for table in tables {
        let what = match shapes.get(&(schema_of(&table.name), table.name.name.as_str())) {
            None => Some("it was dropped or renamed".to_owned()),
            Some(shape) => shape.difference(table),
        };
        changed.extend(what.map(|what| (table.name.to_string(), what)));
    }
    Ok(changed)
}

/// A table's definition in the catalog now, as far as captured changes depend on it.
struct Shape {
    logged: bool,
    replica_identity: i8,
    /// Names, types and whether generated, in order.
    columns: Vec<(String, String, bool)>,
    /// Schema and name of every partition at any depth.
    partitions: BTreeSet<(String, String)>,
}

impl Shape {
    fn difference(&self, table: &Table) -> Option<String> {
        if !self.logged {
            return Some("it is UNLOGGED: its changes are not in the log".into());
        }
        if table.full_before_images && self.replica_identity != b'f' as i8 {
            return Some("its REPLICA IDENTITY is no longer FULL".into());
        }
        if self.replica_identity == b'n' as i8 {
            return Some("its REPLICA IDENTITY is NOTHING".into());
        }
        self.column_difference(table)
            .or_else(|| self.partition_difference(table))
    }

    fn column_difference(&self, table: &Table) -> Option<String> {
        for column in &table.columns {
            let Some((_, declared, generated)) = self
                .columns
                .iter()
                .find(|(name, _, _)| *name == column.name)
            else {
                return Some(format!("column {} was removed or renamed", column.name));
            };
            if *declared != column.declared {
                return Some(format!(
                    "column {} was {} and is {declared}",
                    column.name, column.declared
                ));
            }
            if *generated != column.generated.is_some() {
                return Some(format!(
                    "column {} became generated, or no longer is",
                    column.name
                ));
            }
        }
        self.columns
            .iter()
            .find(|(name, _, _)| !table.columns.iter().any(|c| c.name == *name))
            .map(|(name, _, _)| format!("column {name} was added or renamed"))
    }

    fn partition_difference(&self, table: &Table) -> Option<String> {
        let planned: BTreeSet<(String, String)> = table
            .partitions
            .iter()
            .map(|p| (schema_of(&p.name).to_owned(), p.name.name.clone()))
            .collect();
        if let Some((schema, name)) = self.partitions.difference(&planned).next() {
            return Some(format!("partition {schema}.{name} was added or attached"));
        }
        planned
            .difference(&self.partitions)
            .next()
            .map(|(schema, name)| format!("partition {schema}.{name} was detached or dropped"))
    }
}

async fn shapes<'a>(
    client: &Client,
    tables: &[&'a Table],
) -> Result<HashMap<(&'a str, &'a str), Shape>> {
    let names = tables.iter().map(|t| &t.name);
    let schemas: Vec<&str> = names.clone().map(schema_of).collect();
    let names: Vec<&str> = names.map(|n| n.name.as_str()).collect();
    let rows = client
        .query(
            "looking at the planned tables",
            "SELECT p.place, c.relpersistence = 'p', c.relreplident,
                    ARRAY(SELECT attname::text FROM pg_attribute a WHERE a.attrelid = c.oid
                          AND attnum > 0 AND NOT attisdropped ORDER BY attnum),
                    ARRAY(SELECT format_type(atttypid, atttypmod) FROM pg_attribute a WHERE a.attrelid = c.oid
                          AND attnum > 0 AND NOT attisdropped ORDER BY attnum),
                    ARRAY(SELECT attgenerated <> '' FROM pg_attribute a WHERE a.attrelid = c.oid
                          AND attnum > 0 AND NOT attisdropped ORDER BY attnum),
                    ARRAY(SELECT nspname::text FROM pg_partition_tree(c.oid) t
                          JOIN pg_class pc ON pc.oid = t.relid JOIN pg_namespace pn ON pn.oid = pc.relnamespace
                          WHERE t.relid <> c.oid ORDER BY pc.oid),
                    ARRAY(SELECT relname::text FROM pg_partition_tree(c.oid) t
                          JOIN pg_class pc ON pc.oid = t.relid WHERE t.relid <> c.oid ORDER BY pc.oid)
             FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS p (schema, name, place)
             JOIN pg_namespace n ON n.nspname = p.schema
             JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.name",
            &[&schemas, &names],
        )
        .await?;
    let mut shapes = HashMap::new();
    for row in rows {
        let place = usize::try_from(row.get::<_, i64>(0)).unwrap_or(0);
        let Some(table) = place.checked_sub(1).and_then(|at| tables.get(at)) else {
            continue;
        };
        let names: Vec<String> = row.get(3);
        let types: Vec<String> = row.get(4);
        let generated: Vec<bool> = row.get(5);
        let columns = names.into_iter().zip(types).zip(generated);
        let partition_schemas: Vec<String> = row.get(6);
        let partition_names: Vec<String> = row.get(7);
        let name = &table.name;
        shapes.insert(
            (schema_of(name), name.name.as_str()),
            Shape {
                logged: row.get(1),
                replica_identity: row.get(2),
                columns: columns.map(|((n, t), g)| (n, t, g)).collect(),
                partitions: partition_schemas.into_iter().zip(partition_names).collect(),
            },
        );
    }
    Ok(shapes)
}
