//! The key of a mapped table: the source's columns, carried as they are, and constants beside them.

use std::collections::BTreeMap;

use crossfade_expression::CellForm;
use crossfade_model::{Table, TableKey};

use super::{Moved, Report};
use crate::table_entry::TableEntry;

/// The presented key: the source's columns, carried as they are, and constants that the file's `key` adds.
pub(super) fn key(
    raw: &Table,
    entry: &TableEntry,
    moved: &[Moved],
    places: &BTreeMap<&str, usize>,
    report: &mut Report<'_>,
) -> Option<TableKey> {
    let raw_key = raw.key.as_ref()?;
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
    let columns = if entry.key.is_empty() {
        carriers
    } else {
        asked_key(entry, moved, carriers, report)
    };
    Some(TableKey {
        columns,
        ..raw_key.clone()
    })
}

fn asked_key(
    entry: &TableEntry,
    moved: &[Moved],
    carriers: Vec<usize>,
    report: &mut Report<'_>,
) -> Vec<usize> {
    let mut out = Vec::new();
    for name in &entry.key {
        let Some(place) = moved.iter().position(|m| m.column.name == name.text) else {
            report.blocks(
                "key.unknown",
                format!(
                    "line {}: `key` names {}, which is no column that is moved",
                    name.line, name.text
                ),
                "name columns of the target",
            );
            continue;
        };
        let constant = moved[place].bound.as_constant(CellForm::Text).is_some();
        if !constant && !carriers.contains(&place) {
            report.blocks(
                "key.other",
                format!(
                    "line {}: {} is neither part of the source's key nor a constant",
                    name.line, name.text
                ),
                "leave `key` out and make the table on the target yourself, with the key that you want and a unique index \
                 over the columns of the source's key",
            );
            continue;
        }
        out.push(place);
    }
    // bounds of ranges are in the order of the source's key
    let missing = carriers.iter().any(|place| !out.contains(place));
    if missing {
        let lacks = carriers.iter().filter(|place| !out.contains(place));
        let lacks: Vec<&str> = lacks
            .map(|&place| moved[place].column.name.as_str())
            .collect();
        report.blocks(
            "key.incomplete",
            format!(
                "`key` leaves out {}: two rows of the source could be one on the target",
                lacks.join(", ")
            ),
            "name all columns of the source's key, and constants beside them",
        );
    }
    let mut in_order = carriers.iter();
    out.iter()
        .map(|place| match carriers.contains(place) {
            true => in_order.next().copied().unwrap_or(*place),
            false => *place,
        })
        .collect()
}
