#![allow(clippy::unwrap_used)]

use bytes::Bytes;

use super::*;

fn measuring(canonical: Canonical, measures: &'static [Measure]) -> Measuring {
    Measuring {
        canonical,
        measures,
        nulls: 0,
        sum: ExactSum::default(),
        octets: 0,
        count_true: 0,
        least: None,
        greatest: None,
    }
}

fn text(text: &str) -> Cell {
    Cell::Text(Bytes::copy_from_slice(text.as_bytes()))
}

fn form(n: &str) -> Cell {
    Cell::TextForm(Bytes::copy_from_slice(n.as_bytes()))
}

#[test]
fn values_are_measured_by_what_they_mean() {
    let number = &[
        Measure::Nulls,
        Measure::Sum,
        Measure::Least,
        Measure::Greatest,
    ];
    let mut at = measuring(Canonical::Decimal, number);
    for cell in [text("10.50"), Cell::Null, Cell::Integer(-3), text("9")] {
        at.add(&cell).unwrap();
    }
    let expected = [form("1"), form("16.5"), Cell::Integer(-3), text("10.50")];
    assert_eq!(at.cells(), expected);
    let moment = &[Measure::Least, Measure::Greatest];
    let mut at = measuring(Canonical::Timestamp, moment);
    for cell in ["2024-01-01 00:00:00.5", "2024-01-01", "999-12-31 00:00:00"] {
        // the year is not the first to differ as text
        let _ = at.add(&text(cell));
    }
    let cells = at.cells();
    assert_eq!(cells[1], text("2024-01-01 00:00:00.5"));
    let mut at = measuring(Canonical::Boolean, &[Measure::Nulls, Measure::True]);
    for cell in [Cell::Integer(1), text("t"), Cell::Integer(0), Cell::Null] {
        at.add(&cell).unwrap();
    }
    assert_eq!(at.cells(), [form("1"), form("2")]);
    let mut at = measuring(Canonical::Text, &[Measure::Octets]);
    at.add(&text("zwölf")).unwrap();
    assert_eq!(at.cells(), [form("6")]);
}

#[test]
fn a_value_of_another_type_is_an_error_unless_bits_are_compared() {
    let number = &[Measure::Sum, Measure::Least, Measure::Greatest];
    let odd = text("twelve");
    assert!(measuring(Canonical::Integer, number).add(&odd).is_err());
    assert!(
        measuring(Canonical::Boolean, &[Measure::True])
            .add(&odd)
            .is_err()
    );
    let mut at = measuring(Canonical::Exact, number);
    let real = Cell::Real(2.5);
    for cell in [&odd, &Cell::Integer(2), &real, &Cell::Real(f64::INFINITY)] {
        at.add(cell).unwrap();
    }
    assert_eq!(at.cells(), [form("4.5"), Cell::Integer(2), odd]);
}
