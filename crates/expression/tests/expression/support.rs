//! A table with a column of every type, and a row of it.

use crossfade_expression::{CellForm, EvaluationError, Expression, Input};
use crossfade_model::{Cell, LogicalType, Row};

/// Name, type and text of each column.
const COLUMNS: [(&str, LogicalType, &str); 20] = [
    ("id", LogicalType::Integer { bits: 64 }, "42"),
    ("small", LogicalType::Integer { bits: 16 }, "-7"),
    ("shop_id", LogicalType::Integer { bits: 32 }, "5"),
    ("total", LogicalType::Decimal, "19.99"),
    ("rate", LogicalType::Decimal, "-0.125"),
    ("odd", LogicalType::Decimal, "NaN"),
    ("ratio", LogicalType::Float { bits: 64 }, "0.1"),
    ("single", LogicalType::Float { bits: 32 }, "0.1"),
    ("name", LogicalType::Text, "Ärger im Café"),
    ("code", LogicalType::Text, "SKU-007"),
    ("active", LogicalType::Boolean, "t"),
    ("raw", LogicalType::Bytes, "\\x00ff10"),
    ("born", LogicalType::Date, "2024-02-29"),
    ("clock", LogicalType::Time, "14:30:05.25"),
    ("made", LogicalType::Timestamp, "2024-02-29 14:30:05.25"),
    (
        "seen",
        LogicalType::TimestampWithZone,
        "2024-02-29 14:30:05.25+02",
    ),
    (
        "uid",
        LogicalType::Uuid,
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ),
    ("doc", LogicalType::Json, "{\"a\": 1}"),
    ("mood", LogicalType::Other, "happy"),
    ("Mixed Case", LogicalType::Text, "mixed"),
];

/// The columns, those that are NULL last but one.
pub fn columns() -> Vec<Input> {
    let mut columns: Vec<_> = COLUMNS
        .iter()
        .map(|(name, logical, _)| input(name, *logical, false))
        .collect();
    columns.push(input("missing", LogicalType::Integer { bits: 64 }, true));
    columns.push(input("nothing", LogicalType::Text, true));
    columns.push(input("maybe", LogicalType::Boolean, true));
    columns.push(input("digits", LogicalType::Text, false));
    columns
}

pub fn input(name: &str, logical: LogicalType, nullable: bool) -> Input {
    Input {
        name: name.to_owned(),
        logical,
        nullable,
    }
}

pub fn row() -> Row {
    let mut cells: Vec<_> = COLUMNS.iter().map(|(_, _, text)| form(text)).collect();
    cells.extend([Cell::Null, Cell::Null, Cell::Null, form("-70")]);
    Row(cells)
}

/// A typed value's text.
pub fn form(text: &str) -> Cell {
    Cell::TextForm(text.as_bytes().to_vec().into())
}

/// What an expression gives for the row.
pub fn evaluate(text: &str, form: CellForm) -> Result<Cell, EvaluationError> {
    let expression = Expression::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let bound = expression
        .bind(&columns())
        .unwrap_or_else(|e| panic!("{text}: {e}"));
    bound.evaluate(&row(), form)
}

/// The result as a text: `NULL`, or `error: …` with its kind.
pub fn shown(text: &str) -> String {
    match evaluate(text, CellForm::Text) {
        Ok(Cell::Null) => "NULL".to_owned(),
        Ok(Cell::TextForm(bytes)) => String::from_utf8(bytes.to_vec()).unwrap(),
        Ok(other) => panic!("{text}: {other:?}"),
        Err(error) => format!("error: {}", error.kind()),
    }
}
