#![allow(clippy::unwrap_used)]
use crossfade_model::{Cell, LogicalType, Row};
use proptest::prelude::*;

use crate::{CellForm, Expression, Input, Truth};

const LONG: LogicalType = LogicalType::Integer { bits: 64 };

fn inputs() -> Vec<Input> {
    [
        ("id", LONG, false),
        ("total", LogicalType::Decimal, true),
        ("note", LogicalType::Text, true),
        ("paid", LogicalType::Boolean, true),
        ("born", LogicalType::Date, true),
        ("at", LogicalType::TimestampWithZone, true),
        ("bits", LogicalType::Bytes, true),
        ("who", LogicalType::Uuid, true),
        ("ratio", LogicalType::Float { bits: 64 }, true),
        ("Ünï", LogicalType::Text, true),
        ("kind", LogicalType::Other, true),
        ("clock", LogicalType::Time, true),
        ("local", LogicalType::Timestamp, true),
    ]
    .map(|(name, logical, nullable)| Input {
        name: name.to_owned(),
        logical,
        nullable,
    })
    .to_vec()
}

fn text(value: &str) -> Cell {
    Cell::TextForm(value.to_owned().into())
}

fn row() -> Row {
    Row(vec![
        text("7"),
        text("19.990"),
        text("Grüße, Welt"),
        text("t"),
        text("2024-02-29"),
        text("2026-11-27 10:20:30.5+00"),
        text("\\x00ff"),
        text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        text("0.5"),
        text("x"),
        text("open"),
        text("23:59:01"),
        text("2026-11-27 00:00:00"),
    ])
}

fn value(expression: &str) -> String {
    let bound = Expression::parse(expression).and_then(|e| e.bind(&inputs()));
    let bound = match bound {
        Ok(bound) => bound,
        Err(error) => return format!("! {}", error.what),
    };
    match bound.evaluate(&row(), CellForm::Text) {
        Ok(Cell::Null) => "NULL".to_owned(),
        Ok(Cell::TextForm(text)) => String::from_utf8(text.to_vec()).unwrap(),
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("! {error}"),
    }
}

#[test]
fn what_expressions_give() {
    for (expression, expected) in [
        // numbers are exact
        ("cast(total * 100 as bigint)", "1999"),
        ("total * 100", "1999.00"),
        ("total + 0.01", "20.00"),
        ("id * 2 - 1", "13"),
        ("-id", "-7"),
        ("id % 4", "3"),
        ("mod(-id, 4)", "-3"),
        ("div(id, 2)", "3"),
        ("div(-7, 2)", "-3"),
        ("total / 2", "9.995"),
        (
            "total / 3",
            "! the quotient is no finite decimal; write round(a / b, places)",
        ),
        ("round(total / 3, 2)", "6.66"),
        ("round(2.5)", "3"),
        ("round(-2.5)", "-3"),
        ("round(total, 1)", "20.0"),
        ("trunc(total, 1)", "19.9"),
        ("round(1250, -2)", "1300"),
        ("ceil(total)", "20"),
        ("floor(-1.5)", "-2"),
        ("abs(-3) + sign(-2.5)", "2"),
        ("cast(19.99 as decimal(3, 1))", "20.0"),
        (
            "cast(total + 180 as decimal(3, 1))",
            "! the result does not fit its type",
        ),
        (
            "cast(id * 10000 as smallint)",
            "! the result does not fit its type",
        ),
        (
            "9223372036854775807 + 1",
            "! the constant has no value: the result does not fit its type",
        ),
        (
            "id / 2",
            "! (\"id\" / 2) divides two integers, which is not the same in every engine",
        ),
        (
            "ratio * 2",
            "! (\"ratio\" * 2) mixes a double with an exact number",
        ),
        ("cast(ratio as decimal) * 2", "1.0"),
        ("ratio + cast(1 as double)", "1.5"),
        // texts are texts of characters, compared by bytes
        ("note || '!'", "Grüße, Welt!"),
        ("length(note)", "11"),
        ("octet_length(note)", "13"),
        ("upper(substring(note from 3 for 3))", "ÜSSE"),
        ("left(note, 5) || right(note, 1)", "Grüßet"),
        ("left(note, -6)", "Grüße"),
        ("substr(note, 0, 3)", "Gr"),
        ("replace(note, 'Welt', 'Mars')", "Grüße, Mars"),
        ("trim('  a ') || '|'", "a|"),
        ("trim(both 'x' from 'xxaxx')", "a"),
        ("position('Welt' in note)", "8"),
        ("concat(id, '-', NULL, paid)", "7-true"),
        ("note like 'Gr__e%'", "t"),
        ("note not like '%w%'", "t"),
        ("'50%' like '50!%' escape '!'", "t"),
        (
            "sha256('')",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        ("'a' < 'B'", "f"),
        ("\"Ünï\" = 'x'", "t"),
        ("NOTE is not null", "t"),
        ("kind = 'open'", "t"),
        // three values
        ("NULL = NULL", "NULL"),
        ("NULL is null", "t"),
        ("paid and NULL", "NULL"),
        ("not paid or NULL is null", "t"),
        ("id in (1, 7)", "t"),
        ("id not in (1, NULL)", "NULL"),
        ("id between 7 and 7.0", "t"),
        ("NULL is distinct from id", "t"),
        ("paid is not false", "t"),
        ("coalesce(NULL, note)", "Grüße, Welt"),
        ("nullif(id, 7)", "NULL"),
        ("greatest(1, NULL, total)", "19.99"),
        ("case when total > 10 then 'big' else 'small' end", "big"),
        ("case id when 1 then 'a' when 7 then 'g' end", "g"),
        ("case id when 1 then 'a' end", "NULL"),
        // moments
        (
            "born + 1",
            "! (\"born\" + 1) calculates with a date and an integer",
        ),
        ("extract(day from born)", "29"),
        ("extract(epoch from at)", "1795774830"),
        ("date(at)", "2026-11-27"),
        ("cast(at as timestamp)", "2026-11-27 10:20:30.5"),
        ("cast(born as timestamptz)", "2024-02-29 00:00:00+00"),
        ("born < '2024-03-01'", "t"),
        ("born >= date '2024-03-01'", "f"),
        (
            "at > timestamp with time zone '2026-01-01 00:00:00+00'",
            "t",
        ),
        ("local = timestamp '2026-11-27 00:00:00'", "t"),
        ("extract(hour from clock)", "23"),
        // other things
        ("cast(paid as int)", "1"),
        ("cast(paid as text)", "true"),
        ("hex(bits)", "00ff"),
        ("bits = X'00ff'", "t"),
        ("who = 'A0EEBC999C0B4EF8BB6D6BB9BD380A11'", "t"),
        ("cast('12' as int) + 1", "13"),
        (
            "cast(note as int)",
            "! a text cannot be read as the type that it is cast to",
        ),
        ("id::text || total::varchar(10)", "719.99"),
    ] {
        assert_eq!(value(expression), expected, "{expression}");
    }
}

#[test]
fn what_is_no_expression_is_told_with_its_place() {
    for (text, what, place) in [
        ("shop = = 42", "this is no expression", "= 42"),
        ("id +", "this is no expression", ""),
        ("id id", "this is no expression", "id"),
        ("totl > 1", "there is no column `totl`", "totl"),
        ("note || now()", "`now` is not determined by the row", "now"),
        (
            "current_timestamp > at",
            "`current_timestamp` is not determined",
            "current_timestamp",
        ),
        ("random() < 0.5", "`random` is not determined", "random"),
        ("uppr(note)", "there is no function `uppr`", "uppr"),
        ("left(note)", "`left` takes 2 arguments", "left"),
        ("id in (select 1)", "has no meaning here", ""),
        ("note = 1", "compares a text with an integer", ""),
        ("cast(born as int)", "a date cannot be cast", ""),
        ("count(*)", "there is no function `count`", "count"),
        ("sum(id) over ()", "there is no function `sum`", "sum"),
        ("cast(id as geometry)", "is no type", ""),
        ("", "this is no expression", ""),
    ] {
        let error = Expression::parse(text)
            .and_then(|e| e.bind(&inputs()))
            .unwrap_err();
        assert!(error.what.contains(what), "{text}: {}", error.what);
        assert!(!error.fix.is_empty(), "{text}");
        let shown = text.get(error.span.clone()).unwrap();
        assert!(
            shown.starts_with(place.get(..1).unwrap_or("")),
            "{text}: {shown}"
        );
    }
}

#[test]
fn bombs_are_refused() {
    let deep = format!("{}1{}", "(".repeat(5_000), ")".repeat(5_000));
    assert!(Expression::parse(&deep).is_err());
    let nots = format!("{} paid", "not ".repeat(3_000));
    assert!(Expression::parse(&nots).is_err());
    let long = "1 + ".repeat(10_000);
    assert!(
        Expression::parse(&long)
            .unwrap_err()
            .what
            .contains("longer")
    );
    let chain = format!("1{}", " + 1".repeat(3_000));
    // deep to the left
    assert!(Expression::parse(&chain).is_err());
}

#[test]
fn what_is_not_in_the_image_is_unknown_where_it_matters() {
    let mut row = row();
    row.0[2] = Cell::Unchanged;
    for (filter, expected) in [
        ("note = 'x'", Truth::Unknown),
        ("id = 8 and note = 'x'", Truth::Fails),
        ("note = 'x' and id = 8", Truth::Fails),
        ("id = 7 or note = 'x'", Truth::Holds),
        ("id = 7 and note is null", Truth::Unknown),
        ("coalesce(note, 'x') = 'x'", Truth::Unknown),
        ("NULL = note", Truth::Fails),
        ("id = 7", Truth::Holds),
    ] {
        let bound = Expression::parse(filter).unwrap().bind(&inputs()).unwrap();
        assert_eq!(bound.holds(&row).unwrap(), expected, "{filter}");
    }
}

fn undone(expression: &str, column: usize, cell: Cell) -> Option<Cell> {
    let mut row = row();
    row.0[column] = cell;
    let bound = Expression::parse(expression)
        .unwrap()
        .bind(&inputs())
        .unwrap();
    let inverse = bound.inverse("made")?;
    let made = bound.evaluate(&row, CellForm::Text).ok()?;
    let input = Input {
        name: "made".to_owned(),
        logical: bound.logical(),
        nullable: true,
    };
    let back = inverse.expression.bind(&[input]).unwrap();
    // what is written down is read again as the same
    assert_eq!(
        Expression::parse(inverse.expression.text()).unwrap(),
        inverse.expression
    );
    back.evaluate(&Row(vec![made]), CellForm::Text).ok()
}

#[test]
fn what_can_be_undone_is_and_what_cannot_is_not_claimed() {
    for (expression, column, before) in [
        ("id", 0, "7"),
        ("id + 1000", 0, "7"),
        ("1000 - id", 0, "7"),
        ("-id", 0, "7"),
        ("id * 3 + 1", 0, "7"),
        ("cast(id as text)", 0, "-7"),
        ("'A-' || cast(id as text)", 0, "12"),
        ("note || '-x'", 2, "Ü b"),
        ("cast(total * 100 as bigint)", 1, "19.99"),
        (
            "cast(who as text)",
            7,
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ),
        ("cast(paid as int)", 3, "t"),
        ("case when paid then 'yes' else 'no' end", 3, "f"),
    ] {
        let back = undone(expression, column, text(before)).unwrap();
        assert_eq!(back, text(before), "{expression}");
        if expression != "case when paid then 'yes' else 'no' end" {
            assert_eq!(
                undone(expression, column, Cell::Null),
                Some(Cell::Null),
                "{expression}"
            );
        }
    }
    for expression in [
        "upper(note)",
        "id * 0",
        "id % 2",
        "left(note, 3)",
        "id + id",
        "round(total)",
        "abs(id)",
    ] {
        let bound = Expression::parse(expression)
            .unwrap()
            .bind(&inputs())
            .unwrap();
        assert!(bound.inverse("made").is_none(), "{expression}");
    }
    // a result that comes from no value is refused, not bent
    let bound = Expression::parse("id * 3")
        .unwrap()
        .bind(&inputs())
        .unwrap();
    let input = Input {
        name: "made".to_owned(),
        logical: LONG,
        nullable: false,
    };
    let back = bound
        .inverse("made")
        .unwrap()
        .expression
        .bind(&[input])
        .unwrap();
    assert!(
        back.evaluate(&Row(vec![text("8")]), CellForm::Text)
            .is_err()
    );
}

#[test]
fn comparisons_with_literals_can_be_written_by_a_store() {
    let of = |filter: &str| {
        Expression::parse(filter)
            .unwrap()
            .bind(&inputs())
            .unwrap()
            .comparisons()
    };
    let all = of("id = 42 and 5 < total and note in ('a', 'b') and not paid and born is not null")
        .unwrap();
    assert_eq!(all.equal_to(0).unwrap().to_sql(), "42");
    assert!(all.equal_to(1).is_none());
    assert_eq!(
        of("note = 'it''s'").unwrap().equal_to(2).unwrap().to_sql(),
        "'it''s'"
    );
    for filter in [
        "id + 1 = 42",
        "upper(note) = 'A'",
        "id = total",
        "note like 'a%'",
    ] {
        assert!(of(filter).is_none(), "{filter}");
    }
}

#[test]
fn names_are_exchanged_and_texts_kept() {
    let expression = Expression::parse("shop = 42 AND note = 'shop'").unwrap();
    let renamed =
        expression.renamed(&|name| (name == "shop" || name == "note").then(|| format!("x {name}")));
    assert_eq!(
        renamed.unwrap().text(),
        "((\"x shop\" = 42) AND (\"x note\" = 'shop'))"
    );
    assert!(expression.renamed(&|_| None).is_none());
    let columns: Vec<String> = expression.columns().into_iter().collect();
    assert_eq!(columns, ["note", "shop"]);
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,80}") {
        let _ = Expression::parse(&text).map(|e| e.bind(&inputs()));
    }

    #[test]
    fn no_words_make_evaluation_panic(words in proptest::collection::vec(
        prop_oneof![
            Just("id"), Just("total"), Just("note"), Just("paid"), Just("born"), Just("at"), Just("("), Just(")"), Just("+"), Just("*"),
            Just("-"), Just("="), Just("<"), Just("and"), Just("not"), Just("is null"), Just("1"), Just("2.5"), Just("'a'"), Just("null"),
            Just("left("), Just(", 2)"), Just("round("), Just("cast("), Just("as bigint)"), Just("as text)"), Just("||"), Just("case when"),
            Just("then"), Just("else"), Just("end"), Just("substr("), Just("div("), Just("/"),
        ], 1..12)
    ) {
        if let Ok(bound) = Expression::parse(&words.join(" ")).and_then(|e| e.bind(&inputs())) {
            let _ = bound.evaluate(&row(), CellForm::Text);
            let _ = bound.evaluate(&row(), CellForm::Dynamic);
            let _ = bound.holds(&row());
        }
    }

    #[test]
    fn a_linear_expression_comes_back(id in -1_000_000i64..1_000_000, factor in 1i64..1000, summand in -1000i64..1000) {
        let expression = format!("id * {factor} + {summand}");
        let back = undone(&expression, 0, text(&id.to_string())).unwrap();
        prop_assert_eq!(back, text(&id.to_string()));
    }

    #[test]
    fn printing_and_reading_again_gives_the_same(a in "[a-z]{1,4}", n in any::<i32>(), t in "[a-z' %]{0,5}") {
        let quoted = t.replace('\'', "''");
        let written = format!("{a} + {n} > 2 OR {a} IN ({n}, 3) AND NOT b LIKE '{quoted}' OR x IS NOT TRUE");
        let read = Expression::parse(&written).unwrap();
        let again = read.renamed(&|name| Some(name.to_owned())).unwrap();
        prop_assert_eq!(&Expression::parse(again.text()).unwrap(), &again);
        prop_assert_eq!(read, again);
    }
}
