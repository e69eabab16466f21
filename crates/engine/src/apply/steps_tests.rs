#![allow(clippy::unwrap_used)]

use super::*;
use crate::testkit::{Form, key_row, row, shown, table};

fn key(id: &str) -> NetKey {
    let mapping = table(0, Form::Unordered);
    net_key(&mapping, &mapping.key_encoder(), &key_row(id)).unwrap()
}

const T: TableId = TableId(0);

#[test]
fn only_inserts_of_different_keys_are_said_to_be_new() {
    let mut steps = Steps::default();
    steps.insert(T, key("1"), row("1", "x", "y"));
    steps.insert(T, key("2"), row("2", "x", "y"));
    assert_eq!(shown(&steps.finish()), [["0+1 x y!", "0+2 x y!"]]);

    let mut steps = Steps::default();
    steps.insert(T, key("1"), row("1", "x", "y"));
    steps.insert(T, key("1"), row("1", "z", "y"));
    assert_eq!(shown(&steps.finish()), [["0+1 z y"]], "one key twice");

    let mut steps = Steps::default();
    steps.delete(T, key("1"));
    steps.insert(T, key("1"), row("1", "x", "y"));
    steps.insert(T, key("2"), row("2", "x", "y"));
    assert_eq!(
        shown(&steps.finish()),
        [["0+1 x y", "0+2 x y"]],
        "the deleted row is still there"
    );
}

#[test]
fn a_row_that_comes_and_goes_is_gone() {
    let mut steps = Steps::default();
    steps.insert(T, key("1"), row("1", "x", "y"));
    steps.delete(T, key("1"));
    assert_eq!(shown(&steps.finish()), [["0-1"]]);
}

#[test]
fn missing_columns_come_from_the_row_as_it_was_before_the_batch() {
    let mut steps = Steps::default();
    steps.update(T, key("1"), row("1", "x", "~")).unwrap();
    steps.update(T, key("1"), row("1", "~", "~")).unwrap();
    steps
        .rekey(T, key("1"), key("2"), row("2", "z", "~"))
        .unwrap();
    steps
        .rekey(T, key("2"), key("3"), row("3", "z", "~"))
        .unwrap();
    assert_eq!(shown(&steps.finish()), [["0+3 z ~ from 1", "0-1", "0-2"]]);
}

#[test]
fn two_rows_that_change_places_take_each_others_columns_from_before() {
    let mut steps = Steps::default();
    for (old, new) in [("1", "9"), ("2", "1"), ("9", "2")] {
        steps
            .rekey(T, key(old), key(new), row(new, old, "~"))
            .unwrap();
    }
    assert_eq!(
        shown(&steps.finish()),
        [["0+1 2 ~ from 2", "0+2 9 ~ from 1", "0-9"]]
    );
}

#[test]
fn an_image_without_all_columns_has_nothing_to_take_them_from_after_a_delete() {
    let mut steps = Steps::default();
    steps.delete(T, key("1"));
    assert_eq!(steps.update(T, key("1"), row("1", "x", "~")), Err(NoBase));
    let rekeyed = steps.rekey(T, key("1"), key("2"), row("2", "x", "~"));
    assert_eq!(rekeyed, Err(NoBase));
    assert_eq!(shown(&steps.finish()), [["0-1"]]);
}

#[test]
fn emptying_a_range_comes_after_all_tables_so_far_and_before_what_follows() {
    let other = TableId(1);
    let mut steps = Steps::default();
    steps.insert(other, key("1"), row("1", "x", "y"));
    steps.insert(T, key("1"), row("1", "x", "y"));
    steps.clear(T, ChunkRange::All);
    steps.update(T, key("1"), row("1", "z", "~")).unwrap();
    steps.insert(other, key("2"), row("2", "x", "y"));
    let expected: [&[&str]; 5] = [
        &["0+1 x y!"],
        &["1+1 x y!"],
        &["0 clear"],
        &["0+1 z ~"],
        &["1+2 x y!"],
    ];
    assert_eq!(shown(&steps.finish()), expected);
}

#[test]
fn rows_without_key_are_counted_and_cancel_out() {
    let whole = |id: &str| WholeRow::new(row(id, "x", "y")).unwrap();
    let mut steps = Steps::default();
    for _ in 0..3 {
        steps.insert_whole(T, whole("1"));
    }
    steps.delete_whole(T, whole("1"));
    steps.delete_whole(T, whole("2"));
    steps.delete_whole(T, whole("2"));
    steps.delete_whole(T, whole("3"));
    steps.insert_whole(T, whole("3"));
    assert_eq!(
        shown(&steps.finish()),
        [["0+1 x y", "0+1 x y", "0-2 x y ×2"]]
    );
    assert!(WholeRow::new(row("1", "~", "y")).is_none());
}

#[test]
fn a_key_that_the_new_image_lacks_is_that_of_the_old() {
    let mapping = table(0, Form::Ordered);
    let old = key_row("7");
    let filled = with_key_of(&mapping, Some(&old), &row("~", "x", "~")).into_owned();
    assert_eq!(filled, row("7", "x", "~"));
    let moved = row("8", "x", "~");
    assert_eq!(*with_key_of(&mapping, Some(&old), &moved), moved);
    let lost = row("~", "x", "y");
    assert_eq!(*with_key_of(&mapping, None, &lost), lost);
}
