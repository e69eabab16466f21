//! What a statement in the log does to the mapped tables.
//!
//! The log holds definitions as text. It is not understood here beyond what must be: which mapped tables a statement that could move,
//! change or take away rows names, and whether it is one that only adds or takes an index, or empties a table. What is not known
//! to be harmless stops the stream where it names a mapped table, and counts as a stranger's on a target.

use crossfade_model::TableId;
use crossfade_mysql_binlog::Definition;

use crate::names::OWN_PREFIX;

use super::alter;
use super::image::{Mapped, Tables};
use super::tokens::{Token, readings};

/// What a statement means to one who follows rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    /// All rows of a table are gone.
    Truncates(TableId),
    /// The rows of some partitions are gone.
    TruncatesPartitions(TableId),
    /// A table is another than the planned one, or may be.
    Alters(Altered),
}

/// A table that is another than the planned one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Altered {
    pub table: TableId,
    /// What was done, in words.
    pub what: String,
    /// Tables whose rows may be others than the log says, whatever columns they have.
    pub moved: Vec<TableId>,
}

/// What a statement does to rows of a table without naming them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    /// All of them, or those of some partitions, are gone.
    Emptied,
    /// Others may have taken their place, or they may have other values.
    Exchanged,
}

/// Reads a statement's effect. One that can be read in several ways which differ may have done anything that one of them says.
pub(super) fn effect(definition: &Definition, tables: &Tables) -> Effect {
    let mut out: Option<Effect> = None;
    for tokens in readings(&definition.sql, definition.sql_mode) {
        let next = Statement::of(&tokens, definition, tables).effect();
        out = Some(match out {
            None => next,
            Some(before) if before == next => before,
            Some(before) => either(before, next),
        });
    }
    out.unwrap_or(Effect::Nothing)
}

fn either(one: Effect, other: Effect) -> Effect {
    let mut moved = Vec::new();
    for effect in [one, other] {
        match effect {
            Effect::Nothing => {}
            Effect::Truncates(table) | Effect::TruncatesPartitions(table) => moved.push(table),
            Effect::Alters(altered) => {
                moved.push(altered.table);
                moved.extend(altered.moved);
            }
        }
    }
    let what = "a statement that can be read in several ways names it".to_owned();
    altered(moved, what).map_or(Effect::Nothing, Effect::Alters)
}

/// Tables whose rows may be others; the first is the one that is told.
fn altered(mut moved: Vec<TableId>, what: String) -> Option<Altered> {
    let mut seen = Vec::new();
    moved.retain(|table| {
        let new = !seen.contains(table);
        seen.push(*table);
        new
    });
    let table = *moved.first()?;
    Some(Altered { table, what, moved })
}

/// The tables whose rows or values a statement may have changed.
pub(super) fn moves(definition: &Definition, tables: &Tables) -> Vec<(TableId, Moved)> {
    let mut out = Vec::new();
    for tokens in readings(&definition.sql, definition.sql_mode) {
        for found in Statement::of(&tokens, definition, tables).moves() {
            if !out.contains(&found) {
                out.push(found);
            }
        }
    }
    out
}

/// Whether a statement makes a trigger on a mapped table that is not crossfade's own: it fires for crossfade's rows, and may be gone again before
/// anybody looks for one.
pub(super) fn acts(definition: &Definition, tables: &Tables) -> bool {
    let readings = readings(&definition.sql, definition.sql_mode);
    let mut readings = readings.iter();
    readings.any(|tokens| Statement::of(tokens, definition, tables).acts())
}

/// Whether a statement that is not UTF-8 surely touches no mapped table. What stands before the first character that cannot be read is what it seems:
/// no character of a session's set ends in a sign that would end a comment. Behind it nothing is sure, not even where a text ends.
pub(super) fn is_elsewhere(definition: &Definition, tables: &Tables) -> bool {
    let readings = readings(&definition.sql, definition.sql_mode);
    readings
        .iter()
        .all(|tokens| Statement::of(tokens, definition, tables).is_elsewhere(&definition.sql))
}

struct Statement<'a> {
    tokens: &'a [Token],
    database: &'a str,
    tables: &'a Tables,
}

/// An `ALTER TABLE`.
struct Alter {
    /// The place of the name.
    at: usize,
    /// MariaDB's `IGNORE`: rows that do not fit go.
    ignores: bool,
}

impl Statement<'_> {
    fn of<'a>(
        tokens: &'a [Token],
        definition: &'a Definition,
        tables: &'a Tables,
    ) -> Statement<'a> {
        Statement {
            tokens,
            database: &definition.database,
            tables,
        }
    }

    fn word(&self, at: usize) -> &str {
        match self.tokens.get(at) {
            Some(Token::Word(upper, _)) => upper,
            _ => "",
        }
    }

    fn rest(&self, at: usize) -> &[Token] {
        self.tokens.get(at..).unwrap_or_default()
    }

    fn effect(&self) -> Effect {
        match self.word(0) {
            "TRUNCATE" => match self.table_at(self.truncated()) {
                Some((table, _)) => Effect::Truncates(table.id),
                None => Effect::Nothing,
            },
            "ALTER" => self.alter(),
            "DROP" => self.drop(),
            "CREATE" => self.create(),
            "RENAME" if self.word(1) == "USER" => Effect::Nothing,
            "RENAME" => self.named(2, "it was renamed"),
            // they read, rebuild as it is, or do not touch tables
            word if is_apart(word) => Effect::Nothing,
            _ => self.named(0, "a statement that is not known here names it"),
        }
    }

    /// The place of the name in a `TRUNCATE`. Of the words before names only reserved ones are passed: a table may be called by the others.
    fn truncated(&self) -> usize {
        if self.word(1) == "TABLE" { 2 } else { 1 }
    }

    /// The place behind `IF [NOT] EXISTS`, where that stands.
    fn behind_exists(&self, at: usize) -> usize {
        match (self.word(at), self.word(at + 1), self.word(at + 2)) {
            ("IF", "NOT", "EXISTS") => at + 3,
            ("IF", "EXISTS", _) => at + 2,
            _ => at,
        }
    }

    /// The mapped table whose name stands at a place, and the place behind.
    fn table_at(&self, at: usize) -> Option<(&Mapped, usize)> {
        let dot = |at: usize| self.tokens.get(at) == Some(&Token::Sign('.'));
        // `.t` is a table of the session's database
        let at = if dot(at) { at + 1 } else { at };
        let first = self.tokens.get(at)?.name()?;
        match self.tokens.get(at + 2).and_then(Token::name) {
            Some(second) if dot(at + 1) => Some((self.tables.find(first, second)?, at + 3)),
            _ => Some((self.tables.find(self.database, first)?, at + 1)),
        }
    }

    /// All mapped tables whose names stand anywhere from a place on.
    fn all(&self, from: usize) -> Vec<&Mapped> {
        let mut out: Vec<&Mapped> = Vec::new();
        let mut at = from;
        while at < self.tokens.len() {
            let (found, behind) = match self.table_at(at) {
                Some((table, behind)) => (Some(table), behind),
                // another database's table, by both of its names
                None if self.is_qualified(at) => (None, at + 3),
                None => (None, at + 1),
            };
            out.extend(found.filter(|found| !out.iter().any(|table| table.id == found.id)));
            at = behind;
        }
        out
    }

    /// Whether a name stands at a place, and another behind its dot.
    fn is_qualified(&self, at: usize) -> bool {
        let is_name = self.tokens.get(at).is_some_and(|t| t.name().is_some());
        is_name && self.tokens.get(at + 1) == Some(&Token::Sign('.'))
    }

    fn all_moved(&self, from: usize, moved: Moved) -> Vec<(TableId, Moved)> {
        let all = self.all(from).into_iter();
        all.map(|table| (table.id, moved)).collect()
    }

    /// The mapped table whose name stands at a place, if one does.
    fn one(&self, at: usize, moved: Moved) -> Vec<(TableId, Moved)> {
        let found = self.table_at(at).map(|(table, _)| (table.id, moved));
        found.into_iter().collect()
    }

    fn moves(&self) -> Vec<(TableId, Moved)> {
        match self.word(0) {
            "TRUNCATE" => self.one(self.truncated(), Moved::Emptied),
            "RENAME" if self.word(1) != "USER" => self.all_moved(2, Moved::Exchanged),
            "ALTER" => self.altered(),
            "DROP" => match self.word(1) {
                "TABLE" | "TABLES" => self.all_moved(self.behind_exists(2), Moved::Emptied),
                "DATABASE" | "SCHEMA" => {
                    let gone = self.dropped_database().iter();
                    gone.map(|table| (table.id, Moved::Emptied)).collect()
                }
                _ => Vec::new(),
            },
            "CREATE" => match self.created() {
                Some((at, true)) => self.one(at, Moved::Exchanged),
                _ => Vec::new(),
            },
            // MariaDB's `SET STATEMENT … FOR …`, whatever that is
            "SET" if self.word(1) == "STATEMENT" => self.all_moved(2, Moved::Exchanged),
            _ => Vec::new(),
        }
    }

    /// What an `ALTER TABLE` moves or may change: partitions, the whole table by another name, values of a column.
    fn altered(&self) -> Vec<(TableId, Moved)> {
        let Some(Alter { at, ignores }) = self.alter_table() else {
            return Vec::new();
        };
        let rest = self.rest(at);
        if alter::exchanges(rest) {
            return self.all_moved(at, Moved::Exchanged);
        }
        let Some((table, behind)) = self.table_at(at) else {
            return Vec::new();
        };
        if alter::empties(rest) {
            return vec![(table.id, Moved::Emptied)];
        }
        if !ignores && alter::keeps_rows(self.actions(behind)) {
            return Vec::new();
        }
        vec![(table.id, Moved::Exchanged)]
    }

    /// All tables that are named from a place on have other rows.
    fn named(&self, from: usize, what: &str) -> Effect {
        let moved = self.all(from).iter().map(|table| table.id).collect();
        altered(moved, what.to_owned()).map_or(Effect::Nothing, Effect::Alters)
    }

    /// Reads `ALTER [ONLINE] [IGNORE] TABLE [IF EXISTS]`; `None` for a view, a routine, a user, a database's defaults.
    fn alter_table(&self) -> Option<Alter> {
        let mut at = 1;
        let mut ignores = false;
        while matches!(self.word(at), "ONLINE" | "OFFLINE" | "IGNORE") {
            ignores |= self.word(at) == "IGNORE";
            at += 1;
        }
        (self.word(at) == "TABLE").then(|| Alter {
            at: self.behind_exists(at + 1),
            ignores,
        })
    }

    /// What stands behind the name in an `ALTER TABLE`, and behind MariaDB's `WAIT n` and `NOWAIT`.
    fn actions(&self, behind: usize) -> &[Token] {
        match self.word(behind) {
            "NOWAIT" => self.rest(behind + 1),
            "WAIT" => self.rest(behind + 2),
            _ => self.rest(behind),
        }
    }

    fn alter(&self) -> Effect {
        let Some(Alter { at, ignores }) = self.alter_table() else {
            return Effect::Nothing;
        };
        let rest = self.rest(at);
        let Some((table, behind)) = self.table_at(at) else {
            // another table may take a mapped one's name, or rows
            return if alter::exchanges(rest) {
                self.named(at, "another table took its name, or its rows")
            } else {
                Effect::Nothing
            };
        };
        if alter::exchanges(rest) {
            return self.named(at, "it was altered (ALTER TABLE)");
        }
        let actions = self.actions(behind);
        if actions.first().is_some_and(|token| token.is("TRUNCATE")) {
            return Effect::TruncatesPartitions(table.id);
        }
        let (what, moved) = if ignores {
            let what = "it was altered, and rows that did not fit may be gone (ALTER IGNORE TABLE)";
            (what, vec![table.id])
        } else if alter::empties(rest) {
            ("it was altered (ALTER TABLE)", vec![table.id])
        } else if alter::only_indexes(actions, &table.key) {
            return Effect::Nothing;
        } else {
            ("it was altered (ALTER TABLE)", Vec::new())
        };
        Effect::Alters(Altered {
            table: table.id,
            what: what.to_owned(),
            moved,
        })
    }

    fn is_elsewhere(&self, sql: &str) -> bool {
        let says = |word: &str| sql.to_uppercase().contains(word);
        let database = matches!(self.word(1), "DATABASE" | "SCHEMA");
        // nothing is named by two names
        let in_its_own = !self.is_ours(self.database) && !sql.contains('.') && !database;
        in_its_own
            || match self.word(0) {
                "TRUNCATE" => self.is_others(self.truncated()),
                "ALTER" => self.alter_table().is_none_or(|alter| {
                    self.is_others(alter.at)
                        && !["RENAME", "EXCHANGE", "CONVERT"].iter().any(|w| says(w))
                }),
                "DROP" if database => {
                    let name = self.tokens.get(self.behind_exists(2)).and_then(Token::name);
                    name.is_some_and(|name| is_sure(name) && !self.is_ours(name))
                }
                "DROP" => !matches!(self.word(1), "TABLE" | "TABLES" | "INDEX"),
                // a table can only be made where none is
                "CREATE" => match self.created() {
                    Some((at, true)) => self.is_others(at),
                    _ => true,
                },
                "RENAME" => self.word(1) == "USER",
                "SET" => self.word(1) != "STATEMENT",
                word => is_apart(word),
            }
    }

    fn is_ours(&self, database: &str) -> bool {
        !self.tables.of_database(database).is_empty()
    }

    /// Whether the name at a place is surely that of a table that is not mapped.
    fn is_others(&self, at: usize) -> bool {
        let name = |at: usize| self.tokens.get(at).and_then(Token::name);
        let (database, table) = match (name(at), self.tokens.get(at + 1), name(at + 2)) {
            (Some(first), Some(Token::Sign('.')), second) => (first, second),
            (first, ..) => (self.database, first),
        };
        let elsewhere = is_sure(database) && !self.is_ours(database);
        let other = |table: &str| is_sure(table) && self.tables.find(database, table).is_none();
        elsewhere || (is_sure(database) && table.is_some_and(other))
    }

    fn dropped_database(&self) -> &[Mapped] {
        let name = self.tokens.get(self.behind_exists(2)).and_then(Token::name);
        self.tables.of_database(name.unwrap_or_default())
    }

    fn drop(&self) -> Effect {
        match self.word(1) {
            "TABLE" | "TABLES" => self.named(self.behind_exists(2), "it was dropped"),
            "DATABASE" | "SCHEMA" => {
                let gone = self.dropped_database().iter().map(|table| table.id);
                let what = "its database was dropped".to_owned();
                altered(gone.collect(), what).map_or(Effect::Nothing, Effect::Alters)
            }
            "INDEX" => {
                let mut names = self.rest(2).iter().filter_map(Token::name);
                match self.all(2).first() {
                    Some(table) if names.any(|name| name.eq_ignore_ascii_case(&table.key)) => {
                        let what = "the index that identifies its rows was dropped";
                        Effect::Alters(Altered {
                            table: table.id,
                            what: what.to_owned(),
                            moved: Vec::new(),
                        })
                    }
                    _ => Effect::Nothing,
                }
            }
            _ => Effect::Nothing,
        }
    }

    /// The place of the name in what makes a table, and whether that takes the place of one that is there. `None` where one that is there stays,
    /// and for a temporary table, which is the session's own.
    fn created(&self) -> Option<(usize, bool)> {
        let replaces = self.word(1) == "OR" && self.word(2) == "REPLACE";
        let at = if replaces { 3 } else { 1 };
        let at = if self.word(at) == "EXTERNAL" {
            at + 1
        } else {
            at
        };
        // MariaDB keeps a sequence as a table
        let is_table = self.word(at) == "TABLE" || (replaces && self.word(at) == "SEQUENCE");
        let name = self.behind_exists(at + 1);
        (is_table && (replaces || name == at + 1)).then_some((name, replaces))
    }

    /// `CREATE [OR REPLACE] [DEFINER = …] TRIGGER [IF NOT EXISTS] name … ON table`: the word is reserved.
    fn acts(&self) -> bool {
        let trigger = self.tokens.iter().position(|token| token.is("TRIGGER"));
        let Some(trigger) = trigger.filter(|_| self.word(0) == "CREATE") else {
            return false;
        };
        let behind = self.tokens.iter().enumerate().skip(trigger);
        let on = behind.clone().find(|(_, token)| token.is("ON"));
        let Some((on, _)) = on else { return false };
        let mut names = behind
            .take(on.saturating_sub(trigger))
            .filter_map(|(_, t)| t.name());
        let is_own = names.any(|name| name.to_lowercase().starts_with(OWN_PREFIX));
        !is_own && self.table_at(on + 1).is_some()
    }

    fn create(&self) -> Effect {
        let found = self.created().and_then(|(at, _)| self.table_at(at));
        found.map_or(Effect::Nothing, |(table, _)| {
            Effect::Alters(Altered {
                table: table.id,
                what: "it was made anew".to_owned(),
                moved: vec![table.id],
            })
        })
    }
}

/// Whether all of a name could be read.
fn is_sure(name: &str) -> bool {
    !name.contains(char::REPLACEMENT_CHARACTER)
}

/// First words of statements that read, rebuild as it is, or do not touch tables.
fn is_apart(word: &str) -> bool {
    matches!(
        word,
        "ANALYZE"
            | "CHECK"
            | "CHECKSUM"
            | "FLUSH"
            | "GRANT"
            | "REVOKE"
            | "OPTIMIZE"
            | "INSTALL"
            | "UNINSTALL"
            | "KILL"
            | "LOCK"
            | "UNLOCK"
            | "PURGE"
            | "RESET"
    )
}

#[cfg(test)]
#[path = "statement_tests.rs"]
mod tests;
