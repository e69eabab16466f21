//! The key of a mapped table: the source's columns, carried as they are, and constants beside them; or another one, beside a unique
//! index over those.

use std::collections::{BTreeMap, BTreeSet};

use crossfade_expression::CellForm;
use crossfade_model::{Index, Table, TableKey};

use super::{Destination, Moved, Report};
use crate::table_entry::TableEntry;

/// What identifies the rows of a mapped table.
pub(super) struct Keys {
    /// What tells its rows apart: the source's columns, and constants that the file's `key` adds.
    pub key: Option<TableKey>,
    /// The primary key, where the file asks for one over other columns.
    pub primary: Option<Index>,
}

/// The presented keys.
pub(super) fn keys(
    raw: &Table,
    entry: &TableEntry,
    goes_to: Destination<'_>,
    moved: &[Moved],
    places: &BTreeMap<&str, usize>,
    report: &mut Report<'_>,
) -> Keys {
    let Some(raw_key) = &raw.key else {
        return Keys {
            key: None,
            primary: None,
        };
    };
    let carriers = carriers(raw, places, report);
    let asked = asked(entry, moved, report);
    let is_constant = |place: &usize| moved[*place].bound.as_constant(CellForm::Text).is_some();
    let extends = asked
        .iter()
        .all(|place| carriers.contains(place) || is_constant(place))
        && carriers.iter().all(|place| asked.contains(place));
    let (columns, primary) = if entry.key.is_empty() || asked.len() < entry.key.len() {
        (carriers, None)
    } else if extends {
        (in_order(&asked, &carriers), None)
    } else {
        let primary = other(raw, entry, goes_to, moved, &asked, report);
        (carriers, primary)
    };
    let key = match &primary {
        Some(_) => TableKey {
            name: format!("{}_source_key", goes_to.name.name),
            primary: false,
            columns,
            ..raw_key.clone()
        },
        None => TableKey {
            columns,
            ..raw_key.clone()
        },
    };
    Keys {
        key: Some(key),
        primary,
    }
}

/// The places of the columns of the source's key.
fn carriers(raw: &Table, places: &BTreeMap<&str, usize>, report: &mut Report<'_>) -> Vec<usize> {
    let mut carriers = Vec::new();
    for column in raw.key_columns() {
        match places.get(column.name.as_str()) {
            Some(place) => carriers.push(*place),
            None => report.blocks(
                "key.not_carried",
                format!(
                    "column {} is part of the source's key and is not carried as it is: rows could not be told apart",
                    column.name
                ),
                "carry it, under any name; or give the source's table another key",
            ),
        }
    }
    carriers
}

/// The places of the columns that the file's `key` names.
fn asked(entry: &TableEntry, moved: &[Moved], report: &mut Report<'_>) -> Vec<usize> {
    let mut out = Vec::new();
    for name in &entry.key {
        match moved.iter().position(|m| m.column.name == name.text) {
            Some(place) if !out.contains(&place) => out.push(place),
            Some(_) => report.blocks(
                "key.twice",
                format!("line {}: `key` names {} twice", name.line, name.text),
                "name it once",
            ),
            None => report.blocks(
                "key.unknown",
                format!(
                    "line {}: `key` names {}, which is no column that is moved",
                    name.line, name.text
                ),
                "name columns of the target",
            ),
        }
    }
    out
}

/// The asked columns, the source's in the order of its key: bounds of ranges are in that.
fn in_order(asked: &[usize], carriers: &[usize]) -> Vec<usize> {
    let mut in_order = carriers.iter();
    asked
        .iter()
        .map(|place| match carriers.contains(place) {
            true => in_order.next().copied().unwrap_or(*place),
            false => *place,
        })
        .collect()
}

/// A primary key over other columns than the source's: those of another unique key of it, which tells rows apart on both sides.
fn other(
    raw: &Table,
    entry: &TableEntry,
    goes_to: Destination<'_>,
    moved: &[Moved],
    asked: &[usize],
    report: &mut Report<'_>,
) -> Option<Index> {
    let names = || asked.iter().map(|place| moved[*place].column.name.clone());
    let list = names().collect::<Vec<_>>().join(", ");
    let carried: BTreeSet<Option<&str>> = asked
        .iter()
        .map(|place| moved[*place].carried.as_deref())
        .collect();
    let of_index = |index: &Index| {
        let columns = index.columns.iter().map(|c| Some(c.as_str()));
        index.unique && !index.special && columns.collect::<BTreeSet<_>>() == carried
    };
    let nullable = asked.iter().find(|place| moved[**place].column.nullable);
    let all = "name all columns of the source's key, and constants beside them";
    let (code, what, fix) = if !raw.indexes.iter().any(of_index) {
        (
            "key.not_unique",
            format!(
                "no unique index of the source is over just ({list}): rows could not be told apart by it on both sides"
            ),
            "name the columns of the source's key, and constants beside them, or those of a unique index of it",
        )
    } else if let Some(place) = nullable {
        (
            "key.nullable",
            format!(
                "`key` names {}, which may be NULL",
                moved[*place].column.name
            ),
            "name columns that are NOT NULL on the source",
        )
    } else if goes_to.is_shared {
        (
            "key.other",
            format!(
                "`key` leaves out columns of the source's key, and other tables go to {} too",
                goes_to.name
            ),
            all,
        )
    } else if !entry.is_plain() {
        (
            "key.other",
            "`key` leaves out columns of the source's key, and rows are not carried as they are: the way back could not find them by it"
                .to_owned(),
            all,
        )
    } else {
        return Some(Index {
            name: format!("{}_pkey", goes_to.name.name),
            columns: names().collect(),
            unique: true,
            constraint: true,
            primary: true,
            special: false,
            of_table: true,
            definition: String::new(),
        });
    };
    report.blocks(code, what, fix);
    None
}
