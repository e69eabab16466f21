use bytes::Bytes;

use super::*;

fn column(name: &str, class: ColumnClass) -> QueryColumn {
    QueryColumn {
        name: name.to_owned(),
        class,
    }
}

fn same(one: (ColumnClass, Cell), other: (ColumnClass, Cell)) -> bool {
    let theirs = [column("a", one.0)];
    let ours = [column("a", other.0)];
    let projection = Projection {
        name: listed("p"),
        source: listed("select"),
        target: listed("select"),
        key: vec!["a".to_owned()],
    };
    let (forms, key) = columns(&projection, &theirs, &ours).unwrap_or_default();
    let form = |class, cell: &Cell| {
        let reading = Reading {
            classes: vec![class],
            forms: &forms,
            key: &key,
        };
        reading.form(0, cell)
    };
    form(one.0, &one.1) == form(other.0, &other.1)
}

fn listed(text: &str) -> crossfade_plan::Listed {
    crossfade_plan::Listed {
        text: text.to_owned(),
        line: 1,
    }
}

fn form(text: &str) -> Cell {
    Cell::TextForm(Bytes::copy_from_slice(text.as_bytes()))
}

fn text(text: &str) -> Cell {
    Cell::Text(Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn values_are_compared_by_what_their_columns_are() {
    use ColumnClass::{Any, Boolean, Number, Text};
    for (one, other, equal) in [
        ((Number, form("2.50")), (Number, form("2.5")), true),
        ((Number, form("2.50")), (Any, text("2.5")), true),
        ((Number, form("2")), (Any, Cell::Integer(2)), true),
        ((Number, form("0.1")), (Any, Cell::Real(0.1)), true),
        ((Number, form("2.51")), (Any, text("2.5")), false),
        ((Boolean, form("t")), (Any, Cell::Integer(1)), true),
        ((Boolean, form("f")), (Any, Cell::Integer(1)), false),
        ((Boolean, form("f")), (Number, form("0")), true),
        ((Text, form("007")), (Text, form("7")), false),
        ((Text, form("007")), (Any, text("007")), true),
        ((Text, form("t")), (Any, Cell::Integer(1)), false),
        ((Text, form("")), (Any, Cell::Null), false),
        ((Number, Cell::Null), (Any, Cell::Null), true),
        ((Any, Cell::Integer(1)), (Any, Cell::Real(1.0)), true),
        ((Any, text("a")), (Any, text("a ")), false),
    ] {
        let shown = format!("{one:?} {other:?}");
        assert_eq!(same(one, other), equal, "{shown}");
    }
}

#[test]
fn columns_must_be_the_same_and_hold_the_key() {
    let key = ["a".to_owned()];
    let of = |names: &[&str]| -> Vec<QueryColumn> {
        names.iter().map(|n| column(n, ColumnClass::Any)).collect()
    };
    let code = |theirs: &[&str], ours: &[&str]| {
        key_places(&key, &of(theirs), &of(ours)).map_err(|(code, _)| code)
    };
    assert_eq!(code(&["b", "a"], &["b", "a"]), Ok(vec![1]));
    assert_eq!(code(&["a"], &["A"]), Err("projection.columns"));
    assert_eq!(code(&["a"], &["a", "b"]), Err("projection.columns"));
    assert_eq!(code(&["b"], &["b"]), Err("projection.key"));
}

#[test]
fn keys_that_differ_are_found_whichever_side_has_them() {
    let side =
        |rows: &[(u8, u8)]| Digests(rows.iter().map(|(k, r)| ([*k; 16], [*r; 16])).collect());
    let source = side(&[(1, 1), (2, 2), (3, 3)]);
    let target = side(&[(1, 1), (2, 9), (4, 4)]);
    assert_eq!(unequal(&source, &target), [[2; 16], [3; 16], [4; 16]]);
    assert!(unequal(&source, &source).is_empty());
}
