//! Whether the file still says what a migration that has begun was planned with.

use crossfade_expression::Expression;
use crossfade_model::{Back, Column, Finding, Origin, Severity, Table, TableKey, TableMapping};

use super::super::select::Selected;
use super::super::sharing;
use super::{Destination, Presented, as_it_is, as_text, present, with_loss};
use crate::assemble::Dialect;
use crate::table_entry::{ColumnEntry, Lossy, TableEntry};

/// What the file says of a table that a migration which has begun maps otherwise.
pub(in crate::assemble) fn drift(
    mapping: &TableMapping,
    entry: Option<&TableEntry>,
) -> Option<Finding> {
    let filter = mapping.origin.as_ref().and_then(|o| o.filter.clone());
    let written = entry
        .and_then(|e| e.filter.as_ref())
        .map(|f| f.expression.text().to_owned());
    let what = if filter != written {
        "`where` is not what it was"
    } else if entry.is_some_and(|e| e.drop.iter().any(|d| carries(mapping, &d.text))) {
        "`drop` names a column that is moved"
    } else if entry.is_some_and(|e| e.columns.iter().any(|c| !is_made_so(mapping, c))) {
        "[table.columns] is not what it was"
    } else {
        return None;
    };
    Some(told(
        mapping,
        what,
        "put the file back, or `abort` and begin again",
    ))
}

fn told(mapping: &TableMapping, what: &str, fix: &str) -> Finding {
    let what = format!("the migration has begun, and {what}");
    Finding::blocks("drift.file", "file", what)
        .table(mapping.source.name.to_string())
        .fix(fix)
}

/// As [`drift`], for what cannot be seen by looking at the plan alone: the file is read once more over the table as it was planned.
/// `is_made`: the migration makes the target's table.
pub(in crate::assemble) fn drift_anew(
    mapping: &TableMapping,
    chosen: &Selected<'_>,
    goes_to: Destination<'_>,
    is_made: bool,
    dialect: &dyn Dialect,
) -> Option<Finding> {
    let mut found = Vec::new();
    let raw = mapping.source_table();
    let now = match chosen.entry {
        None => as_it_is(raw),
        Some(entry) => present(
            raw,
            entry,
            goes_to,
            &|_| std::collections::BTreeMap::new(),
            &|column| dialect.declare(raw, column, false).lossy,
            &mut found,
            &mut Vec::new(),
        ),
    };
    let of_file = "put the file back, or `abort` and begin again";
    let slice = sharing::slice(chosen, goes_to.is_shared, &now, &mut found);
    // what was planned had none
    if let Some(wrong) = found.iter().find(|f| f.severity == Severity::Blocks) {
        let what = format!("the file is not what it was: {}", wrong.what);
        return Some(told(mapping, &what, of_file));
    }
    if !makes_the_same(mapping, &now, dialect) {
        return Some(told(mapping, "[table.columns] is not what it was", of_file));
    }
    if slice != mapping.slice {
        let what =
            "`target_where`, or the constants that say whose the rows are, are not what they were";
        return Some(told(mapping, what, of_file));
    }
    let places = |key: &Option<TableKey>| {
        key.as_ref()
            .map(|key| key.columns.clone())
            .unwrap_or_default()
    };
    // one over a generated column identifies no row, and is not carried everywhere
    let primary = |table: &Table| -> Vec<String> {
        let is_carried = |name: &String| table.captured().any(|column| column.name == *name);
        let index = table.indexes.iter().find(|index| index.primary);
        let index = index.filter(|index| index.columns.iter().all(is_carried));
        let columns = index.map(|index| index.columns.iter().map(|c| c.to_lowercase()).collect());
        columns.unwrap_or_default()
    };
    let other_primary =
        is_made && !goes_to.is_shared && primary(&mapping.target) != primary(&now.renamed);
    if places(&mapping.source.key) != places(&now.source.key) || other_primary {
        return Some(told(mapping, "`key` is not what it was", of_file));
    }
    leads_back_otherwise(mapping, &now).then(|| {
        told(
            mapping,
            "`reverse` or `forward_only` is not what it was: the way back is the one that was planned",
            "put the file back, and pass what a switch would lose with `--override invertible=REASON`; or `abort` and begin again",
        )
    })
}

fn makes_the_same(mapping: &TableMapping, now: &Presented, dialect: &dyn Dialect) -> bool {
    let texts = |origin: Option<&Origin>| origin.map(|o| o.columns.clone());
    let columns: Vec<_> = now.renamed.captured().collect();
    let is_named = |was: &str, column: &Column| {
        let made = now.computed.contains(&column.name);
        let folded = was.to_lowercase();
        folded == column.name.to_lowercase()
            || folded
                == dialect
                    .declare(&now.renamed, column, made)
                    .name
                    .to_lowercase()
    };
    let mut named = mapping.columns.iter().zip(&columns);
    texts(mapping.origin.as_deref()) == texts(now.origin.as_ref())
        && columns.len() == mapping.columns.len()
        && named.all(|(was, column)| is_named(&was.target, column))
}

/// What of the way back the file decides by itself; the rest follows from what is compared before.
fn leads_back_otherwise(mapping: &TableMapping, now: &Presented) -> bool {
    let (Some(was), Some(is)) = (mapping.back.as_deref(), &now.back) else {
        return false;
    };
    let lost = |back: &Back| -> Vec<(String, bool)> {
        let columns = back.lost.iter().filter(|lost| lost.column != "where");
        columns
            .map(|lost| (lost.column.clone(), lost.declared))
            .collect()
    };
    // a plan of an older version has no constants, and gives back fewer columns
    was.constants.is_some() && (was.columns != is.columns || was.constants != is.constants)
        || lost(was) != lost(is)
}

/// Whether a column of the source is carried as it is.
fn carries(mapping: &TableMapping, name: &str) -> bool {
    let column = Expression::column(name);
    match &mapping.origin {
        Some(origin) => origin.columns.iter().any(|text| text == column.text()),
        None => mapping.columns.iter().any(|c| c.source == name),
    }
}

fn is_made_so(mapping: &TableMapping, entry: &ColumnEntry) -> bool {
    let Some(at) = mapping
        .columns
        .iter()
        .position(|c| c.target == entry.name.text)
    else {
        return false;
    };
    match &mapping.origin {
        Some(origin) => {
            let was = origin
                .columns
                .get(at)
                .and_then(|text| Expression::parse(text).ok());
            let is = |made: Result<Expression, String>| made.is_ok_and(|made| was == Some(made));
            is(with_loss(entry)) || entry.lossy == Some(Lossy::Accept) && is(as_text(entry))
        }
        None => entry.made.expression.as_column() == Some(mapping.columns[at].source.as_str()),
    }
}
