#![allow(clippy::unwrap_used)]

use crossfade_model::Position;

use super::*;
use crate::testkit::{Form, *};

fn altered() -> Altered {
    Altered {
        table: "t0".to_owned(),
        what: "a column is new".to_owned(),
        moved: Vec::new(),
        seen_at: Position(7),
    }
}

#[test]
fn one_chunk_is_waited_for_with_the_others_at_rest_a_whole_table_with_all_at_work() {
    let tables = [table(0, Form::Ordered)];
    let mut state = state(&tables, &["5"]);
    let chunk = chunks(&state, 0)[0];
    state.tables[0].frontier.begin_loading(chunk).unwrap();
    state.tables[0].loading = 1;
    assert_eq!(held(&mut state, &tables[0]), Look::Waiting);
    assert!(state.stream_waits);
    state.tables[0].keying = Keying::Without;
    assert_eq!(held(&mut state, &tables[0]), Look::Waiting);
    assert!(!state.stream_waits);
}

#[test]
fn once_a_key_was_built_early_no_chunk_starts_before_the_stream_goes_on() {
    let tables = [table(0, Form::Ordered)];
    let mut state = state(&tables, &["3", "5"]);
    let (first, second) = (chunks(&state, 0)[0], chunks(&state, 0)[1]);
    fill(&mut state, 0, first, 1, true);
    state.tables[0].keying = Keying::Without;
    assert_eq!(held(&mut state, &tables[0]), Look::Waiting);
    // the key was built, and a loader was quicker than the stream
    state.tables[0].keying = Keying::Keyed;
    state.tables[0].frontier.begin_loading(second).unwrap();
    state.tables[0].loading = 1;
    assert_eq!(held(&mut state, &tables[0]), Look::Waiting);
    assert!(state.stream_waits, "its next chunk would be waited for too");
    load_on(&mut state, second);
    state.tables[0].loading = 0;
    assert_eq!(held(&mut state, &tables[0]), Look::Ready);
    assert!(state.stream_waits, "until the batch is decided");
}

fn load_on(state: &mut State, chunk: crossfade_rules::frontier::ChunkId) {
    let frontier = &mut state.tables[0].frontier;
    let row = frontier
        .row_for(chunk, &sees(1), &Position(1), true)
        .unwrap();
    frontier.loaded(chunk, &row).unwrap();
}

#[test]
fn a_table_altered_while_the_stream_waits_for_a_key_gets_the_key() {
    let tables = [table(0, Form::Ordered)];
    let mut state = state(&tables, &["5"]);
    let chunk = chunks(&state, 0)[0];
    fill(&mut state, 0, chunk, 1, true);
    state.tables[0].keying = Keying::Without;
    state.altered = Some(altered());
    assert_eq!(held(&mut state, &tables[0]), Look::Waiting);
    assert_eq!(state.tables[0].keying, Keying::Wanted);
    state.tables[0].keying = Keying::Keyed;
    assert_eq!(held(&mut state, &tables[0]), Look::Ready);
}

#[test]
fn parts_that_never_come_after_a_table_was_altered_end_the_wait() {
    let tables = [table(0, Form::Unordered)];
    let mut state = state(&tables, &[]);
    let chunk = chunks(&state, 0)[0];
    fill(&mut state, 0, chunk, 1, false);
    assert_eq!(held(&mut state, &tables[0]), Look::Waiting);
    state.altered = Some(altered());
    state.tables[0].loading = 1;
    assert_eq!(
        held(&mut state, &tables[0]),
        Look::Waiting,
        "its loader may still end"
    );
    state.tables[0].loading = 0;
    let never = Look::Never(altered());
    assert_eq!(held(&mut state, &tables[0]), never);
    assert_eq!(keyed_and_whole(&mut state, TableId(0)), never);
}

#[test]
fn an_altered_table_is_due_where_it_was_seen_and_not_before() {
    let tables = [table(0, Form::Ordered)];
    let mut state = state(&tables, &[]);
    assert_eq!(altered_is_due(&state), None);
    state.altered = Some(altered());
    state.checkpoint = Position(6);
    assert_eq!(altered_is_due(&state), None);
    state.checkpoint = Position(7);
    assert_eq!(altered_is_due(&state), Some(altered()));
}
