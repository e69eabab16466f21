//! How one side's table is read and written: its columns' kinds as the server tells them, and its key.

use crossfade_model::{Canonical, Cell, Column, Row, TableMapping, TableName};
use crossfade_store::slice::{self, SliceDialect};
use crossfade_store::{Bound, ChunkRange, ErrorKind, Result, StoreError};

use crate::cells::{self, Refused};
use crate::connect::Client;
use crate::describe::catalog;
use crate::names::{literal, quote};
use crate::types::Kind;

/// A mapped column of one side.
#[derive(Debug, Clone)]
pub(crate) struct PlanColumn {
    /// Unquoted.
    pub name: String,
    pub quoted: String,
    pub kind: Kind,
    /// The form in which values come, and are compared.
    pub class: Canonical,
    /// Read as an instant whatever the type.
    pub instant: bool,
    /// The server counts it (AUTO_INCREMENT).
    pub counts: bool,
    /// `char`: blanks at its values' ends are not kept.
    stripped: bool,
}

/// A mapped table of one side.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub table: TableName,
    pub quoted: String,
    pub label: std::sync::Arc<str>,
    pub columns: Vec<PlanColumn>,
    /// Places of the key's columns.
    pub key: Vec<usize>,
    /// For comparing texts by their code points.
    exact_collation: &'static str,
}

impl Plan {
    /// Of the target's side.
    pub async fn target(client: &mut Client, mapping: &TableMapping) -> Result<Plan> {
        let names = mapping.columns.iter().map(|c| c.target.as_str());
        Plan::new(client, mapping, &mapping.target.name, names.collect()).await
    }

    /// Of the source's side.
    pub async fn source(client: &mut Client, mapping: &TableMapping) -> Result<Plan> {
        let names = mapping.columns.iter().map(|c| c.source.as_str());
        Plan::new(client, mapping, &mapping.source.name, names.collect()).await
    }

    async fn new(
        client: &mut Client,
        mapping: &TableMapping,
        table: &TableName,
        names: Vec<&str>,
    ) -> Result<Plan> {
        let found = columns_of(client, table).await?;
        let mut columns = Vec::with_capacity(names.len());
        for (name, mapped) in names.iter().zip(&mapping.columns) {
            let Some(column) = found.iter().find(|c| c.name == *name) else {
                return Err(client
                    .fault(
                        ErrorKind::SchemaMismatch,
                        "mysql.schema_changed",
                        format!("the table has no column {name}"),
                    )
                    .table(table)
                    .fix("Abort the migration and begin it again with the present tables"));
            };
            columns.push(PlanColumn {
                name: column.name.clone(),
                quoted: quote(&column.name),
                kind: Kind::parse(&column.declared),
                class: mapped.canonical,
                instant: mapped.canonical == Canonical::TimestampWithZone,
                counts: column.counts,
                stripped: column.declared.starts_with("char"),
            });
        }
        Ok(Plan {
            table: table.clone(),
            quoted: quote(&table.name),
            label: std::sync::Arc::clone(&client.label),
            columns,
            key: mapping.source.key_places().to_vec(),
            exact_collation: client.server.exact_collation(),
        })
    }

    /// An error at this table.
    pub fn fault(
        &self,
        kind: ErrorKind,
        code: &'static str,
        what: impl Into<String>,
    ) -> StoreError {
        StoreError::new(kind, code, &*self.label, what).table(&self.table)
    }

    /// A value that a column cannot hold.
    pub fn refused(&self, place: usize, why: Refused) -> StoreError {
        let column = self.columns.get(place).map_or("?", |c| c.name.as_str());
        self.fault(
            ErrorKind::RowRefused,
            "mysql.value",
            format!("column {column} of a row: {why}"),
        )
        .fix("Correct the value on the source, or map its column to a type that holds it")
    }

    /// The select list.
    pub fn selected(&self) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|c| cells::selected(&c.quoted, c.kind))
            .collect();
        if columns.is_empty() {
            // a table of generated columns alone
            return "1".to_owned();
        }
        columns.join(", ")
    }

    /// The quoted names of all columns.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|c| c.quoted.as_str()).collect();
        names.join(", ")
    }

    /// The cells of a row, one a column.
    pub fn cells<'a>(&self, row: &'a Row) -> Result<std::slice::Iter<'a, Cell>> {
        if row.0.len() == self.columns.len() {
            return Ok(row.0.iter());
        }
        Err(self.fault(
            ErrorKind::Internal,
            "mysql.width",
            "a row has another number of columns than its table",
        ))
    }

    /// Appends a cell as a literal of its column.
    pub fn write_cell(&self, place: usize, cell: &Cell, out: &mut String) -> Result<()> {
        let column = self.columns.get(place).ok_or_else(|| self.no_key())?;
        cells::write_literal(column.kind, column.class, cell, out)
            .map_err(|why| self.refused(place, why))
    }

    /// Appends a row in parentheses.
    pub fn write_row(&self, row: &Row, out: &mut String) -> Result<()> {
        out.push('(');
        for (place, cell) in self.cells(row)?.enumerate() {
            if place > 0 {
                out.push_str(", ");
            }
            self.write_cell(place, cell, out)?;
        }
        out.push(')');
        Ok(())
    }

    /// Appends the condition that a row has the key of `row`.
    pub fn write_key(&self, row: &Row, out: &mut String) -> Result<()> {
        for (n, &place) in self.key.iter().enumerate() {
            let (Some(column), Some(cell)) = (self.columns.get(place), row.0.get(place)) else {
                return Err(self.no_key());
            };
            out.push_str(if n == 0 { "(" } else { " AND " });
            out.push_str(&column.quoted);
            out.push_str(" = ");
            self.literal(place, column, cell, out)?;
        }
        if self.key.is_empty() {
            return Err(self.no_key());
        }
        out.push(')');
        Ok(())
    }

    /// Appends the condition that a row has the key of `row`, texts to the byte. 'a' and 'A' are one value for most indexes, and two keys
    /// for the copy: the row that is there may be another one than is meant.
    pub fn write_exact_key(&self, row: &Row, out: &mut String) -> Result<()> {
        self.write_key(row, out)?;
        for &place in &self.key {
            let (Some(column), Some(cell)) = (self.columns.get(place), row.0.get(place)) else {
                return Err(self.no_key());
            };
            // a UUID is one value however it is spelled
            if !matches!(column.kind, Kind::Text { .. }) || column.class == Canonical::Uuid {
                continue;
            }
            out.push_str(&format!(" AND {} = ", bytes_of(&column.quoted)));
            if column.stripped {
                let mut text = String::new();
                self.literal(place, column, cell, &mut text)?;
                out.push_str(&format!("CAST(TRIM(TRAILING ' ' FROM {text}) AS BINARY)"));
            } else {
                self.write_bytes(place, column, cell, out)?;
            }
        }
        Ok(())
    }

    /// Appends the condition that a row is equal to `row` in all columns, texts to the byte.
    pub fn write_equal(&self, row: &Row, out: &mut String) -> Result<()> {
        for (place, (column, cell)) in self.columns.iter().zip(&row.0).enumerate() {
            if place > 0 {
                out.push_str(" AND ");
            }
            if matches!(column.kind, Kind::Text { .. } | Kind::Json | Kind::Word) {
                out.push_str(&format!("{} <=> ", bytes_of(&column.quoted)));
                self.write_bytes(place, column, cell, out)?;
            } else {
                out.push_str(&format!("{} <=> ", column.quoted));
                self.literal(place, column, cell, out)?;
            }
        }
        Ok(())
    }

    fn literal(
        &self,
        place: usize,
        column: &PlanColumn,
        cell: &Cell,
        out: &mut String,
    ) -> Result<()> {
        cells::write_literal(column.kind, column.class, cell, out)
            .map_err(|why| self.refused(place, why))
    }

    fn write_bytes(
        &self,
        place: usize,
        column: &PlanColumn,
        cell: &Cell,
        out: &mut String,
    ) -> Result<()> {
        out.push_str("CAST(");
        self.literal(place, column, cell, out)?;
        out.push_str(" AS BINARY)");
        Ok(())
    }

    fn no_key(&self) -> StoreError {
        self.fault(
            ErrorKind::Internal,
            "mysql.no_key",
            "changes by key for a table without a key",
        )
    }

    /// A range as a WHERE clause; empty for all rows.
    pub fn range(&self, range: &ChunkRange) -> Result<String> {
        let conditions = match range {
            ChunkRange::All => Vec::new(),
            ChunkRange::Part(word) => vec![self.part(word)?],
            ChunkRange::Keys { low, high } => {
                let mut conditions = Vec::new();
                if let Some(low) = low {
                    conditions.push(self.beyond(low, ">", ">=")?);
                }
                if let Some(high) = high {
                    conditions.push(self.beyond(high, "<", "<")?);
                }
                conditions
            }
        };
        Ok(if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        })
    }

    /// As [`Plan::range`] of a target, without the rows that are other mappings'.
    pub fn own_range(&self, mapping: &TableMapping, range: &ChunkRange) -> Result<String> {
        let clause = self.range(range)?;
        Ok(match self.own_condition(mapping)? {
            None => clause,
            Some(own) if clause.is_empty() => format!(" WHERE {own}"),
            Some(own) => format!("{clause} AND {own}"),
        })
    }

    /// The condition of the mapping's rows, where others are in the table too.
    pub fn own_condition(&self, mapping: &TableMapping) -> Result<Option<String>> {
        slice::condition(mapping, &self.label, &Words)
    }

    /// A condition in the words of [`crate::splits`]: literals that this store has written.
    fn part(&self, word: &str) -> Result<String> {
        crate::splits::condition(self, word).ok_or_else(|| {
            self.fault(
                ErrorKind::Internal,
                "mysql.part",
                "a part of the table has an unknown name",
            )
        })
    }

    /// Keys beyond a bound, written out column by column: the server does not look up ranges of rows in an index.
    fn beyond(&self, bound: &Bound, strict: &str, last: &str) -> Result<String> {
        let literals = self
            .key
            .iter()
            .zip(&bound.cells)
            .map(|(&place, cell)| {
                let column = self.columns.get(place).ok_or_else(|| self.no_key())?;
                let mut literal = String::new();
                cells::write_literal(column.kind, column.class, cell, &mut literal)
                    .map_err(|why| self.refused(place, why))?;
                Ok(literal)
            })
            .collect::<Result<Vec<String>>>()?;
        let columns: Vec<String> = self
            .key
            .iter()
            .filter_map(|&place| self.columns.get(place))
            .map(|column| self.ordered(column))
            .collect();
        if literals.is_empty() || literals.len() != columns.len() {
            return Err(self.no_key());
        }
        Ok(beyond(&columns, &literals, strict, last))
    }

    /// A key column as the program orders it.
    pub fn ordered(&self, column: &PlanColumn) -> String {
        // a UUID's text is ordered alike in every collation
        if matches!(column.kind, Kind::Text { .. }) && column.class != Canonical::Uuid {
            format!("{} COLLATE {}", column.quoted, self.exact_collation)
        } else {
            column.quoted.clone()
        }
    }
}

/// How conditions on rows are written here.
struct Words;

impl SliceDialect for Words {
    fn column(&self, column: &Column) -> String {
        quote(&column.name)
    }

    /// By bytes: a collation may hold two texts equal, and pad them.
    fn text(&self, column: &Column) -> String {
        format!(
            "CAST(CONVERT({} USING utf8mb4) AS BINARY)",
            quote(&column.name)
        )
    }

    fn text_literal(&self, text: &str) -> String {
        format!("CAST(CONVERT({} USING utf8mb4) AS BINARY)", literal(text))
    }

    fn boolean(&self, value: bool) -> &'static str {
        if value { "1" } else { "0" }
    }
}

/// How often a table is looked for that can be read and is not listed.
const LOOKS: usize = 5;

/// A text column's bytes as UTF-8.
fn bytes_of(quoted: &str) -> String {
    format!("CAST(CONVERT({quoted} USING utf8mb4) AS BINARY)")
}

/// A table's columns. While a table is being altered MariaDB does not list it for a moment: reading from it waits until that is over.
pub(crate) async fn columns_of(
    client: &mut Client,
    table: &TableName,
) -> Result<Vec<catalog::Column>> {
    for _ in 0..LOOKS {
        let found = catalog::columns(client, Some(&table.name)).await?;
        if let Some(columns) = found.into_values().next() {
            return Ok(columns);
        }
        let there = format!("SELECT 1 FROM {} LIMIT 0", quote(&table.name));
        match client.run("looking for a table", &there).await {
            Err(e) if e.kind == ErrorKind::Missing => break,
            read => read.map_err(|e| e.table(table))?,
        };
    }
    Err(client
        .fault(ErrorKind::Missing, "mysql.table", "there is no such table")
        .table(table))
}

/// The condition that the columns are beyond the literals in the order of rows.
pub(crate) fn beyond(columns: &[String], literals: &[String], strict: &str, last: &str) -> String {
    let mut parts = Vec::with_capacity(columns.len());
    for (n, (column, literal)) in columns.iter().zip(literals).enumerate() {
        let operator = if n + 1 == columns.len() { last } else { strict };
        let mut part: Vec<String> = columns
            .iter()
            .zip(literals)
            .take(n)
            .map(|(c, l)| format!("{c} = {l}"))
            .collect();
        part.push(format!("{column} {operator} {literal}"));
        parts.push(part.join(" AND "));
    }
    match parts.as_slice() {
        [only] => only.clone(),
        many => format!("({})", many.join(" OR ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_rows_are_written_out() {
        let own = |texts: &[&str]| texts.iter().map(|&t| t.to_owned()).collect::<Vec<_>>();
        assert_eq!(beyond(&own(&["`a`"]), &own(&["5"]), ">", ">="), "`a` >= 5");
        assert_eq!(
            beyond(&own(&["a", "b", "c"]), &own(&["1", "2", "3"]), ">", ">="),
            "(a > 1 OR a = 1 AND b > 2 OR a = 1 AND b = 2 AND c >= 3)"
        );
    }
}
