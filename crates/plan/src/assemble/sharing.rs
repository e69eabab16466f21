//! Several tables of the source that go to one of the target, and which of its rows are whose.

use std::collections::{BTreeMap, BTreeSet};

use crossfade_expression::{Expression, Input};
use crossfade_model::{Column, Finding, Omission, Severity, Table, TableMapping, TableName};

use super::mapped::Presented;
use super::select::Selected;

/// The target's tables to which more than one table of the source goes.
pub(super) fn shared(selected: &[Selected<'_>]) -> BTreeSet<TableName> {
    let mut times: BTreeMap<&TableName, usize> = BTreeMap::new();
    for one in selected {
        *times.entry(&one.target).or_default() += 1;
    }
    let several = times.into_iter().filter(|(_, times)| *times > 1);
    several.map(|(name, _)| name.clone()).collect()
}

/// Several tables that go to one that is to be made: it has the columns of all of them, and what holds for the rows of each.
pub(super) fn unite(
    selected: &[Selected<'_>],
    shared: &BTreeSet<TableName>,
    shown: &mut [Presented],
    omissions: &mut Vec<Omission>,
) {
    for name in shared {
        let sharing: Vec<usize> = (0..selected.len())
            .filter(|at| selected[*at].target == *name)
            .collect();
        let Some((first, others)) = sharing.split_first() else {
            continue;
        };
        let mut table = shown[*first].renamed.clone();
        let mut made = shown[*first].computed.clone();
        for &at in others {
            join(&mut table, &shown[at].renamed);
            made.extend(shown[at].computed.iter().cloned());
        }
        table.indexes.retain(|index| {
            if index.unique {
                omissions.push(Omission {
                    kind: "unique index".to_owned(),
                    name: format!("{name}: {}", index.name),
                    why: "rows of several tables go there: it holds for those of one; build it on the target where it holds for all"
                        .to_owned(),
                });
            }
            !index.unique
        });
        for key in table.foreign_keys.drain(..) {
            omissions.push(Omission {
                kind: "foreign key".to_owned(),
                name: format!("{name}: {}", key.name),
                why: "rows of several tables go there: it holds for those of one".to_owned(),
            });
        }
        for at in sharing {
            shown[at].united = Some((table.clone(), made.clone()));
        }
    }
}

/// A column that only one of them has is NULL in the rows of the other.
fn join(table: &mut Table, other: &Table) {
    for column in &mut table.columns {
        if !other.columns.iter().any(|c| c.name == column.name) {
            column.nullable = true;
        }
    }
    for column in &other.columns {
        match table.columns.iter_mut().find(|c| c.name == column.name) {
            Some(there) => there.nullable |= column.nullable,
            None => table.columns.push(crossfade_model::Column {
                nullable: true,
                ..column.clone()
            }),
        }
    }
    for index in &other.indexes {
        if !table
            .indexes
            .iter()
            .any(|i| i.columns == index.columns && i.unique == index.unique)
        {
            table.indexes.push(index.clone());
        }
    }
}

/// The rows of the target's table that are this mapping's: what the file says, else those that have its constants. `None`: all.
pub(super) fn slice(
    chosen: &Selected<'_>,
    is_shared: bool,
    shown: &Presented,
    findings: &mut Vec<Finding>,
) -> Option<String> {
    let entry = chosen.entry?;
    if let Some(written) = &entry.target_filter {
        if let Err((what, fix)) = compares(&written.expression, shown) {
            findings.push(
                Finding::blocks(
                    "table.target_where",
                    "file",
                    format!("line {}: `target_where`: {what}", written.line),
                )
                .table(chosen.table.name.to_string())
                .fix(fix),
            );
        }
        return Some(written.expression.text().to_owned());
    }
    if !is_shared {
        return None;
    }
    let constants: Vec<String> = entry
        .columns
        .iter()
        .filter(|c| shown.computed.contains(&c.name.text) && c.made.expression.columns().is_empty())
        .map(|c| {
            let column = Expression::column(&c.name.text);
            format!("{} = ({})", column.text(), c.made.expression.text())
        })
        .collect();
    if constants.is_empty() {
        findings.push(
            Finding::blocks(
                "table.whose",
                "file",
                format!(
                    "line {}: other tables go to {} too, and nothing says which of its rows are this one's",
                    entry.from.line, chosen.target
                ),
            )
            .table(chosen.table.name.to_string())
            .fix("give it a constant column of its own in [table.columns], or write `target_where`, a condition on the target's columns"),
        );
        return None;
    }
    Some(constants.join(" AND "))
}

/// Tables whose rows go to several tables that each number their new rows by themselves: after a switch the same number is handed out twice,
/// and the source's table has place for one such row.
pub(super) fn counters(tables: &[TableMapping], findings: &mut Vec<Finding>) {
    let mut seen: BTreeSet<&TableName> = BTreeSet::new();
    for first in tables {
        let table = first.source_table();
        if !seen.insert(&table.name) {
            continue;
        }
        // by columns, one row is in all of them
        let filter = |m: &TableMapping| m.origin.as_ref().and_then(|origin| origin.filter.clone());
        let of_table = tables
            .iter()
            .filter(|m| m.source_table().name == table.name);
        let parts: Vec<&TableMapping> = of_table.filter(|m| filter(m).is_some()).collect();
        for column in table.columns.iter().filter(|c| is_alone_unique(table, c)) {
            let mut counting: Vec<(&TableMapping, String)> = Vec::new();
            for &part in &parts {
                let Some(counter) = counter(part, column) else {
                    continue;
                };
                let known = |(other, same): &(&TableMapping, String)| {
                    *same == counter || filter(other) == filter(part)
                };
                if !counting.iter().any(known) {
                    counting.push((part, counter));
                }
            }
            if counting.len() < 2 {
                continue;
            }
            let names: Vec<String> = counting
                .iter()
                .map(|(part, _)| part.target.name.to_string())
                .collect();
            findings.push(
                Finding::new(
                    "table.counters",
                    Severity::Warning,
                    "target",
                    format!(
                        "after a switch {} each number new rows by themselves and hand out the same {}: rows of the same number cannot go back",
                        names.join(" and "),
                        column.name
                    ),
                )
                .table(table.name.to_string())
                .fix(
                    "before the switch let one counter number all of them (on PostgreSQL one sequence as the default of each), give each numbers of its own \
                     (on MySQL and MariaDB auto_increment_increment and auto_increment_offset of the sessions that write it), or number them in the application",
                ),
            );
        }
    }
}

/// Two rows never have the same value of it.
fn is_alone_unique(table: &Table, column: &Column) -> bool {
    let mut captured = table.captured();
    let at = captured.position(|c| c.name == column.name);
    let by_key =
        |key: &crossfade_model::TableKey| matches!(key.columns[..], [one] if Some(one) == at);
    table.key.as_ref().is_some_and(by_key)
        || (table.indexes.iter())
            .any(|i| i.unique && !i.special && i.columns == [column.name.as_str()])
}

/// What numbers new rows of a target's table in the place of a source's column; the same for two tables that take from one sequence.
fn counter(part: &TableMapping, column: &Column) -> Option<String> {
    let mapped = part.columns.iter().find(|c| c.source == column.name)?;
    let there = part
        .target
        .columns
        .iter()
        .find(|c| c.name == mapped.target)?;
    if there.identity.is_some() {
        return Some(part.target.name.to_string());
    }
    there.default.clone().filter(|d| d.contains("nextval"))
}

/// Whether a condition is one that every store can write: comparisons of the target's columns with literals.
fn compares(condition: &Expression, shown: &Presented) -> Result<(), (String, String)> {
    let inputs: Vec<Input> = shown.renamed.captured().map(Input::from).collect();
    let bound = condition.bind(&inputs).map_err(|e| (e.what, e.fix))?;
    match bound.comparisons() {
        Some(comparisons) if comparisons.is_plain() => Ok(()),
        _ => Err((
            "it is more than comparisons of columns with numbers, texts and booleans".to_owned(),
            "write =, <, >, IN, IS NULL, AND, OR and NOT over columns of the target and literals"
                .to_owned(),
        )),
    }
}
