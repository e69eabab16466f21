//! A selected table as the file wants it moved: which columns, under which names, made of what, and what leads back.

mod drift;
mod key;
mod shape;

use std::collections::{BTreeMap, BTreeSet};

use crossfade_expression::{Bound, CellForm, Expression, Input};
use crossfade_model::{
    Cell, Column, Finding, LogicalType, Omission, Origin, Row, Severity, Table, TableName,
};

use super::back;
use crate::file::Listed;
use crate::near::nearest;
use crate::table_entry::{ColumnEntry, Lossy, TableEntry};
pub(super) use drift::{drift, drift_anew};
use key::keys;
use shape::{presented, renamed};

/// A selected table, as it is moved.
#[derive(Debug, Clone)]
pub(super) struct Presented {
    /// What rows are presented as, under the source's names.
    pub source: Table,
    /// The same under the target's names, without what names columns that are not carried.
    pub renamed: Table,
    /// The target's names of the columns that an expression makes.
    pub computed: BTreeSet<String>,
    /// Columns whose loss the file accepts, by the target's names.
    pub accepted: BTreeSet<String>,
    /// What the rows are made of; `None` where they are carried as they are.
    pub origin: Option<Origin>,
    /// The way back; `None` where it is the mapping read the other way round.
    pub back: Option<crossfade_model::Back>,
    /// Whether the target's table differs from the source's in more than its own name.
    pub is_mapped: bool,
    /// Columns of the primary key that the file asks for, where it is over others than the source's, by the target's names.
    pub primary: Option<Vec<String>>,
    /// The target's table and the columns that expressions make in it, where other tables go to it too.
    pub united: Option<(Table, BTreeSet<String>)>,
}

/// Where a mapped table goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Destination<'a> {
    /// The target's table.
    pub name: &'a TableName,
    /// Other tables go there too.
    pub is_shared: bool,
    /// The source's table goes elsewhere too.
    pub is_split: bool,
}

/// A column as it is moved.
#[derive(Debug, Clone)]
pub(super) struct Moved {
    /// The column, under the target's name.
    pub column: Column,
    /// The source's name where it is carried as it is.
    pub carried: Option<String>,
    /// What it is made of.
    pub bound: Bound,
    pub expression: Expression,
}

/// A selected table without a word in the file.
pub(super) fn as_it_is(raw: &Table) -> Presented {
    Presented {
        source: raw.clone(),
        renamed: raw.clone(),
        computed: BTreeSet::new(),
        accepted: BTreeSet::new(),
        origin: None,
        back: None,
        is_mapped: false,
        primary: None,
        united: None,
    }
}

/// A table's columns' names on the target, where an entry renames them: parents of foreign keys are asked for them.
pub(super) fn renames(entry: &TableEntry) -> BTreeMap<String, String> {
    let rename = |c: &ColumnEntry| {
        let from = c.made.expression.as_column()?;
        c.is_rename()
            .then(|| (from.to_owned(), c.name.text.clone()))
    };
    entry.columns.iter().filter_map(rename).collect()
}

/// What the file says about a table, applied to it.
pub(super) fn present(
    raw: &Table,
    entry: &TableEntry,
    goes_to: Destination<'_>,
    parents: &dyn Fn(&TableName) -> BTreeMap<String, String>,
    loses: &dyn Fn(&Column) -> Option<String>,
    findings: &mut Vec<Finding>,
    omissions: &mut Vec<Omission>,
) -> Presented {
    if entry.is_plain() && entry.columns.is_empty() && entry.key.is_empty() {
        return as_it_is(raw);
    }
    let mut report = Report {
        table: raw.name.to_string(),
        findings,
    };
    let inputs = inputs(raw);
    let moved = moved(raw, entry, &inputs, loses, &mut report);
    filter(entry, &inputs, &mut report);
    lost_defaults(raw, &moved, omissions);
    let places: BTreeMap<&str, usize> = moved
        .iter()
        .enumerate()
        .filter_map(|(at, m)| Some((m.carried.as_deref()?, at)))
        .collect();
    let keys = keys(raw, entry, goes_to, &moved, &places, &mut report);
    let primary = keys.primary.as_ref().map(|index| index.columns.clone());
    let names: BTreeMap<&str, &str> = moved
        .iter()
        .filter_map(|m| Some((m.carried.as_deref()?, m.column.name.as_str())))
        .collect();
    let mut renamed = renamed(raw, &moved, keys, &names, parents, omissions);
    for index in renamed.indexes.iter_mut().filter(|_| goes_to.is_split) {
        // each of its tables has one
        index.of_table = true;
    }
    let plain = entry.is_plain() && moved.iter().all(|m| m.carried.is_some());
    let source = if plain {
        raw.clone()
    } else {
        presented(raw, &renamed, &moved)
    };
    let origin = (!plain).then(|| Origin {
        table: raw.clone(),
        filter: entry
            .filter
            .as_ref()
            .map(|f| f.expression.text().to_owned()),
        columns: moved
            .iter()
            .map(|m| m.expression.text().to_owned())
            .collect(),
        meanings: Vec::new(),
        limits: None,
    });
    let computed = moved.iter().filter(|m| m.carried.is_none());
    let accepted = entry.columns.iter().filter(|c| c.lossy.is_some());
    Presented {
        back: (!plain).then(|| back::back(raw, entry, &moved, report.findings)),
        source,
        renamed,
        computed: computed.map(|m| m.column.name.clone()).collect(),
        accepted: accepted.map(|c| c.name.text.clone()).collect(),
        origin,
        is_mapped: true,
        primary,
        united: None,
    }
}

struct Report<'a> {
    table: String,
    findings: &'a mut Vec<Finding>,
}

impl Report<'_> {
    fn blocks(&mut self, code: &str, what: String, fix: impl Into<String>) {
        let finding = Finding::blocks(code, "file", what).table(&self.table);
        self.findings.push(finding.fix(fix));
    }
}

fn inputs(raw: &Table) -> Vec<Input> {
    raw.captured().map(Input::from).collect()
}

/// The columns that are moved: those of the source in its order, each under its own name, its new one, or as what takes its
/// place, which is also what is made of one that is dropped; then those that are new.
fn moved(
    raw: &Table,
    entry: &TableEntry,
    inputs: &[Input],
    loses: &dyn Fn(&Column) -> Option<String>,
    report: &mut Report<'_>,
) -> Vec<Moved> {
    let dropped = dropped(raw, entry, report);
    let mut made: Vec<Moved> = Vec::new();
    for column in &entry.columns {
        made.extend(made_of(raw, column, inputs, loses, report));
    }
    // also where something of it is lost on the way
    let is_renamed = |name: &str| {
        let mut entries = entry.columns.iter();
        entries.any(|c| c.made.expression.as_column() == Some(name))
    };
    let mut out: Vec<Moved> = Vec::new();
    for (place, column) in raw.captured().enumerate() {
        let is_dropped = dropped.contains(column.name.as_str());
        let in_place = made.iter().find(|m| m.column.name == column.name);
        let carried = made
            .iter()
            .find(|m| m.carried.as_deref() == Some(&column.name));
        let replaced = || {
            let of = |m: &&Moved| m.carried.is_none() && m.bound.reads() == [place];
            let of_source = |m: &&Moved| raw.captured().any(|c| c.name == m.column.name);
            made.iter().find(|m| is_dropped && of(m) && !of_source(m))
        };
        if let Some(moved) = carried.or(in_place).or_else(replaced) {
            out.push(moved.clone());
        } else if !is_dropped && !is_renamed(&column.name) {
            out.extend(carried_as_is(column, inputs));
        }
    }
    for new in made {
        if !out.iter().any(|m| m.column.name == new.column.name) {
            out.push(new);
        }
    }
    twice(&out, report);
    out
}

fn carried_as_is(column: &Column, inputs: &[Input]) -> Option<Moved> {
    let expression = Expression::column(&column.name);
    Some(Moved {
        column: column.clone(),
        carried: Some(column.name.clone()),
        bound: expression.bind(inputs).ok()?,
        expression,
    })
}

fn dropped<'e>(raw: &Table, entry: &'e TableEntry, report: &mut Report<'_>) -> BTreeSet<&'e str> {
    for name in &entry.drop {
        if !raw.columns.iter().any(|c| c.name == name.text) {
            report.blocks(
                "column.unknown",
                format!(
                    "line {}: there is no column {} to drop",
                    name.line, name.text
                ),
                meant(raw, &name.text),
            );
        }
    }
    entry.drop.iter().map(|name| name.text.as_str()).collect()
}

fn meant(raw: &Table, name: &str) -> String {
    let names = raw.columns.iter().map(|c| c.name.as_str());
    match nearest(name, names).as_slice() {
        [] => "write the column's name as it is on the source".to_owned(),
        near => format!("did you mean {}?", near.join(" or ")),
    }
}

/// One entry of `[table.columns]`, bound to the source's columns.
fn made_of(
    raw: &Table,
    entry: &ColumnEntry,
    inputs: &[Input],
    loses: &dyn Fn(&Column) -> Option<String>,
    report: &mut Report<'_>,
) -> Option<Moved> {
    let made = match becomes_text(raw, entry, loses, report) {
        true => as_text(entry),
        false => with_loss(entry),
    };
    let expression = match made {
        Ok(expression) => expression,
        Err(what) => {
            report.blocks(
                "column.lossy_form",
                at(&entry.name, &what),
                "write another `lossy`",
            );
            return None;
        }
    };
    let bound = match expression.bind(inputs) {
        Ok(bound) => bound,
        Err(error) => {
            report.blocks("column.expression", at(&entry.name, &error.what), error.fix);
            return None;
        }
    };
    let carried = bound
        .as_column()
        .and_then(|place| raw.captured().nth(place));
    if carried.is_some() && !entry.reverse.is_empty() {
        report.blocks(
            "column.reverse",
            at(
                &entry.name,
                "it is carried as it is, and comes back as it is",
            ),
            "remove `reverse`",
        );
    }
    let column = match carried {
        Some(column) => Column {
            name: entry.name.text.clone(),
            ..column.clone()
        },
        None => Column {
            name: entry.name.text.clone(),
            logical: bound.logical(),
            declared: String::new(),
            nullable: bound.nullable(),
            default: default_through(raw, &bound),
            generated: None,
            identity: None,
            collation: None,
        },
    };
    Some(Moved {
        carried: carried.map(|c| c.name.clone()),
        column,
        bound,
        expression,
    })
}

/// What an expression makes of its column's default, where that is a written integer and gives a boolean or an integer: the same in every
/// dialect.
fn default_through(raw: &Table, bound: &Bound) -> Option<String> {
    let [place] = bound.reads() else {
        return None;
    };
    let source = raw.captured().nth(*place)?;
    let counts = matches!(
        source.logical,
        LogicalType::Integer { .. } | LogicalType::Boolean
    );
    let written = source.default.as_deref().filter(|_| counts)?;
    let bare = written.trim().trim_matches('\'');
    let number: i64 = bare.parse().ok()?;
    let mut cells = vec![Cell::Null; raw.captured().count()];
    *cells.get_mut(*place)? = Cell::TextForm(number.to_string().into());
    let made = bound.evaluate(&Row(cells), CellForm::Text).ok()?;
    let Cell::TextForm(text) = made else {
        return None;
    };
    let text = std::str::from_utf8(&text).ok()?;
    match bound.logical() {
        LogicalType::Boolean => Some(if text == "t" { "1" } else { "0" }.to_owned()),
        LogicalType::Integer { .. } => Some(text.to_owned()),
        _ => None,
    }
}

/// Defaults that no expression can be asked about.
fn lost_defaults(raw: &Table, moved: &[Moved], omissions: &mut Vec<Omission>) {
    for made in moved.iter().filter(|m| m.carried.is_none()) {
        if let [place] = made.bound.reads()
            && made.column.default.is_none()
            && raw
                .captured()
                .nth(*place)
                .is_some_and(|c| c.default.is_some())
        {
            omissions.push(Omission {
                kind: "default".to_owned(),
                name: format!("{}: {}", raw.name, made.column.name),
                why: "the column is made by an expression; set a default on the target".to_owned(),
            });
        }
    }
}

fn at(name: &Listed, what: &str) -> String {
    format!("line {}: column {}: {what}", name.line, name.text)
}

/// What a declared loss makes of an expression, but for [`as_text`].
fn with_loss(entry: &ColumnEntry) -> Result<Expression, String> {
    let text = entry.made.expression.text();
    let lossy = match entry.lossy {
        Some(Lossy::Truncate(characters)) => format!("left({text}, {characters})"),
        Some(Lossy::Round(places)) => format!("round({text}, {places})"),
        Some(Lossy::Accept) | None => return Ok(entry.made.expression.clone()),
    };
    Expression::parse(&lossy).map_err(|e| e.what)
}

/// Values of every class as texts, where that is accepted.
fn as_text(entry: &ColumnEntry) -> Result<Expression, String> {
    let text = format!("cast({} as text)", entry.made.expression.text());
    Expression::parse(&text).map_err(|e| e.what)
}

/// Whether it is accepted that the values of a column of any class become texts; that is told. A key stays as it is.
fn becomes_text(
    raw: &Table,
    entry: &ColumnEntry,
    loses: &dyn Fn(&Column) -> Option<String>,
    report: &mut Report<'_>,
) -> bool {
    let name = entry.made.expression.as_column();
    let Some(name) = name.filter(|_| entry.lossy == Some(Lossy::Accept)) else {
        return false;
    };
    let is_key = raw.key_columns().iter().any(|c| c.name == name);
    let column = raw.captured().find(|c| c.name == name);
    let column = column.filter(|c| c.logical == LogicalType::Any && !is_key);
    let Some(why) = column.and_then(loses) else {
        return false;
    };
    let what = format!("column {name}: {why}; the file accepts what is lost");
    report
        .findings
        .push(Finding::new("column.lossy", Severity::Warning, "target", what).table(&report.table));
    true
}

/// Two columns that would go to one; also where they differ in case only, which not every store can tell apart.
fn twice(moved: &[Moved], report: &mut Report<'_>) {
    let mut first: BTreeMap<String, &str> = BTreeMap::new();
    for column in moved {
        let name = &column.column.name;
        match first.get(&name.to_lowercase()) {
            None => {
                first.insert(name.to_lowercase(), name);
            }
            Some(other) => report.blocks(
                "column.twice",
                format!("two columns would go to {name} (the other is {other})"),
                "give one of them another name, or leave it out with `drop`",
            ),
        }
    }
}

/// The filter has to be a condition on the source's columns.
fn filter(entry: &TableEntry, inputs: &[Input], report: &mut Report<'_>) {
    let Some(filter) = &entry.filter else {
        return;
    };
    match filter.expression.bind(inputs) {
        Ok(bound) if bound.logical() == LogicalType::Boolean => {}
        Ok(_) => report.blocks(
            "table.where",
            format!("line {}: `where` is no condition", filter.line),
            "write an expression that is true for the rows to move",
        ),
        Err(error) => report.blocks(
            "table.where",
            format!("line {}: `where`: {}", filter.line, error.what),
            error.fix,
        ),
    }
}
