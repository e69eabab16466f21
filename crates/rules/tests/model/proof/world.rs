//! The whole state and its events, as the checker sees them.

use std::collections::BTreeMap;

use crossfade_rules::proof::{Book, Check, LastImage, Outcome, RangeId, Ticket, Verdict};
use stateright::{Model, Property};

use super::bug::Bug;
use super::check;
use super::setting::Setting;
use crate::source::{Img, KEYS, Key, Row, Rows, Snap, Source, rows_of};

/// A world with, maybe, a seeded bug.
#[derive(Debug, Clone)]
pub struct World {
    pub setting: Setting,
    pub bug: Option<Bug>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub source: Source,
    pub target: Rows,
    pub checkpoint: u8,
    pub book: Book<Key, u8>,
    /// By range.
    pub readings: Vec<Option<Reading>>,
    pub check: Option<Reading>,
    /// Keys found to differ and not repaired since, as a mask.
    pub found: u8,
    /// Where a check of touched keys found a key to differ, by key, unless repaired since.
    pub checked: [Option<u8>; KEYS],
    /// Keys that somebody else wrote since the reading began that the book has them proven from, as a mask.
    pub excused: u8,
    /// Bug: keys touched or to be touched outside of the applier's critical section.
    pub outside: Vec<Touch>,
    pub left: Left,
    pub fault: Option<&'static str>,
}

/// What may still happen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Left {
    pub readings: u8,
    pub checks: u8,
    pub strangers: u8,
    pub repaired: u64,
    pub fails: u8,
}

/// What the applier tells the book and those who collect.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Touch {
    /// A key, its image, and whether that is not what the source said.
    Key(Key, LastImage<Img>, bool),
    /// Of a change of key, the key that is gone.
    Moved(Key),
    All,
}

/// A comparison that is under way, of a range or of touched keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reading {
    pub right: Option<Right>,
    /// Places in the log that were applied when collecting began and that readers did not see, as a mask.
    pub unseen: u8,
    /// The last images of what was touched since.
    pub images: BTreeMap<Key, LastImage<Img>>,
    /// Those that are not what the source said, as a mask.
    pub wrong: u8,
    /// Keys that somebody else wrote since, as a mask.
    pub strangers: u8,
    pub stage: Stage,
}

/// What the book gave at the beginning; `None` only with a seeded bug.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Right {
    Range(Ticket),
    Keys(Check<Key>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Stage {
    /// With a bug, a horizon is already read.
    Begun(Option<u8>),
    /// The source's snapshot is open, its horizon known.
    Opened(Snap, u8),
    Compared {
        at: u8,
        /// Keys that were found to differ, as a mask.
        found: u8,
        /// Keys that do, as a mask.
        really: u8,
    },
}

/// Which comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Which {
    Range(RangeId),
    Touched,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// Source: a transaction's commit record is in the log.
    Commit(u8),
    Show(u8),
    /// Applier: the next transaction.
    Apply,
    /// Bugs' own: the touches that belong to it.
    Touch,
    Begin(Which),
    Open(Which),
    Compare(Which),
    Finish(Which),
    Cancel(Which),
    Repair(Key),
    /// The repair writes something else.
    RepairWrong(Key),
    /// Somebody else writes the target.
    Stranger(Key),
    /// The attempt ends, after its target transaction committed or before; readers do not know yet.
    AttemptFails(bool),
    Crash(bool),
}

pub const STRANGE: Row = Row { a: 99, b: 99 };

pub fn bit(key: Key) -> u8 {
    1 << key
}

impl World {
    pub fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn book(&self) -> Book<Key, u8> {
        let ranges = 1 + u32::from(self.setting.split.is_some());
        Book::new(ranges, self.setting.bound)
    }

    pub fn range_of(&self, key: Key) -> RangeId {
        RangeId(u32::from(
            self.setting.split.is_some_and(|split| split <= key),
        ))
    }

    pub fn keys_of(&self, which: Which) -> impl Iterator<Item = Key> {
        (0..KEYS as u8).filter(move |key| match which {
            Which::Range(range) => self.range_of(*key) == range,
            Which::Touched => true,
        })
    }

    /// The source's rows at the target's checkpoint: what the target should show.
    pub fn truth(&self, state: &State) -> Rows {
        state
            .source
            .prefix(&self.setting.scenario, state.checkpoint)
    }

    pub fn quiet(&self, state: &State) -> bool {
        state.source.quiet(&self.setting.scenario) && state.checkpoint == state.source.end()
    }

    fn ranges(state: &State) -> impl Iterator<Item = Which> {
        state.book.ranges().map(Which::Range)
    }

    fn comparison_events(&self, state: &State, events: &mut Vec<Event>) {
        for which in Self::ranges(state).chain([Which::Touched]) {
            let Some(reading) = state.reading(which) else {
                let left = match which {
                    Which::Range(_) => state.left.readings,
                    Which::Touched => state.left.checks,
                };
                if left > 0 {
                    events.push(Event::Begin(which));
                }
                continue;
            };
            match &reading.stage {
                Stage::Begun(_) => events.push(Event::Open(which)),
                Stage::Opened(..) => events.push(Event::Compare(which)),
                Stage::Compared { .. } => events.push(Event::Finish(which)),
            }
            if self.setting.cancels {
                events.push(Event::Cancel(which));
            }
        }
    }

    fn fail(&self, state: &mut State, committed: bool) {
        state.left.fails -= 1;
        if committed && state.checkpoint < state.source.end() {
            // in the target, but neither the book nor those who collect will ever know
            self.write_next(state);
        }
        if !self.has(Bug::RestartKeepsBook) {
            state.book.reset();
        }
    }
}

impl State {
    pub fn reading(&self, which: Which) -> Option<&Reading> {
        match which {
            Which::Range(range) => self.readings[range.index()].as_ref(),
            Which::Touched => self.check.as_ref(),
        }
    }

    pub fn slot(&mut self, which: Which) -> &mut Option<Reading> {
        match which {
            Which::Range(range) => &mut self.readings[range.index()],
            Which::Touched => &mut self.check,
        }
    }

    /// All comparisons that are under way.
    pub fn all_readings(&mut self) -> impl Iterator<Item = &mut Reading> {
        self.readings.iter_mut().chain([&mut self.check]).flatten()
    }

    pub fn is_touched(&self, key: Key) -> bool {
        self.book.touched().any(|(_, touched)| *touched == key)
    }
}

impl Model for World {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        let book = self.book();
        vec![State {
            source: Source::new(&self.setting.scenario),
            target: rows_of(&self.setting.scenario.table()),
            checkpoint: 0,
            readings: book.ranges().map(|_| None).collect(),
            book,
            check: None,
            found: 0,
            checked: [None; KEYS],
            excused: 0,
            outside: Vec::new(),
            left: Left {
                readings: self.setting.readings,
                checks: self.setting.checks,
                strangers: u8::from(self.setting.stranger.is_some()),
                repaired: 0,
                fails: self.setting.fails,
            },
            fault: None,
        }]
    }

    fn actions(&self, state: &State, events: &mut Vec<Event>) {
        if state.fault.is_some() {
            return;
        }
        let source = &state.source;
        for id in 0..self.setting.scenario.txns.len() as u8 {
            if source.may_commit(&self.setting.scenario, id) {
                events.push(Event::Commit(id));
            }
            if source.log.contains(&id) && source.visible & (1 << id) == 0 {
                events.push(Event::Show(id));
            }
        }
        if !state.outside.is_empty() {
            events.push(Event::Touch);
        } else if state.checkpoint < source.end() {
            events.push(Event::Apply);
        }
        self.comparison_events(state, events);
        for key in (0..KEYS as u8).filter(|key| self.may_repair(state, *key)) {
            events.extend([Event::Repair(key), Event::RepairWrong(key)]);
        }
        if state.left.strangers > 0 {
            events.extend(self.setting.stranger.map(Event::Stranger));
        }
        if state.left.fails > 0 {
            for committed in [false, true] {
                events.extend([Event::AttemptFails(committed), Event::Crash(committed)]);
            }
        }
    }

    fn next_state(&self, state: &State, event: Event) -> Option<State> {
        let mut next = state.clone();
        match event {
            Event::Commit(id) => next.source.commit(&self.setting.scenario, id),
            Event::Show(id) => next.source.visible |= 1 << id,
            Event::Apply => self.apply(&mut next),
            Event::Touch => self.touch_outside(&mut next),
            Event::Begin(which) => self.begin(&mut next, which),
            Event::Open(which) => self.open(&mut next, which),
            Event::Compare(which) => self.compare(&mut next, which),
            Event::Finish(which) => self.finish(&mut next, which),
            Event::Cancel(which) => match next.slot(which).take().and_then(|old| old.right) {
                Some(Right::Range(ticket)) => next.book.cancel(ticket),
                Some(Right::Keys(check)) => next.book.cancel_touched(check),
                None => {}
            },
            Event::Repair(key) => {
                let row = self.truth(state)[key as usize];
                self.repair(&mut next, key, row);
            }
            Event::RepairWrong(key) => self.repair(&mut next, key, Some(STRANGE)),
            Event::Stranger(key) => {
                next.left.strangers -= 1;
                next.target[key as usize] = Some(STRANGE);
                next.excused |= bit(key);
                next.all_readings()
                    .for_each(|reading| reading.strangers |= bit(key));
            }
            Event::AttemptFails(committed) => self.fail(&mut next, committed),
            Event::Crash(committed) => {
                self.fail(&mut next, committed);
                next.check = None;
                next.readings.iter_mut().for_each(|reading| *reading = None);
                if !self.has(Bug::RestartKeepsBook) {
                    next.book = self.book();
                }
            }
        }
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(check::KEYS_EQUAL, check::keys_equal),
            Property::always(check::FENCE_EQUAL, check::fence_equal),
            Property::always(check::NO_FALSE_EQUAL, check::no_false_equal),
            Property::always(check::NONE_FORGOTTEN, check::none_forgotten),
            Property::always(check::NO_FALSE_ALARM, check::no_false_alarm),
        ];
        if self.bug.is_none() {
            properties.push(Property::sometimes(check::DONE, check::done));
        }
        properties
    }
}

/// Used by the steps of a comparison.
pub fn outcome(found: u8) -> Outcome {
    if found == 0 {
        Outcome::Equal
    } else {
        Outcome::Differs
    }
}

pub fn verdict(found: u8, key: Key) -> Verdict {
    if found & bit(key) == 0 {
        Verdict::Equal
    } else {
        Verdict::Differs
    }
}
