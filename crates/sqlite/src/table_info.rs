//! A table as SQLite's own catalogue shows it.

use crossfade_model::TableName;
use rusqlite::{Connection, OptionalExtension as _, Result};

use crate::affinity::{Affinity, affinity};
use crate::sql::names::same_name;

/// Prefix of everything that crossfade makes in a file.
pub(crate) const OWN_PREFIX: &str = "_crossfade_";

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnInfo {
    pub name: String,
    pub declared: String,
    pub not_null: bool,
    pub default: Option<String>,
    /// Its place in the primary key, from 1; 0: not in it.
    pub pk: i64,
    /// Generated: computed when read, or stored.
    pub generated: Option<bool>,
    pub collation: String,
    pub affinity: Affinity,
    pub autoincrement: bool,
}

/// A column of an index. `name` is `None` for an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexColumn {
    pub name: Option<String>,
    pub descending: bool,
    pub collation: String,
}

/// An index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexInfo {
    pub name: String,
    pub unique: bool,
    /// `c`: CREATE INDEX, `u`: UNIQUE constraint, `pk`: primary key.
    pub origin: String,
    pub partial: bool,
    pub sql: Option<String>,
    pub columns: Vec<IndexColumn>,
}

impl IndexInfo {
    pub fn has_expression(&self) -> bool {
        self.columns.iter().any(|c| c.name.is_none())
    }
}

/// What identifies a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyInfo {
    /// Name of the index; empty for the rowid and a table without rowid.
    pub index: String,
    /// Columns, with the collation by which the key is unique.
    pub columns: Vec<(String, String)>,
    pub primary: bool,
}

impl KeyInfo {
    pub fn is_binary(&self) -> bool {
        self.columns.iter().all(|(_, c)| same_name(c, "BINARY"))
    }
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableInfo {
    pub name: String,
    pub sql: String,
    pub without_rowid: bool,
    pub strict: bool,
    pub columns: Vec<ColumnInfo>,
    pub indexes: Vec<IndexInfo>,
}

impl TableInfo {
    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&ColumnInfo> {
        self.columns.iter().find(|c| same_name(&c.name, name))
    }

    /// Columns that are copied.
    pub fn captured(&self) -> impl Iterator<Item = &ColumnInfo> {
        self.columns.iter().filter(|c| c.generated.is_none())
    }

    /// The primary key's columns, in key order.
    pub fn primary_key(&self) -> Vec<&ColumnInfo> {
        let mut columns: Vec<&ColumnInfo> = self.columns.iter().filter(|c| c.pk > 0).collect();
        columns.sort_by_key(|c| c.pk);
        columns
    }

    /// The column that is the rowid's name: a primary key of one column that is declared INTEGER and needs no index.
    pub fn rowid_alias(&self) -> Option<&ColumnInfo> {
        let key = self.primary_key();
        let indexed = self.indexes.iter().any(|i| i.origin == "pk");
        match key.as_slice() {
            [only]
                if !self.without_rowid
                    && !indexed
                    && only.declared.eq_ignore_ascii_case("INTEGER") =>
            {
                Some(only)
            }
            _ => None,
        }
    }

    /// A name of the rowid that no column hides.
    pub fn rowid_name(&self) -> Option<&'static str> {
        if self.without_rowid {
            return None;
        }
        ["rowid", "_rowid_", "oid"]
            .into_iter()
            .find(|name| self.column(name).is_none())
    }

    /// What identifies a row: the primary key, or else a unique index, over columns that cannot be NULL.
    pub fn key(&self) -> Option<KeyInfo> {
        if let Some(alias) = self.rowid_alias() {
            return Some(KeyInfo {
                index: String::new(),
                columns: vec![(alias.name.clone(), "BINARY".to_owned())],
                primary: true,
            });
        }
        let mut candidates: Vec<&IndexInfo> =
            self.indexes.iter().filter(|i| self.can_be_key(i)).collect();
        candidates.sort_by_key(|i| (i.origin != "pk", i.columns.len(), i.name.clone()));
        let index = candidates.first()?;
        let primary = index.origin == "pk";
        Some(KeyInfo {
            index: index.name.clone(),
            columns: index
                .columns
                .iter()
                .filter_map(|c| Some((c.name.clone()?, c.collation.clone())))
                .collect(),
            primary,
        })
    }

    fn can_be_key(&self, index: &IndexInfo) -> bool {
        index.unique
            && !index.partial
            && index.columns.iter().all(|c| {
                c.name
                    .as_deref()
                    .and_then(|name| self.column(name))
                    .is_some_and(|c| c.not_null && c.generated.is_none())
            })
    }

    /// The key's columns that may be NULL, where that is what keeps the table from having a key.
    pub fn nullable_key_columns(&self) -> Vec<&str> {
        self.indexes
            .iter()
            .filter(|i| i.unique && !i.partial && !i.has_expression())
            .flat_map(|i| &i.columns)
            .filter_map(|c| self.column(c.name.as_deref()?))
            .filter(|c| !c.not_null)
            .map(|c| c.name.as_str())
            .collect()
    }

    /// The unique indexes, as texts that differ where what they hold unique does.
    pub fn unique_indexes(&self) -> Vec<String> {
        let mut unique: Vec<String> = self
            .indexes
            .iter()
            .filter(|i| i.unique)
            .map(|i| {
                let columns: Vec<String> = i
                    .columns
                    .iter()
                    .map(|c| format!("{} {}", c.name.as_deref().unwrap_or_default(), c.collation))
                    .collect();
                let sql = i.sql.as_deref().unwrap_or_default();
                format!("{}\n{}\n{sql}", i.name, columns.join(","))
            })
            .collect();
        unique.sort();
        unique
    }

    /// Names of the key's columns; empty without a key.
    pub fn key_names(&self) -> Vec<String> {
        self.key().map_or_else(Vec::new, |key| {
            key.columns.into_iter().map(|(name, _)| name).collect()
        })
    }

    pub fn table_name(&self) -> TableName {
        TableName {
            schema: None,
            name: self.name.clone(),
        }
    }
}

/// Reads a table's entry; `None` where there is no ordinary table of this name. Names are found whatever their ASCII case.
pub(crate) fn read(conn: &Connection, name: &str) -> Result<Option<TableInfo>> {
    let listed = conn
        .query_row(
            "SELECT l.name, l.wr, l.strict, m.sql FROM pragma_table_list l
             JOIN sqlite_master m ON m.type = 'table' AND m.name = l.name
             WHERE l.schema = 'main' AND l.type = 'table' AND l.name = ?1 COLLATE NOCASE",
            [name],
            |r| {
                Ok((
                    r.get::<_, String>(0)?,
                    r.get::<_, bool>(1)?,
                    r.get::<_, bool>(2)?,
                    r.get::<_, Option<String>>(3)?,
                ))
            },
        )
        .optional()?;
    let Some((name, without_rowid, strict, sql)) = listed else {
        return Ok(None);
    };
    let columns = read_columns(conn, &name, without_rowid || strict, strict)?;
    let indexes = read_indexes(conn, &name)?;
    let mut table = TableInfo {
        name,
        sql: sql.unwrap_or_default(),
        without_rowid,
        strict,
        columns,
        indexes,
    };
    let alias = table.rowid_alias().map(|c| c.name.clone());
    for column in &mut table.columns {
        if alias.as_deref() == Some(&column.name) {
            column.not_null = true;
        }
    }
    Ok(Some(table))
}

fn read_columns(
    conn: &Connection,
    table: &str,
    key_not_null: bool,
    strict: bool,
) -> Result<Vec<ColumnInfo>> {
    let mut statement = conn.prepare_cached(
        "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1) ORDER BY cid",
    )?;
    let mut rows = statement.query([table])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let declared: String = row.get::<_, Option<String>>(1)?.unwrap_or_default();
        let pk: i64 = row.get(4)?;
        // generated columns have hidden = 2 (virtual) or 3 (stored)
        let generated = match row.get::<_, i64>(5)? {
            2 => Some(false),
            3 => Some(true),
            _ => None,
        };
        let (_, collation, _, _, autoincrement) =
            conn.column_metadata(Some("main"), table, name.as_str())?;
        let collation = collation
            .and_then(|c| c.to_str().ok())
            .unwrap_or("BINARY")
            .to_owned();
        out.push(ColumnInfo {
            affinity: affinity(&declared, strict),
            not_null: row.get::<_, bool>(2)? || (pk > 0 && key_not_null),
            default: row.get(3)?,
            pk,
            generated,
            collation,
            autoincrement,
            declared,
            name,
        });
    }
    Ok(out)
}

fn read_indexes(conn: &Connection, table: &str) -> Result<Vec<IndexInfo>> {
    let mut statement = conn.prepare_cached(
        "SELECT l.name, l.\"unique\", l.origin, l.partial, m.sql FROM pragma_index_list(?1) l
         LEFT JOIN sqlite_master m ON m.type = 'index' AND m.name = l.name ORDER BY l.seq DESC",
    )?;
    let mut out: Vec<IndexInfo> = statement
        .query_map([table], |r| {
            Ok(IndexInfo {
                name: r.get(0)?,
                unique: r.get(1)?,
                origin: r.get(2)?,
                partial: r.get(3)?,
                sql: r.get(4)?,
                columns: Vec::new(),
            })
        })?
        .collect::<Result<_>>()?;
    let mut columns = conn.prepare_cached(
        "SELECT name, \"desc\", coll FROM pragma_index_xinfo(?1) WHERE key = 1 ORDER BY seqno",
    )?;
    for index in &mut out {
        index.columns = columns
            .query_map([&index.name], |r| {
                Ok(IndexColumn {
                    name: r.get(0)?,
                    descending: r.get(1)?,
                    collation: r
                        .get::<_, Option<String>>(2)?
                        .unwrap_or_else(|| "BINARY".to_owned()),
                })
            })?
            .collect::<Result<_>>()?;
    }
    Ok(out)
}

/// Names of the ordinary tables of applications.
pub(crate) fn application_tables(conn: &Connection) -> Result<Vec<String>> {
    let mut statement = conn.prepare_cached(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' ORDER BY name",
    )?;
    let names: Vec<String> = statement
        .query_map([], |r| r.get(0))?
        .collect::<Result<_>>()?;
    Ok(names.into_iter().filter(|n| !is_internal(n)).collect())
}

/// SQLite's own tables and crossfade's.
pub(crate) fn is_internal(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.starts_with("sqlite_") || lower.starts_with(OWN_PREFIX)
}
