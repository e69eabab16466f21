//! Which table goes where.

use serde::{Deserialize, Serialize};

use crate::canonical::Canonical;
use crate::key::{self, Key, KeyError};
use crate::schema::{LogicalType, Table};
use crate::{Cell, Row};

/// A mapped table, by its index in the plan. Stable for the life of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableId(pub u32);

/// One captured source column and the target column it goes to. Captured columns and mapped columns are the same list in
/// the same order, so a row's cells stand in this order on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnMapping {
    /// Name on the source.
    pub source: String,
    /// Name on the target.
    pub target: String,
    /// The form in which both sides' values are compared.
    pub canonical: Canonical,
}

/// What a table's rows are made of, where they are not carried as the source has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The table as the source has it.
    pub table: Table,
    /// The rows that are moved: a boolean expression over its captured columns. `None`: all.
    pub filter: Option<String>,
    /// What each captured column of [`TableMapping::source`] is made of, in their order: expressions over the captured columns
    /// of `table`.
    pub columns: Vec<String>,
    /// What the captured columns of `table` mean to the expressions, where the store keeps them as something else (a decimal as
    /// a text); empty: what the store says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub meanings: Vec<LogicalType>,
    /// On a way back: whose the rows are that are not moved. `None`: nobody asks, and they are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// What a row is to be like for a way back to take it. One that is not, and is nobody else's, has no place there: it has no result.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// The rows that are somebody else's: a boolean expression over the captured columns of [`Origin::table`]. `None`: there are none.
    pub theirs: Option<String>,
    /// Columns that have the same value in every row that is taken.
    pub held: Vec<Held>,
}

/// A column whose value is known: it is given back to nobody, and may be no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Its name in [`Origin::table`].
    pub column: String,
    /// The form in which values of it are compared.
    pub canonical: Canonical,
    /// The values that it may have: expressions without columns.
    pub values: Vec<String>,
}

/// The way back of a table whose rows are not carried as they are: what the source's rows are made of again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Back {
    /// The rows of the target's table that belong to this mapping: a boolean expression over the target's columns. `None`: all.
    pub filter: Option<String>,
    /// Columns of the source, each with the expression over the target's columns that gives its values back.
    pub columns: Vec<(String, String)>,
    /// Columns of the source that nothing gives back: they keep what they have, and new rows get their defaults.
    pub kept: Vec<String>,
    /// Columns of the target that a way back would lose, and why; declared as forward-only in the file or not.
    pub lost: Vec<Lost>,
    /// Columns of the target that are the same in every row of this mapping, each with its constant: another value has no place on the
    /// source. `None` in plans of versions that did not ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constants: Option<Vec<(String, String)>>,
}

/// A column whose values have no way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// Its name on the target.
    pub column: String,
    /// Why, in words.
    pub why: String,
    /// The migration file says that it goes forward only.
    pub declared: bool,
}

/// One source table and the target table that it is moved to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableMapping {
    /// Its index in the plan.
    pub id: TableId,
    /// The table on the source; where `origin` is given, the table that its rows are presented as.
    pub source: Table,
    /// The table on the target, as it is or as it is to be.
    pub target: Table,
    /// The captured columns, in the order of the source's captured columns.
    pub columns: Vec<ColumnMapping>,
    /// Source and target speak the same dialect and every column has the same type: bytes can be passed on undecoded.
    pub same_shape: bool,
    /// What the rows of `source` are made of, where they are not carried as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Box<Origin>>,
    /// The way back, where it is not this mapping read the other way round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<Box<Back>>,
    /// The rows of the target's table that belong to this mapping, where others are there too: a boolean expression over the
    /// target's captured columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<String>,
    /// Other mappings are made of the same table: the source's name alone does not say which is meant.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shares_source: bool,
}

impl TableMapping {
    /// The mapping's name in reports: the source's, and the target's where several are made of one table.
    pub fn called(&self) -> String {
        match self.shares_source {
            true => format!("{} -> {}", self.source.name, self.target.name),
            false => self.source.name.to_string(),
        }
    }

    /// The table as the source has it.
    pub fn source_table(&self) -> &Table {
        self.origin.as_ref().map_or(&self.source, |o| &o.table)
    }

    /// The key's columns by their names on the target, in key order; empty where there is no key.
    pub fn target_key_names(&self) -> Vec<&str> {
        let places = self.source.key_places().iter();
        let columns = places.filter_map(|&place| self.columns.get(place));
        columns.map(|column| column.target.as_str()).collect()
    }

    /// Whether the cells of a captured column are instants, whatever its own type.
    pub fn is_instant(&self, at: usize) -> bool {
        let mapped = self.columns.get(at);
        mapped.is_some_and(|mapped| mapped.canonical == Canonical::TimestampWithZone)
    }

    /// What the cells of a captured column are: a local time that stands for an instant is read as one, with its zone.
    fn logical_at(&self, at: usize) -> Option<LogicalType> {
        let logical = self.source.captured().nth(at)?.logical;
        Some(match logical {
            LogicalType::Timestamp if self.is_instant(at) => LogicalType::TimestampWithZone,
            logical => logical,
        })
    }

    /// What the cells of the key's columns are, in key order.
    pub fn key_logical(&self) -> Vec<LogicalType> {
        let places = self.source.key_places().iter();
        places.filter_map(|&at| self.logical_at(at)).collect()
    }

    /// The key of a row of this table, by source key columns, for identity and, where the key is ordered, for order.
    ///
    /// # Errors
    /// A key cell that is absent, NULL or not of its column's type.
    pub fn key_of(&self, row: &Row) -> Result<Key, KeyError> {
        self.key_encoder().key_of(row)
    }

    /// As [`TableMapping::key_of`] for many rows: looks the key's columns up once.
    pub fn key_encoder(&self) -> KeyEncoder {
        let parts: Option<Vec<_>> = self.source.key.as_ref().map(|key| {
            let places = key.columns.iter();
            places
                .filter_map(|&at| self.logical_at(at).map(|logical| (at, logical)))
                .collect()
        });
        let length = parts.iter().flatten().map(|(_, l)| key::length(*l)).sum();
        KeyEncoder { parts, length }
    }

    /// What identifies a row on either side: the key's columns in canonical form. Unlike [`TableMapping::key_of`] it is
    /// the same for the source's and the target's row, and has no order.
    ///
    /// # Errors
    /// A key cell that the image lacks.
    pub fn identity_of(&self, row: &Row, out: &mut Vec<u8>) -> Result<(), crate::CanonicalError> {
        out.clear();
        let Some(table_key) = &self.source.key else {
            for (column, cell) in self.columns.iter().zip(&row.0) {
                identify(column, cell, out)?;
            }
            return Ok(());
        };
        for &index in &table_key.columns {
            if let (Some(column), Some(cell)) = (self.columns.get(index), row.0.get(index)) {
                identify(column, cell, out)?;
            }
        }
        Ok(())
    }

    /// A copy of the row that keeps only the key's cells; the others are NULL.
    pub fn key_only(&self, row: &Row) -> Row {
        let mut cells = vec![Cell::Null; row.0.len()];
        if let Some(key) = &self.source.key {
            for &i in &key.columns {
                if let (Some(to), Some(from)) = (cells.get_mut(i), row.0.get(i)) {
                    *to = from.clone();
                }
            }
        }
        Row(cells)
    }
}

/// The mappings of different target tables: of those that go to one, the first.
pub fn of_each_target(mappings: &[TableMapping]) -> Vec<TableMapping> {
    let mut out: Vec<TableMapping> = Vec::new();
    for mapping in mappings {
        if !out.iter().any(|m| m.target.name == mapping.target.name) {
            out.push(mapping.clone());
        }
    }
    out
}

/// One column's part of an identity; a value of another type has one of its own.
fn identify(
    column: &ColumnMapping,
    cell: &Cell,
    out: &mut Vec<u8>,
) -> Result<(), crate::CanonicalError> {
    if matches!(cell, Cell::Unchanged) {
        return Err(crate::CanonicalError::Unchanged);
    }
    crate::canonical::write_any(column.canonical, cell.value(), out);
    Ok(())
}

/// Encodes the keys of one table's rows.
#[derive(Debug, Clone)]
pub struct KeyEncoder {
    parts: Option<Vec<(usize, LogicalType)>>,
    /// Of the most usual keys: their memory then fits.
    length: usize,
}

impl KeyEncoder {
    /// As [`TableMapping::key_of`].
    ///
    /// # Errors
    /// As there.
    pub fn key_of(&self, row: &Row) -> Result<Key, KeyError> {
        let parts = self.parts.as_ref().ok_or(KeyError::NoKey)?;
        let mut out = Vec::with_capacity(self.length);
        for (index, logical) in parts {
            key::encode(*logical, row.0.get(*index).unwrap_or(&Cell::Null), &mut out)?;
        }
        Ok(Key(out.into()))
    }
}
