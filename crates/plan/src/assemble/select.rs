//! Which tables are moved, and under which names.

use crossfade_model::{Finding, Schema, Severity, Table, TableName};

use super::Dialect;
use crate::file::{Listed, MigrationFile};
use crate::near::nearest;
use crate::table_entry::TableEntry;

/// A table that a file selects.
#[derive(Debug, Clone)]
pub struct Selected<'a> {
    /// The source's table.
    pub table: &'a Table,
    /// Its name on the target.
    pub target: TableName,
    /// What the file says of it; `None` where it lists no tables.
    pub entry: Option<&'a TableEntry>,
}

/// The tables that a file selects.
pub struct Selection<'a> {
    /// By the source's names.
    pub tables: Vec<Selected<'a>>,
    /// Names that select nothing, or too much.
    pub findings: Vec<Finding>,
}

/// Selects the tables of `source` that `file` names: all, or the listed ones; without the excluded ones.
pub fn select<'a>(
    file: &'a MigrationFile,
    source: &'a Schema,
    dialect: &dyn Dialect,
) -> Selection<'a> {
    let mut findings = Vec::new();
    let mut tables: Vec<Selected<'_>> = Vec::new();
    if file.tables.is_empty() {
        tables.extend(source.tables.iter().map(|table| Selected {
            table,
            target: dialect.default_name(&table.name),
            entry: None,
        }));
    }
    for entry in &file.tables {
        let Some(table) = find(source, &entry.from, &mut findings) else {
            continue;
        };
        let default = dialect.default_name(&table.name);
        let target = match &entry.to {
            None => default,
            Some(to) => target_name(to, &default, table, &mut findings),
        };
        // one table may be split into several
        let twice = tables
            .iter()
            .any(|s| s.table.name == table.name && s.target == target);
        if twice {
            findings.push(
                Finding::blocks(
                    "plan.table_twice",
                    "file",
                    format!("line {}: the table is listed twice", entry.from.line),
                )
                .table(table.name.to_string())
                .fix("remove one of the two, or split its rows or columns into several tables with `to`, `where` and `drop`"),
            );
            continue;
        }
        tables.push(Selected {
            table,
            target,
            entry: Some(entry),
        });
    }
    for pattern in &file.exclude {
        let before = tables.len();
        tables.retain(|s| !excluded(&pattern.text, &s.table.name));
        let known = source
            .tables
            .iter()
            .any(|t| excluded(&pattern.text, &t.name));
        if before == tables.len() && !known {
            let names: Vec<String> = source.tables.iter().map(|t| t.name.to_string()).collect();
            findings.push(
                Finding::new(
                    "plan.exclude_nothing",
                    Severity::Warning,
                    "file",
                    format!(
                        "line {}: `{}` excludes no table",
                        pattern.line, pattern.text
                    ),
                )
                .fix(meant(&pattern.text, &names)),
            );
        }
    }
    if tables.is_empty() && findings.iter().all(|f| f.severity != Severity::Blocks) {
        findings.push(
            Finding::blocks("plan.no_tables", "source", "there is no table to move")
                .fix("check the source's URL, the user's privileges on its schemas, and `exclude`"),
        );
    }
    tables.sort_by(|a, b| (&a.table.name, &a.target).cmp(&(&b.table.name, &b.target)));
    Selection { tables, findings }
}

fn meant(name: &str, names: &[String]) -> String {
    match nearest(name, names.iter().map(String::as_str)).as_slice() {
        [] => "`crossfade init` writes a file that lists the tables".to_owned(),
        near => format!("did you mean {}?", near.join(" or ")),
    }
}

fn find<'a>(source: &'a Schema, from: &Listed, findings: &mut Vec<Finding>) -> Option<&'a Table> {
    if let Some(table) = source
        .tables
        .iter()
        .find(|t| t.name.to_string() == from.text)
    {
        return Some(table);
    }
    let wanted = parse_name(&from.text);
    let candidates: Vec<&Table> = source
        .tables
        .iter()
        .filter(|t| match &wanted {
            Some(w) if w.schema.is_some() => t.name == *w,
            Some(w) => t.name.name == w.name,
            None => false,
        })
        .collect();
    let names: Vec<String> = source.tables.iter().map(|t| t.name.to_string()).collect();
    match candidates.as_slice() {
        [one] => return Some(one),
        [] => findings.push(
            Finding::blocks(
                "plan.no_such_table",
                "file",
                format!(
                    "line {}: the source has no table `{}`",
                    from.line, from.text
                ),
            )
            .fix(match inside_partition(source, wanted.as_ref()) {
                Some(root) => format!("it is a partition: list the partitioned table {root}"),
                None => meant(&from.text, &names),
            }),
        ),
        several => {
            let list: Vec<String> = several.iter().map(|t| t.name.to_string()).collect();
            findings.push(
                Finding::blocks(
                    "plan.ambiguous_table",
                    "file",
                    format!(
                        "line {}: `{}` may be {}",
                        from.line,
                        from.text,
                        list.join(" or ")
                    ),
                )
                .fix("write it with its schema"),
            );
        }
    }
    None
}

fn inside_partition<'a>(source: &'a Schema, wanted: Option<&TableName>) -> Option<&'a TableName> {
    let wanted = wanted?;
    let same = |name: &TableName| {
        name.name == wanted.name && (wanted.schema.is_none() || name.schema == wanted.schema)
    };
    source
        .tables
        .iter()
        .find(|t| t.partitions.iter().any(|p| same(&p.name)))
        .map(|t| &t.name)
}

fn target_name(
    to: &Listed,
    default: &TableName,
    table: &Table,
    findings: &mut Vec<Finding>,
) -> TableName {
    let Some(name) = parse_name(&to.text) else {
        findings.push(
            Finding::blocks(
                "plan.bad_name",
                "file",
                format!("line {}: `{}` is no table's name", to.line, to.text),
            )
            .table(table.name.to_string())
            .fix("write `table` or `schema.table`; put a name that holds a dot into double quotes"),
        );
        return default.clone();
    };
    match (&name.schema, &default.schema) {
        (Some(_), None) => {
            findings.push(
                Finding::blocks(
                    "plan.no_schemas",
                    "file",
                    format!(
                        "line {}: the target has no schemas, `{}` names one",
                        to.line, to.text
                    ),
                )
                .table(table.name.to_string())
                .fix(format!("write `to = \"{}\"`", name.name)),
            );
            name
        }
        (None, Some(schema)) => TableName {
            schema: Some(schema.clone()),
            name: name.name,
        },
        _ => name,
    }
}

/// `table`, `schema.table`, each part bare or in double quotes (`""` stands for one quote).
pub fn parse_name(text: &str) -> Option<TableName> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        let part = parts.last_mut()?;
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                part.push('"');
            }
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            '\0' => return None,
            _ => part.push(c),
        }
    }
    if quoted || parts.iter().any(String::is_empty) {
        return None;
    }
    let name = parts.pop()?;
    let schema = parts.pop();
    parts.is_empty().then_some(TableName { schema, name })
}

/// `*` stands for any characters. A pattern without a dot is matched with the bare name, too.
fn excluded(pattern: &str, name: &TableName) -> bool {
    matches(pattern, &name.to_string()) || (!pattern.contains('.') && matches(pattern, &name.name))
}

fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    let mut rest = rest;
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_split_at_dots_outside_quotes() {
        let name = |s: &str| parse_name(s).map(|n| (n.schema, n.name));
        assert_eq!(name("orders"), Some((None, "orders".into())));
        assert_eq!(name("a.b"), Some((Some("a".into()), "b".into())));
        assert_eq!(
            name("\"a.b\".\"c\"\"d\""),
            Some((Some("a.b".into()), "c\"d".into()))
        );
        for wrong in ["", ".", "a.", ".b", "a.b.c", "\"a", "a\0"] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c*", "abc", true),
            ("a*b*a", "aba", true),
            ("a*a", "a", false),
            ("abc", "abcd", false),
            ("*", "", true),
            ("", "", true),
            ("b*", "abc", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
