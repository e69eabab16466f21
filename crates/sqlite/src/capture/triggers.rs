//! The triggers that log keys.
//!
//! They run inside the application's own SQLite, which may be old: nothing but INSERT … SELECT, `IS NOT` and `coalesce`.
//!
//! `REPLACE` deletes the rows that are in its way without running delete triggers (unless `recursive_triggers` is on), so
//! BEFORE triggers log the keys of all rows that share a unique value, or an explicit rowid, with the row to come. They may
//! log more keys than are touched, never fewer: an image is read for every logged key.

use crossfade_model::TableId;

use crate::affinity::Affinity;
use crate::capture::names;
use crate::sql::names::{literal, quote, same_name};
use crate::sql::tokens::{Kind, tokens};
use crate::table_info::{ColumnInfo, IndexInfo, KeyInfo, TableInfo};

/// Why a table cannot be captured whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Uncapturable {
    /// A unique index on an expression.
    Expression(String),
    /// A unique index on a column whose NULL is replaced by a default that a trigger cannot repeat: index, column.
    Default(String, String),
}

/// Triggers of one table: name and statement.
pub(crate) fn triggers(
    migration: &str,
    id: TableId,
    table: &TableInfo,
    key: &KeyInfo,
) -> Result<Vec<(String, String)>, Uncapturable> {
    let writer = Writer {
        change: quote(&names::change_table(migration)),
        id,
        table,
        key,
    };
    let on = quote(&table.name);
    let mut out = Vec::new();
    let mut push = |suffix: &str, event: String, body: Vec<String>| {
        if !body.is_empty() {
            let name = names::trigger(migration, id.0, suffix);
            let sql = format!(
                "CREATE TRIGGER {} {event} ON {on} FOR EACH ROW BEGIN {} END",
                quote(&name),
                body.iter().map(|s| format!("{s};")).collect::<String>()
            );
            out.push((name, sql));
        }
    };
    push("ai", "AFTER INSERT".into(), vec![writer.log_values("NEW")]);
    push(
        "au",
        "AFTER UPDATE".into(),
        vec![writer.log_values("NEW"), writer.log_old_where_changed()],
    );
    push("ad", "AFTER DELETE".into(), vec![writer.log_values("OLD")]);
    push("bi", "BEFORE INSERT".into(), writer.log_conflicts(false)?);
    push("bu", "BEFORE UPDATE".into(), writer.log_conflicts(true)?);
    Ok(out)
}

struct Writer<'a> {
    change: String,
    id: TableId,
    table: &'a TableInfo,
    key: &'a KeyInfo,
}

impl Writer<'_> {
    fn target(&self) -> String {
        let columns: Vec<String> = (1..=self.key.columns.len())
            .map(|n| format!("k{n}"))
            .collect();
        format!("INSERT INTO {}(tbl, {})", self.change, columns.join(", "))
    }

    fn key_of(&self, row: &str) -> String {
        self.key
            .columns
            .iter()
            .map(|(name, _)| format!("{row}.{}", quote(name)))
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn log_values(&self, row: &str) -> String {
        format!(
            "{} VALUES ({}, {})",
            self.target(),
            self.id.0,
            self.key_of(row)
        )
    }

    /// The old key, where the update changed its bytes.
    fn log_old_where_changed(&self) -> String {
        let changed: Vec<String> = self
            .key
            .columns
            .iter()
            .map(|(name, _)| {
                let name = quote(name);
                format!("OLD.{name} COLLATE BINARY IS NOT NEW.{name}")
            })
            .collect();
        format!(
            "{} SELECT {}, {} WHERE {}",
            self.target(),
            self.id.0,
            self.key_of("OLD"),
            changed.join(" OR ")
        )
    }

    /// Statements that log the keys of rows which the new row would replace.
    fn log_conflicts(&self, update: bool) -> Result<Vec<String>, Uncapturable> {
        let mut out = Vec::new();
        for index in self.table.indexes.iter().filter(|i| i.unique) {
            if self.is_logged_anyway(index) {
                continue;
            }
            out.push(self.log_conflicts_on(index, update)?);
        }
        // an explicit rowid replaces the row that has it, whose key is another
        if self.table.rowid_alias().is_none()
            && let Some(rowid) = self.table.rowid_name()
        {
            let changed = if update {
                format!(" AND NEW.{rowid} IS NOT OLD.{rowid}")
            } else {
                String::new()
            };
            out.push(self.log_rows_where(&format!(
                "{}.{rowid} = NEW.{rowid}{changed}",
                quote(&self.table.name)
            )));
        }
        Ok(out)
    }

    /// The key's own index where equal means equal bytes: the new row has the replaced row's key, and is logged itself.
    fn is_logged_anyway(&self, index: &IndexInfo) -> bool {
        let exact = self.key.columns.iter().all(|(name, collation)| {
            same_name(collation, "BINARY")
                && self
                    .table
                    .column(name)
                    .is_some_and(|c| c.affinity != Affinity::Blob)
        });
        index.name == self.key.index && exact
    }

    fn log_conflicts_on(&self, index: &IndexInfo, update: bool) -> Result<String, Uncapturable> {
        let table = quote(&self.table.name);
        let mut equal = Vec::new();
        let mut changed = Vec::new();
        for part in &index.columns {
            let column = part
                .name
                .as_deref()
                .and_then(|name| self.table.column(name))
                .ok_or_else(|| Uncapturable::Expression(index.name.clone()))?;
            let name = quote(&column.name);
            equal.push(format!(
                "{table}.{name} COLLATE {} = {}",
                quote(&part.collation),
                new_value(column).ok_or_else(|| Uncapturable::Default(
                    index.name.clone(),
                    column.name.clone()
                ))?
            ));
            changed.push(format!("NEW.{name} COLLATE BINARY IS NOT OLD.{name}"));
        }
        let mut condition = equal.join(" AND ");
        if update {
            condition = format!("{condition} AND ({})", changed.join(" OR "));
        }
        Ok(self.log_rows_where(&condition))
    }

    fn log_rows_where(&self, condition: &str) -> String {
        let table = quote(&self.table.name);
        format!(
            "{} SELECT {}, {} FROM {table} WHERE {condition}",
            self.target(),
            self.id.0,
            self.key_of(&table),
        )
    }
}

/// The value that a column will have. `REPLACE` puts the default in place of NULL where NULL is not allowed, and it does so
/// only after BEFORE triggers ran.
fn new_value(column: &ColumnInfo) -> Option<String> {
    let value = format!("NEW.{}", quote(&column.name));
    match (&column.default, column.not_null) {
        (Some(default), true) => match constant(default)? {
            Some(constant) => Some(format!("coalesce({value}, {constant})")),
            None => Some(value),
        },
        _ => Some(value),
    }
}

/// A default as a constant for a trigger: `Some(None)` where it is NULL, `None` where it is not constant within a statement.
fn constant(default: &str) -> Option<Option<String>> {
    let mut rest = default.trim();
    while let Some(inner) = rest.strip_prefix('(').and_then(|r| r.strip_suffix(')')) {
        rest = inner.trim();
    }
    let all = tokens(rest);
    let (sign, value) = match all.as_slice() {
        [value] => ("", value),
        [sign, value] if sign.is_sign(rest, "-") || sign.is_sign(rest, "+") => {
            (sign.text(rest), value)
        }
        // a number with a point: 1.5, or a blob: x'00'
        [_, ..] if is_number(rest) || is_blob(rest) => return Some(Some(rest.to_owned())),
        _ => return None,
    };
    let text = value.text(rest);
    Some(match value.kind {
        Kind::Text => Some(text.to_owned()),
        // a name where a value must stand is a text
        Kind::Quoted => Some(literal(&value.name(rest))),
        Kind::Word => match text.to_ascii_uppercase().as_str() {
            "NULL" => None,
            "TRUE" => Some("1".to_owned()),
            "FALSE" => Some("0".to_owned()),
            "CURRENT_TIME" | "CURRENT_DATE" | "CURRENT_TIMESTAMP" => Some(text.to_owned()),
            _ if text.starts_with(|c: char| c.is_ascii_digit()) => Some(format!("{sign}{text}")),
            _ => Some(literal(text)),
        },
        Kind::Sign => return None,
    })
}

fn is_number(text: &str) -> bool {
    let digits = text.trim_start_matches(['-', '+', ' ']);
    digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && digits.parse::<f64>().is_ok()
}

fn is_blob(text: &str) -> bool {
    text.strip_prefix(['x', 'X'])
        .and_then(|r| r.strip_prefix('\'')?.strip_suffix('\''))
        .is_some_and(|digits| digits.bytes().all(|c| c.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_that_a_trigger_can_repeat() {
        for (default, expected) in [
            ("'x'", Some(Some("'x'"))),
            ("\"x\"", Some(Some("'x'"))),
            ("abc", Some(Some("'abc'"))),
            ("NULL", Some(None)),
            ("-5", Some(Some("-5"))),
            ("(-1.5)", Some(Some("-1.5"))),
            ("1e3", Some(Some("1e3"))),
            ("x'00ff'", Some(Some("x'00ff'"))),
            ("true", Some(Some("1"))),
            ("CURRENT_TIMESTAMP", Some(Some("CURRENT_TIMESTAMP"))),
            ("(random())", None),
            ("(lower(hex(randomblob(16))))", None),
            ("('a' || 'b')", None),
        ] {
            let expected = expected.map(|e| e.map(str::to_owned));
            assert_eq!(constant(default), expected, "{default}");
        }
    }
}
