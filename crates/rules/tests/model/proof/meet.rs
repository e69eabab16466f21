//! A query's result is compared whole, so the target must stop exactly where the source's snapshot is.

use crossfade_rules::frontier::Acceptance;
use crossfade_rules::proof::accept;
use crossfade_rules::proof::meet::{Meet, Step, Whole, whole};
use stateright::{Model, Property};

use super::bug::Bug;
use crate::scenario::Scenario;
use crate::source::{Snap, Source, Txn, rows_of};

pub const EXACT: &str = "a target that has met a snapshot shows what it shows";
pub const NEVER: &str = "never is said only of a snapshot that is no prefix of the log";
pub const MET: &str = "a target meets a snapshot after it opened";

/// A world with, maybe, a seeded bug. The table is followed from the beginning.
#[derive(Debug, Clone)]
pub struct World {
    pub scenario: Scenario,
    pub bug: Option<Bug>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    source: Source,
    /// Place in the log of the transaction to apply next.
    checkpoint: u8,
    query: Query,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Query {
    None,
    /// With a bug, a horizon is already read.
    Begun(Option<u8>),
    /// `fed`: place of the transaction to feed next. The target is at the checkpoint.
    Opened {
        snapshot: Snap,
        meet: Meet<Snap, u8>,
        fed: u8,
        opened_at: u8,
    },
    Met {
        snapshot: Snap,
        applied: bool,
    },
    Never {
        snapshot: Snap,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    Commit(u8),
    Show(u8),
    /// The applier applies a transaction as ever.
    Apply,
    Begin,
    Open,
    /// The applier feeds the next transaction, and applies it if it may.
    Feed,
    /// The log was read to its end.
    Quiet,
    /// The snapshot is closed, another will be opened.
    Again,
}

impl World {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn open(&self, state: &mut State, early: Option<u8>) {
        let snapshot = state.source.snapshot(false);
        let applied: Vec<Txn> = (0..state.checkpoint)
            .map(|place| state.source.txn(place))
            .collect();
        let accepted = accept(&snapshot, &applied) == Acceptance::Accept;
        if accepted || self.has(Bug::MeetUnseenApplied) {
            state.query = Query::Opened {
                snapshot,
                meet: Meet::new(snapshot, early.unwrap_or(state.source.end())),
                fed: state.checkpoint,
                opened_at: state.checkpoint,
            };
        }
    }

    fn step(&self, state: &mut State, step: Step, with: Option<u8>) {
        let Query::Opened {
            snapshot,
            fed,
            opened_at,
            ..
        } = &mut state.query
        else {
            return;
        };
        let (snapshot, opened_at) = (*snapshot, *opened_at);
        if let Some(place) = with {
            *fed = place + 1;
        }
        match step {
            Step::Continue => state.checkpoint += u8::from(with.is_some()),
            Step::Hold if self.has(Bug::MeetOfNoPrefix) => {
                state.query = Query::Met {
                    snapshot,
                    applied: state.checkpoint > opened_at,
                }
            }
            Step::Hold => {}
            Step::StopBefore => {
                state.query = Query::Met {
                    snapshot,
                    applied: state.checkpoint > opened_at,
                };
                let late = with.is_some() && self.has(Bug::MeetStopsLate);
                state.checkpoint += u8::from(late);
            }
            Step::Never => state.query = Query::Never { snapshot },
        }
    }
}

impl Model for World {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            source: Source::new(&self.scenario),
            checkpoint: 0,
            query: Query::None,
        }]
    }

    fn actions(&self, state: &State, events: &mut Vec<Event>) {
        let source = &state.source;
        for id in 0..self.scenario.txns.len() as u8 {
            if source.may_commit(&self.scenario, id) {
                events.push(Event::Commit(id));
            }
            if source.log.contains(&id) && source.visible & (1 << id) == 0 {
                events.push(Event::Show(id));
            }
        }
        match &state.query {
            Query::None if state.checkpoint < source.end() => {
                events.extend([Event::Apply, Event::Begin]);
            }
            Query::None => events.push(Event::Begin),
            Query::Begun(_) => events.push(Event::Open),
            Query::Opened { fed, .. } if *fed < source.end() => events.push(Event::Feed),
            Query::Opened { .. } => events.push(Event::Quiet),
            Query::Never { .. } => events.push(Event::Again),
            Query::Met { .. } => {}
        }
    }

    fn next_state(&self, state: &State, event: Event) -> Option<State> {
        let mut next = state.clone();
        match event {
            Event::Commit(id) => next.source.commit(&self.scenario, id),
            Event::Show(id) => next.source.visible |= 1 << id,
            Event::Apply => next.checkpoint += 1,
            Event::Begin => {
                let early = self.has(Bug::MeetHorizonBeforeSnapshot);
                next.query = Query::Begun(early.then(|| state.source.end()));
            }
            Event::Open => {
                if let Query::Begun(early) = state.query {
                    self.open(&mut next, early);
                }
            }
            Event::Feed => {
                if let Query::Opened { meet, fed, .. } = &mut next.query {
                    let (place, txn) = (*fed, state.source.txn(*fed));
                    let step = meet.feed(&txn, &txn.end);
                    self.step(&mut next, step, Some(place));
                }
            }
            Event::Quiet => {
                if let Query::Opened { meet, fed, .. } = &mut next.query {
                    let step = meet.read_to(fed);
                    self.step(&mut next, step, None);
                }
            }
            Event::Again => next.query = Query::None,
        }
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(EXACT, |world: &World, state: &State| {
                let Query::Met { snapshot, .. } = &state.query else {
                    return true;
                };
                let shown = rows_of(&state.source.at_snapshot(&world.scenario, snapshot));
                state.source.prefix(&world.scenario, state.checkpoint) == shown
            }),
            Property::always(NEVER, |_: &World, state: &State| {
                let Query::Never { snapshot } = &state.query else {
                    return true;
                };
                let end = state.source.end();
                let log: Vec<Txn> = (0..end).map(|place| state.source.txn(place)).collect();
                whole(snapshot, &log) == Whole::Never
            }),
        ];
        if self.bug.is_none() {
            properties.push(Property::sometimes(MET, |_: &World, state: &State| {
                matches!(state.query, Query::Met { applied: true, .. })
            }));
        }
        properties
    }
}
