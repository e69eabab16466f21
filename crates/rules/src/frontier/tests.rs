#![allow(clippy::unwrap_used)]

use super::*;
use crate::ledger::Outcome;

/// A snapshot sees the transactions in its set (bits).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Snap(u32);

impl Sees<u8> for Snap {
    fn sees(&self, transaction: &u8) -> bool {
        self.0 & (1 << transaction) != 0
    }
}

impl Covers for Snap {
    fn covers(&self, base: &Self) -> bool {
        self.0 & base.0 == base.0
    }
}

type Table = Frontier<u32, Snap, u8, u64>;

fn snap(seen: &[u8]) -> Snap {
    Snap(seen.iter().map(|transaction| 1 << transaction).sum())
}

fn table(splits: &[u32]) -> Table {
    Frontier::new(None, splits.iter().copied())
}

fn chunk(frontier: &Table, place: usize) -> ChunkId {
    frontier.chunks().nth(place).unwrap()
}

fn load(frontier: &mut Table, place: usize, snapshot: &Snap, horizon: u64, complete: bool) {
    let id = chunk(frontier, place);
    frontier.begin_loading(id).unwrap();
    let row = frontier.row_for(id, snapshot, &horizon, complete).unwrap();
    frontier.loaded(id, &row).unwrap();
}

fn owed(frontier: &Table, chunk: ChunkId) -> Vec<u8> {
    frontier.owed(chunk).copied().collect()
}

fn left_to(frontier: &Table, place: usize) -> Decision {
    Decision::Leave(LeftTo::Chunk(chunk(frontier, place)))
}

#[test]
fn keys_belong_to_the_chunk_whose_low_bound_they_reach() {
    let frontier = table(&[20, 10, 20]);
    let places: Vec<Bounds<u32>> = frontier
        .chunks()
        .map(|id| frontier.bounds(id).clone())
        .collect();
    assert_eq!(
        places,
        [
            Bounds {
                low: None,
                high: Some(10)
            },
            Bounds {
                low: Some(10),
                high: Some(20)
            },
            Bounds {
                low: Some(20),
                high: None
            },
        ]
    );
    for (key, place) in [(0, 0), (9, 0), (10, 1), (19, 1), (20, 2), (u32::MAX, 2)] {
        assert_eq!(frontier.chunk_of(&key), chunk(&frontier, place), "{key}");
        assert!(places[place].contains(&key));
    }
}

#[test]
fn a_change_is_left_held_then_decided_by_the_snapshot() {
    let mut frontier = table(&[10]);
    let first = chunk(&frontier, 0);
    assert_eq!(frontier.decide(&1, &5), left_to(&frontier, 0));
    frontier.leave(&1, LeftTo::Chunk(first), &5);
    frontier.leave(&2, LeftTo::Chunk(first), &5);
    assert_eq!(owed(&frontier, first), [5]);
    frontier.begin_loading(first).unwrap();
    assert_eq!(frontier.decide(&1, &6), Decision::Hold(first));
    frontier.leave(&1, LeftTo::Chunk(first), &6);
    assert_eq!(
        owed(&frontier, first),
        [5],
        "what a loading chunk is owed does not grow"
    );
    assert_eq!(frontier.accept(first, &snap(&[6])), Acceptance::Again);
    assert!(frontier.row_for(first, &snap(&[6]), &100, true).is_err());
    assert_eq!(frontier.accept(first, &snap(&[5])), Acceptance::Accept);
    let row = frontier.row_for(first, &snap(&[5]), &100, true).unwrap();
    assert_eq!(
        frontier.decide(&1, &5),
        Decision::Hold(first),
        "not loaded before it is durable"
    );
    frontier.loaded(first, &row).unwrap();
    assert_eq!(frontier.decide(&1, &5), Decision::Skip);
    assert_eq!(frontier.decide(&1, &6), Decision::Apply);
    assert_eq!(frontier.decide(&10, &5), left_to(&frontier, 1));
    assert_eq!(frontier.owed_count(), 0);
}

#[test]
fn a_lost_loader_leaves_what_was_owed() {
    let mut frontier = table(&[]);
    let only = chunk(&frontier, 0);
    frontier.leave(&1, LeftTo::Chunk(only), &5);
    frontier.begin_loading(only).unwrap();
    assert!(frontier.begin_loading(only).is_err());
    frontier.lost(only).unwrap();
    assert!(frontier.lost(only).is_err());
    assert_eq!(frontier.state(only), ChunkState::Pending);
    assert_eq!(owed(&frontier, only), [5]);
    assert_eq!(frontier.next_to_load(&[]), Some(only));
    assert_eq!(frontier.next_to_load(&[only]), None);
}

#[test]
fn a_snapshot_must_cover_what_the_stream_starts_after() {
    let mut frontier: Table = Frontier::new(Some(snap(&[1, 2])), []);
    let only = chunk(&frontier, 0);
    frontier.begin_loading(only).unwrap();
    assert_eq!(frontier.accept(only, &snap(&[1, 3])), Acceptance::Again);
    assert_eq!(frontier.accept(only, &snap(&[1, 2])), Acceptance::Accept);
    assert_eq!(
        frontier.accept_one_key(&1, &snap(&[1, 3]), Some(&3)),
        Acceptance::Again
    );
}

#[test]
fn pruning_keeps_what_a_loading_chunk_is_owed() {
    let mut frontier = table(&[10]);
    for (key, place) in [(1, 0), (11, 1)] {
        let id = chunk(&frontier, place);
        frontier.leave(&key, LeftTo::Chunk(id), &5);
        frontier.leave(&key, LeftTo::Chunk(id), &6);
    }
    frontier.begin_loading(chunk(&frontier, 0)).unwrap();
    frontier.prune_owed(&snap(&[5]));
    assert_eq!(owed(&frontier, chunk(&frontier, 0)), [5, 6]);
    assert_eq!(owed(&frontier, chunk(&frontier, 1)), [6]);
    assert_eq!(frontier.owed_rows().count(), 3);
}

#[test]
fn split_chunks_both_owe_and_keep_their_ids() {
    let mut frontier = table(&[10]);
    let (first, last) = (chunk(&frontier, 0), chunk(&frontier, 1));
    frontier.leave(&1, LeftTo::Chunk(first), &5);
    let middle = frontier.split(first, 4).unwrap();
    assert_eq!(frontier.chunks().collect::<Vec<_>>(), [first, middle, last]);
    assert_eq!(
        frontier.bounds(first),
        &Bounds {
            low: None,
            high: Some(4)
        }
    );
    assert_eq!(
        frontier.bounds(middle),
        &Bounds {
            low: Some(4),
            high: Some(10)
        }
    );
    assert_eq!(owed(&frontier, middle), [5]);
    assert_eq!(owed(&frontier, first), [5]);
    for (key, id) in [(3, first), (4, middle), (9, middle), (10, last)] {
        assert_eq!(frontier.chunk_of(&key), id);
    }
    assert!(frontier.split(middle, 4).is_err(), "its own low bound");
    assert!(frontier.split(middle, 10).is_err(), "outside");
    let end = frontier.split(last, 30).unwrap();
    assert_eq!(
        frontier.bounds(end),
        &Bounds {
            low: Some(30),
            high: None
        }
    );
    assert_eq!(
        frontier.chunks().collect::<Vec<_>>(),
        [first, middle, last, end]
    );
    frontier.begin_loading(middle).unwrap();
    assert!(frontier.split(middle, 6).is_err(), "loading");
}

#[test]
fn followed_only_beyond_every_horizon() {
    let mut frontier = table(&[10]);
    assert!(!frontier.followed(&u64::MAX));
    load(&mut frontier, 0, &snap(&[1]), 100, true);
    assert!(!frontier.followed(&u64::MAX));
    load(&mut frontier, 1, &snap(&[1]), 200, true);
    assert_eq!(frontier.max_horizon(), Some(&200));
    assert!(!frontier.followed(&199));
    assert!(frontier.followed(&200));
    assert!(frontier.settle(&150).is_empty());
    let progress = frontier.progress();
    assert_eq!((progress.loaded, progress.settled), (1, 1));
    assert_eq!(
        frontier.decide(&1, &1),
        Decision::Apply,
        "its snapshot is not needed any more"
    );
    assert_eq!(frontier.decide(&11, &1), Decision::Skip);
    assert!(!frontier.followed(&150));
    frontier.settle(&200);
    assert!(frontier.followed(&200));
    frontier.stage_one_key(11, snap(&[1, 2]), 300);
    assert!(!frontier.followed(&200));
    frontier.commit_staged();
    assert!(!frontier.followed(&299));
    assert!(frontier.followed(&300));
    frontier.park(12);
    assert!(!frontier.followed(&300));
}

#[test]
fn one_key_state_overrides_the_chunk_until_its_horizon() {
    let mut frontier = table(&[10]);
    load(&mut frontier, 0, &snap(&[1]), 100, true);
    assert_eq!(
        frontier.accept_one_key(&5, &snap(&[1, 3]), Some(&2)),
        Acceptance::Again
    );
    assert_eq!(
        frontier.accept_one_key(&5, &snap(&[1, 2]), Some(&2)),
        Acceptance::Accept
    );
    frontier.stage_one_key(5, snap(&[1, 2]), 150);
    assert_eq!(frontier.decide(&5, &2), Decision::Skip);
    assert_eq!(frontier.decide(&6, &2), Decision::Apply);
    frontier.discard_staged();
    assert_eq!(
        frontier.decide(&5, &2),
        Decision::Apply,
        "a batch decided again starts afresh"
    );
    frontier.stage_one_key(5, snap(&[1, 2]), 150);
    assert_eq!(frontier.staged_rows().count(), 1);
    frontier.commit_staged();
    assert_eq!(frontier.decide(&5, &2), Decision::Skip);
    assert!(frontier.settle(&149).is_empty());
    assert_eq!(
        frontier.decide(&5, &2),
        Decision::Skip,
        "also when its chunk is settled"
    );
    assert_eq!(frontier.settle(&150), [5]);
    assert_eq!(frontier.decide(&5, &2), Decision::Apply);
}

#[test]
fn a_parked_key_collects_what_its_reading_must_see() {
    let mut frontier = table(&[]);
    let only = chunk(&frontier, 0);
    frontier.begin_loading(only).unwrap();
    let row = frontier.row_for(only, &snap(&[1]), &100, true).unwrap();
    frontier.park(5);
    frontier.loaded(only, &row).unwrap();
    assert_eq!(frontier.decide(&5, &2), Decision::Leave(LeftTo::Key));
    frontier.leave(&5, LeftTo::Key, &2);
    assert_eq!(
        frontier.accept_one_key(&5, &snap(&[1]), None),
        Acceptance::Again
    );
    assert_eq!(
        frontier.accept_one_key(&5, &snap(&[1, 2]), None),
        Acceptance::Accept
    );
    assert_eq!(frontier.carry_or_reread(&5, &6, &3), ImagePlan::Reread);
    assert_eq!(frontier.carry_or_reread(&6, &5, &3), ImagePlan::Unneeded);
    assert!(frontier.due(&99).is_empty());
    assert_eq!(frontier.due(&100), [5]);
    frontier.stage_one_key(5, snap(&[1, 2]), 300);
    assert_eq!(frontier.decide(&5, &3), Decision::Apply);
    frontier.discard_staged();
    assert_eq!(frontier.decide(&5, &3), Decision::Leave(LeftTo::Key));
    frontier.stage_one_key(5, snap(&[1, 2]), 300);
    frontier.commit_staged();
    assert_eq!(frontier.progress().parked, 0);
    assert_eq!(frontier.decide(&5, &2), Decision::Skip);
}

#[test]
fn missing_columns_are_carried_only_from_the_row_that_the_update_started_from() {
    let mut frontier = table(&[10, 20]);
    load(&mut frontier, 0, &snap(&[1]), 100, true);
    load(&mut frontier, 1, &snap(&[1, 2]), 100, true);
    assert_eq!(frontier.carry_or_reread(&1, &1, &3), ImagePlan::Carry);
    assert_eq!(frontier.carry_or_reread(&1, &11, &3), ImagePlan::Carry);
    assert_eq!(frontier.carry_or_reread(&1, &1, &1), ImagePlan::Unneeded);
    assert_eq!(frontier.carry_or_reread(&1, &11, &2), ImagePlan::Unneeded);
    assert_eq!(frontier.carry_or_reread(&11, &1, &2), ImagePlan::Reread);
    assert_eq!(frontier.carry_or_reread(&21, &1, &3), ImagePlan::Reread);
    assert_eq!(frontier.carry_or_reread(&1, &21, &3), ImagePlan::Unneeded);
    let last = chunk(&frontier, 2);
    frontier.begin_loading(last).unwrap();
    assert_eq!(frontier.carry_or_reread(&21, &1, &3), ImagePlan::Hold(last));
    assert_eq!(frontier.carry_or_reread(&1, &21, &3), ImagePlan::Hold(last));
}

#[test]
fn a_truncate_is_decided_range_by_range_and_spares_keys_read_later() {
    let mut frontier = table(&[10, 20, 30]);
    load(&mut frontier, 0, &snap(&[1]), 100, true);
    load(&mut frontier, 1, &snap(&[1, 2]), 100, true);
    frontier.begin_loading(chunk(&frontier, 3)).unwrap();
    frontier.stage_one_key(4, snap(&[1, 2]), 150);
    frontier.stage_one_key(5, snap(&[1]), 150);
    frontier.commit_staged();
    frontier.park(6);
    let parts = frontier.truncate(&2);
    assert_eq!(
        parts.iter().map(|part| part.decision).collect::<Vec<_>>(),
        [
            Decision::Apply,
            Decision::Skip,
            left_to(&frontier, 2),
            Decision::Hold(chunk(&frontier, 3))
        ]
    );
    assert_eq!(
        parts[0].other_keys,
        [(4, Decision::Skip), (6, Decision::Leave(LeftTo::Key))]
    );
    assert_eq!(truncate_outcome(&parts), None);
    assert_eq!(truncate_outcome(&parts[..3]), Some(Outcome::Applied));
    assert_eq!(truncate_outcome(&parts[1..3]), Some(Outcome::Left));
    assert_eq!(truncate_outcome(&parts[1..2]), Some(Outcome::Covered));
}

#[test]
fn parts_are_decided_by_the_first_snapshot_and_mixed_ones_carry_nothing() {
    let mut frontier = table(&[]);
    let only = chunk(&frontier, 0);
    load(&mut frontier, 0, &snap(&[1]), 100, false);
    assert_eq!(frontier.state(only), ChunkState::Partial);
    assert_eq!(frontier.decide(&1, &2), Decision::Hold(only));
    frontier.lost(only).unwrap();
    assert_eq!(
        frontier.state(only),
        ChunkState::Partial,
        "never pending again"
    );
    assert_eq!(
        frontier.accept(only, &snap(&[2])),
        Acceptance::Again,
        "older than the first"
    );
    let mut same = frontier.clone();
    load(&mut same, 0, &snap(&[1]), 100, true);
    assert_eq!(same.carry_or_reread(&1, &1, &2), ImagePlan::Carry);
    load(&mut frontier, 0, &snap(&[1, 2]), 200, true);
    assert_eq!(frontier.decide(&1, &1), Decision::Skip);
    assert_eq!(frontier.decide(&1, &2), Decision::Apply);
    assert_eq!(frontier.carry_or_reread(&1, &1, &2), ImagePlan::Reread);
    frontier.settle(&199);
    assert_eq!(frontier.carry_or_reread(&1, &1, &3), ImagePlan::Reread);
    frontier.settle(&200);
    assert_eq!(frontier.carry_or_reread(&1, &1, &3), ImagePlan::Carry);
}

fn durable(
    frontier: &Table,
    rows: Vec<FrontierRow<u32, Snap, u64>>,
) -> DurableFrontier<u32, Snap, u8, u64> {
    DurableFrontier {
        chunks: rows,
        owed: frontier.owed_rows().collect(),
        one_key: frontier.parked_rows().collect(),
    }
}

#[test]
fn restore_cuts_pending_ranges_anew_and_keeps_what_they_are_owed() {
    let mut frontier = table(&[10, 20]);
    let (first, middle) = (chunk(&frontier, 0), chunk(&frontier, 1));
    frontier.leave(&1, LeftTo::Chunk(first), &5);
    frontier.leave(&21, LeftTo::Chunk(chunk(&frontier, 2)), &6);
    frontier.begin_loading(middle).unwrap();
    let row = frontier.row_for(middle, &snap(&[1]), &100, true).unwrap();
    frontier.loaded(middle, &row).unwrap();
    frontier.park(15);
    let rows = durable(&frontier, vec![row]);
    let again = Table::restore(None, [5, 10, 12, 15, 20, 40], rows).unwrap();
    let bounds: Vec<_> = again
        .chunks()
        .map(|id| (again.bounds(id).low, again.state(id)))
        .collect();
    assert_eq!(
        bounds,
        [
            (None, ChunkState::Pending),
            (Some(5), ChunkState::Pending),
            (Some(10), ChunkState::Loaded),
            (Some(20), ChunkState::Pending),
            (Some(40), ChunkState::Pending),
        ]
    );
    let owed: Vec<_> = again.chunks().map(|id| owed(&again, id)).collect();
    assert_eq!(owed, [vec![5], vec![5], vec![], vec![6], vec![6]]);
    assert_eq!(again.decide(&15, &7), Decision::Leave(LeftTo::Key));
    assert_eq!(again.decide(&16, &7), Decision::Apply);
}

#[test]
fn restore_refuses_rows_that_contradict_each_other() {
    let row = |low, high| FrontierRow {
        bounds: Bounds { low, high },
        snapshot: snap(&[1]),
        horizon: 100,
        mixed: false,
        complete: true,
    };
    let overlap = DurableFrontier {
        chunks: vec![row(Some(5), None), row(None, Some(6))],
        owed: vec![],
        one_key: vec![],
    };
    assert!(matches!(
        Table::restore(None, [], overlap),
        Err(RestoreError::Overlap(..))
    ));
    let unseen = DurableFrontier {
        chunks: vec![row(None, Some(6))],
        owed: vec![OwedRow {
            bounds: Bounds {
                low: Some(3),
                high: Some(9),
            },
            transaction: 2,
        }],
        one_key: vec![],
    };
    assert!(matches!(
        Table::restore(None, [], unseen),
        Err(RestoreError::OwedNotSeen(_))
    ));
}

/// A lookup among ten thousand chunks must stay far below what decoding a change costs. Run alone,
/// optimised: `cargo test --release -p crossfade-rules -- --ignored decide_is_cheap`.
#[test]
#[ignore = "measures time"]
fn decide_is_cheap() {
    let splits: Vec<u32> = (1..10_000).map(|place| place * 100).collect();
    let mut frontier = table(&splits);
    for place in 0..frontier.chunk_count() {
        load(&mut frontier, place, &snap(&[1]), 100, true);
    }
    let started = std::time::Instant::now();
    let applied = (0..500_000_u32)
        .filter(|n| {
            frontier.decide(&(n.wrapping_mul(2_654_435_761) % 1_000_000), &2) == Decision::Apply
        })
        .count();
    let each = started.elapsed().as_nanos() / 500_000;
    assert_eq!(applied, 500_000);
    assert!(each < 100, "{each} ns a change");
}

#[test]
fn every_change_is_applied_once_all_horizons_are_passed_and_no_key_is_read_by_itself() {
    let mut frontier = table(&[10]);
    load(&mut frontier, 0, &snap(&[1]), 100, true);
    assert!(!frontier.applies_all(), "a chunk is pending");
    load(&mut frontier, 1, &snap(&[1, 2]), 120, true);
    assert!(!frontier.applies_all(), "horizons are ahead");
    frontier.settle(&110);
    assert!(!frontier.applies_all(), "one horizon is ahead");
    frontier.settle(&120);
    assert!(frontier.applies_all());
    for key in [1, 10, 99] {
        for transaction in 1..4 {
            assert_eq!(frontier.decide(&key, &transaction), Decision::Apply);
            assert_eq!(
                frontier.carry_or_reread(&key, &1, &transaction),
                ImagePlan::Carry
            );
        }
    }
    frontier.stage_one_key(4, snap(&[1]), 150);
    assert!(!frontier.applies_all(), "a key was read by itself");
    frontier.commit_staged();
    assert!(!frontier.applies_all());
    frontier.settle(&150);
    assert!(frontier.applies_all());
}
