#![allow(clippy::unwrap_used)]

use crossfade_model::Cell;
use crossfade_rules::proof::Status;

use super::*;
use crate::testkit::{Form, *};

fn bound(mapping: &TableMapping, id: &str) -> Bound {
    Bound {
        key: key(mapping, id),
        cells: vec![Cell::TextForm(id.to_owned().into())],
    }
}

/// Table 0 in three ranges, cut at 10 and 20; table 1 without key.
fn proofs() -> Proofs {
    let tables = [table(0, Form::Ordered), table(1, Form::Keyless)];
    let bounds = vec![bound(&tables[0], "10"), bound(&tables[0], "20")];
    Proofs::new(&tables, vec![bounds, Vec::new()])
}

fn stamp(position: u64) -> Stamp {
    Stamp {
        position: Position(position),
        at: 0,
    }
}

fn prove(proofs: &mut Proofs) {
    for ticket in proofs.begin_all() {
        assert_eq!(proofs.finish(ticket, stamp(5), true), Finished::Taken);
    }
    assert!(proofs.book.everything_proven());
}

fn touched(proofs: &Proofs) -> Vec<(u32, String)> {
    let all = proofs.book.touched();
    let shown = all.map(|(range, key)| (range.0, format!("{:?}", key.cells.0[0])));
    shown.collect()
}

#[test]
fn a_change_touches_the_range_of_its_key_and_a_change_of_key_both() {
    let mut proofs = proofs();
    prove(&mut proofs);
    let rekey = update(0, Some(key_row("9")), row("20", "x", "~"));
    proofs.touch(&[insert(0, row("10", "a", "b")), rekey]);
    let cell = |id: &str| format!("{:?}", Cell::TextForm(id.to_owned().into()));
    assert_eq!(
        touched(&proofs),
        [(0, cell("9")), (1, cell("10")), (2, cell("20"))]
    );
    assert!(matches!(
        proofs.book.status(RangeId(0)),
        Status::Proven { .. }
    ));
}

#[test]
fn what_has_no_place_touches_its_whole_table() {
    let mut proofs = proofs();
    prove(&mut proofs);
    proofs.touch(&[insert(1, row("1", "a", "b"))]);
    assert_eq!(proofs.book.status(RangeId(3)), Status::Unproven);
    assert!(matches!(
        proofs.book.status(RangeId(0)),
        Status::Proven { .. }
    ));
    proofs.touch(&[truncate(0)]);
    for range in 0..4 {
        assert_eq!(proofs.book.status(RangeId(range)), Status::Unproven);
    }
    prove(&mut proofs);
    proofs.touch(&[delete(0, key_row("no number"))]);
    for range in 0..3 {
        assert_eq!(proofs.book.status(RangeId(range)), Status::Unproven);
    }
}

#[test]
fn ranges_cover_every_key_and_say_whose_they_are() {
    let mut proofs = proofs();
    let tickets = proofs.begin_all();
    let tables: Vec<usize> = tickets.iter().map(|t| proofs.table_of(t)).collect();
    assert_eq!(tables, [0, 0, 0, 1]);
    let ends = |n: u32| match &proofs.spec(RangeId(n)).unwrap().range {
        ChunkRange::Keys { low, high } => (
            low.as_ref().map(|b| b.key.clone()),
            high.as_ref().map(|b| b.key.clone()),
        ),
        other => panic!("{other:?}"),
    };
    assert_eq!(ends(0).0, None);
    assert_eq!(ends(0).1, ends(1).0);
    assert_eq!(ends(1).1, ends(2).0);
    assert_eq!(ends(2).1, None);
    assert_eq!(proofs.spec(RangeId(3)).unwrap().range, ChunkRange::All);
}

#[test]
fn a_strangers_write_takes_its_key_or_all_of_the_table_out_of_what_is_proven() {
    let mut proofs = proofs();
    prove(&mut proofs);
    proofs.stranger(0, Some(&key_row("15")));
    assert!(!proofs.book.everything_proven());
    assert_eq!(touched(&proofs).len(), 1);
    prove(&mut proofs);
    // a reading that was under way when it became known keeps the key
    let tickets = proofs.begin_all();
    proofs.stranger(0, Some(&key_row("15")));
    for ticket in tickets {
        assert_eq!(proofs.finish(ticket, stamp(6), true), Finished::Taken);
    }
    assert_eq!(touched(&proofs).len(), 1);
    prove(&mut proofs);
    proofs.stranger(0, None);
    let progress = proofs.progress(|_| String::new());
    assert_eq!((progress.unproven, progress.proven), (3, 1));
    prove(&mut proofs);
    // a table without key has no keys to leave out
    proofs.stranger(1, Some(&key_row("15")));
    assert_eq!(proofs.progress(|_| String::new()).unproven, 1);
}

/// Two parts of one table's columns: what takes a row away through one takes it from the other.
#[test]
fn a_delete_or_a_truncate_of_one_part_touches_the_other_parts_of_the_table() {
    let mut tables = [table(0, Form::Ordered), table(1, Form::Ordered)];
    tables[1].target.name = tables[0].target.name.clone();
    let bounds = vec![bound(&tables[1], "10")];
    let mut proofs = Proofs::new(&tables, vec![Vec::new(), bounds]);
    prove(&mut proofs);
    proofs.touch(&[delete(0, key_row("12"))]);
    let cell = format!("{:?}", Cell::TextForm("12".into()));
    assert_eq!(touched(&proofs), [(0, cell.clone()), (2, cell)]);
    prove(&mut proofs);
    proofs.touch(&[truncate(1)]);
    assert_eq!(
        proofs.progress(|_| String::new()).unproven,
        3,
        "all ranges of both"
    );
    // a key of another type says nothing of the other's
    let mut tables = [table(0, Form::Ordered), table(1, Form::Unordered)];
    tables[1].target.name = tables[0].target.name.clone();
    let mut proofs = Proofs::new(&tables, vec![Vec::new(), Vec::new()]);
    prove(&mut proofs);
    proofs.touch(&[delete(0, key_row("12"))]);
    assert_eq!(proofs.book.status(RangeId(1)), Status::Unproven);
}

/// Merged with a constant before the key: no row of one is the other's.
#[test]
fn rows_that_a_constant_of_the_key_keeps_apart_touch_nothing_of_each_other() {
    let merged = |id: u32, town: &str| {
        let mut mapping = table(id, Form::Ordered);
        mapping.target.name.name = "shops".to_owned();
        mapping.source.key.as_mut().unwrap().columns = vec![0, 1];
        mapping.origin = Some(Box::new(crossfade_model::Origin {
            table: mapping.source.clone(),
            filter: None,
            limits: None,
            columns: vec!["id".to_owned(), format!("'{town}'"), "b".to_owned()],
            meanings: Vec::new(),
        }));
        mapping
    };
    let tables = [merged(0, "B"), merged(1, "P"), merged(2, "P")];
    let mut proofs = Proofs::new(&tables, vec![Vec::new(), Vec::new(), Vec::new()]);
    prove(&mut proofs);
    proofs.touch(&[delete(1, row("12", "P", "~"))]);
    let ranges: Vec<u32> = touched(&proofs)
        .into_iter()
        .map(|(range, _)| range)
        .collect();
    assert_eq!(ranges, [1, 2]);
}
