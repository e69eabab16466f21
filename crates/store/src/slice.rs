//! The rows of a table that are one mapping's, as a condition in a store's SQL.
//!
//! Only comparisons of columns with literals are written, so that a store decides as the program does: numbers by value, texts by
//! their bytes, whatever the column's collation is.

use crossfade_expression::{Comparison, Comparisons, Expression, Input, Literal};
use crossfade_model::{Column, TableMapping};

use crate::{ErrorKind, Result, StoreError};

/// How a store writes the parts of a condition.
pub trait SliceDialect {
    /// A column, as it is compared with numbers and booleans.
    fn column(&self, column: &Column) -> String;

    /// A column by its text's bytes.
    fn text(&self, column: &Column) -> String;

    /// A text literal, comparable with [`SliceDialect::text`].
    fn text_literal(&self, text: &str) -> String;

    /// A boolean literal.
    fn boolean(&self, value: bool) -> &'static str;
}

/// The condition of a mapping's rows among those of the target's table; `None` where all are its own.
///
/// # Errors
/// A condition that is made of more than comparisons with literals: the plan refuses it.
pub fn condition(
    mapping: &TableMapping,
    label: &str,
    dialect: &dyn SliceDialect,
) -> Result<Option<String>> {
    let Some(text) = &mapping.slice else {
        return Ok(None);
    };
    let columns: Vec<&Column> = mapping.target.captured().collect();
    let inputs: Vec<Input> = columns.iter().map(|column| Input::from(*column)).collect();
    let bound = Expression::parse(text).and_then(|expression| expression.bind(&inputs));
    let comparisons = bound.ok().and_then(|bound| bound.comparisons());
    let comparisons = comparisons.filter(Comparisons::is_plain);
    let comparisons = comparisons.ok_or_else(|| {
        StoreError::new(
            ErrorKind::Unsupported,
            "mapping.slice",
            label,
            "which rows of the table are whose is told by more than comparisons of its columns with numbers, texts and booleans",
        )
        .table(&mapping.target.name)
        .fix("Write `where` and `target_where` with =, <, >, IN, IS NULL, AND, OR and NOT over columns and literals")
    })?;
    Ok(Some(written(&comparisons, &columns, dialect)))
}

fn written(comparisons: &Comparisons, columns: &[&Column], dialect: &dyn SliceDialect) -> String {
    let all = |parts: &[Comparisons], word: &str| {
        let parts: Vec<String> = parts.iter().map(|p| written(p, columns, dialect)).collect();
        format!("({})", parts.join(word))
    };
    match comparisons {
        Comparisons::And(parts) => all(parts, " AND "),
        Comparisons::Or(parts) => all(parts, " OR "),
        Comparisons::Not(inner) => format!("(NOT {})", written(inner, columns, dialect)),
        Comparisons::IsNull(at) => match columns.get(*at) {
            Some(column) => format!("({} IS NULL)", dialect.column(column)),
            None => "(1 = 0)".to_owned(),
        },
        Comparisons::Compare { column, op, value } => match columns.get(*column) {
            Some(column) => compared(column, *op, value, dialect),
            None => "(1 = 0)".to_owned(),
        },
    }
}

fn compared(
    column: &Column,
    how: Comparison,
    value: &Literal,
    dialect: &dyn SliceDialect,
) -> String {
    let (left, right) = match value {
        Literal::Integer(i) => (dialect.column(column), i.to_string()),
        Literal::Decimal(digits) => (dialect.column(column), digits.clone()),
        Literal::Boolean(b) => (dialect.column(column), dialect.boolean(*b).to_owned()),
        Literal::Text(text) => (dialect.text(column), dialect.text_literal(text)),
        // not plain: refused before
        _ => return "(1 = 0)".to_owned(),
    };
    let operator = match how {
        Comparison::Equal => "=",
        Comparison::NotEqual => "<>",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    };
    format!("({left} {operator} {right})")
}
