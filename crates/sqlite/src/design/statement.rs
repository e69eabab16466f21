//! CREATE statements from a description.

use crossfade_model::{LogicalType, Table, TableName};

use crate::sql::names::{quote, quote_all};

/// The CREATE TABLE statement of a table that has none of its own.
pub(crate) fn create_table(table: &Table) -> String {
    let key = table.key_columns();
    let primary = table.key.as_ref().is_some_and(|k| k.primary);
    let alias = match key.as_slice() {
        [only] if primary && matches!(only.logical, LogicalType::Integer { .. }) => {
            Some(only.name.clone())
        }
        _ => None,
    };
    let mut parts: Vec<String> = table
        .columns
        .iter()
        .map(|column| {
            let mut out = quote(&column.name);
            if alias.as_ref() == Some(&column.name) {
                out.push_str(" INTEGER PRIMARY KEY");
                if column.identity.is_some() {
                    out.push_str(" AUTOINCREMENT");
                }
            } else if !column.declared.is_empty() {
                out.push(' ');
                out.push_str(&column.declared);
            }
            if !column.nullable {
                out.push_str(" NOT NULL");
            }
            if let Some(default) = &column.default {
                out.push_str(&format!(" DEFAULT {default}"));
            }
            if let Some(collation) = &column.collation {
                out.push_str(&format!(" COLLATE {collation}"));
            }
            out
        })
        .collect();
    if primary && alias.is_none() {
        parts.push(format!(
            "PRIMARY KEY ({})",
            quote_all(key.iter().map(|c| c.name.as_str()))
        ));
    }
    parts.extend(table.checks.iter().map(|c| c.definition.clone()));
    parts.extend(table.foreign_keys.iter().map(|k| k.definition.clone()));
    format!(
        "CREATE TABLE {}(\n    {}\n)",
        quote(&table.name.name),
        parts.join(",\n    ")
    )
}

/// A CREATE INDEX statement.
pub(crate) fn create_index(
    name: &str,
    table: &TableName,
    unique: bool,
    columns: &[String],
) -> String {
    format!(
        "CREATE {}INDEX {} ON {}({})",
        if unique { "UNIQUE " } else { "" },
        quote(name),
        quote(&table.name),
        quote_all(columns.iter().map(String::as_str))
    )
}

/// The unique index that is the key of a table without a primary key. SQLite keeps names that begin with `sqlite_`.
pub(crate) fn key_index(table: &Table) -> Option<String> {
    let key = table.key.as_ref().filter(|k| !k.primary)?;
    let columns: Vec<String> = table.key_columns().iter().map(|c| c.name.clone()).collect();
    let name = if key.name.to_ascii_lowercase().starts_with("sqlite_") {
        format!("{}_{}_key", table.name.name, columns.join("_"))
    } else {
        key.name.clone()
    };
    Some(create_index(&name, &table.name, true, &columns))
}
