//! The loaders: mark, open, accept, read, write, and only then loaded.

use crossfade_rules::checkpoint::horizon_is_durable;
use crossfade_rules::frontier::{Acceptance, Bounds, ChunkState};

use crate::bug::Bug;
use crate::source::{KEYS, Key, Row, Snap};
use crate::target::{ChunkRow, LoadWrite, Write};
use crate::world::{Event, Load, Process, State, World, Zombie};

impl World {
    pub fn loader_events(&self, state: &State, process: &Process, events: &mut Vec<Event>) {
        for (index, load) in process.loads.iter().enumerate() {
            let chunk = index as u8;
            let id = self.chunk(process, chunk);
            let may_begin = matches!(
                process.frontier.state(id),
                ChunkState::Pending | ChunkState::Partial
            );
            match load {
                Load::Idle if may_begin => {
                    events.push(Event::Mark(chunk));
                    let bounds = process.frontier.bounds(id);
                    let inside = |at: &Key| bounds.contains(at) && bounds.low != Some(*at);
                    events.extend(
                        self.scenario
                            .split_at
                            .filter(inside)
                            .map(|at| Event::Split(chunk, at)),
                    );
                }
                Load::Early(_) => events.push(Event::Mark(chunk)),
                Load::Marked(_) => events.push(Event::Open(chunk)),
                Load::Opened(..) => events.push(Event::Accept(chunk)),
                Load::Read(_, horizon) | Load::Half(_, horizon) => {
                    if horizon_is_durable(horizon, &state.source.flushed)
                        || self.has(Bug::FlushNotAwaited)
                    {
                        events.push(Event::Write(chunk, None));
                        let here = |key: &Key| process.frontier.bounds(id).contains(key);
                        let park = self.scenario.park.filter(here);
                        events.extend(park.map(|key| Event::Write(chunk, Some(key))));
                    }
                }
                Load::Durable(..) => events.push(Event::Loaded(chunk)),
                Load::Idle => {}
            }
            if !matches!(load, Load::Idle | Load::Early(_) | Load::Durable(..)) {
                events.push(Event::LoaderDies(chunk));
            }
        }
    }

    pub fn loader_event(&self, state: &mut State, event: Event) {
        match event {
            Event::Mark(chunk) => self.mark(state, chunk),
            Event::Open(chunk) => self.open(state, chunk),
            Event::Accept(chunk) => self.accept(state, chunk),
            Event::Write(chunk, park) => self.write(state, chunk, park),
            Event::Loaded(chunk) => self.loaded(state, chunk),
            Event::LoaderDies(chunk) => self.loader_dies(state, chunk),
            Event::Split(chunk, at) => {
                let Some(process) = &mut state.process else {
                    return;
                };
                let id = self.chunk(process, chunk);
                if process.frontier.split(id, at).is_err() {
                    state.fault = Some("a pending chunk cannot be split");
                    return;
                }
                process.loads.push(Load::Idle);
            }
            _ => state.fault = Some("not a loader's event"),
        }
    }

    fn mark(&self, state: &mut State, chunk: u8) {
        let snapshot = self.snapshot(&state.source);
        let end = state.source.end();
        let Some(process) = &mut state.process else {
            return;
        };
        let load = &process.loads[chunk as usize];
        if self.has(Bug::SnapshotBeforeMark) && *load == Load::Idle {
            process.loads[chunk as usize] = Load::Early(snapshot);
            return;
        }
        let next = match load {
            Load::Early(snapshot) => Load::Opened(*snapshot, end),
            _ => Load::Marked(self.has(Bug::HorizonBeforeSnapshot).then_some(end)),
        };
        let id = self.chunk(process, chunk);
        if process.frontier.begin_loading(id).is_err() {
            state.fault = Some("a chunk that waits cannot be loaded");
            return;
        }
        process.loads[chunk as usize] = next;
    }

    fn open(&self, state: &mut State, chunk: u8) {
        let snapshot = self.snapshot(&state.source);
        let end = state.source.end();
        let Some(process) = &mut state.process else {
            return;
        };
        if let Load::Marked(early) = process.loads[chunk as usize] {
            process.loads[chunk as usize] = Load::Opened(snapshot, early.unwrap_or(end));
        }
    }

    fn accept(&self, state: &mut State, chunk: u8) {
        let Some(process) = &mut state.process else {
            return;
        };
        let id = self.chunk(process, chunk);
        let Load::Opened(snapshot, horizon) = process.loads[chunk as usize] else {
            return;
        };
        let accepted = process.frontier.accept(id, &snapshot) == Acceptance::Accept;
        let early = self.has(Bug::HorizonBeforeSnapshot).then_some(horizon);
        process.loads[chunk as usize] = if accepted || self.has(Bug::NoOwedCheck) {
            Load::Read(snapshot, horizon)
        } else {
            Load::Marked(early)
        };
    }

    /// The rows that a load brings.
    fn read(
        &self,
        state: &State,
        process: &Process,
        chunk: u8,
        snapshot: &Snap,
    ) -> Vec<(Key, Row)> {
        let table = state.source.at_snapshot(&self.scenario, snapshot);
        let bounds = process.frontier.bounds(self.chunk(process, chunk));
        let part = state.target.parts.trailing_ones() as u8 ^ u8::from(state.source.rewritten);
        (0..KEYS as u8)
            .filter(|key| bounds.contains(key))
            .filter_map(|key| Some((key, table[key as usize]?)))
            .filter(|(_, stored)| !self.scenario.parts || stored.part == part)
            .map(|(key, stored)| (key, stored.row))
            .collect()
    }

    /// The row that makes the chunk loaded or, for the first of two parts, partial.
    fn frontier_row(
        &self,
        state: &State,
        process: &Process,
        chunk: u8,
        snapshot: &Snap,
        horizon: u8,
    ) -> Option<ChunkRow> {
        let id = self.chunk(process, chunk);
        let complete = !self.scenario.parts || state.target.parts != 0;
        let bounds = process.frontier.bounds(id).clone();
        let built = process.frontier.row_for(id, snapshot, &horizon, complete);
        let mut row = match built {
            Ok(row) => row,
            // These bugs come with a frontier that would refuse them.
            Err(_)
                if self.has(Bug::NoOwedCheck)
                    || self.has(Bug::LoadedBeforeDurable)
                    || self.has(Bug::FrontierAfterRows) =>
            {
                ChunkRow {
                    bounds,
                    snapshot: *snapshot,
                    horizon,
                    mixed: false,
                    complete,
                }
            }
            Err(_) => return None,
        };
        if self.has(Bug::PartsDecidedBySecond) {
            row.snapshot = *snapshot;
        }
        if self.has(Bug::CarriedInMixedParts) {
            row.mixed = false;
        }
        Some(row)
    }

    /// The loader's next target transaction, and what it has done after it. `None`: refused.
    pub fn load_steps(
        &self,
        state: &State,
        chunk: u8,
        park: Option<Key>,
    ) -> Option<(LoadWrite, Load)> {
        let process = state.process.as_ref()?;
        let (Load::Read(snapshot, horizon) | Load::Half(snapshot, horizon)) =
            process.loads[chunk as usize]
        else {
            return None;
        };
        let second = matches!(process.loads[chunk as usize], Load::Half(..));
        let row = self.frontier_row(state, process, chunk, &snapshot, horizon)?;
        if self.is_rewritten(state) {
            return Some((begin_again(row.bounds), Load::Idle));
        }
        let mut rows = self.read(state, process, chunk, &snapshot);
        rows.retain(|(key, _)| Some(*key) != park);
        let first_part = state.target.parts == 0;
        let empties =
            (first_part && !self.has(Bug::ReloadWithoutEmptying)).then(|| row.bounds.clone());
        let done = Load::Durable(snapshot, horizon, row.clone(), park);
        let whole = LoadWrite {
            empties,
            rows,
            adds: self.scenario.keyless,
            chunk: Some(row),
            part: self.scenario.parts.then_some((
                state.target.parts.trailing_ones() as u8,
                state.source.rewritten,
            )),
            begins_again: false,
            parked: park,
        };
        Some(match self.bug {
            Some(Bug::FrontierBeforeRows) if second => (
                LoadWrite {
                    chunk: None,
                    ..whole
                },
                done,
            ),
            Some(Bug::FrontierBeforeRows) => (
                LoadWrite {
                    empties: None,
                    rows: Vec::new(),
                    ..whole
                },
                Load::Half(snapshot, horizon),
            ),
            Some(Bug::FrontierAfterRows) if second => (
                LoadWrite {
                    empties: None,
                    rows: Vec::new(),
                    ..whole
                },
                done,
            ),
            Some(Bug::FrontierAfterRows) => (
                LoadWrite {
                    chunk: None,
                    ..whole
                },
                Load::Half(snapshot, horizon),
            ),
            _ if self.scenario.two_writes && second => (
                LoadWrite {
                    empties: None,
                    ..whole
                },
                done,
            ),
            _ if self.scenario.two_writes => {
                let mut first = whole;
                first.rows.truncate(1);
                (
                    LoadWrite {
                        chunk: None,
                        parked: None,
                        ..first
                    },
                    Load::Half(snapshot, horizon),
                )
            }
            _ => (whole, done),
        })
    }

    /// The parts that are done are of the table before a rewrite: the rest cannot be found by place.
    fn is_rewritten(&self, state: &State) -> bool {
        let other = state.target.rewritten != state.source.rewritten;
        state.target.parts != 0 && other && !self.has(Bug::PartsAfterRewrite)
    }

    fn write(&self, state: &mut State, chunk: u8, park: Option<Key>) {
        let Some((write, after)) = self.load_steps(state, chunk, park) else {
            state.fault = Some("an accepted snapshot is refused");
            return;
        };
        if self.acts_early(state, chunk, &after) {
            self.load_in_memory(state, chunk);
            if let (Bug::LoadedBeforeDurable, Load::Durable(snapshot, horizon, ..)) =
                (self.bug.unwrap(), &after)
            {
                state.process.as_mut().unwrap().loads[chunk as usize] =
                    Load::Half(*snapshot, *horizon);
                return;
            }
        }
        let begins_again = write.begins_again;
        self.run(state, &Write::Load(write));
        match &mut state.process {
            Some(_) if begins_again => state.process = None,
            Some(process) => process.loads[chunk as usize] = after,
            None => {}
        }
    }

    /// With two bugs the frontier learns of the load before its row is durable.
    fn acts_early(&self, state: &State, chunk: u8, after: &Load) -> bool {
        match self.bug {
            Some(Bug::FrontierAfterRows) => matches!(after, Load::Half(..)),
            Some(Bug::LoadedBeforeDurable) => {
                let process = state.process.as_ref().unwrap();
                matches!(process.loads[chunk as usize], Load::Read(..))
            }
            _ => false,
        }
    }

    fn load_in_memory(&self, state: &mut State, chunk: u8) {
        let before = state.clone();
        let process = state.process.as_mut().unwrap();
        if let Load::Read(snapshot, horizon) = process.loads[chunk as usize] {
            let id = self.chunk(process, chunk);
            let row = self
                .frontier_row(&before, process, chunk, &snapshot, horizon)
                .unwrap();
            let _ = process.frontier.loaded(id, &row);
        }
    }

    fn loaded(&self, state: &mut State, chunk: u8) {
        let parts = state.target.parts;
        let Some(process) = &mut state.process else {
            return;
        };
        let id = self.chunk(process, chunk);
        let load = std::mem::replace(&mut process.loads[chunk as usize], Load::Idle);
        let Load::Durable(snapshot, horizon, row, parked) = load else {
            return;
        };
        if matches!(
            process.frontier.state(id),
            ChunkState::Loaded | ChunkState::Settled
        ) {
            return;
        }
        if let Some(key) = parked {
            process.frontier.park(key);
        }
        if process.frontier.loaded(id, &row).is_err() {
            state.fault = Some("a durable row is refused");
            return;
        }
        if self.scenario.parts && parts.trailing_ones() < 2 {
            process.loads[chunk as usize] = Load::Read(snapshot, horizon);
        }
    }

    /// The loader is gone; whether its commit happened is settled by looking, so there is none under way.
    fn loader_dies(&self, state: &mut State, chunk: u8) {
        let ready = state.process.as_ref().is_some_and(|process| {
            matches!(
                process.loads[chunk as usize],
                Load::Read(..) | Load::Half(..)
            )
        });
        if self.has(Bug::LostWithoutSettling) && ready && state.zombie.is_none() {
            let write = self.load_write(state, chunk, None);
            state.zombie = Some(Zombie {
                write,
                superseded: false,
            });
        }
        let Some(process) = &mut state.process else {
            return;
        };
        let id = self.chunk(process, chunk);
        process.loads[chunk as usize] = Load::Idle;
        if process.frontier.lost(id).is_err() && self.bug.is_none() {
            state.fault = Some("a lost loader is refused");
        }
    }
}

fn begin_again(everything: Bounds<Key>) -> LoadWrite {
    LoadWrite {
        empties: Some(everything),
        rows: Vec::new(),
        adds: false,
        chunk: None,
        part: None,
        begins_again: true,
        parked: None,
    }
}
