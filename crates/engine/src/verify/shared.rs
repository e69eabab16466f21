//! Mappings that write to one table: what is written through one of them may change what another's rows are.

use crossfade_expression::{CellForm, Expression};
use crossfade_model::{Cell, LogicalType, Row, TableMapping};

/// Another mapping of the same target's table.
pub(super) struct Sibling {
    /// Its place among the mappings.
    pub table: usize,
    /// The key's columns, by their places in rows of the other mapping and of this one; `None` where the two have other keys.
    key: Option<Vec<(usize, usize)>>,
    width: usize,
}

impl Sibling {
    /// The key of a row of the other mapping, as a row of this one has it. `None`: it cannot be said.
    pub fn key_of(&self, row: &Row) -> Option<Row> {
        let mut out = Row(vec![Cell::Null; self.width]);
        for (from, to) in self.key.as_ref()? {
            *out.0.get_mut(*to)? = row.0.get(*from)?.clone();
        }
        Some(out)
    }
}

/// Of each mapping the others whose rows may be the same rows of the target.
pub(super) fn siblings(mappings: &[TableMapping]) -> Vec<Vec<Sibling>> {
    let of = |(at, mapping): (usize, &TableMapping)| {
        let others = mappings.iter().enumerate();
        others
            .filter(|(other, m)| *other != at && m.target.name == mapping.target.name)
            .filter(|(_, other)| !are_apart(mapping, other))
            .map(|(table, other)| Sibling {
                table,
                key: keys(mapping, other),
                width: other.columns.len(),
            })
            .collect()
    };
    mappings.iter().enumerate().map(of).collect()
}

/// Whether a constant in the key says that no row of one is a row of the other.
fn are_apart(one: &TableMapping, other: &TableMapping) -> bool {
    let constant = |mapping: &TableMapping, name: &str| {
        let mut places = mapping.source.key_places().iter().copied();
        let at = places.find(|at| mapping.columns.get(*at).is_some_and(|c| c.target == name))?;
        let text = mapping.origin.as_ref()?.columns.get(at)?;
        let bound = Expression::parse(text).ok()?.bind(&[]).ok()?;
        bound.as_constant(CellForm::Text)
    };
    one.target_key_names().into_iter().any(|name| {
        let (one, other) = (constant(one, name), constant(other, name));
        one.is_some() && other.is_some() && one != other
    })
}

fn keys(one: &TableMapping, other: &TableMapping) -> Option<Vec<(usize, usize)>> {
    let (from, to) = (one.source.key_places(), other.source.key_places());
    if from.len() != to.len() || to.is_empty() {
        return None;
    }
    // integers are equal as numbers, however wide
    let logical = |mapping: &TableMapping, at: usize| {
        let column = mapping.source.captured().nth(at);
        column.map(|column| match column.logical {
            LogicalType::Integer { .. } => LogicalType::Integer { bits: 64 },
            other => other,
        })
    };
    to.iter()
        .map(|&to| {
            let mapped = other.columns.get(to)?;
            let same = |at: &usize| {
                let column = one.columns.get(*at);
                column.is_some_and(|c| c.target == mapped.target && c.canonical == mapped.canonical)
                    && logical(one, *at) == logical(other, to)
            };
            let at = from.iter().copied().find(same)?;
            Some((at, to))
        })
        .collect()
}
