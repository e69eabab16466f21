//! A consistent read on a target, at the checkpoint that the same transaction sees.

use async_trait::async_trait;
use crossfade_model::{BucketSums, Cell, Digester, Position, Row, TableMapping};
use crossfade_store::pace::Pace;
use crossfade_store::slice;
use crossfade_store::{Aggregates, ChunkRange, Query, Result, RowStream, SumPlace, TargetSnapshot};
use rusqlite::Connection;

use crate::aggregates;
use crate::blocks::{CellReader, start_query};
use crate::clear::range_condition;
use crate::conn::{Place, Purpose, Shared, blocking};
use crate::own_tables;
use crate::query;
use crate::sql::names::{quote, quote_all};
use crate::sums::sum_query;
use crate::table_plan::{TablePlan, Words};

/// An open read transaction.
pub(crate) struct SqliteReader {
    place: Place,
    connection: Shared<Connection>,
    position: Option<Position>,
    pace: Option<Pace>,
}

impl SqliteReader {
    pub async fn open(place: &Place, migration: &str) -> Result<SqliteReader> {
        let (at, migration) = (place.clone(), migration.to_owned());
        let (connection, position) = blocking(place, move || {
            let connection = at.open(Purpose::Read)?;
            let failed = at.failed("cannot open a snapshot");
            connection.execute_batch("BEGIN").map_err(&failed)?;
            let state = own_tables::read_checkpoint(&connection, &migration).map_err(&failed)?;
            Ok((connection, state))
        })
        .await?;
        Ok(SqliteReader {
            place: place.clone(),
            connection: Shared::new(place.clone(), connection),
            position,
            pace: None,
        })
    }
}

impl SqliteReader {
    /// The query that reads a range.
    async fn selection(
        &self,
        mapping: &TableMapping,
        range: &ChunkRange,
    ) -> Result<(String, Vec<Cell>)> {
        let (condition, parameters) = match range {
            ChunkRange::All if mapping.slice.is_none() => (String::new(), Vec::new()),
            _ => {
                let (place, mapping) = (self.place.clone(), mapping.clone());
                let range = range.clone();
                self.connection
                    .run(move |connection| {
                        let plan = TablePlan::new(connection, &place, &mapping)?;
                        range_condition(connection, &plan, &range)
                    })
                    .await?
            }
        };
        let sql = format!(
            "SELECT {} FROM {}{condition}",
            quote_all(mapping.columns.iter().map(|c| c.target.as_str())),
            quote(&mapping.target.name.name)
        );
        Ok((sql, parameters))
    }
}

/// Which rows are read by their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those of these keys to the byte that are the mapping's own.
    Own,
    /// All that the key's index holds equal to these, whose they are.
    Held,
}

/// The rows of these keys.
pub(crate) fn rows_of(
    connection: &Connection,
    plan: &TablePlan,
    keys: &[Row],
    which: Which,
) -> Result<Vec<Row>> {
    let failed = plan.place.failed("cannot read rows by key");
    let sql = match (which, &plan.own) {
        (Which::Own, None) => plan.select.clone(),
        (Which::Own, Some(own)) => format!("{} AND {own}", plan.select),
        (Which::Held, _) => plan.select_held.clone(),
    };
    let mut statement = connection.prepare_cached(&sql).map_err(&failed)?;
    let mut reader = CellReader::default();
    let mut out = Vec::with_capacity(keys.len());
    for key in keys {
        plan.bind(&mut statement, &key.0, plan.key_places.iter().copied())?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(&failed)? {
            out.push(reader.row(row, plan.columns.len()).map_err(&failed)?);
        }
    }
    Ok(out)
}

#[async_trait]
impl TargetSnapshot for SqliteReader {
    fn position(&self) -> Option<Position> {
        self.position
    }

    async fn read<'a>(
        &'a mut self,
        mapping: &'a TableMapping,
        range: &'a ChunkRange,
    ) -> Result<Box<dyn RowStream + 'a>> {
        let (sql, parameters) = self.selection(mapping, range).await?;
        Ok(Box::new(start_query(
            &self.place,
            self.connection.handle(),
            sql,
            parameters,
            mapping.columns.len(),
        )))
    }

    async fn read_keys(&mut self, mapping: &TableMapping, keys: &[Row]) -> Result<Vec<Row>> {
        let (place, mapping) = (self.place.clone(), mapping.clone());
        let keys = keys.to_vec();
        self.connection
            .run(move |connection| {
                let plan = TablePlan::new(connection, &place, &mapping)?;
                rows_of(connection, &plan, &keys, Which::Own)
            })
            .await
    }

    async fn sum(
        &mut self,
        mapping: &TableMapping,
        range: &ChunkRange,
        digester: &Digester,
        _place: SumPlace,
    ) -> Result<BucketSums> {
        let (sql, parameters) = self.selection(mapping, range).await?;
        sum_query(
            &self.place,
            self.connection.handle(),
            sql,
            parameters,
            mapping,
            digester,
            self.pace.as_ref(),
        )
        .await
    }

    fn set_pace(&mut self, pace: Pace) {
        self.pace = Some(pace);
    }

    async fn aggregates(&mut self, mapping: &TableMapping) -> Result<Aggregates> {
        let (place, mapping) = (self.place.clone(), mapping.clone());
        self.connection
            .run(move |connection| {
                let columns = mapping.columns.iter().map(|c| c.target.as_str());
                let table = &mapping.target.name.name;
                let own = slice::condition(&mapping, &place.label, &Words)?;
                let own = own.map_or_else(String::new, |own| format!(" WHERE {own}"));
                aggregates::measure(&place, connection, &mapping, (table, &own), columns)
            })
            .await
    }

    async fn query(&mut self, sql: &str) -> Result<Query<'_>> {
        query::run(&self.place, &self.connection, sql).await
    }

    async fn close(self: Box<Self>) -> Result<()> {
        let place = self.place.clone();
        self.connection
            .run(move |connection| {
                connection
                    .execute_batch("ROLLBACK")
                    .map_err(place.failed("cannot end a snapshot"))
            })
            .await
    }
}
