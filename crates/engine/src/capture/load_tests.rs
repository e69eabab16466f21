#![allow(clippy::unwrap_used)]

use super::*;
use crate::session::Altered;
use crate::testkit::{Form, *};

fn altered() -> Altered {
    Altered {
        table: "t0".to_owned(),
        what: "a column is new".to_owned(),
        moved: Vec::new(),
        seen_at: Position(7),
    }
}

fn taken(state: &State) -> Vec<usize> {
    state.tables.iter().map(|t| t.loading).collect()
}

#[test]
fn chunks_are_taken_one_by_one_and_not_while_the_stream_waits() {
    let tables = [table(0, Form::Ordered)];
    let mut state = state(&tables, &["5"]);
    for stop in [
        |s: &mut State| s.stream_waits = true,
        |s: &mut State| s.gate_closed = true,
        |s: &mut State| s.paused = true,
        |s: &mut State| s.altered = Some(altered()),
    ] {
        stop(&mut state);
        assert_eq!(take(&tables, &mut state), None);
        (state.stream_waits, state.gate_closed, state.paused) = (false, false, false);
        state.altered = None;
    }
    let chunks = chunks(&state, 0);
    for chunk in chunks {
        let unit = take(&tables, &mut state);
        assert_eq!(unit, Some(Unit::Chunk(TableId(0), chunk)));
    }
    assert_eq!(take(&tables, &mut state), None);
    assert_eq!(taken(&state), [2]);
}

#[test]
fn a_key_is_built_once_its_table_is_filled_also_while_the_stream_waits_or_a_table_was_altered() {
    let tables = [table(0, Form::Ordered)];
    let fresh = || {
        let mut state = state(&tables, &["5"]);
        load_all(&mut state, 1);
        state.tables[0].keying = Keying::Without;
        state
    };
    for go_on in [
        |_: &mut State| {},
        |s: &mut State| s.stream_waits = true,
        |s: &mut State| s.altered = Some(altered()),
    ] {
        let mut state = fresh();
        go_on(&mut state);
        assert_eq!(take(&tables, &mut state), Some(Unit::Key(TableId(0))));
        assert_eq!(take(&tables, &mut state), None, "by one loader");
    }
    let mut state = fresh();
    state.tables[0].loading = 1;
    assert_eq!(take(&tables, &mut state), None);
}

#[test]
fn parts_left_by_a_run_before_are_taken_up_once_the_key_is_there() {
    let tables = [table(0, Form::Unordered)];
    let mut state = state(&tables, &[]);
    let chunk = chunks(&state, 0)[0];
    fill(&mut state, 0, chunk, 1, false);
    state.tables[0].keying = Keying::Without;
    assert_eq!(take(&tables, &mut state), Some(Unit::Key(TableId(0))));
    state.tables[0].keying = Keying::Keyed;
    let unit = Some(Unit::Chunk(TableId(0), chunk));
    assert_eq!(take(&tables, &mut state), unit);
    assert_eq!(take(&tables, &mut state), None, "by one loader");
}

#[test]
fn a_key_wanted_early_waits_for_the_chunks_at_hand_only() {
    let tables = [table(0, Form::Ordered)];
    let mut state = state(&tables, &["5"]);
    state.tables[0].keying = Keying::Without;
    assert!(matches!(take(&tables, &mut state), Some(Unit::Chunk(..))));
    state.tables[0].keying = Keying::Wanted;
    assert_eq!(take(&tables, &mut state), None);
    state.tables[0].loading = 0;
    assert_eq!(take(&tables, &mut state), Some(Unit::Key(TableId(0))));
}

#[test]
fn parts_of_a_table_without_key_are_given_back_after_a_deadlock() {
    let tables = [table(0, Form::Unordered)];
    let mut state = state(&tables, &[]);
    let chunk = chunks(&state, 0)[0];
    state.tables[0].keying = Keying::Without;
    let unit = Some(Unit::Chunk(TableId(0), chunk));
    assert_eq!(take(&tables, &mut state), unit);
    let again = |state: &mut State| take_up_again(&mut state.tables[0], chunk).unwrap();
    assert!(again(&mut state), "nothing of it is there");
    let frontier = &mut state.tables[0].frontier;
    let part = frontier
        .row_for(chunk, &sees(1), &Position(1), false)
        .unwrap();
    frontier.loaded(chunk, &part).unwrap();
    assert!(!again(&mut state), "replacing rows needs the key");
    assert_eq!(take(&tables, &mut state), Some(Unit::Key(TableId(0))));
    state.tables[0].keying = Keying::Keyed;
    assert_eq!(take(&tables, &mut state), unit);
    assert!(again(&mut state));
    assert_eq!(taken(&state), [1]);
}
