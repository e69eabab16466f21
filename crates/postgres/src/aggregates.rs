//! Measures of a table's columns, by the server.

use bytes::Bytes;
use crossfade_model::{Cell, Column, TableMapping};
use crossfade_store::aggregates::measures;
use crossfade_store::{Aggregates, ErrorKind, Measure, Result, StoreError};

use crate::connect::Client;
use crate::names::quote_ident;

const DOING: &str = "measuring a table's columns";

/// Measures the columns of what `relation` names; see [`crossfade_store::SourceSnapshot::aggregates`].
///
/// # Errors
/// The server's.
pub async fn measure(
    client: &Client,
    label: &str,
    mapping: &TableMapping,
    relation: &str,
    columns: &[&Column],
) -> Result<Aggregates> {
    // one array: a list of results may not be longer than 1664
    let mut list = vec!["count(*)::text".to_owned()];
    for (at, column) in columns.iter().enumerate() {
        list.extend(measures(mapping, at).iter().map(|m| expression(*m, column)));
    }
    let sql = format!("SELECT ARRAY[{}] FROM {relation}", list.join(", "));
    let row = client.query_one(DOING, &sql, &[]).await?;
    let mut values = row.get::<_, Vec<Option<String>>>(0).into_iter();
    let rows = values.next().flatten().and_then(|n| n.parse().ok());
    let rows = rows.ok_or_else(|| {
        let what = "the server's counts cannot be read";
        StoreError::new(ErrorKind::Corrupt, "postgres.aggregates", label, what)
            .table(&mapping.source.name)
    })?;
    let mut cell = || match values.next().flatten() {
        Some(text) => Cell::TextForm(Bytes::from(text)),
        None => Cell::Null,
    };
    let columns = (0..columns.len())
        .map(|at| measures(mapping, at).iter().map(|_| cell()).collect())
        .collect();
    Ok(Aggregates { rows, columns })
}

fn expression(measure: Measure, column: &Column) -> String {
    let name = quote_ident(&column.name);
    match measure {
        Measure::Nulls => format!("(count(*) - count({name}))::text"),
        Measure::Sum => format!("coalesce(sum({name}), 0)::text"),
        Measure::Octets => format!(
            "coalesce(sum({}), 0)::text",
            octets(&name, &column.declared)
        ),
        Measure::Least => format!("min({name})::text"),
        Measure::Greatest => format!("max({name})::text"),
        Measure::True => format!("(count(*) FILTER (WHERE {name}::boolean))::text"),
    }
}

fn octets(name: &str, declared: &str) -> String {
    let base = declared.split('(').next().unwrap_or(declared).trim();
    match base {
        // the padding counts, which a cast to text takes away
        "bytea" | "character" => format!("octet_length({name})"),
        _ => format!("octet_length({name}::text)"),
    }
}
