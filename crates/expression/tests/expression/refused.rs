//! What is refused before any row, and where.

use crossfade_expression::{Expression, ExpressionError, Input};

use crate::support::{columns, input};

fn refused(text: &str) -> ExpressionError {
    match Expression::parse(text) {
        Err(error) => error,
        Ok(expression) => expression
            .bind(&columns())
            .err()
            .unwrap_or_else(|| panic!("{text} was taken")),
    }
}

#[test]
fn errors_point_at_their_place() {
    for (text, place, said) in [
        ("", "", "ends too early"),
        ("1 +", "", "ends too early"),
        ("(1", "", "ends too early"),
        ("1 2", "2", "does not belong"),
        ("id = 1 = 2", "=", "chained"),
        ("totl + 1", "totl", "no column totl"),
        ("id + name", "name", "text, not a number"),
        ("id + ratio", "ratio", "float is not computed with"),
        ("total = ratio", "ratio", "float, not decimal"),
        ("lowr(name)", "lowr", "no function lowr"),
        ("cast(id as bigit)", "bigit", "no type bigit"),
        ("cast(id as real)", "real", "no type real"),
        (
            "cast(doc as text)",
            "cast(doc as text)",
            "json is not cast to text",
        ),
        ("doc = doc", "doc = doc", "JSON values are not compared"),
        ("lower(id)", "id", "bigint, not a text"),
        ("lower(name, 1)", "lower(name, 1)", "takes 1 arguments"),
        ("id and true", "id", "not a condition"),
        ("made = seen", "seen", "timestamptz, not timestamp"),
        (
            "born = 'yesterday'",
            "'yesterday'",
            "cannot be read as date",
        ),
        ("DATE '2023-02-29'", "DATE '2023-02-29'", "no date"),
        ("X'0'", "X'0'", "no bytes"),
        ("'open", "'open", "no end"),
        ("t.id", ".", "without its table"),
        ("id -- note", "--", "does not mean the same"),
        ("1 / 0", "1 / 0", "division by zero"),
        ("1 / 3", "1 / 3", "disagree"),
        (
            "case when id = 1 then 1 else 'a' end",
            "'a'",
            "cannot be read as bigint",
        ),
        ("now()", "now", "does not depend on the row"),
        (
            "current_timestamp",
            "current_timestamp",
            "does not depend on the row",
        ),
        ("id + random()", "random", "does not depend on the row"),
        (
            "gen_random_uuid()",
            "gen_random_uuid",
            "does not depend on the row",
        ),
        ("select", "select", "does not belong"),
        ("name like 'a\\'", "'a\\'", "ends with its escape"),
        ("fail(name)", "name", "fail takes a string"),
        ("extract(century from born)", "century", "no field"),
        ("id ^ 2", "^", "does not mean the same"),
        ("id <=> 2", "<=>", "does not mean the same"),
        ("id #", "#", "no meaning"),
    ] {
        let error = refused(text);
        assert_eq!(&text[error.span.clone()], place, "{text}: {error}");
        assert!(error.what.contains(said), "{text}: {error}");
        assert!(!error.fix.is_empty());
    }
}

#[test]
fn near_names_are_offered() {
    for (text, near) in [
        ("totl", "total"),
        ("shopid", "shop_id"),
        ("lenght(name)", "length"),
        ("cast(id as bignt)", "bigint"),
    ] {
        assert!(refused(text).fix.contains(near), "{text}");
    }
}

#[test]
fn a_name_of_two_columns_is_none() {
    let columns: [Input; 2] =
        ["Total", "TOTAL"].map(|name| input(name, crossfade_model::LogicalType::Decimal, false));
    let bind = |text: &str| Expression::parse(text).unwrap().bind(&columns);
    assert!(bind("total").unwrap_err().what.contains("may be"));
    assert_eq!(bind("TOTAL").unwrap().as_column(), Some(1));
    assert_eq!(bind("\"Total\"").unwrap().as_column(), Some(0));
}

#[test]
fn what_is_too_deep_or_too_long_is_an_error_and_not_a_crash() {
    let deep = 100_000;
    for text in [
        "(".repeat(deep),
        format!("{}1{}", "(".repeat(30_000), ")".repeat(30_000)),
        format!("-{}1", " -".repeat(20_000)),
        "not ".repeat(10_000) + "true",
        "1+".repeat(20_000) + "1",
        "case when true then ".repeat(3_000) + "1",
        "id".to_owned() + &"::int".repeat(10_000),
        "'".repeat(deep),
        "cast(".repeat(10_000),
        "x is null".to_owned() + &" is null".repeat(5_000),
    ] {
        assert!(Expression::parse(&text).is_err(), "{}", &text[..20]);
    }
}

#[test]
fn what_is_wide_is_no_depth() {
    let wide = vec!["id = 1"; 5_000].join(" or ");
    let bound = Expression::parse(&wide).unwrap().bind(&columns()).unwrap();
    assert!(bound.comparisons().is_some());
    let list = (0..5_000)
        .map(|i| i.to_string())
        .collect::<Vec<_>>()
        .join(",");
    let text = format!("id in ({list})");
    assert!(Expression::parse(&text).unwrap().bind(&columns()).is_ok());
}

#[test]
fn nesting_costs_no_more_than_its_length() {
    // what is bound twice at every level would take forever here
    let nested = |open: &str, inner: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(45), close.repeat(45))
    };
    for text in [
        nested("('a' || ", "name", ")"),
        nested("div(", "total", ", 1)"),
        nested("round(", "total", ", 1)"),
        nested("coalesce(", "id", ", 1)"),
        nested("case 1 when ", "id", " then 1 end"),
        nested("(true and ", "active", ")"),
        nested("lower(", "name", ")"),
        nested("sha256(", "raw", ")"),
    ] {
        let bound = Expression::parse(&text).unwrap().bind(&columns()).unwrap();
        bound
            .evaluate(&crate::support::row(), crossfade_expression::CellForm::Text)
            .unwrap();
        bound.inverse("result");
    }
}
