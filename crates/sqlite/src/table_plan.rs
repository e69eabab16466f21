//! How one mapping is written: statements and conversions, made once per connection.

use crossfade_store::slice::{self, SliceDialect};
use crossfade_store::{ErrorKind, Result, StoreError};
use rusqlite::{Connection, Statement};

use crossfade_model::{Cell, Column, LogicalType, TableMapping};

use crate::affinity::Affinity;
use crate::cells::{Conversion, conversions, convert, has_moment, spelled};
use crate::conn::Place;
use crate::key_sql::{self, KeyColumn};
use crate::sql::names::{quote, quote_all, same_name};
use crate::table_info::{self, IndexInfo, TableInfo};

/// The statements of a table.
pub(crate) struct TablePlan {
    pub place: Place,
    /// The table's name here.
    pub table: String,
    /// The condition of the rows that are this mapping's, where others are there too.
    pub own: Option<String>,
    /// Target columns, in mapping order.
    pub columns: Vec<String>,
    pub conversions: Vec<Conversion>,
    /// Places of the key's columns in a row; empty without a key.
    pub key_places: Vec<usize>,
    pub key: Vec<KeyColumn>,
    pub key_logical: Vec<LogicalType>,
    pub insert: String,
    /// Empty without a key.
    pub upsert: String,
    pub delete: String,
    pub select: String,
    /// The rows whose key the index holds equal.
    pub select_held: String,
    /// Gives a key that is spelled otherwise the spelling of parameters 1 and on; only where times identify rows.
    pub respell: Option<String>,
    /// Deletes at most a number of rows equal in every column; empty with a key.
    pub delete_equal: String,
}

/// The target's unique index over exactly the key's columns, with its collations in the key's order. The outer `None`: there
/// is no such index.
pub(crate) fn find_key(info: &TableInfo, names: &[&str]) -> Option<Vec<KeyColumn>> {
    if let ([only], Some(alias)) = (names, info.rowid_alias())
        && same_name(only, &alias.name)
    {
        return Some(vec![KeyColumn {
            name: alias.name.clone(),
            collation: "BINARY".to_owned(),
            column_collation: alias.collation.clone(),
        }]);
    }
    let index = info.indexes.iter().find(|i| covers_exactly(i, names))?;
    names
        .iter()
        .map(|name| {
            let part = index
                .columns
                .iter()
                .find(|c| c.name.as_deref().is_some_and(|n| same_name(n, name)))?;
            Some(KeyColumn {
                name: (*name).to_owned(),
                collation: part.collation.clone(),
                column_collation: info.column(name)?.collation.clone(),
            })
        })
        .collect()
}

fn covers_exactly(index: &IndexInfo, names: &[&str]) -> bool {
    index.unique
        && !index.partial
        && !index.has_expression()
        && index.columns.len() == names.len()
        && names.iter().all(|name| {
            index
                .columns
                .iter()
                .any(|c| c.name.as_deref().is_some_and(|n| same_name(n, name)))
        })
}

impl TablePlan {
    /// Looks the target table up and writes its statements.
    pub fn new(conn: &Connection, place: &Place, mapping: &TableMapping) -> Result<TablePlan> {
        let name = &mapping.target.name.name;
        let failed = place.failed("cannot read the target table's definition");
        let info = table_info::read(conn, name)
            .map_err(|e| failed(e).table(name))?
            .ok_or_else(|| {
                place
                    .error(ErrorKind::Missing, "sqlite.table", "there is no such table")
                    .table(name)
            })?;
        let names = mapping.target_key_names();
        let key = if names.is_empty() {
            Vec::new()
        } else {
            find_key(&info, &names).ok_or_else(|| {
                place
                    .error(
                        ErrorKind::SchemaMismatch,
                        "sqlite.target_key",
                        format!(
                            "there is no unique index over exactly ({})",
                            names.join(", ")
                        ),
                    )
                    .table(name)
                    .fix("Create the unique index, or let crossfade make the table")
            })?
        };
        let columns: Vec<String> = mapping.columns.iter().map(|c| c.target.clone()).collect();
        let table = quote(name);
        let insert = insert_sql(&table, &columns);
        let conversions = conversions(mapping);
        Ok(TablePlan {
            upsert: upsert_sql(&insert, &info, &columns, &key),
            delete: format!("DELETE FROM {table} WHERE {}", key_sql::equals(&key, 1)),
            select: format!(
                "SELECT {} FROM {table} WHERE {}",
                quote_all(columns.iter().map(String::as_str)),
                key_sql::equals(&key, 1)
            ),
            select_held: format!(
                "SELECT {} FROM {table} WHERE {}",
                quote_all(columns.iter().map(String::as_str)),
                key_sql::held(&key, 1)
            ),
            respell: has_moment(&conversions, mapping.source.key_places())
                .then(|| respell_sql(&table, &key)),
            delete_equal: delete_equal_sql(&table, &info, &columns),
            insert,
            place: place.clone(),
            table: name.clone(),
            conversions,
            key_places: mapping.source.key_places().to_vec(),
            key_logical: mapping.key_logical(),
            own: slice::condition(mapping, &place.label, &Words)?,
            key,
            columns,
        })
    }

    /// Binds a row's key in the spelling that is written here, and behind it in one with so many digits of each time's seconds; false where that
    /// is no other.
    pub fn bind_respelled(
        &self,
        statement: &mut Statement<'_>,
        row: &[Cell],
        digits: usize,
    ) -> Result<bool> {
        let mut is_other = false;
        for (n, &place) in self.key_places.iter().enumerate() {
            let (cell, conversion) = row
                .get(place)
                .zip(self.conversions.get(place).copied())
                .ok_or_else(|| self.unfit(place))?;
            let value = convert(conversion, cell).map_err(|_| self.unfit(place))?;
            let behind = n + 1 + self.key_places.len();
            let failed = |e| self.row_failed(e);
            match spelled(conversion, &value, digits) {
                Some(text) => {
                    is_other = true;
                    statement.raw_bind_parameter(behind, text).map_err(failed)?;
                }
                None => statement
                    .raw_bind_parameter(behind, &value)
                    .map_err(failed)?,
            }
            statement.raw_bind_parameter(n + 1, value).map_err(failed)?;
        }
        Ok(is_other)
    }

    /// Binds the cells of these places, from parameter 1 on.
    pub fn bind(
        &self,
        statement: &mut Statement<'_>,
        row: &[Cell],
        places: impl Iterator<Item = usize>,
    ) -> Result<()> {
        for (n, place) in places.enumerate() {
            let conversion = self.conversions.get(place).copied();
            let value = row
                .get(place)
                .zip(conversion)
                .and_then(|(cell, conversion)| convert(conversion, cell).ok())
                .ok_or_else(|| self.unfit(place))?;
            statement
                .raw_bind_parameter(n + 1, value)
                .map_err(|e| self.row_failed(e))?;
        }
        Ok(())
    }

    /// A value does not fit its column.
    pub fn unfit(&self, place: usize) -> StoreError {
        let column = self.columns.get(place).map_or("?", String::as_str);
        self.place
            .error(
                ErrorKind::RowRefused,
                "sqlite.value",
                format!("a value of column {column} is not of the column's type"),
            )
            .table(&self.table)
    }

    /// A row was refused. Names the key's columns, never values.
    pub fn row_failed(&self, error: rusqlite::Error) -> StoreError {
        let names: Vec<&str> = self.key.iter().map(|k| k.name.as_str()).collect();
        let what = if names.is_empty() {
            "cannot write a row".to_owned()
        } else {
            format!("cannot write a row (key columns {})", names.join(", "))
        };
        self.place.failed(&what)(error).table(&self.table)
    }
}

/// How conditions on rows are written here.
pub(crate) struct Words;

impl SliceDialect for Words {
    fn column(&self, column: &Column) -> String {
        quote(&column.name)
    }

    fn text(&self, column: &Column) -> String {
        format!("CAST({} AS TEXT) COLLATE BINARY", quote(&column.name))
    }

    fn text_literal(&self, text: &str) -> String {
        format!("'{}'", text.replace('\'', "''"))
    }

    fn boolean(&self, value: bool) -> &'static str {
        if value { "1" } else { "0" }
    }
}

fn insert_sql(table: &str, columns: &[String]) -> String {
    let marks: Vec<String> = (1..=columns.len()).map(|n| format!("?{n}")).collect();
    format!(
        "INSERT INTO {table}({}) VALUES ({})",
        quote_all(columns.iter().map(String::as_str)),
        marks.join(", ")
    )
}

/// Never REPLACE: it deletes whatever is in the way.
fn upsert_sql(insert: &str, info: &TableInfo, columns: &[String], key: &[KeyColumn]) -> String {
    if key.is_empty() {
        return String::new();
    }
    let on: Vec<String> = key.iter().map(|k| k.collated(&k.collation)).collect();
    let set: Vec<String> = columns
        .iter()
        .filter(|name| !is_exact_key(info, key, name))
        .map(|name| format!("{0} = excluded.{0}", quote(name)))
        .collect();
    let action = if set.is_empty() {
        "NOTHING".to_owned()
    } else {
        format!("UPDATE SET {}", set.join(", "))
    };
    format!("{insert} ON CONFLICT ({}) DO {action}", on.join(", "))
}

/// A key column in which equal values are the same bytes: writing it again changes nothing.
fn is_exact_key(info: &TableInfo, key: &[KeyColumn], name: &str) -> bool {
    key.iter()
        .any(|k| same_name(&k.name, name) && same_name(&k.collation, "BINARY"))
        && info
            .column(name)
            .is_some_and(|c| c.affinity != Affinity::Blob)
}

fn respell_sql(table: &str, key: &[KeyColumn]) -> String {
    let set: Vec<String> = key
        .iter()
        .enumerate()
        .map(|(n, column)| format!("{} = ?{}", quote(&column.name), n + 1))
        .collect();
    format!(
        "UPDATE {table} SET {} WHERE {}",
        set.join(", "),
        key_sql::equals(key, key.len() + 1)
    )
}

fn delete_equal_sql(table: &str, info: &TableInfo, columns: &[String]) -> String {
    let Some(rowid) = info.rowid_name() else {
        return String::new();
    };
    let equal: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(n, name)| format!("{} COLLATE BINARY IS ?{}", quote(name), n + 1))
        .collect();
    format!(
        "DELETE FROM {table} WHERE {rowid} IN (SELECT {rowid} FROM {table} WHERE {} LIMIT ?{})",
        equal.join(" AND "),
        columns.len() + 1
    )
}
