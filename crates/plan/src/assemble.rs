//! Two descriptions and a file become a plan.
//!
//! What depends on a store's dialect is asked of [`Dialect`]; what is decided here is which tables go where, whether a
//! table that is there already can take the rows, and what is left behind.

mod back;
mod existing;
mod mapped;
mod select;
mod sharing;

use std::collections::{BTreeMap, BTreeSet};

use crossfade_model::{
    Canonical, Column, ColumnMapping, Finding, Omission, Schema, Sequence, Severity, Table,
    TableId, TableMapping, TableName,
};

use mapped::{Destination, Presented};
pub use select::{Selected, Selection, select};

use crate::file::MigrationFile;
use crate::plan::Plan;

/// How a target would keep a source's column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Its name on the target.
    pub name: String,
    /// The form in which both sides' values are compared.
    pub canonical: Canonical,
    /// What cannot be kept, where something cannot.
    pub lossy: Option<String>,
    /// Parts of the column that are not carried.
    pub omissions: Vec<Omission>,
}

/// What the target's dialect makes of a source's things. Pure.
pub trait Dialect {
    /// The name that a source table has on the target where the file does not say.
    fn default_name(&self, source: &TableName) -> TableName;

    /// What a source's table is to be on the target, and what is not carried.
    fn design(
        &self,
        table: &Table,
        name: &TableName,
        rename: &dyn Fn(&TableName) -> Option<TableName>,
    ) -> (Table, Vec<Omission>);

    /// As [`Dialect::design`] for a table of which columns were renamed, left out or made: nothing that is written in the source's
    /// names can be carried. `made` are the columns that an expression makes.
    fn design_mapped(
        &self,
        table: &Table,
        made: &BTreeSet<String>,
        name: &TableName,
        rename: &dyn Fn(&TableName) -> Option<TableName>,
    ) -> (Table, Vec<Omission>);

    /// How the target would keep a column; `made`: an expression makes it.
    fn declare(&self, table: &Table, column: &Column, made: bool) -> Declared;

    /// The form in which an existing target column is compared with a source's, or why it cannot hold its values. `made`: an expression
    /// makes the source's.
    ///
    /// # Errors
    /// Why the column cannot hold the values, in words.
    fn compare(&self, source: &Column, target: &Column, made: bool) -> Result<Canonical, String>;
}

/// What a plan is made of.
pub struct Inputs<'a> {
    /// The migration file.
    pub file: &'a MigrationFile,
    /// The source's engine.
    pub source_engine: &'a str,
    /// The target's engine.
    pub target_engine: &'a str,
    /// What the source holds.
    pub source: &'a Schema,
    /// What the target holds.
    pub target: &'a Schema,
    /// The target's dialect.
    pub dialect: &'a dyn Dialect,
}

/// Makes the plan, with the findings that follow from the descriptions alone. Statements are left empty.
pub fn assemble(inputs: &Inputs<'_>) -> Plan {
    let Selection {
        tables: selected,
        mut findings,
    } = select(inputs.file, inputs.source, inputs.dialect);
    collisions(inputs, &selected, &mut findings);

    let shared = sharing::shared(&selected);
    let is_split = |source: &TableName| {
        let of_source = selected.iter().filter(|s| s.table.name == *source);
        of_source.count() > 1
    };
    // a table that goes to several is no other's parent
    let goes_to = |source: &TableName| {
        let one = selected.iter().find(|s| s.table.name == *source)?;
        (!is_split(source)).then(|| one.target.clone())
    };
    let parents = |source: &TableName| {
        let of = selected.iter().find(|s| s.table.name == *source);
        of.and_then(|s| s.entry)
            .map_or_else(BTreeMap::new, mapped::renames)
    };

    let mut tables = Vec::with_capacity(selected.len());
    let mut present = BTreeSet::new();
    let mut omissions = inputs.source.omissions.clone();
    let mut all_shown: Vec<Presented> = selected
        .iter()
        .map(|chosen| match chosen.entry {
            Some(entry) => {
                let goes_to = Destination {
                    name: &chosen.target,
                    is_shared: shared.contains(&chosen.target),
                    is_split: is_split(&chosen.table.name),
                };
                mapped::present(
                    chosen.table,
                    entry,
                    goes_to,
                    &parents,
                    &|column| inputs.dialect.declare(chosen.table, column, false).lossy,
                    &mut findings,
                    &mut omissions,
                )
            }
            None => mapped::as_it_is(chosen.table),
        })
        .collect();
    sharing::unite(&selected, &shared, &mut all_shown, &mut omissions);
    for (chosen, shown) in selected.iter().zip(all_shown) {
        let (raw, name) = (chosen.table, &chosen.target);
        let rename = |source: &TableName| match *source == raw.name {
            true => Some(name.clone()),
            false => goes_to(source),
        };
        let id = TableId(u32::try_from(tables.len()).unwrap_or(u32::MAX));
        let (target, mut columns) = match inputs.target.table(name) {
            Some(target) => {
                present.insert(id);
                let columns = existing::columns(inputs, &shown, target, &mut findings);
                (target.clone(), columns)
            }
            None => {
                let (target, left) = if shown.is_mapped {
                    let own = (&shown.renamed, &shown.computed);
                    let (table, made) = shown.united.as_ref().map_or(own, |(t, made)| (t, made));
                    inputs.dialect.design_mapped(table, made, name, &rename)
                } else {
                    inputs.dialect.design(raw, name, &rename)
                };
                omissions.extend(left);
                let columns = designed(inputs, &shown, &mut findings, &mut omissions);
                (target, columns)
            }
        };
        // reports and sequences go by the source's names
        for (column, named) in columns.iter_mut().zip(shown.source.captured()) {
            column.source.clone_from(&named.name);
        }
        let same_shape = shown.origin.is_none()
            && inputs.source_engine == inputs.target_engine
            && same_types(&shown.source, &target, &columns);
        let slice = sharing::slice(chosen, shared.contains(name), &shown, &mut findings);
        tables.push(TableMapping {
            id,
            source: shown.source,
            target,
            columns,
            same_shape,
            origin: shown.origin.map(Box::new),
            back: shown.back.map(Box::new),
            slice,
            shares_source: is_split(&raw.name),
        });
    }
    let same_engine = inputs.source_engine == inputs.target_engine;
    let types = if same_engine {
        inputs.source.types.clone()
    } else {
        Vec::new()
    };
    let sequences = sequences(inputs, &tables, same_engine, &mut omissions);
    sharing::counters(&tables, &mut findings);
    deduplicate(&mut omissions);
    Plan {
        replanned: None,
        migration: inputs.file.name.clone(),
        source_engine: inputs.source_engine.to_owned(),
        target_engine: inputs.target_engine.to_owned(),
        tables,
        present,
        types,
        sequences,
        omissions,
        findings,
        statements: Vec::new(),
    }
}

/// Two tables that would go to one.
fn collisions(inputs: &Inputs<'_>, selected: &[Selected<'_>], findings: &mut Vec<Finding>) {
    // names that differ only in case are two in one engine and one in another
    let fold_case = inputs.source_engine != inputs.target_engine;
    let folded = |name: &TableName| {
        let text = name.to_string();
        if fold_case { text.to_lowercase() } else { text }
    };
    let mut first: BTreeMap<String, &TableName> = BTreeMap::new();
    for Selected {
        table,
        target,
        entry,
    } in selected
    {
        match first.get(&folded(target)) {
            None => {
                first.insert(folded(target), &table.name);
            }
            // which rows of it are whose is asked for where the mapping is made
            Some(_) if entry.is_some_and(|e| !e.is_plain()) => {}
            Some(other) => findings.push(
                Finding::blocks(
                    "plan.name_collision",
                    "file",
                    format!("{other} and {} would both go to {target}", table.name),
                )
                .table(table.name.to_string())
                .fix("give one of them another name with `to`, leave it out with `exclude`, or say which rows are whose: a constant column in each, or \
                      `target_where`"),
            ),
        }
        if inputs.target.table(target).is_none()
            && let Some(near) = inputs
                .target
                .tables
                .iter()
                .find(|t| fold_case && folded(&t.name) == folded(target))
        {
            findings.push(
                Finding::blocks(
                    "plan.name_case",
                    "target",
                    format!(
                        "the target has a table {}, which differs from {target} only in case",
                        near.name
                    ),
                )
                .table(table.name.to_string())
                .fix(format!(
                    "write `to = \"{}\"` to move into it, or another name",
                    near.name
                )),
            );
        }
    }
}

/// The columns of a table that is to be made.
fn designed(
    inputs: &Inputs<'_>,
    shown: &Presented,
    findings: &mut Vec<Finding>,
    omissions: &mut Vec<Omission>,
) -> Vec<ColumnMapping> {
    let source = &shown.renamed;
    source
        .captured()
        .map(|column| {
            let made = shown.computed.contains(&column.name);
            let declared = inputs.dialect.declare(source, column, made);
            if let Some(lossy) = declared.lossy {
                let severity = match shown.accepted.contains(&column.name) {
                    true => Severity::Warning,
                    false => Severity::Blocks,
                };
                findings.push(
                    Finding::new(
                        "column.lossy",
                        severity,
                        "target",
                        format!(
                            "column {} ({}) cannot be kept as it is: {lossy}",
                            column.name, column.declared
                        ),
                    )
                    .table(source.name.to_string())
                    .fix(
                        "make the table on the target yourself with a column that can hold the values, leave the table out with \
                         `exclude`, or accept the loss with `lossy` in [table.columns]",
                    ),
                );
            }
            omissions.extend(declared.omissions);
            ColumnMapping {
                source: column.name.clone(),
                target: declared.name,
                canonical: declared.canonical,
            }
        })
        .collect()
}

/// True where every mapped column has the same type on both sides, so that bytes can be passed on undecoded.
fn same_types(source: &Table, target: &Table, columns: &[ColumnMapping]) -> bool {
    source.captured().count() == columns.len()
        && source.captured().zip(columns).all(|(column, mapping)| {
            mapping.canonical == Canonical::Exact
                && target
                    .columns
                    .iter()
                    .any(|t| t.name == mapping.target && t.declared == column.declared)
        })
}

/// The sequences that belong to what is moved.
fn sequences(
    inputs: &Inputs<'_>,
    tables: &[TableMapping],
    same_engine: bool,
    omissions: &mut Vec<Omission>,
) -> Vec<Sequence> {
    let owned = |sequence: &Sequence| {
        sequence
            .owner
            .as_ref()
            .map(|(table, _)| tables.iter().any(|t| &t.source.name == table))
    };
    let used = |sequence: &Sequence| {
        tables.iter().any(|t| {
            t.source.columns.iter().any(|c| {
                c.default
                    .as_ref()
                    .is_some_and(|d| d.contains("nextval") && d.contains(&sequence.name.name))
            })
        })
    };
    let all_listed = || {
        let mut of_source = inputs.source.tables.iter();
        of_source.all(|table| tables.iter().any(|t| t.source.name == table.name))
    };
    let whole = inputs.file.tables.is_empty() && inputs.file.exclude.is_empty();
    let mut kept = Vec::new();
    for sequence in &inputs.source.sequences {
        match (owned(sequence), same_engine) {
            (Some(true), true) => kept.push(sequence.clone()),
            // the target's own way of numbering is raised; its statement is in another dialect
            (Some(true), false) => kept.push(Sequence {
                definition: String::new(),
                ..sequence.clone()
            }),
            (_, true) if whole || used(sequence) => kept.push(sequence.clone()),
            (None, false) if whole || all_listed() => omissions.push(Omission {
                kind: "sequence".to_owned(),
                name: sequence.name.to_string(),
                why: "no moved column owns it, and the target's engine has none like it".to_owned(),
            }),
            _ => {}
        }
    }
    kept
}

fn deduplicate(omissions: &mut Vec<Omission>) {
    let mut seen = BTreeSet::new();
    omissions.retain(|o| seen.insert((o.kind.clone(), o.name.clone(), o.why.clone())));
}

/// What differs between the tables of a begun migration and the source as it is now (a warning: the run ends at the change,
/// with everything before it applied), and between the plan and what the file selects now (which blocks).
pub fn drift(
    plan: &Plan,
    file: &MigrationFile,
    source: &Schema,
    dialect: &dyn Dialect,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for mapping in &plan.tables {
        let planned = mapping.source_table();
        let what = match source.table(&planned.name) {
            None => Some("it is no longer there".to_owned()),
            Some(now) => shape_difference(planned, now),
        };
        if let Some(what) = what {
            findings.push(
                Finding::new(
                    "drift.source",
                    Severity::Warning,
                    "source",
                    format!("the source's table is not the one that was planned: {what}"),
                )
                .table(planned.name.to_string())
                .fix(
                    "`run` applies everything up to the change and stops there; then make the same change on the \
                     target and `run` again",
                ),
            );
        }
    }
    let selection = select(file, source, dialect);
    let shared = sharing::shared(&selection.tables);
    let of = |name: &TableName, target: &TableName| {
        let same = plan.tables.iter().filter(|m| m.source.name == *name);
        let mut same = same.collect::<Vec<_>>();
        same.sort_by_key(|m| m.target.name != *target);
        same.first().copied()
    };
    for chosen in &selection.tables {
        let Selected {
            table,
            target,
            entry,
        } = chosen;
        match of(&table.name, target) {
            Some(mapping) if mapping.target.name == *target => {
                let goes_to = Destination {
                    name: target,
                    is_shared: shared.contains(target),
                    is_split: mapping.shares_source,
                };
                let is_made = !plan.present.contains(&mapping.id);
                // where the source was altered, the file may have been made to follow
                let anew = || {
                    let as_planned = shape_difference(mapping.source_table(), table).is_none();
                    as_planned
                        .then(|| mapped::drift_anew(mapping, chosen, goes_to, is_made, dialect))
                        .flatten()
                };
                findings.extend(mapped::drift(mapping, *entry).or_else(anew));
            }
            Some(mapping) => findings.push(
                Finding::blocks(
                    "drift.file",
                    "file",
                    format!(
                        "the file moves it to {target}, the migration that has begun to {}",
                        mapping.target.name
                    ),
                )
                .table(table.name.to_string())
                .fix("put the file back, or `abort` and begin again"),
            ),
            None if file.tables.is_empty() => findings.push(
                Finding::new(
                    "drift.new_table",
                    Severity::Warning,
                    "source",
                    "the table is newer than the migration, which goes on without it",
                )
                .table(table.name.to_string())
                .fix(
                    "to move it too, `abort` and begin again, or move it by a migration of its own",
                ),
            ),
            None => findings.push(
                Finding::blocks(
                    "drift.file",
                    "file",
                    "the table is not in the migration that has begun",
                )
                .table(table.name.to_string())
                .fix("put the file back, or `abort` and begin again"),
            ),
        }
    }
    for mapping in &plan.tables {
        let name = &mapping.source.name;
        let selected = selection.tables.iter().any(|s| s.table.name == *name);
        if !selected && source.table(name).is_some() {
            findings.push(
                Finding::blocks(
                    "drift.file",
                    "file",
                    "the migration that has begun moves this table, the file does not",
                )
                .table(name.to_string())
                .fix("put the file back, or `abort` and begin again"),
            );
        }
    }
    findings
}

fn shape_difference(planned: &Table, now: &Table) -> Option<String> {
    let list = |t: &Table| {
        t.captured()
            .map(|c| (c.name.clone(), c.declared.clone()))
            .collect::<Vec<_>>()
    };
    let (was, is) = (list(planned), list(now));
    for (name, declared) in &was {
        match is.iter().find(|(n, _)| n == name) {
            None => return Some(format!("column {name} is gone")),
            Some((_, other)) if other != declared => {
                return Some(format!("column {name} was {declared} and is {other}"));
            }
            Some(_) => {}
        }
    }
    if let Some((name, _)) = is.iter().find(|(n, _)| !was.iter().any(|(w, _)| w == n)) {
        return Some(format!("column {name} is new"));
    }
    if was != is {
        return Some("its columns are in another order".to_owned());
    }
    let key = |t: &Table| {
        t.key.as_ref().map(|_| {
            t.key_columns()
                .iter()
                .map(|c| c.name.clone())
                .collect::<Vec<_>>()
        })
    };
    (key(planned) != key(now)).then(|| "its key is another".to_owned())
}

#[cfg(test)]
#[path = "assemble_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "mapped_tests.rs"]
mod mapped_tests;
