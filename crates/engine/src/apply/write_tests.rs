#![allow(clippy::unwrap_used)]

use crossfade_model::Key;
use crossfade_rules::ledger::Outcome;

use super::*;
use crate::testkit::{Form, *};

/// Records as words: `+kind/id` written, `-kind/id` taken away.
fn shown(records: &[RecordWrite]) -> Vec<String> {
    records
        .iter()
        .map(|write| match write {
            RecordWrite::Put(record) => format!("+{}/{}", record.key.kind, record.key.id),
            RecordWrite::Remove(key) => format!("-{}/{}", key.kind, key.id),
        })
        .collect()
}

fn read_again(state: &mut State, key: &Key, up_to: u64) {
    let at = &mut state.tables[0];
    at.frontier
        .stage_one_key(key.clone(), sees(up_to), Position(up_to));
    at.one_key_cells.insert(key.clone(), key_row("1"));
}

/// The checkpoint passes the horizon of a key that was read by itself.
fn expire(state: &mut State, checkpoint: u64) -> Vec<(TableId, Key)> {
    let keys = state.tables[0].frontier.settle(&Position(checkpoint));
    keys.into_iter().map(|key| (TableId(0), key)).collect()
}

#[test]
fn a_key_whose_horizon_is_passed_goes_with_the_next_batch() {
    let tables = [table(0, Form::Ordered)];
    let key = key(&tables[0], "1");
    let mut state = state(&tables, &[]);
    load_all(&mut state, 1);
    read_again(&mut state, &key, 3);
    let mut expired = Vec::new();
    let put = shown(&frontier_records(&tables, &mut state, &mut expired).unwrap());
    assert_eq!(put.len(), 1);
    assert!(put[0].starts_with("+one_key/"), "{put:?}");
    state.tables[0].frontier.commit_staged();
    assert_eq!(
        frontier_records(&tables, &mut state, &mut expired).unwrap(),
        []
    );
    expired = expire(&mut state, 3);
    let gone = shown(&frontier_records(&tables, &mut state, &mut expired).unwrap());
    assert_eq!(gone, [put[0].replacen('+', "-", 1)]);
    assert!(state.tables[0].one_key_cells.is_empty());
}

#[test]
fn a_key_passed_and_read_again_by_the_first_piece_of_a_big_transaction_stays() {
    let tables = [table(0, Form::Ordered)];
    let key = key(&tables[0], "1");
    let mut state = state(&tables, &[]);
    load_all(&mut state, 1);
    read_again(&mut state, &key, 3);
    state.tables[0].frontier.commit_staged();
    let mut expired = expire(&mut state, 3);
    // the piece reads it again; its records are written before those of the whole
    read_again(&mut state, &key, 7);
    frontier_records(&tables, &mut state, &mut Vec::new()).unwrap();
    state.tables[0].frontier.commit_staged();
    let last = frontier_records(&tables, &mut state, &mut expired).unwrap();
    assert_eq!(shown(&last), Vec::<String>::new());
    assert!(state.tables[0].one_key_cells.contains_key(&key));
}

#[test]
fn what_is_owed_is_stored_until_nothing_is() {
    let tables = [table(0, Form::Ordered)];
    let mut state = state(&tables, &["5"]);
    let low = chunks(&state, 0)[0];
    let key = key(&tables[0], "1");
    let to = crossfade_rules::frontier::LeftTo::Chunk(low);
    state.tables[0].frontier.leave(&key, to, &t(4));
    let mut none = Vec::new();
    let records = frontier_records(&tables, &mut state, &mut none).unwrap();
    assert_eq!(shown(&records), ["+owed/t0"]);
    fill(&mut state, 0, low, 4, true);
    let records = frontier_records(&tables, &mut state, &mut none).unwrap();
    assert_eq!(shown(&records), ["-owed/t0"]);
    let records = frontier_records(&tables, &mut state, &mut none).unwrap();
    assert_eq!(records, []);
}

#[test]
fn a_change_without_an_outcome_stops_the_run() {
    let tables = [table(0, Form::Ordered)];
    let state = state(&tables, &[]);
    let mut counts = LedgerCounts::default();
    counts.capture(2);
    counts.settle(Outcome::Applied);
    let added = HashMap::from([(TableId(0), counts)]);
    let refused = ledger_records(&tables, &state, &added);
    assert!(matches!(
        refused,
        Err(EngineError::Stopped {
            code: "ledger.unbalanced",
            ..
        })
    ));
}
