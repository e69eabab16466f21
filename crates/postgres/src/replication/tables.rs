//! What the tables of the log are to the plan.
//!
//! The log names tables and columns as they are at the change's own time. Each definition that it hands over is compared
//! with the planned one: only a table that is exactly as planned lets its changes through.

use std::collections::{BTreeSet, HashMap};

use crossfade_model::{Cell, Row, TableId, TableMapping};

use super::pgoutput::Relation;
use crate::names::schema_of;

/// Formatted type names, by type OID and modifier, as `format_type` writes them.
pub type TypeNames = HashMap<(u32, i32), String>;

/// How a table of the log is carried.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// A planned table, or a planned partition of one.
    Planned(Carried),
    /// Not planned: nothing of it is carried.
    Ignored,
}

/// A planned table in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Carried {
    /// Place in [`Tables`].
    pub index: usize,
    /// It is this partition of the planned table (place in the planned list).
    pub partition: Option<usize>,
    /// Columns that the log brings.
    width: usize,
    /// For each of them the captured column; `None` where both orders are the same.
    order: Option<Vec<usize>>,
}

impl Carried {
    /// The cells of the log in the order of the captured columns; `None` where their number is not the definition's.
    pub fn arrange(&self, cells: Vec<Cell>) -> Option<Row> {
        if cells.len() != self.width {
            return None;
        }
        let Some(order) = &self.order else {
            return Some(Row(cells));
        };
        let mut row = vec![Cell::Null; cells.len()];
        for (cell, &to) in cells.into_iter().zip(order) {
            *row.get_mut(to)? = cell;
        }
        Some(Row(row))
    }
}

/// A definition that is not the planned one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differs {
    /// The planned table.
    pub table: TableId,
    /// What differs.
    pub what: String,
}

/// What a definition in the log turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolved {
    /// A table to carry or to ignore.
    Known(Known),
    /// A planned table in another shape.
    Differs(Differs),
    /// No planned table has this name: ask the catalog whether it is a partition or a renamed table.
    Unnamed,
}

/// The planned tables.
#[derive(Debug)]
pub struct Tables {
    mappings: Vec<TableMapping>,
    by_name: HashMap<(String, String), (usize, Option<usize>)>,
    /// OIDs that the planned names had when the stream opened.
    oids: HashMap<u32, (usize, Option<usize>)>,
}

impl Tables {
    /// The planned tables, by name and with the OIDs that these names have in the catalog now.
    pub fn new(mappings: Vec<TableMapping>, oids: &HashMap<(String, String), u32>) -> Tables {
        let mut by_name = HashMap::new();
        for (index, mapping) in mappings.iter().enumerate() {
            let name = &mapping.source.name;
            by_name.insert(
                (schema_of(name).to_owned(), name.name.clone()),
                (index, None),
            );
            for (at, partition) in mapping.source.partitions.iter().enumerate() {
                let name = &partition.name;
                let key = (schema_of(name).to_owned(), name.name.clone());
                by_name.insert(key, (index, Some(at)));
            }
        }
        let oids = by_name
            .iter()
            .filter_map(|(name, place)| oids.get(name).map(|oid| (*oid, *place)))
            .collect();
        Tables {
            mappings,
            by_name,
            oids,
        }
    }

    /// The mapping at a place.
    pub fn mapping(&self, index: usize) -> &TableMapping {
        &self.mappings[index]
    }

    /// Whether the table at `index` has a planned leaf partition that is not among `emptied`.
    pub fn has_leaf_besides(&self, index: usize, emptied: &BTreeSet<usize>) -> bool {
        let partitions = self.mappings[index].source.partitions.iter().enumerate();
        partitions
            .filter(|(_, partition)| partition.partition_by.is_none())
            .any(|(at, _)| !emptied.contains(&at))
    }

    /// The planned table of this name, partitions not counted.
    pub fn by_name(&self, schema: &str, name: &str) -> Option<&TableMapping> {
        let (index, _) = self.by_name.get(&(schema.to_owned(), name.to_owned()))?;
        self.mappings.get(*index)
    }

    /// Compares a definition in the log with the plan. `types` holds the names of all its types.
    pub fn resolve(&self, relation: &Relation, types: &TypeNames) -> Resolved {
        let name = (relation.schema.clone(), relation.name.clone());
        let known = self.oids.get(&relation.oid);
        let Some(&(index, partition)) = self.by_name.get(&name) else {
            return match known {
                Some((index, _)) => Resolved::Differs(Differs {
                    table: self.mappings[*index].id,
                    what: format!("it was renamed to {}.{}", relation.schema, relation.name),
                }),
                None => Resolved::Unnamed,
            };
        };
        let mapping = &self.mappings[index];
        let what = if known.is_some_and(|place| *place != (index, partition))
            || (known.is_none() && self.oids.values().any(|p| *p == (index, partition)))
        {
            Some("another table has taken its name".to_owned())
        } else {
            column_difference(mapping, relation, types)
                .or_else(|| identity_difference(mapping, relation))
        };
        if let Some(what) = what {
            let what = match partition {
                Some(_) => format!("partition {}.{}: {what}", relation.schema, relation.name),
                None => what,
            };
            let table = mapping.id;
            return Resolved::Differs(Differs { table, what });
        }
        let order = column_order(mapping, relation);
        let straight = order.iter().enumerate().all(|(at, to)| at == *to);
        Resolved::Known(Known::Planned(Carried {
            index,
            partition,
            width: relation.columns.len(),
            order: (!straight).then_some(order),
        }))
    }
}

fn column_order(mapping: &TableMapping, relation: &Relation) -> Vec<usize> {
    let captured: HashMap<&str, usize> = mapping
        .source
        .captured()
        .enumerate()
        .map(|(at, column)| (column.name.as_str(), at))
        .collect();
    relation
        .columns
        .iter()
        .filter_map(|column| captured.get(column.name.as_str()).copied())
        .collect()
}

fn column_difference(
    mapping: &TableMapping,
    relation: &Relation,
    types: &TypeNames,
) -> Option<String> {
    let mut logged: HashMap<&str, (u32, i32)> = relation
        .columns
        .iter()
        .map(|c| (c.name.as_str(), (c.type_oid, c.type_modifier)))
        .collect();
    if logged.len() != relation.columns.len() {
        return Some("its log names a column twice".to_owned());
    }
    for column in mapping.source.captured() {
        let Some(found) = logged.remove(column.name.as_str()) else {
            return Some(format!(
                "column {} was removed, renamed or is no longer published",
                column.name
            ));
        };
        let found = types.get(&found).map_or("unknown", String::as_str);
        if found != column.declared {
            return Some(format!(
                "column {} was {} and is {found}",
                column.name, column.declared
            ));
        }
    }
    logged
        .keys()
        .min()
        .map(|name| format!("column {name} was added or renamed"))
}

/// The replica identity must cover the planned key, and be the whole row where the plan counts on whole old rows.
fn identity_difference(mapping: &TableMapping, relation: &Relation) -> Option<String> {
    if relation.replica_identity == b'f' {
        return None;
    }
    if mapping.source.full_before_images {
        return Some("its REPLICA IDENTITY is no longer FULL".to_owned());
    }
    let missing = mapping.source.key_columns().into_iter().find(|key| {
        !relation
            .columns
            .iter()
            .any(|c| c.identity && c.name == key.name)
    });
    match missing {
        Some(column) => Some(format!(
            "its REPLICA IDENTITY no longer has key column {}",
            column.name
        )),
        None if mapping.source.key.is_none() => {
            Some("it has no key and its REPLICA IDENTITY is not FULL".to_owned())
        }
        None => None,
    }
}
