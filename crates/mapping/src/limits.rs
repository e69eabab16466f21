//! On a way back: whose a row is that the mapping does not move. One that is nobody's has no result, and waits as any other that has
//! none; it is never left out in silence, for with a rollback its last copy would go.

use crossfade_expression::{Bound, CellForm, EvaluationError, Input, Truth};
use crossfade_model::canonical::{Canonical, write_any};
use crossfade_model::{Cell, Origin, Row};

use crate::table::{Made, MappingError, bound, refused, unbound};

/// Where a row of the table goes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Place {
    /// It is moved.
    Here,
    /// It is left out: the filter does so, or it is somebody else's.
    Elsewhere,
    /// On a way back: it is nobody else's, and has no result.
    Nowhere(Why),
    /// As [`Place::Nowhere`], but its key is not one that the other side could have.
    Nobodys(String),
    /// It depends on a column that the row's image lacks.
    Unknown,
}

/// Why a row has no place on the way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Why {
    /// The presented column that says so.
    pub(crate) at: usize,
    /// In words.
    pub(crate) what: String,
}

/// On a way back: what becomes of rows that are not moved.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    theirs: Option<Box<Bound>>,
    held: Vec<Held>,
    /// The presented column that such a row has no value for: the first that the filter reads, else the first that is not in the key.
    blamed: Option<usize>,
    /// Rows that are nobody's, and have no key to wait by, are left out.
    passing: bool,
}

/// A column of the table that may have these values alone.
#[derive(Debug, Clone)]
struct Held {
    at: usize,
    name: String,
    canonical: Canonical,
    values: Vec<Cell>,
    /// It is in the table's key, and not in the presented one.
    in_key: bool,
}

impl Held {
    /// `None` where the image lacks it.
    fn has(&self, raw: &Row) -> Option<bool> {
        let form = |cell: &Cell| {
            let mut out = Vec::new();
            write_any(self.canonical, cell.value(), &mut out);
            out
        };
        match raw.0.get(self.at) {
            None | Some(Cell::Unchanged) => None,
            Some(cell) => {
                let is = form(cell);
                Some(self.values.iter().any(|value| form(value) == is))
            }
        }
    }
}

/// The image lacks a column.
struct Lacking;

impl Limits {
    /// Where a row goes of which the filter says so much.
    pub(crate) fn place(
        &self,
        truth: Result<Truth, EvaluationError>,
        raw: &Row,
    ) -> Result<Place, MappingError> {
        let what = match truth {
            Ok(Truth::Unknown) => return Ok(Place::Unknown),
            Ok(Truth::Holds) => match self.other_value(raw) {
                Ok(None) => return Ok(Place::Here),
                Ok(Some(what)) => return Ok(self.nowhere(raw, what)),
                Err(Lacking) => return Ok(Place::Unknown),
            },
            Ok(Truth::Fails) => "the row is outside what the mapping moves".to_owned(),
            Err(error) => format!("`where` has no result for the row: {error}"),
        };
        let theirs = match &self.theirs {
            None => Truth::Fails,
            Some(theirs) => theirs.holds(raw).map_err(|e| refused("where", &e))?,
        };
        Ok(match theirs {
            Truth::Holds => Place::Elsewhere,
            Truth::Unknown => Place::Unknown,
            Truth::Fails => self.nowhere(raw, what),
        })
    }

    fn nowhere(&self, raw: &Row, what: String) -> Place {
        let what = format!("{what}: it has no place on the way back");
        let mut in_key = self.held.iter().filter(|held| held.in_key);
        match self.blamed {
            // its key stands for the same row on both sides
            Some(at) if in_key.all(|held| held.has(raw) != Some(false)) => {
                Place::Nowhere(Why { at, what })
            }
            _ if self.passing => Place::Elsewhere,
            _ => Place::Nobodys(what),
        }
    }

    /// The same, for a row that is known to have gone from where it was nobody's.
    pub(crate) fn passing(self) -> Limits {
        Limits {
            passing: true,
            ..self
        }
    }

    /// What a column has that no row of this mapping may have.
    fn other_value(&self, raw: &Row) -> Result<Option<String>, Lacking> {
        for held in &self.held {
            if !held.has(raw).ok_or(Lacking)? {
                return Ok(Some(format!(
                    "column {} has a value that nothing carries",
                    held.name
                )));
            }
        }
        Ok(None)
    }
}

/// Binds what an origin says of rows that are not moved.
pub(crate) fn limits(
    origin: &Origin,
    inputs: &[Input],
    filter: Option<&Bound>,
    (columns, presented_key): (&[Made], &[usize]),
) -> Result<Option<Limits>, MappingError> {
    let Some(limits) = &origin.limits else {
        return Ok(None);
    };
    let theirs = match &limits.theirs {
        None => None,
        Some(text) => Some(Box::new(bound("where", text, inputs)?)),
    };
    let carries =
        |raw: usize| move |made: &Made| matches!(made, Made::Carried(from) if *from == raw);
    let mut held = Vec::with_capacity(limits.held.len());
    for column in &limits.held {
        let name = &column.column;
        let at = inputs.iter().position(|input| input.name == *name);
        let at = at.ok_or_else(|| unbound(name, "the table has no such column"))?;
        let values = column.values.iter().map(|text| {
            let constant = bound(name, text, &[])?.as_constant(CellForm::Text);
            constant.ok_or_else(|| unbound(name, "it is no constant"))
        });
        held.push(Held {
            at,
            name: name.clone(),
            canonical: column.canonical,
            values: values.collect::<Result<_, MappingError>>()?,
            in_key: origin.table.key_places().contains(&at) && !columns.iter().any(carries(at)),
        });
    }
    let free = |at: &usize| !presented_key.contains(at);
    let read = filter.map(Bound::reads).unwrap_or_default();
    let of_filter = read
        .iter()
        .filter_map(|&raw| columns.iter().position(carries(raw)));
    let blamed = of_filter.chain(0..columns.len()).find(free);
    Ok(Some(Limits {
        theirs,
        held,
        blamed,
        passing: false,
    }))
}

/// The one value of a column of the table's key.
pub(crate) fn held_key(limits: Option<&Limits>, raw: usize) -> Option<Cell> {
    let held = limits?.held.iter().find(|held| held.at == raw)?;
    match held.values.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    }
}
