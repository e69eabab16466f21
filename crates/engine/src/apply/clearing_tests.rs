use crossfade_store::Upsert;

use super::*;
use crate::testkit::{Form, *};

#[test]
fn tables_with_images_that_are_not_whole_and_tables_without_key_are_left_out() {
    let tables = [
        table(0, Form::Ordered),
        table(1, Form::Ordered),
        table(2, Form::Keyless),
    ];
    let changes = [
        upsert(0, row("1", "a", "b")),
        update(1, None, row("1", "a", "~")),
        update(1, None, row("2", "a", "b")),
        insert(2, row("1", "a", "b")),
        delete(0, key_row("2")),
    ];
    let mut partial = Partial::default();
    partial.note(&tables, &changes[..1]);
    partial.note(&tables, &changes[1..]);
    assert_eq!(
        partial.clearable(&changes),
        [changes[0].clone(), changes[4].clone()]
    );
    let several = Change::Truncate {
        tables: vec![TableId(0), TableId(1)],
    };
    assert_eq!(partial.clearable(&[several]), [truncate(0)]);
    assert_eq!(partial.clearable(&[truncate(1)]), []);
}

#[test]
fn a_row_that_is_written_later_is_taken_away_first() {
    let mapping = table(0, Form::Ordered);
    let effect = Effect::Keyed {
        upserts: vec![Upsert {
            row: row("1", "a", "b"),
            base: None,
            fresh: false,
        }],
        deletes: vec![key_row("2")],
    };
    let cleared = cleared(&mapping, effect).map(|effect| (TableId(0), effect));
    assert_eq!(shown(cleared.as_slice()), [["0-1", "0-2"]]);
}

#[test]
fn rows_without_key_are_not_taken_away() {
    let effect = Effect::Multiset {
        inserts: vec![row("1", "a", "b")],
        deletes: Vec::new(),
    };
    assert_eq!(cleared(&table(0, Form::Keyless), effect), None);
}
