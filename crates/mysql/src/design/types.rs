//! Types of other engines' columns here, and the form in which both sides are compared.

use crossfade_model::{Canonical, Column, Identity, LogicalType, Omission, Table};
use crossfade_store::DeclaredColumn;

use crate::ENGINE;
use crate::design::default;
use crate::names::cut;
use crate::types::Kind;

/// Bytes of an index's columns at most (MySQL documentation, "InnoDB Limits", row format DYNAMIC).
const INDEX_BYTES: u64 = 3072;

/// What a column that is no text or bytes may take of an index at most.
const FIXED_BYTES: u64 = 32;

/// Characters up to which a text keeps its declared length; longer ones could together be more than a row's 65,535 bytes.
const SHORT_TEXT: u64 = 255;

/// An engine whose declared lengths and precisions hold for every value; in others they are words.
fn binds(source_engine: &str) -> bool {
    source_engine == "postgres"
}

/// The numbers in the parentheses of a declared type.
fn arguments(declared: &str) -> Vec<i64> {
    let Some((_, rest)) = declared.split_once('(') else {
        return Vec::new();
    };
    let inside = rest.split(')').next().unwrap_or_default();
    inside
        .split(',')
        .filter_map(|a| a.trim().parse().ok())
        .collect()
}

/// Bytes that a column may have in the keys and unique indexes that it stands in; `None` where it is in none. Other indexes take
/// a long value's beginning.
fn room_in_unique(table: &Table, column: &Column) -> Option<u64> {
    let is_long = |name: &str| {
        table.columns.iter().any(|c| {
            c.name == name
                && matches!(
                    c.logical,
                    LogicalType::Text
                        | LogicalType::Bytes
                        | LogicalType::Json
                        | LogicalType::Other
                        | LogicalType::Any
                )
        })
    };
    let key: Vec<&str> = table
        .key_columns()
        .iter()
        .map(|c| c.name.as_str())
        .collect();
    let unique = table
        .indexes
        .iter()
        .filter(|i| i.unique)
        .map(|i| i.columns.iter().map(String::as_str).collect());
    std::iter::once(key)
        .chain(unique)
        .filter(|columns: &Vec<&str>| columns.contains(&column.name.as_str()))
        .map(|columns| {
            let long = columns.iter().filter(|c| is_long(c)).count() as u64;
            let fixed = columns.len() as u64 - long;
            INDEX_BYTES.saturating_sub(fixed * FIXED_BYTES) / long.max(1)
        })
        .min()
}

/// Precision and scale that hold a source's decimals; the widest where the source gives none that a column here can have.
fn decimal_digits(source_engine: &str, declared: &str) -> (i64, i64) {
    match arguments(declared).as_slice() {
        [precision, scale]
            if binds(source_engine)
                && (1..=65).contains(precision)
                && (0..=30).contains(scale)
                && scale <= precision =>
        {
            (*precision, *scale)
        }
        [precision] if binds(source_engine) && (1..=65).contains(precision) => (*precision, 0),
        _ => (65, 30),
    }
}

fn text_type(source_engine: &str, table: &Table, column: &Column) -> String {
    let length = arguments(&column.declared)
        .first()
        .and_then(|n| u64::try_from(*n).ok())
        .filter(|n| *n > 0 && binds(source_engine) && column.logical == LogicalType::Text);
    let room = room_in_unique(table, column).map(|bytes| (bytes / 4).max(1));
    match (length, room) {
        (Some(length), Some(room)) => format!("varchar({})", length.min(room)),
        (Some(length), None) if length <= SHORT_TEXT => format!("varchar({length})"),
        (None, Some(room)) => format!("varchar({room})"),
        _ => "longtext".to_owned(),
    }
}

/// The declared type, the form of comparison, and the collation of a text that has not the table's.
fn kept_as(
    source_engine: &str,
    table: &Table,
    column: &Column,
) -> (String, Canonical, Option<&'static str>) {
    let binds = binds(source_engine);
    let given = arguments(&column.declared);
    // fractions of seconds: six digits where none are given
    let digits = given
        .first()
        .filter(|d| binds && (0..=6).contains(*d))
        .map_or(6, |d| *d);
    let plain = |declared: &str, canonical| (declared.to_owned(), canonical, None);
    match column.logical {
        LogicalType::Boolean => plain("tinyint(1)", Canonical::Boolean),
        LogicalType::Integer { bits: 16 } if binds => plain("smallint", Canonical::Integer),
        LogicalType::Integer { bits: 32 } if binds => plain("int", Canonical::Integer),
        LogicalType::Integer { .. } => plain("bigint", Canonical::Integer),
        LogicalType::Float { bits: 32 } if binds => plain("float", Canonical::Float32AnyZero),
        LogicalType::Float { .. } => plain("double", Canonical::Float64AnyZero),
        LogicalType::Decimal => {
            let (precision, scale) = decimal_digits(source_engine, &column.declared);
            let declared = format!("decimal({precision},{scale})");
            (declared, Canonical::Decimal, None)
        }
        LogicalType::Bytes => match room_in_unique(table, column) {
            Some(room) => (format!("varbinary({room})"), Canonical::Bytes, None),
            None => plain("longblob", Canonical::Bytes),
        },
        LogicalType::Date => plain("date", Canonical::Date),
        LogicalType::Time => (format!("time({digits})"), Canonical::Time, None),
        LogicalType::Timestamp => (format!("datetime({digits})"), Canonical::Timestamp, None),
        // a `timestamp` ends in 2038
        LogicalType::TimestampWithZone => (
            format!("datetime({digits})"),
            Canonical::TimestampWithZone,
            None,
        ),
        LogicalType::Uuid => ("char(36)".to_owned(), Canonical::Uuid, Some("ascii_bin")),
        // a column of type json would change the text: the order of keys, blanks, the form of numbers
        LogicalType::Json | LogicalType::Text | LogicalType::Other | LogicalType::Any => (
            text_type(source_engine, table, column),
            Canonical::Text,
            None,
        ),
    }
}

/// The form in which columns of this engine are compared with each other. MariaDB keeps no sign of zero; MySQL does.
fn own_canonical(kind: Kind) -> Canonical {
    match kind {
        Kind::Single => Canonical::Float32AnyZero,
        Kind::Double => Canonical::Float64AnyZero,
        _ => Canonical::Exact,
    }
}

/// Values of the source's type that a column made for it here does not hold.
fn refuses(source_engine: &str, column: &Column, kind: Kind) -> Option<String> {
    let binds = binds(source_engine);
    let given = arguments(&column.declared);
    let mut out: Vec<String> = Vec::new();
    if !binds && !matches!(column.logical, LogicalType::Any | LogicalType::Other) {
        out.push("values that are not of the declared type".to_owned());
    }
    match (column.logical, kind) {
        (LogicalType::Float { .. }, _) => out.push("NaN, infinities".to_owned()),
        (LogicalType::Decimal, Kind::Decimal { whole, scale }) => {
            if binds {
                out.push("NaN, infinities".to_owned());
            }
            let bounded = binds
                && match given.as_slice() {
                    [precision, behind] => {
                        precision - behind <= i64::from(whole) && *behind <= i64::from(scale)
                    }
                    [precision] => *precision <= i64::from(whole),
                    _ => false,
                };
            if !bounded {
                out.push(format!(
                    "more than {whole} digits before the point or {scale} behind it"
                ));
            }
        }
        (LogicalType::Date | LogicalType::Timestamp | LogicalType::TimestampWithZone, _) => {
            out.push("infinities, years before 0 (1 BC) and after 9999".to_owned())
        }
        (_, Kind::Text { length }) if length < u64::from(u32::MAX) => {
            let needs = given.first().and_then(|n| u64::try_from(*n).ok());
            let needs = needs.filter(|_| binds && column.logical == LogicalType::Text);
            let fixed = matches!(column.logical, LogicalType::Uuid);
            if !fixed && needs.is_none_or(|n| n > length) {
                out.push(format!("more than {length} characters"));
            }
        }
        (_, Kind::Bytes { length, .. }) if length < u64::from(u32::MAX) => {
            out.push(format!("more than {length} bytes"));
        }
        _ => {}
    }
    (!out.is_empty()).then(|| out.join("; "))
}

/// Whether the column's values are counted by a sequence.
fn is_counted(column: &Column) -> bool {
    column.identity.is_some()
        || column
            .default
            .as_deref()
            .is_some_and(|d| d.starts_with("nextval("))
}

/// How a column of a source is kept here.
pub(crate) fn declare(source_engine: &str, table: &Table, column: &Column) -> DeclaredColumn {
    if source_engine == ENGINE {
        return DeclaredColumn {
            column: column.clone(),
            canonical: own_canonical(Kind::parse(&column.declared)),
            lossy: None,
            refuses: None,
            omissions: Vec::new(),
        };
    }
    let mut omissions = Vec::new();
    let mut omit = |kind: &str, why: &str| {
        omissions.push(Omission {
            kind: kind.to_owned(),
            name: format!("{}.{}", table.name, column.name),
            why: why.to_owned(),
        });
    };
    let (declared, canonical, collation) = kept_as(source_engine, table, column);
    let kind = Kind::parse(&declared);
    let leads_key = table
        .key_columns()
        .first()
        .is_some_and(|c| c.name == column.name);
    let only_counter = table
        .key_columns()
        .iter()
        .chain(&table.columns.iter().collect::<Vec<_>>())
        .filter(|c| is_counted(c))
        .all(|c| c.name == column.name);
    let counts =
        is_counted(column) && leads_key && only_counter && matches!(kind, Kind::Integer { .. });
    if is_counted(column) && !counts {
        omit(
            "sequence",
            "the server counts only one column of a table, the first of its key; the application must give the values",
        );
    }
    let default = match &column.default {
        Some(default) if !is_counted(column) => {
            let translated = default::translate(column.logical, default);
            if translated.is_none() {
                omit(
                    "default",
                    "it is written in another dialect; set it on the target if it is needed",
                );
            }
            translated
        }
        _ => None,
    };
    if column.collation.is_some() {
        omit(
            "collation",
            "texts are told apart and ordered by their code points; ORDER BY may differ",
        );
    }
    if column.generated.is_some() {
        omit(
            "generated column",
            "its expression is another dialect's; add the column on the target",
        );
    }
    DeclaredColumn {
        column: Column {
            name: cut(&column.name),
            logical: kind.logical(),
            declared,
            nullable: column.nullable,
            default,
            generated: None,
            identity: counts.then_some(Identity { always: false }),
            collation: collation.map(str::to_owned),
        },
        canonical,
        lossy: matches!(column.logical, LogicalType::Any).then(|| {
            "the source's column may hold values of every class; here they would all become text".to_owned()
        }),
        refuses: refuses(source_engine, column, kind),
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
    if target.generated.is_some() {
        return Err("it is generated on the target, so no value can be written".to_owned());
    }
    if source.nullable && !target.nullable {
        return Err("it is NOT NULL on the target and may be NULL on the source".to_owned());
    }
    let to = Kind::parse(&target.declared);
    let held = if source_engine == ENGINE {
        own_engine(source, target, to)
    } else {
        other_engine(source_engine, source, to)
    };
    held.map_err(|why| {
        format!(
            "{} on the source, {} on the target: {why}",
            source.declared, target.declared
        )
    })
}

const NARROW: &str = "not every value fits";
const CONVERTS: &str = "it would convert values on the way in";

fn own_engine(source: &Column, target: &Column, to: Kind) -> Result<Canonical, &'static str> {
    let from = Kind::parse(&source.declared);
    if source.declared == target.declared && source.collation == target.collation {
        return Ok(own_canonical(from));
    }
    let fits = |yes: bool, canonical| if yes { Ok(canonical) } else { Err(NARROW) };
    match (from, to) {
        (
            Kind::Integer { bits, unsigned },
            Kind::Integer {
                bits: room,
                unsigned: to_unsigned,
            },
        ) => {
            let holds = match (unsigned, to_unsigned) {
                (true, true) | (false, false) => room >= bits,
                (true, false) => room > bits,
                (false, true) => false,
            };
            fits(holds, Canonical::Exact)
        }
        (
            Kind::Decimal { whole, scale },
            Kind::Decimal {
                whole: to_whole,
                scale: to_scale,
            },
        ) => fits(to_whole >= whole && to_scale >= scale, Canonical::Decimal),
        (Kind::Single, Kind::Single) => Ok(Canonical::Float32AnyZero),
        (Kind::Double, Kind::Double) => Ok(Canonical::Float64AnyZero),
        (Kind::Single, Kind::Double) => Ok(Canonical::Float32AnyZero),
        (Kind::Text { length }, Kind::Text { length: room }) => {
            fits(room >= length, Canonical::Exact)
        }
        (
            Kind::Bytes {
                padded: true,
                length,
            },
            Kind::Bytes {
                padded: true,
                length: room,
            },
        ) => fits(room == length, Canonical::Exact),
        (
            Kind::Bytes { length, .. },
            Kind::Bytes {
                padded: false,
                length: room,
            },
        ) => fits(room >= length, Canonical::Exact),
        (Kind::Datetime { digits }, Kind::Datetime { digits: room }) => {
            fits(room >= digits, Canonical::Timestamp)
        }
        (Kind::Timestamp { digits }, Kind::Timestamp { digits: room }) => {
            fits(room >= digits, Canonical::TimestampWithZone)
        }
        // both json, date, year: only the spelling differs (`int(11)` and `int`, `year(4)` and `year`)
        (Kind::Year, Kind::Year) | (Kind::Date, Kind::Date) | (Kind::Json, Kind::Json) => {
            Ok(Canonical::Exact)
        }
        // MariaDB's own types, which MySQL keeps as texts: an address has 45 characters at most
        (Kind::Uuid, Kind::Text { length }) => fits(length >= 36, Canonical::Uuid),
        (Kind::Other, Kind::Text { length })
            if matches!(source.declared.as_str(), "inet4" | "inet6") =>
        {
            fits(length >= 45, Canonical::Text)
        }
        // what MariaDB calls json is a text, whose form it keeps
        (Kind::Json, Kind::Text { length }) => {
            fits(length >= u64::from(u32::MAX), Canonical::Exact)
        }
        _ => Err(CONVERTS),
    }
}

fn other_engine(source_engine: &str, source: &Column, to: Kind) -> Result<Canonical, &'static str> {
    let bound = binds(source_engine);
    let given = arguments(&source.declared);
    let fits = |yes: bool, canonical| if yes { Ok(canonical) } else { Err(NARROW) };
    // digits of the seconds' fraction: six where none are given
    let fraction = given
        .first()
        .filter(|_| bound)
        .and_then(|d| u32::try_from(*d).ok())
        .map_or(6, |d| d.min(6));
    match (source.logical, to) {
        (LogicalType::Boolean, Kind::Integer { .. } | Kind::Bit { width: 1 }) => {
            Ok(Canonical::Boolean)
        }
        (
            LogicalType::Integer { bits },
            Kind::Integer {
                bits: room,
                unsigned,
            },
        ) => {
            let bits = if bound { bits } else { 64 };
            fits(!unsigned && room >= bits, Canonical::Integer)
        }
        (LogicalType::Integer { bits }, Kind::Decimal { whole, .. }) => {
            let digits = if bound && bits <= 32 { 10 } else { 19 };
            fits(whole >= digits, Canonical::Decimal)
        }
        (LogicalType::Float { bits: 32 }, Kind::Single) if bound => Ok(Canonical::Float32AnyZero),
        (LogicalType::Float { bits: 32 }, Kind::Double) if bound => Ok(Canonical::Float32AnyZero),
        (LogicalType::Float { .. }, Kind::Double) => Ok(Canonical::Float64AnyZero),
        (LogicalType::Decimal, Kind::Decimal { whole, scale }) => {
            let (precision, behind) = decimal_digits(source_engine, &source.declared);
            let needs = precision - behind;
            fits(
                i64::from(whole) >= needs && i64::from(scale) >= behind,
                Canonical::Decimal,
            )
        }
        (
            LogicalType::Bytes,
            Kind::Bytes {
                padded: false,
                length,
            },
        ) => fits(length >= 65_535, Canonical::Bytes),
        (LogicalType::Date, Kind::Date) => Ok(Canonical::Date),
        (LogicalType::Time, Kind::Time { digits }) => fits(digits >= fraction, Canonical::Time),
        (LogicalType::Timestamp, Kind::Datetime { digits }) => {
            fits(digits >= fraction, Canonical::Timestamp)
        }
        (LogicalType::TimestampWithZone, Kind::Datetime { digits }) => {
            fits(digits >= fraction, Canonical::TimestampWithZone)
        }
        (LogicalType::TimestampWithZone, Kind::Timestamp { .. }) => {
            Err("a timestamp ends in 2038; use datetime(6)")
        }
        (LogicalType::Uuid, Kind::Uuid | Kind::Text { length: 36.. }) => Ok(Canonical::Uuid),
        (LogicalType::Uuid, Kind::Bytes { length: 16, .. }) => Ok(Canonical::Uuid),
        (LogicalType::Text | LogicalType::Json | LogicalType::Other, Kind::Text { length }) => {
            let needs = given.first().and_then(|n| u64::try_from(*n).ok());
            let needs = needs.filter(|_| bound && source.logical == LogicalType::Text);
            fits(length >= needs.unwrap_or(65_535), Canonical::Text)
        }
        (LogicalType::Json, Kind::Json) => {
            Err("json would change the text: the order of keys, blanks, numbers")
        }
        _ => Err(CONVERTS),
    }
}
