//! Expressions and their results.

use crossfade_expression::{CellForm, Expression};
use crossfade_model::{Cell, LogicalType, Row};

use crate::support::{columns, evaluate, input, shown};

fn all(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(shown(text), *expected, "{text}");
    }
}

#[test]
fn numbers_are_exact() {
    all(&[
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("id - -2", "44"),
        ("-id", "-42"),
        ("- 2 + 3", "1"),
        ("id % 5", "2"),
        ("small % 5", "-2"),
        ("mod(id, 5)", "2"),
        ("total * 100", "1999"),
        ("cast(total * 100 as bigint)", "1999"),
        ("(total * 100)::bigint", "1999"),
        ("total + id", "61.99"),
        ("total - 20", "-0.01"),
        ("rate * rate", "0.015625"),
        ("total % 1", "0.99"),
        ("0.1 + 0.2", "0.3"),
        ("1e3", "1000"),
        ("1.5e-3", "0.0015"),
        ("id / 2", "21"),
        ("id / 8", "5.25"),
        ("id / 5.0", "8.4"),
        ("total / -0.01", "-1999"),
        ("small / 2", "-3.5"),
        ("id / 9", "error: not_exact"),
        ("id / missing", "NULL"),
        ("total / (id - 42)", "error: division"),
        ("round(id / 9, 3)", "4.667"),
        ("round(-id / 9, 3)", "-4.667"),
        ("trunc(id / 9, 1)", "4.6"),
        ("floor(small / 2)", "-4"),
        ("ceil(small / 2)", "-3"),
        ("div(small, 2)", "-3"),
        ("div(total, 3)", "6"),
        ("id / (id - 42)", "error: division"),
        ("round(id / (id - 42))", "error: division"),
        ("id % (id - 42)", "error: division"),
        (
            "99999999999999999999999999999999999999 * total",
            "1998999999999999999999999999999999999980.01",
        ),
        ("9223372036854775807 + id - id", "error: overflow"),
        ("9223372036854775807 + id", "error: overflow"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("odd", "NaN"),
        ("odd + 1", "error: not_finite"),
        ("odd > 1e100", "t"),
        ("odd = odd", "t"),
        ("coalesce(odd, 1)", "NaN"),
    ]);
}

#[test]
fn rounding_is_away_from_zero_and_asked_for() {
    all(&[
        ("round(2.5 + 0 * id)", "3"),
        ("round(-2.5 + 0 * id)", "-3"),
        ("round(0.125 + 0 * id, 2)", "0.13"),
        ("round(1250 + id - id, -2)", "1300"),
        ("round(total, 1)", "20"),
        ("round(total, 5)", "19.99"),
        ("trunc(total)", "19"),
        ("trunc(rate)", "0"),
        ("floor(rate)", "-1"),
        ("ceil(rate)", "0"),
        ("round(id)", "42"),
        ("abs(rate)", "0.125"),
        ("sign(rate)", "-1"),
        ("abs(small)", "7"),
        ("round(total, 5000)", "error: argument"),
    ]);
}

#[test]
fn casts_say_what_they_lose() {
    all(&[
        ("cast(total as bigint)", "error: not_exact"),
        ("cast(round(total) as bigint)", "20"),
        ("cast(total as decimal(10,1))", "20"),
        ("cast(total as decimal(3,2))", "error: overflow"),
        ("cast(total as decimal(4,2))", "19.99"),
        ("cast(id * 1000 as smallint)", "error: overflow"),
        ("cast(id * 1000000000 as int)", "error: overflow"),
        ("cast(active as int)", "1"),
        ("cast(id - 41 as boolean)", "t"),
        ("cast(id as boolean)", "error: not_of_type"),
        ("cast(active as text)", "true"),
        ("cast(rate as text)", "-0.125"),
        ("cast(right(code, 3) as int)", "error: not_of_type"),
        ("cast(right(code, 1) as int)", "7"),
        ("cast(ltrim(right(code, 3), '0') as int)", "7"),
        ("cast(name as varchar(13))", "Ärger im Café"),
        ("cast(name as varchar(12))", "error: too_long"),
        ("cast(left(name, 5) as varchar(5))", "Ärger"),
        (
            "name::bytes",
            "\\xc384726765722069 6d20436166c3a9".replace(' ', "").leak(),
        ),
        ("cast(cast(name as bytes) as text)", "Ärger im Café"),
        ("cast(raw as text)", "error: not_of_type"),
        ("cast(uid as text)", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("cast(uid as bytes)", "\\xa0eebc999c0b4ef8bb6d6bb9bd380a11"),
        ("cast(cast(uid as bytes) as uuid) = uid", "t"),
        (
            "cast(upper(cast(uid as text)) as uuid)",
            "error: not_of_type",
        ),
        ("cast(made as date)", "2024-02-29"),
        ("date(made)", "2024-02-29"),
        ("cast(made as time)", "14:30:05.25"),
        ("cast(born as timestamp)", "2024-02-29 00:00:00"),
        ("cast(made as timestamptz)", "2024-02-29 14:30:05.25+00"),
        ("cast(seen as timestamp)", "2024-02-29 12:30:05.25"),
        ("cast('[1, 2]' || '' as json)", "[1, 2]"),
        ("cast(name as json)", "error: not_of_type"),
        ("cast(ratio as decimal)", "0.1"),
        ("cast(single as decimal)", "0.10000000149011612"),
        ("cast(ratio as double) * 3", "0.30000000000000004"),
        ("cast(total as double)", "19.99"),
        ("cast(null as int)", "NULL"),
    ]);
}

#[test]
fn texts_are_handled_by_characters() {
    all(&[
        ("lower(name)", "ärger im café"),
        ("upper(name)", "ÄRGER IM CAFÉ"),
        ("length(name)", "13"),
        ("char_length(name)", "13"),
        ("octet_length(name)", "15"),
        ("length(raw)", "3"),
        ("left(name, 1)", "Ä"),
        ("left(name, -4)", "Ärger im "),
        ("right(name, 4)", "Café"),
        ("right(name, -9)", "Café"),
        ("substring(name from 7 for 2)", "im"),
        ("substr(name, 10)", "Café"),
        ("substring(name from 0 for 2)", "Ä"),
        ("substring(name from 1 for -1)", "error: argument"),
        ("replace(name, 'ä', 'x')", "Ärger im Café"),
        ("replace(name, 'r', '')", "Äge im Café"),
        ("code || '/' || id", "SKU-007/42"),
        ("code || nothing", "NULL"),
        ("concat(code, nothing, 1)", "SKU-0071"),
        ("raw || X'aa'", "\\x00ff10aa"),
        ("lpad(code, 9, 'xy')", "xySKU-007"),
        ("rpad(code, 10, 'xy')", "SKU-007xyx"),
        ("lpad(code, 3)", "SKU"),
        ("lpad(code, 1000000000)", "error: too_large"),
        ("repeat('ab', 3)", "ababab"),
        ("repeat(code, 100000000)", "error: too_large"),
        ("trim('  a b  ')", "a b"),
        ("trim(both '0' from '0070')", "7"),
        ("trim(leading '0' from '0070')", "70"),
        ("rtrim(code, '07')", "SKU-"),
        ("position('K' in code)", "2"),
        ("strpos(name, 'Café')", "10"),
        ("split_part(code, '-', 2)", "007"),
        ("split_part(code, '-', 3)", ""),
        ("split_part(code, '-', -2)", "SKU"),
        ("reverse(code)", "700-UKS"),
        ("starts_with(code, 'SKU')", "t"),
        ("strip_prefix(code, 'SKU-')", "007"),
        ("strip_suffix(code, 'SKU')", "error: argument"),
        ("encode(raw, 'hex')", "00ff10"),
        ("decode('00FF', 'hex')", "\\x00ff"),
        ("to_hex(id)", "2a"),
        (
            "encode(sha256('abc'), 'hex')",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        ("'it''s'", "it's"),
        ("\"Mixed Case\" || `Mixed Case`", "mixedmixed"),
        ("\"mixed case\"", "mixed"),
        ("ID + Shop_Id", "47"),
    ]);
}

#[test]
fn logic_has_three_values() {
    all(&[
        ("true and null", "NULL"),
        ("false and null", "f"),
        ("true or null", "t"),
        ("false or null", "NULL"),
        ("not null", "NULL"),
        ("missing = 1", "NULL"),
        ("missing is null", "t"),
        ("missing is not null", "f"),
        ("(missing = 1) is true", "f"),
        ("(missing = 1) is not true", "t"),
        ("active is false", "f"),
        ("missing is distinct from null", "f"),
        ("missing is distinct from 1", "t"),
        ("missing is not distinct from 1", "f"),
        ("id between 1 and 42", "t"),
        ("id not between 1 and 41", "t"),
        ("1 between missing and 0", "f"),
        ("1 between missing and 2", "NULL"),
        ("id in (1, 42, 3)", "t"),
        ("id in (1, 2.5)", "f"),
        ("id in (1, null)", "NULL"),
        ("id in (42, null)", "t"),
        ("id not in (1, missing)", "NULL"),
        ("missing in (1)", "NULL"),
        ("code in ('a', 'SKU-007')", "t"),
        ("total in (19.990)", "t"),
        ("code like 'SKU-%'", "t"),
        ("code like 'sku-%'", "f"),
        ("code not like '%0_7'", "f"),
        ("code like 'SKU!-007' escape '!'", "t"),
        ("nothing like '%'", "NULL"),
        ("code like left(code, 3) || '%'", "t"),
        ("not id = 1 and true", "t"),
        ("id = 42 is true", "t"),
        ("'a' < 'b'", "t"),
        ("'Z' < 'a'", "t"),
        ("'a' = 'a '", "f"),
        ("code = 'sku-007'", "f"),
        ("name > 'Z'", "t"),
        ("id = 42.0", "t"),
        ("1 < 1.5", "t"),
        ("ratio = 0.1", "t"),
        ("single = 0.1", "f"),
        ("raw < X'01'", "t"),
        ("born > '2024-02-28'", "t"),
        ("made < DATE '2024-03-01'", "t"),
        ("seen = '2024-02-29 12:30:05.25+00'", "t"),
        ("uid = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "t"),
        ("mood = 'happy'", "t"),
        ("mood || '!'", "happy!"),
        ("active = 't'", "t"),
    ]);
}

#[test]
fn choices_take_the_first_that_fits() {
    all(&[
        ("case when id > 40 then 'big' else 'small' end", "big"),
        ("case id when 1 then 'one' when 42 then 'all' end", "all"),
        ("case id when 1 then 'one' end", "NULL"),
        ("case missing when 1 then 2 else 3 end", "3"),
        ("case when missing = 1 then 2 else 3 end", "3"),
        ("case when id = 42 then 1 else 0.5 end", "1"),
        ("coalesce(missing, id)", "42"),
        ("coalesce(missing, 0.5)", "0.5"),
        ("coalesce(nothing, 'x')", "x"),
        ("ifnull(missing, 7)", "7"),
        ("nullif(id, 42)", "NULL"),
        ("nullif(id, 1)", "42"),
        ("greatest(id, missing, 7)", "42"),
        ("least(total, 3, id)", "3"),
        ("least(missing, null)", "NULL"),
        ("case when id = 1 then fail('no') else 5 end", "5"),
        (
            "case when id = 42 then fail('no') else 5 end",
            "error: refused",
        ),
        ("cast(fail('no') as int)", "error: refused"),
        ("coalesce(missing, fail('no'))", "error: refused"),
    ]);
}

#[test]
fn dates_are_counted_and_cut() {
    all(&[
        ("born + 1", "2024-03-01"),
        ("1 + born", "2024-03-01"),
        ("born - 60", "2023-12-31"),
        ("born - DATE '2024-01-01'", "59"),
        ("born + 10000000000", "error: overflow"),
        ("extract(year from made)", "2024"),
        ("extract(month from born)", "2"),
        ("extract(day from seen)", "29"),
        ("extract(hour from seen)", "12"),
        ("extract(minute from clock)", "30"),
        ("extract(second from made)", "5.25"),
        ("extract(epoch from DATE '1970-01-02')", "86400"),
        ("extract(epoch from seen)", "1709209805.25"),
        ("extract(epoch from made)", "1709217005.25"),
        ("extract(dow from born)", "4"),
        ("extract(isodow from born)", "4"),
        ("extract(doy from born)", "60"),
        ("extract(quarter from born)", "1"),
        ("extract('year' from born)", "2024"),
        ("date_trunc('month', made)", "2024-02-01 00:00:00"),
        ("date_trunc('week', born)", "2024-02-26"),
        ("date_trunc('hour', seen)", "2024-02-29 12:00:00+00"),
        ("date_trunc('quarter', born)", "2024-01-01"),
        ("to_timestamp(0)", "1970-01-01 00:00:00+00"),
        ("to_timestamp(1.5)", "1970-01-01 00:00:01.5+00"),
        ("to_timestamp(rate / 1000000)", "error: not_exact"),
        ("TIMESTAMP '2024-01-01 00:00:00'", "2024-01-01 00:00:00"),
        (
            "TIMESTAMP WITH TIME ZONE '2024-01-01 00:00:00+02'",
            "2023-12-31 22:00:00+00",
        ),
        ("TIME '10:00' < clock", "t"),
    ]);
}

#[test]
fn dynamic_cells_have_the_classes_of_their_types() {
    let text = |text: &str| Cell::Text(text.as_bytes().to_vec().into());
    for (expression, cell) in [
        ("id + 1", Cell::Integer(43)),
        ("active and true", Cell::Integer(1)),
        ("total * 1", text("19.99")),
        ("born + 1", text("2024-03-01")),
        ("code || ''", text("SKU-007")),
        ("raw || X''", Cell::Blob(vec![0, 255, 16].into())),
        ("cast(total as double)", Cell::Real(19.99)),
        ("nullif(id, 42)", Cell::Null),
    ] {
        let result = evaluate(expression, CellForm::Dynamic).unwrap();
        assert_eq!(result, cell, "{expression}");
    }
}

#[test]
fn a_column_is_passed_on_undecoded() {
    for name in ["mood", "doc", "odd", "ratio"] {
        let bound = Expression::parse(name).unwrap().bind(&columns()).unwrap();
        let index = bound.as_column().unwrap();
        assert_eq!(bound.reads(), [index]);
        assert_eq!(bound.logical(), columns()[index].logical);
        let mut row = crate::support::row();
        row.0[index] = crate::support::form("not what it should be");
        assert_eq!(
            bound.evaluate(&row, CellForm::Dynamic).unwrap(),
            row.0[index]
        );
    }
}

#[test]
fn what_reads_nothing_is_a_constant() {
    let bound = |text: &str| Expression::parse(text).unwrap().bind(&columns()).unwrap();
    let constant = bound("1 + 2 * 3").as_constant(CellForm::Text);
    assert_eq!(constant, Some(crate::support::form("7")));
    assert_eq!(bound("id").as_constant(CellForm::Text), None);
    assert!(bound("id").as_column().is_some());
    assert_eq!(bound("null").as_constant(CellForm::Text), Some(Cell::Null));
}

#[test]
fn types_and_nullability_are_known_before_any_row() {
    let integer = LogicalType::Integer { bits: 64 };
    for (text, logical, nullable) in [
        ("id + 1", integer, false),
        ("missing + 1", integer, true),
        ("coalesce(missing, 1)", integer, false),
        ("shop_id", LogicalType::Integer { bits: 32 }, false),
        (
            "cast(id as smallint)",
            LogicalType::Integer { bits: 16 },
            false,
        ),
        ("id / 2", LogicalType::Decimal, false),
        ("nullif(id, 1)", integer, true),
        ("case when active then 1 end", integer, true),
        ("missing is null", LogicalType::Boolean, false),
        ("name || 1", LogicalType::Text, false),
        (
            "cast(made as timestamptz)",
            LogicalType::TimestampWithZone,
            false,
        ),
        ("cast(id as double)", LogicalType::Float { bits: 64 }, false),
    ] {
        let bound = Expression::parse(text).unwrap().bind(&columns()).unwrap();
        assert_eq!(
            (bound.logical(), bound.nullable()),
            (logical, nullable),
            "{text}"
        );
    }
}

#[test]
fn stored_expressions_are_their_texts() {
    let expression = Expression::parse(" cast(total*100 as bigint) ").unwrap();
    let stored = serde_json::to_string(&expression).unwrap();
    assert_eq!(stored, "\" cast(total*100 as bigint) \"");
    assert_eq!(
        serde_json::from_str::<Expression>(&stored).unwrap(),
        expression
    );
    assert!(serde_json::from_str::<Expression>("\"1 +\"").is_err());
    for name in [
        "id",
        "Order",
        "select",
        "a b",
        "say \"x\"",
        "ünï",
        "1st",
        "",
    ] {
        let column = Expression::column(name);
        assert_eq!(column.as_column(), Some(name));
        let again = Expression::parse(column.text()).unwrap();
        assert_eq!(again.as_column(), Some(name), "{}", column.text());
    }
    let names = Expression::parse("a + \"B\" * coalesce(c, a)")
        .unwrap()
        .columns();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["B", "a", "c"]);
}

#[test]
fn long_numbers_are_divided_at_once() {
    let long = format!("1{}", "0".repeat(20_000));
    let text = format!("{long} / {long}");
    assert_eq!(shown(&text), "1");
    let text = format!("{long} / 1e19999 * id");
    assert_eq!(shown(&text), "420");
    assert_eq!(shown(&format!("id / (9 * {long})")), "error: not_exact");
    assert_eq!(
        shown("total * 1e131071 * 1e9000 * 1e9000"),
        "error: overflow"
    );
}

#[test]
fn a_value_of_any_class_has_a_text_which_does_not_lead_back() {
    let columns = [input("x", LogicalType::Any, true)];
    let bind = |text: &str| Expression::parse(text).unwrap().bind(&columns).unwrap();
    let bound = bind("cast(x as text)");
    assert_eq!(bound.logical(), LogicalType::Text);
    assert!(bound.inverse("y").is_none());
    let text = |text: &str| Cell::Text(text.as_bytes().to_vec().into());
    for (cell, expected) in [
        (Cell::Null, Cell::Null),
        (Cell::Integer(-7), text("-7")),
        (Cell::Real(1.5), text("1.5")),
        (text("1.50"), text("1.50")),
        (Cell::Blob(vec![0, 0xab].into()), text("\\x00ab")),
    ] {
        let row = Row(vec![cell]);
        assert_eq!(bound.evaluate(&row, CellForm::Dynamic), Ok(expected));
    }
    // asked for as another type they must be of it
    let number = bind("cast(x as bigint)");
    let blob = Row(vec![Cell::Blob(vec![1].into())]);
    assert!(number.evaluate(&blob, CellForm::Dynamic).is_err());
}
