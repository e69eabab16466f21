//! What must hold in every state.

use crossfade_rules::frontier::OneKeyState;
use stateright::Model;

use crate::source::{KEYS, rows_of};
use crate::world::{Event, State, World};

pub const REFUSED: &str = "nothing is refused that must not be";
pub const PREFIX: &str = "once followed the target is a prefix of the source's history";
pub const EQUAL: &str = "drained and followed means equal";
pub const LEDGER: &str = "the ledger balances at every checkpoint";
pub const STUCK: &str = "somebody can always go on";
pub const ROWS: &str = "rows are what their snapshot and the checkpoint say";
pub const DONE: &str = "the table is drained and followed";

pub fn refused(_: &World, state: &State) -> bool {
    state.fault.is_none()
}

/// Every row of a loaded chunk is what its deciding snapshot saw, plus all that the checkpoint has passed.
pub fn rows(world: &World, state: &State) -> bool {
    let target = &state.target;
    let at = |mask: u8| {
        let sees = |place, id: u8| place < target.checkpoint || mask & (1 << id) != 0;
        rows_of(&state.source.table(&world.scenario, sees))
    };
    target.chunks.iter().all(|chunk| {
        let uneven = !chunk.complete || chunk.mixed && target.checkpoint < chunk.horizon;
        let expected = at(chunk.snapshot.mask);
        (0..KEYS)
            .filter(|key| chunk.bounds.contains(&(*key as u8)))
            .all(|key| {
                let own = target.one_key.iter().find(|row| row.key as usize == key);
                match own.map(|row| &row.state) {
                    Some(OneKeyState::Parked { .. }) => true,
                    Some(OneKeyState::Read { snapshot, .. }) => {
                        target.rows[key] == at(snapshot.mask)[key]
                    }
                    None => uneven || target.rows[key] == expected[key],
                }
            })
    })
}

/// Once the engine says that the table is followed, readers of the target see a prefix of history.
pub fn prefix(world: &World, state: &State) -> bool {
    let followed = state
        .process
        .as_ref()
        .is_some_and(|process| world.says_followed(process));
    let checkpoint = state.target.checkpoint;
    !followed || state.target.rows == state.source.prefix(&world.scenario, checkpoint)
}

/// Drained and followed.
pub fn done(world: &World, state: &State) -> bool {
    let drained = state.target.checkpoint == state.source.end();
    let source_is_quiet = state.source.quiet(&world.scenario);
    let idle = |process: &crate::world::Process| {
        process.batch.ops.is_empty() && process.held.is_empty() && world.says_followed(process)
    };
    drained && source_is_quiet && state.process.as_ref().is_some_and(idle)
}

pub fn equal(world: &World, state: &State) -> bool {
    let source = rows_of(&state.source.table(&world.scenario, |_, _| true));
    !done(world, state) || state.target.rows == source
}

/// Captured is what the log holds up to the checkpoint, and each has one outcome: no checkpoint passes an
/// undecided change.
pub fn ledger(world: &World, state: &State) -> bool {
    let target = &state.target;
    let passed = world.scenario.before..target.checkpoint;
    let logged: u64 = passed
        .map(|place| state.source.log[place as usize])
        .flat_map(|id| state.source.changes(&world.scenario, id))
        .map(|change| change.count())
        .sum();
    target.captured == target.settled && target.captured == logged
}

/// Nothing waits for ever: some event other than a failure is possible until all is done.
pub fn not_stuck(world: &World, state: &State) -> bool {
    let fails = |event: &Event| {
        matches!(
            event,
            Event::Crash
                | Event::CrashLoaderLives(_)
                | Event::CrashApplierLives
                | Event::SourceCrash
                | Event::LoaderDies(_)
                | Event::BatchFails
                | Event::Refuse(_)
                | Event::ZombieWrites
        )
    };
    let mut events = Vec::new();
    world.actions(state, &mut events);
    state.fault.is_some()
        || done(world, state)
        || events
            .into_iter()
            .filter(|event| !fails(event))
            .any(|event| world.next_state(state, event).is_some())
}
