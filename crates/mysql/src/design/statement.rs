//! CREATE statements from a description.

use crossfade_model::{Column, Table};

use crate::names::{quote, quote_all};

/// The clause of the key; `None` where the table has none.
fn key_clause(table: &Table) -> Option<String> {
    let key = table.key.as_ref()?;
    let columns = table.key_columns();
    let list = quote_all(columns.iter().map(|c| c.name.as_str()));
    Some(if key.primary {
        format!("PRIMARY KEY ({list})")
    } else {
        format!("UNIQUE KEY {} ({list})", quote(&key.name))
    })
}

fn column(column: &Column) -> String {
    let mut out = format!("{} {}", quote(&column.name), column.declared);
    if let Some(collation) = &column.collation {
        // a collation's name begins with its character set's
        let set = collation.split('_').next().unwrap_or("utf8mb4");
        out.push_str(&format!(" CHARACTER SET {set} COLLATE {collation}"));
    }
    // said also where it is the default: a `timestamp` may have another
    out.push_str(if column.nullable {
        " NULL"
    } else {
        " NOT NULL"
    });
    if column.identity.is_some() {
        out.push_str(" AUTO_INCREMENT");
    }
    if let Some(default) = column
        .default
        .as_deref()
        .filter(|d| *d != "NULL" || column.nullable)
    {
        out.push_str(&format!(" DEFAULT {default}"));
    }
    out
}

/// The statement that makes a table with its key, without its other indexes. `collation`: of texts that name none; it must tell
/// apart whatever the source tells apart.
pub(crate) fn create_table(table: &Table, collation: &str) -> String {
    let mut parts: Vec<String> = table
        .columns
        .iter()
        .filter(|c| c.generated.is_none())
        .map(column)
        .collect();
    parts.extend(key_clause(table));
    format!(
        "CREATE TABLE {} (\n  {}\n) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE {collation}",
        quote(&table.name.name),
        parts.join(",\n  ")
    )
}
