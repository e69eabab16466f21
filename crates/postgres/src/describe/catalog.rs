//! What the system catalog says of users' tables, read with one query a kind of thing.

use std::collections::HashMap;

use crossfade_model::TableName;
use crossfade_store::Result;
use tokio_postgres::Row;

use super::sql;
use crate::connect::Client;

/// What the database itself decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFacts {
    /// The default collation sorts text by its bytes.
    pub byte_ordered_default: bool,
    /// The encoding's byte order is the order of the same text in UTF-8.
    pub order_survives_utf8: bool,
}

/// A table, partitioned table, partition, or foreign table.
#[derive(Debug, Clone)]
pub struct Relation {
    /// Its object id.
    pub oid: u32,
    /// Its name.
    pub name: TableName,
    /// `r` table, `p` partitioned, `f` foreign.
    pub kind: char,
    /// `p` permanent, `u` unlogged, `t` temporary.
    pub persistence: char,
    /// It is a partition.
    pub is_partition: bool,
    /// `d` default, `i` index, `f` full, `n` nothing.
    pub replica_identity: char,
    /// Rows by the planner's statistics; `None` where it was never analysed.
    pub analysed_rows: Option<f64>,
    /// Pages when it was analysed.
    pub analysed_pages: i32,
    /// Bytes now, without indexes.
    pub bytes: i64,
    /// Row-level security is enabled.
    pub row_security: bool,
    /// Row-level security holds for the owner too.
    pub force_row_security: bool,
    /// The owner's name.
    pub owner: String,
    /// The text after `PARTITION BY`.
    pub partition_key: Option<String>,
    /// `FOR VALUES …` of a partition.
    pub bound: Option<String>,
    /// Parents by partitioning or inheritance.
    pub parents: Vec<u32>,
    /// An extension made it.
    pub of_extension: bool,
    /// Its storage is not the default one (options, tablespace, access method).
    pub special_storage: bool,
}

/// A column.
#[derive(Debug, Clone)]
pub struct ColumnFacts {
    /// Its number.
    pub number: i16,
    /// Its name.
    pub name: String,
    /// The type, as declared.
    pub declared: String,
    /// NOT NULL, and validated.
    pub not_null: bool,
    /// `a` always, `d` by default, blank none.
    pub identity: char,
    /// `s` stored, `v` virtual, blank none.
    pub generated: char,
    /// The default's or generated column's expression.
    pub expression: Option<String>,
    /// Name of the base type, under all domains.
    pub base_type: String,
    /// The base type is one of the system's.
    pub base_is_system: bool,
    /// `b` base, `e` enum, `c` composite, `r` range, `m` multirange.
    pub base_kind: char,
    /// The extension that made the base type, or what it is an array of.
    pub extension: Option<String>,
    /// Collation, where it is not the type's own; qualified and quoted.
    pub collation: Option<String>,
    /// The type has collations.
    pub collatable: bool,
    /// The collation holds only equal bytes equal.
    pub deterministic: bool,
    /// The collation sorts by bytes; where it is the database's default, see [`DatabaseFacts`].
    pub byte_ordered: bool,
    /// The collation is the database's default.
    pub default_collation: bool,
    /// A `bpchar` without length.
    pub blank_padded_without_length: bool,
}

/// An index.
#[derive(Debug, Clone)]
pub struct IndexFacts {
    /// Its object id.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// Unique.
    pub unique: bool,
    /// It backs the primary key.
    pub primary: bool,
    /// It backs an exclusion constraint.
    pub exclusion: bool,
    /// Uniqueness is checked at once: the constraint is not deferrable.
    pub immediate: bool,
    /// It can be used by queries.
    pub valid: bool,
    /// It is the replica identity.
    pub replica_identity: bool,
    /// It has a predicate.
    pub partial: bool,
    /// It has expressions.
    pub expressions: bool,
    /// A collation, operator class or sort order that the columns' own types do not have.
    pub special_columns: bool,
    /// Numbers of the key columns, without included ones; 0 for an expression.
    pub key: Vec<i16>,
    /// It has included columns.
    pub includes: bool,
    /// The access method.
    pub method: String,
    /// NULLS NOT DISTINCT.
    pub nulls_not_distinct: bool,
    /// The full statement.
    pub definition: String,
    /// Constraint that it backs: name, kind (`p`, `u`, `x`), definition.
    pub constraint: Option<(String, char, String)>,
    /// It is a partition of the parent table's index.
    pub inherited: bool,
}

/// A foreign key or check.
#[derive(Debug, Clone)]
pub struct ConstraintFacts {
    /// Its name.
    pub name: String,
    /// `f` foreign key, `c` check.
    pub kind: char,
    /// Columns of a foreign key.
    pub columns: Vec<String>,
    /// Parent of a foreign key.
    pub parent: Option<TableName>,
    /// The parent's columns.
    pub parent_columns: Vec<String>,
    /// The text after `ADD CONSTRAINT name`.
    pub definition: String,
    /// It was made on the parent table.
    pub inherited: bool,
}

/// All of it.
#[derive(Debug, Clone)]
pub struct Catalog {
    /// The database.
    pub database: DatabaseFacts,
    /// Relations in order of their names.
    pub relations: Vec<Relation>,
    /// Columns by relation, in order.
    pub columns: HashMap<u32, Vec<ColumnFacts>>,
    /// Indexes by relation, in order of their names.
    pub indexes: HashMap<u32, Vec<IndexFacts>>,
    /// Constraints by relation, in order of their names.
    pub constraints: HashMap<u32, Vec<ConstraintFacts>>,
}

impl Catalog {
    /// Reads it. The session's search path must be `pg_catalog`, so that definitions name things with their schemas.
    ///
    /// # Errors
    /// The server's.
    pub async fn read(client: &Client) -> Result<Catalog> {
        let doing = "reading the catalog";
        let database = client.query_one(doing, sql::DATABASE, &[]).await?;
        let relations = client.query(doing, &sql::relations(), &[]).await?;
        let columns = client.query(doing, &sql::columns(), &[]).await?;
        let indexes = client.query(doing, &sql::indexes(), &[]).await?;
        let constraints = client.query(doing, &sql::constraints(), &[]).await?;
        Ok(Catalog {
            database: database_facts(&database),
            relations: relations.iter().map(relation).collect(),
            columns: grouped(&columns, column),
            indexes: grouped(&indexes, index),
            constraints: grouped(&constraints, constraint),
        })
    }

    /// The relation of this object id.
    pub fn relation(&self, oid: u32) -> Option<&Relation> {
        self.relations.iter().find(|r| r.oid == oid)
    }

    /// The relation of this name.
    pub fn named(&self, name: &TableName) -> Option<&Relation> {
        self.relations.iter().find(|r| {
            r.name.name == name.name
                && r.name.schema.as_deref() == Some(crate::names::schema_of(name))
        })
    }

    /// A relation's columns.
    pub fn columns_of(&self, oid: u32) -> &[ColumnFacts] {
        self.columns.get(&oid).map_or(&[], Vec::as_slice)
    }

    /// A relation's indexes.
    pub fn indexes_of(&self, oid: u32) -> &[IndexFacts] {
        self.indexes.get(&oid).map_or(&[], Vec::as_slice)
    }

    /// A relation's foreign keys and checks.
    pub fn constraints_of(&self, oid: u32) -> &[ConstraintFacts] {
        self.constraints.get(&oid).map_or(&[], Vec::as_slice)
    }

    /// All partitions below a relation, parents before children.
    pub fn partitions_of(&self, root: u32) -> Vec<&Relation> {
        let mut found: Vec<&Relation> = Vec::new();
        let mut parents = vec![root];
        while let Some(parent) = parents.pop() {
            for child in &self.relations {
                if child.is_partition && child.parents.contains(&parent) {
                    found.push(child);
                    if child.kind == 'p' {
                        parents.push(child.oid);
                    }
                }
            }
        }
        found
    }

    /// The relations that hold a table's rows: itself, or its leaves.
    pub fn storage_of<'a>(&'a self, relation: &'a Relation) -> Vec<&'a Relation> {
        if relation.kind != 'p' {
            return vec![relation];
        }
        let mut leaves = self.partitions_of(relation.oid);
        leaves.retain(|r| r.kind != 'p');
        leaves
    }
}

fn grouped<T>(rows: &[Row], read: impl Fn(&Row) -> T) -> HashMap<u32, Vec<T>> {
    let mut out: HashMap<u32, Vec<T>> = HashMap::new();
    for row in rows {
        out.entry(row.get("relation")).or_default().push(read(row));
    }
    out
}

/// The first character of a one-letter catalog code; blank where empty.
fn letter(row: &Row, column: &str) -> char {
    let text: Option<&str> = row.get(column);
    text.and_then(|t| t.chars().next()).unwrap_or(' ')
}

fn database_facts(row: &Row) -> DatabaseFacts {
    let encoding: String = row.get("encoding");
    DatabaseFacts {
        byte_ordered_default: row.get("byte_ordered"),
        order_survives_utf8: matches!(encoding.as_str(), "UTF8" | "LATIN1" | "SQL_ASCII"),
    }
}

fn relation(row: &Row) -> Relation {
    let rows: f64 = row.get("analysed_rows");
    Relation {
        oid: row.get("oid"),
        name: TableName {
            schema: Some(row.get("schema")),
            name: row.get("name"),
        },
        kind: letter(row, "kind"),
        persistence: letter(row, "persistence"),
        is_partition: row.get("is_partition"),
        replica_identity: letter(row, "replica_identity"),
        analysed_rows: (rows >= 0.0).then_some(rows),
        analysed_pages: row.get("analysed_pages"),
        bytes: row.get::<_, Option<i64>>("bytes").unwrap_or(0),
        row_security: row.get("row_security"),
        force_row_security: row.get("force_row_security"),
        owner: row.get("owner"),
        partition_key: row.get("partition_key"),
        bound: row.get("bound"),
        parents: row
            .get::<_, Option<Vec<u32>>>("parents")
            .unwrap_or_default(),
        of_extension: row.get("of_extension"),
        special_storage: row.get("special_storage"),
    }
}

fn column(row: &Row) -> ColumnFacts {
    ColumnFacts {
        number: row.get("number"),
        name: row.get("name"),
        declared: row.get("declared"),
        not_null: row.get("not_null"),
        identity: letter(row, "identity"),
        generated: letter(row, "generated"),
        expression: row.get("expression"),
        base_type: row.get("base_type"),
        base_is_system: row.get("base_is_system"),
        base_kind: letter(row, "base_kind"),
        extension: row.get("extension"),
        collation: row.get("collation"),
        collatable: row.get("collatable"),
        deterministic: row.get("deterministic"),
        byte_ordered: row.get("byte_ordered"),
        default_collation: row.get("default_collation"),
        blank_padded_without_length: row.get("blank_padded_without_length"),
    }
}

fn index(row: &Row) -> IndexFacts {
    let constraint: Option<String> = row.get("constraint_name");
    IndexFacts {
        oid: row.get("oid"),
        name: row.get("name"),
        unique: row.get("unique"),
        primary: row.get("primary"),
        exclusion: row.get("exclusion"),
        immediate: row.get("immediate"),
        valid: row.get("valid"),
        replica_identity: row.get("replica_identity"),
        partial: row.get("partial"),
        expressions: row.get("expressions"),
        special_columns: row.get("special_columns"),
        key: row.get("key"),
        includes: row.get("includes"),
        method: row.get("method"),
        nulls_not_distinct: row.get("nulls_not_distinct"),
        definition: row
            .get::<_, Option<String>>("definition")
            .unwrap_or_default(),
        constraint: constraint.map(|name| {
            (
                name,
                letter(row, "constraint_kind"),
                row.get::<_, Option<String>>("constraint_definition")
                    .unwrap_or_default(),
            )
        }),
        inherited: row.get("inherited"),
    }
}

fn constraint(row: &Row) -> ConstraintFacts {
    let parent: Option<String> = row.get("parent_name");
    ConstraintFacts {
        name: row.get("name"),
        kind: letter(row, "kind"),
        columns: row
            .get::<_, Option<Vec<String>>>("columns")
            .unwrap_or_default(),
        parent: parent.map(|name| TableName {
            schema: row.get("parent_schema"),
            name,
        }),
        parent_columns: row
            .get::<_, Option<Vec<String>>>("parent_columns")
            .unwrap_or_default(),
        definition: row
            .get::<_, Option<String>>("definition")
            .unwrap_or_default(),
        inherited: row.get("inherited"),
    }
}
