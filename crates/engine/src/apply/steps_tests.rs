#![allow(clippy::unwrap_used)]

use super::*;
use crate::testkit::{Form, key_row, row, shown, table};

fn key(id: &str) -> NetKey<'static> {
    let mapping = table(0, Form::Unordered);
    let row = key_row(id);
    let key = mapping.key_encoder().key_of(&row).unwrap();
    NetKey::new(key, Cow::Owned(row))
}

fn image(id: &str, a: &str, b: &str) -> Cow<'static, Row> {
    Cow::Owned(row(id, a, b))
}

fn tables() -> Vec<TableMapping> {
    (0..2).map(|n| table(n, Form::Unordered)).collect()
}

const T: TableId = TableId(0);

#[test]
fn a_row_is_said_to_be_new_where_the_batch_begins_with_its_insert() {
    let tables = tables();
    let mut steps = Steps::new(&tables);
    steps.insert(T, key("1"), image("1", "x", "y"));
    steps.update(T, key("1"), image("1", "z", "~")).unwrap();
    steps.update(T, key("2"), image("2", "x", "y")).unwrap();
    steps.put(T, key("3"), image("3", "x", "y"));
    steps.delete(T, key("4"));
    steps.insert(T, key("4"), image("4", "x", "y"));
    steps
        .rekey(T, key("5"), key("6"), image("6", "x", "y"))
        .unwrap();
    steps
        .rekey(T, key("7"), key("2"), image("2", "n", "n"))
        .unwrap();
    steps.insert(T, key("8"), image("8", "x", "y"));
    steps.delete(T, key("8"));
    steps.insert(T, key("8"), image("8", "n", "n"));
    assert_eq!(
        shown(&steps.finish()),
        [[
            "0+1 z y!", "0+2 n n", "0+3 x y", "0+4 x y", "0+6 x y", "0+8 n n!", "0-5", "0-7"
        ]]
    );
}

#[test]
fn a_row_that_comes_and_goes_is_gone() {
    let tables = tables();
    let mut steps = Steps::new(&tables);
    steps.insert(T, key("1"), image("1", "x", "y"));
    steps.delete(T, key("1"));
    assert_eq!(shown(&steps.finish()), [["0-1"]]);
}

#[test]
fn missing_columns_come_from_the_row_as_it_was_before_the_batch() {
    let tables = tables();
    let mut steps = Steps::new(&tables);
    steps.update(T, key("1"), image("1", "x", "~")).unwrap();
    steps.update(T, key("1"), image("1", "~", "~")).unwrap();
    steps
        .rekey(T, key("1"), key("2"), image("2", "z", "~"))
        .unwrap();
    steps
        .rekey(T, key("2"), key("3"), image("3", "z", "~"))
        .unwrap();
    assert_eq!(shown(&steps.finish()), [["0+3 z ~ from 1", "0-1", "0-2"]]);
}

#[test]
fn two_rows_that_change_places_take_each_others_columns_from_before() {
    let tables = tables();
    let mut steps = Steps::new(&tables);
    for (old, new) in [("1", "9"), ("2", "1"), ("9", "2")] {
        steps
            .rekey(T, key(old), key(new), image(new, old, "~"))
            .unwrap();
    }
    assert_eq!(
        shown(&steps.finish()),
        [["0+1 2 ~ from 2", "0+2 9 ~ from 1", "0-9"]]
    );
}

#[test]
fn an_image_without_all_columns_has_nothing_to_take_them_from_after_a_delete() {
    let tables = tables();
    let mut steps = Steps::new(&tables);
    steps.delete(T, key("1"));
    assert_eq!(steps.update(T, key("1"), image("1", "x", "~")), Err(NoBase));
    let rekeyed = steps.rekey(T, key("1"), key("2"), image("2", "x", "~"));
    assert_eq!(rekeyed, Err(NoBase));
    assert_eq!(shown(&steps.finish()), [["0-1"]]);
}

#[test]
fn emptying_a_range_comes_after_all_tables_so_far_and_before_what_follows() {
    let tables = tables();
    let other = TableId(1);
    let mut steps = Steps::new(&tables);
    steps.insert(other, key("1"), image("1", "x", "y"));
    steps.insert(T, key("1"), image("1", "x", "y"));
    steps.clear(T, ChunkRange::All);
    steps.update(T, key("1"), image("1", "z", "~")).unwrap();
    steps.insert(other, key("2"), image("2", "x", "y"));
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
    let tables = tables();
    let [one, two, three] = ["1", "2", "3"].map(|id| row(id, "x", "y"));
    let mut steps = Steps::new(&tables);
    for _ in 0..3 {
        steps.insert_whole(T, &one);
    }
    steps.delete_whole(T, &one);
    steps.delete_whole(T, &two);
    steps.delete_whole(T, &two);
    steps.delete_whole(T, &three);
    steps.insert_whole(T, &three);
    assert_eq!(
        shown(&steps.finish()),
        [["0+1 x y", "0+1 x y", "0-2 x y ×2"]]
    );
}

#[test]
fn rows_without_key_come_in_their_order() {
    let tables = tables();
    let rows = ["3", "1", "2"].map(|id| row(id, "x", "y"));
    let mut steps = Steps::new(&tables);
    for row in &rows {
        steps.insert_whole(T, row);
    }
    let expected = Effect::Multiset {
        inserts: rows.to_vec(),
        deletes: Vec::new(),
    };
    assert_eq!(steps.finish(), [(T, expected)]);
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
