//! How a target would keep a table's columns, in comments of a migration file.

use crossfade_model::{Column, Table};
use crossfade_store::Target;

/// One line for each choice that is not plain: another name, another type and what is claimed of its values, what is counted by the
/// target, what is lost or left behind. Empty between stores of one engine.
pub fn lines(target: &dyn Target, source_engine: &str, table: &Table) -> Vec<String> {
    let mut lines = Vec::new();
    let name = target.default_name(&table.name);
    if name.name != table.name.name {
        lines.push(format!(
            "it is called {name} there, where `to` says nothing else"
        ));
    }
    if target.engine() == source_engine {
        return lines;
    }
    for column in &table.columns {
        lines.extend(column_line(target, source_engine, table, column));
    }
    lines
}

fn column_line(
    target: &dyn Target,
    source_engine: &str,
    table: &Table,
    column: &Column,
) -> Option<String> {
    let kept = target.declare(source_engine, table, column);
    let mut words = Vec::new();
    if column.generated.is_some() {
        words.push("generated: not carried, add it on the target".to_owned());
    } else {
        let from = match column.declared.as_str() {
            "" => "no type",
            declared => declared,
        };
        words.push(format!("{from} -> {}", kept.column.declared));
        words.push(kept.canonical.claim().to_owned());
        if kept.column.name != column.name {
            words.push(format!("called {}", kept.column.name));
        }
        if kept.column.identity.is_some() {
            words.push("counted by the target".to_owned());
        }
        if let Some(lossy) = &kept.lossy {
            words.push(format!("LOSSY: {lossy}"));
        }
        words.extend(
            kept.omissions
                .iter()
                .map(|o| format!("{}: {}", o.kind, o.why)),
        );
    }
    // comments have one line each
    let line = format!("{}: {}", column.name, words.join("; "));
    Some(
        line.chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crossfade_model::{LogicalType, TableName};
    use crossfade_mysql::MysqlStore;

    use super::*;

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

    #[test]
    fn every_choice_between_engines_has_its_line() {
        let table = Table {
            name: TableName {
                schema: Some("crm".to_owned()),
                name: "t".to_owned(),
            },
            columns: vec![
                column("n", "numeric(12,2)", LogicalType::Decimal),
                column("line\nbreak", "boolean", LogicalType::Boolean),
            ],
            key: None,
            full_before_images: false,
            indexes: Vec::new(),
            foreign_keys: Vec::new(),
            checks: Vec::new(),
            partition_by: None,
            partitions: Vec::new(),
            estimated_rows: 0,
            estimated_bytes: 0,
            definition: None,
        };
        let target = MysqlStore::open("mysql://u@localhost/d").unwrap();
        assert_eq!(
            lines(&target, "postgres", &table),
            [
                "it is called crm_t there, where `to` says nothing else",
                "n: numeric(12,2) -> decimal(12,2); equal as decimal",
                "line break: boolean -> tinyint(1); equal as boolean",
            ]
        );
        assert_eq!(lines(&target, "mysql", &table).len(), 1);
    }
}
