#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use crossfade_model::LogicalType as T;

use super::*;
use crate::testkit::{Form, row, table};

fn column(logical: T) -> Column {
    let mut column = table(0, Form::Ordered).source.columns.remove(1);
    column.logical = logical;
    column
}

/// A text as PostgreSQL shows a value.
fn f(text: &str) -> Cell {
    Cell::TextForm(Bytes::copy_from_slice(text.as_bytes()))
}

/// A text in SQLite.
fn t(text: &str) -> Cell {
    Cell::Text(Bytes::copy_from_slice(text.as_bytes()))
}

fn b(bytes: &[u8]) -> Cell {
    Cell::Blob(Bytes::copy_from_slice(bytes))
}

fn cause(source: T, target: T, class: Canonical, theirs: &Cell, ours: &Cell) -> Cause {
    let (source, target) = (column(source), column(target));
    let pair = Pair {
        source: &source,
        target: &target,
        canonical: class,
    };
    of_cells(&pair, theirs, ours)
}

/// Checks cells of columns of one type, in both directions: which side has which value is no part of a cause.
fn check(logical: T, class: Canonical, cases: &[(Cell, Cell, Cause)]) {
    for (a, b, expected) in cases {
        for (theirs, ours) in [(a, b), (b, a)] {
            let found = cause(logical, logical, class, theirs, ours);
            assert_eq!(found, *expected, "{logical:?}: {theirs:?} {ours:?}");
        }
    }
}

#[test]
fn times() {
    use Cause::*;
    let at = |text: &str| f(&format!("2024-03-31 {text}"));
    check(
        T::Timestamp,
        Canonical::Timestamp,
        &[
            (at("02:30:00"), at("03:30:00"), TimeZone),
            (at("02:30:00.25"), at("08:15:00.25"), TimeZone),
            (at("00:00:00"), at("14:00:00"), TimeZone),
            (at("00:00:00"), at("14:15:00"), Unknown),
            (at("00:00:00"), at("00:10:00"), Unknown),
            (at("00:00:00"), f("2024-04-01 00:00:00"), Unknown),
            (at("10:00:00.123456"), at("10:00:00.123"), FractionOfSecond),
            (at("10:00:00.123556"), at("10:00:00.124"), FractionOfSecond),
            (at("10:00:00.123456"), at("10:00:00"), FractionOfSecond),
            (at("10:00:00.9"), at("10:00:01"), FractionOfSecond),
            (at("10:00:00.123456"), at("10:00:00.122"), Unknown),
            (at("10:00:00"), at("10:00:01"), Unknown),
            (at("10:00:00"), f("infinity"), Unknown),
            (f("-infinity"), f("infinity"), Unknown),
        ],
    );
    check(
        T::TimestampWithZone,
        Canonical::TimestampWithZone,
        &[(
            f("1999-12-31 23:00:00.5+00"),
            f("2000-01-01 01:30:00.5+00"),
            TimeZone,
        )],
    );
    // before the year 2000, where microseconds are negative
    check(
        T::Timestamp,
        Canonical::Timestamp,
        &[(
            f("1970-01-01 00:00:00.123456"),
            f("1970-01-01 00:00:00"),
            FractionOfSecond,
        )],
    );
    check(
        T::Time,
        Canonical::Time,
        &[
            (f("23:00:00"), f("01:00:00"), TimeZone),
            (f("23:00:00"), f("01:01:00"), Unknown),
        ],
    );
    check(
        T::Text,
        Canonical::Exact,
        &[
            (t("2024-03-31"), t("2024-03-31 00:00:00"), Form),
            (t("2024-03-31T10:00:00"), t("2024-03-31 12:00:00"), TimeZone),
            (t("10:00:00"), t("2024-03-31 10:00:00"), Unknown),
        ],
    );
}

#[test]
fn numbers() {
    use Cause::*;
    check(
        T::Decimal,
        Canonical::Decimal,
        &[
            (f("12.345"), f("12.34"), Precision),
            (f("12.345"), f("12.35"), Precision),
            (f("12.344"), f("12.35"), Unknown),
            (f("9.995"), f("10"), Precision),
            (f("9.96"), f("10.0"), Precision),
            (f("99.5"), f("100"), Precision),
            (f("-0.04"), f("0"), Precision),
            (f("-12.345"), f("12.35"), Unknown),
            (f("0.0049"), f("0.005"), Precision),
            (f("1234.5"), f("1234.6"), Unknown),
            (f("1"), f("2"), Unknown),
            (f("NaN"), f("1"), Unknown),
            (f("Infinity"), f("-Infinity"), Unknown),
            (
                f("123456789012345678901234567890.5"),
                f("123456789012345678901234567891"),
                Precision,
            ),
        ],
    );
    check(
        T::Float { bits: 64 },
        Canonical::Float64,
        &[
            (f("-0"), f("0"), ZeroSign),
            (Cell::Real(-0.0), Cell::Real(0.0), ZeroSign),
            (f("0.1"), f("0.10000000149011612"), FloatWidth),
            (Cell::Real(0.1), Cell::Real(f64::from(0.1_f32)), FloatWidth),
            (f("0.30000000000000004"), f("0.3"), Precision),
            (f("0.1"), f("0.1000000001"), Precision),
            (f("1.5"), f("2.5"), Unknown),
            (f("NaN"), f("0"), Unknown),
        ],
    );
    let (single, double) = (T::Float { bits: 32 }, T::Float { bits: 64 });
    assert_eq!(
        cause(
            double,
            single,
            Canonical::Float64,
            &f("0.123456789012"),
            &f("0.12345679")
        ),
        FloatWidth
    );
    check(
        T::Decimal,
        Canonical::Exact,
        &[(f("1.50"), f("1.5"), Precision)],
    );
    // digits in a text are no number
    check(
        T::Text,
        Canonical::Text,
        &[(f("1.55"), f("1.6"), Unknown), (f("007"), f("7"), Unknown)],
    );
}

#[test]
fn forms() {
    use Cause::Form;
    check(
        T::Any,
        Canonical::Exact,
        &[
            (Cell::Integer(1), Cell::Real(1.0), Form),
            (Cell::Integer(1), t("1"), Form),
            (Cell::Integer(1), t("true"), Form),
            (Cell::Real(1.5), t("1.50"), Form),
            (t("abc"), b(b"abc"), Form),
            (Cell::Integer(1), t("2"), Cause::Unknown),
            (Cell::Integer(1), b(b"1"), Cause::Unknown),
        ],
    );
    check(
        T::Boolean,
        Canonical::Text,
        &[
            (f("t"), f("true"), Form),
            (f("t"), f("1"), Form),
            (f("t"), f("f"), Cause::Unknown),
        ],
    );
    check(
        T::Integer { bits: 64 },
        Canonical::Text,
        &[(f("007"), f("7"), Form)],
    );
    check(
        T::Uuid,
        Canonical::Text,
        &[(
            f("123e4567-e89b-12d3-a456-426614174000"),
            t("123E4567E89B12D3A456426614174000"),
            Form,
        )],
    );
}

#[test]
fn texts() {
    use Cause::*;
    check(
        T::Text,
        Canonical::Text,
        &[
            (f("abc"), f("abc  "), Padding),
            (f(""), f("   "), Padding),
            (f("abc\0"), f("abc"), Padding),
            (f("abc"), f(" abc"), Unknown),
            (f("caf\u{e9}"), f("cafe\u{301}"), Normalization),
            (f("café"), f("cafÃ©"), Charset),
            (f("5 €"), f("5 â‚¬"), Charset),
            (f("café"), f("caf?"), Charset),
            (f("né à"), f("n\u{fffd} \u{fffd}"), Charset),
            (f("café"), f("cafx"), Unknown),
            (f("what?"), f("whaté"), Charset),
            (f("Straße"), f("STRAßE"), Case),
            (f("Ada"), f("ada"), Case),
            (f("abcdef"), f("abc"), Truncation),
            (f("abc"), f(""), Unknown),
            (f("abc"), f("xyz"), Unknown),
        ],
    );
    // a text that was stored as ISO 8859-1, in a store that does not check
    check(
        T::Text,
        Canonical::Exact,
        &[(
            t("café"),
            Cell::Text(Bytes::from_static(b"caf\xe9")),
            Charset,
        )],
    );
    check(
        T::Bytes,
        Canonical::Bytes,
        &[
            (f("\\x0102"), b(&[1, 2, 0, 0]), Padding),
            (f("\\x0102"), b(&[1, 2, 3]), Truncation),
            (f("\\x0102"), b(&[1, 3]), Unknown),
        ],
    );
}

#[test]
fn null_and_what_the_log_did_not_carry() {
    use Cause::*;
    check(
        T::Text,
        Canonical::Text,
        &[
            (Cell::Null, f(""), NullOrEmpty),
            (Cell::Null, f("a"), Unknown),
            (Cell::Unchanged, f(""), Unknown),
        ],
    );
    check(
        T::Bytes,
        Canonical::Bytes,
        &[
            (Cell::Null, f("\\x"), NullOrEmpty),
            (Cell::Null, b(&[]), NullOrEmpty),
            (Cell::Null, Cell::Integer(0), Unknown),
        ],
    );
}

#[test]
fn documents() {
    use Cause::*;
    let deep = |n: usize| f(&("[".repeat(n) + &"]".repeat(n)));
    let deep_blank = |n: usize| f(&("[ ".repeat(n) + &"]".repeat(n)));
    check(
        T::Json,
        Canonical::Text,
        &[
            (
                f(r#"{"a": 1, "b": [true]}"#),
                f(r#"{"b":[true],"a":1}"#),
                JsonForm,
            ),
            (f(r#"{"a": 1, "a": 2}"#), f(r#"{"a":2}"#), JsonForm),
            (f(r#"{"a": 1, "a": 2}"#), f(r#"{"a":1}"#), Unknown),
            (f(r#"[1.0, 1e2]"#), f("[1,100]"), JsonForm),
            (f(r#"["\u00e9\/"]"#), f(r#"["é/"]"#), JsonForm),
            (f("[1, 2]"), f("[2, 1]"), Unknown),
            // numbers that one double stands for
            (
                f("[12345678901234567890123]"),
                f("[12345678901234567890124]"),
                Unknown,
            ),
            (f("[1 ]"), f("[2"), Unknown),
            (f(r#"["a\"#), f(r#"["b"#), Unknown),
            (f("null"), f(" null"), JsonForm),
            (f("{}"), f("{ }"), JsonForm),
            (deep(100), deep_blank(100), JsonForm),
            (deep(100_000), deep_blank(100_000), Unknown),
        ],
    );
    check(
        T::Text,
        Canonical::Text,
        &[
            (f(r#"{"a":1}"#), f(r#"{ "a" : 1 }"#), JsonForm),
            (f("1.0"), f("1e0"), Unknown),
        ],
    );
    // short exponents that stand for many digits
    let many = |blank: &str| f(&format!("[{}1]", format!("1e100000,{blank}").repeat(1000)));
    check(T::Json, Canonical::Text, &[(many(""), many(" "), Unknown)]);
}

fn of(source: Option<&Row>, target: Option<&Row>, columns: &[usize], facts: Facts) -> Likely {
    of_row(&table(0, Form::Ordered), source, target, columns, facts)
}

#[test]
fn rows() {
    let changed = |theirs: &Row, ours: &Row, columns: &[usize]| {
        of(Some(theirs), Some(ours), columns, Facts::default())
    };
    let one = changed(&row("1", "abc", "x"), &row("1", "abc ", "x"), &[1]);
    assert_eq!(one.cause, Cause::Padding);
    assert_eq!(one.why, format!("a: {}", Cause::Padding.sentence()));
    let both = changed(&row("1", "abc", "x"), &row("1", "abc ", "x "), &[1, 2]);
    assert_eq!(both.cause, Cause::Padding);
    assert!(both.why.starts_with("a, b: "), "{}", both.why);
    let several = changed(&row("1", "abc", "x"), &row("1", "abc ", "y"), &[1, 2]);
    assert_eq!(several.cause, Cause::Several);
    assert!(
        several.why.contains("a: ") && several.why.contains("; b: no rule"),
        "{}",
        several.why
    );
    let swapped = changed(&row("1", "abc", "x"), &row("1", "x", "abc"), &[1, 2]);
    assert_eq!(swapped.cause, Cause::Swapped);
    let copied = changed(&row("1", "abc", "x"), &row("1", "x", "x"), &[1]);
    assert_eq!(copied.cause, Cause::Unknown);
}

#[test]
fn what_is_known_of_a_row_goes_before_its_cells() {
    let here = row("1", "abc", "x");
    let facts = |stranger, older_image| Facts {
        stranger,
        older_image,
    };
    for (facts, expected) in [
        (facts(false, false), Cause::Unknown),
        (facts(true, false), Cause::Stranger),
        (facts(true, true), Cause::Stranger),
        (facts(false, true), Cause::LostChange),
    ] {
        assert_eq!(of(None, Some(&here), &[], facts).cause, expected);
        assert_eq!(of(Some(&here), None, &[], facts).cause, expected);
    }
    let padded = row("1", "abc ", "x");
    let found = of(Some(&here), Some(&padded), &[1], facts(true, false));
    assert_eq!(found.cause, Cause::Stranger);
    assert_eq!(found.why, Cause::Stranger.sentence());
}

#[test]
fn words_are_stable_and_an_unknown_one_can_be_read() {
    use Cause::*;
    for cause in [
        Stranger,
        LostChange,
        Swapped,
        NullOrEmpty,
        Form,
        TimeZone,
        FractionOfSecond,
        ZeroSign,
        FloatWidth,
        Precision,
        JsonForm,
        Padding,
        Normalization,
        Charset,
        Case,
        Truncation,
        Several,
        Unknown,
    ] {
        let word = serde_json::to_value(cause).unwrap();
        assert_eq!(word, cause.word());
        assert_eq!(serde_json::from_value::<Cause>(word).unwrap(), cause);
    }
    let later = serde_json::from_str::<Cause>("\"of_a_later_version\"").unwrap();
    assert_eq!(later, Unknown);
}
