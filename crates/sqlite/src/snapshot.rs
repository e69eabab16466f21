//! A consistent read on a source: one read transaction, in which the change table's end is read with the rows.

use async_trait::async_trait;
use crossfade_model::{BucketSums, Cell, Digester, Position, Row, Snapshot, Table, TableMapping};
use crossfade_store::pace::Pace;
use crossfade_store::{
    Aggregates, Bound, ChunkRange, ErrorKind, Query, ReadForm, Result, RowStream, SourceSnapshot,
    SumPlace,
};
use rusqlite::{Connection, OptionalExtension as _};

use crate::aggregates;
use crate::blocks::{CellReader, bind, start_query};
use crate::capture::names::change_table;
use crate::capture::state;
use crate::conn::{Place, Purpose, Shared, blocking};
use crate::key_sql::{self, KeyColumn};
use crate::query;
use crate::splits::{bounds, rowid_parts};
use crate::sql::names::{quote, quote_all};
use crate::sums::sum_query;
use crate::table_info::{self, TableInfo};

/// The word for a table that is one part.
pub(crate) const WHOLE: &str = "all";

/// An open read transaction.
pub(crate) struct SqliteSnapshot {
    place: Place,
    connection: Shared<Connection>,
    sequence: u64,
    snapshot: Snapshot,
    pace: Option<Pace>,
}

impl SqliteSnapshot {
    /// Opens a snapshot. Without a migration it sees no position, and no chunk accepts it.
    pub async fn open(
        place: &Place,
        migration: Option<String>,
        tables: &[&Table],
    ) -> Result<SqliteSnapshot> {
        let expected: Vec<(String, Option<String>)> = tables
            .iter()
            .map(|t| (t.name.name.clone(), t.definition.clone()))
            .collect();
        let at = place.clone();
        let (connection, sequence) = blocking(place, move || {
            let connection = at.open(Purpose::Read)?;
            let failed = at.failed("cannot open a snapshot");
            connection.execute_batch("BEGIN").map_err(&failed)?;
            let sequence = match &migration {
                Some(m)
                    if state::has_object(&connection, "table", &change_table(m))
                        .map_err(&failed)? =>
                {
                    state::last_sequence(&connection, m).map_err(&failed)?
                }
                _ => None,
            };
            for (name, definition) in &expected {
                check_table(&at, &connection, name, definition.as_deref())?;
            }
            Ok((connection, sequence.unwrap_or(0)))
        })
        .await?;
        Ok(SqliteSnapshot {
            place: place.clone(),
            connection: Shared::new(place.clone(), connection),
            sequence,
            snapshot: Snapshot::Sequence(sequence),
            pace: None,
        })
    }
}

fn check_table(
    place: &Place,
    connection: &Connection,
    name: &str,
    definition: Option<&str>,
) -> Result<()> {
    let info = table_of(place, connection, name)?;
    if definition.is_some_and(|d| d != info.sql) {
        return Err(place
            .error(
                ErrorKind::SchemaMismatch,
                "sqlite.schema_changed",
                "the table's definition is not the planned one",
            )
            .table(name)
            .fix("Abort the migration and begin it again with the present tables"));
    }
    Ok(())
}

fn table_of(place: &Place, connection: &Connection, name: &str) -> Result<TableInfo> {
    table_info::read(connection, name)
        .map_err(place.failed("cannot read the table's definition"))?
        .ok_or_else(|| {
            place
                .error(ErrorKind::Missing, "sqlite.table", "there is no such table")
                .table(name)
        })
}

/// A table and its key's columns.
pub(crate) fn keyed(
    place: &Place,
    connection: &Connection,
    name: &str,
) -> Result<(TableInfo, Vec<KeyColumn>)> {
    let info = table_of(place, connection, name)?;
    let key = info.key().ok_or_else(|| {
        place
            .error(
                ErrorKind::Unsupported,
                "sqlite.no_key",
                "the table has no key",
            )
            .table(name)
    })?;
    let columns = key_sql::key_columns(&info, &key);
    Ok((info, columns))
}

/// The captured columns of a mapping, as the select list of a statement.
pub(crate) fn select_list(mapping: &TableMapping) -> String {
    quote_all(mapping.columns.iter().map(|c| c.source.as_str()))
}

#[async_trait]
impl SourceSnapshot for SqliteSnapshot {
    fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    fn horizon(&self) -> Position {
        Position(self.sequence)
    }

    async fn wait_durable(&mut self) -> Result<()> {
        let place = self.place.clone();
        blocking(&self.place, move || place.sync_log()).await
    }

    async fn bounds(&mut self, mapping: &TableMapping, chunks: usize) -> Result<Vec<Bound>> {
        let mapping = mapping.clone();
        let place = self.place.clone();
        self.connection
            .run(move |connection| bounds(&place, connection, &mapping, chunks))
            .await
    }

    async fn parts(&mut self, mapping: &TableMapping, parts: usize) -> Result<Vec<String>> {
        let table = mapping.source.name.name.clone();
        let place = self.place.clone();
        self.connection
            .run(move |connection| {
                let info = table_of(&place, connection, &table)?;
                rowid_parts(connection, &info, parts)
                    .map_err(|e| place.failed("cannot split the table")(e).table(&table))
            })
            .await
    }

    /// VACUUM may give rows other rowids, and it moves the schema's version as every change of a definition does.
    async fn physical_identity(&mut self, mapping: &TableMapping) -> Result<String> {
        let table = mapping.source.name.name.clone();
        let place = self.place.clone();
        self.connection
            .run(move |connection| {
                let failed = place.failed("cannot read the schema's version");
                let version: i64 = connection
                    .query_row("PRAGMA schema_version", [], |r| r.get(0))
                    .map_err(&failed)?;
                let root: Option<i64> = connection
                    .query_row(
                        "SELECT rootpage FROM sqlite_master WHERE type = 'table' AND name = ?1",
                        [&table],
                        |r| r.get(0),
                    )
                    .optional()
                    .map_err(&failed)?;
                Ok(format!("{version}/{}", root.unwrap_or(0)))
            })
            .await
    }

    async fn read<'a>(
        &'a mut self,
        mapping: &'a TableMapping,
        range: &'a ChunkRange,
        form: ReadForm,
    ) -> Result<Box<dyn RowStream + 'a>> {
        if form != ReadForm::Rows {
            return Err(self
                .place
                .error(
                    ErrorKind::Unsupported,
                    "sqlite.copy_format",
                    "SQLite has no stream format",
                )
                .table(&mapping.source.name));
        }
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
        let mapping = mapping.clone();
        let keys = keys.to_vec();
        let place = self.place.clone();
        self.connection
            .run(move |connection| {
                let (_, columns) = keyed(&place, connection, &mapping.source.name.name)?;
                read_keys(connection, &mapping, &columns, &keys).map_err(|e| {
                    place.failed("cannot read rows by key")(e).table(&mapping.source.name)
                })
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
                let columns = mapping.columns.iter().map(|c| c.source.as_str());
                let table = &mapping.source.name.name;
                aggregates::measure(&place, connection, &mapping, (table, ""), columns)
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

impl SqliteSnapshot {
    /// The query that reads a range.
    async fn selection(
        &self,
        mapping: &TableMapping,
        range: &ChunkRange,
    ) -> Result<(String, Vec<Cell>)> {
        let (condition, parameters) = self.condition(mapping, range).await?;
        let sql = format!(
            "SELECT {} FROM {}{condition}",
            select_list(mapping),
            quote(&mapping.source.name.name)
        );
        Ok((sql, parameters))
    }

    /// The WHERE clause of a range.
    async fn condition(
        &self,
        mapping: &TableMapping,
        range: &ChunkRange,
    ) -> Result<(String, Vec<Cell>)> {
        match range {
            ChunkRange::All => Ok((String::new(), Vec::new())),
            ChunkRange::Part(word) => part_condition(word).ok_or_else(|| {
                self.place
                    .error(
                        ErrorKind::Internal,
                        "sqlite.part",
                        "a part of the table has an unknown name",
                    )
                    .table(&mapping.source.name)
            }),
            ChunkRange::Keys { low, high } => {
                let place = self.place.clone();
                let table = mapping.source.name.name.clone();
                let key = self
                    .connection
                    .run(move |connection| Ok(keyed(&place, connection, &table)?.1))
                    .await?;
                Ok(key_condition(&key, low.as_ref(), high.as_ref()))
            }
        }
    }
}

/// Keys from `low` up to and without `high`.
pub(crate) fn key_condition(
    key: &[KeyColumn],
    low: Option<&Bound>,
    high: Option<&Bound>,
) -> (String, Vec<Cell>) {
    let mut conditions = Vec::new();
    let mut parameters = Vec::new();
    for (bound, operator) in [(low, ">="), (high, "<")] {
        if let Some(bound) = bound {
            conditions.push(format!(
                "{} {operator} {}",
                key_sql::ordered(key),
                key_sql::parameters(key.len(), parameters.len() + 1)
            ));
            parameters.extend(bound.cells.iter().take(key.len()).cloned());
        }
    }
    if conditions.is_empty() {
        return (String::new(), parameters);
    }
    (format!(" WHERE {}", conditions.join(" AND ")), parameters)
}

fn part_condition(word: &str) -> Option<(String, Vec<Cell>)> {
    if word == WHOLE {
        return Some((String::new(), Vec::new()));
    }
    let mut fields = word.strip_prefix("rowid:")?.splitn(3, ':');
    let rowid = fields
        .next()
        .filter(|r| ["rowid", "_rowid_", "oid"].contains(r))?;
    let mut conditions = Vec::new();
    let mut parameters = Vec::new();
    for operator in [">=", "<"] {
        let field = fields.next()?;
        if !field.is_empty() {
            parameters.push(Cell::Integer(field.parse().ok()?));
            conditions.push(format!("{rowid} {operator} ?{}", parameters.len()));
        }
    }
    if conditions.is_empty() {
        return Some((String::new(), parameters));
    }
    Some((format!(" WHERE {}", conditions.join(" AND ")), parameters))
}

/// Rows by key, in the order of the keys found.
pub(crate) fn read_keys(
    connection: &Connection,
    mapping: &TableMapping,
    key: &[KeyColumn],
    keys: &[Row],
) -> rusqlite::Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(&select_by_key(mapping, key))?;
    let positions = mapping.source.key_places();
    let mut reader = CellReader::default();
    let mut out = Vec::with_capacity(keys.len());
    for wanted in keys {
        let cells = positions.iter().filter_map(|&i| wanted.0.get(i));
        bind(&mut statement, 1, cells)?;
        let mut rows = statement.raw_query();
        if let Some(row) = rows.next()? {
            out.push(reader.row(row, mapping.columns.len())?);
        }
    }
    Ok(out)
}

/// The statement that reads one row by its key's bytes.
pub(crate) fn select_by_key(mapping: &TableMapping, key: &[KeyColumn]) -> String {
    format!(
        "SELECT {} FROM {} WHERE {}",
        select_list(mapping),
        quote(&mapping.source.name.name),
        key_sql::equals(key, 1)
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn parts_are_read_back_and_strange_words_are_none() {
        let (sql, cells) = part_condition("rowid:_rowid_:5:9").unwrap();
        assert_eq!(sql, " WHERE _rowid_ >= ?1 AND _rowid_ < ?2");
        assert_eq!(cells, [Cell::Integer(5), Cell::Integer(9)]);
        assert_eq!(part_condition("rowid:rowid::").unwrap().0, "");
        assert_eq!(
            part_condition("rowid:rowid::-3").unwrap().0,
            " WHERE rowid < ?1"
        );
        assert_eq!(part_condition("all").unwrap().0, "");
        for word in [
            "",
            "rowid",
            "rowid:1 OR 1::",
            "rowid:rowid:x:",
            "rowid:rowid:1",
        ] {
            assert!(part_condition(word).is_none(), "{word}");
        }
    }
}
