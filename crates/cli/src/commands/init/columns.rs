//! What becomes of a table's columns on a target of another engine, as comments of the written file.

use std::collections::BTreeSet;

use crossfade_model::{Canonical, Column, LogicalType, Table};
use crossfade_store::{Custom, DeclaredColumn, Target};

use super::quoted;

/// Columns that one line names at most.
const MOST_NAMES: usize = 6;

/// What is said of a table, each with the columns that it is said of.
#[derive(Debug, Default)]
pub(super) struct Said(Vec<(String, Vec<String>)>);

impl Said {
    pub(super) fn of_table(&mut self, what: String) {
        self.0.push((what, Vec::new()));
    }

    /// Adds a column to those of which the same is said.
    pub(super) fn of_column(&mut self, what: String, column: &str) {
        let name = quoted(column);
        let same =
            |(other, names): &&mut (String, Vec<String>)| *other == what && !names.is_empty();
        match self.0.iter_mut().find(same) {
            Some((_, names)) => names.push(name),
            None => self.0.push((what, vec![name])),
        }
    }

    pub(super) fn lines(self) -> Vec<String> {
        self.0.into_iter().map(line).collect()
    }
}

/// What becomes of the columns of a table that the target makes. `made`: columns of which the file says it.
pub(super) fn remarks(
    source_engine: &str,
    target: &dyn Target,
    table: &Table,
    made: &BTreeSet<&str>,
    said: &mut Said,
) {
    let custom = target.custom();
    for column in &table.columns {
        let declared = target.declare(source_engine, table, column);
        if column.generated.is_none() && !made.contains(column.name.as_str()) {
            kept(column, &declared, &custom, said);
        }
        for omission in &declared.omissions {
            let what = format!("{} not carried: {}", omission.kind, omission.why);
            said.of_column(what, &column.name);
        }
    }
}

/// What is said of a column's type, values and counter.
fn kept(column: &Column, declared: &DeclaredColumn, custom: &Custom, said: &mut Said) {
    let there = &declared.column;
    let mut say = |what: String| said.of_column(what, &column.name);
    if let Some(why) = &declared.lossy {
        say(format!("LOSSY, `plan` refuses it: {why}"));
    } else if !there.declared.eq_ignore_ascii_case(&column.declared) {
        say(format!(
            "{} becomes {}, {}",
            shown(&column.declared),
            shown(&there.declared),
            claim(declared.canonical)
        ));
    }
    if column.logical == LogicalType::Json && !custom.json.is_empty() {
        say(custom.json.to_owned());
    }
    if let Some(what) = &declared.refuses {
        say(format!("a run stops at: {what}"));
    }
    if there.identity.is_some() {
        say(format!("counts by itself there too ({})", custom.counter));
    }
}

fn claim(canonical: Canonical) -> &'static str {
    match canonical {
        Canonical::Exact => "exact",
        class => class.claim(),
    }
}

/// A declared type in one line.
pub(super) fn shown(declared: &str) -> String {
    if declared.is_empty() {
        "no type".to_owned()
    } else {
        declared
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect()
    }
}

fn line((what, names): (String, Vec<String>)) -> String {
    if names.is_empty() {
        return what;
    }
    let shown = names[..names.len().min(MOST_NAMES)].join(", ");
    match names.len().saturating_sub(MOST_NAMES) {
        0 => format!("{shown}: {what}"),
        more => format!("{shown} and {more} more: {what}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::commands::init::testkit::{column, table};
    use crossfade_model::Identity;
    use crossfade_mysql::MysqlStore;
    use crossfade_postgres::PostgresStore;
    use crossfade_sqlite::{Role, SqliteStore};

    fn remarks(source_engine: &str, target: &dyn Target, table: &Table) -> Vec<String> {
        let mut said = Said::default();
        super::remarks(source_engine, target, table, &BTreeSet::new(), &mut said);
        said.lines()
    }

    fn from_mysql() -> Table {
        table(
            "t",
            vec![
                Column {
                    identity: Some(Identity { always: false }),
                    ..column("id", "int", LogicalType::Integer { bits: 32 })
                },
                column("big", "bigint unsigned", LogicalType::Decimal),
                column("other", "bigint unsigned", LogicalType::Decimal),
                column("at", "datetime(6)", LogicalType::Timestamp),
                column("doc", "json", LogicalType::Json),
                Column {
                    default: Some("(uuid())".to_owned()),
                    ..column(&"long".repeat(20), "varchar(20)", LogicalType::Text)
                },
            ],
        )
    }

    #[test]
    fn every_choice_is_said_once() {
        let target = PostgresStore::open("postgres://u@localhost/d").unwrap();
        let lines = remarks("mysql", &target, &from_mysql());
        let has = |part: &str| lines.iter().filter(|l| l.contains(part)).count();
        assert_eq!(
            has("int becomes integer, equal as integer"),
            1,
            "{lines:#?}"
        );
        assert_eq!(
            has("\"id\": counts by itself there too (GENERATED BY DEFAULT AS IDENTITY)"),
            1,
            "{lines:#?}"
        );
        assert_eq!(
            has("\"big\", \"other\": bigint unsigned becomes numeric, equal as decimal"),
            1,
            "{lines:#?}"
        );
        assert_eq!(has("\"at\": a run stops at: zero dates"), 1, "{lines:#?}");
        assert_eq!(has("default not carried"), 1, "{lines:#?}");
        assert_eq!(
            has("\"doc\": json keeps the text as it is"),
            1,
            "{lines:#?}"
        );
    }

    #[test]
    fn what_is_lossy_stands_out() {
        let any = table(
            "t",
            vec![
                column("id", "INTEGER", LogicalType::Integer { bits: 64 }),
                column("x", "", LogicalType::Any),
            ],
        );
        let mysql = MysqlStore::open("mysql://u@localhost/d").unwrap();
        let lines = remarks("sqlite", &mysql, &any);
        assert!(
            lines.iter().any(|l| l.starts_with("\"x\": LOSSY")),
            "{lines:#?}"
        );
        let file = std::env::temp_dir().join("crossfade-no-such-file.db");
        let sqlite =
            SqliteStore::open(&format!("sqlite:{}", file.display()), Role::Target).unwrap();
        let lines = remarks("mysql", &sqlite, &from_mysql());
        assert!(
            lines
                .iter()
                .any(|l| l.contains("bigint unsigned becomes TEXT")),
            "{lines:#?}"
        );
    }
}
