//! What a database holds, as the engine sees it. A store is one database: table names have no schema.

pub(crate) mod catalog;
pub(crate) mod statement;

use crossfade_model::{
    Check, Column, ForeignKey, Generated, Identity, Index, KeyOrder, Omission, Schema, Sequence,
    Table, TableKey, TableName,
};
use crossfade_store::Result;

use crate::connect::{Client, Texts};
use crate::names::{quote, quote_all};
use crate::types::Kind;
use catalog::{Catalog, Listed};
use statement::{CreateTable, Element, What};

/// The name that a primary key always has.
const PRIMARY: &str = "PRIMARY";

/// A table's name in this store.
pub(crate) fn named(name: &str) -> TableName {
    TableName {
        schema: None,
        name: name.to_owned(),
    }
}

/// The name of the index that identifies a table's rows.
pub(crate) fn key_name(table: &Table) -> &str {
    table.key.as_ref().map_or("", |key| key.name.as_str())
}

/// Everything that applications keep in the database.
pub(crate) async fn schema(client: &mut Client) -> Result<Schema> {
    let catalog = catalog::read(client).await?;
    let mut out = Schema::default();
    for listed in &catalog.tables {
        if listed.kind != "BASE TABLE" {
            out.omissions.push(not_a_table(listed));
            continue;
        }
        let statement = printed(client, &listed.name).await?;
        out.tables.push(table(&catalog, listed, statement));
        out.sequences.extend(sequence(&catalog, listed));
    }
    out.omissions.extend(programs(client).await?);
    Ok(out)
}

/// The counters of all tables, read anew.
pub(crate) async fn sequences(client: &mut Client) -> Result<Vec<Sequence>> {
    let mut catalog = Catalog {
        tables: catalog::tables(client).await?,
        ..Catalog::default()
    };
    catalog.columns = catalog::columns(client, None).await?;
    Ok(catalog
        .tables
        .iter()
        .filter(|t| t.kind == "BASE TABLE")
        .filter_map(|t| sequence(&catalog, t))
        .collect())
}

/// The statement that makes a table, as the server prints it.
pub(crate) async fn printed(client: &mut Client, table: &str) -> Result<Option<String>> {
    let all = all_printed(client, &[table]).await?;
    Ok(all.into_iter().next().flatten())
}

/// The same of several tables, in their order.
pub(crate) async fn all_printed(
    client: &mut Client,
    tables: &[&str],
) -> Result<Vec<Option<String>>> {
    let show = |table: &&str| format!("SHOW CREATE TABLE {}", quote(table));
    let statements: Vec<String> = tables.iter().map(show).collect();
    let rows = client
        .all_printed("reading a table's definition", &statements)
        .await?;
    let statement = |row: Option<Texts>| row.and_then(|row| row.get(1).map(str::to_owned));
    Ok(rows.into_iter().map(statement).collect())
}

fn sequence(catalog: &Catalog, listed: &Listed) -> Option<Sequence> {
    let columns = catalog.columns.get(&listed.name)?;
    let column = columns.iter().find(|c| c.counts)?;
    Some(Sequence {
        name: named(&listed.name),
        definition: String::new(),
        owner: Some((named(&listed.name), column.name.clone())),
        // the server tells the next one; beyond a signed integer there is none to tell
        last_value: listed
            .counter
            .filter(|next| *next > 1)
            .and_then(|next| i64::try_from(next - 1).ok()),
    })
}

fn table(catalog: &Catalog, listed: &Listed, printed: Option<String>) -> Table {
    let empty = Vec::new();
    let columns = catalog.columns.get(&listed.name).unwrap_or(&empty);
    let no_indexes = Vec::new();
    let indexes = catalog.indexes.get(&listed.name).unwrap_or(&no_indexes);
    let parsed = printed.as_deref().and_then(statement::parse);
    let key = key_index(columns, indexes);
    Table {
        name: named(&listed.name),
        columns: columns
            .iter()
            .map(|c| column(c, &catalog.database_collation))
            .collect(),
        key: key.map(|index| table_key(columns, index)),
        full_before_images: false,
        indexes: indexes
            .iter()
            .filter(|i| key.is_none_or(|k| k.name != i.name))
            .map(|i| index(i, parsed.as_ref()))
            .collect(),
        foreign_keys: foreign_keys(catalog, &listed.name, parsed.as_ref()),
        checks: parsed.as_ref().map(checks).unwrap_or_default(),
        partition_by: parsed.as_ref().and_then(CreateTable::partition_by),
        partitions: Vec::new(),
        estimated_rows: listed.rows,
        estimated_bytes: listed.bytes,
        definition: printed,
    }
}

fn column(column: &catalog::Column, database_collation: &str) -> Column {
    let kind = Kind::parse(&column.declared);
    Column {
        name: column.name.clone(),
        logical: kind.logical(),
        declared: column.declared.clone(),
        nullable: column.nullable,
        default: column.default.clone(),
        generated: column
            .generated
            .clone()
            .map(|(expression, stored)| Generated { expression, stored }),
        identity: column.counts.then_some(Identity { always: false }),
        collation: column.collation.clone().filter(|c| c != database_collation),
    }
}

/// The primary key, else the shortest index that identifies a row by columns that are copied. What is generated is not: of a key with such a
/// part less would be left than what tells rows apart, down to nothing.
fn key_index<'a>(
    columns: &[catalog::Column],
    indexes: &'a [catalog::Index],
) -> Option<&'a catalog::Index> {
    let is_copied = |part: &catalog::IndexPart| {
        let name = part.column.as_deref();
        columns
            .iter()
            .any(|c| Some(c.name.as_str()) == name && c.generated.is_none())
    };
    let identifying = || {
        let indexes = indexes.iter();
        indexes.filter(|i| i.identifies() && i.parts.iter().all(is_copied))
    };
    identifying()
        .find(|i| i.name == PRIMARY)
        .or_else(|| identifying().min_by_key(|i| i.parts.len()))
}

fn table_key(columns: &[catalog::Column], index: &catalog::Index) -> TableKey {
    let captured: Vec<&catalog::Column> =
        columns.iter().filter(|c| c.generated.is_none()).collect();
    let parts: Vec<&str> = index
        .parts
        .iter()
        .filter_map(|p| p.column.as_deref())
        .collect();
    let ordered = parts.iter().all(|name| {
        captured
            .iter()
            .any(|c| c.name == *name && Kind::parse(&c.declared).is_ordered(c.collation.as_deref()))
    });
    TableKey {
        name: index.name.clone(),
        columns: parts
            .iter()
            .filter_map(|name| captured.iter().position(|c| c.name == *name))
            .collect(),
        primary: index.name == PRIMARY,
        order: if ordered {
            KeyOrder::Ordered
        } else {
            KeyOrder::Unordered
        },
    }
}

fn index(index: &catalog::Index, parsed: Option<&CreateTable>) -> Index {
    let columns: Vec<String> = index
        .parts
        .iter()
        .filter_map(|p| p.column.clone())
        .collect();
    let whole = columns.len() == index.parts.len();
    let primary = index.name == PRIMARY;
    let printed = parsed.and_then(|p| {
        p.elements.iter().find(|e| match e.what {
            What::Primary => primary,
            What::Unique | What::Index => e.name == index.name,
            _ => false,
        })
    });
    Index {
        definition: printed.map_or_else(
            || {
                let list = quote_all(columns.iter().map(String::as_str));
                match (primary, index.unique) {
                    (true, _) => format!("PRIMARY KEY ({list})"),
                    (false, true) => format!("UNIQUE KEY {} ({list})", quote(&index.name)),
                    (false, false) => format!("KEY {} ({list})", quote(&index.name)),
                }
            },
            |element| element.text.clone(),
        ),
        name: index.name.clone(),
        columns: if whole { columns } else { Vec::new() },
        unique: index.unique,
        constraint: false,
        primary,
        special: index.is_special(),
        of_table: true,
    }
}

fn foreign_keys(catalog: &Catalog, table: &str, parsed: Option<&CreateTable>) -> Vec<ForeignKey> {
    let keys = catalog.foreign_keys.get(table);
    keys.into_iter()
        .flatten()
        .map(|key| {
            let printed: Option<&Element> =
                parsed.and_then(|p| p.of(What::ForeignKey).find(|e| e.name == key.name));
            let actions = printed
                .and_then(|e| statement::actions(&e.text))
                .unwrap_or_else(|| {
                    format!("ON DELETE {} ON UPDATE {}", key.on_delete, key.on_update)
                });
            ForeignKey {
                name: key.name.clone(),
                columns: key.columns.clone(),
                parent: TableName {
                    schema: key.parent_schema.clone(),
                    name: key.parent.clone(),
                },
                parent_columns: key.parent_columns.clone(),
                definition: format!(
                    "FOREIGN KEY ({}) REFERENCES {} ({}) {actions}",
                    quote_all(key.columns.iter().map(String::as_str)),
                    quote(&key.parent),
                    quote_all(key.parent_columns.iter().map(String::as_str)),
                )
                .trim_end()
                .to_owned(),
                actions,
            }
        })
        .collect()
}

fn checks(parsed: &CreateTable) -> Vec<Check> {
    parsed
        .of(What::Check)
        .map(|element| Check {
            name: element.name.clone(),
            definition: element
                .text
                .find(" CHECK ")
                .map_or_else(String::new, |at| element.text[at + 1..].to_owned()),
        })
        .collect()
}

fn not_a_table(listed: &Listed) -> Omission {
    let (kind, why) = match listed.kind.as_str() {
        "VIEW" | "SYSTEM VIEW" => ("view", "make it on the target before the switch"),
        "SEQUENCE" => (
            "sequence",
            "no column owns it; make it on the target with a value beyond the source's",
        ),
        _ => (
            "versioned table",
            "its history cannot be written on another server; take the versioning off, or copy it by hand",
        ),
    };
    Omission {
        kind: kind.to_owned(),
        name: listed.name.clone(),
        why: why.to_owned(),
    }
}

/// Triggers, routines and events.
async fn programs(client: &mut Client) -> Result<Vec<Omission>> {
    let rows = client
        .texts(
            "reading the database's programs",
            "SELECT 'trigger', TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = DATABASE()
             UNION ALL SELECT LOWER(ROUTINE_TYPE), ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE()
             UNION ALL SELECT 'event', EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE()
             ORDER BY 1, 2",
        )
        .await?;
    Ok(rows
        .iter()
        .filter(|row| !row.text(1).starts_with(crate::names::OWN_PREFIX))
        .map(|row| Omission {
            kind: row.text(0).to_owned(),
            name: row.text(1).to_owned(),
            why: match row.text(0) {
                "trigger" => {
                    "what it writes is copied, and on the target it would fire for copied rows too; make it there after the switch, and so that it passes over crossfade's sessions"
                }
                "event" => "what it writes is copied; make it on the target after the switch, or it runs twice",
                _ => "make it on the target before the switch",
            }
            .to_owned(),
        })
        .collect())
}
