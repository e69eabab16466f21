//! What the applier knows of a target table: its columns and key as SQL.

use crossfade_model::canonical::Canonical;
use crossfade_model::{Cell, Column, Row, TableMapping};
use crossfade_store::{ErrorKind, Result, StoreError};

use crate::cell_text::one_text_per_value;
use crate::connect::Client;
use crate::copy_text::BadCell;
use crate::names::{qualified, quote_ident};
use crate::operators::equality;
use crate::range::{self, KeyColumn};

/// One mapped column.
#[derive(Debug, Clone)]
pub struct ShapeColumn {
    /// Quoted name on the target.
    pub name: String,
    /// The form in which values are written.
    pub class: Canonical,
    /// An update of a row never has to write it: it is part of the key and equal values have equal texts, or it is an
    /// identity that both sides always generate (which no UPDATE may set).
    fixed: bool,
}

/// A target table.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Quoted name with schema.
    pub table: String,
    /// As `table`, without the tables that inherit from it, where it is not partitioned.
    pub alone: String,
    /// The name for messages.
    pub shown: String,
    /// Mapped columns.
    pub columns: Vec<ShapeColumn>,
    /// Places of the key's columns, in key order; empty without a key.
    pub key: Vec<usize>,
    /// The operators by which the key's columns are equal (`OPERATOR(pg_catalog.=)`): with a pinned `search_path`, a plain `=`
    /// would be another type's where an extension brings the type.
    pub equal: Vec<String>,
    /// The key's columns for ranges.
    pub range_key: Vec<KeyColumn>,
}

impl Shape {
    /// From the mapping, and the key's operators from the catalog.
    ///
    /// # Errors
    /// The connection's; a mapping that names columns that the target's definition lacks.
    pub async fn read(client: &Client, label: &str, mapping: &TableMapping) -> Result<Shape> {
        let key = mapping.source.key_places().to_vec();
        let mut columns = Vec::with_capacity(mapping.columns.len());
        for (at, column) in mapping.columns.iter().enumerate() {
            let target = range::target_column(&mapping.target, &column.target)
                .ok_or_else(|| unmapped(label, mapping, &column.target))?;
            let always = |c: &Column| c.identity.as_ref().is_some_and(|i| i.always);
            columns.push(ShapeColumn {
                name: quote_ident(&column.target),
                class: column.canonical,
                fixed: key.contains(&at) && one_text_per_value(target.logical)
                    || always(target) && mapping.source.captured().nth(at).is_some_and(always),
            });
        }
        let key_names: Vec<&str> = key
            .iter()
            .filter_map(|&at| mapping.columns.get(at).map(|c| c.target.as_str()))
            .collect();
        if key_names.len() != key.len() {
            return Err(unmapped(label, mapping, "of the key"));
        }
        Ok(Shape {
            table: qualified(&mapping.target.name),
            alone: match mapping.target.partition_by {
                Some(_) => qualified(&mapping.target.name),
                None => format!("ONLY {}", qualified(&mapping.target.name)),
            },
            shown: mapping.target.name.to_string(),
            equal: equality(client, &mapping.target.name, &key_names).await?,
            range_key: range::target_key(mapping),
            columns,
            key,
        })
    }

    /// All columns' names, separated by commas.
    pub fn column_list(&self) -> String {
        self.list(|c| c.name.clone())
    }

    /// Something of each column, separated by commas.
    pub fn list(&self, of: impl Fn(&ShapeColumn) -> String) -> String {
        self.columns.iter().map(of).collect::<Vec<_>>().join(", ")
    }

    /// The key's columns' names, separated by commas.
    pub fn key_list(&self) -> String {
        let names = self.key.iter().map(|&at| self.columns[at].name.as_str());
        names.collect::<Vec<_>>().join(", ")
    }

    /// Columns that an update may have to write: place and column.
    pub fn updated(&self) -> impl Iterator<Item = (usize, &ShapeColumn)> {
        self.columns
            .iter()
            .enumerate()
            .filter(|(_, column)| !column.fixed)
    }

    /// `t.key = s.prefix0 AND …` for rows of the target `t` and a staging table `s`.
    pub fn key_matches(&self, staged: impl Fn(usize, usize) -> String) -> String {
        let pairs = self.key.iter().zip(&self.equal).enumerate();
        pairs
            .map(|(place, (&at, equal))| {
                format!(
                    "t.{} {equal} s.{}",
                    self.columns[at].name,
                    staged(place, at)
                )
            })
            .collect::<Vec<_>>()
            .join(" AND ")
    }

    /// A row's cells with the forms in which they are written.
    pub fn cells<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = (Canonical, &'a Cell)> {
        self.columns.iter().map(|c| c.class).zip(&row.0)
    }

    /// The key's cells of a row.
    pub fn key_cells<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = (Canonical, &'a Cell)> {
        self.key
            .iter()
            .filter_map(|&at| Some((self.columns[at].class, row.0.get(at)?)))
    }

    /// The error for a value that cannot be written; `columns` are the places of the columns that were written.
    pub fn refused(&self, label: &str, bad: BadCell, columns: &[usize]) -> StoreError {
        let column = columns
            .get(bad.column)
            .and_then(|&at| self.columns.get(at))
            .map_or("?", |c| c.name.as_str());
        StoreError::new(
            ErrorKind::RowRefused,
            "postgres.value",
            label,
            format!("column {column}: {}", bad.why),
        )
        .table(&self.shown)
        .fix("Correct the row on the source, or map the column to a type that holds it")
    }

    /// An error with this table, where it names none or a staging table.
    pub fn at(&self, mut error: StoreError) -> StoreError {
        let staged = |table: &String| table.contains("pg_temp");
        if error.table.as_ref().is_none_or(staged) {
            error.table = Some(self.shown.clone());
        }
        error
    }

    /// As [`Shape::at`], for the error of one row.
    pub fn row_at(&self, error: StoreError) -> StoreError {
        let mut error = self.at(error);
        if !self.key.is_empty() {
            error
                .what
                .push_str(&format!(" (rows are identified by {})", self.key_list()));
        }
        error
    }
}

fn unmapped(label: &str, mapping: &TableMapping, column: &str) -> StoreError {
    StoreError::new(
        ErrorKind::SchemaMismatch,
        "postgres.column",
        label,
        format!("the mapping names column {column}, which the target's definition does not have"),
    )
    .table(&mapping.target.name)
}
