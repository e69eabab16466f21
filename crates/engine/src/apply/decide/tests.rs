#![allow(clippy::unwrap_used)]

use crossfade_model::Position;
use crossfade_rules::frontier::ChunkState;

use super::*;
use crate::session::{Keying, State};
use crate::testkit::{Form, *};

/// What a pass came to, as words.
#[derive(Debug, PartialEq)]
enum Came {
    Effects(Vec<Vec<String>>),
    Wait(u32),
    Reread(Vec<(u32, u64)>),
    CopyAnew(u32, u64),
}

struct World {
    mappings: Vec<TableMapping>,
    state: State,
    rereads: Rereads,
}

impl World {
    fn new(forms: &[Form], splits: &[&str]) -> World {
        let mappings: Vec<_> = (0..).zip(forms).map(|(n, f)| table(n, *f)).collect();
        World {
            state: state(&mappings, splits),
            mappings,
            rereads: Rereads::new(),
        }
    }

    fn one(splits: &[&str]) -> World {
        World::new(&[Form::Ordered], splits)
    }

    fn verdict(&mut self, batch: &[(u64, Vec<Change>)]) -> Verdict {
        let encoders = encoders(&self.mappings);
        let transactions = batch
            .iter()
            .map(|(id, changes)| (t(*id), changes.as_slice()));
        decide(
            Sight::Shared(&mut self.state),
            &self.mappings,
            &encoders,
            transactions,
            &self.rereads,
        )
        .unwrap()
    }

    fn decide(&mut self, batch: &[(u64, Vec<Change>)]) -> Came {
        match self.verdict(batch) {
            Verdict::Decided(decided) => {
                for counts in decided.ledger.values() {
                    assert!(counts.balances(), "{counts:?}");
                }
                Came::Effects(shown(&decided.effects))
            }
            Verdict::Wait(table) => Came::Wait(table.0),
            Verdict::CopyAnew(table, t) => Came::CopyAnew(table.0, t.0),
            Verdict::Reread(requests) => Came::Reread(
                requests
                    .iter()
                    .map(|r| (r.table.0, r.transaction.0))
                    .collect(),
            ),
        }
    }

    fn ledger(&mut self, batch: &[(u64, Vec<Change>)]) -> LedgerCounts {
        match self.verdict(batch) {
            Verdict::Decided(decided) => decided.ledger[&TableId(0)],
            other => panic!("{other:?}"),
        }
    }

    /// As the applier after it has read a row again.
    fn read_again(&mut self, table: usize, id: &str, up_to: u64, found: Option<Row>) {
        let mapping = &self.mappings[table];
        let cells = key_row(id);
        let key = mapping.key_encoder().key_of(&cells).unwrap();
        let net = NetKey::new(key, Cow::Owned(cells.clone()));
        let at = &mut self.state.tables[table];
        at.frontier
            .stage_one_key(net.key.clone(), sees(up_to), Position(up_to));
        at.one_key_cells.insert(net.key.clone(), cells);
        self.rereads
            .insert((mapping.id, net.key.clone()), (net, found));
    }

    /// As after the commit of the batch that read it.
    fn committed(&mut self) {
        for table in &mut self.state.tables {
            table.frontier.commit_staged();
        }
        self.rereads.clear();
    }

    fn owed(&self, table: usize) -> Vec<u64> {
        let mut out: Vec<u64> = self.state.tables[table]
            .frontier
            .owed_rows()
            .map(|o| o.transaction.0)
            .collect();
        out.sort();
        out.dedup();
        out
    }
}

fn effects(groups: &[&[&str]]) -> Came {
    Came::Effects(
        groups
            .iter()
            .map(|g| g.iter().map(|s| (*s).to_owned()).collect())
            .collect(),
    )
}

/// Every kind of change to one key, in a chunk of every state: left, held, skipped or applied, whole and not.
#[test]
fn pending_leaves_loading_holds_seen_skips_unseen_applies() {
    let changes: Vec<(Change, &[&[&str]])> = vec![
        (insert(0, row("1", "x", "y")), &[&["0+1 x y!"]]),
        (upsert(0, row("1", "x", "y")), &[&["0+1 x y"]]),
        (update(0, None, row("1", "x", "y")), &[&["0+1 x y"]]),
        (update(0, None, row("1", "x", "~")), &[&["0+1 x ~"]]),
        (delete(0, key_row("1")), &[&["0-1"]]),
        (truncate(0), &[&["0 clear"]]),
    ];
    for (change, applied) in changes {
        let batch = [(5, vec![change.clone()])];
        let mut world = World::one(&[]);
        assert_eq!(world.decide(&batch), effects(&[]), "pending: {change:?}");
        assert_eq!(world.owed(0), [5], "pending: {change:?}");
        assert_eq!(world.ledger(&batch).left, 1);

        let chunk = chunks(&world.state, 0)[0];
        world.state.tables[0].frontier.begin_loading(chunk).unwrap();
        assert_eq!(world.decide(&batch), Came::Wait(0), "loading: {change:?}");
        world.state.tables[0].frontier.lost(chunk).unwrap();
        assert_eq!(world.owed(0), [5], "a lost loader's chunk still owes");

        fill(&mut world.state, 0, chunk, 5, true);
        assert_eq!(world.decide(&batch), effects(&[]), "seen: {change:?}");
        assert_eq!(world.ledger(&batch).covered, 1);

        let later = [(6, vec![change.clone()])];
        assert_eq!(world.decide(&later), effects(applied), "unseen: {change:?}");
        assert_eq!(world.ledger(&later).applied, 1);
        world.state.tables[0].frontier.settle(&Position(5));
        assert_eq!(world.decide(&later), effects(applied), "settled");
    }
}

#[test]
fn a_chunk_that_begins_to_load_between_two_passes_is_waited_for() {
    let mut world = World::one(&[]);
    let batch = [(5, vec![insert(0, row("1", "x", "y"))])];
    assert_eq!(world.decide(&batch), effects(&[]));
    let chunk = chunks(&world.state, 0)[0];
    let frontier = &mut world.state.tables[0].frontier;
    frontier.begin_loading(chunk).unwrap();
    // what the first pass left is owed to the snapshot that is opened now
    assert!(!frontier.accept(chunk, &sees(4)).is_accepted());
    assert!(frontier.accept(chunk, &sees(5)).is_accepted());
    assert_eq!(world.decide(&batch), Came::Wait(0));
}

#[test]
fn rows_without_their_key_on_the_target_wait_only_where_they_are_written() {
    let mut world = World::one(&["5"]);
    world.state.tables[0].keying = Keying::Without;
    let low = chunks(&world.state, 0)[0];
    fill(&mut world.state, 0, low, 3, true);
    let batch = |t, id| [(t, vec![insert(0, row(id, "x", "y"))])];
    assert_eq!(world.decide(&batch(3, "1")), effects(&[]), "seen");
    assert_eq!(world.decide(&batch(4, "7")), effects(&[]), "left");
    assert_eq!(world.decide(&batch(4, "1")), Came::Wait(0));
    assert_eq!(
        world.decide(&[(4, vec![truncate(0)])]),
        Came::Wait(0),
        "a truncate is written to the loaded chunk"
    );
    world.state.tables[0].keying = Keying::Building;
    assert_eq!(world.decide(&batch(4, "1")), Came::Wait(0));
    world.state.tables[0].keying = Keying::Keyed;
    assert_eq!(world.decide(&batch(4, "1")), effects(&[&["0+1 x y!"]]));
}

/// A change of key between two chunks, in every pair of states, whole and not.
#[test]
fn a_change_of_key_is_decided_by_each_half() {
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum At {
        Left,
        Held,
        Seen,
        Unseen,
    }
    let all = [At::Left, At::Held, At::Seen, At::Unseen];
    for old in all {
        for new in all {
            for whole in [true, false] {
                let mut world = World::one(&["5"]);
                for (chunk, at) in chunks(&world.state, 0).into_iter().zip([old, new]) {
                    match at {
                        At::Left => {}
                        At::Held => {
                            let frontier = &mut world.state.tables[0].frontier;
                            frontier.begin_loading(chunk).unwrap();
                        }
                        At::Seen => fill(&mut world.state, 0, chunk, 9, true),
                        At::Unseen => fill(&mut world.state, 0, chunk, 8, true),
                    }
                }
                let image = row("7", "x", if whole { "y" } else { "~" });
                let batch = [(9, vec![update(0, Some(key_row("1")), image)])];
                let came = world.decide(&batch);
                let expected = match (old, new) {
                    (At::Held, _) | (_, At::Held) => Came::Wait(0),
                    (At::Unseen, At::Unseen) if whole => effects(&[&["0+7 x y", "0-1"]]),
                    (At::Unseen, At::Unseen) => effects(&[&["0+7 x ~ from 1", "0-1"]]),
                    (At::Unseen, _) => effects(&[&["0-1"]]),
                    (_, At::Unseen) if whole => effects(&[&["0+7 x y"]]),
                    // the old row is not the one that the update started from
                    (_, At::Unseen) => Came::Reread(vec![(0, 9)]),
                    _ => effects(&[]),
                };
                assert_eq!(came, expected, "{old:?} {new:?} whole: {whole}");
                if matches!(came, Came::Effects(_)) {
                    let counts = world.ledger(&batch);
                    assert_eq!(counts.captured, 2);
                }
            }
        }
    }
}

#[test]
fn a_row_read_again_decides_its_later_changes_and_survives_what_came_before() {
    let mut world = World::one(&["5"]);
    let (low, high) = (chunks(&world.state, 0)[0], chunks(&world.state, 0)[1]);
    fill(&mut world.state, 0, low, 9, true);
    fill(&mut world.state, 0, high, 8, true);
    let batch = [
        (9, vec![update(0, Some(key_row("1")), row("7", "x", "~"))]),
        (10, vec![update(0, None, row("7", "z", "~"))]),
        (11, vec![update(0, None, row("7", "w", "~"))]),
    ];
    // in one pass all that can be known to be missing is asked for
    assert_eq!(world.decide(&batch), Came::Reread(vec![(0, 9)]));
    // the snapshot saw 10 and not 11
    world.read_again(0, "7", 10, Some(row("7", "z", "Y")));
    assert_eq!(world.decide(&batch), effects(&[&["0+7 w Y"]]));
    // a row that was not found is gone, and what follows may bring it back whole
    world.read_again(0, "7", 11, None);
    assert_eq!(world.decide(&batch), effects(&[&["0-7"]]));
    let back = [&batch[..], &[(12, vec![insert(0, row("7", "n", "n"))])]].concat();
    assert_eq!(world.decide(&back), effects(&[&["0+7 n n"]]));
}

#[test]
fn an_incomplete_image_after_a_delete_in_the_batch_is_read_again() {
    let mut world = World::one(&[]);
    load_all(&mut world.state, 1);
    let batch = [(
        2,
        vec![delete(0, key_row("1")), update(0, None, row("1", "x", "~"))],
    )];
    assert_eq!(world.decide(&batch), Came::Reread(vec![(0, 2)]));
    world.read_again(0, "1", 2, Some(row("1", "x", "y")));
    assert_eq!(world.decide(&batch), effects(&[&["0+1 x y"]]));
}

#[test]
fn rows_of_parts_read_at_two_times_are_read_again_until_the_horizon_is_passed() {
    let mut world = World::new(&[Form::Unordered], &[]);
    let chunk = chunks(&world.state, 0)[0];
    let batch = [(4, vec![update(0, None, row("k", "x", "~"))])];
    fill(&mut world.state, 0, chunk, 3, false);
    assert_eq!(world.decide(&batch), Came::Wait(0), "parts are missing");
    fill(&mut world.state, 0, chunk, 5, true);
    assert_eq!(
        world.state.tables[0].frontier.state(chunk),
        ChunkState::Loaded
    );
    assert_eq!(world.decide(&batch), Came::Reread(vec![(0, 4)]));
    let whole = [(4, vec![insert(0, row("k", "x", "y"))])];
    assert_eq!(
        world.decide(&whole),
        effects(&[&["0+k x y!"]]),
        "the first part's snapshot decides"
    );
    world.state.tables[0].frontier.settle(&Position(5));
    let later = [(6, vec![update(0, None, row("k", "x", "~"))])];
    assert_eq!(world.decide(&later), effects(&[&["0+k x ~"]]));
}

#[test]
fn an_unchanged_key_column_is_taken_from_the_old_key() {
    let mut world = World::new(&[Form::Unordered], &[]);
    load_all(&mut world.state, 1);
    let batch = [(
        2,
        vec![update(0, Some(key_row("long")), row("~", "x", "~"))],
    )];
    assert_eq!(world.decide(&batch), effects(&[&["0+long x ~"]]));
}

#[test]
fn a_truncate_empties_what_it_is_applied_to_and_is_left_elsewhere() {
    let mut world = World::one(&["5"]);
    let low = chunks(&world.state, 0)[0];
    fill(&mut world.state, 0, low, 1, true);
    let batch = [(
        2,
        vec![
            insert(0, row("1", "x", "y")),
            truncate(0),
            insert(0, row("2", "x", "y")),
            insert(0, row("8", "x", "y")),
        ],
    )];
    assert_eq!(
        world.decide(&batch),
        effects(&[&["0+1 x y!"], &["0 clear ..5"], &["0+2 x y!"]])
    );
    assert_eq!(world.owed(0), [2]);
    let counts = world.ledger(&batch);
    assert_eq!((counts.captured, counts.applied, counts.left), (4, 3, 1));
}

#[test]
fn a_row_read_after_a_truncate_survives_it_also_from_an_earlier_batch() {
    let mut world = World::one(&[]);
    load_all(&mut world.state, 1);
    let batch = [
        (2, vec![truncate(0)]),
        (3, vec![update(0, None, row("1", "x", "~"))]),
    ];
    world.read_again(0, "1", 3, Some(row("1", "x", "y")));
    assert_eq!(
        world.decide(&batch),
        effects(&[&["0+1 x y"], &["0 clear"], &["0+1 x y"]])
    );
    world.committed();
    // the row is there, from an earlier batch: it must be had again to survive
    assert_eq!(
        world.decide(&[(2, vec![truncate(0)])]),
        Came::Reread(vec![(0, 2)])
    );
    world.read_again(0, "1", 3, Some(row("1", "x", "y")));
    assert_eq!(
        world.decide(&[(2, vec![truncate(0)])]),
        effects(&[&["0+1 x y"], &["0 clear"], &["0+1 x y"]])
    );
    // a truncate that the reading did not see takes it with the others
    assert_eq!(
        world.decide(&[(4, vec![truncate(0)])]),
        effects(&[&["0+1 x y"], &["0 clear"]])
    );
}

#[test]
fn a_truncate_is_held_while_any_chunk_is_loading_and_leaves_no_trace_of_it() {
    let mut world = World::one(&["5"]);
    let (low, high) = (chunks(&world.state, 0)[0], chunks(&world.state, 0)[1]);
    fill(&mut world.state, 0, low, 1, true);
    world.state.tables[0].frontier.begin_loading(high).unwrap();
    assert_eq!(world.decide(&[(2, vec![truncate(0)])]), Came::Wait(0));
    load_at(&mut world.state, high, 2);
    assert_eq!(
        world.decide(&[(2, vec![truncate(0)])]),
        effects(&[&["0 clear ..5"]])
    );
}

#[test]
fn truncated_partitions_are_left_to_what_is_read_later_and_take_a_copy_that_still_has_them() {
    let batch = [(
        2,
        vec![truncate_partitions(0), insert(0, row("1", "x", "y"))],
    )];
    let mut world = World::one(&["5"]);
    assert_eq!(world.decide(&batch), effects(&[]));
    assert_eq!(world.owed(0), [2]);
    let counts = world.ledger(&batch);
    assert_eq!((counts.captured, counts.left), (2, 2));
    let (low, high) = (chunks(&world.state, 0)[0], chunks(&world.state, 0)[1]);
    world.state.tables[0].frontier.begin_loading(low).unwrap();
    assert_eq!(world.decide(&batch), Came::Wait(0));
    load_at(&mut world.state, low, 2);
    assert_eq!(world.decide(&batch), effects(&[]));
    fill(&mut world.state, 0, high, 2, true);
    assert_eq!(world.ledger(&batch).covered, 2);
    // one chunk whose snapshot did not see it is enough
    let mut world = World::one(&["5"]);
    let (low, high) = (chunks(&world.state, 0)[0], chunks(&world.state, 0)[1]);
    fill(&mut world.state, 0, low, 2, true);
    fill(&mut world.state, 0, high, 1, true);
    assert_eq!(world.decide(&batch), Came::CopyAnew(0, 2));
}

#[test]
fn a_key_that_waits_to_be_read_again_is_owed_truncated_partitions() {
    let mut world = World::one(&[]);
    load_all(&mut world.state, 2);
    let parked = key(&world.mappings[0], "1");
    world.state.tables[0].frontier.park(parked);
    assert_eq!(
        world.decide(&[(2, vec![truncate_partitions(0)])]),
        effects(&[])
    );
    let rows: Vec<_> = world.state.tables[0].frontier.parked_rows().collect();
    let owed = crossfade_rules::frontier::OneKeyState::Parked { owed: vec![t(2)] };
    assert_eq!(rows[0].state, owed);
}

/// Ends the load of a chunk that is loading.
fn load_at(state: &mut State, chunk: crossfade_rules::frontier::ChunkId, up_to: u64) {
    let frontier = &mut state.tables[0].frontier;
    let row = frontier
        .row_for(chunk, &sees(up_to), &Position(up_to), true)
        .unwrap();
    frontier.loaded(chunk, &row).unwrap();
}

#[test]
fn a_table_without_key_counts_rows_and_is_decided_as_one() {
    let mut world = World::new(&[Form::Keyless], &[]);
    let change = |n| {
        vec![(
            n,
            vec![
                insert(0, row("1", "x", "y")),
                insert(0, row("1", "x", "y")),
                update(0, Some(row("2", "x", "y")), row("3", "x", "y")),
                delete(0, row("3", "x", "y")),
                delete(0, row("4", "x", "y")),
            ],
        )]
    };
    assert_eq!(world.decide(&change(2)), effects(&[]));
    assert_eq!(world.owed(0), [2]);
    load_all(&mut world.state, 2);
    assert_eq!(world.decide(&change(2)), effects(&[]));
    assert_eq!(
        world.decide(&change(3)),
        effects(&[&["0+1 x y", "0+1 x y", "0-2 x y ×1", "0-4 x y ×1"]])
    );
    assert_eq!(world.ledger(&change(3)).captured, 5);
    assert_eq!(
        world.decide(&[(3, vec![truncate(0), insert(0, row("1", "x", "y"))])]),
        effects(&[&["0 clear"], &["0+1 x y"]])
    );
}

#[test]
fn a_table_without_key_refuses_images_that_are_not_whole() {
    let mut world = World::new(&[Form::Keyless], &[]);
    load_all(&mut world.state, 1);
    let encoders = encoders(&world.mappings);
    for change in [
        update(0, None, row("1", "x", "y")),
        update(0, Some(row("1", "x", "y")), row("1", "~", "y")),
        insert(0, row("1", "~", "y")),
    ] {
        let changes = [change];
        let result = decide(
            Sight::Shared(&mut world.state),
            &world.mappings,
            &encoders,
            std::iter::once((t(2), &changes[..])),
            &Rereads::new(),
        );
        assert!(matches!(result, Err(EngineError::Stopped { .. })));
    }
}

#[test]
fn a_batch_decided_ahead_comes_to_the_same_as_one_decided_in_its_turn() {
    let mut world = World::new(&[Form::Ordered, Form::Keyless], &[]);
    load_all(&mut world.state, 1);
    assert!(!world.state.applies_all(), "a horizon is ahead");
    for table in &mut world.state.tables {
        table.frontier.settle(&Position(1));
    }
    assert!(world.state.applies_all());
    let changes = [
        insert(0, row("1", "x", "y")),
        update(0, None, row("1", "z", "~")),
        update(0, Some(key_row("1")), row("7", "k", "~")),
        update(0, Some(key_row("7")), row("1", "m", "n")),
        delete(0, key_row("1")),
        insert(1, row("1", "x", "y")),
        delete(1, row("1", "x", "y")),
        truncate(0),
        truncate(1),
    ];
    let all = changes.len();
    for number in 0..all * all * all {
        let places = [number % all, number / all % all, number / all / all];
        let batch = [(2, places.map(|at| changes[at].clone()).to_vec())];
        let encoders = encoders(&world.mappings);
        let transactions = batch.iter().map(|(id, c)| (t(*id), c.as_slice()));
        let none = Rereads::new();
        let ahead = decide(
            Sight::Settled,
            &world.mappings,
            &encoders,
            transactions,
            &none,
        );
        match (ahead.unwrap(), world.verdict(&batch)) {
            (Verdict::Decided(ahead), Verdict::Decided(in_turn)) => {
                assert_eq!(shown(&ahead.effects), shown(&in_turn.effects), "{places:?}");
                assert_eq!(ahead.ledger, in_turn.ledger, "{places:?}");
                assert!(!ahead.left && !in_turn.left);
            }
            (Verdict::Reread(_), Verdict::Reread(_)) => {}
            other => panic!("{places:?}: {other:?}"),
        }
    }
}
