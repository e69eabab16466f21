//! What identifies a table's rows: in the catalog, in the log, and for this program.
//!
//! A change names its old row by the replica identity of the relation that holds it (PostgreSQL documentation, ALTER TABLE,
//! "REPLICA IDENTITY"), so a table's key must be just that, unless the log carries whole old rows.

use crossfade_model::{KeyOrder, TableKey};

use super::catalog::{Catalog, ColumnFacts, IndexFacts, Relation};
use crate::names::{qualified, quote_ident};

/// What identifies a table's rows, and why nothing usable does.
#[derive(Debug, Clone, Default)]
pub struct Identified {
    /// The key.
    pub key: Option<TableKey>,
    /// The key's index.
    pub index: Option<u32>,
    /// The log carries whole old rows.
    pub full: bool,
    /// Why changes of this table cannot be followed.
    pub problem: Option<Problem>,
}

/// Why a table cannot be followed, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Stable code.
    pub code: &'static str,
    /// What was found.
    pub what: String,
    /// What to do.
    pub fix: String,
}

/// By what the log names old rows of one relation.
enum LogIdentity<'a> {
    Index(&'a IndexFacts),
    Full,
    Missing(&'static str, String),
}

/// What identifies the rows of a table (a plain one, or the root of partitions).
pub fn identify(catalog: &Catalog, table: &Relation) -> Identified {
    let mut storage = catalog.storage_of(table);
    if storage.is_empty() {
        storage.push(table);
    }
    let identities: Vec<(&Relation, LogIdentity<'_>)> = storage
        .iter()
        .map(|r| (*r, log_identity(catalog, r)))
        .collect();
    let full = identities
        .iter()
        .all(|(_, identity)| matches!(identity, LogIdentity::Full));
    let chosen = choose(catalog, table, full);
    let mut found = Identified {
        full,
        ..Identified::default()
    };
    found.problem = identities
        .iter()
        .find_map(|(relation, identity)| unusable(catalog, table, relation, identity, chosen));
    let Some(index) = chosen else {
        return found;
    };
    match key_of(catalog, table, index) {
        Ok(key) => {
            found.key = Some(key);
            found.index = Some(index.oid);
        }
        // whole old rows identify by themselves
        Err(_) if full => {}
        Err(problem) => found.problem = found.problem.or(Some(problem)),
    }
    found
}

/// The index that is to be the table's key.
fn choose<'a>(catalog: &'a Catalog, table: &Relation, full: bool) -> Option<&'a IndexFacts> {
    let indexes = catalog.indexes_of(table.oid);
    let usable =
        |i: &&IndexFacts| i.unique && i.valid && i.immediate && !i.partial && !i.expressions;
    let primary = || indexes.iter().filter(usable).find(|i| i.primary);
    match table.replica_identity {
        'i' => indexes
            .iter()
            .filter(usable)
            .find(|i| i.replica_identity)
            .or_else(primary),
        _ if full => primary().or_else(|| {
            let columns = catalog.columns_of(table.oid);
            indexes.iter().filter(usable).find(|i| {
                i.key
                    .iter()
                    .all(|n| columns.iter().any(|c| c.number == *n && c.not_null))
            })
        }),
        _ => primary(),
    }
}

fn log_identity<'a>(catalog: &'a Catalog, relation: &Relation) -> LogIdentity<'a> {
    let indexes = catalog.indexes_of(relation.oid);
    match relation.replica_identity {
        'f' => LogIdentity::Full,
        'n' => LogIdentity::Missing(
            "postgres.replica_identity_nothing",
            "its replica identity is NOTHING, so the log does not say which rows change".into(),
        ),
        'i' => match indexes
            .iter()
            .find(|i| i.replica_identity && i.valid && i.immediate)
        {
            Some(index) => LogIdentity::Index(index),
            None => LogIdentity::Missing(
                "postgres.replica_identity_index",
                "the index of its replica identity is gone".into(),
            ),
        },
        _ => match indexes.iter().find(|i| i.primary && i.valid) {
            Some(index) if index.immediate => LogIdentity::Index(index),
            Some(_) => LogIdentity::Missing(
                "postgres.deferrable_key",
                "its primary key is deferrable, which is no replica identity".into(),
            ),
            None => LogIdentity::Missing(
                "postgres.no_key",
                "it has no primary key, so the log does not say which rows change".into(),
            ),
        },
    }
}

/// Why this relation's rows cannot be followed under the chosen key.
fn unusable(
    catalog: &Catalog,
    table: &Relation,
    relation: &Relation,
    identity: &LogIdentity<'_>,
    chosen: Option<&IndexFacts>,
) -> Option<Problem> {
    let of = if relation.oid == table.oid {
        String::new()
    } else {
        format!("partition {}: ", relation.name)
    };
    let full_fix = format!(
        "ALTER TABLE {} REPLICA IDENTITY FULL;",
        qualified(&relation.name)
    );
    match identity {
        LogIdentity::Full => None,
        LogIdentity::Missing(code, what) => Some(Problem {
            code,
            what: format!("{of}{what}"),
            fix: match (*code, unique_instead(catalog, relation)) {
                ("postgres.replica_identity_nothing", _)
                    if catalog
                        .indexes_of(relation.oid)
                        .iter()
                        .any(|i| i.primary && i.immediate) =>
                {
                    format!(
                        "ALTER TABLE {} REPLICA IDENTITY DEFAULT;",
                        qualified(&relation.name)
                    )
                }
                (_, Some(index)) => format!(
                    "ALTER TABLE {} REPLICA IDENTITY USING INDEX {};",
                    qualified(&relation.name),
                    quote_ident(&index.name)
                ),
                (_, None) => full_fix,
            },
        }),
        LogIdentity::Index(index) => {
            let mut logged = names(catalog, relation, index);
            let mut wanted = chosen.map(|i| names(catalog, table, i)).unwrap_or_default();
            logged.sort_unstable();
            wanted.sort_unstable();
            (logged != wanted).then(|| Problem {
                code: "postgres.partition_identity",
                what: format!("{of}the log names its rows by other columns than the table's key"),
                fix: full_fix,
            })
        }
    }
}

/// A unique index that could be the replica identity.
fn unique_instead<'a>(catalog: &'a Catalog, relation: &Relation) -> Option<&'a IndexFacts> {
    let columns = catalog.columns_of(relation.oid);
    catalog.indexes_of(relation.oid).iter().find(|i| {
        i.unique
            && i.valid
            && i.immediate
            && !i.partial
            && !i.expressions
            && i.key.iter().all(|n| {
                columns
                    .iter()
                    .any(|c| c.number == *n && c.not_null && undecidable(c).is_none())
            })
    })
}

/// Names of an index' key columns.
pub fn names<'a>(catalog: &'a Catalog, relation: &Relation, index: &IndexFacts) -> Vec<&'a str> {
    let columns = catalog.columns_of(relation.oid);
    index
        .key
        .iter()
        .filter_map(|n| columns.iter().find(|c| c.number == *n))
        .map(|c| c.name.as_str())
        .collect()
}

fn key_of(catalog: &Catalog, table: &Relation, index: &IndexFacts) -> Result<TableKey, Problem> {
    let columns = catalog.columns_of(table.oid);
    let captured: Vec<&ColumnFacts> = columns.iter().filter(|c| c.generated == ' ').collect();
    let fix = format!(
        "ALTER TABLE {} REPLICA IDENTITY FULL;",
        qualified(&table.name)
    );
    let mut places = Vec::with_capacity(index.key.len());
    let mut order = KeyOrder::Ordered;
    for number in &index.key {
        let Some(place) = captured.iter().position(|c| c.number == *number) else {
            return Err(Problem {
                code: "postgres.generated_key",
                what: "a generated column is part of its key".into(),
                fix,
            });
        };
        let column = captured[place];
        if let Some(why) = undecidable(column) {
            return Err(Problem {
                code: "postgres.key_equality",
                what: format!("key column {}: {why}", column.name),
                fix,
            });
        }
        if !is_ordered(catalog, column) {
            order = KeyOrder::Unordered;
        }
        places.push(place);
    }
    Ok(TableKey {
        name: index
            .constraint
            .as_ref()
            .map_or_else(|| index.name.clone(), |(name, _, _)| name.clone()),
        columns: places,
        primary: index.primary,
        order,
    })
}

/// Why two values that the server holds equal may have different text forms, where they may.
fn undecidable(column: &ColumnFacts) -> Option<String> {
    if !column.deterministic {
        return Some("its collation holds different texts equal".into());
    }
    if column.blank_padded_without_length {
        return Some(
            "type bpchar without a length holds texts equal that differ in trailing blanks".into(),
        );
    }
    if column.base_kind == 'e' {
        return None;
    }
    let known = column.base_is_system
        && matches!(
            column.base_type.as_str(),
            "bool"
                | "int2"
                | "int4"
                | "int8"
                | "oid"
                | "numeric"
                | "money"
                | "text"
                | "varchar"
                | "bpchar"
                | "name"
                | "char"
                | "bytea"
                | "date"
                | "time"
                | "timetz"
                | "timestamp"
                | "timestamptz"
                | "uuid"
                | "inet"
                | "cidr"
                | "macaddr"
                | "macaddr8"
                | "bit"
                | "varbit"
                | "pg_lsn"
                | "xid8"
        );
    (!known).then(|| {
        format!(
            "type {} may hold values equal whose texts differ",
            column.declared
        )
    })
}

/// True where the byte order of encoded keys is the server's order.
fn is_ordered(catalog: &Catalog, column: &ColumnFacts) -> bool {
    if !column.base_is_system {
        return false;
    }
    match column.base_type.as_str() {
        "int2" | "int4" | "int8" | "uuid" | "bytea" | "date" | "timestamp" | "timestamptz"
        | "time" | "bool" => true,
        "text" | "varchar" => {
            let by_bytes = column.byte_ordered
                || column.default_collation && catalog.database.byte_ordered_default;
            by_bytes && catalog.database.order_survives_utf8
        }
        _ => false,
    }
}
