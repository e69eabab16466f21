#![allow(clippy::unwrap_used)]

use super::*;

fn view(xmin: u64, xmax: u64, in_progress: &[u64]) -> Snapshot {
    Snapshot::Transactions {
        xmin,
        xmax,
        in_progress: in_progress.to_vec(),
    }
}

/// Where a log of these transactions (each ends at ten times its place, from 1) meets a view, by how many come before.
fn meets(view: &Snapshot, horizon: u64, log: &[u64]) -> Option<usize> {
    let mut stop = None;
    for (at, id) in log.iter().enumerate() {
        let end = Position(10 * (at as u64 + 1));
        let transaction = (TransactionId(*id), end);
        let before = Position(10 * at as u64);
        let stopped = stop.is_some();
        let mut said = next(view, Position(horizon), stopped, before, transaction);
        if said == Next::Stop {
            stop = Some(at);
            said = next(view, Position(horizon), true, before, transaction);
        }
        match said {
            Next::Apply => {}
            Next::Void => return None,
            Next::Met => break,
            Next::Stop => panic!("stopped twice"),
        }
        if end.0 >= horizon {
            return Some(stop.unwrap_or(at + 1));
        }
    }
    Some(stop.unwrap_or(log.len()))
}

#[test]
fn a_view_that_is_a_prefix_is_met_before_the_first_that_it_does_not_see() {
    assert_eq!(meets(&view(5, 5, &[]), 20, &[3, 4, 5, 6]), Some(2));
    // 4 is in the log and not visible yet, nor is what follows it
    assert_eq!(meets(&view(4, 6, &[4, 5]), 30, &[3, 4, 5, 6]), Some(1));
    // all of it
    assert_eq!(meets(&view(9, 9, &[]), 40, &[3, 4, 5, 6]), Some(4));
}

#[test]
fn a_poll_that_goes_beyond_the_view_is_no_place_to_meet() {
    let view = Snapshot::Sequence(20);
    // a poll ended where the view ends
    assert_eq!(meets(&view, 20, &[10, 20, 30]), Some(2));
    let beyond = (TransactionId(25), Position(25));
    let at = |checkpoint| next(&view, Position(20), false, Position(checkpoint), beyond);
    assert_eq!(at(10), Next::Void);
    assert_eq!(at(20), Next::Stop);
}

#[test]
fn a_view_that_sees_a_later_one_is_void() {
    // 5 became visible before 4 did
    assert_eq!(meets(&view(4, 6, &[4]), 30, &[3, 4, 5, 6]), None);
    assert_eq!(meets(&view(4, 7, &[4, 5]), 40, &[3, 4, 5, 6]), None);
    // 7 is beyond the horizon: no view sees it, and nothing beyond is looked at
    assert_eq!(meets(&view(4, 7, &[4, 5]), 30, &[3, 4, 5, 7, 6]), Some(1));
}

/// Every view of four transactions in every order of the log: met exactly if it shows a prefix, and there.
#[test]
fn met_exactly_where_the_view_is_a_prefix() {
    let mut orders = vec![Vec::new()];
    for id in 1..=4u64 {
        let longer = orders.iter().flat_map(|order: &Vec<u64>| {
            (0..=order.len()).map(move |at| {
                let mut order = order.clone();
                order.insert(at, id);
                order
            })
        });
        orders = longer.collect();
    }
    for log in &orders {
        for seen in 0..16u64 {
            let unseen: Vec<u64> = (1..=4).filter(|id| seen & (1 << (id - 1)) == 0).collect();
            let view = view(1, 5, &unseen);
            let prefix = log.iter().take_while(|id| !unseen.contains(id)).count();
            let is_prefix = log[prefix..].iter().all(|id| unseen.contains(id));
            // everything seen lies before the horizon
            let last = log.iter().rposition(|id| !unseen.contains(id));
            let least = last.map_or(0, |at| 10 * (at as u64 + 1));
            for horizon in [least, least + 5, 40] {
                let met = meets(&view, horizon, log);
                assert_eq!(met.is_some(), is_prefix, "{log:?} {unseen:?} {horizon}");
                if let Some(met) = met.filter(|_| horizon > 0) {
                    let all = log.len().min(prefix);
                    assert_eq!(met, all, "{log:?} {unseen:?} {horizon}");
                }
            }
        }
    }
}

#[test]
fn what_was_applied_while_the_view_was_opened_must_be_seen() {
    let asked = || {
        let (reply, answer) = oneshot::channel();
        let asked = Asked {
            view: Snapshot::Sequence(4),
            horizon: Position(4),
            reply,
        };
        (asked, answer)
    };
    for (applied, stands) in [(4, true), (5, false)] {
        let mut meeting = Meeting::new();
        assert!(meeting.hold().is_some());
        meeting.go_on();
        assert!(meeting.hold().is_none());
        let next = meeting.next(Position(0), (TransactionId(applied), Position(applied)));
        assert_eq!(next, Next::Apply);
        let (asked, mut answer) = asked();
        assert_eq!(meeting.ask(asked).is_some(), stands);
        if !stands {
            assert!(answer.try_recv().unwrap().is_none());
        }
    }
}
