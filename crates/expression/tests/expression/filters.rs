//! Filters: rows that lack columns, and filters as comparisons.

use crossfade_expression::{Bound, CellForm, Comparison, Comparisons, Expression, Literal, Truth};
use crossfade_model::{Cell, Row};

use crate::support::{columns, row};

fn bound(text: &str) -> Bound {
    Expression::parse(text)
        .and_then(|expression| expression.bind(&columns()))
        .unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// The row without the text column `name`.
fn lacking() -> Row {
    let mut row = row();
    let index = columns().iter().position(|column| column.name == "name");
    row.0[index.unwrap()] = Cell::Unchanged;
    row
}

#[test]
fn null_is_no_yes() {
    for (text, truth) in [
        ("id = 42", Truth::Holds),
        ("id = 41", Truth::Fails),
        ("missing = 42", Truth::Fails),
        ("not missing = 42", Truth::Fails),
        ("null", Truth::Fails),
        ("maybe", Truth::Fails),
        ("active", Truth::Holds),
    ] {
        assert_eq!(bound(text).holds(&row()).unwrap(), truth, "{text}");
    }
    assert!(bound("id").holds(&row()).is_err());
}

#[test]
fn what_the_image_lacks_matters_only_where_it_decides() {
    for (text, truth) in [
        ("name = 'x'", Truth::Unknown),
        ("name is null", Truth::Unknown),
        ("name = null", Truth::Fails),
        ("nothing = name", Truth::Fails),
        ("id = 1 and name = 'x'", Truth::Fails),
        ("name = 'x' and id = 1", Truth::Fails),
        ("id = 42 or name = 'x'", Truth::Holds),
        ("name = 'x' or id = 42", Truth::Holds),
        ("id = 42 and name = 'x'", Truth::Unknown),
        ("id = 1 or name = 'x'", Truth::Unknown),
        ("not (name = 'x' and id = 1)", Truth::Holds),
        ("name = 'x' and id / 0.0 = 1", Truth::Unknown),
        // no error where the name is NULL
        ("length(name) = id / 0.0", Truth::Unknown),
        ("id = 1 and (name = 'x' or id = 2)", Truth::Fails),
        (
            "case when id = 42 then true else name = 'x' end",
            Truth::Holds,
        ),
    ] {
        assert_eq!(bound(text).holds(&lacking()).unwrap(), truth, "{text}");
    }
    let evaluated = |text: &str| bound(text).evaluate(&lacking(), CellForm::Text).unwrap();
    assert_eq!(evaluated("name || id"), Cell::Unchanged);
    assert_eq!(evaluated("name"), Cell::Unchanged);
    assert_eq!(evaluated("coalesce(id, 1)"), crate::support::form("42"));
}

#[test]
fn a_row_that_is_too_short_is_an_error() {
    let error = bound("shop_id = 5")
        .holds(&Row(vec![Cell::Null]))
        .unwrap_err();
    assert_eq!(error.kind(), "no_input");
}

#[test]
fn simple_filters_are_comparisons() {
    let compare = |column, op, value| Comparisons::Compare { column, op, value };
    let five = || compare(2, Comparison::Equal, Literal::Integer(5));
    for (text, expected) in [
        ("shop_id = 5", five()),
        ("5 = shop_id", five()),
        ("shop_id = 2 + 3", five()),
        (
            "5 < shop_id",
            compare(2, Comparison::Greater, Literal::Integer(5)),
        ),
        (
            "total <= 1.50",
            compare(3, Comparison::LessOrEqual, Literal::Decimal("1.5".into())),
        ),
        (
            "code <> 'x'",
            compare(9, Comparison::NotEqual, Literal::Text("x".into())),
        ),
        (
            "shop_id = 5 and not missing is null",
            Comparisons::And(vec![
                five(),
                Comparisons::Not(Box::new(Comparisons::IsNull(20))),
            ]),
        ),
        (
            "shop_id in (6, 5)",
            Comparisons::Or(vec![
                five(),
                compare(2, Comparison::Equal, Literal::Integer(6)),
            ]),
        ),
        (
            "shop_id between 1 and 5",
            Comparisons::And(vec![
                compare(2, Comparison::GreaterOrEqual, Literal::Integer(1)),
                compare(2, Comparison::LessOrEqual, Literal::Integer(5)),
            ]),
        ),
        (
            "active",
            compare(10, Comparison::Equal, Literal::Boolean(true)),
        ),
        (
            "born >= '2024-01-01'",
            compare(
                12,
                Comparison::GreaterOrEqual,
                Literal::Date("2024-01-01".into()),
            ),
        ),
        (
            "mood = 'sad'",
            compare(18, Comparison::Equal, Literal::Text("sad".into())),
        ),
        ("true", Comparisons::And(vec![])),
        (
            "missing is distinct from 5",
            Comparisons::Or(vec![
                Comparisons::IsNull(20),
                Comparisons::And(vec![
                    Comparisons::Not(Box::new(Comparisons::IsNull(20))),
                    compare(20, Comparison::NotEqual, Literal::Integer(5)),
                ]),
            ]),
        ),
    ] {
        assert_eq!(bound(text).comparisons(), Some(expected), "{text}");
    }
    for text in [
        "shop_id + 1 = 5",
        "shop_id = id",
        "code like 'a%'",
        "ratio = 0.5",
        "mood < 'sad'",
        "shop_id in (1, null)",
        "missing = null",
        "lower(code) = 'x'",
        "(shop_id = 5) is true",
        "shop_id = 5 and lower(code) = 'x'",
    ] {
        assert_eq!(bound(text).comparisons(), None, "{text}");
    }
}

#[test]
fn a_column_that_a_filter_holds_to_a_value_is_found() {
    let held = |text: &str| bound(text).comparisons()?.equal_to(2).cloned();
    for (text, value) in [
        ("shop_id = 5", Some(5)),
        ("id > 1 and (shop_id = 5 and active)", Some(5)),
        ("shop_id >= 5", None),
        ("shop_id = 5 or id = 1", None),
        ("not shop_id = 5", None),
    ] {
        assert_eq!(held(text), value.map(Literal::Integer), "{text}");
    }
    assert!(bound("shop_id = 5").comparisons().unwrap().is_equality());
    assert!(!bound("shop_id <> 5").comparisons().unwrap().is_equality());
}

#[test]
fn literals_are_written_as_they_are_read() {
    for text in [
        "active = FALSE",
        "id = -5",
        "total = 1.25",
        "code = 'it''s'",
        "raw = X'00ff'",
        "uid = CAST('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' AS uuid)",
        "born = DATE '2024-02-29'",
        "clock = TIME '14:30:05.25'",
        "made = TIMESTAMP '0044-03-15 00:00:00 BC'",
        "seen = TIMESTAMPTZ '2024-02-29 12:30:05+00'",
    ] {
        let Some(Comparisons::Compare { value, .. }) = bound(text).comparisons() else {
            panic!("{text}")
        };
        let (_, written) = text.split_once(" = ").unwrap();
        assert_eq!(value.to_sql(), written);
    }
}

#[test]
fn columns_are_renamed_where_all_are_known() {
    let expression = Expression::parse("upper(\"a\") || 'a' || left( b,2) || a").unwrap();
    let other = |name: &str| match name {
        "a" => Some("A new".to_owned()),
        "b" => Some("c".to_owned()),
        _ => None,
    };
    let renamed = expression.renamed(&other).unwrap();
    assert_eq!(
        renamed.text(),
        "upper(\"A new\") || 'a' || left( \"c\",2) || \"A new\""
    );
    assert_eq!(Expression::parse("a + z").unwrap().renamed(&other), None);
}

#[test]
fn a_filter_is_taken_apart_where_all_of_it_must_hold() {
    let parts = |text: &str| -> Vec<String> {
        let parts = Expression::parse(text).unwrap().conjuncts();
        parts.iter().map(|part| part.text().to_owned()).collect()
    };
    assert_eq!(
        parts("a = 1 and (b or c) AND ((d) = 2 and e)"),
        ["a = 1", "b or c", "(d) = 2", "e"]
    );
    assert_eq!(parts("a or b and c"), ["a or b and c"]);
    assert_eq!(
        parts("(a + 1) * 2 = 4 and (not b)"),
        ["(a + 1) * 2 = 4", "not b"]
    );
    let by = |name: &str| match name {
        "a" => Expression::parse("x + 1").ok(),
        _ => Some(Expression::column("y")),
    };
    let replaced = Expression::parse("a * 2 > B")
        .unwrap()
        .replaced(&by)
        .unwrap();
    assert_eq!(replaced.text(), "(x + 1) * 2 > \"y\"");
}
