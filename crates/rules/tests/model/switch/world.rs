//! The whole state and its events, as the checker sees them.

use crossfade_model::Register;
use crossfade_rules::switch::{LaneStart, Side, lane_start, may_carry_into};
use stateright::{Model, Property};

use super::bug::Bug;
use super::check;
use super::store::{Entry, Place, Store};
use super::tool::{Command, Tool};

/// How far to explore, with, maybe, a seeded bug.
#[derive(Debug, Clone)]
pub struct World {
    pub tools: usize,
    /// The highest epoch that a switch takes.
    pub epochs: u64,
    /// How many writes clients make.
    pub writes: usize,
    /// What is carried is marked and never carried back, so that a lane may run at any time. Otherwise only the beginning and the
    /// register keep the lanes apart.
    pub marks: bool,
    /// A command reads one register after the other. Otherwise both at once, as it comes to in the end.
    pub reads: bool,
    pub bug: Option<Bug>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// Source and target.
    pub stores: [Store; 2],
    /// Sorted: they are alike.
    pub tools: Vec<Tool>,
    /// An epoch fell.
    pub fell: bool,
    /// A command saw registers that contradict each other.
    pub alarmed: bool,
}

impl State {
    pub fn store(&self, side: Side) -> &Store {
        &self.stores[side as usize]
    }

    pub fn store_mut(&mut self, side: Side) -> &mut Store {
        &mut self.stores[side as usize]
    }

    pub fn register(&self, side: Side) -> Register {
        self.store(side).register
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// A client writes to this store, wherever the route points and since whenever.
    Write(Side),
    /// The lane out of this store begins anew.
    StartLane(Side),
    /// It carries one change.
    Carry(Side),
    Begin(usize, Command),
    Act(usize),
    /// The time box is over, or a reply was lost: the tool releases from memory.
    GiveUp(usize),
    /// The server ends the latch; the tool does not know.
    LatchLost(usize),
    Crash(usize),
}

const SIDES: [Side; 2] = [Side::Source, Side::Target];

impl World {
    pub fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn start_lane(&self, state: &mut State, from: Side) -> bool {
        let source = state.store(from);
        let into = state.store(from.other());
        let tenure = source.beginning.epoch;
        let start = lane_start(source.register, tenure, into.checkpoint_tenure());
        if start != Some(LaneStart::AtBeginning) {
            return false;
        }
        let mut place = source.beginning;
        if self.has(Bug::ReverseFromNow) {
            place.at = source.end();
        }
        if self.has(Bug::LaneOfOldTenure) {
            place.at = into.checkpoint.map_or(place.at, |old| old.at);
        }
        state.store_mut(from.other()).checkpoint = Some(place);
        true
    }

    /// One change, and the checkpoint with it.
    fn carry(&self, state: &mut State, from: Side) -> bool {
        let (source, into) = (state.store(from), state.store(from.other()));
        let tenure = source.beginning.epoch;
        let fits = into.checkpoint_tenure() == Some(tenure);
        let may = match self.marks || self.has(Bug::CarriedIntoAuthority) {
            true => fits,
            false => may_carry_into(into.register, tenure, into.checkpoint_tenure()),
        };
        let Some(Place { epoch, at }) = into.checkpoint.filter(|_| may) else {
            return false;
        };
        let Some(entry) = source.log.get(at as usize).copied() else {
            return false;
        };
        let into = state.store_mut(from.other());
        if entry.own || !self.marks {
            into.log.push(Entry {
                own: false,
                ..entry
            });
        }
        into.checkpoint = Some(Place { epoch, at: at + 1 });
        true
    }

    fn write(&self, state: &mut State, side: Side) -> bool {
        let all = state.stores.iter().flat_map(|store| &store.log);
        all.filter(|entry| entry.own).count() < self.writes && state.store_mut(side).write()
    }

    fn lose_latch(state: &mut State, index: usize) -> bool {
        let Tool::Switching(switch) = &mut state.tools[index] else {
            return false;
        };
        let (held, side) = (std::mem::take(&mut switch.holds), switch.side);
        state.store_mut(side).latched &= !held;
        held
    }

    fn commands(&self) -> Vec<Command> {
        let mut all = vec![Command::Resume, Command::Switch, Command::Undo];
        for side in SIDES {
            if self.has(Bug::FinishedFromMemory) {
                all.extend((1..=self.epochs).map(|epoch| Command::Remembered(side, epoch)));
            }
            // where registers are read one by one, to have read them for nothing is only more states
            if !self.reads {
                all.push(Command::Decline(side));
            }
        }
        all
    }

    /// A log that grows without end is wrong already; it need not be explored.
    fn is_bounded(&self, state: &State) -> bool {
        let bound = self.writes + 2;
        state.stores.iter().all(|store| store.log.len() <= bound)
    }
}

impl Model for World {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            stores: SIDES.map(Store::new),
            tools: vec![Tool::Idle; self.tools],
            fell: false,
            alarmed: false,
        }]
    }

    fn actions(&self, state: &State, events: &mut Vec<Event>) {
        for side in SIDES {
            events.extend([
                Event::Write(side),
                Event::StartLane(side),
                Event::Carry(side),
            ]);
        }
        for (index, tool) in state.tools.iter().enumerate() {
            if index > 0 && state.tools[index - 1] == *tool {
                continue;
            }
            match tool {
                Tool::Idle => {
                    let commands = self.commands().into_iter();
                    events.extend(commands.map(|command| Event::Begin(index, command)));
                }
                _ => events.extend([
                    Event::Act(index),
                    Event::GiveUp(index),
                    Event::LatchLost(index),
                    Event::Crash(index),
                ]),
            }
        }
    }

    fn next_state(&self, state: &State, event: Event) -> Option<State> {
        let mut next = state.clone();
        let happens = match event {
            Event::Write(side) => self.write(&mut next, side),
            Event::StartLane(side) => self.start_lane(&mut next, side),
            Event::Carry(side) => self.carry(&mut next, side),
            Event::Begin(index, command) => self.begin(&mut next, index, command),
            Event::Act(index) => self.act(&mut next, index),
            Event::GiveUp(index) => self.give_up(&mut next, index),
            Event::LatchLost(index) => Self::lose_latch(&mut next, index),
            Event::Crash(index) => {
                self.crash(&mut next, index);
                true
            }
        };
        next.tools.sort_unstable();
        (happens && next != *state).then_some(next)
    }

    fn within_boundary(&self, state: &State) -> bool {
        self.is_bounded(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(check::ONE_AUTHORITY, check::one_authority),
            Property::always(check::NOTHING_LOST, check::nothing_lost),
            Property::always(check::ENDS, check::ends),
            Property::always(check::ALONE, check::alone),
            Property::always(check::EPOCHS, check::epochs),
            Property::always(check::NO_FALSE_ALARM, check::no_false_alarm),
        ];
        if self.bug.is_none() {
            properties.push(Property::sometimes(check::UNDONE, check::undone));
            if self.epochs >= 2 && self.writes >= 1 {
                properties.push(Property::sometimes(check::BACK, check::back));
            }
            if self.epochs >= 3 && self.writes >= 2 {
                properties.push(Property::sometimes(check::AGAIN, check::again));
            }
        }
        properties
    }
}
