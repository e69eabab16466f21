//! What is proposed for a target of another engine: names and booleans in its custom, so far as they can be carried there and back.

use std::collections::{BTreeMap, BTreeSet};

use crossfade_expression::Expression;
use crossfade_model::{Column, LogicalType, Schema, Table, TableName};
use crossfade_store::{Target, Truths};

use super::columns::{self, Said};
use super::names::{Given, Why, allocate, styled};
use super::quoted;
use crate::args::Names;

/// What is known of both sides.
pub(super) struct Sides<'a> {
    pub source_engine: &'a str,
    pub source: &'a Schema,
    pub target: &'a dyn Target,
    pub there: &'a Schema,
    pub names: Names,
    /// Columns that hold true and false, by table.
    pub truths: &'a BTreeMap<TableName, Vec<Truths>>,
}

/// What is written of a table.
#[derive(Debug, Default)]
pub(super) struct Proposed {
    /// Its name on the target.
    pub name: String,
    /// The line that says it, where it is not the source's.
    pub to: Option<Line>,
    /// The line that leaves out what comes under another name as a boolean, and would come under its own too.
    pub drop: Option<Line>,
    /// Lines of `[table.columns]`.
    pub columns: Vec<Line>,
    /// Comments, without `#`.
    pub remarks: Vec<String>,
    /// Something here is not what the run would do without a word.
    pub is_active: bool,
}

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Key and value.
    pub text: String,
    /// Its comment; empty where there is none.
    pub why: String,
    /// It is only offered, as a comment.
    pub is_offered: bool,
}

impl Line {
    fn new(text: String, why: impl Into<String>) -> Self {
        Self {
            text,
            why: why.into(),
            is_offered: false,
        }
    }
}

/// The proposals, table by table; of nothing where both sides are of one engine, which keeps everything as it is.
pub(super) fn propose(sides: &Sides<'_>) -> Vec<Proposed> {
    let tables = &sides.source.tables;
    if sides.source_engine == sides.target.engine() {
        return tables.iter().map(|_| Proposed::default()).collect();
    }
    let found: Vec<Option<&Table>> = tables.iter().map(|t| sides.found(t)).collect();
    let wanted: Vec<(String, String)> = tables
        .iter()
        .zip(&found)
        .map(|(table, found)| match found {
            Some(there) => (there.name.name.clone(), there.name.name.clone()),
            None => {
                let own = sides.default_name(table).name;
                let style = sides.style(sides.target.custom().tables_in_lower_case);
                (own.clone(), styled(&own, style))
            }
        })
        .collect();
    let named = allocate(&wanted, &|name| sides.cut_table(name));
    let each = tables.iter().zip(found).zip(named);
    each.map(|((table, found), given)| sides.table(table, found, given))
        .collect()
}

impl Sides<'_> {
    fn style(&self, in_lower_case: bool) -> Names {
        match in_lower_case {
            true => self.names,
            false => Names::Keep,
        }
    }

    fn default_name(&self, table: &Table) -> TableName {
        self.target.default_name(&table.name)
    }

    fn cut_table(&self, name: &str) -> String {
        let named = TableName {
            schema: None,
            name: name.to_owned(),
        };
        self.target.default_name(&named).name
    }

    /// The target's table that this one goes to: of its name, of the name in the target's custom, or of one in another case.
    fn found(&self, table: &Table) -> Option<&Table> {
        let own = self.default_name(table);
        let wanted = self.cut_table(&styled(&own.name, Names::Snake));
        let beside = || {
            let all = self.there.tables.iter();
            all.filter(|t| t.name.schema == own.schema)
        };
        let named = |name: &str| beside().find(|t| t.name.name == name);
        let folded =
            |name: &str| beside().find(|t| t.name.name.to_lowercase() == name.to_lowercase());
        named(&own.name)
            .or_else(|| named(&wanted))
            .or_else(|| folded(&own.name))
            .or_else(|| folded(&wanted))
    }

    fn table(&self, table: &Table, found: Option<&Table>, given: Given) -> Proposed {
        let custom = self.target.custom();
        let mut out = Proposed::default();
        let mut said = Said::default();
        out.is_active = given.name != self.default_name(table).name;
        if given.name != table.name.name {
            let why = match (found, given.why) {
                (Some(_), _) => "the target has it".to_owned(),
                (None, Why::Custom) if custom.columns_in_lower_case => {
                    format!("{} reads names without quotes in lower case", custom.name)
                }
                (None, Why::Custom) => {
                    "servers differ in whether tables are found in another case".to_owned()
                }
                (None, Why::Numbered) => "another table has the name already".to_owned(),
                (None, Why::Cut) => "the name is longer than the target keeps".to_owned(),
                (None, Why::Own | Why::Clash) => "the target has no schemas".to_owned(),
            };
            let text = format!("to = {}", quoted(&written_name(&given.name)));
            out.to = Some(Line::new(text, why));
        }
        out.name.clone_from(&given.name);
        if given.why == Why::Clash {
            said.of_table(format!(
                "the table keeps its name, which must be quoted: another one would be {} too",
                quoted(&styled(&table.name.name, self.names))
            ));
        }
        if custom.is_reserved(&given.name) {
            said.of_table(reserved(custom.name, &given.name));
        }
        if found.is_some() {
            said.of_table("the target has the table, which keeps its columns' types".to_owned());
        }
        let mut made = BTreeSet::new();
        let mut dropped = Vec::new();
        for (column, given) in table.captured().zip(self.columns(table, found)) {
            let lines = self.column(table, found, column, &given, &mut said);
            let is_made = lines
                .iter()
                .any(|line| !line.is_offered && line.text.contains("cast("));
            if is_made {
                made.insert(column.name.as_str());
                if given.name != column.name {
                    dropped.push(quoted(&column.name));
                }
            }
            out.is_active |= is_made || given.name != self.cut_column(table, column, &column.name);
            out.columns.extend(lines);
        }
        out.drop = (!dropped.is_empty()).then(|| {
            let text = format!("drop = [{}]", dropped.join(", "));
            Line::new(
                text,
                "they come as booleans by lines below: each goes with its line",
            )
        });
        if found.is_none() {
            columns::remarks(self.source_engine, self.target, table, &made, &mut said);
        }
        out.remarks = said.lines();
        out
    }

    fn cut_column(&self, table: &Table, column: &Column, name: &str) -> String {
        let named = Column {
            name: name.to_owned(),
            ..column.clone()
        };
        let declared = self.target.declare(self.source_engine, table, &named);
        declared.column.name
    }

    /// The names of a table's captured columns.
    fn columns(&self, table: &Table, found: Option<&Table>) -> Vec<Given> {
        let style = self.style(self.target.custom().columns_in_lower_case);
        let wanted: Vec<(String, String)> = table
            .captured()
            .map(|column| {
                let own = column.name.clone();
                match found {
                    None => (own.clone(), styled(&own, style)),
                    Some(there) => {
                        let name = counterpart(there, &own)
                            .map(|c| c.name.clone())
                            .unwrap_or(own);
                        (name.clone(), name)
                    }
                }
            })
            .collect();
        let cut = |name: &str| match table.columns.first() {
            Some(any) => self.cut_column(table, any, name),
            None => name.to_owned(),
        };
        allocate(&wanted, &cut)
    }

    /// The lines of a column.
    fn column(
        &self,
        table: &Table,
        found: Option<&Table>,
        column: &Column,
        given: &Given,
        said: &mut Said,
    ) -> Vec<Line> {
        let custom = self.target.custom();
        if given.why == Why::Clash {
            said.of_column(
                format!(
                    "keeps its name, which must be quoted: another one would be {} too",
                    quoted(&styled(&column.name, self.names))
                ),
                &column.name,
            );
        }
        if custom.is_reserved(&given.name) {
            said.of_table(reserved(custom.name, &given.name));
        }
        let why = match given.why {
            Why::Numbered => "another column has the name already",
            Why::Cut => "the name is longer than the target keeps",
            Why::Own | Why::Custom | Why::Clash => "",
        };
        let key = toml_key(&given.name);
        let renamed = (given.name != column.name)
            .then(|| Line::new(format!("{key} = {}", carried(&column.name)), why));
        let truth = format!("{key} = {}", quoted(&as_boolean(&column.name)));
        match self.truth(table, found, column, given, said) {
            Truth::Proposed(why) => vec![Line::new(truth, why)],
            Truth::Offered(why) => {
                let offered = Line {
                    is_offered: true,
                    ..Line::new(truth, why)
                };
                renamed.into_iter().chain([offered]).collect()
            }
            Truth::No => renamed.into_iter().collect(),
        }
    }

    /// Whether a column is proposed as a boolean.
    fn truth(
        &self,
        table: &Table,
        found: Option<&Table>,
        column: &Column,
        given: &Given,
        said: &mut Said,
    ) -> Truth {
        let of_table = self.truths.get(&table.name).map_or(&[][..], Vec::as_slice);
        let Some(truths) = of_table.iter().find(|t| t.column == column.name) else {
            return Truth::No;
        };
        let wanted = match found {
            None => self.target.custom().has_booleans,
            Some(there) => {
                counterpart(there, &column.name).is_some_and(|c| c.logical == LogicalType::Boolean)
            }
        };
        if !wanted {
            return Truth::No;
        }
        let declared = &column.declared;
        if let Some(what) = in_the_way(self.source, table, &column.name) {
            said.of_column(
                format!("{declared} stays a number: {what} is over it, and would not be carried for a column that is made by an expression"),
                &column.name,
            );
            return Truth::No;
        }
        match truths.holds_only_truths {
            Some(true) => {
                let key = toml_key(&given.name);
                let kept = match given.name == column.name {
                    true => "without the line it is a number".to_owned(),
                    false => format!("`{key} = {}` keeps the number", carried(&column.name)),
                };
                Truth::Proposed(format!(
                    "a boolean: there is nothing but 0 and 1 now, and a row with another value would wait in quarantine, unchanged; {kept}"
                ))
            }
            Some(false) if found.is_none() => {
                said.of_column(
                    format!("{declared} stays a number: there are other values than 0 and 1"),
                    &column.name,
                );
                Truth::No
            }
            _ => Truth::Offered(format!(
                "instead of the {declared}, a boolean: only where there is nothing but 0 and 1, which was not found out; a row with another value waits in quarantine, unchanged"
            )),
        }
    }
}

enum Truth {
    No,
    Proposed(String),
    Offered(String),
}

/// What names a column besides its table: it is not carried for a column that an expression makes.
fn in_the_way(source: &Schema, table: &Table, name: &str) -> Option<String> {
    let names = |columns: &[String]| columns.iter().any(|c| c == name);
    if table.key_columns().iter().any(|c| c.name == name) {
        return Some("the key".to_owned());
    }
    if let Some(index) = table.indexes.iter().find(|i| names(&i.columns)) {
        return Some(format!("index {}", quoted(&index.name)));
    }
    let mut all = source.tables.iter().flat_map(|t| {
        let of = move |key: &&crossfade_model::ForeignKey| {
            (t.name == table.name && key.columns.iter().any(|c| c == name))
                || (key.parent == table.name && key.parent_columns.iter().any(|c| c == name))
        };
        t.foreign_keys.iter().filter(of)
    });
    all.next()
        .map(|key| format!("foreign key {}", quoted(&key.name)))
}

/// The target's column for a name of the source: of that name, of the name in lower case and parted, or of one in another case.
fn counterpart<'a>(there: &'a Table, own: &str) -> Option<&'a Column> {
    let named = |name: &str| there.columns.iter().find(|c| c.name == name);
    let folded = |name: &str| {
        let mut all = there.columns.iter();
        all.find(|c| c.name.to_lowercase() == name.to_lowercase())
    };
    let wanted = styled(own, Names::Snake);
    named(own)
        .or_else(|| named(&wanted))
        .or_else(|| folded(own))
        .or_else(|| folded(&wanted))
}

fn reserved(target: &str, name: &str) -> String {
    format!(
        "{} is a word of {target}'s own: statements must quote it",
        quoted(name)
    )
}

/// A table's name as `to` takes it: what has a dot or a quote is in quotes.
fn written_name(name: &str) -> String {
    match name.contains(['.', '"']) {
        true => format!("\"{}\"", name.replace('"', "\"\"")),
        false => name.to_owned(),
    }
}

/// A column that is carried as it is, as the value of its entry.
fn carried(name: &str) -> String {
    match is_plain(name) {
        true => quoted(name),
        false => format!("{{ from = {} }}", quoted(name)),
    }
}

/// Whether an expression of just this text is the column.
fn is_plain(name: &str) -> bool {
    Expression::parse(name).is_ok_and(|e| e.as_column() == Some(name))
}

fn as_boolean(name: &str) -> String {
    match is_plain(name) {
        true => format!("cast({name} as boolean)"),
        false => format!("cast({} as boolean)", Expression::column(name).text()),
    }
}

/// A key of TOML (TOML 1.0, "Keys").
fn toml_key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    match !name.is_empty() && name.chars().all(bare) {
        true => name.to_owned(),
        false => quoted(name),
    }
}

#[cfg(test)]
#[path = "proposal_tests.rs"]
mod tests;
