//! Queries that the operator wrote.

use crossfade_store::query::{ColumnClass, Query, QueryColumn};
use crossfade_store::{ReadForm, Result};
use tokio_postgres::types::{Kind, Type};

use crate::connect::Client;
use crate::copy_out::CopyOut;
use crate::session::Purpose;
use crate::store::PostgresStore;

const DOING: &str = "running a query of the migration file";

/// The path by which people write names; the program's own statements name every schema.
const AS_WRITTEN: &str = "SET LOCAL search_path = \"$user\", public";

/// What a query gives, without running it; see [`crossfade_store::Source::query_columns`].
///
/// # Errors
/// The server's.
pub async fn columns(store: &PostgresStore, sql: &str) -> Result<Vec<QueryColumn>> {
    let client = store.connect(Purpose::Check).await?;
    client
        .batch(DOING, &format!("BEGIN READ ONLY; {AS_WRITTEN}"))
        .await?;
    described(&client, sql).await
}

/// Runs a query in the open transaction, which only reads; see [`crossfade_store::SourceSnapshot::query`].
///
/// # Errors
/// The server's.
pub async fn run<'a>(client: &'a Client, label: &'a str, sql: &str) -> Result<Query<'a>> {
    client
        .batch(
            DOING,
            &format!("{AS_WRITTEN}; SET LOCAL statement_timeout = '10min'"),
        )
        .await?;
    // what the server takes for one statement here ends nothing there
    let columns = described(client, sql).await?;
    let source = format!("(SELECT * FROM (\n{sql}\n) AS projection)");
    let rows = CopyOut::begin(client, label, &source, &ReadForm::Rows, columns.len()).await?;
    Ok(Query {
        columns,
        rows: Box::new(rows),
    })
}

async fn described(client: &Client, sql: &str) -> Result<Vec<QueryColumn>> {
    let statement = client.raw().prepare(sql).await;
    let statement = statement.map_err(|e| client.error(DOING, &e))?;
    let columns = statement.columns().iter().map(|column| QueryColumn {
        name: column.name().to_owned(),
        class: class(column.type_()),
    });
    Ok(columns.collect())
}

fn class(of: &Type) -> ColumnClass {
    match *of {
        Type::INT2
        | Type::INT4
        | Type::INT8
        | Type::NUMERIC
        | Type::FLOAT4
        | Type::FLOAT8
        | Type::OID => ColumnClass::Number,
        Type::BOOL => ColumnClass::Boolean,
        _ => match of.kind() {
            Kind::Domain(base) => class(base),
            _ => ColumnClass::Text,
        },
    }
}
