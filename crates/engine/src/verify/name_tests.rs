#![allow(clippy::unwrap_used)]

use async_trait::async_trait;
use crossfade_model::{Digester, Row, TransactionId};
use crossfade_store::RowBlock;

use super::*;
use crate::progress::DifferenceKind;
use crate::testkit::{Form, *};

/// Rows that are there already, in blocks of two.
struct Ready(Vec<Row>);

#[async_trait]
impl RowStream for Ready {
    async fn next(&mut self) -> crossfade_store::Result<Option<RowBlock>> {
        let rest = self.0.split_off(self.0.len().min(2));
        let block = std::mem::replace(&mut self.0, rest);
        Ok((!block.is_empty()).then_some(RowBlock::Rows(block)))
    }
}

async fn named(
    mapping: &TableMapping,
    source: &[Row],
    unseen: &[WholeChange],
    target: &[Row],
) -> (Vec<(DifferenceKind, String)>, bool) {
    let touched = Touched::default();
    let bad: HashSet<usize> = (0..crossfade_model::digest::BUCKETS).collect();
    let digester = Digester::new(&[7; 32]);
    let side = || Naming::new(mapping, &digester, "a store", &touched, &bad);
    let unseen: Vec<&WholeChange> = unseen.iter().collect();
    let (mut theirs, mut ours) = (side(), side());
    theirs.sum(&mut Ready(source.to_vec())).await.unwrap();
    theirs.shift(&unseen).unwrap();
    ours.sum(&mut Ready(target.to_vec())).await.unwrap();
    let (wanted, left_out) = wanted(&theirs.sums, &ours.sums);
    theirs
        .keep(&mut Ready(source.to_vec()), &wanted)
        .await
        .unwrap();
    theirs.carry(&unseen, &wanted).unwrap();
    ours.keep(&mut Ready(target.to_vec()), &wanted)
        .await
        .unwrap();
    let more = left_out || !theirs.dropped.is_empty() || !ours.dropped.is_empty();
    let (theirs, ours) = both(theirs, ours);
    let differences = differ::differences(mapping, &Marks::default(), &theirs, &ours, &digester);
    let shown = differences.into_iter().map(|d| (d.kind, d.key));
    (shown.collect(), more)
}

fn rows(count: usize, width: usize) -> Vec<Row> {
    let wide = "w".repeat(width);
    (0..count)
        .map(|n| row(&n.to_string(), &wide, "y"))
        .collect()
}

#[tokio::test]
async fn one_row_among_many_is_named_alone_whatever_order_they_are_read_in() {
    let mapping = table(0, Form::Ordered);
    // more than is kept of one side
    let source = rows(700, 100 << 10);
    let mut target: Vec<Row> = source.iter().rev().cloned().collect();
    target[13] = row("686", "other", "y");
    let (found, more) = named(&mapping, &source, &[], &target).await;
    assert_eq!(found, [(DifferenceKind::Changed, "686".to_owned())]);
    assert!(!more);
}

#[tokio::test]
async fn a_bucket_too_big_to_be_kept_names_no_row_and_says_so() {
    let mapping = table(0, Form::Keyless);
    let wide = "w".repeat(1 << 20);
    let copies = |n| vec![row("1", &wide, "y"); n];
    let (found, more) = named(&mapping, &copies(70), &[], &copies(69)).await;
    assert_eq!(found, []);
    assert!(more);
    let (found, more) = named(&mapping, &copies(3), &[], &copies(2)).await;
    assert_eq!(found.len(), 1);
    assert!(!more);
}

#[tokio::test]
async fn many_differences_are_cut_and_said_to_be() {
    let mapping = table(0, Form::Ordered);
    let (found, more) = named(&mapping, &rows(3000, 1), &[], &[]).await;
    assert!(found.len() > MOST_LISTED);
    assert!(
        found
            .iter()
            .all(|(kind, _)| *kind == DifferenceKind::Missing)
    );
    assert!(more);
}

#[tokio::test]
async fn rows_without_key_that_came_and_went_after_the_snapshot_are_no_differences() {
    let mapping = table(0, Form::Keyless);
    let change = |row: Row, came| WholeChange {
        transaction: TransactionId(2),
        row,
        came,
    };
    let (a, b) = (row("1", "x", "y"), row("2", "x", "y"));
    let unseen = [change(a.clone(), false), change(b.clone(), true)];
    let source = [a.clone(), a.clone()];
    let target = [a.clone(), b.clone()];
    assert_eq!(
        named(&mapping, &source, &unseen, &target).await,
        (vec![], false)
    );
    let (found, _) = named(&mapping, &source, &unseen, &[b]).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, DifferenceKind::Missing);
}
