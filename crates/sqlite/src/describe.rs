//! What a file holds, as the engine sees it.

use crossfade_model::{
    Check, Column, ForeignKey, Generated, Identity, Index, KeyOrder, Omission, Schema, Sequence,
    Table, TableKey, TableName,
};
use rusqlite::{Connection, OptionalExtension as _, Result};

use crate::affinity::logical;
use crate::sizes;
use crate::sql::create_table::{self, CreateTable};
use crate::sql::names::{quote, quote_all, same_name};
use crate::table_info::{self, ColumnInfo, IndexInfo, KeyInfo, TableInfo, is_internal};

/// Everything that applications keep in the file.
pub(crate) fn schema(conn: &Connection) -> Result<Schema> {
    let utf8 = is_utf8(conn)?;
    let mut out = Schema::default();
    for name in table_info::application_tables(conn)? {
        if let Some(info) = table_info::read(conn, &name)? {
            out.tables.push(table(conn, &info, utf8)?);
            out.sequences.extend(sequence(conn, &info)?);
        }
    }
    out.omissions = omissions(conn)?;
    Ok(out)
}

/// Text is stored as UTF-8: only then is its binary order that of its UTF-8 bytes.
pub(crate) fn is_utf8(conn: &Connection) -> Result<bool> {
    let encoding: String = conn.query_row("PRAGMA encoding", [], |r| r.get(0))?;
    Ok(encoding == "UTF-8")
}

/// One table.
pub(crate) fn table(conn: &Connection, info: &TableInfo, utf8: bool) -> Result<Table> {
    let parsed = create_table::parse(&info.sql);
    let key = info.key();
    let (rows, bytes) = sizes::estimate(conn, info)?;
    Ok(Table {
        name: info.table_name(),
        columns: info
            .columns
            .iter()
            .map(|c| column(info, c, parsed.as_ref()))
            .collect(),
        key: key.as_ref().map(|k| table_key(info, k, utf8)),
        full_before_images: false,
        indexes: info
            .indexes
            .iter()
            .filter(|i| i.origin != "pk" && key.as_ref().is_none_or(|k| k.index != i.name))
            .map(|i| index(info, i))
            .collect(),
        foreign_keys: foreign_keys(conn, info, parsed.as_ref())?,
        checks: checks(info, parsed.as_ref()),
        partition_by: None,
        partitions: Vec::new(),
        estimated_rows: rows,
        estimated_bytes: bytes,
        definition: Some(info.sql.clone()),
    })
}

fn column(info: &TableInfo, column: &ColumnInfo, parsed: Option<&CreateTable>) -> Column {
    let alias = info
        .rowid_alias()
        .is_some_and(|alias| alias.name == column.name);
    Column {
        name: column.name.clone(),
        logical: logical(&column.declared),
        declared: column.declared.clone(),
        nullable: !column.not_null,
        default: column.default.clone(),
        generated: column.generated.map(|stored| Generated {
            expression: parsed
                .and_then(|p| p.generated(&column.name))
                .unwrap_or_default(),
            stored,
        }),
        // an omitted value is the next rowid
        identity: alias.then_some(Identity { always: false }),
        collation: (!same_name(&column.collation, "BINARY")).then(|| quote(&column.collation)),
    }
}

fn table_key(info: &TableInfo, key: &KeyInfo, utf8: bool) -> TableKey {
    let captured: Vec<&ColumnInfo> = info.captured().collect();
    let ordered = key.is_binary() && (utf8 || info.rowid_alias().is_some());
    TableKey {
        name: if key.index.is_empty() {
            format!("{}_pkey", info.name)
        } else {
            key.index.clone()
        },
        columns: key
            .columns
            .iter()
            .filter_map(|(name, _)| captured.iter().position(|c| same_name(&c.name, name)))
            .collect(),
        primary: key.primary,
        order: if ordered {
            KeyOrder::Ordered
        } else {
            KeyOrder::Unordered
        },
    }
}

fn index(info: &TableInfo, index: &IndexInfo) -> Index {
    let columns: Vec<String> = index
        .columns
        .iter()
        .filter_map(|c| c.name.clone())
        .collect();
    let own_collation = index.columns.iter().any(|c| {
        c.name
            .as_deref()
            .and_then(|name| info.column(name))
            .is_some_and(|column| !same_name(&column.collation, &c.collation))
    });
    let expression = index.has_expression();
    let constraint = index.origin == "u";
    let name = if constraint {
        // SQLite keeps its own names for itself
        format!("{}_{}_key", info.name, columns.join("_"))
    } else {
        index.name.clone()
    };
    Index {
        definition: match &index.sql {
            Some(sql) => sql.clone(),
            None => format!("UNIQUE ({})", index_columns(info, index)),
        },
        name,
        columns: if expression { Vec::new() } else { columns },
        unique: index.unique,
        constraint,
        primary: false,
        special: expression || index.partial || own_collation,
        of_table: false,
    }
}

/// The columns of an index that has no statement, with what differs from the columns' own.
fn index_columns(info: &TableInfo, index: &IndexInfo) -> String {
    let part = |c: &table_info::IndexColumn| {
        let column = info.column(c.name.as_deref()?)?;
        let mut out = quote(&column.name);
        if !same_name(&column.collation, &c.collation) {
            out.push_str(&format!(" COLLATE {}", quote(&c.collation)));
        }
        if c.descending {
            out.push_str(" DESC");
        }
        Some(out)
    };
    let parts: Vec<String> = index.columns.iter().filter_map(part).collect();
    parts.join(", ")
}

fn checks(info: &TableInfo, parsed: Option<&CreateTable>) -> Vec<Check> {
    parsed
        .map(CreateTable::checks)
        .unwrap_or_default()
        .into_iter()
        .enumerate()
        .map(|(n, check)| Check {
            name: check
                .name
                .unwrap_or_else(|| format!("{}_check{}", info.name, n + 1)),
            definition: check.definition,
        })
        .collect()
}

struct RawForeignKey {
    id: i64,
    parent: String,
    columns: Vec<String>,
    parent_columns: Vec<Option<String>>,
    on_update: String,
    on_delete: String,
}

fn foreign_keys(
    conn: &Connection,
    info: &TableInfo,
    parsed: Option<&CreateTable>,
) -> Result<Vec<ForeignKey>> {
    let references = parsed.map(CreateTable::references).unwrap_or_default();
    let mut out = Vec::new();
    for (n, raw) in raw_foreign_keys(conn, &info.name)?.into_iter().enumerate() {
        let parent_columns = if raw.parent_columns.iter().all(Option::is_some) {
            raw.parent_columns.into_iter().flatten().collect()
        } else {
            primary_key_of(conn, &raw.parent)?
        };
        let deferrable = references
            .iter()
            .find(|r| {
                r.columns.len() == raw.columns.len()
                    && r.columns
                        .iter()
                        .zip(&raw.columns)
                        .all(|(a, b)| same_name(a, b))
            })
            .map(|r| r.deferrable.clone())
            .unwrap_or_default();
        let actions = format!(
            "ON DELETE {} ON UPDATE {} {deferrable}",
            raw.on_delete, raw.on_update
        );
        let actions = actions.trim_end().to_owned();
        out.push(ForeignKey {
            name: format!("{}_fkey{}", info.name, n + 1),
            definition: format!(
                "FOREIGN KEY ({}) REFERENCES {} ({}) {actions}",
                quote_all(raw.columns.iter().map(String::as_str)),
                quote(&raw.parent),
                quote_all(parent_columns.iter().map(String::as_str)),
            ),
            columns: raw.columns,
            parent: TableName {
                schema: None,
                name: raw.parent,
            },
            parent_columns,
            actions,
        });
    }
    Ok(out)
}

/// In the order of the statement (the pragma counts from the last).
fn raw_foreign_keys(conn: &Connection, table: &str) -> Result<Vec<RawForeignKey>> {
    let mut statement = conn.prepare_cached(
        "SELECT id, \"table\", \"from\", \"to\", on_update, on_delete FROM pragma_foreign_key_list(?1)
         ORDER BY id DESC, seq",
    )?;
    let mut rows = statement.query([table])?;
    let mut out: Vec<RawForeignKey> = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        if out.last().is_none_or(|last| last.id != id) {
            out.push(RawForeignKey {
                id,
                parent: row.get(1)?,
                columns: Vec::new(),
                parent_columns: Vec::new(),
                on_update: row.get(4)?,
                on_delete: row.get(5)?,
            });
        }
        if let Some(last) = out.last_mut() {
            last.columns.push(row.get(2)?);
            last.parent_columns.push(row.get(3)?);
        }
    }
    Ok(out)
}

fn primary_key_of(conn: &Connection, table: &str) -> Result<Vec<String>> {
    conn.prepare_cached("SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk")?
        .query_map([table], |r| r.get(0))?
        .collect()
}

/// The sequence behind a rowid's name: AUTOINCREMENT's, or where the table has none the highest rowid.
pub(crate) fn sequence(conn: &Connection, info: &TableInfo) -> Result<Option<Sequence>> {
    let Some(alias) = info.rowid_alias() else {
        return Ok(None);
    };
    let highest: Option<i64> = conn.query_row(
        &format!(
            "SELECT max({}) FROM {}",
            quote(&alias.name),
            quote(&info.name)
        ),
        [],
        |r| r.get(0),
    )?;
    let counted: Option<i64> = if alias.autoincrement {
        conn.query_row(
            "SELECT max(CAST(seq AS INTEGER)) FROM sqlite_sequence WHERE name = ?1",
            [&info.name],
            |r| r.get(0),
        )
        .optional()?
        .flatten()
    } else {
        None
    };
    Ok(Some(Sequence {
        name: info.table_name(),
        definition: String::new(),
        owner: Some((info.table_name(), alias.name.clone())),
        last_value: highest.max(counted),
    }))
}

/// Views, triggers and virtual tables.
fn omissions(conn: &Connection) -> Result<Vec<Omission>> {
    let mut statement = conn.prepare(
        "SELECT CASE WHEN type = 'table' THEN 'virtual table' ELSE type END, name FROM sqlite_master
         WHERE type IN ('view', 'trigger')
            OR name IN (SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'virtual')
         ORDER BY 1, 2",
    )?;
    let found: Vec<(String, String)> = statement
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?
        .collect::<Result<_>>()?;
    Ok(found
        .into_iter()
        .filter(|(_, name)| !is_internal(name))
        .map(|(kind, name)| Omission {
            why: match kind.as_str() {
                "virtual table" => {
                    "its rows are kept by a module; build it on the target from the copied tables"
                }
                "trigger" => "what it writes is copied; make it on the target before the switch",
                _ => "make it on the target before the switch",
            }
            .to_owned(),
            kind,
            name,
        })
        .collect())
}
