//! From the catalog to the portable description of tables.

use crossfade_model::{Check, Column, ForeignKey, Generated, Identity, Index, LogicalType, Table};

use super::catalog::{Catalog, ColumnFacts, IndexFacts, Relation};
use super::definition::{foreign_key_actions, index_statement, index_tail, unique_parts};
use super::key::{identify, names};
use super::partitions::partitions;
use crate::types::logical_type;

/// All tables that are no partitions and no extension's.
pub fn tables(catalog: &Catalog) -> Vec<Table> {
    catalog
        .relations
        .iter()
        .filter(|r| matches!(r.kind, 'r' | 'p') && !r.is_partition && !r.of_extension)
        .map(|r| table(catalog, r))
        .collect()
}

fn table(catalog: &Catalog, relation: &Relation) -> Table {
    let identified = identify(catalog, relation);
    let (rows, bytes) = size(catalog, relation);
    let constraints = catalog.constraints_of(relation.oid);
    Table {
        name: relation.name.clone(),
        columns: catalog
            .columns_of(relation.oid)
            .iter()
            .map(column)
            .collect(),
        key: identified.key,
        full_before_images: identified.full,
        indexes: catalog
            .indexes_of(relation.oid)
            .iter()
            .filter(|i| Some(i.oid) != identified.index && i.valid)
            .map(|i| index(catalog, relation, i))
            .collect(),
        foreign_keys: constraints
            .iter()
            .filter(|c| c.kind == 'f' && !c.inherited)
            .filter_map(|c| {
                Some(ForeignKey {
                    name: c.name.clone(),
                    columns: c.columns.clone(),
                    parent: c.parent.clone()?,
                    parent_columns: c.parent_columns.clone(),
                    actions: foreign_key_actions(&c.definition),
                    definition: c.definition.clone(),
                })
            })
            .collect(),
        checks: constraints
            .iter()
            .filter(|c| c.kind == 'c')
            .map(|c| Check {
                name: c.name.clone(),
                definition: c.definition.clone(),
            })
            .collect(),
        partition_by: relation
            .partition_key
            .as_ref()
            .map(|key| format!("PARTITION BY {key}")),
        partitions: partitions(catalog, relation),
        definition: None,
        estimated_rows: rows,
        estimated_bytes: bytes,
    }
}

/// The portable description of a column.
fn column(facts: &ColumnFacts) -> Column {
    let is_generated = facts.generated != ' ';
    Column {
        name: facts.name.clone(),
        logical: if facts.base_is_system && facts.base_kind == 'b' {
            logical_type(&facts.base_type)
        } else {
            LogicalType::Other
        },
        declared: facts.declared.clone(),
        nullable: !facts.not_null,
        default: facts.expression.clone().filter(|_| !is_generated),
        generated: facts
            .expression
            .clone()
            .filter(|_| is_generated)
            .map(|expression| Generated {
                expression,
                stored: facts.generated == 's',
            }),
        identity: (facts.identity != ' ').then_some(Identity {
            always: facts.identity == 'a',
        }),
        collation: facts.collation.clone(),
    }
}

fn index(catalog: &Catalog, relation: &Relation, facts: &IndexFacts) -> Index {
    let plain = facts.method == "btree"
        && !facts.partial
        && !facts.expressions
        && !facts.special_columns
        && !facts.includes
        && !facts.nulls_not_distinct;
    let columns = if facts.expressions {
        Vec::new()
    } else {
        names(catalog, relation, facts)
            .into_iter()
            .map(str::to_owned)
            .collect()
    };
    match &facts.constraint {
        Some((name, _, definition)) => Index {
            name: name.clone(),
            columns,
            unique: true,
            constraint: true,
            primary: facts.primary,
            special: !plain || unique_parts(definition).is_none_or(|p| !p.deferral.is_empty()),
            of_table: false,
            definition: definition.clone(),
        },
        None => Index {
            name: facts.name.clone(),
            columns,
            unique: facts.unique,
            constraint: false,
            primary: false,
            special: !plain,
            of_table: false,
            definition: match index_tail(&facts.definition) {
                Some(tail) => index_statement(facts.unique, &facts.name, &relation.name, tail),
                None => facts.definition.clone(),
            },
        },
    }
}

/// Rows and bytes by the server's estimates. Where a table was never analysed, rows of about a hundred bytes are assumed.
fn size(catalog: &Catalog, relation: &Relation) -> (u64, u64) {
    const PAGE: f64 = 8192.0;
    const ROW: f64 = 100.0;
    let mut rows = 0.0;
    let mut bytes = 0.0;
    for part in catalog.storage_of(relation) {
        let now = part.bytes.max(0) as f64;
        bytes += now;
        rows += match part.analysed_rows {
            Some(rows) if part.analysed_pages > 0 => {
                // as the planner does: the density then, by the size now
                let then = f64::from(part.analysed_pages) * PAGE;
                if now > then { rows * now / then } else { rows }
            }
            Some(rows) if rows > 0.0 => rows,
            _ => now / ROW,
        };
    }
    (rows.round() as u64, bytes as u64)
}
