//! What a source's table is to be here: the server's own statement from the same engine, by its meaning from another. Pure.

mod default;
pub(crate) mod flavor;
mod statement;
mod types;

pub(crate) use statement::create_table;
pub(crate) use types::{compare, declare};

use std::collections::BTreeSet;

use crossfade_model::{Column, ForeignKey, Index, LogicalType, Omission, Table, TableName};
use crossfade_store::DeclaredColumn;
use crossfade_store::target::engine_of;

use crate::ENGINE;
use crate::describe::named;
use crate::describe::statement::{self as printed, What};
use crate::names::{cut, quote, quote_all, with_ending};

/// Characters of a long text's beginning that an index takes.
const PREFIX: u32 = 191;

/// The table of a source's name where the migration file does not say: `public.x` is `x`, `s.x` is `s_x`.
pub(crate) fn default_name(source: &TableName) -> TableName {
    match source.schema.as_deref() {
        None | Some("public") => named(&cut(&source.name)),
        Some(schema) => named(&cut(&format!("{schema}_{}", source.name))),
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

/// The name that a primary key always has (MySQL Reference Manual, CREATE TABLE).
const PRIMARY: &str = "PRIMARY";

fn omission(kind: &str, table: &Table, name: &str, why: impl Into<String>) -> Omission {
    Omission {
        kind: kind.to_owned(),
        name: format!("{}.{name}", table.name),
        why: why.into(),
    }
}

fn same_engine(
    table: &Table,
    name: &TableName,
    rename: &dyn Fn(&TableName) -> Option<TableName>,
) -> (Table, Vec<Omission>) {
    let mut out = table.clone();
    out.name = name.clone();
    let (foreign_keys, omissions) = foreign_keys(ENGINE, table, name, rename);
    out.foreign_keys = foreign_keys;
    let parsed = table.definition.as_deref().and_then(printed::parse);
    // a counter must lead an index from the beginning, also where that is no key
    let counter = table.columns.iter().find(|c| c.identity.is_some());
    let leads_key = table
        .key_columns()
        .first()
        .is_some_and(|c| counter.is_none_or(|counter| counter.name == c.name));
    let counting_index = counter.filter(|_| !leads_key).and_then(|counter| {
        table
            .indexes
            .iter()
            .find(|i| i.columns.first() == Some(&counter.name))
            .map(|i| i.name.clone())
    });
    let key_name = table.key.as_ref().map(|k| k.name.clone());
    out.definition = parsed.map(|parsed| {
        parsed.written(&name.name, |element| match element.what {
            What::Column | What::Check | What::Other => true,
            // one that is not the key is built behind the load, as other unique indexes are
            What::Primary => {
                table.indexes.iter().all(|i| !i.primary)
                    || counting_index.as_deref() == Some(PRIMARY)
            }
            What::Unique | What::Index => {
                Some(&element.name) == key_name.as_ref()
                    || Some(&element.name) == counting_index.as_ref()
            }
            What::ForeignKey => false,
        })
    });
    (out, omissions)
}

fn by_meaning(
    source_engine: &str,
    table: &Table,
    name: &TableName,
    rename: &dyn Fn(&TableName) -> Option<TableName>,
    declare: &dyn Fn(&Column) -> DeclaredColumn,
) -> (Table, Vec<Omission>) {
    let (foreign_keys, mut omissions) = foreign_keys(source_engine, table, name, rename);
    let mut columns = Vec::with_capacity(table.columns.len());
    for column in &table.columns {
        let declared = declare(column);
        omissions.extend(declared.omissions);
        if column.generated.is_none() {
            columns.push(declared.column);
        }
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
    let mut out = Table {
        name: name.clone(),
        columns,
        key: table.key.clone(),
        full_before_images: false,
        indexes: Vec::new(),
        foreign_keys,
        checks: Vec::new(),
        partition_by: None,
        partitions: Vec::new(),
        estimated_rows: 0,
        estimated_bytes: 0,
        definition: None,
    };
    for index in &table.indexes {
        match other_engine_index(index, &out) {
            Some(index) => out.indexes.push(index),
            None => omissions.push(omission(
                "index",
                table,
                &index.name,
                format!(
                    "it has a form that only {source_engine} knows; build its like on the target"
                ),
            )),
        }
    }
    if let Some(key) = &mut out.key {
        key.name = if key.primary {
            PRIMARY.to_owned()
        } else {
            cut(&key.name)
        };
    }
    (out, omissions)
}

/// An index that is not unique takes the beginning of texts that are too long to be whole in it.
fn other_engine_index(index: &Index, table: &Table) -> Option<Index> {
    if index.special || index.columns.is_empty() {
        return None;
    }
    let parts: Vec<String> = index
        .columns
        .iter()
        .map(|name| {
            let column = table.columns.iter().find(|c| c.name == cut(name))?;
            let long = matches!(column.declared.as_str(), "longtext" | "longblob")
                || (!index.unique
                    && column.logical == LogicalType::Text
                    && index.columns.len() > 3);
            Some(if long {
                format!("{}({PREFIX})", quote(&column.name))
            } else {
                quote(&column.name)
            })
        })
        .collect::<Option<_>>()?;
    let name = match index.primary {
        true => PRIMARY.to_owned(),
        false => cut(&index.name),
    };
    let list = parts.join(", ");
    Some(Index {
        definition: match (index.primary, index.unique) {
            (true, _) => format!("PRIMARY KEY ({list})"),
            (false, true) => format!("UNIQUE KEY {} ({list})", quote(&name)),
            (false, false) => format!("KEY {} ({list})", quote(&name)),
        },
        name,
        columns: index.columns.iter().map(|c| cut(c)).collect(),
        unique: index.unique,
        constraint: false,
        primary: index.primary,
        special: false,
        of_table: true,
    })
}

/// Actions that this server has; others are left out of the clause.
fn known_actions(actions: &str) -> String {
    let upper = actions.to_ascii_uppercase();
    let mut out = Vec::new();
    for event in ["ON DELETE ", "ON UPDATE "] {
        let Some(at) = upper.find(event) else {
            continue;
        };
        let rest = &upper[at + event.len()..];
        for action in ["CASCADE", "SET NULL", "RESTRICT", "NO ACTION"] {
            if rest.starts_with(action) {
                out.push(format!("{event}{action}"));
            }
        }
    }
    out.join(" ")
}

/// Foreign keys whose parents are moved too. A foreign key's name is its database's, not its table's.
fn foreign_keys(
    source_engine: &str,
    table: &Table,
    name: &TableName,
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
        let named_by_table = key
            .name
            .to_lowercase()
            .contains(&table.name.name.to_lowercase());
        let key_name = if source_engine == ENGINE || named_by_table {
            cut(&key.name)
        } else {
            with_ending(&name.name, &format!("_{}", cut(&key.name)))
        };
        let actions = known_actions(&key.actions);
        kept.push(ForeignKey {
            name: key_name,
            definition: format!(
                "FOREIGN KEY ({}) REFERENCES {} ({}) {actions}",
                quote_all(key.columns.iter().map(String::as_str)),
                quote(&parent.name),
                quote_all(key.parent_columns.iter().map(String::as_str)),
            )
            .trim_end()
            .to_owned(),
            actions,
            parent,
            ..key.clone()
        });
    }
    (kept, omissions)
}
