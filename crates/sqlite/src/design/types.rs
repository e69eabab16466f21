//! Types of other engines' columns here, and the form in which both sides are compared.

use crossfade_model::{Canonical, Column, Identity, LogicalType, Omission, Table};
use crossfade_store::DeclaredColumn;

use crate::ENGINE;
use crate::affinity::{Affinity, affinity};
use crate::design::defaults;
use crate::sql::names::same_name;

/// The declared type for a logical type. Affinities are chosen so that no value is converted: exact decimals, dates and all
/// that is known by its text are TEXT; NUMERIC affinity would make a number of what looks like one.
fn declared(logical: LogicalType) -> &'static str {
    match logical {
        LogicalType::Boolean => "BOOLEAN",
        LogicalType::Integer { .. } => "INTEGER",
        LogicalType::Float { .. } => "REAL",
        LogicalType::Bytes => "BLOB",
        LogicalType::Any => "",
        LogicalType::Decimal
        | LogicalType::Text
        | LogicalType::Date
        | LogicalType::Time
        | LogicalType::Timestamp
        | LogicalType::TimestampWithZone
        | LogicalType::Uuid
        | LogicalType::Json
        | LogicalType::Other => "TEXT",
    }
}

fn canonical(logical: LogicalType) -> Canonical {
    match logical {
        LogicalType::Boolean => Canonical::Boolean,
        LogicalType::Integer { .. } => Canonical::Integer,
        // a REAL column keeps no sign of zero
        LogicalType::Float { bits: 32 } => Canonical::Float32AnyZero,
        LogicalType::Float { .. } => Canonical::Float64AnyZero,
        LogicalType::Decimal => Canonical::Decimal,
        LogicalType::Bytes => Canonical::Bytes,
        LogicalType::Date => Canonical::Date,
        LogicalType::Time => Canonical::Time,
        LogicalType::Timestamp => Canonical::Timestamp,
        LogicalType::TimestampWithZone => Canonical::TimestampWithZone,
        LogicalType::Uuid => Canonical::Uuid,
        LogicalType::Text | LogicalType::Json | LogicalType::Other | LogicalType::Any => {
            Canonical::Text
        }
    }
}

/// How a column of a source is kept here.
pub(crate) fn declare(source_engine: &str, table: &Table, column: &Column) -> DeclaredColumn {
    if source_engine == ENGINE {
        return DeclaredColumn {
            column: column.clone(),
            canonical: Canonical::Exact,
            lossy: None,
            refuses: None,
            omissions: Vec::new(),
        };
    }
    let mut omissions = Vec::new();
    let mut leave_out = |kind: &str, why: &str| {
        omissions.push(Omission {
            kind: kind.to_owned(),
            name: format!("{}.{}", table.name, column.name),
            why: why.to_owned(),
        });
    };
    let counted = column
        .default
        .as_deref()
        .is_some_and(|d| d.starts_with("nextval("));
    let is_only_key = matches!(table.key_columns().as_slice(), [only] if only.name == column.name)
        && table.key.as_ref().is_some_and(|k| k.primary)
        && matches!(column.logical, LogicalType::Integer { .. });
    if (column.identity.is_some() || counted) && !is_only_key {
        leave_out(
            "sequence",
            "SQLite counts only a single integer primary key by itself; the application must give the values",
        );
    }
    let default = match &column.default {
        Some(default) if !counted => {
            let translated = defaults::translate(column.logical, default);
            if translated.is_none() {
                leave_out(
                    "default",
                    "it is written in another dialect; set it on the target if it is needed",
                );
            }
            translated
        }
        _ => None,
    };
    if column.collation.is_some() {
        leave_out(
            "collation",
            "SQLite orders text by its bytes; the order of ORDER BY may differ",
        );
    }
    DeclaredColumn {
        column: Column {
            name: column.name.clone(),
            logical: column.logical,
            declared: declared(column.logical).to_owned(),
            nullable: column.nullable,
            default,
            generated: None,
            identity: (is_only_key && (column.identity.is_some() || counted))
                .then_some(Identity { always: false }),
            collation: None,
        },
        canonical: canonical(column.logical),
        lossy: None,
        refuses: None,
        omissions,
    }
}

/// The form in which a present target column is compared with a source's column.
///
/// # Errors
/// Why the column cannot hold all values unchanged.
pub(crate) fn compare(
    source_engine: &str,
    source: &Column,
    target: &Column,
) -> Result<Canonical, String> {
    let to = affinity(&target.declared, false);
    if source_engine == ENGINE {
        let from = affinity(&source.declared, false);
        let numbers = |a| matches!(a, Affinity::Integer | Affinity::Numeric);
        return if from == to || (numbers(from) && numbers(to)) || to == Affinity::Blob {
            Ok(Canonical::Exact)
        } else {
            Err(refusal(source, target))
        };
    }
    let held = match source.logical {
        LogicalType::Boolean | LogicalType::Integer { .. } => {
            matches!(to, Affinity::Integer | Affinity::Numeric | Affinity::Blob)
        }
        LogicalType::Float { .. } => matches!(to, Affinity::Real | Affinity::Blob),
        // never a number when read as text, or hyphens and colons keep it from being one
        LogicalType::Uuid
        | LogicalType::Date
        | LogicalType::Time
        | LogicalType::Timestamp
        | LogicalType::TimestampWithZone => to != Affinity::Real && to != Affinity::Integer,
        LogicalType::Bytes => true,
        LogicalType::Decimal
        | LogicalType::Text
        | LogicalType::Json
        | LogicalType::Other
        | LogicalType::Any => matches!(to, Affinity::Text | Affinity::Blob),
    };
    if held {
        Ok(canonical(source.logical))
    } else {
        Err(refusal(source, target))
    }
}

fn refusal(source: &Column, target: &Column) -> String {
    let declared = if same_name(&target.declared, "") {
        "no type"
    } else {
        &target.declared
    };
    format!(
        "a column of {declared} would convert values of {} on the way in",
        source.declared
    )
}
