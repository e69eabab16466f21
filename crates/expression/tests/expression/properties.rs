//! What holds of any text and any well-typed expression.

use crossfade_expression::{CellForm, Expression, Truth};
use crossfade_model::{Canonical, Cell, LogicalType, Row, canonical};
use proptest::prelude::*;

use crate::random::typed;
use crate::support::{columns, form, input, row};

/// Words and signs in any order are the texts that come nearest to being expressions.
fn pieces() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(
        &[
            "id",
            "total",
            "name",
            "born",
            "missing",
            "1",
            "0",
            "2.5",
            "1e9",
            "'a'",
            "''",
            "X'00'",
            "null",
            "true",
            "(",
            ")",
            ",",
            "+",
            "-",
            "*",
            "/",
            "%",
            "||",
            "=",
            "<",
            "<>",
            "::",
            "and",
            "or",
            "not",
            "is",
            "in",
            "like",
            "between",
            "case",
            "when",
            "then",
            "else",
            "end",
            "cast",
            "as",
            "int",
            "decimal(5,2)",
            "text",
            "date",
            "distinct",
            "from",
            "for",
            "lower(",
            "substring(",
            "round(",
            "trim(",
            "extract(",
            "year",
            "coalesce(",
            "fail(",
            "\"",
            "`",
            "é",
            "'",
            ".",
        ][..],
    );
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.join(" "))
}

fn class(logical: LogicalType) -> Canonical {
    match logical {
        LogicalType::Boolean => Canonical::Boolean,
        LogicalType::Integer { .. } => Canonical::Integer,
        LogicalType::Decimal => Canonical::Decimal,
        LogicalType::Bytes => Canonical::Bytes,
        LogicalType::Float { .. } => Canonical::Float64,
        _ => Canonical::Text,
    }
}

fn encoded(logical: LogicalType, cell: &Cell) -> Vec<u8> {
    let mut out = Vec::new();
    canonical::write_framed(class(logical), cell, &mut out).unwrap();
    out
}

/// Both forms of a result are one value, or one error; what lacks columns gives the same or says so.
fn check(text: &str) -> Result<(), TestCaseError> {
    let expression = match Expression::parse(text) {
        Ok(expression) => expression,
        Err(error) => {
            prop_assert!(text.get(error.span).is_some());
            return Ok(());
        }
    };
    let bound = match expression.bind(&columns()) {
        Ok(bound) => bound,
        Err(error) => {
            prop_assert!(text.get(error.span).is_some());
            return Ok(());
        }
    };
    bound.inverse("result");
    bound.comparisons();
    let whole = bound.evaluate(&row(), CellForm::Text);
    match (&whole, bound.evaluate(&row(), CellForm::Dynamic)) {
        (Ok(a), Ok(b)) => {
            let logical = bound.logical();
            prop_assert_eq!(encoded(logical, a), encoded(logical, &b));
            prop_assert!(bound.nullable() || *a != Cell::Null, "{} is NULL", text);
        }
        (Err(a), Err(b)) => prop_assert_eq!(a, &b),
        (a, b) => prop_assert!(false, "{}: {:?} {:?}", text, a, b),
    }
    for index in bound.reads() {
        let mut row = row();
        row.0[*index] = Cell::Unchanged;
        match bound.evaluate(&row, CellForm::Text) {
            Ok(Cell::Unchanged) => {}
            partly if whole.is_ok() => prop_assert_eq!(&partly, &whole),
            _ => {}
        }
    }
    if bound.logical() == LogicalType::Boolean
        && let Ok(cell) = &whole
    {
        let truth = bound.holds(&row()).unwrap();
        prop_assert_eq!(truth == Truth::Holds, *cell == form("t"));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_text_is_an_expression_or_an_error(text in "\\PC{0,40}") {
        check(&text)?;
    }

    #[test]
    fn any_order_of_words_is_an_expression_or_an_error(text in pieces()) {
        check(&text)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn typed_expressions_are_taken_and_their_forms_agree(
        texts in {
            let typed = typed(3);
            (typed.integer, typed.decimal, typed.text, typed.boolean)
        }
    ) {
        for text in [texts.0, texts.1, texts.2, texts.3] {
            check(&text)?;
        }
    }
}

/// Steps that are undone, from the inside outwards.
fn steps() -> impl Strategy<Value = String> {
    let step = proptest::sample::select(
        &[
            "({} + 7)",
            "({} - 2.5)",
            "(100 - {})",
            "(-{})",
            "({} * 3)",
            "({} * 0.25)",
            "({} / 8)",
            "cast({} as bigint)",
            "cast({} as decimal)",
            "cast({} as text)",
            "('p' || {})",
            "({} || '.s')",
            "cast({} as bytes)",
            "to_timestamp({})",
            "encode({}, 'hex')",
        ][..],
    );
    let start = proptest::sample::select(&["i", "d", "t"][..]);
    (start, proptest::collection::vec(step, 1..6)).prop_map(|(start, steps)| {
        let apply = |text: String, step: &&str| step.replace("{}", &text);
        steps.iter().fold(start.to_owned(), apply)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn undoing_gives_the_input_back(
        text in steps(),
        integer in any::<i64>(),
        small in -1_000_000_i64..1_000_000,
        scale in 0_usize..6,
        letters in "\\PC{0,8}",
    ) {
        let columns = [
            input("i", LogicalType::Integer { bits: 64 }, true),
            input("d", LogicalType::Decimal, true),
            input("t", LogicalType::Text, true),
        ];
        let Ok(bound) = Expression::parse(&text).unwrap().bind(&columns) else {
            return Ok(());
        };
        let index = bound.reads()[0];
        // a text's decimal has lost how it was spelled
        let Some(inverse) = bound.inverse("result") else {
            prop_assert!(text.contains("cast(") && text.contains("as decimal"), "{} is not undone", text);
            return Ok(());
        };
        let results = [input("result", bound.logical(), true)];
        let back = inverse.expression.bind(&results).unwrap();
        prop_assert_eq!(back.logical(), columns[index].logical);
        let decimal = format!("{}.{:0scale$}", small, 5);
        for (integer, decimal) in [(integer, decimal.as_str()), (small, "0.375"), (8, "-16")] {
            let row = Row(vec![form(&integer.to_string()), form(decimal), form(&letters)]);
            // what does not fit, or would have to be rounded, has no result to undo
            let Ok(result) = bound.evaluate(&row, CellForm::Text) else { continue };
            let given = back.evaluate(&Row(vec![result]), CellForm::Text);
            let logical = columns[index].logical;
            let Ok(cell) = given else {
                return Err(TestCaseError::fail(format!(
                    "{text} by {}: {given:?}",
                    inverse.expression.text()
                )));
            };
            prop_assert_eq!(
                encoded(logical, &cell),
                encoded(logical, &row.0[index]),
                "{} by {}",
                text,
                inverse.expression.text()
            );
        }
    }
}
