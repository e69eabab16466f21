//! The likely cause of a difference: pure rules over the cells of a row, for the person who has to classify it.
//!
//! A likely cause is a help to read a difference and never a reason to overlook it. No rule's words carry a value.

mod cells;
mod json;
mod text;

use crossfade_model::{Canonical, Cell, Column, LogicalType, Row, TableMapping, canonical};
use serde::{Deserialize, Serialize};

pub(crate) use cells::of_cells;

/// Columns that a sentence names at most.
const MOST_NAMED: usize = 5;

/// Why a row may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The target's row was written by a transaction that is not crossfade's.
    Stranger,
    /// The target's row is an older image of the source's.
    LostChange,
    /// Values stand in each other's columns.
    Swapped,
    /// NULL on one side, an empty value on the other.
    NullOrEmpty,
    /// The same value, written or stored in another form (true and 1, a text and an integer, two spellings of a UUID).
    Form,
    /// Times that lie a whole number of quarter hours apart, 14 hours at most.
    TimeZone,
    /// Times that are equal once cut or rounded to milliseconds or seconds.
    FractionOfSecond,
    /// Zeros of different sign.
    ZeroSign,
    /// Equal in single precision.
    FloatWidth,
    /// Numbers that are equal once cut or rounded to the fewer digits of the two.
    Precision,
    /// The same JSON value: other blanks, order, escapes, number forms or repeated names.
    JsonForm,
    /// Equal but for blanks or zero bytes at the end.
    Padding,
    /// The same text in another Unicode normalization form.
    Normalization,
    /// Bytes of one character set read as another, or characters replaced that a character set does not have.
    Charset,
    /// Equal but for upper and lower case.
    Case,
    /// One value is the beginning of the other.
    Truncation,
    /// Columns differ for different causes.
    Several,
    /// No rule explains it.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Cause {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Cause::Stranger => "stranger",
            Cause::LostChange => "lost_change",
            Cause::Swapped => "swapped",
            Cause::NullOrEmpty => "null_or_empty",
            Cause::Form => "form",
            Cause::TimeZone => "time_zone",
            Cause::FractionOfSecond => "fraction_of_second",
            Cause::ZeroSign => "zero_sign",
            Cause::FloatWidth => "float_width",
            Cause::Precision => "precision",
            Cause::JsonForm => "json_form",
            Cause::Padding => "padding",
            Cause::Normalization => "normalization",
            Cause::Charset => "charset",
            Cause::Case => "case",
            Cause::Truncation => "truncation",
            Cause::Several => "several",
            Cause::Unknown => "unknown",
        }
    }

    /// What it means.
    pub fn sentence(self) -> &'static str {
        match self {
            Cause::Stranger => {
                "the target's row was written by a transaction that is not this migration's"
            }
            Cause::LostChange => {
                "the target's row is an older image of the source's: a change did not arrive"
            }
            Cause::Swapped => "values stand in each other's columns",
            Cause::NullOrEmpty => "NULL on one side, an empty value on the other",
            Cause::Form => "the same value in another form",
            Cause::TimeZone => {
                "a whole number of quarter hours apart: a time zone or a daylight saving hour"
            }
            Cause::FractionOfSecond => {
                "equal once cut to milliseconds or seconds: a fraction of a second was lost"
            }
            Cause::ZeroSign => "zeros of different sign",
            Cause::FloatWidth => {
                "equal in single precision: one side holds a single, the other a double"
            }
            Cause::Precision => {
                "equal once rounded to the fewer digits: scale or precision was lost"
            }
            Cause::JsonForm => "the same JSON value in another form",
            Cause::Padding => "equal but for blanks or zero bytes at the end",
            Cause::Normalization => "the same text in another Unicode normalization form",
            Cause::Charset => "characters were read in another character set, or replaced",
            Cause::Case => "equal but for upper and lower case",
            Cause::Truncation => "one value is the beginning of the other: it was cut",
            Cause::Several => "columns differ for different causes",
            Cause::Unknown => "no rule explains it",
        }
    }
}

/// What is known of a row besides its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Facts {
    /// The target's row was last written, or deleted, by a transaction that is not ours.
    pub stranger: bool,
    /// The target's row (or that there is none) is what an earlier image of the source's row says.
    pub older_image: bool,
}

/// A pair of columns whose cells differ.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair<'a> {
    /// The source's column.
    pub source: &'a Column,
    /// The target's column.
    pub target: &'a Column,
    /// The form in which their values are compared.
    pub canonical: Canonical,
}

impl Pair<'_> {
    /// The columns at `index` of a mapping.
    fn at(mapping: &TableMapping, index: usize) -> Option<Pair<'_>> {
        let mapped = mapping.columns.get(index)?;
        let source = mapping.source.captured().nth(index)?;
        let target = mapping.target.columns.iter();
        Some(Pair {
            source,
            target: target.into_iter().find(|c| c.name == mapped.target)?,
            canonical: mapped.canonical,
        })
    }

    /// Either column is of such a type.
    fn any(&self, wanted: impl Fn(LogicalType) -> bool) -> bool {
        wanted(self.source.logical) || wanted(self.target.logical)
    }
}

/// The likely cause of a row's difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Likely {
    /// The cause.
    pub cause: Cause,
    /// In a sentence, with the columns' names.
    pub why: String,
}

impl From<Cause> for Likely {
    fn from(cause: Cause) -> Likely {
        Likely {
            cause,
            why: cause.sentence().to_owned(),
        }
    }
}

/// The likely cause of a row's difference. `columns` are the places that differ, where the row is on both sides.
pub(crate) fn of_row(
    mapping: &TableMapping,
    source: Option<&Row>,
    target: Option<&Row>,
    columns: &[usize],
    facts: Facts,
) -> Likely {
    if facts.stranger {
        return Cause::Stranger.into();
    }
    if facts.older_image {
        return Cause::LostChange.into();
    }
    let (Some(source), Some(target)) = (source, target) else {
        return Cause::Unknown.into();
    };
    if swapped(mapping, source, target, columns) {
        return Likely {
            cause: Cause::Swapped,
            why: of_columns(&names(mapping, columns), Cause::Swapped),
        };
    }
    let mut found: Vec<(Cause, Vec<usize>)> = Vec::new();
    for &index in columns {
        let cause = match (source.0.get(index), target.0.get(index)) {
            (Some(theirs), Some(ours)) => Pair::at(mapping, index)
                .map_or(Cause::Unknown, |pair| of_cells(&pair, theirs, ours)),
            _ => Cause::Unknown,
        };
        match found.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, of)) => of.push(index),
            None => found.push((cause, vec![index])),
        }
    }
    let cause = match found.as_slice() {
        [] => Cause::Unknown,
        [(one, _)] => *one,
        _ => Cause::Several,
    };
    let parts = found
        .iter()
        .map(|(cause, of)| of_columns(&names(mapping, of), *cause));
    Likely {
        cause,
        why: parts.collect::<Vec<_>>().join("; "),
    }
}

fn of_columns(names: &str, cause: Cause) -> String {
    format!("{names}: {}", cause.sentence())
}

fn names(mapping: &TableMapping, columns: &[usize]) -> String {
    let named = columns.iter().take(MOST_NAMED);
    let named = named.filter_map(|&i| mapping.columns.get(i).map(|c| c.source.as_str()));
    let mut names = named.collect::<Vec<_>>().join(", ");
    if columns.len() > MOST_NAMED {
        names.push_str(&format!(" and {} more", columns.len() - MOST_NAMED));
    }
    names
}

/// Whether the cells that differ are the same on both sides, in other places: two columns exchanged, or several shifted round.
fn swapped(mapping: &TableMapping, source: &Row, target: &Row, columns: &[usize]) -> bool {
    let forms = |row: &Row| -> Option<Vec<(&'static str, Vec<u8>)>> {
        let mut forms = Vec::with_capacity(columns.len());
        for &index in columns {
            let class = mapping.columns.get(index)?.canonical;
            let mut form = Vec::new();
            let cell: &Cell = row.0.get(index)?;
            canonical::write_framed(class, cell, &mut form).ok()?;
            forms.push((class.claim(), form));
        }
        forms.sort();
        Some(forms)
    };
    columns.len() > 1 && matches!((forms(source), forms(target)), (Some(a), Some(b)) if a == b)
}

#[cfg(test)]
#[path = "cause_tests.rs"]
mod tests;
