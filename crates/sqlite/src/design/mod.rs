//! What a source's table is to be in SQLite. Pure.

mod defaults;
mod statement;
mod types;

pub(crate) use statement::{create_index, create_table, key_index};
pub(crate) use types::{compare, declare};

use std::collections::BTreeSet;

use crossfade_model::{Column, ForeignKey, Index, Omission, Table, TableName};
use crossfade_store::DeclaredColumn;
use crossfade_store::target::engine_of;

use crate::ENGINE;
use crate::sql::create_table;
use crate::sql::names::{quote, quote_all};

/// The table of a source's name where the migration file does not say: `public.x` is `x`, `s.x` is `s_x`.
pub(crate) fn default_name(source: &TableName) -> TableName {
    TableName {
        schema: None,
        name: qualified(source, &source.name),
    }
}

/// A name within the schema of `table`, made unique in a store without schemas.
fn qualified(table: &TableName, name: &str) -> String {
    match table.schema.as_deref() {
        None | Some("public") => name.to_owned(),
        Some(schema) => format!("{schema}_{name}"),
    }
}

/// The table as it is to be, and what is not carried.
pub(crate) fn design(
    source_engine: &str,
    table: &Table,
    name: &TableName,
    rename: &dyn Fn(&TableName) -> Option<TableName>,
) -> (Table, Vec<Omission>) {
    if source_engine == ENGINE {
        same_engine(table, name, rename)
    } else {
        let declare = |column: &Column| declare(source_engine, table, column);
        by_meaning(source_engine, table, name, rename, &declare)
    }
}

/// As [`design`] for a table of which columns were renamed, left out or made.
pub(crate) fn design_mapped(
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
    by_meaning(source_engine, table, name, rename, &declare)
}

fn omission(kind: &str, table: &Table, name: &str, why: impl Into<String>) -> Omission {
    Omission {
        kind: kind.to_owned(),
        name: format!("{}.{name}", table.name),
        why: why.into(),
    }
}

/// The same statement under the new name, without its unique constraints: they are built as indexes after the load.
fn same_engine(
    table: &Table,
    name: &TableName,
    rename: &dyn Fn(&TableName) -> Option<TableName>,
) -> (Table, Vec<Omission>) {
    let mut out = table.clone();
    out.name = name.clone();
    let (foreign_keys, mut omissions) = foreign_keys(table, rename);
    out.foreign_keys = foreign_keys;
    out.indexes = table
        .indexes
        .iter()
        .map(|index| same_engine_index(index, name))
        .collect();
    let parsed = table.definition.as_deref().and_then(create_table::parse);
    if parsed
        .as_ref()
        .is_some_and(|p| p.unique_with_conflict_clause())
    {
        omissions.push(omission(
            "conflict clause",
            table,
            "UNIQUE … ON CONFLICT",
            "the constraint is built as a unique index, which has no conflict clause; name it in the statements (INSERT OR …)",
        ));
    }
    out.definition = Some(match parsed {
        Some(parsed) => parsed.rewritten(&name.name, &|parent| {
            let parent = TableName {
                schema: None,
                name: parent.to_owned(),
            };
            rename(&parent).map(|t| t.name)
        }),
        None => create_table(&out),
    });
    (out, omissions)
}

fn same_engine_index(index: &Index, table: &TableName) -> Index {
    let definition = match index.definition.strip_prefix("UNIQUE ") {
        Some(columns) if index.constraint => format!(
            "CREATE UNIQUE INDEX {} ON {} {columns}",
            quote(&index.name),
            quote(&table.name)
        ),
        _ => create_table::index_on(&index.definition, &table.name),
    };
    Index {
        constraint: false,
        definition,
        ..index.clone()
    }
}

fn by_meaning(
    source_engine: &str,
    table: &Table,
    name: &TableName,
    rename: &dyn Fn(&TableName) -> Option<TableName>,
    declare: &dyn Fn(&Column) -> DeclaredColumn,
) -> (Table, Vec<Omission>) {
    let (foreign_keys, mut omissions) = foreign_keys(table, rename);
    let mut columns = Vec::with_capacity(table.columns.len());
    for column in &table.columns {
        if column.generated.is_some() {
            omissions.push(omission(
                "generated column",
                table,
                &column.name,
                format!(
                    "its expression is {source_engine}'s; add it on the target before the switch"
                ),
            ));
            continue;
        }
        let declared = declare(column);
        omissions.extend(declared.omissions);
        columns.push(declared.column);
    }
    for check in &table.checks {
        omissions.push(omission(
            "check",
            table,
            &check.name,
            format!(
                "it is written in {source_engine}'s dialect; add it on the target if it is needed"
            ),
        ));
    }
    let mut indexes = Vec::new();
    for index in &table.indexes {
        if index.special || index.columns.is_empty() {
            omissions.push(omission(
                "index",
                table,
                &index.name,
                format!(
                    "it has a form that only {source_engine} knows; build its like on the target"
                ),
            ));
            continue;
        }
        let generated = |name: &String| {
            let mut of = table.columns.iter().filter(|c| c.name == *name);
            of.any(|c| c.generated.is_some())
        };
        if index.columns.iter().any(generated) {
            omissions.push(omission(
                "index",
                table,
                &index.name,
                "it is over a generated column, which is not carried; add both on the target",
            ));
            continue;
        }
        if index.primary {
            omissions.push(omission(
                "primary key",
                table,
                &index.name,
                "SQLite gives none to a table that is there: a unique index over NOT NULL columns stands for it, and no column is numbered \
                 by the store",
            ));
        }
        indexes.push(other_engine_index(index, table, name));
    }
    let mut out = Table {
        name: name.clone(),
        columns,
        key: table.key.clone(),
        full_before_images: false,
        indexes,
        foreign_keys,
        checks: Vec::new(),
        partition_by: None,
        partitions: Vec::new(),
        estimated_rows: table.estimated_rows,
        estimated_bytes: table.estimated_bytes,
        definition: None,
    };
    if let Some(key) = &mut out.key
        && !key.primary
    {
        key.name = qualified(&table.name, &key.name);
    }
    out.definition = Some(create_table(&out));
    (out, omissions)
}

fn other_engine_index(index: &Index, table: &Table, name: &TableName) -> Index {
    let index_name = qualified(&table.name, &index.wide_name(&name.name));
    Index {
        definition: create_index(&index_name, name, index.unique, &index.columns),
        name: index_name,
        constraint: false,
        primary: false,
        of_table: false,
        ..index.clone()
    }
}

/// Foreign keys whose parents are moved too.
fn foreign_keys(
    table: &Table,
    rename: &dyn Fn(&TableName) -> Option<TableName>,
) -> (Vec<ForeignKey>, Vec<Omission>) {
    let mut kept = Vec::new();
    let mut omissions = Vec::new();
    for key in &table.foreign_keys {
        let Some(parent) = rename(&key.parent) else {
            omissions.push(omission(
                "foreign key",
                table,
                &key.name,
                format!("its parent {} is not moved", key.parent),
            ));
            continue;
        };
        kept.push(ForeignKey {
            definition: format!(
                "FOREIGN KEY ({}) REFERENCES {} ({}) {}",
                quote_all(key.columns.iter().map(String::as_str)),
                quote(&parent.name),
                quote_all(key.parent_columns.iter().map(String::as_str)),
                key.actions
            )
            .trim_end()
            .to_owned(),
            parent,
            ..key.clone()
        });
    }
    (kept, omissions)
}
