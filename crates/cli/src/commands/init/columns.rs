//! What becomes of a table's columns on a target of another engine, as comments of the written file.

use crossfade_model::{Canonical, Column, Table};
use crossfade_store::{DeclaredColumn, Target};

use super::quoted;

/// Columns that one line names at most.
const MOST_NAMES: usize = 6;

/// Lines of one meaning, and the columns that they are said of.
type Said = Vec<(String, Vec<String>)>;

/// The comment's lines, without `#`; none where both sides are of one engine, which keeps every column as it is.
pub(super) fn remarks(source_engine: &str, target: &dyn Target, table: &Table) -> Vec<String> {
    if source_engine == target.engine() {
        return Vec::new();
    }
    let mut said = Said::new();
    let default = target.default_name(&table.name);
    if default.name != table.name.name {
        let named = format!("the table's name is {} there", quoted(&default.to_string()));
        said.push((named, Vec::new()));
    }
    let mut say = |what: String, column: &Column| add(&mut said, what, column);
    for column in &table.columns {
        let declared = target.declare(source_engine, table, column);
        if column.generated.is_none() {
            kept(column, &declared, &mut say);
        }
        for omission in &declared.omissions {
            say(
                format!("{} not carried: {}", omission.kind, omission.why),
                column,
            );
        }
    }
    said.into_iter().map(line).collect()
}

/// Adds a column to those of which the same is said.
fn add(said: &mut Said, what: String, column: &Column) {
    let name = quoted(&column.name);
    match said.iter_mut().find(|(other, _)| *other == what) {
        Some((_, names)) => names.push(name),
        None => said.push((what, vec![name])),
    }
}

/// What is said of a column's type, values, counter and name.
fn kept(column: &Column, declared: &DeclaredColumn, say: &mut dyn FnMut(String, &Column)) {
    let there = &declared.column;
    if let Some(why) = &declared.lossy {
        say(format!("LOSSY, `plan` refuses it: {why}"), column);
    } else if !there.declared.eq_ignore_ascii_case(&column.declared) {
        say(
            format!(
                "{} becomes {}, {}",
                shown(&column.declared),
                shown(&there.declared),
                claim(declared.canonical)
            ),
            column,
        );
    }
    if let Some(what) = &declared.refuses {
        say(format!("a run stops at: {what}"), column);
    }
    if there.identity.is_some() {
        say("goes on counting by itself".to_owned(), column);
    }
    if there.name != column.name {
        say(format!("is named {} there", quoted(&there.name)), column);
    }
}

fn claim(canonical: Canonical) -> &'static str {
    match canonical {
        Canonical::Exact => "exact",
        class => class.claim(),
    }
}

/// A declared type in one line.
fn shown(declared: &str) -> String {
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
    use crossfade_model::{Identity, KeyOrder, LogicalType, TableKey, TableName};
    use crossfade_mysql::MysqlStore;
    use crossfade_postgres::PostgresStore;
    use crossfade_sqlite::{Role, SqliteStore};

    fn table(columns: Vec<Column>) -> Table {
        Table {
            name: TableName {
                schema: None,
                name: "t".to_owned(),
            },
            columns,
            key: Some(TableKey {
                name: "k".to_owned(),
                columns: vec![0],
                primary: true,
                order: KeyOrder::Ordered,
            }),
            full_before_images: false,
            indexes: Vec::new(),
            foreign_keys: Vec::new(),
            checks: Vec::new(),
            partition_by: None,
            partitions: Vec::new(),
            estimated_rows: 0,
            estimated_bytes: 0,
            definition: None,
        }
    }

    fn column(name: &str, declared: &str, logical: LogicalType) -> Column {
        Column {
            name: name.to_owned(),
            logical,
            declared: declared.to_owned(),
            nullable: true,
            default: None,
            generated: None,
            identity: None,
            collation: None,
        }
    }

    fn from_mysql() -> Table {
        table(vec![
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
        ])
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
        assert_eq!(has("\"id\": goes on counting by itself"), 1, "{lines:#?}");
        assert_eq!(
            has("\"big\", \"other\": bigint unsigned becomes numeric, equal as decimal"),
            1,
            "{lines:#?}"
        );
        assert_eq!(has("\"at\": a run stops at: zero dates"), 1, "{lines:#?}");
        assert_eq!(has("is named \"longlong"), 1, "{lines:#?}");
        assert_eq!(has("default not carried"), 1, "{lines:#?}");
        assert_eq!(has("\"doc\""), 0, "json stays json: {lines:#?}");
    }

    #[test]
    fn what_is_lossy_stands_out_and_one_engine_needs_no_words() {
        let any = table(vec![
            column("id", "INTEGER", LogicalType::Integer { bits: 64 }),
            column("x", "", LogicalType::Any),
        ]);
        let mysql = MysqlStore::open("mysql://u@localhost/d").unwrap();
        let lines = remarks("sqlite", &mysql, &any);
        assert!(
            lines.iter().any(|l| l.starts_with("\"x\": LOSSY")),
            "{lines:#?}"
        );
        let file = std::env::temp_dir().join("crossfade-no-such-file.db");
        let sqlite =
            SqliteStore::open(&format!("sqlite:{}", file.display()), Role::Target).unwrap();
        assert!(remarks("sqlite", &sqlite, &any).is_empty());
        let lines = remarks("mysql", &sqlite, &from_mysql());
        assert!(
            lines
                .iter()
                .any(|l| l.contains("bigint unsigned becomes TEXT")),
            "{lines:#?}"
        );
    }
}
