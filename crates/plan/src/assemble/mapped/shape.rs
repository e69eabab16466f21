//! A mapped table's shape: under the target's names, and under the source's.

use std::collections::{BTreeMap, BTreeSet};

use crossfade_model::{Column, Index, Omission, Table, TableName};

use super::Moved;
use super::key::Keys;

/// The table under the target's names. What names columns that are not carried stays behind, and so does what is written in the
/// source's names.
pub(super) fn renamed(
    raw: &Table,
    moved: &[Moved],
    keys: Keys,
    names: &BTreeMap<&str, &str>,
    parents: &dyn Fn(&TableName) -> BTreeMap<String, String>,
    omissions: &mut Vec<Omission>,
) -> Table {
    let mut omit = |kind: &str, name: &str, why: &str| {
        omissions.push(Omission {
            kind: kind.to_owned(),
            name: format!("{}: {name}", raw.name),
            why: why.to_owned(),
        });
    };
    let all = |columns: &[String]| -> Option<Vec<String>> {
        let name = |c: &String| names.get(c.as_str()).map(|n| (*n).to_owned());
        columns.iter().map(name).collect()
    };
    let mut indexes: Vec<Index> = Vec::new();
    for index in &raw.indexes {
        match all(&index.columns) {
            Some(columns) if !index.special && !columns.is_empty() => indexes.push(Index {
                columns,
                definition: String::new(),
                ..index.clone()
            }),
            _ => omit(
                "index",
                &index.name,
                "it is over columns that are not carried as they are, or has expressions; build its like on the target",
            ),
        }
    }
    if let Some(primary) = keys.primary {
        indexes.retain(|index| !index.unique || index.columns != primary.columns);
        for index in &mut indexes {
            index.primary = false;
        }
        indexes.push(primary);
    }
    let mut foreign_keys = Vec::new();
    for foreign in &raw.foreign_keys {
        let Some(columns) = all(&foreign.columns) else {
            omit(
                "foreign key",
                &foreign.name,
                "a column of it is not carried as it is",
            );
            continue;
        };
        let theirs = parents(&foreign.parent);
        let parent_column = |c: &String| theirs.get(c).unwrap_or(c).clone();
        foreign_keys.push(crossfade_model::ForeignKey {
            columns,
            parent_columns: foreign.parent_columns.iter().map(parent_column).collect(),
            definition: String::new(),
            ..foreign.clone()
        });
    }
    for check in &raw.checks {
        omit(
            "check",
            &check.name,
            "it is written in the source's names; add it on the target",
        );
    }
    for column in raw.columns.iter().filter(|c| c.generated.is_some()) {
        omit(
            "generated column",
            &column.name,
            "its expression is written in the source's names; add it on the target",
        );
    }
    Table {
        columns: moved.iter().map(|m| m.column.clone()).collect(),
        key: keys.key,
        indexes,
        foreign_keys,
        checks: Vec::new(),
        partition_by: None,
        partitions: Vec::new(),
        definition: None,
        ..raw.clone()
    }
}

/// The same under the source's names, which sequences and reports go by. A column that an expression makes has its target's name,
/// and a mark where a column of the source has that too.
pub(super) fn presented(raw: &Table, renamed: &Table, moved: &[Moved]) -> Table {
    let taken: BTreeSet<&str> = moved.iter().filter_map(|m| m.carried.as_deref()).collect();
    let name = |m: &Moved| match &m.carried {
        Some(carried) => carried.clone(),
        None if taken.contains(m.column.name.as_str()) => format!("{} (made)", m.column.name),
        None => m.column.name.clone(),
    };
    Table {
        columns: moved
            .iter()
            .map(|m| Column {
                name: name(m),
                ..m.column.clone()
            })
            .collect(),
        key: renamed.key.clone(),
        partition_by: raw.partition_by.clone(),
        partitions: raw.partitions.clone(),
        indexes: Vec::new(),
        foreign_keys: Vec::new(),
        ..renamed.clone()
    }
}
