//! A tool: a process that was given a command, what it has read, and its next action. It may be stopped for any time before it:
//! that is what not being scheduled means. A lost reply is the action and then a crash, or, where the step is before given, the
//! action and then a release from memory.

use crossfade_model::{Mode, Register};
use crossfade_rules::switch::{
    Evidence, OnError, Side, Step, Swap, Todo, both_at_once, may_fence, may_give, may_move,
    may_note, may_open, may_refuse, next_epoch, verdict,
};

use super::bug::Bug;
use super::store::Place;
use super::world::{State, World};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tool {
    Idle,
    /// Reading the registers for a command: the source's first, then the target's.
    Reading(Command, Register, Option<Register>),
    /// About to change one register, from what it read.
    Swapping(Act),
    Switching(Switch),
}

/// A swap in an order that tools can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Act {
    pub store: Side,
    pub from: Register,
    pub to: Register,
}

impl From<Swap> for Act {
    fn from(swap: Swap) -> Act {
        Act {
            store: swap.store,
            from: swap.from,
            to: swap.to,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Switch {
    /// Who has authority.
    pub side: Side,
    pub epoch: u64,
    /// The registers as read at the beginning.
    pub own: Register,
    pub other: Register,
    /// To be done next.
    pub step: Step,
    /// Whether it has the latch of `side`.
    pub holds: bool,
    pub barrier: Option<u8>,
    pub drained: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Command {
    /// What the verdict demands.
    Resume,
    /// Give authority to the other store.
    Switch,
    /// Take back what was given.
    Undo,
    /// Decline the next epoch, which nobody offers: there is nothing to do unless a rule is wrong.
    Decline(Side),
    /// A bug's own: finish what the control store remembers to have been given at an epoch.
    Remembered(Side, u64),
}

/// The steps that change what others see; the rest of the list only waits or looks.
const MODELLED: [Step; 8] = [
    Step::Fire,
    Step::Barrier,
    Step::Drain,
    Step::CommitFence,
    Step::RaiseSequences,
    Step::NoteBeginning,
    Step::Give,
    Step::Open,
];

fn after(step: Step) -> Step {
    let mut next = step.next();
    while let Some(step) = next {
        if MODELLED.contains(&step) {
            return step;
        }
        next = step.next();
    }
    step
}

/// A store's register and the other's, of the source's and the target's.
fn parts(side: Side, (x, y): (Register, Register)) -> (Register, Register) {
    match side {
        Side::Source => (x, y),
        Side::Target => (y, x),
    }
}

impl World {
    /// A command starts. What the control store says is not asked.
    pub fn begin(&self, state: &mut State, index: usize, command: Command) -> bool {
        let (x, y) = (state.register(Side::Source), state.register(Side::Target));
        if self.reads {
            state.tools[index] = Tool::Reading(command, x, None);
            return true;
        }
        self.has_read(state, index, command, (x, y));
        state.tools[index] != Tool::Idle
    }

    /// The second reading, or the third, which must find the first unchanged: else both did not hold at once, and the tool begins again.
    fn read(
        &self,
        state: &mut State,
        index: usize,
        reading: (Command, Register, Option<Register>),
    ) {
        let now = state.register(Side::Source);
        state.tools[index] = match reading {
            (command, x, None) => {
                let y = state.register(Side::Target);
                Tool::Reading(command, x, Some(y))
            }
            (command, x, Some(y)) => {
                if self.has(Bug::TornReading) || both_at_once(Some(x), Some(now)) {
                    state.tools[index] = Tool::Idle;
                    return self.has_read(state, index, command, (x, y));
                }
                Tool::Reading(command, now, None)
            }
        };
    }

    /// The command is begun upon what both registers said; the tool stays idle where there is nothing for it to do.
    fn has_read(
        &self,
        state: &mut State,
        index: usize,
        command: Command,
        (x, y): (Register, Register),
    ) {
        let now = verdict(Some(x), Some(y));
        state.alarmed |= matches!(now.todo, Todo::Violation(_));
        let swapping = match command {
            Command::Resume => now.swap().map(Act::from),
            Command::Undo => self.undo((x, y), &now.todo),
            Command::Remembered(side, epoch) => {
                let from = state.register(side);
                let act = Act {
                    store: side,
                    from,
                    to: Register::new(Mode::Open, epoch),
                };
                (from.epoch < epoch && may_move(from, act.to).is_ok()).then_some(act)
            }
            Command::Decline(side) => {
                let epoch = next_epoch(Some(x), Some(y));
                let (own, other) = parts(side, (x, y));
                let to = match self.has(Bug::RefusedUnoffered) {
                    true => Some(Register::new(Mode::Refused, epoch)),
                    false => may_refuse(own, other, epoch).ok(),
                };
                to.map(|to| Act {
                    store: side,
                    from: own,
                    to,
                })
                .filter(|act| epoch <= self.epochs && may_move(act.from, act.to).is_ok())
            }
            Command::Switch => {
                if let Some(side) = now.writes.filter(|_| now.is_open()) {
                    self.begin_switch(state, index, side, (x, y));
                }
                return;
            }
        };
        if let Some(act) = swapping {
            state.tools[index] = Tool::Swapping(act);
        }
    }

    /// The store that could open declines first.
    fn undo(&self, (x, y): (Register, Register), todo: &Todo) -> Option<Act> {
        let (giver, epoch) = match todo {
            Todo::Finish(swap) => (swap.store.other(), swap.to.epoch),
            Todo::Release(swap) => (swap.store, swap.to.epoch),
            _ => return None,
        };
        let (own, other) = parts(giver.other(), (x, y));
        if self.has(Bug::UndoWithoutRefused) {
            let to = Register::new(Mode::Open, epoch);
            return Some(Act {
                store: giver,
                from: other,
                to,
            });
        }
        let to = may_refuse(own, other, epoch).ok()?;
        Some(Act {
            store: giver.other(),
            from: own,
            to,
        })
    }

    fn begin_switch(
        &self,
        state: &mut State,
        index: usize,
        side: Side,
        (x, y): (Register, Register),
    ) {
        let mut epoch = next_epoch(Some(x), Some(y));
        if self.has(Bug::SameEpoch) {
            epoch = (epoch - 1).max(1);
        }
        if epoch > self.epochs {
            return;
        }
        let (own, other) = parts(side, (x, y));
        let early = self.has(Bug::BarrierBeforeLatch);
        state.tools[index] = Tool::Switching(Switch {
            side,
            epoch,
            own,
            other,
            step: Step::Fire,
            holds: false,
            barrier: early.then(|| state.store(side).end()),
            drained: None,
        });
        if self.has(Bug::NotedBeforeFence) {
            let at = state.store(side.other()).end();
            state.store_mut(side.other()).beginning = Place { epoch, at };
        }
    }

    /// The tool gives up before authority was given: what it may have fenced is released, from memory.
    pub fn give_up(&self, state: &mut State, index: usize) -> bool {
        let Tool::Switching(switch) = state.tools[index] else {
            return false;
        };
        if switch.step.on_error() != OnError::Release || switch.step <= Step::Barrier {
            return false;
        }
        self.crash(state, index);
        state.tools[index] = Tool::Swapping(Act {
            store: switch.side,
            from: Register::new(Mode::Fenced, switch.epoch),
            to: Register::new(Mode::Open, switch.epoch),
        });
        true
    }

    /// The tool is gone, and with its connection its latch.
    pub fn crash(&self, state: &mut State, index: usize) {
        if let Tool::Switching(switch) = state.tools[index]
            && switch.holds
        {
            state.store_mut(switch.side).latched = false;
        }
        state.tools[index] = Tool::Idle;
    }

    /// Its next action. `false` where it has to wait.
    pub fn act(&self, state: &mut State, index: usize) -> bool {
        match state.tools[index] {
            Tool::Idle => false,
            Tool::Reading(command, x, y) => {
                self.read(state, index, (command, x, y));
                true
            }
            Tool::Swapping(act) => {
                if state.store(act.store).latched {
                    return false;
                }
                self.swap(state, act);
                state.tools[index] = Tool::Idle;
                true
            }
            Tool::Switching(mut switch) => {
                let Some(goes_on) = self.step(state, &mut switch) else {
                    return false;
                };
                if goes_on {
                    state.tools[index] = Tool::Switching(switch);
                } else {
                    state.tools[index] = Tool::Switching(switch);
                    self.crash(state, index);
                }
                true
            }
        }
    }

    /// A compare-and-swap under the store's latch.
    fn swap(&self, state: &mut State, act: Act) -> bool {
        let bypasses = self.has(Bug::SameEpoch) || self.has(Bug::UndoWithoutRefused);
        if !bypasses && may_move(act.from, act.to).is_err() {
            return false;
        }
        let found = state.register(act.store);
        let releases = act.from.mode == Mode::Fenced && act.to.mode == Mode::Open;
        let gives = act.to.mode == Mode::Given;
        let matches = found == act.from
            || self.has(Bug::SwapWithoutCompare)
            || self.has(Bug::ReleaseWithoutEpoch) && releases && found.mode == Mode::Fenced
            || self.has(Bug::StaleGive) && gives;
        if matches {
            state.fell |= act.to.epoch < found.epoch;
            state.store_mut(act.store).register = act.to;
        }
        matches
    }

    /// One step. `None`: it has to wait; `Some(false)`: it has failed.
    fn step(&self, state: &mut State, switch: &mut Switch) -> Option<bool> {
        let (side, epoch) = (switch.side, switch.epoch);
        let other = side.other();
        let fenced = Register::new(Mode::Fenced, epoch);
        let goes_on = match switch.step {
            Step::Fire => {
                if state.store(side).latched {
                    return None;
                }
                state.store_mut(side).latched = true;
                switch.holds = true;
                state.register(side) == switch.own
            }
            Step::Barrier => {
                if !self.has(Bug::BarrierBeforeLatch) {
                    switch.barrier = Some(state.store(side).end());
                }
                switch.holds
            }
            Step::Drain => {
                let tenure = state.store(side).beginning.epoch;
                let here = state.store(other).checkpoint;
                let at = here.filter(|place| place.epoch == tenure);
                // however far it is, whether that is enough is for giving to ask; how far it falls short is all the same
                let enough = |at: u8| match Some(at) >= switch.barrier {
                    true => switch.barrier,
                    false => Some(0),
                };
                switch.drained = match self.has(Bug::ProceedOnTimeout) {
                    true => switch.barrier,
                    false => at.and_then(|place| enough(place.at)),
                };
                true
            }
            Step::CommitFence => {
                let late = self.has(Bug::FenceAfterLostLatch) && !state.store(side).latched;
                let to = match self.has(Bug::SameEpoch) {
                    true => Ok(fenced),
                    false => may_fence(switch.own, switch.other, epoch),
                };
                let from = switch.own;
                (switch.holds || late)
                    && to.is_ok_and(|to| {
                        let store = side;
                        self.swap(state, Act { store, from, to })
                    })
            }
            Step::RaiseSequences => {
                let next = state.store(side).next;
                let raised = &mut state.store_mut(other).next;
                if !self.has(Bug::SequencesNotRaised) {
                    *raised = next.max(*raised);
                }
                true
            }
            Step::NoteBeginning => {
                if state.store(other).latched {
                    return None;
                }
                self.note(state, other, epoch)
            }
            Step::Give => self.give(state, switch)?,
            _ => {
                if state.store(other).latched {
                    return None;
                }
                let given = Register::new(Mode::Given, epoch);
                let to = may_open(switch.other, given, Some(epoch), epoch);
                if let Ok(to) = to {
                    let (store, from) = (other, switch.other);
                    self.swap(state, Act { store, from, to });
                }
                false
            }
        };
        switch.step = after(switch.step);
        Some(goes_on)
    }

    fn note(&self, state: &mut State, side: Side, epoch: u64) -> bool {
        let store = state.store_mut(side);
        let stale = self.has(Bug::NotedByStaleTool);
        if !stale && may_note(store.register, Some(store.beginning.epoch), epoch).is_err() {
            return false;
        }
        let at = store.end();
        if !self.has(Bug::NotedBeforeFence) {
            store.beginning = Place { epoch, at };
        }
        true
    }

    /// Gives by the latch, or, where that was lost, by taking it again: the register is fenced either way.
    fn give(&self, state: &mut State, switch: &mut Switch) -> Option<bool> {
        let (side, epoch) = (switch.side, switch.epoch);
        if state.store(side).latched && !switch.holds {
            return None;
        }
        let evidence = Evidence {
            barrier: switch.barrier,
            drained: switch.drained,
            proven: true,
            raised: Some(epoch),
            noted: Some(state.store(side.other()).beginning.epoch),
            missing_standbys: Vec::new(),
        };
        let from = Register::new(Mode::Fenced, epoch);
        let given = match may_give(from, epoch, &evidence) {
            Ok(_) if self.has(Bug::NoGiven) => true,
            Ok(to) => {
                let store = side;
                self.swap(state, Act { store, from, to }) || self.has(Bug::OpenBlind)
            }
            Err(_) => false,
        };
        if switch.holds {
            state.store_mut(side).latched = false;
            switch.holds = false;
        }
        Some(given)
    }
}
