//! What is undone, and what is not.

use crossfade_expression::{CellForm, Expression, Input};
use crossfade_model::{Cell, Row};

use crate::support::{columns, form, input, row};

/// The value of the only column that `text` reads, back from its result; and whether undoing is total.
fn undone(text: &str) -> Option<(Cell, Cell, bool)> {
    let bound = Expression::parse(text)
        .and_then(|expression| expression.bind(&columns()))
        .unwrap_or_else(|e| panic!("{text}: {e}"));
    let inverse = bound.inverse("the result")?;
    let results: [Input; 1] = [input("the result", bound.logical(), true)];
    let back = inverse
        .expression
        .bind(&results)
        .unwrap_or_else(|e| panic!("{text}: {}: {e}", inverse.expression.text()));
    let [index] = bound.reads() else {
        panic!("{text} reads several columns")
    };
    assert_eq!(back.logical(), columns()[*index].logical, "{text}");
    let result = bound.evaluate(&row(), CellForm::Text).unwrap();
    let given = back.evaluate(&Row(vec![result]), CellForm::Text);
    let given = given.unwrap_or_else(|e| panic!("{text}: {}: {e}", inverse.expression.text()));
    Some((given, row().0[*index].clone(), inverse.total))
}

#[test]
fn what_loses_nothing_is_undone() {
    for (text, total) in [
        ("id", true),
        ("total", true),
        ("mood", true),
        ("cast(total * 100 as bigint)", true),
        ("cast(shop_id as bigint)", false),
        ("cast(id as int)", true),
        ("id + 5", false),
        ("total + 5", true),
        ("5 - total", true),
        ("-total", true),
        ("-id", false),
        ("total * 3", false),
        ("total * 2.5", true),
        ("id * 3", false),
        ("total / 8", true),
        ("(total - 1) * 100 + 7", true),
        ("cast(id as decimal(20,0))", false),
        ("cast(id as text)", false),
        ("cast(digits as int)", true),
        ("cast(uid as text)", false),
        ("cast(uid as bytes)", false),
        ("cast(active as int)", false),
        ("cast(code as varchar(7))", true),
        ("cast(code as bytes)", false),
        ("not active", true),
        ("'shop/' || code", false),
        ("code || '.' || 1", false),
        ("'a' || shop_id || 'b'", false),
        ("strip_prefix(code, 'SKU-')", true),
        (
            "case active when true then 'Y' when false then 'N' end",
            false,
        ),
        ("case when active then 'Y' else 'N' end", false),
        (
            "case code when 'SKU-007' then 1 when 'b' then 2 else fail('unknown') end",
            false,
        ),
        (
            "case shop_id when 5 then true when 6 then false else fail('unknown') end",
            true,
        ),
        ("born + 30", false),
        ("born - DATE '2000-01-01'", false),
        ("cast(made as timestamptz)", true),
        ("cast(seen as text)", false),
        ("to_timestamp(id)", false),
        ("to_timestamp(total)", true),
        ("encode(raw, 'hex')", false),
        (
            "case maybe when true then 'Y' when false then 'N' end",
            false,
        ),
    ] {
        let (given, original, said) = undone(text).unwrap_or_else(|| panic!("{text}: none"));
        assert_eq!(said, total, "{text}");
        // an instant comes back as the same one, written in UTC
        let same = match text.contains("seen") {
            true => given == form("2024-02-29 12:30:05.25+00"),
            false => given == original,
        };
        assert!(same, "{text}: {given:?} for {original:?}");
    }
}

#[test]
fn what_loses_something_is_not_undone() {
    for text in [
        "lower(code)",
        "id % 5",
        "id * 0",
        "id + shop_id",
        "abs(small)",
        "round(total)",
        "cast(total as decimal(10,1))",
        "cast(made as date)",
        "cast(born as timestamp)",
        "cast(ratio as double) + 1",
        "id = 42",
        "coalesce(missing, 1)",
        "missing is null",
        "trim(code)",
        "code || code",
        "code || null",
        "case id when 42 then 1 end",
        "case id when 42 then 1 when 43 then 1 else fail('x') end",
        "case when maybe then 1 else 0 end",
        "case maybe when true then 1 else 0 end",
        "id - id",
        "5",
        "5 / total",
        "cast(cast(total as text) as bigint) + id",
        "cast(code as json)",
        "cast(name as double)",
    ] {
        let bound = Expression::parse(text)
            .and_then(|expression| expression.bind(&columns()))
            .unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(bound.inverse("result"), None, "{text}");
    }
}

#[test]
fn a_fraction_in_a_wider_column_does_not_become_an_integer() {
    for text in ["id + 5", "-id", "cast(shop_id as bigint)"] {
        let bound = Expression::parse(text).unwrap().bind(&columns()).unwrap();
        let wide = input("r", crossfade_model::LogicalType::Decimal, true);
        let back = bound
            .inverse("r")
            .unwrap()
            .expression
            .bind(&[wide])
            .unwrap();
        let given = |result: &str| back.evaluate(&Row(vec![form(result)]), CellForm::Text);
        assert_eq!(given("37.5").unwrap_err().kind(), "not_exact", "{text}");
        assert!(given("37").is_ok(), "{text}");
    }
}

#[test]
fn a_result_that_no_input_gives_is_an_error() {
    for (text, result, kind) in [
        ("cast(shop_id as bigint)", "3000000000", "overflow"),
        ("id * 100", "150", "not_exact"),
        ("total * 3", "1", "not_exact"),
        ("'shop/' || code", "stop/1", "argument"),
        ("'a' || shop_id", "a007", "not_of_type"),
        ("cast(uid as text)", "nobody", "not_of_type"),
        ("cast(active as int)", "2", "not_of_type"),
        ("case when active then 'Y' else 'N' end", "X", "refused"),
        ("id + 5", "-9223372036854775808", "overflow"),
    ] {
        let bound = Expression::parse(text).unwrap().bind(&columns()).unwrap();
        let inverse = bound.inverse("r").unwrap();
        assert!(!inverse.total, "{text}");
        let back = inverse
            .expression
            .bind(&[input("r", bound.logical(), true)])
            .unwrap();
        let error = back
            .evaluate(&Row(vec![form(result)]), CellForm::Text)
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{text}: {}", inverse.expression.text());
        let null = back.evaluate(&Row(vec![Cell::Null]), CellForm::Text);
        assert_eq!(null, Ok(Cell::Null), "{text}");
    }
}
