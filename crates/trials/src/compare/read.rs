//! Tables, columns and rows, read in the plainest way.

use super::{Form, TableName, quote};
use crate::database::{Database, Dialect, TextRow};

/// A column as its database describes it.
#[derive(Debug, Clone)]
pub struct Column {
    /// The name.
    pub name: String,
    /// The type: PostgreSQL's and MySQL's name without length, that below a domain; SQLite's declared text.
    pub kind: String,
    /// Computed by the database.
    pub generated: bool,
    /// Whose type it is.
    pub dialect: Dialect,
}

/// The tables of the application: neither the engine's nor crossfade's own.
#[must_use]
pub fn tables(database: &Database) -> Vec<TableName> {
    let sql = match database.dialect() {
        Dialect::Postgres => {
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
               AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'crossfade')
               AND n.nspname NOT LIKE 'pg\\_%'"
        }
        Dialect::Mysql => {
            "SELECT NULL, TABLE_NAME FROM information_schema.TABLES
             WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE' AND TABLE_NAME NOT LIKE '|_crossfade|_%' ESCAPE '|'"
        }
        Dialect::Sqlite => {
            "SELECT NULL, name FROM sqlite_master WHERE type = 'table'
               AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_crossfade\\_%' ESCAPE '\\'"
        }
    };
    let mut tables: Vec<TableName> = database
        .rows(sql)
        .into_iter()
        .map(|mut row| {
            let name = row.pop().flatten().expect("a table has a name");
            TableName {
                schema: row.pop().flatten(),
                name,
            }
        })
        .collect();
    // names that differ in case alone may come in any order
    tables.sort();
    tables
}

/// A table's columns in order, generated ones too; none where there is no such table.
#[must_use]
pub fn columns(database: &Database, table: &TableName) -> Vec<Column> {
    let dialect = database.dialect();
    let sql = match dialect {
        Dialect::Postgres => format!(
            "SELECT a.attname,
                    format_type(CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END, NULL),
                    a.attgenerated <> ''
             FROM pg_attribute a
             JOIN pg_class c ON c.oid = a.attrelid
             JOIN pg_namespace n ON n.oid = c.relnamespace
             JOIN pg_type t ON t.oid = a.atttypid
             WHERE n.nspname = {} AND c.relname = {} AND a.attnum > 0 AND NOT a.attisdropped
             ORDER BY a.attnum",
            literal(table.schema.as_deref().unwrap_or("public")),
            literal(&table.name)
        ),
        Dialect::Mysql => format!(
            "SELECT COLUMN_NAME, DATA_TYPE, CASE WHEN EXTRA LIKE '%GENERATED' THEN 't' END FROM information_schema.COLUMNS
             WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = {} ORDER BY ORDINAL_POSITION",
            literal(&table.name)
        ),
        Dialect::Sqlite => format!(
            "SELECT name, type, CASE WHEN hidden IN (2, 3) THEN 't' END FROM pragma_table_xinfo({}) WHERE hidden <> 1 ORDER BY cid",
            literal(&table.name)
        ),
    };
    database
        .rows(&sql)
        .into_iter()
        .map(|mut row| Column {
            generated: row.pop().flatten().is_some_and(|text| text == "t"),
            kind: row.pop().flatten().unwrap_or_default(),
            name: row.pop().flatten().expect("a column has a name"),
            dialect,
        })
        .collect()
}

/// All rows of a table, each value in its column's form.
pub(super) fn rows(
    database: &Database,
    table: &TableName,
    forms: &[(String, Form)],
) -> Vec<TextRow> {
    let columns: Vec<String> = forms.iter().map(|(name, _)| quote(name)).collect();
    let sql = format!("SELECT {} FROM {}", columns.join(", "), table.quoted());
    match database {
        Database::Postgres(postgres) => {
            let mut rows = postgres.rows(&sql);
            for row in &mut rows {
                for (cell, (_, form)) in row.iter_mut().zip(forms) {
                    if let Some(text) = cell {
                        *text = form.of_postgres(text);
                    }
                }
            }
            rows
        }
        Database::Mysql(mysql) => {
            let rows = mysql
                .session()
                .rows(&sql)
                .unwrap_or_else(|error| panic!("{error}\nin: {sql}"));
            let written = |row: Vec<Option<Vec<u8>>>| {
                let cells = row.into_iter().zip(forms);
                cells
                    .map(|(cell, (_, form))| cell.map(|bytes| form.of_mysql(&bytes)))
                    .collect()
            };
            rows.into_iter().map(written).collect()
        }
        Database::Sqlite(sqlite) => {
            let connection = sqlite.connect();
            let mut statement = connection
                .prepare(&sql)
                .unwrap_or_else(|error| panic!("{error}\nin: {sql}"));
            let mut rows = statement.query([]).expect("no parameters");
            let mut all = Vec::new();
            while let Some(row) = rows.next().expect("a readable table") {
                all.push(
                    forms
                        .iter()
                        .enumerate()
                        .map(|(i, (_, form))| {
                            form.of_sqlite(row.get_ref(i).expect("a column of the row"))
                        })
                        .collect(),
                );
            }
            all
        }
    }
}

/// A text for SQL.
#[must_use]
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
