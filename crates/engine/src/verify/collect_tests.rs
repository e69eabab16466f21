#![allow(clippy::unwrap_used)]

use super::*;
use crate::testkit::{Form, *};

fn collector(form: Form) -> Collector {
    Collector::new(&[table(0, form)])
}

fn identity(id: &str) -> Vec<u8> {
    let mut out = Vec::new();
    table(0, Form::Ordered)
        .identity_of(&key_row(id), &mut out)
        .unwrap();
    out
}

fn image<'a>(collector: &'a Collector, id: &str) -> &'a LastImage {
    &collector.tables[0].keys[&identity(id)]
}

#[test]
fn the_last_image_takes_what_it_lacks_from_those_before() {
    let mut at = collector(Form::Ordered);
    let changes = [
        insert(0, row("1", "x", "y")),
        update(0, None, row("1", "z", "~")),
    ];
    at.collect(t(1), &changes).unwrap();
    assert_eq!(image(&at, "1").row, Some(row("1", "z", "y")));
    at.collect(t(2), &[update(0, None, row("2", "x", "~"))])
        .unwrap();
    assert_eq!(image(&at, "2").row, Some(row("2", "x", "~")));
    assert_eq!(image(&at, "2").identity_at(&sees(9)), identity("2"));
    at.collect(t(3), &[delete(0, key_row("1"))]).unwrap();
    assert_eq!(image(&at, "1").row, None);
    at.collect(t(4), &[upsert(0, row("1", "n", "n"))]).unwrap();
    assert_eq!(image(&at, "1").row, Some(row("1", "n", "n")));
    assert_eq!(at.entries, 2);
}

#[test]
fn a_row_that_changed_its_key_is_found_where_the_snapshot_shows_it() {
    let mut at = collector(Form::Ordered);
    let rekey = |from: &str, to: &str| update(0, Some(key_row(from)), row(to, "x", "~"));
    at.collect(t(2), &[rekey("1", "9")]).unwrap();
    at.collect(t(3), &[rekey("2", "1")]).unwrap();
    at.collect(t(4), &[rekey("9", "2")]).unwrap();
    // the two have changed places
    assert_eq!(image(&at, "9").row, None);
    let shown = |id: &str, up_to: u64| image(&at, id).identity_at(&sees(up_to)).to_vec();
    for (up_to, one, two) in [(1, "2", "1"), (2, "2", "9"), (3, "1", "9"), (4, "1", "2")] {
        assert_eq!(shown("1", up_to), identity(one), "{up_to}");
        assert_eq!(shown("2", up_to), identity(two), "{up_to}");
    }
    // a whole image needs no other row
    at.collect(t(5), &[upsert(0, row("2", "x", "y"))]).unwrap();
    assert_eq!(image(&at, "2").identity_at(&sees(1)), identity("2"));
}

#[test]
fn an_unchanged_key_column_is_that_of_the_old_key() {
    let mut at = collector(Form::Unordered);
    let change = update(0, Some(key_row("long")), row("~", "x", "y"));
    at.collect(t(2), &[change]).unwrap();
    assert_eq!(image(&at, "long").row, Some(row("long", "x", "y")));
}

#[test]
fn a_table_without_key_keeps_what_came_and_went() {
    let mut at = collector(Form::Keyless);
    let changes = [
        insert(0, row("1", "x", "y")),
        update(0, Some(row("1", "x", "y")), row("2", "x", "y")),
        delete(0, row("2", "x", "y")),
    ];
    at.collect(t(2), &changes).unwrap();
    let came: Vec<bool> = at.tables[0].whole.iter().map(|w| w.came).collect();
    assert_eq!(came, [true, false, true, false]);
}

#[test]
fn a_truncate_and_more_than_can_be_held_begin_again() {
    let mut at = collector(Form::Ordered);
    at.collect(t(2), &[insert(0, row("1", "x", "y")), truncate(0)])
        .unwrap();
    assert!(at.too_much);
    assert!(at.tables[0].keys.is_empty());
    let mut at = collector(Form::Ordered);
    // a hot key is one key
    let hot: Vec<Change> = (0..MOST_ENTRIES + 10)
        .map(|_| upsert(0, row("1", "x", "y")))
        .collect();
    at.collect(t(2), &hot).unwrap();
    assert!(!at.too_much);
    let wide = "w".repeat(1 << 20);
    for n in 0..200 {
        at.collect(t(3), &[upsert(0, row(&n.to_string(), &wide, "y"))])
            .unwrap();
    }
    assert!(at.too_much, "bytes count, not only keys");
    at.collect(t(4), &[upsert(0, row("1", "x", "y"))]).unwrap();
    assert!(at.tables[0].keys.is_empty());
}

#[test]
fn what_is_kept_does_not_keep_the_buffer_that_it_was_cut_from() {
    let buffer = bytes::Bytes::from(vec![b'x'; 1 << 16]);
    let mut at = collector(Form::Ordered);
    let mut cut = row("1", "x", "y");
    cut.0[1] = crossfade_model::Cell::TextForm(buffer.slice(0..1));
    at.collect(t(2), &[upsert(0, cut)]).unwrap();
    assert!(buffer.is_unique());
}
