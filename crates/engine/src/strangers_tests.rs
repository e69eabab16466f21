#![allow(clippy::unwrap_used)]

use crossfade_model::TableName;

use super::*;
use crate::testkit::{Form, key_row, table};

fn entry(operation: Written, key: Option<&str>) -> Stranger {
    Stranger {
        id: Some(1),
        table: TableName {
            schema: None,
            name: "t0".into(),
        },
        operation,
        key: key.map(|key| vec![Cell::TextForm(key.to_owned().into())]),
        at: 5,
        who: "somebody".into(),
        told: false,
    }
}

fn entered(entries: &[Stranger]) -> (Marks, TableMapping) {
    let mapping = table(0, Form::Ordered);
    let marks = Marks::default();
    for entry in entries {
        let digest = super::key(&mapping, entry).map(|key| key.digest);
        marks.known().enter(&mapping, entry, digest);
    }
    (marks, mapping)
}

fn is_strangers(marks: &Marks, mapping: &TableMapping, id: &str, kind: DifferenceKind) -> bool {
    let digest = key_digest(mapping, &key_row(id)).unwrap();
    marks.facts(mapping, Some(&digest), kind).stranger
}

#[test]
fn a_noted_key_and_no_other_is_a_strangers() {
    let (marks, mapping) = entered(&[entry(Written::Update, Some("7"))]);
    for kind in [DifferenceKind::Missing, DifferenceKind::Changed] {
        assert!(is_strangers(&marks, &mapping, "7", kind));
        assert!(!is_strangers(&marks, &mapping, "8", kind));
    }
    let other = table(1, Form::Ordered);
    assert!(!is_strangers(&marks, &other, "7", DifferenceKind::Changed));
}

#[test]
fn an_emptied_table_explains_the_rows_that_are_missing() {
    let (marks, mapping) = entered(&[entry(Written::Truncate, None), entry(Written::More, None)]);
    assert!(is_strangers(&marks, &mapping, "8", DifferenceKind::Missing));
    assert!(!is_strangers(&marks, &mapping, "8", DifferenceKind::Extra));
    let shown = marks.shown();
    assert_eq!((shown.writes, shown.more), (1, true));
}

#[test]
fn the_latest_are_shown_and_all_are_counted() {
    let entries: Vec<Stranger> = (0..9)
        .map(|n| entry(Written::Insert, Some(&n.to_string())))
        .collect();
    let (marks, _) = entered(&entries);
    let shown = marks.shown();
    let keys: Vec<&str> = shown
        .latest
        .iter()
        .filter_map(|w| w.key.as_deref())
        .collect();
    assert_eq!(keys, ["4", "5", "6", "7", "8"]);
    assert_eq!(shown.writes, 9);
    let found = Strangers {
        is_behind: false,
        entries,
        ..Strangers::default()
    };
    assert_eq!(super::seen(&found), shown);
}
