use super::*;
use crate::testkit::{Form, *};

const BOTH: [TableId; 2] = [TableId(0), TableId(1)];

#[test]
fn a_table_that_was_loaded_while_the_gate_was_open_for_another_is_looked_at_again() {
    let tables = [table(0, Form::Ordered), table(1, Form::Ordered)];
    let mut state = state(&tables, &["5"]);
    for at in &mut state.tables {
        at.keying = Keying::Without;
    }
    assert_eq!(unready(&state, &BOTH), None, "everything is left");
    let chunk = chunks(&state, 1)[0];
    fill(&mut state, 1, chunk, 1, true);
    assert_eq!(unready(&state, &BOTH), Some(TableId(1)));
    // while its key was built a loader filled a chunk of the first
    state.tables[1].keying = Keying::Keyed;
    let chunk = chunks(&state, 0)[0];
    fill(&mut state, 0, chunk, 1, true);
    assert_eq!(unready(&state, &BOTH), Some(TableId(0)));
    state.tables[0].keying = Keying::Building;
    assert_eq!(unready(&state, &BOTH), Some(TableId(0)));
    state.tables[0].keying = Keying::Keyed;
    assert_eq!(unready(&state, &BOTH), None);
}

#[test]
fn parts_that_are_missing_come_before_a_big_transaction() {
    let tables = [table(0, Form::Unordered), table(1, Form::Keyless)];
    let mut state = state(&tables, &[]);
    let chunk = chunks(&state, 0)[0];
    fill(&mut state, 0, chunk, 1, false);
    assert_eq!(unready(&state, &BOTH), Some(TableId(0)));
    fill(&mut state, 0, chunk, 2, true);
    assert_eq!(unready(&state, &BOTH), None);
}
