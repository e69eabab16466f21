#![allow(clippy::unwrap_used)]

use crossfade_model::{Index, TransactionId};
use crossfade_store::Record;

use super::*;
use crate::testkit::{Form, sees, t, table};

fn stored(writes: Vec<RecordWrite>) -> TargetState {
    let put = |write| match write {
        RecordWrite::Put(record) => Some(record),
        RecordWrite::Remove(_) => None,
    };
    TargetState {
        epoch: 1,
        checkpoint: Some(Position(9)),
        records: writes.into_iter().filter_map(put).collect(),
    }
}

fn marked(owed: &[u64], begun: bool) -> Anew {
    Anew {
        what: "why".to_owned(),
        owed: owed.iter().map(|id| t(*id)).collect(),
        begun,
    }
}

#[test]
fn a_new_copy_is_owed_what_the_old_one_had_and_nothing_of_the_old_frontier_stays() {
    let mapping = table(1, Form::Ordered);
    let word = durable::table_word(&mapping);
    let mut state = stored(vec![]);
    for (kind, id) in [
        ("frontier", "/-"),
        ("frontier", "/00"),
        ("one_key", "/01"),
        ("owed", ""),
    ] {
        state.records.push(Record {
            key: RecordKey::new(kind, format!("{word}{id}")),
            body: "[]".to_owned(),
        });
    }
    let writes = records(&state, &mapping, marked(&[7, 5, 7], false)).unwrap();
    let mut keys: Vec<_> = writes.iter().map(key_of).collect();
    let all = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), all, "one write of each record, in any order");
    for old in &state.records[..3] {
        assert!(writes.contains(&RecordWrite::Remove(old.key.clone())));
    }
    let after = stored(writes);
    let anew = durable::stored_anew(&after, &mapping).unwrap().unwrap();
    assert_eq!(anew, marked(&[5, 7], true));
    let restored = durable::stored_table(&after, &mapping).unwrap();
    let state = durable::table_state(&mapping, restored, &sees(1), Vec::new(), true).unwrap();
    let frontier = state.frontier;
    let chunk = frontier.chunks().next().unwrap();
    let owed: Vec<TransactionId> = frontier.owed(chunk).copied().collect();
    assert_eq!(owed, [t(5), t(7)]);
}

#[test]
fn a_copy_that_must_be_of_one_time_is_begun_again_where_parts_of_it_are_there() {
    let mut mapping = table(1, Form::Unordered);
    let writes = |mapping: &TableMapping, complete| {
        let chunk = durable::ChunkRecord {
            table: durable::table_word(mapping),
            row: crossfade_rules::frontier::FrontierRow {
                bounds: Bounds::everything(),
                snapshot: sees(3),
                horizon: Position(3),
                mixed: false,
                complete,
            },
            low: Vec::new(),
            high: Vec::new(),
            rows: 1,
            seen: None,
        };
        stored(vec![durable::chunk_record(mapping, &chunk).unwrap()])
    };
    let due = |mapping: &TableMapping, complete, begun| {
        is_due(&writes(mapping, complete), mapping, &marked(&[], begun)).unwrap()
    };
    assert!(due(&mapping, true, false));
    assert!(!due(&mapping, true, true));
    assert!(
        !due(&mapping, false, true),
        "parts of several times are no harm"
    );
    mapping.target.indexes.push(Index {
        name: "u".to_owned(),
        columns: vec!["a".to_owned()],
        unique: true,
        constraint: false,
        primary: false,
        special: false,
        of_table: false,
        definition: String::new(),
    });
    assert!(!due(&mapping, true, true));
    assert!(due(&mapping, false, true));
}
