//! Sums that the server computes itself, in one statement: only the sums of buckets travel.
//!
//! The statement writes each row's framed canonical form with the server's own functions (PostgreSQL documentation, 9.4 and 9.5;
//! `sha256` from version 11): the send functions give integers, instants and UUIDs in just the bytes of the form, and `concat`
//! gives what the type's output function gives, which is what COPY sends.

use crossfade_model::{
    BucketSum, BucketSums, Canonical, Column, Digester, LogicalType, TableMapping,
};
use crossfade_store::{ErrorKind, Result, StoreError};

use crate::connect::Client;
use crate::names::quote_ident;
use crate::types::parse_declared;

/// The first version with `sha256`.
const HASHES: u32 = 110_000;
/// The first version with `trim_scale`.
const TRIMS: u32 = 130_000;

/// A column's canonical form in SQL.
struct Form {
    /// A `bytea` that is NULL exactly where the column is.
    sql: String,
    length: Length,
}

/// What is known of the lengths of a column's forms.
#[derive(Clone, Copy)]
enum Length {
    /// All have so many bytes.
    Fixed(u8),
    /// None is longer than its length's mark can say.
    Short,
    Any,
}

/// The forms of these columns; `None` where one of them cannot be written in the SQL of a server of this version.
pub struct Forms(Vec<Form>);

impl Forms {
    /// `columns` gives one side's columns in the order of the mapped ones.
    pub fn new<'a>(
        mapping: &TableMapping,
        mut columns: impl Iterator<Item = Option<&'a Column>>,
        version: u32,
    ) -> Option<Forms> {
        if version < HASHES {
            return None;
        }
        let forms = mapping
            .columns
            .iter()
            .map(|mapped| form(mapped.canonical, columns.next()??, version));
        forms.collect::<Option<Vec<Form>>>().map(Forms)
    }

    /// The statement that sums `rows` (what follows FROM). Its parameter is the digester's prefix.
    fn statement(&self, rows: &str) -> String {
        let forms: Vec<String> = (self.0.iter().enumerate())
            .map(|(at, form)| format!("{} AS f{at}", form.sql))
            .collect();
        let framed: Vec<String> = (self.0.iter().enumerate())
            .map(|(at, form)| format!(" || {}", framed(at, form.length)))
            .collect();
        // OFFSET 0 keeps the planner from writing an inner expression wherever it is used, and so from computing it each time
        format!(
            "SELECT (get_byte(h, 16) & 15) << 8 | get_byte(h, 17), count(*), {}::text, {}::text \
             FROM (SELECT sha256($1::bytea{}) AS h \
             FROM (SELECT {} FROM {rows} OFFSET 0) f OFFSET 0) h GROUP BY 1",
            lane(0),
            lane(8),
            framed.concat(),
            if forms.is_empty() {
                "1".to_owned()
            } else {
                forms.join(", ")
            },
        )
    }
}

/// The sum over rows of the 64-bit word from byte `at` on. As signed numbers they are summed exactly, in 128 bits, and the sum's
/// lowest 64 bits are those of the unsigned sum.
fn lane(at: usize) -> String {
    let bytes: Vec<String> = (0..8)
        .map(|byte| format!("(get_byte(h, {})::bigint << {})", at + byte, 56 - 8 * byte))
        .collect();
    format!("sum({})", bytes.join(" | "))
}

/// As `crossfade_model::canonical::framed` does.
fn framed(at: usize, length: Length) -> String {
    let short = format!("set_byte('\\x00'::bytea, 0, octet_length(f{at}) + 1) || f{at}");
    match length {
        Length::Fixed(length) => {
            let mark = length + 1;
            format!("coalesce('\\x{mark:02x}'::bytea || f{at}, '\\x00'::bytea)")
        }
        Length::Short => format!("coalesce({short}, '\\x00'::bytea)"),
        Length::Any => format!(
            "CASE WHEN f{at} IS NULL THEN '\\x00'::bytea WHEN octet_length(f{at}) <= 253 THEN {short} \
             ELSE '\\xff'::bytea || int8send(octet_length(f{at})::bigint) || f{at} END"
        ),
    }
}

fn form(class: Canonical, column: &Column, version: u32) -> Option<Form> {
    let name = quote_ident(&column.name);
    let fixed = |length: u8, sql: String| {
        Some(Form {
            sql,
            length: Length::Fixed(length),
        })
    };
    let varied = |sql: String| {
        let length = Length::Any;
        Some(Form { sql, length })
    };
    match (class, column.logical) {
        (Canonical::Exact | Canonical::Text, _) => Some(output(column)),
        (Canonical::Boolean, LogicalType::Boolean) => fixed(
            1,
            format!("CASE {name} WHEN true THEN '\\x01'::bytea WHEN false THEN '\\x00'::bytea END"),
        ),
        (Canonical::Integer, LogicalType::Integer { .. }) => {
            fixed(8, format!("int8send({name}::bigint)"))
        }
        (Canonical::Decimal, LogicalType::Integer { .. }) => Some(output(column)),
        (Canonical::Decimal, LogicalType::Decimal) if version >= TRIMS => {
            varied(format!("textsend(trim_scale({name})::text)"))
        }
        (Canonical::Bytes, LogicalType::Bytes) => varied(name),
        (Canonical::Uuid, LogicalType::Uuid) => fixed(16, format!("uuid_send({name})")),
        (Canonical::Date, LogicalType::Date) => fixed(
            8,
            format!(
                "int8send(CASE WHEN {name} = 'infinity' THEN 9223372036854775807 \
                 WHEN {name} = '-infinity' THEN -9223372036854775808 \
                 ELSE ({name} - '1970-01-01'::date)::bigint END)"
            ),
        ),
        // the server's own count, from the same epoch and with the same infinities
        (Canonical::Time, LogicalType::Time) => fixed(8, format!("time_send({name})")),
        (Canonical::Timestamp, LogicalType::Timestamp) => {
            fixed(8, format!("timestamp_send({name})"))
        }
        (Canonical::TimestampWithZone, LogicalType::TimestampWithZone) => {
            fixed(8, format!("timestamptz_send({name})"))
        }
        (Canonical::Float32, LogicalType::Float { bits: 32 }) => fixed(4, single(&name, "")),
        (Canonical::Float32AnyZero, LogicalType::Float { bits: 32 }) => {
            fixed(4, single(&name, " + 0::real"))
        }
        (Canonical::Float64, LogicalType::Float { bits: 64 }) => fixed(8, double(&name, "")),
        (Canonical::Float64AnyZero, LogicalType::Float { bits: 64 }) => {
            fixed(8, double(&name, " + 0::double precision"))
        }
        _ => None,
    }
}

/// All NaN are one, whatever bits an operation left.
fn single(name: &str, zero: &str) -> String {
    format!("CASE WHEN {name} = 'NaN' THEN '\\x7fc00000'::bytea ELSE float4send({name}{zero}) END")
}

fn double(name: &str, zero: &str) -> String {
    format!(
        "CASE WHEN {name} = 'NaN' THEN '\\x7ff8000000000000'::bytea ELSE float8send({name}{zero}) END"
    )
}

/// What the type's output function gives, in UTF-8. A cast to text is another thing for some types (`boolean`, `inet`).
fn output(column: &Column) -> Form {
    let name = quote_ident(&column.name);
    let declared = parse_declared(&column.declared);
    let (sql, length) = match (declared.name.as_str(), declared.rest) {
        ("text" | "character varying", "") => (format!("textsend({name})"), Length::Any),
        ("character", "") => (format!("bpcharsend({name})"), Length::Any),
        _ => match output_function(column.logical) {
            Some((function, length)) => (format!("textsend(textin({function}({name})))"), length),
            // `concat` calls it for any type; IS NULL is also true of a row of NULLs, which is a value
            None => (
                format!("CASE num_nulls({name}) WHEN 0 THEN textsend(concat({name})) END"),
                Length::Any,
            ),
        },
    };
    Form { sql, length }
}

/// The output functions of the most usual types, to be called without a detour.
fn output_function(logical: LogicalType) -> Option<(&'static str, Length)> {
    Some(match logical {
        LogicalType::Integer { bits: 16 } => ("int2out", Length::Short),
        LogicalType::Integer { bits: 32 } => ("int4out", Length::Short),
        LogicalType::Integer { bits: 64 } => ("int8out", Length::Short),
        LogicalType::Float { bits: 32 } => ("float4out", Length::Short),
        LogicalType::Float { bits: 64 } => ("float8out", Length::Short),
        LogicalType::Boolean => ("boolout", Length::Short),
        LogicalType::Uuid => ("uuid_out", Length::Short),
        LogicalType::Date => ("date_out", Length::Short),
        LogicalType::Time => ("time_out", Length::Short),
        LogicalType::Timestamp => ("timestamp_out", Length::Short),
        LogicalType::TimestampWithZone => ("timestamptz_out", Length::Short),
        LogicalType::Decimal => ("numeric_out", Length::Any),
        LogicalType::Bytes => ("byteaout", Length::Any),
        _ => return None,
    })
}

/// Sums `rows` (what follows FROM).
///
/// The salt goes as a parameter, so that neither `pg_stat_activity` nor `pg_stat_statements` shows it, which any role may
/// read. Only a server that logs all statements with their parameters writes it to its log, whose readers could forge the sums
/// by easier means.
///
/// # Errors
/// The server's.
pub async fn sum(
    client: &Client,
    label: &str,
    forms: &Forms,
    rows: &str,
    digester: &Digester,
) -> Result<BucketSums> {
    let sql = forms.statement(rows);
    let prefix = &digester.prefix()[..];
    let buckets = client.query("summing rows", &sql, &[&prefix]).await?;
    let mut sums = BucketSums::default();
    for row in buckets {
        let bucket = usize::try_from(row.get::<_, i32>(0)).unwrap_or(usize::MAX);
        let lanes = [row.get::<_, &str>(2), row.get(3)].map(str::parse::<i128>);
        let [Ok(first), Ok(second)] = lanes else {
            return Err(malformed(label));
        };
        let sum = BucketSum {
            rows: row.get::<_, i64>(1) as u64,
            first: first as u64,
            second: second as u64,
        };
        if !sums.merge_bucket(bucket, &sum) {
            return Err(malformed(label));
        }
    }
    Ok(sums)
}

fn malformed(label: &str) -> StoreError {
    StoreError::new(
        ErrorKind::Corrupt,
        "postgres.sum",
        label,
        "the server's sums cannot be read",
    )
}
