//! One table's mapping, bound to the columns of the table that its rows are made of.

use crossfade_expression::{Bound, CellForm, EvaluationError, Expression, Input, Truth};
use crossfade_model::canonical::Canonical;
use crossfade_model::{
    Cell, Column, ColumnMapping, KeyEncoder, LogicalType, Origin, Row, Table, TableId, TableMapping,
};
use crossfade_store::{ErrorKind, StoreError};

use crate::limits::{Limits, Place, Why, held_key, limits};

/// Why a row cannot be presented. Never carries a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// An expression of the plan does not fit the table any more.
    #[error("{column}: {what}")]
    Unbound {
        /// The column, or `where`.
        column: String,
        /// What is wrong, in words.
        what: String,
    },
    /// A row's values have no result.
    #[error("{column}: {what}")]
    Value {
        /// The column, or `where`.
        column: String,
        /// Why, in words.
        what: String,
    },
    /// A row of a way back is nobody's, and has no key by which it could wait.
    #[error("{what}")]
    Nobodys {
        /// Why, in words.
        what: String,
    },
}

impl MappingError {
    /// As an error of the store that the row came from.
    pub fn at(&self, label: &str, table: &Table) -> StoreError {
        match self {
            MappingError::Unbound { .. } => StoreError::new(
                ErrorKind::SchemaMismatch,
                "mapping.expression",
                label,
                format!("an expression of the mapping does not fit the table: {self}"),
            )
            .table(&table.name)
            .fix("Make the table's columns what they were when the migration began, or begin again with another mapping"),
            MappingError::Value { .. } => StoreError::new(
                ErrorKind::RowRefused,
                "mapping.value",
                label,
                format!("a row has values that the mapping cannot carry: {self}"),
            )
            .table(&table.name)
            .fix("Correct the row on the source, or begin again with an expression that has a result for it"),
            MappingError::Nobodys { .. } => StoreError::new(
                ErrorKind::RowRefused,
                "mapping.nobodys_row",
                label,
                format!("a row has no place on the way back, and would be lost with a rollback: {self}"),
            )
            .table(&table.name)
            .fix("Make the row one of a mapping's, or delete it, and run again"),
        }
    }
}

/// Where a presented column's cells come from.
#[derive(Debug, Clone)]
pub(crate) enum Made {
    /// From this column, as they are.
    Carried(usize),
    /// From an expression.
    Computed(Box<Bound>),
}

/// Where a cell of the raw key comes from.
#[derive(Debug, Clone)]
enum KeyPart {
    /// From this column of the presented row.
    Carried(usize),
    /// It is the same in every row that the filter lets through.
    Constant(Cell),
}

/// What became of a row's columns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Image {
    /// The presented row; a column is unchanged where all that it is made of is.
    Row(Row),
    /// Some of what a column is made of is not in the image: the row must be read.
    Unclear,
}

/// Whether the row's values are at fault, and not how the expression is used.
fn may_be_unfit(error: &EvaluationError) -> bool {
    !matches!(error, EvaluationError::NoInput)
}

/// One table's mapping, ready for its rows.
#[derive(Debug, Clone)]
pub struct MappedTable {
    /// The mapping's number.
    pub(crate) id: TableId,
    /// The table as the store below is asked for it.
    pub(crate) raw: TableMapping,
    filter: Option<Box<Bound>>,
    limits: Option<Limits>,
    columns: Vec<Made>,
    names: Vec<String>,
    /// For each column of the raw key, in key order, where its cell comes from.
    key: Vec<KeyPart>,
    /// The presented key's columns, in its order.
    pub(crate) presented_key: Vec<usize>,
    pub(crate) keyed: bool,
    pub(crate) encoder: KeyEncoder,
    pub(crate) raw_encoder: KeyEncoder,
}

impl MappedTable {
    /// Binds a mapping's expressions; of a mapping without any, every column is carried as it is. `own` gives a constant the form
    /// in which the table's store has a column's values.
    ///
    /// # Errors
    /// An expression that does not fit its table, a key that is not carried.
    pub fn new(
        mapping: &TableMapping,
        own: &dyn Fn(&Column, &Cell) -> Option<Cell>,
    ) -> Result<MappedTable, MappingError> {
        let carried: Origin;
        let origin = match &mapping.origin {
            Some(origin) => origin.as_ref(),
            None => {
                carried = as_it_is(&mapping.source);
                &carried
            }
        };
        let inputs = inputs(origin);
        let names: Vec<String> = mapping.source.captured().map(|c| c.name.clone()).collect();
        if names.len() != origin.columns.len() {
            return Err(unbound(
                "columns",
                "their number is not that of the table's",
            ));
        }
        let filter = match &origin.filter {
            None => None,
            Some(text) => Some(Box::new(bound("where", text, &inputs)?)),
        };
        let columns: Vec<Made> = origin
            .columns
            .iter()
            .zip(&names)
            .map(|(text, name)| {
                let bound = bound(name, text, &inputs)?;
                Ok(match bound.as_column() {
                    Some(at) => Made::Carried(at),
                    None => Made::Computed(Box::new(bound)),
                })
            })
            .collect::<Result<_, MappingError>>()?;
        let presented_key = mapping.source.key_places().to_vec();
        let raw_key = origin.table.key_places().to_vec();
        let keyed = mapping.source.key.is_some();
        let limits = limits(
            origin,
            &inputs,
            filter.as_deref(),
            (&columns, &presented_key),
        )?;
        let key = if keyed {
            let raw_columns: Vec<_> = origin.table.captured().collect();
            let part = |raw: &usize| {
                let carries = |at: &&usize| matches!(columns.get(**at), Some(Made::Carried(from)) if from == raw);
                if let Some(at) = presented_key.iter().find(carries) {
                    return Some(KeyPart::Carried(*at));
                }
                let by_filter = || held_constant(filter.as_ref()?, *raw);
                let constant = held_key(limits.as_ref(), *raw).or_else(by_filter)?;
                let column = raw_columns.get(*raw)?;
                Some(KeyPart::Constant(
                    own(column, &constant).unwrap_or(constant),
                ))
            };
            let parts: Option<Vec<KeyPart>> = raw_key.iter().map(part).collect();
            parts.ok_or_else(|| {
                unbound("key", "a column of the table's key is not carried as it is")
            })?
        } else {
            Vec::new()
        };
        let raw = raw(mapping, &origin.table);
        Ok(MappedTable {
            id: mapping.id,
            raw_encoder: raw.key_encoder(),
            raw,
            filter,
            limits,
            columns,
            names,
            key,
            presented_key,
            keyed,
            encoder: mapping.key_encoder(),
        })
    }

    /// The mapping by which the table is read as it is.
    pub fn as_it_is(&self) -> &TableMapping {
        &self.raw
    }

    /// Where the row goes.
    pub(crate) fn place(&self, raw: &Row) -> Result<Place, MappingError> {
        let truth = match &self.filter {
            None => Ok(Truth::Holds),
            Some(filter) => filter.holds(raw),
        };
        let Some(limits) = &self.limits else {
            return Ok(match truth.map_err(|e| refused("where", &e))? {
                Truth::Holds => Place::Here,
                Truth::Fails => Place::Elsewhere,
                Truth::Unknown => Place::Unknown,
            });
        };
        limits.place(truth, raw)
    }

    /// A presented row for which there is no result.
    pub(crate) fn unfit(&self, raw: &Row, why: &Why) -> Result<Row, MappingError> {
        let mut row = match self.image(raw)? {
            Image::Row(row) if row.is_complete() => row,
            Image::Row(_) | Image::Unclear => self.key_row(raw)?,
        };
        if let Some(cell) = row.0.get_mut(why.at) {
            *cell = Cell::Unfit(why.what.clone().into());
        }
        Ok(row)
    }

    /// The same, for a row that is known to have gone from where it was nobody's.
    pub(crate) fn passing(&self) -> MappedTable {
        MappedTable {
            limits: self.limits.clone().map(Limits::passing),
            ..self.clone()
        }
    }

    /// The raw key's cells of a row, all others not in the image.
    pub(crate) fn raw_key_only(&self, raw: &Row) -> Row {
        let key = self.raw.source.key_places();
        let cells = raw.0.iter().enumerate();
        let only = |(at, cell): (usize, &Cell)| match key.contains(&at) {
            true => cell.clone(),
            false => Cell::Unchanged,
        };
        Row(cells.map(only).collect())
    }

    /// The presented row of an image.
    pub(crate) fn image(&self, raw: &Row) -> Result<Image, MappingError> {
        let mut cells = Vec::with_capacity(self.columns.len());
        for (made, name) in self.columns.iter().zip(&self.names) {
            cells.push(match made {
                Made::Carried(at) => raw.0.get(*at).cloned().unwrap_or(Cell::Null),
                Made::Computed(bound) => {
                    let cell = match bound.evaluate(raw, CellForm::Text) {
                        Ok(cell) => cell,
                        // the target refuses such a row, which then waits in quarantine as any that is refused
                        Err(error) if may_be_unfit(&error) && !self.is_key(cells.len()) => {
                            Cell::Unfit(error.to_string().into())
                        }
                        Err(error) => return Err(refused(name, &error)),
                    };
                    if matches!(cell, Cell::Unchanged) && !all_unchanged(bound, raw) {
                        return Ok(Image::Unclear);
                    }
                    cell
                }
            });
        }
        Ok(Image::Row(Row(cells)))
    }

    /// Whether rows are found by that column.
    fn is_key(&self, at: usize) -> bool {
        self.presented_key.contains(&at)
    }

    /// The presented row of a whole row; `None` where the mapping does not move it.
    ///
    /// # Errors
    /// Values that have no result.
    pub fn row(&self, raw: &Row) -> Result<Option<Row>, MappingError> {
        match self.place(raw)? {
            Place::Here => {}
            Place::Nowhere(why) => return self.unfit(raw, &why).map(Some),
            Place::Nobodys(what) => return Err(MappingError::Nobodys { what }),
            Place::Elsewhere | Place::Unknown => return Ok(None),
        }
        match self.image(raw)? {
            Image::Row(row) => Ok(Some(row)),
            Image::Unclear => Err(MappingError::Value {
                column: "where".to_owned(),
                what: "a whole row was expected".to_owned(),
            }),
        }
    }

    /// The presented key of a raw row of which at least the key's columns are there; other columns are NULL.
    pub(crate) fn key_row(&self, raw: &Row) -> Result<Row, MappingError> {
        let mut cells = vec![Cell::Null; self.columns.len()];
        for &at in &self.presented_key {
            cells[at] = match &self.columns[at] {
                Made::Carried(from) => raw.0.get(*from).cloned().unwrap_or(Cell::Null),
                Made::Computed(bound) => bound
                    .evaluate(raw, CellForm::Text)
                    .map_err(|e| refused(&self.names[at], &e))?,
            };
        }
        Ok(Row(cells))
    }

    /// The raw key of a presented row, at its columns' places; other columns are NULL.
    pub(crate) fn raw_key_row(&self, presented: &Row) -> Row {
        let mut cells = vec![Cell::Null; self.raw.source.captured().count()];
        for (&to, from) in self.raw.source.key_places().iter().zip(&self.key) {
            let cell = match from {
                KeyPart::Carried(from) => presented.0.get(*from),
                KeyPart::Constant(cell) => Some(cell),
            };
            if let (Some(to), Some(cell)) = (cells.get_mut(to), cell) {
                *to = cell.clone();
            }
        }
        Row(cells)
    }
}

/// The columns that an origin's expressions may name.
fn inputs(origin: &Origin) -> Vec<Input> {
    let input = |(at, column): (usize, &Column)| Input {
        logical: origin.meanings.get(at).copied().unwrap_or(column.logical),
        ..Input::from(column)
    };
    origin.table.captured().enumerate().map(input).collect()
}

/// The value to which a filter holds a column in every row that it lets through.
fn held_constant(filter: &Bound, column: usize) -> Option<Cell> {
    let comparisons = filter.comparisons()?;
    let value = comparisons.equal_to(column)?;
    let constant = Expression::parse(&value.to_sql()).ok()?.bind(&[]).ok()?;
    constant.as_constant(CellForm::Text)
}

/// A table that is presented as it is.
fn as_it_is(table: &Table) -> Origin {
    Origin {
        table: table.clone(),
        filter: None,
        columns: table
            .captured()
            .map(|c| Expression::column(&c.name).text().to_owned())
            .collect(),
        meanings: Vec::new(),
        limits: None,
    }
}

/// The mapping by which the store below is asked for a table as it is, but that a local time which means an instant is read as one.
fn raw(mapping: &TableMapping, table: &Table) -> TableMapping {
    let means_instant = |at: usize| match &mapping.origin {
        Some(origin) => origin.meanings.get(at) == Some(&LogicalType::TimestampWithZone),
        None => mapping.is_instant(at),
    };
    let canonical = |at: usize, column: &Column| {
        if column.logical == LogicalType::Timestamp && means_instant(at) {
            Canonical::TimestampWithZone
        } else {
            Canonical::Exact
        }
    };
    let columns = table
        .captured()
        .enumerate()
        .map(|(at, column)| ColumnMapping {
            source: column.name.clone(),
            target: column.name.clone(),
            canonical: canonical(at, column),
        });
    TableMapping {
        id: mapping.id,
        source: table.clone(),
        target: table.clone(),
        columns: columns.collect(),
        same_shape: false,
        origin: None,
        back: None,
        slice: None,
        shares_source: false,
    }
}

pub(crate) fn bound(column: &str, text: &str, inputs: &[Input]) -> Result<Bound, MappingError> {
    let bound = Expression::parse(text).and_then(|expression| expression.bind(inputs));
    bound.map_err(|e| unbound(column, e.what))
}

pub(crate) fn unbound(column: &str, what: impl Into<String>) -> MappingError {
    MappingError::Unbound {
        column: column.to_owned(),
        what: what.into(),
    }
}

pub(crate) fn refused(column: &str, error: &EvaluationError) -> MappingError {
    MappingError::Value {
        column: column.to_owned(),
        what: error.to_string(),
    }
}

/// A result is unchanged where everything that it is made of is.
fn all_unchanged(bound: &Bound, raw: &Row) -> bool {
    bound
        .reads()
        .iter()
        .all(|&at| matches!(raw.0.get(at), Some(Cell::Unchanged)))
}
