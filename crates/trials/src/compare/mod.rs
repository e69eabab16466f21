//! An independent comparison of two databases: every row of every table, as text, sorted, byte by byte.

mod form;
mod read;
pub mod shape;

use std::cmp::Ordering;

use crate::database::{Database, Dialect, TextRow};
pub use form::Form;
pub use read::{Column, columns, literal, tables};

/// A table's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableName {
    /// The schema; `None` on SQLite.
    pub schema: Option<String>,
    /// The name, as it is, not quoted.
    pub name: String,
}

impl TableName {
    /// A name in `schema`.
    #[must_use]
    pub fn new(schema: Option<&str>, name: &str) -> Self {
        Self {
            schema: schema.map(str::to_owned),
            name: name.to_owned(),
        }
    }

    /// For SQL.
    #[must_use]
    pub fn quoted(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quote(schema), quote(&self.name)),
            None => quote(&self.name),
        }
    }
}

/// An identifier for SQL.
#[must_use]
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Where a table of the source is on the target when the migration file does not say: under its own name, in its own
/// schema; on PostgreSQL `public` for a table without one; on the others with the schema's name before its own.
#[must_use]
pub fn counterpart(source: &TableName, target: Dialect) -> TableName {
    let schema = source.schema.as_deref();
    match (target, schema) {
        (Dialect::Postgres, _) => TableName::new(Some(schema.unwrap_or("public")), &source.name),
        (Dialect::Sqlite | Dialect::Mysql, None | Some("public")) => {
            TableName::new(None, &source.name)
        }
        (Dialect::Sqlite | Dialect::Mysql, Some(schema)) => {
            TableName::new(None, &format!("{schema}_{}", source.name))
        }
    }
}

/// Checks that each table of the source is on the target with the same rows.
///
/// # Panics
/// With the first rows that differ.
#[track_caller]
pub fn assert_equal(source: &Database, target: &Database) {
    let found = differences(source, target);
    assert!(found.is_empty(), "not equal:\n{}", found.join("\n"));
}

/// What differs, for people: at most a few rows of each table.
#[must_use]
pub fn differences(source: &Database, target: &Database) -> Vec<String> {
    let pairs: Vec<(TableName, TableName)> = tables(source)
        .into_iter()
        .map(|table| {
            let other = counterpart(&table, target.dialect());
            (table, other)
        })
        .collect();
    assert!(!pairs.is_empty(), "the source has no table to compare");
    differences_of(source, target, &pairs)
}

/// All rows of all tables, sorted: to see later whether anything was written.
#[must_use]
pub fn contents(database: &Database) -> Vec<(TableName, Vec<TextRow>)> {
    tables(database)
        .into_iter()
        .map(|table| {
            let forms: Vec<(String, Form)> = columns(database, &table)
                .into_iter()
                .map(|column| {
                    let form = Form::of(&column, &column);
                    (column.name, form)
                })
                .collect();
            let mut rows = read::rows(database, &table, &forms);
            rows.sort();
            (table, rows)
        })
        .collect()
}

/// As [`differences`], of these pairs of tables.
#[must_use]
pub fn differences_of(
    source: &Database,
    target: &Database,
    pairs: &[(TableName, TableName)],
) -> Vec<String> {
    let mut found = Vec::new();
    for (from, to) in pairs {
        found.extend(table_differences(source, target, from, to));
    }
    found
}

fn table_differences(
    source: &Database,
    target: &Database,
    from: &TableName,
    to: &TableName,
) -> Vec<String> {
    let mut columns_from = columns(source, from);
    let columns_to = columns(target, to);
    if columns_to.is_empty() {
        return vec![format!("{} is not on the target", to.quoted())];
    }
    if source.dialect() != target.dialect() {
        // an expression of one engine is not carried to the other
        columns_from
            .retain(|one| !one.generated || columns_to.iter().any(|other| other.name == one.name));
    }
    let names = |columns: &[Column]| {
        let mut names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        names.sort();
        names
    };
    if names(&columns_from) != names(&columns_to) {
        return vec![format!(
            "{}: columns {:?} against {:?}",
            from.quoted(),
            names(&columns_from),
            names(&columns_to)
        )];
    }
    let forms: Vec<(String, Form)> = columns_from
        .iter()
        .map(|one| {
            let other = columns_to
                .iter()
                .find(|other| other.name == one.name)
                .expect("the names are the same");
            (one.name.clone(), Form::of(one, other))
        })
        .collect();
    let mut ours = read::rows(source, from, &forms);
    let mut theirs = read::rows(target, to, &forms);
    ours.sort();
    theirs.sort();
    if ours == theirs {
        return Vec::new();
    }
    let header: Vec<&str> = forms.iter().map(|(name, _)| name.as_str()).collect();
    let mut report = vec![format!(
        "{}: {} rows on the source, {} on the target, columns {}",
        from.quoted(),
        ours.len(),
        theirs.len(),
        header.join(", ")
    )];
    report.extend(first_differences(&ours, &theirs));
    report
}

/// How many differing rows are shown.
const SHOWN: usize = 10;

fn first_differences(ours: &[TextRow], theirs: &[TextRow]) -> Vec<String> {
    let (mut i, mut j) = (0, 0);
    let mut report = Vec::new();
    while (i < ours.len() || j < theirs.len()) && report.len() < SHOWN {
        let order = match (ours.get(i), theirs.get(j)) {
            (Some(one), Some(other)) => one.cmp(other),
            (Some(_), None) => Ordering::Less,
            _ => Ordering::Greater,
        };
        match order {
            Ordering::Equal => {
                i += 1;
                j += 1;
            }
            Ordering::Less => {
                report.push(format!("  source only: {}", show(&ours[i])));
                i += 1;
            }
            Ordering::Greater => {
                report.push(format!("  target only: {}", show(&theirs[j])));
                j += 1;
            }
        }
    }
    report
}

fn show(row: &TextRow) -> String {
    let cells: Vec<String> = row
        .iter()
        .map(|cell| match cell {
            None => "NULL".to_owned(),
            Some(text) if text.chars().count() > 60 => {
                let start: String = text.chars().take(50).collect();
                format!("{start}… ({} bytes)", text.len())
            }
            Some(text) => text.clone(),
        })
        .collect();
    cells.join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> TextRow {
        cells.iter().map(|cell| Some((*cell).to_owned())).collect()
    }

    #[test]
    fn rows_of_one_side_only_are_named_and_duplicates_count() {
        let ours = [row(&["1"]), row(&["2"]), row(&["2"]), row(&["4"])];
        let theirs = [row(&["1"]), row(&["2"]), row(&["3"])];
        assert_eq!(
            first_differences(&ours, &theirs),
            ["  source only: 2", "  target only: 3", "  source only: 4"]
        );
    }
}
