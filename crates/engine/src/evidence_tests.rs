#![allow(clippy::unwrap_used)]
use crossfade_model::RowDigest;

use super::*;

fn sum(lanes: &[u64]) -> BucketSum {
    let mut sum = BucketSum::default();
    for &lane in lanes {
        sum.add(RowDigest {
            first: lane,
            second: lane.wrapping_mul(7),
            place: 0,
        });
    }
    sum
}

fn difference(kind: DifferenceKind, source: &[u64], target: &[u64]) -> Difference {
    Difference {
        kind,
        key: "1".to_owned(),
        columns: Vec::new(),
        cause: Default::default(),
        why: String::new(),
        classification: Some(Classification {
            verdict: Verdict::Expected,
            by: "Ada".to_owned(),
            reason: "on purpose".to_owned(),
            at: 1,
        }),
        row_key: None,
        source_row: None,
        target_row: None,
        source_digest: sum(source),
        target_digest: sum(target),
    }
}

/// Rows 1 and 2 are on both sides; 3 was changed to 4, 5 is missing, 6 extra.
fn table() -> TableVerify {
    TableVerify {
        name: "t".to_owned(),
        columns: Vec::new(),
        rows: 4,
        source: sum(&[1, 2, 3, 5]),
        target: sum(&[1, 2, 4, 6]),
        stream_proven_keys: 0,
        places: Default::default(),
        equal: false,
        differences: vec![
            difference(DifferenceKind::Changed, &[3], &[4]),
            difference(DifferenceKind::Missing, &[5], &[]),
            difference(DifferenceKind::Extra, &[], &[6]),
        ],
        more: false,
    }
}

fn report(table: TableVerify) -> VerifyReport {
    VerifyReport {
        equal: table.equal,
        tables: vec![table],
        ..VerifyReport::default()
    }
}

#[test]
fn expected_rows_are_taken_out_of_both_sums() {
    assert_eq!(table().expected(), [sum(&[3, 5]), sum(&[4, 6])]);
    assert!(report(table()).is_equal_as_expected());
}

#[test]
fn nothing_is_equal_as_expected_that_a_person_does_not_expect_or_that_is_not_known() {
    let mut several: Vec<TableVerify> = (0..5).map(|_| table()).collect();
    several[0].differences[0].classification = None;
    several[1].differences[1]
        .classification
        .as_mut()
        .unwrap()
        .verdict = Verdict::Bug;
    several[2].more = true;
    // of a row that the stream did not give whole there is no digest
    several[3].differences[0].source_digest = BucketSum::default();
    several[4].target.add(RowDigest {
        first: 9,
        second: 9,
        place: 0,
    });
    for table in several {
        assert!(!report(table).is_equal_as_expected());
    }
    // ranges that were never read: no table differs, and nothing is proven
    let mut unread = table();
    (unread.equal, unread.differences) = (true, Vec::new());
    unread.target = unread.source;
    let mut unread = report(unread);
    unread.equal = false;
    assert!(!unread.is_equal_as_expected());
}

#[test]
fn digests_survive_the_control_store_and_are_not_kept() {
    let whole = report(table());
    let text = serde_json::to_string(&whole).unwrap();
    assert_eq!(serde_json::from_str::<VerifyReport>(&text).unwrap(), whole);
    let kept = serde_json::to_string(&whole.without_evidence()).unwrap();
    assert!(!kept.contains("_digest"), "{kept}");
}
