#![allow(clippy::unwrap_used)]

use crossfade_model::Change;

use super::*;
use crate::progress::DifferenceKind;
use crate::testkit::{Form, *};
use crate::verify::collect::Collector;

fn summed(rows: &[Row]) -> BucketSums {
    let mapping = table(0, Form::Ordered);
    let mut digester = Digester::new(&[7; 32]);
    let mut sums = BucketSums::default();
    for row in rows {
        sums.add(digester.row(&mapping.columns, row).unwrap());
    }
    sums
}

/// The source at S1, the stream's changes by transaction, what S1 sees, and the target at p2. Every row was touched.
fn differ(
    at_s1: &[Row],
    stream: &[(u64, Change)],
    seen: u64,
    target: &[Row],
) -> Vec<(DifferenceKind, String)> {
    let mapping = table(0, Form::Ordered);
    let mut collector = Collector::new(std::slice::from_ref(&mapping));
    for (id, change) in stream {
        collector
            .collect(t(*id), std::slice::from_ref(change))
            .unwrap();
    }
    let touched = collector.into_touched().remove(0);
    let mut sums = Sums {
        source: summed(at_s1),
        target: summed(target),
    };
    let mut settled = Settled::default();
    let digester = Digester::new(&[7; 32]);
    let identities: Vec<&[u8]> = touched.cells.keys().map(Vec::as_slice).collect();
    Settling {
        marks: &Marks::default(),
        mapping: &mapping,
        digester: &digester,
        touched: &touched,
        view: &sees(seen),
        readers: [(); 2].map(|()| Reader::new(&mapping, &digester, "a store")),
        sums: &mut sums,
        settled: &mut settled,
    }
    .some(&identities, at_s1.to_vec(), target.to_vec())
    .unwrap();
    let nothing = BucketSums::default();
    assert_eq!((&sums.source, &sums.target), (&nothing, &nothing));
    assert_eq!(settled.found, summed(target).total());
    if settled.differences.is_empty() {
        assert_eq!(settled.expected, settled.found);
    }
    let found = settled.differences.into_iter();
    found.map(|d| (d.kind, d.key)).collect()
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
fn a_second_row_of_one_key_stays_in_the_sums() {
    let mapping = table(0, Form::Ordered);
    let mut collector = Collector::new(std::slice::from_ref(&mapping));
    collector
        .collect(t(2), &[upsert(0, row("1", "a", "b"))])
        .unwrap();
    let touched = collector.into_touched().remove(0);
    let twice = [row("1", "a", "b"), row("1", "a", "b")];
    let mut sums = Sums {
        source: summed(&twice[..1]),
        target: summed(&twice),
    };
    let mut settled = Settled::default();
    let digester = Digester::new(&[7; 32]);
    let identities: Vec<&[u8]> = touched.cells.keys().map(Vec::as_slice).collect();
    Settling {
        marks: &Marks::default(),
        mapping: &mapping,
        digester: &digester,
        touched: &touched,
        view: &sees(1),
        readers: [(); 2].map(|()| Reader::new(&mapping, &digester, "a store")),
        sums: &mut sums,
        settled: &mut settled,
    }
    .some(&identities, twice[..1].to_vec(), twice.to_vec())
    .unwrap();
    assert_eq!(sums.source, BucketSums::default());
    assert_eq!(sums.target, summed(&twice[..1]));
}
