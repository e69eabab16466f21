//! What `information_schema` says of a database's tables.

use std::collections::BTreeMap;

use crossfade_store::Result;

use crate::connect::{Client, Texts};
use crate::describe::statement::default_expression;
use crate::names::OWN_PREFIX;
use crate::server::Flavor;

const DOING: &str = "reading the database's tables";

/// A table as it is listed.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub name: String,
    pub engine: String,
    pub rows: u64,
    pub bytes: u64,
    /// The next value of its counter.
    pub counter: Option<u64>,
    /// `BASE TABLE`, `VIEW`, `SYSTEM VERSIONED`, `SEQUENCE`.
    pub kind: String,
}

/// A column.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub name: String,
    pub declared: String,
    pub nullable: bool,
    pub default: Option<String>,
    pub collation: Option<String>,
    /// Expression, and whether it is stored.
    pub generated: Option<(String, bool)>,
    pub counts: bool,
}

/// A part of an index.
#[derive(Debug, Clone)]
pub(crate) struct IndexPart {
    /// `None` for an expression.
    pub column: Option<String>,
    /// Only the beginning of the column is indexed.
    pub prefix: bool,
    pub descending: bool,
    pub nullable: bool,
}

/// An index.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    pub name: String,
    pub unique: bool,
    pub kind: String,
    pub parts: Vec<IndexPart>,
}

impl Index {
    /// It is unique over whole columns that are never NULL: a row's identity.
    pub fn identifies(&self) -> bool {
        self.unique
            && self
                .parts
                .iter()
                .all(|p| p.column.is_some() && !p.prefix && !p.nullable)
    }

    /// It has a form that columns and uniqueness alone do not tell.
    pub fn is_special(&self) -> bool {
        self.kind != "BTREE"
            || self
                .parts
                .iter()
                .any(|p| p.column.is_none() || p.prefix || p.descending)
    }
}

/// A foreign key.
#[derive(Debug, Clone)]
pub(crate) struct ForeignKey {
    pub name: String,
    pub columns: Vec<String>,
    /// Set where the parent is in another database.
    pub parent_schema: Option<String>,
    pub parent: String,
    pub parent_columns: Vec<String>,
    pub on_delete: String,
    pub on_update: String,
}

/// All of a database.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub database_collation: String,
    pub tables: Vec<Listed>,
    pub columns: BTreeMap<String, Vec<Column>>,
    pub indexes: BTreeMap<String, Vec<Index>>,
    pub foreign_keys: BTreeMap<String, Vec<ForeignKey>>,
}

/// Reads it; crossfade's own tables are left out.
pub(crate) async fn read(client: &mut Client) -> Result<Catalog> {
    let mut catalog = Catalog {
        database_collation: client
            .text_row(DOING, "SELECT @@collation_database")
            .await?
            .map(|row| row.text(0).to_owned())
            .unwrap_or_default(),
        tables: tables(client).await?,
        ..Catalog::default()
    };
    catalog.columns = columns(client, None).await?;
    catalog.indexes = indexes(client, None).await?;
    catalog.foreign_keys = foreign_keys(client).await?;
    Ok(catalog)
}

/// All tables and what stands among them.
pub(crate) async fn tables(client: &mut Client) -> Result<Vec<Listed>> {
    let rows = client
        .texts(
            DOING,
            &format!(
                "SELECT TABLE_NAME, ENGINE, TABLE_ROWS, DATA_LENGTH, AUTO_INCREMENT, TABLE_TYPE
                 FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()
                 AND LEFT(TABLE_NAME, {}) <> '{OWN_PREFIX}'",
                OWN_PREFIX.len()
            ),
        )
        .await?;
    let mut tables: Vec<Listed> = rows
        .iter()
        .map(|row| Listed {
            name: row.text(0).to_owned(),
            engine: row.text(1).to_owned(),
            rows: row.number(2).unwrap_or(0),
            bytes: row.number(3).unwrap_or(0),
            counter: row.number(4),
            kind: row.text(5).to_owned(),
        })
        .collect();
    // by bytes: the server's own order leaves open which of two names comes first that differ in case alone
    tables.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(tables)
}

fn of_table(table: Option<&str>) -> String {
    table.map_or_else(String::new, |name| {
        format!(" AND TABLE_NAME = {}", crate::names::literal(name))
    })
}

/// Columns by table, or those of one table.
pub(crate) async fn columns(
    client: &mut Client,
    table: Option<&str>,
) -> Result<BTreeMap<String, Vec<Column>>> {
    let is_mysql = client.server.flavor == Flavor::Mysql;
    let rows = client
        .texts(
            DOING,
            &format!(
                "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, COLLATION_NAME, GENERATION_EXPRESSION
                 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE(){} ORDER BY TABLE_NAME, ORDINAL_POSITION",
                of_table(table)
            ),
        )
        .await?;
    let mut out: BTreeMap<String, Vec<Column>> = BTreeMap::new();
    for row in &rows {
        out.entry(row.text(0).to_owned())
            .or_default()
            .push(column(row, is_mysql));
    }
    Ok(out)
}

fn column(row: &Texts, is_mysql: bool) -> Column {
    let extra = row.text(5).to_ascii_uppercase();
    let is_expression = extra.contains("DEFAULT_GENERATED");
    let generated = extra.contains("GENERATED") && !is_expression;
    Column {
        name: row.text(1).to_owned(),
        declared: row.text(2).to_owned(),
        nullable: row.is_true(3),
        default: row
            .get(4)
            .filter(|text| is_mysql || !text.eq_ignore_ascii_case("NULL"))
            .map(|text| default_expression(text, is_expression, is_mysql)),
        collation: row.get(6).map(str::to_owned),
        generated: generated.then(|| {
            let stored = extra.contains("STORED") || extra.contains("PERSISTENT");
            (row.text(7).to_owned(), stored)
        }),
        counts: extra.contains("AUTO_INCREMENT"),
    }
}

/// Indexes by table, or those of one table.
pub(crate) async fn indexes(
    client: &mut Client,
    table: Option<&str>,
) -> Result<BTreeMap<String, Vec<Index>>> {
    let rows = client
        .texts(
            DOING,
            &format!(
                "SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE, COLUMN_NAME, SUB_PART, COLLATION, NULLABLE, INDEX_TYPE
                 FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE(){}
                 ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX",
                of_table(table)
            ),
        )
        .await?;
    let mut out: BTreeMap<String, Vec<Index>> = BTreeMap::new();
    for row in &rows {
        let of_table = out.entry(row.text(0).to_owned()).or_default();
        let name = row.text(1);
        if of_table.last().is_none_or(|last| last.name != name) {
            of_table.push(Index {
                name: name.to_owned(),
                unique: row.text(2) == "0",
                kind: row.text(7).to_owned(),
                parts: Vec::new(),
            });
        }
        if let Some(index) = of_table.last_mut() {
            index.parts.push(IndexPart {
                column: row.get(3).map(str::to_owned),
                prefix: row.get(4).is_some(),
                descending: row.text(5) == "D",
                nullable: row.text(6) == "YES",
            });
        }
    }
    Ok(out)
}

/// The foreign keys of the database's tables, by table.
pub(crate) async fn foreign_keys(client: &mut Client) -> Result<BTreeMap<String, Vec<ForeignKey>>> {
    let rows = client
        .texts(
            DOING,
            "SELECT k.TABLE_NAME, k.CONSTRAINT_NAME, k.COLUMN_NAME, NULLIF(k.REFERENCED_TABLE_SCHEMA, DATABASE()), k.REFERENCED_TABLE_NAME,
                    k.REFERENCED_COLUMN_NAME, r.DELETE_RULE, r.UPDATE_RULE
             FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS r
               ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME
             WHERE k.TABLE_SCHEMA = DATABASE() AND r.CONSTRAINT_SCHEMA = DATABASE() AND k.REFERENCED_TABLE_NAME IS NOT NULL
             ORDER BY k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION",
        )
        .await?;
    let mut out: BTreeMap<String, Vec<ForeignKey>> = BTreeMap::new();
    for row in &rows {
        let of_table = out.entry(row.text(0).to_owned()).or_default();
        let name = row.text(1);
        if of_table.last().is_none_or(|last| last.name != name) {
            of_table.push(ForeignKey {
                name: name.to_owned(),
                columns: Vec::new(),
                parent_schema: row.get(3).map(str::to_owned),
                parent: row.text(4).to_owned(),
                parent_columns: Vec::new(),
                on_delete: row.text(6).to_owned(),
                on_update: row.text(7).to_owned(),
            });
        }
        if let Some(key) = of_table.last_mut() {
            key.columns.push(row.text(2).to_owned());
            key.parent_columns.push(row.text(5).to_owned());
        }
    }
    Ok(out)
}
