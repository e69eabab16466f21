//! Whether a table that the target has already can take a source table's rows.

use std::collections::BTreeSet;

use crossfade_model::{Canonical, Column, ColumnMapping, Finding, Severity, Table};

use super::{Inputs, Presented};
use crate::near::nearest;

/// Maps the captured columns of `source` to those of `target`, and tells everything that keeps `target` from holding the rows.
pub(super) fn columns(
    inputs: &Inputs<'_>,
    shown: &Presented,
    target: &Table,
    findings: &mut Vec<Finding>,
) -> Vec<ColumnMapping> {
    let source = &shown.renamed;
    let mut report = Report {
        table: source.name.to_string(),
        findings,
    };
    let mut mapped = Vec::new();
    for column in source.captured() {
        let Some(counterpart) = counterpart(column, target) else {
            let names = target.columns.iter().map(|c| c.name.as_str());
            let near = nearest(&column.name, names);
            report.blocks(
                "column.missing",
                format!(
                    "{} on the target has no column {}",
                    target.name, column.name
                ),
                match near.first() {
                    Some(near) => format!("add it; the nearest there is {near}"),
                    None => "add it, or drop the target's table so that it is made anew".to_owned(),
                },
            );
            continue;
        };
        let canonical = one_column(inputs, shown, column, counterpart, &mut report);
        mapped.push(ColumnMapping {
            source: column.name.clone(),
            target: counterpart.name.clone(),
            canonical,
        });
    }
    extra(target, &mapped, &mut report);
    key(source, target, &mapped, &mut report);
    if let Some(asked) = &shown.primary {
        primary(asked, target, &mut report);
    }
    mapped
}

struct Report<'a> {
    table: String,
    findings: &'a mut Vec<Finding>,
}

impl Report<'_> {
    fn blocks(&mut self, code: &str, what: String, fix: impl Into<String>) {
        self.findings.push(
            Finding::blocks(code, "target", what)
                .table(&self.table)
                .fix(fix),
        );
    }
}

/// The target's column of the same name; of a name that differs in case only where that is the one there is.
fn counterpart<'a>(column: &Column, target: &'a Table) -> Option<&'a Column> {
    let exact = target.columns.iter().find(|c| c.name == column.name);
    exact.or_else(|| {
        let mut folded = target
            .columns
            .iter()
            .filter(|c| c.name.to_lowercase() == column.name.to_lowercase());
        let one = folded.next()?;
        folded.next().is_none().then_some(one)
    })
}

fn one_column(
    inputs: &Inputs<'_>,
    shown: &Presented,
    column: &Column,
    counterpart: &Column,
    report: &mut Report<'_>,
) -> Canonical {
    let name = &column.name;
    if counterpart.generated.is_some() {
        report.blocks(
            "column.generated",
            format!("column {name} is generated on the target and a plain column on the source"),
            "make it a plain column on the target",
        );
    }
    if column.nullable && !counterpart.nullable {
        report.blocks(
            "column.nullability",
            format!("column {name} may be NULL on the source and is NOT NULL on the target"),
            "drop NOT NULL on the target, or add it on the source",
        );
    }
    let made = shown.computed.contains(name);
    match inputs.dialect.compare(column, counterpart, made) {
        Ok(canonical) => canonical,
        Err(why) if shown.accepted.contains(name) => {
            let what = format!("column {name}: {why}; the file accepts what is lost");
            report.findings.push(
                Finding::new("column.lossy", Severity::Warning, "target", what)
                    .table(&report.table),
            );
            inputs
                .dialect
                .declare(&shown.renamed, column, true)
                .canonical
        }
        Err(why) => {
            report.blocks(
                "column.type",
                format!(
                    "column {name} is {} on the source and {} on the target: {why}",
                    declared(&column.declared),
                    declared(&counterpart.declared)
                ),
                "change the target's column, or drop the target's table so that it is made anew",
            );
            Canonical::Exact
        }
    }
}

fn declared(declared: &str) -> &str {
    if declared.is_empty() {
        "without a type"
    } else {
        declared
    }
}

/// Columns that only the target has: its defaults fill them, and no proof covers them.
fn extra(target: &Table, mapped: &[ColumnMapping], report: &mut Report<'_>) {
    for column in &target.columns {
        if mapped.iter().any(|m| m.target == column.name) || column.generated.is_some() {
            continue;
        }
        let filled = column.nullable || column.default.is_some() || column.identity.is_some();
        if filled {
            let what = format!(
                "column {} is on the target only: its default fills it, and `verify` does not compare it",
                column.name
            );
            let finding = Finding::new("column.target_only", Severity::Note, "target", what);
            report.findings.push(finding.table(&report.table));
        } else {
            report.blocks(
                "column.unfilled",
                format!(
                    "column {} is on the target only, is NOT NULL and has no default",
                    column.name
                ),
                "give it a default, or drop NOT NULL",
            );
        }
    }
}

/// The target has to hold two keys equal exactly where the source does.
fn key(source: &Table, target: &Table, mapped: &[ColumnMapping], report: &mut Report<'_>) {
    if source.key.is_none() {
        return;
    }
    let wanted: BTreeSet<String> = source
        .key_columns()
        .iter()
        .map(|c| {
            let mapping = mapped.iter().find(|m| m.source == c.name);
            mapping.map_or_else(|| c.name.clone(), |m| m.target.clone())
        })
        .collect();
    let list = wanted.iter().cloned().collect::<Vec<_>>().join(", ");
    let found: BTreeSet<String> = target
        .key_columns()
        .iter()
        .map(|c| c.name.clone())
        .collect();
    if found != wanted && identified_by_index(target, &wanted, report) {
        return;
    }
    if found != wanted {
        let has = match found.is_empty() {
            true => "has none".to_owned(),
            false => format!("is ({})", found.into_iter().collect::<Vec<_>>().join(", ")),
        };
        report.blocks(
            "key.different",
            format!("the source's rows are identified by ({list}), the key of {} on the target {has}", target.name),
            format!("give the target's table a primary key over ({list}), or drop it so that it is made anew"),
        );
        return;
    }
    for column in source.key_columns() {
        let Some(counterpart) = counterpart(column, target) else {
            continue;
        };
        if let Some(collation) = &counterpart.collation
            && counterpart.collation != column.collation
            && !compares_bytes(collation)
        {
            report.blocks(
                "key.coarser",
                format!(
                    "key column {} compares by collation {collation} on the target: two keys of the source may be one there",
                    counterpart.name
                ),
                "give it the collation that it has on the source",
            );
        }
    }
}

/// The primary key that the file asks for, where it is another than the source's.
fn primary(asked: &[String], target: &Table, report: &mut Report<'_>) {
    let own = target.key.as_ref().filter(|key| key.primary);
    let found: Vec<&str> = match target.indexes.iter().find(|index| index.primary) {
        Some(index) => index.columns.iter().map(String::as_str).collect(),
        None if own.is_some() => {
            let columns = target.key_columns().into_iter();
            columns.map(|c| c.name.as_str()).collect()
        }
        // one that the migration makes is made after the load; in a table of somebody else's it is theirs to make
        None => return,
    };
    let folded = |names: &mut dyn Iterator<Item = &str>| -> BTreeSet<String> {
        names.map(str::to_lowercase).collect()
    };
    if folded(&mut asked.iter().map(String::as_str)) != folded(&mut found.iter().copied()) {
        report.blocks(
            "key.different",
            format!(
                "`key` asks for ({}), the primary key of {} on the target is ({})",
                asked.join(", "),
                target.name,
                found.join(", ")
            ),
            "change `key` or the table",
        );
    }
}

/// A table may have another key than the source's, where a unique index tells the source's rows apart.
fn identified_by_index(target: &Table, wanted: &BTreeSet<String>, report: &mut Report<'_>) -> bool {
    let required = |name: &String| {
        target
            .columns
            .iter()
            .any(|c| c.name == *name && !c.nullable)
    };
    let index = target.indexes.iter().find(|index| {
        let columns: BTreeSet<String> = index.columns.iter().cloned().collect();
        index.unique && !index.special && columns == *wanted && columns.iter().all(required)
    });
    let Some(index) = index else {
        return false;
    };
    let what = format!(
        "the key of {} is another than the source's: rows are told apart by the unique index {}",
        target.name, index.name
    );
    let finding = Finding::new("key.by_index", Severity::Note, "target", what);
    report.findings.push(finding.table(&report.table));
    true
}

/// Collations that hold two texts equal only where their bytes are.
fn compares_bytes(collation: &str) -> bool {
    let bare = collation.replace('"', "").to_lowercase();
    let bare = bare.rsplit('.').next().unwrap_or(&bare);
    matches!(bare, "c" | "posix" | "binary" | "ucs_basic" | "default") || bare.ends_with("_bin")
}
