//! Rows as the server sends them.

use async_trait::async_trait;
use crossfade_model::{BucketSums, Digester, Row, TableMapping};
use crossfade_store::aggregates::Measuring;
use crossfade_store::pace::{Pace, Rests};
use crossfade_store::sums::no_form;
use crossfade_store::{Aggregates, Result, RowBlock, RowStream};
use mysql_async::prelude::Queryable;
use mysql_async::{QueryResult, TextProtocol};

use crate::cells;
use crate::connect::Client;
use crate::error;
use crate::plan::Plan;
use crate::types::Kind;

/// Bytes of a block of rows.
const BLOCK_BYTES: usize = 1 << 20;
/// Rows of a block at most.
const BLOCK_ROWS: usize = 4096;

const DOING: &str = "reading rows";

/// Keys in one statement.
const KEYS_AT_ONCE: usize = 200;

/// How the values of a query's columns become cells.
pub(crate) type Shape = Vec<(Kind, bool)>;

/// Rows under way. Dropped early, the rest is read and thrown away by the session's next statement.
pub(crate) struct Rows<'a> {
    result: QueryResult<'a, 'static, TextProtocol>,
    label: std::sync::Arc<str>,
    shape: Shape,
    ended: bool,
}

impl<'a> Rows<'a> {
    /// Begins a query.
    pub async fn begin(client: &'a mut Client, sql: &str, shape: Shape) -> Result<Rows<'a>> {
        let label = std::sync::Arc::clone(&client.label);
        let result = client
            .raw()
            .query_iter(sql.to_owned())
            .await
            .map_err(|e| error::driver(&label, DOING, &e))?;
        Ok(Rows {
            result,
            label,
            shape,
            ended: false,
        })
    }

    /// The next row.
    pub async fn row(&mut self) -> Result<Option<Row>> {
        if self.ended {
            return Ok(None);
        }
        let row = self
            .result
            .next()
            .await
            .map_err(|e| error::driver(&self.label, DOING, &e))?;
        let Some(row) = row else {
            self.ended = true;
            return Ok(None);
        };
        let cells = row
            .unwrap()
            .into_iter()
            .zip(&self.shape)
            .map(|(value, (kind, instant))| cells::cell(*kind, *instant, value))
            .collect();
        Ok(Some(Row(cells)))
    }
}

#[async_trait]
impl RowStream for Rows<'_> {
    async fn next(&mut self) -> Result<Option<RowBlock>> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        while bytes < BLOCK_BYTES && rows.len() < BLOCK_ROWS {
            let Some(row) = self.row().await? else { break };
            bytes += row.weight();
            rows.push(row);
        }
        Ok((!rows.is_empty()).then_some(RowBlock::Rows(rows)))
    }
}

/// The shape of a plan's columns.
pub(crate) fn shape(plan: &Plan) -> Shape {
    plan.columns.iter().map(|c| (c.kind, c.instant)).collect()
}

/// Begins to read a table's rows; `clause` begins with ` WHERE`, or is empty.
pub(crate) async fn table<'a>(
    client: &'a mut Client,
    plan: &Plan,
    clause: &str,
) -> Result<Rows<'a>> {
    let sql = format!("SELECT {} FROM {}{clause}", plan.selected(), plan.quoted);
    Rows::begin(client, &sql, shape(plan))
        .await
        .map_err(|e| e.table(&plan.table))
}

/// The rows of these keys, of those that meet the condition `own`.
pub(crate) async fn keys(
    client: &mut Client,
    plan: &Plan,
    keys: &[Row],
    own: Option<&str>,
) -> Result<Vec<Row>> {
    let mut out = Vec::with_capacity(keys.len());
    for some in keys.chunks(KEYS_AT_ONCE) {
        let mut clause = String::from(" WHERE (");
        for (n, key) in some.iter().enumerate() {
            if n > 0 {
                clause.push_str(" OR ");
            }
            plan.write_key(key, &mut clause)?;
        }
        clause.push(')');
        if let Some(own) = own {
            clause.push_str(" AND ");
            clause.push_str(own);
        }
        let mut rows = table(client, plan, &clause).await?;
        while let Some(row) = rows.row().await? {
            out.push(row);
        }
    }
    Ok(out)
}

/// Sums the digests of a table's rows.
pub(crate) async fn sum(
    client: &mut Client,
    plan: &Plan,
    clause: &str,
    (mapping, digester): (&TableMapping, &Digester),
    pace: Option<&Pace>,
) -> Result<BucketSums> {
    let mut digester = digester.clone();
    let mut sums = BucketSums::default();
    let mut rests = Rests::new(pace);
    let mut rows = table(client, plan, clause).await?;
    while let Some(row) = rows.row().await? {
        rests.take().await;
        digester.begin();
        for (column, cell) in mapping.columns.iter().zip(&row.0) {
            digester.value(column.canonical, cell.value());
        }
        sums.add(digester.end());
    }
    Ok(sums)
}

/// Measures the columns of a table, in the program: sums of decimals are exact here.
pub(crate) async fn aggregates(
    client: &mut Client,
    plan: &Plan,
    mapping: &TableMapping,
    clause: &str,
) -> Result<Aggregates> {
    let width = mapping.columns.len();
    let mut measuring: Vec<Measuring> = (0..width).map(|at| Measuring::new(mapping, at)).collect();
    let mut count = 0;
    let label = std::sync::Arc::clone(&client.label);
    let mut rows = table(client, plan, clause).await?;
    while let Some(row) = rows.row().await? {
        count += 1;
        for (at, (column, cell)) in measuring.iter_mut().zip(&row.0).enumerate() {
            column
                .add(cell)
                .map_err(|e| no_form(mapping, at, &e.to_string(), &label))?;
        }
    }
    Ok(Aggregates {
        rows: count,
        columns: measuring.into_iter().map(Measuring::cells).collect(),
    })
}
