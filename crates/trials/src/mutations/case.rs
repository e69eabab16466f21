//! What is planted on one pair, and what the program must say of it.

use super::kinds::How;
use super::kinds::rows::{self, ROWS, Rows};
use super::kinds::sequence::{SEQUENCES, Sequence};
use super::kinds::values::{Value, values};
use super::scene::Scene;
use super::schema::FIRST_VALUE;
use crate::database::Dialect;

/// A corruption, ready to be planted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What kind it is.
    pub kind: &'static str,
    /// Whose rows.
    pub side: rows::Side,
    /// The table.
    pub table: &'static str,
    /// Statements of the side's dialect.
    pub sql: String,
    /// Statements that put back what is no row.
    pub back: Option<&'static str>,
    /// What must come of it.
    pub expected: Expected,
}

/// What `verify` must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// These rows differ, no others; and of a changed row this column, where it is one.
    Named {
        /// How, and the key.
        rows: Vec<(How, String)>,
        /// The only column that differs.
        column: Option<&'static str>,
    },
    /// Nothing: the column claims an equivalence under which both are one.
    Same(String),
    /// Nothing: both sides are equal.
    Equal,
    /// No row differs, and the table's sequence does, in this way.
    Sequence(&'static str),
}

/// All kinds, in the table's order.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    let values = values().map(|value| value.kind);
    values
        .chain(ROWS.iter().map(|rows| rows.kind))
        .chain(SEQUENCES.iter().map(|sequence| sequence.kind))
}

/// The cases of a pair; kinds that one of its engines has no words for are left out.
pub fn cases(scene: &Scene<'_>) -> Vec<Case> {
    let values = values()
        .enumerate()
        .filter_map(|(place, value)| of_value(scene, FIRST_VALUE as usize + place, value));
    let rows = ROWS.iter().filter_map(|rows| of_rows(scene, rows));
    let sequences = SEQUENCES.iter().filter_map(|s| of_sequence(scene, s));
    values.chain(rows).chain(sequences).collect()
}

fn of_value(scene: &Scene<'_>, id: usize, value: &Value) -> Option<Case> {
    let (source, target) = scene.dialects();
    value.from.of(source)?;
    let to = value.to.of(target)?;
    // not every pair has every column
    let claim = scene.claim("rich", value.column)?;
    let expected = if value.same_under.contains(&claim) {
        Expected::Same(claim.to_owned())
    } else {
        Expected::Named {
            rows: vec![(How::Changed, id.to_string())],
            column: Some(value.column),
        }
    };
    Some(Case {
        kind: value.kind,
        side: rows::Side::Target,
        table: "rich",
        sql: changed(target, value.column, id, to),
        back: None,
        expected,
    })
}

/// MySQL leaves a value as it is where the new one compares as equal, as JSON's 1 and 1.0 do: it is NULL in between.
fn changed(target: Dialect, column: &str, id: usize, to: &str) -> String {
    let set = |to: &str| format!("UPDATE rich SET {column} = {to} WHERE id = {id}");
    match target {
        Dialect::Mysql => format!("{}; {}", set("NULL"), set(to)),
        Dialect::Postgres | Dialect::Sqlite => set(to),
    }
}

fn of_rows(scene: &Scene<'_>, rows: &Rows) -> Option<Case> {
    scene.table(rows.table)?;
    let (source, target) = scene.dialects();
    let dialect = match rows.side {
        rows::Side::Source => source,
        rows::Side::Target => target,
    };
    let named: Vec<_> = rows
        .named
        .iter()
        .map(|(how, key)| (*how, (*key).to_owned()))
        .collect();
    let expected = if named.is_empty() {
        Expected::Equal
    } else {
        Expected::Named {
            rows: named,
            column: None,
        }
    };
    Some(Case {
        kind: rows.kind,
        side: rows.side,
        table: rows.table,
        sql: rows.sql.of(dialect)?.to_owned(),
        back: None,
        expected,
    })
}

fn of_sequence(scene: &Scene<'_>, sequence: &Sequence) -> Option<Case> {
    let (source, target) = scene.dialects();
    if sequence.postgres_only && source != Dialect::Postgres {
        return None;
    }
    Some(Case {
        kind: sequence.kind,
        side: rows::Side::Target,
        table: "rich",
        sql: sequence.sql.of(target)?.to_owned(),
        back: sequence.back.of(target),
        expected: Expected::Sequence(sequence.problem),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::schema::FROZEN_ROWS;
    use super::*;

    #[test]
    fn every_kind_has_a_name_and_every_value_a_row_of_its_own() {
        let names: HashSet<&str> = kinds().collect();
        assert_eq!(names.len(), kinds().count());
        assert!(names.len() >= 40);
        assert!(values().count() <= (FROZEN_ROWS - FIRST_VALUE) as usize);
    }
}
