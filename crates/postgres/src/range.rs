//! Ranges of keys as SQL.

use crossfade_model::canonical::Canonical;
use crossfade_model::{Column, LogicalType, Table, TableMapping};
use crossfade_store::slice::SliceDialect;
use crossfade_store::{Bound, ChunkRange};

use crate::cell_text;
use crate::names::{quote_ident, quote_literal};

/// A key column as a predicate names it.
#[derive(Debug, Clone)]
pub struct KeyColumn {
    /// Quoted name, and the collation in which the program orders it.
    expression: String,
    /// The type of literals.
    declared: String,
    collate: &'static str,
    class: Canonical,
}

/// Text is an ordered key only where the source orders it by its bytes. The target's column may have another collation.
const BYTE_ORDER: &str = " COLLATE \"C\"";

/// A range that is no range of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the range is not one of keys")]
pub struct NotKeys;

/// The key columns of the source table, in key order.
#[must_use]
pub fn source_key(mapping: &TableMapping) -> Vec<KeyColumn> {
    let captured: Vec<&Column> = mapping.source.captured().collect();
    key(mapping, "", |at| captured.get(at).copied())
}

/// The columns of the target table that the source's key columns go to, in key order.
#[must_use]
pub fn target_key(mapping: &TableMapping) -> Vec<KeyColumn> {
    key(mapping, BYTE_ORDER, |at| {
        target_column(&mapping.target, &mapping.columns.get(at)?.target)
    })
}

/// The target's column of this name.
#[must_use]
pub fn target_column<'a>(target: &'a Table, name: &str) -> Option<&'a Column> {
    target.columns.iter().find(|c| c.name == name)
}

fn key<'a>(
    mapping: &TableMapping,
    text_collate: &'static str,
    column: impl Fn(usize) -> Option<&'a Column>,
) -> Vec<KeyColumn> {
    let places = mapping.source.key_places();
    places
        .iter()
        .filter_map(|&at| {
            let column = column(at)?;
            let collate = match column.logical {
                LogicalType::Text => text_collate,
                _ => "",
            };
            Some(KeyColumn {
                expression: format!("{}{collate}", quote_ident(&column.name)),
                declared: column.declared.clone(),
                collate,
                class: mapping.columns.get(at)?.canonical,
            })
        })
        .collect()
}

/// The range as a condition.
///
/// # Errors
/// [`NotKeys`] for parts, and for bounds that do not fit the key.
pub fn condition(key: &[KeyColumn], range: &ChunkRange) -> Result<String, NotKeys> {
    match range {
        ChunkRange::All => Ok("true".to_owned()),
        ChunkRange::Part(_) => Err(NotKeys),
        ChunkRange::Keys { low, high } => {
            let low = low.as_ref().map(|b| compare(key, ">=", b)).transpose()?;
            let high = high.as_ref().map(|b| compare(key, "<", b)).transpose()?;
            let both: Vec<String> = low.into_iter().chain(high).collect();
            Ok(if both.is_empty() {
                "true".to_owned()
            } else {
                both.join(" AND ")
            })
        }
    }
}

/// How conditions on rows are written here.
pub struct Words;

impl SliceDialect for Words {
    fn column(&self, column: &Column) -> String {
        quote_ident(&column.name)
    }

    fn text(&self, column: &Column) -> String {
        let name = quote_ident(&column.name);
        match column.declared.as_str() {
            kind if kind == "text" || kind.starts_with("character varying") => {
                format!("({name}::text COLLATE \"C\")")
            }
            // what the type's output gives, as the program sees it: a cast takes the blanks off `character(n)`. `concat` calls the
            // output of any type, and makes a text of NULL
            _ => format!("((CASE num_nulls({name}) WHEN 0 THEN concat({name}) END) COLLATE \"C\")"),
        }
    }

    fn text_literal(&self, text: &str) -> String {
        quote_literal(text)
    }

    fn boolean(&self, value: bool) -> &'static str {
        if value { "true" } else { "false" }
    }
}

fn compare(key: &[KeyColumn], operator: &str, bound: &Bound) -> Result<String, NotKeys> {
    if key.is_empty() || key.len() != bound.cells.len() {
        return Err(NotKeys);
    }
    let mut scratch = String::new();
    let mut literals = Vec::with_capacity(key.len());
    for (column, cell) in key.iter().zip(&bound.cells) {
        let text = cell_text::of(column.class, cell, &mut scratch)
            .ok()
            .flatten()
            .and_then(|text| std::str::from_utf8(text).ok())
            .ok_or(NotKeys)?;
        literals.push(format!(
            "{}::{}{}",
            quote_literal(text),
            column.declared,
            column.collate
        ));
    }
    let columns: Vec<&str> = key.iter().map(|c| c.expression.as_str()).collect();
    Ok(
        if let ([column], [literal]) = (&columns[..], &literals[..]) {
            format!("{column} {operator} {literal}")
        } else {
            format!(
                "({}) {operator} ({})",
                columns.join(", "),
                literals.join(", ")
            )
        },
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;
    use crossfade_model::{Cell, Key};

    fn column(name: &str, declared: &str, collate: &'static str) -> KeyColumn {
        KeyColumn {
            expression: format!("{}{collate}", quote_ident(name)),
            declared: declared.into(),
            collate,
            class: Canonical::Exact,
        }
    }

    fn bound(cells: &[&'static str]) -> Bound {
        Bound {
            key: Key(Bytes::new()),
            cells: cells
                .iter()
                .map(|c| Cell::TextForm(Bytes::from_static(c.as_bytes())))
                .collect(),
        }
    }

    #[test]
    fn bounds_are_quoted_literals_of_the_columns_type() {
        let key = [column("id", "bigint", "")];
        let range = ChunkRange::Keys {
            low: Some(bound(&["-5"])),
            high: Some(bound(&["7"])),
        };
        assert_eq!(
            condition(&key, &range).unwrap(),
            "\"id\" >= '-5'::bigint AND \"id\" < '7'::bigint"
        );
        let key = [column("a\"b", "text", BYTE_ORDER), column("n", "bytea", "")];
        let range = ChunkRange::Keys {
            low: None,
            high: Some(bound(&["it's", "\\x00"])),
        };
        assert_eq!(
            condition(&key, &range).unwrap(),
            "(\"a\"\"b\" COLLATE \"C\", \"n\") < ('it''s'::text COLLATE \"C\", E'\\\\x00'::bytea)"
        );
    }

    #[test]
    fn what_does_not_fit_the_key_is_refused() {
        let key = [column("id", "bigint", "")];
        for range in [
            ChunkRange::Part("x".into()),
            ChunkRange::Keys {
                low: Some(bound(&["1", "2"])),
                high: None,
            },
        ] {
            assert_eq!(condition(&key, &range), Err(NotKeys));
        }
        let open = ChunkRange::Keys {
            low: None,
            high: None,
        };
        assert_eq!(condition(&key, &open).unwrap(), "true");
    }
}
