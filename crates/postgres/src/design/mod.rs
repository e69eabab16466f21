//! How a source's tables are kept here: verbatim from the same engine, by their meaning from another.

mod compare;
mod default;
mod foreign;

use std::collections::BTreeSet;

use crossfade_model::{Canonical, Column, Omission, Partition, Table, TableName};
use crossfade_store::DeclaredColumn;
use crossfade_store::target::engine_of;

use crate::describe::{retarget_foreign_key, retarget_index};
use crate::names::{cut_identifier, schema_of};

pub use compare::compare;

/// The engine's name.
pub const ENGINE: &str = "postgres";

/// An engine that keeps to declared types, lengths and precisions; in others any value may stand in any column.
fn binds(source_engine: &str) -> bool {
    source_engine == "mysql"
}

/// How a column of a source of `source_engine` is kept here.
pub fn declare(source_engine: &str, table: &Table, column: &Column) -> DeclaredColumn {
    if source_engine == ENGINE {
        DeclaredColumn {
            column: column.clone(),
            canonical: Canonical::Exact,
            lossy: None,
            refuses: None,
            omissions: Vec::new(),
        }
    } else {
        foreign::declare(source_engine, table, column)
    }
}

/// The name of a source's table here: its own; in schema `public` where the source has no schemas.
pub fn default_name(source: &TableName) -> TableName {
    TableName {
        schema: Some(schema_of(source).to_owned()),
        name: cut_identifier(&source.name).to_owned(),
    }
}

/// What a source's table is to be here, and what of it is not carried.
pub fn design(
    source_engine: &str,
    table: &Table,
    name: &TableName,
    rename: &dyn Fn(&TableName) -> Option<TableName>,
) -> (Table, Vec<Omission>) {
    if source_engine == ENGINE {
        verbatim(table, name, rename)
    } else {
        foreign::design(table, name, rename, &|column| {
            foreign::declare(source_engine, table, column)
        })
    }
}

/// As [`design`] for a table of which columns were renamed, left out or made.
pub fn design_mapped(
    source_engine: &str,
    table: &Table,
    made: &BTreeSet<String>,
    name: &TableName,
    rename: &dyn Fn(&TableName) -> Option<TableName>,
) -> (Table, Vec<Omission>) {
    let declare = |column: &Column| {
        let engine = engine_of(source_engine, made.contains(&column.name));
        declare(engine, table, column)
    };
    foreign::design(table, name, rename, &declare)
}

fn verbatim(
    table: &Table,
    name: &TableName,
    rename: &dyn Fn(&TableName) -> Option<TableName>,
) -> (Table, Vec<Omission>) {
    let mut designed = table.clone();
    let mut omissions = Vec::new();
    designed.name = name.clone();
    for index in &mut designed.indexes {
        if !index.constraint {
            index.definition = retarget_index(index.unique, &index.name, name, &index.definition);
        }
    }
    designed
        .foreign_keys
        .retain_mut(|key| match rename(&key.parent) {
            Some(parent) => {
                key.definition = retarget_foreign_key(&key.definition, &parent);
                key.parent = parent;
                true
            }
            None => {
                omissions.push(parent_not_moved(name, &key.name, &key.parent));
                false
            }
        });
    let moved = |n: &TableName| {
        if n == &table.name {
            name.clone()
        } else if n.schema == table.name.schema {
            // partitions beside their root stay beside it
            TableName {
                schema: name.schema.clone(),
                name: n.name.clone(),
            }
        } else {
            n.clone()
        }
    };
    designed.partitions = table
        .partitions
        .iter()
        .map(|p| Partition {
            name: moved(&p.name),
            parent: moved(&p.parent),
            ..p.clone()
        })
        .collect();
    designed.estimated_rows = 0;
    designed.estimated_bytes = 0;
    (designed, omissions)
}

fn parent_not_moved(table: &TableName, key: &str, parent: &TableName) -> Omission {
    Omission {
        kind: "foreign key".into(),
        name: format!("{table}: {key}"),
        why: format!("its parent {parent} is not moved"),
    }
}
