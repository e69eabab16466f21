//! The mapped tables of a source: can their changes be followed and their rows be read?

use crossfade_model::{Finding, Severity};
use crossfade_store::CaptureSpec;

use super::{SOURCE, shown};
use crate::describe::catalog::{Catalog, Relation};
use crate::describe::key::identify;

/// All that speaks against each table.
pub fn check(catalog: &Catalog, spec: &CaptureSpec) -> Vec<Finding> {
    let mut out = Vec::new();
    for mapping in &spec.tables {
        let table = shown(&mapping.source.name);
        match catalog.named(&mapping.source.name) {
            Some(relation) => out.extend(table_findings(catalog, relation, &table)),
            None => out.push(
                Finding::blocks("postgres.table_missing", SOURCE, "the table is not there")
                    .table(table)
                    .fix("Check the name, schema and case in the migration file"),
            ),
        }
    }
    out
}

fn table_findings(catalog: &Catalog, relation: &Relation, table: &str) -> Vec<Finding> {
    let mut out = Vec::new();
    let identified = identify(catalog, relation);
    if let Some(problem) = &identified.problem {
        out.push(Finding::blocks(problem.code, SOURCE, &problem.what).fix(&problem.fix));
    } else if identified.key.is_none() {
        out.push(
            Finding::new(
                "postgres.no_key_full",
                Severity::Warning,
                SOURCE,
                "nothing short identifies its rows, so each change is found on the target by its whole row, which is slow for a large table",
            )
            .fix("Add a primary key"),
        );
    }
    out.extend(storage_findings(catalog, relation));
    if !relation.is_partition && !relation.parents.is_empty() {
        out.push(Finding::new(
            "postgres.inheritance",
            Severity::Warning,
            SOURCE,
            "it inherits from another table; on the target it stands alone, and reads of the parent do not show its rows",
        ));
    }
    let has_children = relation.kind == 'r'
        && catalog
            .relations
            .iter()
            .any(|r| r.parents.contains(&relation.oid));
    if has_children {
        out.push(Finding::new(
            "postgres.inheritance",
            Severity::Warning,
            SOURCE,
            "other tables inherit from it; on the target it holds its own rows alone",
        ));
    }
    let generated: Vec<&str> = catalog
        .columns_of(relation.oid)
        .iter()
        .filter(|c| c.generated != ' ')
        .map(|c| c.name.as_str())
        .collect();
    if !generated.is_empty() {
        out.push(Finding::new(
            "postgres.generated_columns",
            Severity::Note,
            SOURCE,
            format!(
                "generated columns are computed by the target: {}",
                generated.join(", ")
            ),
        ));
    }
    for column in catalog.columns_of(relation.oid) {
        if let Some(extension) = &column.extension {
            out.push(
                Finding::new(
                    "postgres.extension_type",
                    Severity::Note,
                    SOURCE,
                    format!(
                        "column {} is of type {}, which extension {extension} makes",
                        column.name, column.declared
                    ),
                )
                .fix(format!(
                    "A PostgreSQL target needs it before the first run: CREATE EXTENSION {};",
                    crate::names::quote_ident(extension)
                )),
            );
        }
    }
    out.into_iter().map(|f| f.table(table)).collect()
}

/// Where the rows live: only permanent tables' changes are in the log.
fn storage_findings(catalog: &Catalog, relation: &Relation) -> Vec<Finding> {
    catalog
        .storage_of(relation)
        .into_iter()
        .filter_map(|part| {
            let of = if part.oid == relation.oid {
                "it".to_owned()
            } else {
                format!("its partition {}", part.name)
            };
            if part.kind == 'f' {
                return Some(
                    Finding::blocks(
                        "postgres.foreign_table",
                        SOURCE,
                        format!(
                            "{of} is a foreign table: its changes are not in this server's log"
                        ),
                    )
                    .fix("Move its rows into an ordinary table, or exclude the table"),
                );
            }
            (part.persistence == 'u').then(|| {
                Finding::blocks(
                    "postgres.unlogged",
                    SOURCE,
                    format!("{of} is unlogged: its changes are not in the log"),
                )
                .fix(format!(
                    "ALTER TABLE {} SET LOGGED;",
                    crate::names::qualified(&part.name)
                ))
            })
        })
        .collect()
}
