//! `[[projection]]`: a query on each side that must give the same rows.

use std::collections::HashSet;

use crate::file::{Entry, Listed, Reader, with_article};

/// A query on each side that must give the same rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection {
    /// Its name.
    pub name: Listed,
    /// The query on the source, in its dialect.
    pub source: Listed,
    /// The query on the target.
    pub target: Listed,
    /// Columns of both results that name a row.
    pub key: Vec<String>,
}

impl Reader<'_> {
    pub(crate) fn projections(&mut self, value: Option<Entry<'_, '_>>) -> Vec<Projection> {
        let Some(value) = value else {
            return Vec::new();
        };
        let Some(list) = value.get_ref().as_array() else {
            self.problem_with_fix(
                value.span(),
                "projections are a list",
                "write `[[projection]]`, with two brackets, before each projection".to_owned(),
            );
            return Vec::new();
        };
        let mut names = HashSet::new();
        let mut out = Vec::new();
        for item in list {
            let Some((projection, place)) = self.projection(item) else {
                continue;
            };
            if names.insert(projection.name.text.clone()) {
                out.push(projection);
            } else {
                self.problem_with_fix(
                    place,
                    "another projection has this name",
                    "give each projection a name of its own: reports name them by it".to_owned(),
                );
            }
        }
        out
    }

    fn projection(&mut self, value: Entry<'_, '_>) -> Option<(Projection, std::ops::Range<usize>)> {
        const PLACE: &str = "[[projection]]";
        let table = self.table_of(value, PLACE)?;
        self.known_keys(PLACE, table, &["name", "source", "target", "key"]);
        let span = value.span();
        let named = self.required(span.clone(), table, "name", PLACE);
        let name = named.and_then(|name| self.listed(name, "`name`"));
        let source = self.required(span.clone(), table, "source", PLACE);
        let source = source.and_then(|query| self.query(query, "`source`"));
        let target = self.required(span.clone(), table, "target", PLACE);
        let target = target.and_then(|query| self.query(query, "`target`"));
        let key = match table.get("key") {
            Some(key) => self.key(key),
            None => {
                self.problem_with_fix(
                    span,
                    format!("{PLACE} has no `key`"),
                    "add `key = [\"…\"]`: the columns that name a row".to_owned(),
                );
                None
            }
        };
        let projection = Projection {
            name: name?,
            source: source?,
            target: target?,
            key: key?,
        };
        Some((projection, named?.span()))
    }

    pub(crate) fn query(&mut self, value: Entry<'_, '_>, place: &str) -> Option<Listed> {
        let mut query = self.listed(value, place)?;
        let text = query
            .text
            .trim()
            .trim_end_matches(';')
            .trim_end()
            .to_owned();
        let word: String = without_comments(&text)
            .chars()
            .take_while(char::is_ascii_alphabetic)
            .collect();
        if !["select", "with", "values"].contains(&word.to_ascii_lowercase().as_str()) {
            self.problem_with_fix(
                value.span(),
                format!("{place} is not a query"),
                "write one SELECT, WITH or VALUES statement".to_owned(),
            );
            return None;
        }
        query.text = text;
        Some(query)
    }

    fn key(&mut self, value: Entry<'_, '_>) -> Option<Vec<String>> {
        let example = "write `key = [\"id\"]`: the columns that name a row".to_owned();
        let Some(list) = value.get_ref().as_array() else {
            let found = with_article(value.get_ref().type_str());
            let what = format!("`key` is to be a list of strings, this is {found}");
            self.problem_with_fix(value.span(), what, example);
            return None;
        };
        if list.is_empty() {
            self.problem_with_fix(value.span(), "`key` names no column", example);
            return None;
        }
        let mut out = Vec::new();
        for item in list {
            let column = self.listed(item, "an entry of `key`")?.text;
            if out.contains(&column) {
                self.problem(item.span(), "`key` names this column twice");
                return None;
            }
            out.push(column);
        }
        Some(out)
    }
}

/// The text from its first word on.
fn without_comments(text: &str) -> &str {
    let mut rest = text.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
    loop {
        let after = if let Some(comment) = rest.strip_prefix("--") {
            comment.split_once('\n').map_or("", |(_, after)| after)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").map_or("", |(_, after)| after)
        } else {
            return rest;
        };
        rest = after.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
    }
}

#[cfg(test)]
#[path = "projection_tests.rs"]
mod tests;
