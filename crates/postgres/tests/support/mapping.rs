//! Mappings as a plan makes them.

#![allow(dead_code, clippy::unwrap_used)]

use crossfade_model::{ColumnMapping, Schema, Table, TableId, TableMapping, TableName};
use crossfade_postgres::design;

/// A mapping of a table to what it is designed to be.
pub fn designed(engine: &str, id: u32, source: &Table, schema: &Schema) -> TableMapping {
    let rename = |name: &TableName| schema.table(name).map(|t| design::default_name(&t.name));
    let name = design::default_name(&source.name);
    let (target, _) = design::design(engine, source, &name, &rename);
    let columns = source
        .captured()
        .map(|c| {
            let declared = design::declare(engine, source, c);
            ColumnMapping {
                source: c.name.clone(),
                target: declared.column.name,
                canonical: declared.canonical,
            }
        })
        .collect();
    TableMapping {
        id: TableId(id),
        source: source.clone(),
        target,
        columns,
        same_shape: engine == design::ENGINE,
        origin: None,
        back: None,
        slice: None,
        shares_source: false,
    }
}

/// Mappings of all tables of a PostgreSQL source.
pub fn all(schema: &Schema) -> Vec<TableMapping> {
    (0..)
        .zip(&schema.tables)
        .map(|(id, t)| designed(design::ENGINE, id, t, schema))
        .collect()
}
