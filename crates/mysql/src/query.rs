//! Queries that the operator wrote.

use crossfade_store::Result;
use crossfade_store::query::{ColumnClass, Query, QueryColumn};
use mysql_async::Column;
use mysql_async::consts::ColumnType;
use mysql_async::prelude::Queryable;

use crate::connect::Client;
use crate::read::Rows;
use crate::server::Flavor;
use crate::types::Kind;

const DOING: &str = "running a query of the migration file";

/// The character set of values that are no text.
const BINARY: u16 = 63;

/// Within another, a query can be but one, and one that only reads.
fn within(sql: &str) -> String {
    format!("SELECT * FROM (\n{sql}\n) AS projection")
}

/// What a query gives, without running it.
pub(crate) async fn columns(client: &mut Client, sql: &str) -> Result<Vec<QueryColumn>> {
    Ok(described(client, sql)
        .await?
        .iter()
        .map(|column| QueryColumn {
            name: column.name_str().into_owned(),
            class: class(column),
        })
        .collect())
}

async fn described(client: &mut Client, sql: &str) -> Result<Vec<Column>> {
    let prepared = client.raw().prep(within(sql)).await;
    let statement = prepared.map_err(|e| client.error(DOING, &e))?;
    let columns = statement.columns().to_vec();
    let closed = client.raw().close(statement).await;
    closed.map_err(|e| client.error(DOING, &e))?;
    Ok(columns)
}

/// Runs a query in the open transaction, which only reads.
pub(crate) async fn run<'a>(client: &'a mut Client, sql: &str) -> Result<Query<'a>> {
    let bound = match client.server.flavor {
        Flavor::Mysql => "SET SESSION max_execution_time = 600000",
        Flavor::Mariadb => "SET SESSION max_statement_time = 600",
    };
    client.run(DOING, bound).await?;
    let described = described(client, sql).await?;
    let shape = described.iter().map(|c| (kind(c), false)).collect();
    let columns = described
        .iter()
        .map(|column| QueryColumn {
            name: column.name_str().into_owned(),
            class: class(column),
        })
        .collect();
    let rows = Rows::begin(client, &within(sql), shape).await?;
    Ok(Query {
        columns,
        rows: Box::new(rows),
    })
}

fn class(column: &Column) -> ColumnClass {
    use ColumnType::*;
    match column.column_type() {
        MYSQL_TYPE_DECIMAL
        | MYSQL_TYPE_NEWDECIMAL
        | MYSQL_TYPE_TINY
        | MYSQL_TYPE_SHORT
        | MYSQL_TYPE_LONG
        | MYSQL_TYPE_FLOAT
        | MYSQL_TYPE_DOUBLE
        | MYSQL_TYPE_LONGLONG
        | MYSQL_TYPE_INT24
        | MYSQL_TYPE_YEAR => ColumnClass::Number,
        _ => ColumnClass::Text,
    }
}

fn kind(column: &Column) -> Kind {
    use ColumnType::*;
    match column.column_type() {
        MYSQL_TYPE_BIT => Kind::Bit {
            width: column.column_length().clamp(1, 64),
        },
        MYSQL_TYPE_GEOMETRY => Kind::Formed,
        MYSQL_TYPE_VARCHAR
        | MYSQL_TYPE_TINY_BLOB
        | MYSQL_TYPE_MEDIUM_BLOB
        | MYSQL_TYPE_LONG_BLOB
        | MYSQL_TYPE_BLOB
        | MYSQL_TYPE_VAR_STRING
        | MYSQL_TYPE_STRING
            if column.character_set() == BINARY =>
        {
            Kind::Bytes {
                padded: false,
                length: u64::MAX,
            }
        }
        _ => Kind::Other,
    }
}
