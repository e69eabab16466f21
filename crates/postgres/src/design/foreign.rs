//! Tables of another engine, kept by their meaning.

use crossfade_model::{
    Canonical, Column, ForeignKey, Index, LogicalType, Omission, Table, TableKey, TableName,
};
use crossfade_store::DeclaredColumn;

use super::binds;
use super::default::translate;
use crate::describe::index_statement;
use crate::names::{cut_identifier, ident_list, qualified};
use crate::types::parse_declared;

/// The type that holds every value of a meaning, and the form of comparison.
fn kept_as(source_engine: &str, column: &Column) -> (String, Canonical) {
    let binds = binds(source_engine);
    let (declared, canonical) = match column.logical {
        LogicalType::Boolean => ("boolean", Canonical::Boolean),
        LogicalType::Integer { bits: 16 } if binds => ("smallint", Canonical::Integer),
        LogicalType::Integer { bits: 32 } if binds => ("integer", Canonical::Integer),
        // declared widths bind nobody where types are dynamic
        LogicalType::Integer { .. } => ("bigint", Canonical::Integer),
        LogicalType::Float { bits: 32 } if binds => ("real", Canonical::Float32),
        LogicalType::Float { .. } => ("double precision", Canonical::Float64),
        LogicalType::Decimal => {
            let declared = match parse_declared(&column.declared).modifiers.as_slice() {
                [precision, scale]
                    if binds
                        && (1..=1000).contains(precision)
                        && (0..=*precision).contains(scale) =>
                {
                    format!("numeric({precision},{scale})")
                }
                // an integer's width is no precision
                _ => "numeric".to_owned(),
            };
            return (declared, Canonical::Decimal);
        }
        LogicalType::Bytes => ("bytea", Canonical::Bytes),
        LogicalType::Date => ("date", Canonical::Date),
        LogicalType::Time => ("time without time zone", Canonical::Time),
        LogicalType::Timestamp => ("timestamp without time zone", Canonical::Timestamp),
        LogicalType::TimestampWithZone => {
            ("timestamp with time zone", Canonical::TimestampWithZone)
        }
        LogicalType::Uuid => ("uuid", Canonical::Uuid),
        // jsonb would change the text
        LogicalType::Json => ("json", Canonical::Text),
        LogicalType::Text | LogicalType::Other | LogicalType::Any => ("text", Canonical::Text),
    };
    (declared.to_owned(), canonical)
}

/// Values of the source's type that no column here holds.
fn refuses(source_engine: &str, logical: LogicalType) -> Option<String> {
    let own = match logical {
        LogicalType::Date | LogicalType::Timestamp | LogicalType::TimestampWithZone
            if binds(source_engine) =>
        {
            Some("zero dates, a month or day 0")
        }
        LogicalType::Text => Some("texts with a character NUL or that are not UTF-8"),
        _ => None,
    };
    let class = (!binds(source_engine) && logical != LogicalType::Any)
        .then_some("values that are not of the declared type");
    let all: Vec<&str> = class.into_iter().chain(own).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// How a column is kept here.
pub fn declare(source_engine: &str, table: &Table, column: &Column) -> DeclaredColumn {
    let (declared, canonical) = kept_as(source_engine, column);
    let name = format!("{}: {}", table.name, column.name);
    let mut omissions = Vec::new();
    let mut omit = |kind: &str, why: &str| {
        omissions.push(Omission {
            kind: kind.into(),
            name: name.clone(),
            why: why.into(),
        });
    };
    let default = column.default.as_ref().and_then(|expression| {
        let translated = translate(expression, column.logical);
        if translated.is_none() {
            omit(
                "default",
                "the expression is another dialect's; set a default on the target",
            );
        }
        translated.filter(|d| d != "NULL")
    });
    if column.collation.is_some() {
        omit(
            "collation",
            "texts are compared by the target database's own collation",
        );
    }
    if column.generated.is_some() {
        omit(
            "generated column",
            "the expression is another dialect's; add the column on the target",
        );
    }
    let logical = match (column.logical, declared.as_str()) {
        (LogicalType::Integer { .. }, "bigint") => LogicalType::Integer { bits: 64 },
        (LogicalType::Float { .. }, "double precision") => LogicalType::Float { bits: 64 },
        (LogicalType::Other | LogicalType::Any, _) => LogicalType::Text,
        (same, _) => same,
    };
    let is_identity =
        column.identity.is_some() && matches!(column.logical, LogicalType::Integer { .. });
    if column.identity.is_some() && !is_identity {
        omit(
            "sequence",
            "only an integer of at most 64 bits with a sign counts by itself; the application must give the values",
        );
    }
    DeclaredColumn {
        column: Column {
            name: cut_identifier(&column.name).to_owned(),
            logical,
            declared,
            nullable: column.nullable,
            default: default.filter(|_| !is_identity),
            generated: None,
            identity: column.identity.clone().filter(|_| is_identity),
            collation: None,
        },
        canonical,
        lossy: matches!(column.logical, LogicalType::Any).then(|| {
            "the source's column may hold values of every class; here they would all become text".to_owned()
        }),
        refuses: refuses(source_engine, column.logical),
        omissions,
    }
}

/// What a table is to be here, and what of it is not carried.
pub fn design(
    table: &Table,
    name: &TableName,
    rename: &dyn Fn(&TableName) -> Option<TableName>,
    declare: &dyn Fn(&Column) -> DeclaredColumn,
) -> (Table, Vec<Omission>) {
    let mut omissions = Vec::new();
    let columns: Vec<Column> = table
        .columns
        .iter()
        .filter_map(|column| {
            let declared = declare(column);
            omissions.extend(declared.omissions);
            column.generated.is_none().then_some(declared.column)
        })
        .collect();
    let mut omit = |kind: &str, of: &str, why: &str| {
        omissions.push(Omission {
            kind: kind.into(),
            name: format!("{}: {of}", table.name),
            why: why.into(),
        });
    };
    let mut indexes = Vec::new();
    for source in &table.indexes {
        let carried = |name: &String| {
            let mut of = table.columns.iter().filter(|c| c.name == *name);
            of.all(|c| c.generated.is_none())
        };
        match index(source, name) {
            Some(_) if !source.columns.iter().all(carried) => omit(
                "index",
                &source.name,
                "it is over a generated column, which is not carried; add both on the target",
            ),
            Some(designed) => indexes.push(designed),
            None => omit(
                "index",
                &source.name,
                "it has expressions or a predicate in another dialect; build it on the target",
            ),
        }
    }
    for check in &table.checks {
        omit(
            "check",
            &check.name,
            "the expression is another dialect's; add the check on the target",
        );
    }
    let mut foreign_keys = Vec::new();
    for key in &table.foreign_keys {
        match rename(&key.parent) {
            Some(parent) => foreign_keys.push(foreign_key(key, parent)),
            None => omit("foreign key", &key.name, "its parent is not moved"),
        }
    }
    let designed = Table {
        name: name.clone(),
        key: table.key.as_ref().map(|key| TableKey {
            // another ending than those of unique constraints: where names are cut, theirs may be all that differs
            name: made_name(
                &name.name,
                &[],
                if key.primary { "pkey" } else { "row_key" },
            ),
            ..key.clone()
        }),
        columns,
        full_before_images: false,
        indexes,
        foreign_keys,
        checks: Vec::new(),
        partition_by: None,
        partitions: Vec::new(),
        estimated_rows: 0,
        estimated_bytes: 0,
        definition: None,
    };
    (designed, omissions)
}

/// A name as the server itself would make it: `table_columns_suffix`, short enough to be kept whole.
fn made_name(table: &str, columns: &[String], suffix: &str) -> String {
    let mut head = table.to_owned();
    for column in columns {
        head.push('_');
        head.push_str(column);
    }
    let mut room = 62usize.saturating_sub(suffix.len()).min(head.len());
    while !head.is_char_boundary(room) {
        room -= 1;
    }
    format!("{}_{suffix}", &head[..room])
}

fn index(source: &Index, table: &TableName) -> Option<Index> {
    if source.special || source.columns.is_empty() {
        return None;
    }
    let columns = ident_list(source.columns.iter().map(|c| cut_identifier(c)));
    let name = if source.primary {
        made_name(&table.name, &[], "pkey")
    } else if source.constraint || source.name.starts_with("sqlite_autoindex_") {
        made_name(&table.name, &source.columns, "key")
    } else {
        cut_identifier(&source.wide_name(&table.name)).to_owned()
    };
    let definition = if source.primary {
        format!("PRIMARY KEY ({columns})")
    } else if source.constraint {
        format!("UNIQUE ({columns})")
    } else {
        index_statement(
            source.unique,
            &name,
            table,
            &format!("USING btree ({columns})"),
        )
    };
    Some(Index {
        name,
        columns: source.columns.clone(),
        unique: source.unique,
        constraint: source.constraint,
        primary: source.primary,
        special: false,
        of_table: false,
        definition,
    })
}

fn foreign_key(key: &ForeignKey, parent: TableName) -> ForeignKey {
    let list = |columns: &[String]| ident_list(columns.iter().map(|c| cut_identifier(c)));
    let mut definition = format!(
        "FOREIGN KEY ({}) REFERENCES {}",
        list(&key.columns),
        qualified(&parent)
    );
    if !key.parent_columns.is_empty() {
        definition.push_str(&format!(" ({})", list(&key.parent_columns)));
    }
    if !key.actions.is_empty() {
        definition.push(' ');
        definition.push_str(&key.actions);
    }
    ForeignKey {
        name: cut_identifier(&key.name).to_owned(),
        parent,
        definition,
        ..key.clone()
    }
}
