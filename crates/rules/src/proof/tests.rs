#![allow(clippy::unwrap_used)]

use super::*;

/// A snapshot sees the transactions in its set (bits).
#[derive(Debug, Clone, Copy)]
struct Snap(u32);

impl Sees<u8> for Snap {
    fn sees(&self, transaction: &u8) -> bool {
        self.0 & (1 << transaction) != 0
    }
}

/// Two columns; `None` is a missing one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row(u8, Option<u8>);

impl Image for Row {
    fn is_complete(&self) -> bool {
        self.1.is_some()
    }
    fn overlay(&mut self, newer: Self) {
        *self = Row(newer.0, newer.1.or(self.1));
    }
}

type Table = Book<&'static str, u64>;

const FIRST: RangeId = RangeId(0);
const SECOND: RangeId = RangeId(1);
const NOWHERE: RangeId = RangeId(9);

fn book() -> Table {
    Book::new(2, 3)
}

fn read(book: &mut Table, range: RangeId, at: u64, outcome: Outcome) {
    let ticket = book.begin(range).unwrap();
    assert_eq!(book.finish(ticket, at, outcome), Finished::Taken);
}

fn proven() -> Table {
    let mut book = book();
    read(&mut book, FIRST, 10, Outcome::Equal);
    read(&mut book, SECOND, 20, Outcome::Equal);
    assert!(book.everything_proven());
    book
}

fn touched(book: &Table) -> Vec<(RangeId, &'static str)> {
    book.touched().map(|(range, key)| (range, *key)).collect()
}

fn all(check: &Check<&'static str>, verdict: Verdict) -> Vec<((RangeId, &'static str), Verdict)> {
    check.keys().iter().map(|key| (*key, verdict)).collect()
}

#[test]
fn what_is_touched_since_the_beginning_is_not_proven() {
    let mut book = book();
    book.touch(FIRST, &"before");
    let ticket = book.begin(FIRST).unwrap();
    book.touch(FIRST, &"during");
    book.touch(FIRST, &"during");
    book.touch(SECOND, &"elsewhere");
    assert_eq!(book.status(FIRST), Status::Unproven);
    assert_eq!(book.finish(ticket, 10, Outcome::Equal), Finished::Taken);
    assert_eq!(book.status(FIRST), Status::Proven { at: 10 });
    book.touch(FIRST, &"after");
    assert_eq!(touched(&book), [(FIRST, "after"), (FIRST, "during")]);
    assert!(!book.everything_proven());
}

#[test]
fn a_later_reading_proves_what_was_touched_before_it() {
    let mut book = proven();
    book.touch(FIRST, &"a");
    let ticket = book.begin(FIRST).unwrap();
    book.touch(FIRST, &"b");
    assert_eq!(touched(&book), [(FIRST, "a"), (FIRST, "b")]);
    assert_eq!(
        book.status(FIRST),
        Status::Proven { at: 10 },
        "until it is read"
    );
    let mut given_up = book.clone();
    assert_eq!(
        book.finish(ticket.clone(), 30, Outcome::Equal),
        Finished::Taken
    );
    assert_eq!(touched(&book), [(FIRST, "b")]);
    given_up.cancel(ticket);
    assert_eq!(touched(&given_up), [(FIRST, "a"), (FIRST, "b")]);
    assert_eq!(given_up.status(FIRST), Status::Proven { at: 10 });
}

#[test]
fn a_table_is_proven_only_whole() {
    let mut book = book();
    assert!(!book.everything_proven());
    read(&mut book, FIRST, 10, Outcome::Equal);
    assert!(!book.everything_proven());
    read(&mut book, SECOND, 10, Outcome::Differs);
    assert!(!book.everything_proven());
    read(&mut book, SECOND, 20, Outcome::Equal);
    assert!(book.everything_proven());
    assert_eq!(book.oldest(), Some((FIRST, &10)));
    assert!(Table::new(0, 3).everything_proven(), "no rows, no doubt");
}

#[test]
fn over_the_bound_a_range_is_unproven_and_a_reading_void() {
    let mut book = proven();
    for key in ["a", "b", "c"] {
        book.touch(FIRST, &key);
    }
    let ticket = book.begin(FIRST).unwrap();
    let second = book.begin(SECOND).unwrap();
    assert_eq!(book.progress().touched, 3);
    book.touch(FIRST, &"c");
    assert_eq!(book.status(FIRST), Status::Proven { at: 10 });
    book.touch(FIRST, &"d");
    assert_eq!(book.status(FIRST), Status::Unproven);
    assert!(touched(&book).is_empty());
    let mut more = book.clone();
    assert_eq!(
        book.finish(ticket.clone(), 30, Outcome::Equal),
        Finished::Taken,
        "the reading itself has met two keys"
    );
    assert_eq!(touched(&book), [(FIRST, "c"), (FIRST, "d")]);
    for key in ["e", "f"] {
        more.touch(FIRST, &key);
    }
    for outcome in [Outcome::Equal, Outcome::Differs] {
        let finished = more.finish(ticket.clone(), 30, outcome);
        assert_eq!(finished, Finished::Void);
        assert_eq!(more.status(FIRST), Status::Unproven);
    }
    assert_eq!(more.finish(second, 30, Outcome::Equal), Finished::Taken);
}

#[test]
fn a_truncate_a_reset_and_a_second_beginning_void_a_reading() {
    type Spoil = fn(&mut Table);
    let spoil: [(Spoil, Status<u64>); 4] = [
        (|book| book.touch_all(FIRST), Status::Unproven),
        (|book| book.reset(), Status::Unproven),
        (|book| book.touch(NOWHERE, &"a"), Status::Unproven),
        (
            |book| assert!(book.begin(FIRST).is_some()),
            Status::Proven { at: 10 },
        ),
    ];
    for (spoil, expected) in spoil {
        let mut book = proven();
        let ticket = book.begin(FIRST).unwrap();
        spoil(&mut book);
        assert_eq!(book.status(FIRST), expected);
        assert_eq!(book.finish(ticket, 30, Outcome::Equal), Finished::Void);
        assert_eq!(book.status(FIRST), expected);
        read(&mut book, FIRST, 40, Outcome::Equal);
    }
    assert!(book().begin(NOWHERE).is_none());
    assert_eq!(proven().status(NOWHERE), Status::Unproven);
}

#[test]
fn a_ticket_is_good_once() {
    let mut book = book();
    let ticket = book.begin(FIRST).unwrap();
    assert_eq!(ticket.range(), FIRST);
    assert_eq!(
        book.finish(ticket.clone(), 10, Outcome::Equal),
        Finished::Taken
    );
    assert_eq!(book.finish(ticket, 20, Outcome::Differs), Finished::Void);
    assert_eq!(book.status(FIRST), Status::Proven { at: 10 });
}

#[test]
fn a_repaired_row_waits_for_its_reading() {
    let mut book = proven();
    read(&mut book, FIRST, 30, Outcome::Differs);
    let mut during = book.clone();
    book.repaired(FIRST, &"a");
    assert_eq!(touched(&book), [(FIRST, "a")]);
    let check = book.begin_touched();
    let found = all(&check, Verdict::Equal);
    assert_eq!(book.finish_touched(check, 40, found).proven, 1);
    assert_eq!(
        book.status(FIRST),
        Status::Differs { at: 30 },
        "whatever else differs"
    );
    read(&mut book, FIRST, 50, Outcome::Equal);
    assert!(book.everything_proven());
    let ticket = during.begin(FIRST).unwrap();
    during.repaired(FIRST, &"a");
    assert_eq!(during.finish(ticket, 50, Outcome::Equal), Finished::Taken);
    assert_eq!(touched(&during), [(FIRST, "a")]);
}

#[test]
fn a_range_that_differs_still_does_over_the_bound() {
    let mut book = proven();
    read(&mut book, FIRST, 30, Outcome::Differs);
    for key in ["a", "b", "c", "d"] {
        book.touch(FIRST, &key);
    }
    assert_eq!(book.status(FIRST), Status::Differs { at: 30 });
    assert!(touched(&book).is_empty());
}

#[test]
fn touched_keys_are_proven_unless_touched_again() {
    let mut book = proven();
    book.touch(FIRST, &"a");
    book.touch(FIRST, &"b");
    book.touch(SECOND, &"c");
    let check = book.begin_touched();
    assert_eq!(check.keys(), [(FIRST, "a"), (FIRST, "b"), (SECOND, "c")]);
    book.touch(FIRST, &"b");
    book.touch(FIRST, &"d");
    let mut found = all(&check, Verdict::Equal);
    found.push(((SECOND, "never touched"), Verdict::Differs));
    let checked = book.finish_touched(check, 40, found);
    assert_eq!((checked.proven, checked.undecided), (2, 2));
    assert!(checked.differ.is_empty());
    assert_eq!(touched(&book), [(FIRST, "b"), (FIRST, "d")]);
    assert_eq!(
        book.status(FIRST),
        Status::Proven { at: 10 },
        "the older position"
    );
    let check = book.begin_touched();
    let found = all(&check, Verdict::Equal);
    assert_eq!(book.finish_touched(check, 50, found).proven, 2);
    assert!(book.everything_proven());
}

#[test]
fn a_touched_key_that_differs_makes_its_range_differ() {
    let mut book = proven();
    book.touch(FIRST, &"a");
    book.touch(FIRST, &"b");
    let ticket = book.begin(FIRST).unwrap();
    let check = book.begin_touched();
    book.touch(FIRST, &"b");
    let found = all(&check, Verdict::Differs);
    let checked = book.finish_touched(check, 40, found);
    assert_eq!(checked.differ, [(FIRST, "a")]);
    assert_eq!(checked.undecided, 1, "it changed between the two sides");
    assert_eq!(book.status(FIRST), Status::Differs { at: 40 });
    assert_eq!(
        book.finish(ticket, 30, Outcome::Equal),
        Finished::Void,
        "it was equal before"
    );
    assert_eq!(touched(&book), [(FIRST, "a"), (FIRST, "b")]);
}

#[test]
fn an_older_check_and_one_over_a_reset_say_nothing() {
    let mut book = proven();
    book.touch(FIRST, &"a");
    let older = book.begin_touched();
    let newer = book.begin_touched();
    let found = all(&older, Verdict::Differs);
    assert_eq!(book.finish_touched(older.clone(), 40, found).undecided, 1);
    let mut truncated = book.clone();
    book.cancel_touched(older);
    let found = all(&newer, Verdict::Equal);
    assert_eq!(
        book.finish_touched(newer.clone(), 40, found.clone()).proven,
        1
    );
    truncated.touch_all(FIRST);
    let ticket = truncated.begin(FIRST).unwrap();
    truncated.touch(FIRST, &"a");
    assert_eq!(
        truncated.finish(ticket, 40, Outcome::Equal),
        Finished::Taken
    );
    assert_eq!(truncated.finish_touched(newer, 40, found).undecided, 1);
    assert_eq!(touched(&truncated), [(FIRST, "a")]);
    let check = truncated.begin_touched();
    let found = all(&check, Verdict::Equal);
    truncated.cancel_touched(check.clone());
    assert_eq!(truncated.finish_touched(check, 50, found).undecided, 1);
}

#[test]
fn unproven_before_differing_before_old_and_nobody_starves() {
    let mut book: Table = Book::new(4, 3);
    let order: Vec<u32> = (0..4)
        .map(|_| {
            let range = book.next().unwrap();
            let _reading = book.begin(range).unwrap();
            range.0
        })
        .collect();
    assert_eq!(order, [0, 1, 2, 3]);
    assert_eq!(book.next(), None, "all are being read");
    for (range, outcome) in [
        (0, Outcome::Equal),
        (1, Outcome::Equal),
        (2, Outcome::Differs),
    ] {
        read(&mut book, RangeId(range), 10, outcome);
    }
    // after an odd count of beginnings it is the turn of the one that waits longest
    assert_eq!(book.next(), Some(RangeId(0)));
    read(&mut book, RangeId(0), 20, Outcome::Equal);
    assert_eq!(book.next(), Some(RangeId(2)), "3 is still being read");
    book.touch_all(RangeId(1));
    assert_eq!(book.next(), Some(RangeId(1)));
    let mut turns = [0; 4];
    book.reset();
    for at in 30..70 {
        let range = book.next().unwrap();
        turns[range.index()] += 1;
        let outcome = if range.0 < 2 {
            Outcome::Equal
        } else {
            Outcome::Differs
        };
        read(&mut book, range, at, outcome);
    }
    assert!(turns.iter().all(|turns| *turns >= 5), "{turns:?}");
    assert_eq!(book.oldest().map(|(range, _)| range.0 < 2), Some(true));
    let progress = book.progress();
    assert_eq!(
        (progress.proven, progress.differs, progress.unproven),
        (2, 2, 0)
    );
}

#[test]
fn a_pair_is_exact_from_the_horizon_on() {
    assert!(!pair_is_exact(&10, &9));
    assert!(pair_is_exact(&10, &10));
    assert!(pair_is_exact(&10, &11));
    assert_eq!(accept(&Snap(0b0110), &[1, 2]), Acceptance::Accept);
    assert_eq!(accept(&Snap(0b0110), &[1, 3]), Acceptance::Again);
    assert_eq!(accept(&Snap(0), &[0_u8; 0]), Acceptance::Accept);
}

#[test]
fn the_log_has_the_last_word_on_a_key() {
    let (whole, thin, old) = (Row(2, Some(2)), Row(3, None), Row(1, Some(1)));
    let expected = [
        (None, None, Expected::Absent),
        (None, Some(old), Expected::Row(old)),
        (Some(LastImage::Gone), None, Expected::Absent),
        (Some(LastImage::Gone), Some(old), Expected::Absent),
        (Some(LastImage::Row(whole)), None, Expected::Row(whole)),
        (Some(LastImage::Row(whole)), Some(old), Expected::Row(whole)),
        (Some(LastImage::Row(thin)), None, Expected::Unknown),
        (
            Some(LastImage::Row(thin)),
            Some(old),
            Expected::Row(Row(3, Some(1))),
        ),
    ];
    for (last, at_snapshot, row) in expected {
        assert_eq!(expected_at_target(last, at_snapshot), row, "{last:?}");
    }
}

#[test]
fn repairs_are_capped() {
    assert_eq!(may_repair(0, 0), Repair::Repair);
    assert_eq!(may_repair(5, 5), Repair::Repair);
    assert_eq!(may_repair(6, 5), Repair::Refuse);
    assert_eq!(may_repair(1, 0), Repair::Refuse);
}

#[test]
fn a_range_may_take_what_others_leave_of_the_total_and_beyond_it_is_unproven_alone() {
    let mut book: Table = Book::new(2, 3).with_total(3);
    read(&mut book, FIRST, 10, Outcome::Equal);
    read(&mut book, SECOND, 20, Outcome::Equal);
    for key in ["a", "b", "c", "a"] {
        book.touch(FIRST, &key);
    }
    assert_eq!(touched(&book).len(), 3);
    book.touch(SECOND, &"d");
    assert_eq!(book.status(SECOND), Status::Unproven);
    assert_eq!(book.status(FIRST), Status::Proven { at: 10 });
    assert_eq!(touched(&book).len(), 3);
    // what is read again makes room
    let check = book.begin_touched();
    let found = all(&check, Verdict::Equal);
    assert_eq!(book.finish_touched(check, 30, found).proven, 3);
    read(&mut book, SECOND, 40, Outcome::Equal);
    book.touch(SECOND, &"d");
    assert_eq!(touched(&book), [(SECOND, "d")]);
}

#[test]
fn a_reading_that_meets_more_than_the_total_is_void() {
    let mut book: Table = Book::new(1, 3).with_total(2);
    let ticket = book.begin(FIRST).unwrap();
    for key in ["a", "b", "c"] {
        book.touch(FIRST, &key);
    }
    assert_eq!(book.finish(ticket, 10, Outcome::Equal), Finished::Void);
    assert_eq!(book.status(FIRST), Status::Unproven);
    book.touch(FIRST, &"a");
    read(&mut book, FIRST, 20, Outcome::Equal);
}
