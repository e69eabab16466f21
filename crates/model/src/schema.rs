//! What a store holds: tables, their columns, keys and constraints, and what stands around them.
//!
//! A definition in a store's own dialect is kept as text beside the portable description: the same engine uses the text,
//! another one the description.

use serde::{Deserialize, Serialize};

/// A table's name. Schema is `None` in a store without schemas.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableName {
    /// The schema, unquoted.
    pub schema: Option<String>,
    /// The name, unquoted.
    pub name: String,
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// What a column's values mean, apart from any store's spelling of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogicalType {
    /// True or false.
    Boolean,
    /// A signed integer of at most this many bits (16, 32, 64).
    Integer {
        /// Width in bits.
        bits: u8,
    },
    /// An IEEE 754 binary float (32 or 64 bits).
    Float {
        /// Width in bits.
        bits: u8,
    },
    /// An exact decimal, with NaN and infinities where the store has them.
    Decimal,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
    /// A calendar date.
    Date,
    /// A time of day.
    Time,
    /// A local date and time, microseconds.
    Timestamp,
    /// An instant, microseconds.
    TimestampWithZone,
    /// A UUID.
    Uuid,
    /// JSON.
    Json,
    /// Anything else, known by its text form only (arrays, ranges, enums, intervals, bit strings, extensions' types).
    Other,
    /// A column that may hold a value of any class (SQLite without a declared type).
    Any,
}

/// How a generated column is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generated {
    /// The expression in the store's dialect.
    pub expression: String,
    /// Stored, or computed when read.
    pub stored: bool,
}

/// An identity column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `GENERATED ALWAYS` (values are refused without an override).
    pub always: bool,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The name, unquoted.
    pub name: String,
    /// What its values mean.
    pub logical: LogicalType,
    /// The type as the store writes it, with length, precision, collation not included.
    pub declared: String,
    /// NULL is allowed.
    pub nullable: bool,
    /// Default expression in the store's dialect.
    pub default: Option<String>,
    /// Set for generated columns. They are created on a target of the same engine, and never copied.
    pub generated: Option<Generated>,
    /// Set for identity columns.
    pub identity: Option<Identity>,
    /// Collation, where it is not the database's default; in the store's dialect, quoted.
    pub collation: Option<String>,
}

/// Whether the program can order a table's keys exactly as its store does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyOrder {
    /// The byte order of [`crate::Key`] is the store's order: chunks are key ranges.
    Ordered,
    /// It is not: the table is one chunk, read in physical parts.
    Unordered,
}

/// The columns that identify a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableKey {
    /// Name of the constraint or index.
    pub name: String,
    /// Indexes into the table's *captured* columns (see [`Table::captured`]), in key order.
    pub columns: Vec<usize>,
    /// Primary key, or a unique index over NOT NULL columns.
    pub primary: bool,
    /// Whether the program orders keys as the store does.
    pub order: KeyOrder,
}

/// A secondary index, unique or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// The name, unquoted.
    pub name: String,
    /// Column names; empty where the index has expressions.
    pub columns: Vec<String>,
    /// Unique.
    pub unique: bool,
    /// It backs a UNIQUE constraint (and is created as one).
    pub constraint: bool,
    /// It backs the table's primary key, which is another than [`Table::key`]. Not written where it does not: a plan that was made
    /// before is the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub primary: bool,
    /// It has expressions, a predicate, or another form that only the same engine can carry.
    pub special: bool,
    /// Its name is one among the table's indexes alone: another table may have one of the same name, or be named so.
    #[serde(default)]
    pub of_table: bool,
    /// The full statement or clause in the store's dialect, for the same engine (a CREATE INDEX statement, or for a
    /// constraint the text after `ADD CONSTRAINT name`).
    pub definition: String,
}

impl Index {
    /// A name for the index in a store where indexes of all tables, or tables too, share one space of names; `table` is the table's
    /// name there.
    pub fn wide_name(&self, table: &str) -> String {
        let has_table = self.name == table
            || self
                .name
                .strip_prefix(table)
                .is_some_and(|rest| rest.starts_with('_'));
        if self.of_table && (!has_table || self.name == table) {
            format!("{table}_{}", self.name)
        } else {
            self.name.clone()
        }
    }
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    /// The name; made up where the store has none.
    pub name: String,
    /// Column names on this table.
    pub columns: Vec<String>,
    /// The parent.
    pub parent: TableName,
    /// Column names on the parent.
    pub parent_columns: Vec<String>,
    /// The clause after the column list in standard SQL: `ON DELETE CASCADE ON UPDATE NO ACTION DEFERRABLE …`; may be empty.
    pub actions: String,
    /// The text after `ADD CONSTRAINT name` in the store's dialect, for the same engine.
    pub definition: String,
}

/// A check constraint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The name; made up where the store has none.
    pub name: String,
    /// The text after `ADD CONSTRAINT name` in the store's dialect.
    pub definition: String,
}

/// A partition of a partitioned table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Its name.
    pub name: TableName,
    /// Its parent (the root or another partition).
    pub parent: TableName,
    /// `FOR VALUES …` or `DEFAULT`, in the store's dialect.
    pub bound: String,
    /// `PARTITION BY` clause where it is partitioned again.
    pub partition_by: Option<String>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The name.
    pub name: TableName,
    /// All columns, in order.
    pub columns: Vec<Column>,
    /// What identifies a row; `None` where nothing does.
    pub key: Option<TableKey>,
    /// The log carries whole old rows (PostgreSQL's REPLICA IDENTITY FULL), so that a table without a key can be followed.
    pub full_before_images: bool,
    /// Secondary indexes.
    pub indexes: Vec<Index>,
    /// Foreign keys.
    pub foreign_keys: Vec<ForeignKey>,
    /// Checks.
    pub checks: Vec<Check>,
    /// `PARTITION BY` clause of a partitioned table, in the store's dialect.
    pub partition_by: Option<String>,
    /// All its partitions, parents before children.
    pub partitions: Vec<Partition>,
    /// Rows by the store's estimate.
    pub estimated_rows: u64,
    /// Bytes by the store's estimate.
    pub estimated_bytes: u64,
    /// The statement that makes the table, in the store's dialect, where the store keeps one as text (SQLite). The same
    /// engine carries by it what has no place above (STRICT, conflict clauses, deferred checks).
    #[serde(default)]
    pub definition: Option<String>,
}

impl Table {
    /// The columns that are captured and copied: all but generated ones. Rows of changes and of reads hold exactly these.
    pub fn captured(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|c| c.generated.is_none())
    }

    /// The places of the key's columns among the captured ones, in key order; empty where there is no key.
    pub fn key_places(&self) -> &[usize] {
        self.key.as_ref().map_or(&[], |key| &key.columns)
    }

    /// The key's columns, in key order; empty where there is no key.
    pub fn key_columns(&self) -> Vec<&Column> {
        let captured: Vec<&Column> = self.captured().collect();
        let places = self.key_places().iter();
        places.filter_map(|i| captured.get(*i).copied()).collect()
    }

    /// True where the program can order this table's keys as its store does.
    pub fn is_ordered(&self) -> bool {
        self.key
            .as_ref()
            .is_some_and(|k| k.order == KeyOrder::Ordered)
    }
}

/// A type made by users (enum, domain, composite), in the store's dialect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserType {
    /// Schema-qualified, quoted name in the dialect.
    pub name: String,
    /// The statement that makes it.
    pub definition: String,
    /// Schema that it lives in, unquoted.
    pub schema: String,
}

/// A sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    /// The name.
    pub name: TableName,
    /// The CREATE SEQUENCE statement in the dialect; empty for one that an identity column makes.
    pub definition: String,
    /// The column that owns it.
    pub owner: Option<(TableName, String)>,
    /// The last value handed out; `None` where none was.
    pub last_value: Option<i64>,
}

/// Something in the source that is not carried to the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Omission {
    /// What it is: view, function, trigger, policy, extension, check, default …
    pub kind: String,
    /// Its name, qualified.
    pub name: String,
    /// Why, and what the operator can do.
    pub why: String,
}

/// What a store holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Schema {
    /// Tables; partitions stand in their root's [`Table::partitions`], not here.
    pub tables: Vec<Table>,
    /// Users' types, in an order in which they can be made.
    pub types: Vec<UserType>,
    /// Sequences.
    pub sequences: Vec<Sequence>,
    /// What stands around the tables and is not carried.
    pub omissions: Vec<Omission>,
}

impl Schema {
    /// The table of this name.
    pub fn table(&self, name: &TableName) -> Option<&Table> {
        self.tables.iter().find(|t| &t.name == name)
    }
}
