//! The way back of a mapped table: what gives the source's columns back, and what nothing does.

use std::collections::BTreeSet;

use crossfade_expression::{CellForm, Comparisons, Expression, Input};
use crossfade_model::{Back, Finding, Lost, Table};

use super::mapped::Moved;
use crate::table_entry::{ColumnEntry, TableEntry};

/// What leads back from the target's columns to the source's.
pub(super) fn back(
    raw: &Table,
    entry: &TableEntry,
    moved: &[Moved],
    findings: &mut Vec<Finding>,
) -> Back {
    let mut way = Way {
        raw,
        entry,
        moved,
        back: Back::default(),
        used: BTreeSet::new(),
        findings,
    };
    way.columns();
    way.filter();
    way.constants();
    way.lost();
    way.back
}

struct Way<'a> {
    raw: &'a Table,
    entry: &'a TableEntry,
    moved: &'a [Moved],
    back: Back,
    /// Columns of the target from which something is given back.
    used: BTreeSet<String>,
    findings: &'a mut Vec<Finding>,
}

impl Way<'_> {
    fn columns(&mut self) {
        let required = self.required_by_filter();
        let names: Vec<String> = self.raw.captured().map(|c| c.name.clone()).collect();
        for name in names {
            let given = self
                .carried(&name)
                .or_else(|| self.written(&name))
                .or_else(|| self.inverted(&name))
                .or_else(|| {
                    required
                        .iter()
                        .find(|(c, _)| *c == name)
                        .map(|(_, v)| v.clone())
                });
            match given {
                Some(expression) => {
                    self.used.extend(expression.columns());
                    let text = expression.text().to_owned();
                    self.back.columns.push((name, text));
                }
                None => self.kept(&name),
            }
        }
    }

    fn carried(&self, name: &str) -> Option<Expression> {
        self.carrier(name).map(Expression::column)
    }

    /// The target's column that carries one of the source's as it is.
    fn carrier(&self, name: &str) -> Option<&str> {
        let carrier = self
            .moved
            .iter()
            .find(|m| m.carried.as_deref() == Some(name))?;
        Some(&carrier.column.name)
    }

    /// What the file's `reverse` says.
    fn written(&mut self, name: &str) -> Option<Expression> {
        let mut found = None;
        for entry in &self.entry.columns {
            for (column, written) in &entry.reverse {
                let of = match column {
                    Some(column) => column.text == name,
                    None => self.reads_only(entry, name),
                };
                if of {
                    found = Some(written);
                }
            }
        }
        let written = found?;
        match written.expression.bind(&self.inputs()) {
            Ok(_) => Some(written.expression.clone()),
            Err(error) => {
                self.findings.push(
                    Finding::blocks(
                        "column.reverse",
                        "file",
                        format!("line {}: `reverse`: {}", written.line, error.what),
                    )
                    .table(self.raw.name.to_string())
                    .fix(error.fix),
                );
                None
            }
        }
    }

    fn reads_only(&self, entry: &ColumnEntry, name: &str) -> bool {
        let made = self.moved.iter().find(|m| m.column.name == entry.name.text);
        let read = made.map(|m| m.bound.reads().to_vec()).unwrap_or_default();
        let place = self.raw.captured().position(|c| c.name == name);
        matches!((read.as_slice(), place), ([one], Some(place)) if *one == place)
    }

    /// The target's columns, as expressions of the way back may name them.
    fn inputs(&self) -> Vec<Input> {
        self.moved.iter().map(|m| Input::from(&m.column)).collect()
    }

    fn inverted(&self, name: &str) -> Option<Expression> {
        let place = self.raw.captured().position(|c| c.name == name)?;
        let makes = |m: &&Moved| m.bound.reads() == [place];
        self.moved
            .iter()
            .filter(makes)
            .find_map(|m| m.bound.inverse(&m.column.name))
            .map(|inverse| inverse.expression)
    }

    /// A column that nothing gives back: rows that are there keep theirs, new ones get a default.
    fn kept(&mut self, name: &str) {
        self.back.kept.push(name.to_owned());
        let column = self.raw.captured().find(|c| c.name == name);
        let filled =
            column.is_none_or(|c| c.nullable || c.default.is_some() || c.identity.is_some());
        if !filled {
            self.back.lost.push(Lost {
                column: name.to_owned(),
                why: "the source requires it, and nothing on the target gives it back".to_owned(),
                declared: false,
            });
        }
    }

    /// Columns that the filter holds to one value, in every row that is moved.
    fn required_by_filter(&self) -> Vec<(String, Expression)> {
        let Some(filter) = &self.entry.filter else {
            return Vec::new();
        };
        let mut out = Vec::new();
        for part in filter.expression.conjuncts() {
            let comparisons = part.bind(&self.raw_inputs()).map(|b| b.comparisons());
            if let Ok(Some(part)) = comparisons
                && part.is_equality()
                && let Comparisons::Compare { column, value, .. } = &part
                && let Some(name) = self.raw.captured().nth(*column)
                && let Ok(value) = Expression::parse(&value.to_sql())
            {
                out.push((name.name.clone(), value));
            }
        }
        out
    }

    fn raw_inputs(&self) -> Vec<Input> {
        self.raw.captured().map(Input::from).collect()
    }

    /// The rows of the target that go back: those that the filter would have moved, by what is carried of it.
    fn filter(&mut self) {
        let mut parts: Vec<String> = Vec::new();
        if let Some(own) = &self.entry.target_filter {
            parts.push(own.expression.text().to_owned());
        }
        // of a key, only rows with its constants can be told apart by the rest
        for column in self.moved.iter().filter(|m| m.bound.reads().is_empty()) {
            let name = &column.column.name;
            if self.entry.key.iter().any(|key| key.text == *name) {
                let column_text = Expression::column(name);
                parts.push(format!(
                    "{} = ({})",
                    column_text.text(),
                    column.expression.text()
                ));
            }
        }
        if let Some(filter) = &self.entry.filter {
            let bound = filter.expression.bind(&self.raw_inputs());
            let plain = bound.is_ok_and(|b| b.comparisons().is_some_and(|c| c.is_plain()));
            if !plain {
                self.lost_filter(
                    "it is more than comparisons of columns with numbers, texts and booleans: the source cannot tell which of its rows are left to others",
                );
            }
            let mut unknown = false;
            for part in filter.expression.conjuncts() {
                match self.asked_of_target(&part) {
                    Asked::So(renamed) => parts.push(renamed.text().to_owned()),
                    Asked::Always => {}
                    Asked::Unknown => unknown = true,
                }
            }
            if unknown {
                self.lost_filter(
                    "it names columns that the target does not have: which rows of the target belong to the source cannot be told",
                );
            }
        }
        self.back.filter = match parts.len() {
            0 => None,
            _ => Some(
                parts
                    .iter()
                    .map(|p| format!("({p})"))
                    .collect::<Vec<_>>()
                    .join(" AND "),
            ),
        };
    }

    fn lost_filter(&mut self, why: &str) {
        self.back.lost.push(Lost {
            column: "where".to_owned(),
            why: why.to_owned(),
            declared: false,
        });
    }

    /// A condition on the source's columns, asked of what gives them back.
    fn asked_of_target(&self, part: &Expression) -> Asked {
        let inputs = self.raw_inputs();
        let comparisons = part.bind(&inputs).ok().and_then(|b| b.comparisons());
        let is_equality = comparisons.is_some_and(|c| c.is_equality());
        // as it was, or as good as that; what the file says of the way back must be so only where the condition names the value
        let given = |name: &str| {
            let column = self.raw_name(name)?;
            if let Some(carrier) = self.carrier(&column) {
                return Some(Expression::column(carrier));
            }
            let (_, text) = self.back.columns.iter().find(|(n, _)| *n == column)?;
            let undone = self.inverted(&column).is_some_and(|e| e.text() == text);
            (undone || is_equality)
                .then(|| Expression::parse(text).ok())
                .flatten()
        };
        match part.replaced(&given) {
            // the column is given back as the value itself
            Some(asked) if asked.columns().is_empty() => Asked::Always,
            Some(asked) if asked.bind(&self.inputs()).is_ok() => Asked::So(asked),
            _ => Asked::Unknown,
        }
    }

    /// The source's column that a condition means by a name.
    fn raw_name(&self, name: &str) -> Option<String> {
        let bound = Expression::column(name).bind(&self.raw_inputs()).ok()?;
        let column = self.raw.captured().nth(bound.as_column()?)?;
        Some(column.name.clone())
    }

    /// Columns that are the same in every row, but where the file says that what is written there need not come back.
    fn constants(&mut self) {
        let mut constants = Vec::new();
        for made in self.moved.iter().filter(|m| m.bound.reads().is_empty()) {
            let name = &made.column.name;
            let entry = self.entry.columns.iter().find(|c| c.name.text == *name);
            if !entry.is_some_and(|c| c.forward_only) {
                constants.push((name.clone(), made.expression.text().to_owned()));
            }
        }
        self.back.constants = Some(constants);
    }

    /// Columns of the target whose values nothing takes back.
    fn lost(&mut self) {
        for column in self.moved {
            let name = &column.column.name;
            let constant = column.bound.as_constant(CellForm::Text).is_some();
            if constant || self.used.contains(name) {
                continue;
            }
            let entry = self.entry.columns.iter().find(|c| c.name.text == *name);
            self.back.lost.push(Lost {
                column: name.clone(),
                why: "its expression cannot be undone: what is written there after a switch does not reach the source".to_owned(),
                declared: entry.is_some_and(|c| c.forward_only),
            });
        }
    }
}

/// What a condition on the source's columns is on the target's.
enum Asked {
    So(Expression),
    /// Every row that comes back satisfies it.
    Always,
    /// The target does not have what it asks for.
    Unknown,
}
