#![allow(clippy::unwrap_used)]

use crossfade_model::Change;

use super::*;
use crate::progress::DifferenceKind;
use crate::testkit::{Form, *};
use crate::verify::collect::Collector;
use crate::verify::side::BUCKETS;

fn mapping() -> TableMapping {
    table(0, Form::Ordered)
}

fn identity(row: &Row) -> Vec<u8> {
    let mut out = Vec::new();
    mapping().identity_of(row, &mut out).unwrap();
    out
}

/// One side's rows, all of them kept apart.
fn side(rows: &[Row]) -> Sums {
    Sums {
        buckets: vec![BucketSum::default(); BUCKETS],
        rows: rows.len() as u64,
        apart: rows.iter().map(|r| (identity(r), r.clone())).collect(),
        too_much: false,
    }
}

/// The source at S1, the stream's changes by transaction, what S1 sees, and the target at p2.
fn differ(
    at_s1: &[Row],
    stream: &[(u64, Change)],
    seen: u64,
    target: &[Row],
) -> Vec<(DifferenceKind, String)> {
    let mut collector = Collector::new(&[mapping()]);
    for (id, change) in stream {
        collector
            .collect(t(*id), std::slice::from_ref(change))
            .unwrap();
    }
    let touched = collector.into_touched().remove(0);
    let apart = apart_of(&touched);
    for row in at_s1.iter().chain(target) {
        assert!(apart.contains(&identity(row)), "every row here was touched");
    }
    let found = touched_differences(
        &mapping(),
        &touched,
        &sees(seen),
        &side(at_s1),
        &side(target),
    );
    found.into_iter().map(|d| (d.kind, d.key)).collect()
}

#[test]
fn a_touched_key_is_compared_with_its_last_image_whatever_the_snapshot_saw() {
    let stream = [
        (2, update(0, None, row("1", "b", "~"))),
        (3, update(0, None, row("1", "c", "~"))),
        (4, insert(0, row("2", "n", "n"))),
        (5, delete(0, key_row("3"))),
    ];
    let target = [row("1", "c", "y"), row("2", "n", "n")];
    for (seen, at_s1) in [
        (1, vec![row("1", "a", "y"), row("3", "d", "d")]),
        (2, vec![row("1", "b", "y"), row("3", "d", "d")]),
        (
            4,
            vec![row("1", "c", "y"), row("2", "n", "n"), row("3", "d", "d")],
        ),
        (5, target.to_vec()),
    ] {
        assert_eq!(differ(&at_s1, &stream, seen, &target), [], "{seen}");
    }
    let at_s1 = [row("1", "a", "y"), row("3", "d", "d")];
    let kinds = |target: &[Row]| {
        let mut found = differ(&at_s1, &stream, 1, target);
        found.sort_by(|a, b| a.1.cmp(&b.1));
        found
    };
    let one = |kind, key: &str| (kind, key.to_owned());
    assert_eq!(
        kinds(&[row("1", "b", "y"), row("3", "d", "d")]),
        [
            one(DifferenceKind::Changed, "1"),
            one(DifferenceKind::Missing, "2"),
            one(DifferenceKind::Extra, "3"),
        ]
    );
    assert_eq!(
        kinds(&[row("1", "c", "other"), row("2", "n", "n")]),
        [one(DifferenceKind::Changed, "1")],
        "a column that the stream did not carry"
    );
}

#[test]
fn rows_that_changed_places_take_their_columns_from_where_the_snapshot_shows_them() {
    let rekey = |from: &str, to: &str, a: &str| update(0, Some(key_row(from)), row(to, a, "~"));
    let stream = [
        (2, rekey("1", "9", "p")),
        (3, rekey("2", "1", "q")),
        (4, rekey("9", "2", "p")),
    ];
    let target = [row("1", "q", "Q"), row("2", "p", "P")];
    for (seen, at_s1) in [
        (1, [row("1", "p", "P"), row("2", "q", "Q")]),
        (2, [row("9", "p", "P"), row("2", "q", "Q")]),
        (3, [row("9", "p", "P"), row("1", "q", "Q")]),
        (4, [row("2", "p", "P"), row("1", "q", "Q")]),
    ] {
        assert_eq!(differ(&at_s1, &stream, seen, &target), [], "{seen}");
        let swapped = [row("1", "q", "P"), row("2", "p", "Q")];
        assert_eq!(differ(&at_s1, &stream, seen, &swapped).len(), 2, "{seen}");
    }
}

#[test]
fn a_difference_is_one_once_the_next_comparison_shows_it_too() {
    let report = |keys: &[&[&str]], more: bool| VerifyReport {
        position: String::new(),
        started: 0,
        finished: 0,
        equal: false,
        tables: keys
            .iter()
            .map(|keys| TableVerify {
                name: String::new(),
                columns: Vec::new(),
                rows: 0,
                source: BucketSum::default(),
                target: BucketSum::default(),
                stream_proven_keys: 0,
                equal: keys.is_empty() && !more,
                differences: keys
                    .iter()
                    .map(|key| Difference {
                        kind: DifferenceKind::Missing,
                        key: (*key).to_owned(),
                        columns: Vec::new(),
                        cause: Default::default(),
                        why: String::new(),
                        row_key: None,
                        source_row: None,
                        target_row: None,
                    })
                    .collect(),
                more,
            })
            .collect(),
    };
    let first = report(&[&["1", "2"], &[]], false);
    assert!(nothing_new(&first, &report(&[&["2"], &[]], false)));
    assert!(nothing_new(&first, &report(&[&[], &[]], false)));
    assert!(!nothing_new(&first, &report(&[&["3"], &[]], false)));
    assert!(!nothing_new(&first, &report(&[&["1"], &["1"]], false)));
    // rows that could not be named, in a table that was equal before
    assert!(!nothing_new(&report(&[&[]], false), &report(&[&[]], true)));
    assert!(nothing_new(&report(&[&[]], true), &report(&[&[]], true)));
}
