use super::*;
use crate::testkit::{Form, table};

fn text(text: &str) -> Cell {
    Cell::TextForm(bytes::Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn what_differs_is_named_by_column_and_measure() {
    let mut mapping = table(0, Form::Ordered);
    mapping.columns[0].canonical = Canonical::Integer;
    mapping.columns[2].canonical = Canonical::Float64;
    let side = |rows, sum: &str, least: Cell| Aggregates {
        rows,
        columns: vec![
            vec![text("0"), text(sum), least, Cell::Integer(9)],
            vec![text("1"), text("20")],
            vec![text("2")],
        ],
    };
    let one = side(3, "12", text("1"));
    let equal = compared(&mapping, &one, &side(3, "12.0", Cell::Integer(1)));
    assert!(equal.equal, "{equal:?}");
    assert_eq!(equal.measures, 8);
    assert_eq!(equal.not_compared, ["b"]);
    let found = compared(&mapping, &one, &side(4, "13", Cell::Null));
    let named = found.differences.iter();
    let named: Vec<_> = named.map(|d| (d.column.as_deref(), d.measure)).collect();
    assert_eq!(
        named,
        [
            (None, None),
            (Some("id"), Some(Measure::Sum)),
            (Some("id"), Some(Measure::Least)),
        ]
    );
    assert_eq!(found.differences[1].target.as_deref(), Some("13"));
}
