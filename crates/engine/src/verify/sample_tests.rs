use super::*;

#[test]
fn a_seed_chooses_the_same_and_another_seed_others() {
    let one = chosen(1000, 10_000, 7, "orders");
    assert_eq!(one.len(), 10);
    assert_eq!(one, chosen(1000, 10_000, 7, "orders"));
    assert_ne!(one, chosen(1000, 10_000, 8, "orders"));
    assert_ne!(one, chosen(1000, 10_000, 7, "lines"));
    assert!(one.is_sorted() && one.iter().all(|at| *at < 1000));
    assert_eq!(chosen(16, 1, 7, "orders").len(), 1, "never none");
    assert_eq!(chosen(16, WHOLE, 7, "orders").len(), 16);
}

#[test]
fn every_range_is_chosen_by_some_seed() {
    let mut seen = std::collections::HashSet::new();
    for seed in 0..200 {
        seen.extend(chosen(16, 62_500, seed, "orders"));
    }
    assert_eq!(seen.len(), 16);
}

#[test]
fn a_table_is_cut_so_that_the_share_is_some_ranges() {
    assert_eq!(ranges_wanted(10_000, 1_000_000), 1000);
    assert_eq!(ranges_wanted(1, 1_000_000), 20_000);
    assert_eq!(ranges_wanted(10_000, 100), 16, "few rows");
    assert_eq!(ranges_wanted(500_000, 1_000_000), 20);
}

#[test]
fn ranges_hold_every_key() {
    let bound = |n: u8| Bound {
        key: crossfade_model::Key(vec![n].into()),
        cells: Vec::new(),
    };
    let ends: Vec<_> = ranges(vec![bound(1), bound(5)])
        .into_iter()
        .map(|range| match range {
            ChunkRange::Keys { low, high } => (low.map(|b| b.key), high.map(|b| b.key)),
            _ => panic!("no range"),
        })
        .collect();
    let key = |n: u8| Some(bound(n).key);
    assert_eq!(ends, [(None, key(1)), (key(1), key(5)), (key(5), None)]);
    assert_eq!(ranges(Vec::new()), [ChunkRange::All]);
}
