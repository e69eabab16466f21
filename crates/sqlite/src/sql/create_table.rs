//! What a CREATE TABLE statement says beyond the pragmas, and the same statement under other names (SQLite documentation,
//! "CREATE TABLE").
//!
//! Reserved words (UNIQUE, CHECK, REFERENCES, CONSTRAINT …) cannot be bare names, so outside of inner parentheses a bare
//! reserved word is always the clause.

use std::ops::Range;

use crate::sql::names::quote;
use crate::sql::tokens::{Kind, Token, tokens};

/// A parsed statement.
pub(crate) struct CreateTable<'a> {
    sql: &'a str,
    tokens: Vec<Token>,
    name: usize,
    /// Column definitions and table constraints, as ranges of tokens.
    items: Vec<Range<usize>>,
}

/// A REFERENCES clause, with what the pragma does not tell.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// The child's columns.
    pub columns: Vec<String>,
    /// `DEFERRABLE …` or empty.
    pub deferrable: String,
}

/// A CHECK constraint.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CheckClause {
    /// Its name, where it has one.
    pub name: Option<String>,
    /// `CHECK (…)`.
    pub definition: String,
}

/// Reads a statement; `None` where it is not a CREATE TABLE with a column list.
pub(crate) fn parse(sql: &str) -> Option<CreateTable<'_>> {
    let tokens = tokens(sql);
    let table = tokens
        .iter()
        .take(3)
        .position(|t| t.is_word(sql, "TABLE"))?;
    let open = tokens
        .iter()
        .position(|t| t.is_sign(sql, "(") && t.depth == 0)?;
    if !tokens.first()?.is_word(sql, "CREATE") || open <= table + 1 {
        return None;
    }
    let close =
        (open + 1..tokens.len()).find(|&i| tokens[i].is_sign(sql, ")") && tokens[i].depth == 0)?;
    let mut items = Vec::new();
    let mut start = open + 1;
    for (at, token) in tokens.iter().enumerate().take(close + 1).skip(open + 1) {
        let ends = at == close || (token.is_sign(sql, ",") && token.depth == 1);
        if ends {
            items.push(start..at);
            start = at + 1;
        }
    }
    Some(CreateTable {
        sql,
        name: open - 1,
        items,
        tokens,
    })
}

impl CreateTable<'_> {
    fn word(&self, at: usize, word: &str) -> bool {
        self.tokens
            .get(at)
            .is_some_and(|t| t.is_word(self.sql, word))
    }

    fn opens(&self, at: usize) -> bool {
        self.tokens
            .get(at)
            .is_some_and(|t| t.is_sign(self.sql, "("))
    }

    fn name_at(&self, at: usize) -> String {
        self.tokens
            .get(at)
            .map(|t| t.name(self.sql))
            .unwrap_or_default()
    }

    fn slice(&self, tokens: Range<usize>) -> &str {
        match (self.tokens.get(tokens.start), tokens.end.checked_sub(1)) {
            (Some(first), Some(last)) => self
                .tokens
                .get(last)
                .and_then(|last| self.sql.get(first.start..last.end))
                .unwrap_or_default(),
            _ => "",
        }
    }

    /// One past the closing parenthesis of the group that opens at `open`.
    fn after_group(&self, open: usize) -> usize {
        let depth = self.tokens[open].depth;
        (open + 1..self.tokens.len())
            .find(|&i| self.tokens[i].depth == depth && self.tokens[i].is_sign(self.sql, ")"))
            .map_or(self.tokens.len(), |i| i + 1)
    }

    /// Tokens of an item that are outside of inner parentheses and spell this word.
    fn clauses<'b>(
        &'b self,
        item: &Range<usize>,
        word: &'b str,
    ) -> impl Iterator<Item = usize> + 'b {
        item.clone()
            .filter(move |&i| self.tokens[i].depth == 1 && self.word(i, word))
    }

    fn is_constraint(&self, item: &Range<usize>) -> bool {
        ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"]
            .iter()
            .any(|w| self.word(item.start, w))
    }

    /// The column that an item defines.
    fn column(&self, item: &Range<usize>) -> Option<String> {
        (!item.is_empty() && !self.is_constraint(item)).then(|| self.name_at(item.start))
    }

    /// The place of `CONSTRAINT name` before a clause, and the name.
    fn constraint_name(&self, clause: usize) -> Option<(usize, String)> {
        let at = clause.checked_sub(2)?;
        self.word(at, "CONSTRAINT")
            .then(|| (at, self.name_at(at + 1)))
    }

    /// The CHECK constraints, in order.
    pub fn checks(&self) -> Vec<CheckClause> {
        let mut out = Vec::new();
        for item in &self.items {
            for at in self.clauses(item, "CHECK") {
                if self.opens(at + 1) {
                    out.push(CheckClause {
                        name: self.constraint_name(at).map(|(_, name)| name),
                        definition: self.slice(at..self.after_group(at + 1)).to_owned(),
                    });
                }
            }
        }
        out
    }

    /// The expression of a generated column.
    pub fn generated(&self, column: &str) -> Option<String> {
        let item = self.items.iter().find(|item| {
            self.column(item)
                .is_some_and(|c| c.eq_ignore_ascii_case(column))
        })?;
        let at = self.clauses(item, "AS").find(|&at| self.opens(at + 1))?;
        let end = self.after_group(at + 1);
        Some(self.slice(at + 2..end - 1).to_owned())
    }

    /// The foreign keys, in order.
    pub fn references(&self) -> Vec<Reference> {
        let mut out = Vec::new();
        for item in &self.items {
            let ats: Vec<usize> = self.clauses(item, "REFERENCES").collect();
            for (n, &at) in ats.iter().enumerate() {
                let end = ats.get(n + 1).copied().unwrap_or(item.end);
                let columns = match self.column(item) {
                    Some(column) => vec![column],
                    None => self.group_before(at),
                };
                out.push(Reference {
                    columns,
                    deferrable: self.deferrable(at..end),
                });
            }
        }
        out
    }

    /// Names in the parentheses that close just before `at`.
    fn group_before(&self, at: usize) -> Vec<String> {
        let open = (0..at).rev().find(|&i| self.opens(i)).unwrap_or(at);
        (open + 1..at)
            .filter(|&i| self.tokens[i].kind != Kind::Sign)
            .map(|i| self.name_at(i))
            .collect()
    }

    fn deferrable(&self, range: Range<usize>) -> String {
        let Some(at) = range.clone().find(|&i| self.word(i, "DEFERRABLE")) else {
            return String::new();
        };
        if self.word(at - 1, "NOT") {
            return String::new();
        }
        if self.word(at + 1, "INITIALLY") && self.word(at + 2, "DEFERRED") {
            return "DEFERRABLE INITIALLY DEFERRED".to_owned();
        }
        "DEFERRABLE".to_owned()
    }

    /// A UNIQUE constraint has a conflict clause of its own.
    pub fn unique_with_conflict_clause(&self) -> bool {
        self.items.iter().any(|item| {
            self.clauses(item, "UNIQUE").any(|at| {
                let end = self.unique_end(at);
                self.word(end - 2, "CONFLICT")
            })
        })
    }

    fn unique_end(&self, at: usize) -> usize {
        let mut end = at + 1;
        if self.opens(end) {
            end = self.after_group(end);
        }
        if self.word(end, "ON") && self.word(end + 1, "CONFLICT") {
            end += 3;
        }
        end
    }

    /// One past a REFERENCES clause that begins at `at`.
    fn reference_end(&self, at: usize) -> usize {
        let mut end = at + 2;
        if self.opens(end) {
            end = self.after_group(end);
        }
        loop {
            end += match () {
                // ON DELETE SET NULL, ON UPDATE NO ACTION
                () if self.word(end, "ON")
                    && (self.word(end + 2, "SET") || self.word(end + 2, "NO")) =>
                {
                    4
                }
                () if self.word(end, "ON") && !self.word(end + 1, "CONFLICT") => 3,
                () if self.word(end, "MATCH") || self.word(end, "INITIALLY") => 2,
                () if self.word(end, "NOT") && self.word(end + 1, "DEFERRABLE") => 2,
                () if self.word(end, "DEFERRABLE") => 1,
                () => return end,
            };
        }
    }

    /// The statement for a table `name` without UNIQUE constraints; its foreign keys point to `rename`'s names, and those
    /// whose parent has none are left out.
    pub fn rewritten(&self, name: &str, rename: &dyn Fn(&str) -> Option<String>) -> String {
        let mut edits: Vec<(Range<usize>, String)> = Vec::new();
        let target = &self.tokens[self.name];
        edits.push((target.start..target.end, quote(name)));
        for (n, item) in self.items.iter().enumerate() {
            let mut removed: Vec<Range<usize>> = self
                .clauses(item, "UNIQUE")
                .map(|at| self.with_name(at)..self.unique_end(at).min(item.end))
                .collect();
            for at in self.clauses(item, "REFERENCES") {
                let parent = self.name_at(at + 1);
                match (rename(&parent), self.tokens.get(at + 1)) {
                    (Some(new), Some(token)) => {
                        edits.push((token.start..token.end, quote(&new)));
                    }
                    _ => {
                        let end = self.reference_end(at).min(item.end);
                        removed.push(self.reference_start(item, at)..end);
                    }
                }
            }
            let removed = self.removed_bytes(n, item, &removed);
            edits.extend(removed.into_iter().map(|range| (range, String::new())));
        }
        self.edited(edits)
    }

    /// Where a constraint begins: at its name, if it has one.
    fn with_name(&self, clause: usize) -> usize {
        self.constraint_name(clause)
            .map_or(clause, |(start, _)| start)
    }

    /// Where the foreign key begins whose REFERENCES stands at `at`.
    fn reference_start(&self, item: &Range<usize>, at: usize) -> usize {
        let foreign = self
            .clauses(item, "FOREIGN")
            .filter(|foreign| *foreign < at)
            .last();
        self.with_name(foreign.unwrap_or(at))
    }

    /// Bytes of the removed tokens of item `n`; with the comma before it, where nothing of it is left.
    fn removed_bytes(
        &self,
        n: usize,
        item: &Range<usize>,
        removed: &[Range<usize>],
    ) -> Vec<Range<usize>> {
        let whole = n > 0
            && !removed.is_empty()
            && item.clone().all(|i| removed.iter().any(|s| s.contains(&i)));
        let bytes = |tokens: Range<usize>| {
            let start = self.tokens[tokens.start].start;
            start..self.tokens[tokens.end - 1].end
        };
        if whole {
            return vec![bytes(item.start - 1..item.end)];
        }
        removed.iter().cloned().map(bytes).collect()
    }

    fn edited(&self, mut edits: Vec<(Range<usize>, String)>) -> String {
        edits.sort_by_key(|(range, _)| range.start);
        let mut out = String::with_capacity(self.sql.len() + 16);
        let mut from = 0;
        for (range, text) in edits {
            // within something that is removed
            if range.start < from {
                continue;
            }
            out.push_str(self.sql.get(from..range.start).unwrap_or_default());
            out.push_str(&text);
            from = range.end;
        }
        out.push_str(self.sql.get(from..).unwrap_or_default());
        out
    }
}

/// A CREATE INDEX statement on another table.
pub(crate) fn index_on(sql: &str, table: &str) -> String {
    let all = tokens(sql);
    let on = all
        .iter()
        .position(|t| t.depth == 0 && t.is_word(sql, "ON"));
    match on.and_then(|at| all.get(at + 1)) {
        Some(token) => format!(
            "{}{}{}",
            &sql[..token.start],
            quote(table),
            &sql[token.end..]
        ),
        None => sql.to_owned(),
    }
}

#[cfg(test)]
#[path = "create_table_tests.rs"]
mod tests;
