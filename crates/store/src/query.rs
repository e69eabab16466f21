//! A query that the operator wrote, in the store's own dialect.

use crate::RowStream;

/// What a query's column holds, as far as the store says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnClass {
    /// Numbers.
    Number,
    /// True or false.
    Boolean,
    /// Anything else that has a type: its text counts.
    Text,
    /// Each value says by itself what it is.
    Any,
}

/// A column of a query's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryColumn {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub class: ColumnClass,
}

/// A query under way.
pub struct Query<'a> {
    /// Its columns.
    pub columns: Vec<QueryColumn>,
    /// Its rows, as cells.
    pub rows: Box<dyn RowStream + 'a>,
}
