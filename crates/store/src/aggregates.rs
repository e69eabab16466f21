//! What can be said of a whole column in one number, alike on every store.

use std::cmp::Ordering;

use crossfade_model::canonical;
use crossfade_model::{Canonical, CanonicalError, Cell, LogicalType, TableMapping, Value};
use serde::{Deserialize, Serialize};

use crate::exact_sum::{ExactSum, compare_decimals};

/// A measure of a column's values. NULL counts for none but the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// How many are NULL.
    Nulls,
    /// Their sum, exact; 0 of nothing.
    Sum,
    /// The sum of their lengths in octets; 0 of nothing.
    Octets,
    /// The least; NULL of nothing.
    Least,
    /// The greatest; NULL of nothing.
    Greatest,
    /// How many are true.
    True,
}

impl Measure {
    /// True where the measure is one of the values themselves.
    pub fn is_value(self) -> bool {
        matches!(self, Measure::Least | Measure::Greatest)
    }
}

/// What a table's columns measure.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregates {
    /// Rows.
    pub rows: u64,
    /// By column, in mapping order, what [`measures`] asks for, in its order: numbers in the form of integers or decimal text,
    /// values in the store's own form.
    pub columns: Vec<Vec<Cell>>,
}

/// The measures of a column that are alike on both sides.
pub fn measures(mapping: &TableMapping, column: usize) -> &'static [Measure] {
    use Measure::{Greatest, Least, Nulls, Octets, Sum, True};
    const NUMBER: &[Measure] = &[Nulls, Sum, Least, Greatest];
    const STRING: &[Measure] = &[Nulls, Octets];
    const MOMENT: &[Measure] = &[Nulls, Least, Greatest];
    let Some(canonical) = mapping.columns.get(column).map(|c| c.canonical) else {
        return &[];
    };
    match canonical {
        Canonical::Exact => match mapping.source.captured().nth(column).map(|c| c.logical) {
            Some(LogicalType::Integer { .. } | LogicalType::Decimal) => NUMBER,
            Some(LogicalType::Text | LogicalType::Bytes) => STRING,
            Some(LogicalType::Date | LogicalType::Timestamp | LogicalType::TimestampWithZone) => {
                MOMENT
            }
            Some(LogicalType::Boolean) => &[Nulls, True],
            _ => &[Nulls],
        },
        Canonical::Integer | Canonical::Decimal => NUMBER,
        Canonical::Text | Canonical::Bytes => STRING,
        Canonical::Date | Canonical::Timestamp | Canonical::TimestampWithZone => MOMENT,
        Canonical::Boolean => &[Nulls, True],
        Canonical::Float32
        | Canonical::Float64
        | Canonical::Float32AnyZero
        | Canonical::Float64AnyZero
        | Canonical::Uuid
        | Canonical::Time => &[Nulls],
    }
}

/// Measures one column in this process, for a store that lives in it.
#[derive(Debug)]
pub struct Measuring {
    canonical: Canonical,
    measures: &'static [Measure],
    nulls: u64,
    sum: ExactSum,
    octets: u64,
    count_true: u64,
    least: Option<Cell>,
    greatest: Option<Cell>,
}

impl Measuring {
    /// Measures a column.
    pub fn new(mapping: &TableMapping, column: usize) -> Measuring {
        let canonical = mapping.columns.get(column).map(|c| c.canonical);
        Measuring {
            canonical: canonical.unwrap_or(Canonical::Exact),
            measures: measures(mapping, column),
            nulls: 0,
            sum: ExactSum::default(),
            octets: 0,
            count_true: 0,
            least: None,
            greatest: None,
        }
    }

    /// Takes a value. What is compared bit by bit may be of any class: one that has no such measure counts for none.
    ///
    /// # Errors
    /// A value that is not of its column's type.
    pub fn add(&mut self, cell: &Cell) -> Result<(), CanonicalError> {
        if matches!(cell, Cell::Null) {
            self.nulls += 1;
            return Ok(());
        }
        let exact = self.canonical == Canonical::Exact;
        for measure in self.measures {
            match measure {
                Measure::Nulls | Measure::Greatest => {}
                Measure::Sum => match cell {
                    Cell::Integer(i) => self.sum.add_integer(*i),
                    Cell::Text(_) if exact => {}
                    _ => match cell.value().and_then(Value::decimal) {
                        Some(decimal) => self.sum.add(&decimal),
                        None if exact => {}
                        None => return Err(CanonicalError::Malformed),
                    },
                },
                Measure::Octets => match cell {
                    Cell::Text(b) | Cell::TextForm(b) | Cell::Blob(b) => {
                        self.octets += b.len() as u64;
                    }
                    _ if exact => {}
                    _ => return Err(CanonicalError::Malformed),
                },
                Measure::True => match cell.value().and_then(Value::boolean) {
                    Some(value) => self.count_true += u64::from(value),
                    None if exact => {}
                    None => return Err(CanonicalError::Malformed),
                },
                // with it the greatest
                Measure::Least => self.bound(cell)?,
            }
        }
        Ok(())
    }

    fn bound(&mut self, cell: &Cell) -> Result<(), CanonicalError> {
        for (bound, wanted) in [
            (&mut self.least, Ordering::Less),
            (&mut self.greatest, Ordering::Greater),
        ] {
            let beyond = match bound {
                None => {
                    canonical::write(self.canonical, cell, &mut Vec::new())?;
                    true
                }
                Some(bound) => compare(self.canonical, cell, bound)? == wanted,
            };
            if beyond {
                *bound = Some(cell.clone());
            }
        }
        Ok(())
    }

    /// What was measured, in the order of [`measures`].
    pub fn cells(self) -> Vec<Cell> {
        let count = |n: u64| Cell::TextForm(n.to_string().into());
        self.measures
            .iter()
            .map(|measure| match measure {
                Measure::Nulls => count(self.nulls),
                Measure::Sum => Cell::TextForm(self.sum.text().into()),
                Measure::Octets => count(self.octets),
                Measure::True => count(self.count_true),
                Measure::Least => self.least.clone().unwrap_or(Cell::Null),
                Measure::Greatest => self.greatest.clone().unwrap_or(Cell::Null),
            })
            .collect()
    }
}

/// The order of two values of a column.
fn compare(class: Canonical, one: &Cell, other: &Cell) -> Result<Ordering, CanonicalError> {
    let malformed = CanonicalError::Malformed;
    match class {
        Canonical::Integer => {
            let value = |cell: &Cell| cell.value().and_then(Value::integer).ok_or(malformed);
            Ok(value(one)?.cmp(&value(other)?))
        }
        Canonical::Decimal => {
            let value = |cell: &Cell| cell.value().and_then(Value::decimal).ok_or(malformed);
            Ok(compare_decimals(&value(one)?, &value(other)?))
        }
        Canonical::Exact => Ok(by_class(one, other)),
        _ => {
            let value = |cell| {
                let mut out = Vec::new();
                canonical::write(class, cell, &mut out)?;
                let bytes: [u8; 8] = out.try_into().map_err(|_| malformed)?;
                Ok(i64::from_be_bytes(bytes))
            };
            Ok(value(one)?.cmp(&value(other)?))
        }
    }
}

/// Numbers before texts before blobs, as SQLite orders them.
fn by_class(one: &Cell, other: &Cell) -> Ordering {
    let class = |cell: &Cell| match cell {
        Cell::Null | Cell::Unchanged => 0,
        Cell::Integer(_) | Cell::Real(_) => 1,
        Cell::Text(_) | Cell::TextForm(_) => 2,
        Cell::Blob(_) => 3,
        Cell::Unfit(_) => 4,
    };
    class(one)
        .cmp(&class(other))
        .then_with(|| match (one, other) {
            (Cell::Integer(one), Cell::Integer(other)) => one.cmp(other),
            (Cell::Text(one) | Cell::Blob(one), Cell::Text(other) | Cell::Blob(other)) => {
                one.cmp(other)
            }
            // an integer beside a double of the same value: the order is that of the decimals, then of the classes
            (one, other) => {
                let text = |cell: &Cell| {
                    let decimal = cell.value().and_then(Value::decimal);
                    decimal.unwrap_or_else(|| infinity(cell))
                };
                let integer = |cell: &Cell| matches!(cell, Cell::Integer(_));
                compare_decimals(&text(one), &text(other))
                    .then_with(|| integer(one).cmp(&integer(other)))
            }
        })
}

fn infinity(cell: &Cell) -> String {
    let below = matches!(cell, Cell::Real(r) if *r < 0.0);
    if below { "-Infinity" } else { "Infinity" }.to_owned()
}

#[cfg(test)]
#[path = "aggregates_tests.rs"]
mod tests;
