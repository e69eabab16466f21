#![allow(clippy::unwrap_used)]

use crossfade_model::Cell;

use super::*;
use crate::testkit::{insert, row, t};

struct Stream {
    sender: mpsc::Sender<Vec<StreamEvent>>,
    gatherer: Gatherer,
}

fn stream(most_changes: u32, most_bytes: u64) -> Stream {
    let (sender, events) = mpsc::channel(64);
    let options = RunOptions {
        batch_changes: most_changes,
        batch_bytes: most_bytes,
        batch_milliseconds: 5,
        ..RunOptions::default()
    };
    Stream {
        sender,
        gatherer: Gatherer::new(events, &options),
    }
}

/// What came, as words: transactions and how many changes each has, and the end.
fn shown(gathered: Gathered) -> String {
    match gathered {
        Gathered::Batch { transactions, end } => {
            let each = transactions
                .iter()
                .map(|t| format!("{}:{} ", t.id.0, t.changes.len()));
            format!("{}end {:?}", each.collect::<String>(), end.map(|e| e.0))
        }
        Gathered::Big(big) => format!("big {}:{} end {}", big.id.0, big.spill.len(), big.end.0),
        Gathered::SchemaChanged { table, .. } => format!("altered {}", table.0),
        Gathered::Ended => "ended".to_owned(),
    }
}

fn begin(id: u64) -> StreamEvent {
    StreamEvent::Begin(Transaction {
        id: t(id),
        committed_at: 0,
    })
}

fn change() -> StreamEvent {
    StreamEvent::Change(insert(0, row("1", "x", "y")))
}

fn commit(end: u64) -> StreamEvent {
    StreamEvent::Commit { end: Position(end) }
}

fn transaction(id: u64, changes: usize) -> Vec<StreamEvent> {
    let changes = (0..changes).map(|_| change());
    std::iter::once(begin(id))
        .chain(changes)
        .chain([commit(id)])
        .collect()
}

impl Stream {
    fn send(&self, events: Vec<StreamEvent>) {
        self.sender.try_send(events).unwrap();
    }

    async fn next(&mut self) -> String {
        shown(self.gatherer.next(false).await.unwrap())
    }

    /// Nothing comes within a while.
    async fn is_quiet(&mut self) -> bool {
        let wait = Duration::from_millis(30);
        tokio::time::timeout(wait, self.gatherer.next(false))
            .await
            .is_err()
    }
}

#[tokio::test]
async fn a_batch_holds_whole_transactions_and_waits_no_longer_than_it_lingers() {
    let mut at = stream(10, 1 << 20);
    at.send(transaction(1, 2));
    at.send(transaction(2, 3));
    assert_eq!(at.next().await, "1:2 2:3 end Some(2)");
    assert!(at.is_quiet().await);
}

#[tokio::test]
async fn a_full_batch_goes_at_once_and_the_open_transaction_stays() {
    let mut at = stream(4, 1 << 20);
    let mut events = transaction(1, 3);
    events.extend([begin(2), change(), change()]);
    at.send(events);
    assert_eq!(at.next().await, "1:3 end Some(1)");
    assert!(at.is_quiet().await, "nothing of an open transaction");
    at.send(vec![change(), commit(2)]);
    assert_eq!(at.next().await, "2:3 end Some(2)");
}

#[tokio::test]
async fn progress_inside_a_transaction_moves_nothing_and_outside_never_back() {
    let mut at = stream(10, 1 << 20);
    at.send(vec![
        begin(1),
        change(),
        StreamEvent::Progress(Position(50)),
    ]);
    assert!(at.is_quiet().await);
    at.send(vec![commit(9), StreamEvent::Progress(Position(12))]);
    at.send(vec![StreamEvent::Progress(Position(11))]);
    assert_eq!(at.next().await, "1:1 end Some(12)");
    at.send(vec![StreamEvent::Progress(Position(20))]);
    assert_eq!(at.next().await, "end Some(20)");
}

#[tokio::test]
async fn a_big_transaction_comes_alone_and_after_all_before_it() {
    let mut at = stream(4, 1 << 20);
    at.send(transaction(1, 2));
    at.send(transaction(2, 9));
    at.send(transaction(3, 1));
    assert_eq!(at.next().await, "1:2 end Some(1)");
    assert_eq!(at.next().await, "big 2:9 end 2");
    assert_eq!(at.next().await, "3:1 end Some(3)");
}

#[tokio::test]
async fn a_transaction_of_few_but_wide_changes_is_big_too_and_counts_for_no_other_batch() {
    let mut at = stream(1000, 64 << 10);
    let wide = "w".repeat(40 << 10);
    let change = || StreamEvent::Change(insert(0, row("1", &wide, "y")));
    at.send(vec![begin(1), change(), change(), change(), commit(1)]);
    at.send(transaction(2, 5));
    assert_eq!(at.next().await, "big 1:3 end 1");
    assert_eq!(at.next().await, "2:5 end Some(2)");
    assert!(at.is_quiet().await);
}

#[tokio::test]
async fn everything_before_an_alteration_comes_first_and_its_own_transaction_never() {
    let mut at = stream(10, 1 << 20);
    at.send(transaction(1, 1));
    at.send(vec![
        begin(2),
        change(),
        StreamEvent::SchemaChanged {
            table: TableId(3),
            what: "a column".to_owned(),
            moved: Vec::new(),
        },
    ]);
    assert_eq!(at.next().await, "1:1 end Some(1)");
    assert_eq!(at.next().await, "altered 3");
    drop(at.sender);
    let ended = shown(at.gatherer.next(false).await.unwrap());
    assert_eq!(ended, "ended", "the half transaction is not handed on");
}

#[tokio::test]
async fn a_call_that_is_given_up_loses_nothing() {
    let mut at = stream(100, 1 << 20);
    at.gatherer.linger = Duration::from_secs(60);
    for id in 1..=5 {
        at.send(vec![begin(id), change()]);
        assert!(at.is_quiet().await);
        at.send(vec![change(), commit(id)]);
    }
    drop(at.sender);
    let gathered = shown(at.gatherer.next(false).await.unwrap());
    assert_eq!(gathered, "1:2 2:2 3:2 4:2 5:2 end Some(5)");
}

#[tokio::test]
async fn a_stream_out_of_order_is_a_defect() {
    for events in [vec![begin(1), begin(2)], vec![commit(1)], vec![change()]] {
        let mut at = stream(10, 1 << 20);
        at.send(events);
        assert!(at.gatherer.next(false).await.is_err());
    }
}

#[tokio::test]
async fn what_was_spilled_comes_back_as_it_was() {
    let mut at = stream(2, 1 << 20);
    let odd = Change::Update {
        table: TableId(1),
        before: None,
        row: crossfade_model::Row(vec![Cell::Null, Cell::Unchanged]),
    };
    at.send(vec![
        begin(1),
        StreamEvent::Change(odd.clone()),
        StreamEvent::Change(odd.clone()),
        StreamEvent::Change(odd.clone()),
        commit(1),
    ]);
    let Gathered::Big(mut big) = at.gatherer.next(false).await.unwrap() else {
        panic!("not big");
    };
    let back = big.spill.reader().unwrap().next(100, 1 << 20).unwrap();
    assert_eq!(back, [odd.clone(), odd.clone(), odd]);
}
