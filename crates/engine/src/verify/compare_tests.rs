use crossfade_model::BucketSum;

use super::*;
use crate::progress::{Difference, DifferenceKind};

#[test]
fn a_difference_is_one_once_the_next_comparison_shows_it_too() {
    let report = |keys: &[&[&str]], more: bool| VerifyReport {
        tables: keys
            .iter()
            .map(|keys| TableVerify {
                name: String::new(),
                columns: Vec::new(),
                rows: 0,
                source: BucketSum::default(),
                target: BucketSum::default(),
                stream_proven_keys: 0,
                places: Places::default(),
                equal: keys.is_empty() && !more,
                differences: keys
                    .iter()
                    .map(|key| Difference {
                        kind: DifferenceKind::Missing,
                        key: (*key).to_owned(),
                        columns: Vec::new(),
                        cause: Default::default(),
                        why: String::new(),
                        classification: None,
                        row_key: None,
                        source_digest: BucketSum::default(),
                        target_digest: BucketSum::default(),
                        source_row: None,
                        target_row: None,
                    })
                    .collect(),
                more,
            })
            .collect(),
        ..VerifyReport::default()
    };
    let first = report(&[&["1", "2"], &[]], false);
    assert!(nothing_new(&first, &report(&[&["2"], &[]], false)));
    assert!(nothing_new(&first, &report(&[&[], &[]], false)));
    assert!(!nothing_new(&first, &report(&[&["3"], &[]], false)));
    assert!(!nothing_new(&first, &report(&[&["1"], &["1"]], false)));
    // rows that could not be named, in a table that was equal before
    assert!(!nothing_new(&report(&[&[]], false), &report(&[&[]], true)));
    assert!(nothing_new(&report(&[&[]], true), &report(&[&[]], true)));
}
