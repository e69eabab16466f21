#![allow(clippy::unwrap_used)]

use async_trait::async_trait;
use crossfade_model::Digester;

use super::*;
use crate::testkit::{Form, *};

struct Once(Option<Vec<Row>>);

#[async_trait]
impl RowStream for Once {
    async fn next(&mut self) -> crossfade_store::Result<Option<RowBlock>> {
        Ok(self.0.take().map(RowBlock::Rows))
    }
}

async fn sum(rows: &[Row], apart: &[&str]) -> Sums {
    let mapping = table(0, Form::Ordered);
    let identity = |id: &&str| {
        let mut out = Vec::new();
        mapping.identity_of(&key_row(id), &mut out).unwrap();
        out
    };
    let apart = apart.iter().map(identity).collect();
    Reader::new(&mapping, Digester::new(&[7; 32]), "source")
        .sum(&mut Once(Some(rows.to_vec())), &apart)
        .await
        .unwrap()
}

#[tokio::test]
async fn rows_kept_apart_are_not_summed_but_a_second_one_of_the_same_key_is() {
    let (one, two) = (row("1", "x", "y"), row("2", "x", "y"));
    let plain = sum(std::slice::from_ref(&two), &[]).await;
    let apart = sum(&[one.clone(), two.clone()], &["1"]).await;
    assert_eq!(apart.buckets, plain.buckets);
    assert_eq!((apart.rows, apart.apart.len()), (2, 1));
    let double = sum(&[one.clone(), two, one], &["1"]).await;
    assert_ne!(double.buckets, plain.buckets);
}

#[tokio::test]
async fn sums_do_not_depend_on_order_and_see_doubles_and_swaps() {
    let (one, two) = (row("1", "x", "y"), row("2", "x", "y"));
    let both = sum(&[one.clone(), two.clone()], &[]).await;
    let turned = sum(&[two.clone(), one.clone()], &[]).await;
    assert_eq!(both.buckets, turned.buckets);
    let double = sum(&[one.clone(), two, one], &[]).await;
    assert_ne!(both.buckets, double.buckets);
    let swapped = sum(&[row("1", "y", "x"), row("2", "x", "y")], &[]).await;
    assert_ne!(both.buckets, swapped.buckets);
}
