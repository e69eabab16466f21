//! The whole state and its events, as the checker sees them.

use crossfade_rules::epoch::Epoch;
use crossfade_rules::frontier::{ChunkId, Frontier};
use crossfade_rules::ledger::LedgerCounts;
use stateright::{Model, Property};

use crate::bug::Bug;
use crate::check;
use crate::scenario::Scenario;
use crate::source::{Change, Key, Row, Snap, Source, Txn};
use crate::target::{ChunkRow, Fault, LoadWrite, Op, Target, Write};

pub type Map = Frontier<Key, Snap, Txn, u8>;

/// A world with, maybe, a seeded bug.
#[derive(Debug, Clone)]
pub struct World {
    pub scenario: Scenario,
    pub bug: Option<Bug>,
    pub rereads: Rereads,
}

/// Where in a batch rows go that are read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rereads {
    /// To the place of the change that needs them.
    InPlace,
    /// To the batch's beginning; the batch is then decided again.
    First,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub source: Source,
    pub target: Target,
    pub process: Option<Process>,
    pub zombie: Option<Zombie>,
    /// A rule or the target refused what must never be refused, or the other way round.
    pub fault: Option<Fault>,
}

/// The memory of the running process.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Process {
    pub frontier: Map,
    /// The checkpoint that its batch begins at.
    pub from: u8,
    pub batch: Batch,
    /// Loaders, by chunk: which of two loaders has a chunk makes no difference.
    pub loads: Vec<Load>,
    /// Bug: changes kept past a checkpoint.
    pub held: Vec<(Change, Txn)>,
    /// Bug: transactions decided before their commit record, as a mask.
    pub early: u8,
    /// Bug: it has not taken over the epoch yet.
    pub unfenced: bool,
}

/// The applier's batch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Batch {
    /// Place in the log of the transaction to decide next.
    pub next: u8,
    /// Change of it to decide next.
    pub change: u8,
    pub ops: Vec<Op>,
    pub ledger: LedgerCounts,
    /// The highest horizon of its one-key reads.
    pub horizon: u8,
    /// Rows read again, at the batch's beginning.
    pub reads: Vec<(Key, Option<Row>)>,
    /// It reads a parked key.
    pub unparks: bool,
    /// Bug: its first half is committed.
    pub half: bool,
}

/// What a loader has done for a chunk.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Load {
    Idle,
    /// Bug: a snapshot was opened before the mark.
    Early(Snap),
    /// Marked; with a bug, a horizon is already read.
    Marked(Option<u8>),
    Opened(Snap, u8),
    /// Accepted and read.
    Read(Snap, u8),
    /// The first of two target transactions has committed.
    Half(Snap, u8),
    /// Committed, not yet known to the frontier.
    Durable(Snap, u8, ChunkRow, Option<Key>),
}

/// A target transaction whose process or loader is gone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Zombie {
    pub write: Write,
    /// Whether another process has taken over the epoch since.
    pub superseded: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// Source: a transaction's commit record is in the log.
    Commit(u8),
    Show(u8),
    Abort(u8),
    Flush,
    SourceCrash,
    /// Loader.
    Mark(u8),
    Open(u8),
    Accept(u8),
    Write(u8, Option<Key>),
    Loaded(u8),
    LoaderDies(u8),
    Split(u8, Key),
    /// Applier.
    Decide,
    CommitBatch,
    BatchFails,
    Refuse(Key),
    ReadParked(Key),
    BuildIndex,
    /// Bugs' own.
    DecideEarly(u8),
    Rewrite,
    Release,
    TakeEpoch,
    /// The process is killed; a target transaction of the chunk's loader, or the applier's, may live on.
    Crash,
    CrashLoaderLives(u8),
    CrashApplierLives,
    Restart(bool),
    ZombieWrites,
}

impl World {
    pub fn new(scenario: Scenario, bug: Option<Bug>, rereads: Rereads) -> Self {
        World {
            scenario,
            bug,
            rereads,
        }
    }

    pub fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    pub fn snapshot(&self, source: &Source) -> Snap {
        source.snapshot(self.has(Bug::PositionInsteadOfVisibility))
    }

    fn base(&self) -> Option<Snap> {
        let mask = (1_u8 << self.scenario.before) - 1;
        (!self.has(Bug::StartNotOwed)).then_some(Snap {
            mask,
            by_position: None,
        })
    }

    /// Runs a target transaction of the process that runs, or ran last.
    pub fn run(&self, state: &mut State, write: &Write) {
        if let Err(fault) = state.target.run(write, Epoch(1), Epoch(1)) {
            state.fault = Some(fault);
        }
    }

    fn start(&self, state: &mut State, splits: &[Key]) {
        use crossfade_rules::checkpoint::already_applied;
        use crossfade_rules::resume::{Live, ResumePlan, Stored, check_resume};

        let checkpoint = state.target.checkpoint;
        let stored = Stored {
            identity: "source",
            capture: "slot",
            checkpoint: Some(checkpoint),
        };
        let live = Live {
            identity: "source",
            capture: Some("slot"),
            confirmed: Some(state.source.confirmed),
            end: state.source.flushed,
        };
        let resumed = check_resume(Some(&stored), None, &live);
        if resumed != Ok(ResumePlan::From(checkpoint)) && !self.has(Bug::ConfirmedEarly) {
            state.fault = Some("a good resume is refused");
            return;
        }
        let mut durable = state.target.durable();
        self.spoil_durable(&mut durable, splits);
        let Ok(frontier) = Map::restore(self.base(), splits.iter().copied(), durable) else {
            state.fault = Some("durable rows contradict each other");
            return;
        };
        // The source sends from the start of the stream again; what was applied is skipped.
        let kept = match self.bug {
            Some(Bug::ConfirmedEarly) => state.source.confirmed,
            _ => self.scenario.before,
        };
        let resent = kept..state.source.end();
        let first = resent
            .clone()
            .find(|place| !already_applied(&(place + 1), Some(&checkpoint)));
        let next = match self.bug {
            Some(Bug::ResentNotSkipped) => self.scenario.before,
            _ => first.unwrap_or(state.source.end()),
        };
        let loads = vec![Load::Idle; frontier.chunk_count()];
        state.process = Some(Process {
            frontier,
            from: checkpoint,
            batch: Batch {
                next,
                ..Batch::default()
            },
            loads,
            held: Vec::new(),
            early: 0,
            unfenced: self.has(Bug::RestoreBeforeEpoch),
        });
        if !self.has(Bug::RestoreBeforeEpoch) {
            take_epoch(state);
        }
    }

    fn spoil_durable(
        &self,
        durable: &mut crossfade_rules::frontier::DurableFrontier<Key, Snap, Txn, u8>,
        splits: &[Key],
    ) {
        if self.has(Bug::PartsPendingAfterCrash) {
            durable.chunks.retain(|row| row.complete);
        }
        if self.has(Bug::OwedByChunkNumber) {
            let number = |low: Option<Key>, splits: &[Key]| {
                low.map_or(0, |low| {
                    splits.iter().filter(|split| **split <= low).count()
                })
            };
            for owed in &mut durable.owed {
                let at = number(owed.bounds.low, &self.scenario.splits);
                owed.bounds.low = at.checked_sub(1).map(|before| splits[before]);
                owed.bounds.high = splits.get(at).copied();
            }
        }
    }

    fn source_events(&self, state: &State, events: &mut Vec<Event>) {
        let source = &state.source;
        for id in 0..self.scenario.txns.len() as u8 {
            if source.may_commit(&self.scenario, id) {
                events.push(Event::Commit(id));
            }
            if source.idle(id) && self.scenario.may_abort & (1 << id) != 0 {
                events.push(Event::Abort(id));
            }
            if source.log.contains(&id) && source.visible & (1 << id) == 0 {
                events.push(Event::Show(id));
            }
        }
        if source.flushed < source.end() {
            events.push(Event::Flush);
        }
        // A loader's lock keeps a rewrite away; between two loaders there is none.
        let unlocked = state
            .process
            .as_ref()
            .is_none_or(|process| process.loads == [Load::Idle]);
        if self.scenario.rewrite && unlocked && !source.rewritten {
            events.push(Event::Rewrite);
        }
        if !self.scenario.after_crash.is_empty() && !source.crashed {
            events.push(Event::SourceCrash);
        }
    }

    fn crash_events(&self, state: &State, process: &Process, events: &mut Vec<Event>) {
        events.push(Event::Crash);
        if !self.scenario.zombies || state.zombie.is_some() {
            return;
        }
        for (chunk, load) in process.loads.iter().enumerate() {
            if matches!(load, Load::Read(..) | Load::Half(..)) {
                events.push(Event::CrashLoaderLives(chunk as u8));
            }
        }
        if self.may_commit_batch(state, process) {
            events.push(Event::CrashApplierLives);
        }
    }

    fn source_event(&self, state: &mut State, event: Event) {
        match event {
            Event::Commit(id) => state.source.commit(&self.scenario, id),
            Event::Show(id) => state.source.visible |= 1 << id,
            Event::Abort(id) => state.source.aborted |= 1 << id,
            Event::Rewrite => state.source.rewritten = true,
            Event::Flush => state.source.flushed = state.source.end(),
            // Every connection to the source breaks, so the run begins anew.
            _ => {
                state.source.crash();
                state.process = None;
            }
        }
    }

    fn process_event(&self, state: &mut State, event: Event) {
        match event {
            Event::Crash => state.process = None,
            Event::CrashLoaderLives(_) | Event::CrashApplierLives => {
                let write = match event {
                    Event::CrashLoaderLives(chunk) => self.load_write(state, chunk, None),
                    _ => self.batch_write(state),
                };
                state.zombie = Some(Zombie {
                    write,
                    superseded: false,
                });
                state.process = None;
            }
            Event::Restart(otherwise) => {
                let later = self.scenario.later_splits.as_ref().filter(|_| otherwise);
                let splits = later.unwrap_or(&self.scenario.splits).clone();
                self.start(state, &splits);
            }
            _ => self.zombie_writes(state),
        }
    }

    fn zombie_writes(&self, state: &mut State) {
        let Some(zombie) = state.zombie.take() else {
            return;
        };
        let refused = zombie.superseded && !self.has(Bug::ZombieWithoutEpoch);
        let stored = if refused { Epoch(2) } else { Epoch(1) };
        if let Err(fault) = state.target.run(&zombie.write, Epoch(1), stored) {
            state.fault = Some(fault);
        }
    }

    /// The loader's next target transaction.
    pub fn load_write(&self, state: &mut State, chunk: u8, park: Option<Key>) -> Write {
        let write: Option<LoadWrite> = self.load_steps(state, chunk, park).map(|(write, _)| write);
        Write::Load(write.unwrap_or(LoadWrite {
            empties: None,
            rows: Vec::new(),
            adds: false,
            chunk: None,
            part: None,
            begins_again: false,
            parked: None,
        }))
    }

    pub fn chunk(&self, process: &Process, chunk: u8) -> ChunkId {
        process
            .frontier
            .chunks()
            .find(|id| id.index() == chunk as usize)
            .unwrap()
    }
}

impl Model for World {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        let mut state = State {
            source: Source::new(&self.scenario),
            target: Target::new(self.scenario.before),
            process: None,
            zombie: None,
            fault: None,
        };
        self.start(&mut state, &self.scenario.splits);
        take_epoch(&mut state);
        vec![state]
    }

    fn actions(&self, state: &State, events: &mut Vec<Event>) {
        if state.fault.is_some() {
            return;
        }
        self.source_events(state, events);
        match &state.process {
            None => {
                events.push(Event::Restart(false));
                if self.scenario.later_splits.is_some() {
                    events.push(Event::Restart(true));
                }
            }
            Some(process) if process.unfenced => events.push(Event::TakeEpoch),
            Some(process) => {
                self.applier_events(state, process, events);
                self.loader_events(state, process, events);
                self.crash_events(state, process, events);
            }
        }
        if state.zombie.is_some() {
            events.push(Event::ZombieWrites);
        }
    }

    fn next_state(&self, state: &State, event: Event) -> Option<State> {
        let mut next = state.clone();
        match event {
            Event::Commit(_)
            | Event::Show(_)
            | Event::Abort(_)
            | Event::Flush
            | Event::Rewrite
            | Event::SourceCrash => self.source_event(&mut next, event),
            Event::Mark(_)
            | Event::Open(_)
            | Event::Accept(_)
            | Event::Write(..)
            | Event::Loaded(_)
            | Event::LoaderDies(_)
            | Event::Split(..) => {
                self.loader_event(&mut next, event);
            }
            Event::Decide
            | Event::CommitBatch
            | Event::BatchFails
            | Event::Refuse(_)
            | Event::ReadParked(_)
            | Event::BuildIndex
            | Event::DecideEarly(_)
            | Event::Release => {
                self.applier_event(&mut next, event);
            }
            Event::TakeEpoch => take_epoch(&mut next),
            Event::Crash
            | Event::CrashLoaderLives(_)
            | Event::CrashApplierLives
            | Event::Restart(_)
            | Event::ZombieWrites => self.process_event(&mut next, event),
        }
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(check::REFUSED, check::refused),
            Property::always(check::PREFIX, check::prefix),
            Property::always(check::EQUAL, check::equal),
            Property::always(check::LEDGER, check::ledger),
            Property::always(check::STUCK, check::not_stuck),
        ];
        // A seeded bug must show in what users see, not only inside.
        if self.bug.is_none() {
            properties.push(Property::always(check::ROWS, check::rows));
            properties.push(Property::sometimes(check::DONE, check::done));
        }
        properties
    }
}

/// From now on nothing of an earlier process commits.
fn take_epoch(state: &mut State) {
    if let Some(process) = &mut state.process {
        process.unfenced = false;
    }
    if let Some(zombie) = &mut state.zombie {
        zombie.superseded = true;
    }
}
