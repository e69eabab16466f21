//! Cells as literals, and sent values as cells.

#![allow(clippy::unwrap_used)]
use super::*;

fn written(kind: Kind, class: Canonical, cell: &Cell) -> Result<String, Refused> {
    let mut out = String::new();
    write_literal(kind, class, cell, &mut out).map(|()| out)
}

fn t(text: &str) -> Cell {
    Cell::TextForm(Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn values_become_literals_of_their_column() {
    let text = Kind::Text { length: 100 };
    let big = Kind::Integer {
        bits: 64,
        unsigned: true,
    };
    for (kind, class, cell, expected) in [
        (
            Kind::Integer {
                bits: 8,
                unsigned: false,
            },
            Canonical::Boolean,
            t("t"),
            "1",
        ),
        (
            big,
            Canonical::Exact,
            t("18446744073709551615"),
            "18446744073709551615",
        ),
        (
            Kind::Decimal { whole: 3, scale: 2 },
            Canonical::Decimal,
            t("001.50"),
            "1.5",
        ),
        (Kind::Double, Canonical::Float64, Cell::Real(-0.0), "-0e0"),
        (
            Kind::Single,
            Canonical::Float32,
            t("0.1"),
            "1.0000000149011612e-1",
        ),
        (text, Canonical::Text, t("it's \\"), "'it''s \\'"),
        (text, Canonical::Text, t(""), "''"),
        (Kind::Year, Canonical::Exact, t("0000"), "0000"),
        (
            Kind::Bytes {
                padded: false,
                length: 9,
            },
            Canonical::Bytes,
            t("\\x00ff"),
            "x'00ff'",
        ),
        (Kind::Bit { width: 3 }, Canonical::Exact, t("101"), "b'101'"),
        (
            Kind::Datetime { digits: 6 },
            Canonical::TimestampWithZone,
            t("2024-02-29 01:00:00.5+01"),
            "'2024-02-29 00:00:00.500000'",
        ),
        (
            Kind::Timestamp { digits: 0 },
            Canonical::Exact,
            t("2024-02-29 01:00:00+00"),
            "'2024-02-29 01:00:00'",
        ),
        (
            Kind::Date,
            Canonical::Exact,
            t("0000-00-00"),
            "'0000-00-00'",
        ),
        (
            Kind::Time { digits: 0 },
            Canonical::Exact,
            t("-838:59:59"),
            "'-838:59:59'",
        ),
        (
            Kind::Time { digits: 6 },
            Canonical::Time,
            t("24:00:00"),
            "'24:00:00.000000'",
        ),
        (
            text,
            Canonical::Uuid,
            t("A0EEBC999C0B4EF8BB6D6BB9BD380A11"),
            "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
        ),
    ] {
        assert_eq!(written(kind, class, &cell).as_deref(), Ok(expected));
    }
}

#[test]
fn what_a_column_would_change_is_refused() {
    use Refused::{Class, Digits, Encoding, Range};
    let text = Kind::Text { length: 100 };
    for (kind, class, cell, why) in [
        (
            Kind::Integer {
                bits: 8,
                unsigned: false,
            },
            Canonical::Integer,
            t("128"),
            Range,
        ),
        (
            Kind::Integer {
                bits: 64,
                unsigned: true,
            },
            Canonical::Integer,
            t("-1"),
            Range,
        ),
        (
            Kind::Integer {
                bits: 64,
                unsigned: false,
            },
            Canonical::Integer,
            t("1.5"),
            Class,
        ),
        (
            Kind::Decimal { whole: 3, scale: 2 },
            Canonical::Decimal,
            t("1.555"),
            Digits,
        ),
        (
            Kind::Decimal { whole: 3, scale: 2 },
            Canonical::Decimal,
            t("NaN"),
            Range,
        ),
        (Kind::Double, Canonical::Float64, t("Infinity"), Class),
        (Kind::Date, Canonical::Date, t("0000-00-00"), Class),
        (Kind::Date, Canonical::Date, t("infinity"), Range),
        (
            Kind::Datetime { digits: 3 },
            Canonical::Timestamp,
            t("2024-01-01 00:00:00.0001"),
            Digits,
        ),
        (
            Kind::Datetime { digits: 6 },
            Canonical::Timestamp,
            t("10000-01-01 00:00:00"),
            Range,
        ),
        (Kind::Date, Canonical::Exact, t("x' OR 1"), Class),
        (
            Kind::Bytes {
                padded: true,
                length: 2,
            },
            Canonical::Bytes,
            t("\\x00"),
            Range,
        ),
        (
            text,
            Canonical::Text,
            Cell::TextForm(Bytes::from_static(b"\xff")),
            Encoding,
        ),
        (text, Canonical::Text, Cell::Integer(1), Class),
        (Kind::Bit { width: 2 }, Canonical::Exact, t("1"), Range),
    ] {
        assert_eq!(written(kind, class, &cell), Err(why));
    }
}

#[test]
fn sent_values_become_cells() {
    let sent = |bytes: &[u8]| mysql_async::Value::Bytes(bytes.to_vec());
    assert_eq!(cell(Kind::Bit { width: 3 }, false, sent(&[5])), t("101"));
    assert_eq!(
        cell(Kind::Bit { width: 12 }, false, sent(&[2, 1])),
        t("001000000001")
    );
    assert_eq!(
        cell(
            Kind::Timestamp { digits: 0 },
            false,
            sent(b"2024-01-01 00:00:00")
        ),
        t("2024-01-01 00:00:00+00")
    );
    let decimal = Kind::Decimal { whole: 5, scale: 2 };
    for (text, shown) in [
        ("00007", "7"),
        ("00000", "0"),
        ("000.50", "0.50"),
        ("-0.50", "-0.50"),
        ("10", "10"),
    ] {
        assert_eq!(cell(decimal, false, sent(text.as_bytes())), t(shown));
    }
    assert_eq!(
        cell(Kind::Formed, false, sent(&[0, 1])),
        Cell::Blob(Bytes::from_static(&[0, 1]))
    );
    assert_eq!(
        cell(Kind::Date, false, mysql_async::Value::NULL),
        Cell::Null
    );
}
