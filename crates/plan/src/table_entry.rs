//! `[[table]]`: which rows of a table are moved, where to, and what their columns are made of.

use std::ops::Range;

use crossfade_expression::{Expression, ExpressionError};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::file::{Entry, Listed, Reader, with_article};

/// One `[[table]]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TableEntry {
    /// The source table.
    pub from: Listed,
    /// The target table; the store's default where it is not written.
    pub to: Option<Listed>,
    /// The rows that are moved; all where it is not written.
    pub filter: Option<Written>,
    /// The rows of the target's table that are this entry's, where others go there too.
    pub target_filter: Option<Written>,
    /// Columns of the target that are not carried under their own name.
    pub columns: Vec<ColumnEntry>,
    /// Columns of the source that are not moved.
    pub drop: Vec<Listed>,
    /// The target's key, by its columns' names; the source's where it is not written.
    pub key: Vec<Listed>,
}

/// An expression, as it stands in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The expression.
    pub expression: Expression,
    /// Line, from 1.
    pub line: usize,
}

/// One entry of `[table.columns]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnEntry {
    /// The column of the target.
    pub name: Listed,
    /// What it is made of.
    pub made: Written,
    /// What is lost, and accepted.
    pub lossy: Option<Lossy>,
    /// Columns of the source and what gives them back, over the target's columns. The name is `None` where the file has one
    /// expression for the one column that `made` reads.
    pub reverse: Vec<(Option<Listed>, Written)>,
    /// Nothing gives it back, and that is accepted.
    pub forward_only: bool,
}

/// A loss that the file declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lossy {
    /// `truncate N`: texts end after N characters.
    Truncate(u32),
    /// `round N`: decimals are rounded to N places.
    Round(u32),
    /// `accept`: whatever the target's type does to the values.
    Accept,
}

impl TableEntry {
    /// Whether rows are carried as they are, under whatever names.
    pub fn is_plain(&self) -> bool {
        self.filter.is_none()
            && self.target_filter.is_none()
            && self.drop.is_empty()
            && self.columns.iter().all(|c| c.is_rename())
    }
}

impl ColumnEntry {
    /// Whether it only gives a column another name.
    pub fn is_rename(&self) -> bool {
        self.made.expression.as_column().is_some()
            && self.reverse.is_empty()
            && !matches!(self.lossy, Some(Lossy::Truncate(_) | Lossy::Round(_)))
    }
}

const PLACE: &str = "[[table]]";
const KEYS: [&str; 7] = [
    "from",
    "to",
    "where",
    "target_where",
    "columns",
    "drop",
    "key",
];
const COLUMN_KEYS: [&str; 5] = ["from", "expression", "lossy", "reverse", "forward_only"];

impl Reader<'_> {
    pub(crate) fn tables(&mut self, value: Entry<'_, '_>) -> Vec<TableEntry> {
        let Some(list) = value.get_ref().as_array() else {
            self.problem_with_fix(
                value.span(),
                "tables are a list",
                "write `[[table]]`, with two brackets, before each table".to_owned(),
            );
            return Vec::new();
        };
        list.iter()
            .filter_map(|item| self.table_entry(item))
            .collect()
    }

    fn table_entry(&mut self, value: Entry<'_, '_>) -> Option<TableEntry> {
        let table = self.table_of(value, PLACE)?;
        self.known_keys(PLACE, table, &KEYS);
        let from = self.required(value.span(), table, "from", PLACE);
        let from = from.and_then(|from| self.listed(from, "`from`"));
        let to = match table.get("to") {
            None => None,
            Some(to) => Some(self.listed(to, "`to`")?),
        };
        let filter = self.optional_expression(table, "where");
        let target_filter = self.optional_expression(table, "target_where");
        let columns = match table.get("columns") {
            None => Vec::new(),
            Some(columns) => self.column_entries(columns),
        };
        let drop = self.column_names(table.get("drop"), "drop");
        let key = self.column_names(table.get("key"), "key");
        Some(TableEntry {
            from: from?,
            to,
            filter,
            target_filter,
            columns,
            drop,
            key,
        })
    }

    fn optional_expression(&mut self, table: &DeTable<'_>, key: &str) -> Option<Written> {
        let value = table.get(key)?;
        self.expression(value, &format!("`{key}`"))
    }

    /// An expression; a problem with its place in the text where it is none.
    fn expression(&mut self, value: Entry<'_, '_>, place: &str) -> Option<Written> {
        let text = self.listed(value, place)?;
        match Expression::parse(&text.text) {
            Ok(expression) => Some(Written {
                expression,
                line: text.line,
            }),
            Err(error) => {
                self.expression_problem(value.span(), &text.text, &error);
                None
            }
        }
    }

    fn expression_problem(&mut self, string: Range<usize>, text: &str, error: &ExpressionError) {
        let end = error.span.end.min(text.len());
        let span = self.within(string, text, error.span.start.min(end)..end);
        self.problem_with_fix(span, error.what.clone(), error.fix.clone());
    }

    fn column_names(&mut self, value: Option<Entry<'_, '_>>, key: &str) -> Vec<Listed> {
        let Some(value) = value else {
            return Vec::new();
        };
        let Some(list) = value.get_ref().as_array() else {
            let found = with_article(value.get_ref().type_str());
            self.problem_with_fix(
                value.span(),
                format!("`{key}` is to be a list of strings, this is {found}"),
                format!("write `{key} = [\"…\"]`, with the columns' names"),
            );
            return Vec::new();
        };
        let place = format!("an entry of `{key}`");
        list.iter()
            .filter_map(|item| self.listed(item, &place))
            .collect()
    }

    fn column_entries(&mut self, value: Entry<'_, '_>) -> Vec<ColumnEntry> {
        let Some(table) = self.table_of(value, "[table.columns]") else {
            return Vec::new();
        };
        let mut out = Vec::new();
        for (name, made) in table {
            out.extend(self.column_entry(name, made));
        }
        out
    }

    fn column_entry(
        &mut self,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: Entry<'_, '_>,
    ) -> Option<ColumnEntry> {
        let name = self.named(name)?;
        if let DeValue::String(_) = value.get_ref() {
            let made = self.expression(value, &format!("column `{}`", name.text))?;
            return Some(ColumnEntry {
                name,
                made,
                lossy: None,
                reverse: Vec::new(),
                forward_only: false,
            });
        }
        let place = format!("column `{}`", name.text);
        let Some(table) = value.get_ref().as_table() else {
            let found = with_article(value.get_ref().type_str());
            self.problem_with_fix(
                value.span(),
                format!("{place} is to be an expression or a section, this is {found}"),
                format!(
                    "write `{} = \"other_column\"`, or a constant as `\"'text'\"` or `\"42\"`",
                    name.text
                ),
            );
            return None;
        };
        self.known_keys(&place, table, &COLUMN_KEYS);
        let made = self.made(value.span(), table, &name, &place)?;
        Some(ColumnEntry {
            lossy: self.lossy(table),
            reverse: self.reverse(table),
            forward_only: self.flag(table, "forward_only"),
            name,
            made,
        })
    }

    fn named(&mut self, name: &Spanned<std::borrow::Cow<'_, str>>) -> Option<Listed> {
        let text = name.get_ref().as_ref();
        if text.trim().is_empty() {
            self.problem(name.span(), "a column has no name");
            return None;
        }
        Some(Listed {
            text: text.to_owned(),
            line: self.line(name.span()),
        })
    }

    /// `from` is a column's name, `expression` an expression; without either the column of the same name.
    fn made(
        &mut self,
        span: Range<usize>,
        table: &DeTable<'_>,
        name: &Listed,
        place: &str,
    ) -> Option<Written> {
        match (table.get("from"), table.get("expression")) {
            (Some(from), None) => {
                let from = self.listed(from, "`from`")?;
                Some(Written {
                    expression: Expression::column(&from.text),
                    line: from.line,
                })
            }
            (None, Some(expression)) => self.expression(expression, "`expression`"),
            (None, None) => Some(Written {
                expression: Expression::column(&name.text),
                line: name.line,
            }),
            (Some(_), Some(_)) => {
                self.problem_with_fix(
                    span,
                    format!("{place} has both `from` and `expression`"),
                    "`from` names a column that is carried as it is; remove one of the two"
                        .to_owned(),
                );
                None
            }
        }
    }

    fn flag(&mut self, table: &DeTable<'_>, key: &str) -> bool {
        match table.get(key) {
            None => false,
            Some(value) => value.get_ref().as_bool().unwrap_or_else(|| {
                let found = with_article(value.get_ref().type_str());
                self.problem(
                    value.span(),
                    format!("`{key}` is to be true or false, this is {found}"),
                );
                false
            }),
        }
    }

    fn lossy(&mut self, table: &DeTable<'_>) -> Option<Lossy> {
        let value = table.get("lossy")?;
        let text = self.listed(value, "`lossy`")?;
        let mut words = text.text.split_whitespace();
        let (word, number) = (words.next(), words.next());
        let number = number.map(str::parse::<u32>);
        match (word, number, words.next()) {
            (Some("truncate"), Some(Ok(characters)), None) => Some(Lossy::Truncate(characters)),
            (Some("round"), Some(Ok(places)), None) => Some(Lossy::Round(places)),
            (Some("accept"), None, None) => Some(Lossy::Accept),
            _ => {
                self.problem_with_fix(
                    value.span(),
                    "`lossy` does not say what is lost",
                    "write \"truncate 255\" (characters of a text), \"round 2\" (places of a decimal), or \"accept\" \
                     (whatever `plan` says that the target's type loses)"
                        .to_owned(),
                );
                None
            }
        }
    }

    fn reverse(&mut self, table: &DeTable<'_>) -> Vec<(Option<Listed>, Written)> {
        let Some(value) = table.get("reverse") else {
            return Vec::new();
        };
        let Some(columns) = value.get_ref().as_table() else {
            let written = self.expression(value, "`reverse`");
            return written.into_iter().map(|written| (None, written)).collect();
        };
        let mut out = Vec::new();
        for (name, value) in columns {
            let name = self.named(name);
            let written = self.expression(value, "an entry of `reverse`");
            if let (Some(name), Some(written)) = (name, written) {
                out.push((Some(name), written));
            }
        }
        out
    }
}

#[cfg(test)]
#[path = "table_entry_tests.rs"]
mod tests;
