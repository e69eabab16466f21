#![allow(clippy::unwrap_used)]

use super::*;
use crate::testkit::{Form, table};

fn state(ids: &[(&str, &str)]) -> TargetState {
    let record = |(kind, id): &(&str, &str)| Record {
        key: RecordKey::new(*kind, *id),
        body: String::new(),
    };
    TargetState {
        epoch: 1,
        checkpoint: None,
        records: ids.iter().map(record).collect(),
    }
}

#[test]
fn forgetting_a_copy_takes_all_of_it_and_nothing_of_other_tables() {
    let mapping = table(1, Form::Ordered);
    let of_copy = [
        ("frontier", "t1/-"),
        ("frontier", "t1/00ff"),
        ("owed", "t1"),
        ("one_key", "t1/00"),
        ("parts", "t1"),
    ];
    let others = [
        ("ledger", "t1"),
        ("frontier", "t10/-"),
        ("owed", "t11"),
        ("one_key", "t1.x/00"),
        ("plan", "plan"),
        ("source", "source"),
    ];
    let gone = forget_copy(&state(&[&of_copy[..], &others].concat()), &mapping);
    let expected = of_copy.map(|(kind, id)| RecordWrite::Remove(RecordKey::new(kind, id)));
    assert_eq!(gone, expected);
}

#[test]
fn names_with_separators_are_words_of_their_own() {
    let mut dotted = table(1, Form::Ordered);
    dotted.source.name.schema = Some("a.b".to_owned());
    dotted.source.name.name = "c/d%".to_owned();
    assert_eq!(table_word(&dotted), "a%2Eb.c%2Fd%25");
    assert!(is_of("a%2Eb.c%2Fd%25/-", &table_word(&dotted)));
    assert!(!is_of("a%2Eb.c/-", &table_word(&dotted)));
}
