//! What must hold in every state.

use crossfade_model::Mode;
use crossfade_rules::switch::{
    Side, Swap, Todo, Verdict, may_fence, may_open, may_refuse, may_release, may_reopen,
    next_epoch, verdict, verdict_alone,
};

use super::world::{State, World};

pub const ONE_AUTHORITY: &str = "never two open stores";
pub const NOTHING_LOST: &str = "an open store has every acknowledged write exactly once";
pub const ENDS: &str = "some command ends it, whichever is asked for";
pub const ALONE: &str = "what one store alone says of authority is true";
pub const EPOCHS: &str = "epochs never fall";
pub const NO_FALSE_ALARM: &str = "no command sees a contradiction";
pub const BACK: &str = "authority comes back with what was written meanwhile";
pub const AGAIN: &str = "authority goes forward again after it came back";
pub const UNDONE: &str = "what was given is refused and taken back";

pub fn one_authority(_: &World, state: &State) -> bool {
    !state.stores.iter().all(|store| store.is_open())
}

/// Every write that a client was told of is an own entry of one of the logs.
pub fn nothing_lost(_: &World, state: &State) -> bool {
    let written = || state.stores.iter().flat_map(|store| &store.log);
    state
        .stores
        .iter()
        .filter(|store| store.is_open())
        .all(|store| {
            written().filter(|entry| entry.own).all(|written| {
                let here = store.log.iter().filter(|entry| entry.id == written.id);
                here.count() == 1
            })
        })
}

fn the_verdict(state: &State) -> Verdict {
    verdict(
        Some(state.register(Side::Source)),
        Some(state.register(Side::Target)),
    )
}

/// Whether this swap is one that its own conditions allow.
fn allowed(state: &State, todo: &Todo, swap: Swap) -> bool {
    let (own, other) = (
        state.register(swap.store),
        state.register(swap.store.other()),
    );
    let noted = Some(state.store(swap.store).beginning.epoch);
    let to = match todo {
        Todo::Release(_) => may_release(own, own.epoch),
        Todo::Finish(_) => may_open(own, other, noted, other.epoch),
        _ => may_reopen(own, other),
    };
    swap.from == own && to == Ok(swap.to)
}

/// Whether the open store can be fenced for the next switch.
fn can_switch(state: &State, now: &Verdict) -> bool {
    let registers = [Side::Source, Side::Target].map(|side| Some(state.register(side)));
    let epoch = next_epoch(registers[0], registers[1]);
    now.writes.filter(|_| now.is_open()).is_some_and(|side| {
        may_fence(state.register(side), state.register(side.other()), epoch).is_ok()
    })
}

/// From here, with nobody in the way, doing what the verdict demands ends with one open store, and so does undoing.
pub fn ends(_: &World, state: &State) -> bool {
    let now = the_verdict(state);
    let Some(swap) = now.swap() else {
        return can_switch(state, &now) || state.stores.iter().all(|store| store.is_open());
    };
    if !allowed(state, &now.todo, swap) {
        return false;
    }
    let mut finished = state.clone();
    finished.store_mut(swap.store).register = swap.to;
    let after = the_verdict(&finished);
    if !after.is_open() || after.writes != Some(swap.store) {
        return false;
    }
    if !matches!(now.todo, Todo::Finish(_)) {
        return true;
    }
    let giver = state.register(swap.store.other());
    let Ok(refused) = may_refuse(swap.from, giver, giver.epoch) else {
        return false;
    };
    let mut undone = state.clone();
    undone.store_mut(swap.store).register = refused;
    let reopens = the_verdict(&undone);
    reopens
        .swap()
        .is_some_and(|back| back.store != swap.store && allowed(&undone, &reopens.todo, back))
}

pub fn alone(_: &World, state: &State) -> bool {
    let whole = the_verdict(state);
    [Side::Source, Side::Target].into_iter().all(|side| {
        let alone = verdict_alone(side, Some(state.register(side)));
        alone.writes.is_none() || alone == whole
    })
}

pub fn epochs(_: &World, state: &State) -> bool {
    !state.fell
}

pub fn no_false_alarm(_: &World, state: &State) -> bool {
    !state.alarmed
}

fn carried(state: &State, side: Side) -> bool {
    state.store(side).log.iter().any(|entry| !entry.own)
}

pub fn back(_: &World, state: &State) -> bool {
    state.store(Side::Source).is_open() && carried(state, Side::Source)
}

/// The source's writes of a second tenure have reached the target.
pub fn again(_: &World, state: &State) -> bool {
    let source = state.store(Side::Source);
    let mut log = source.log.iter().skip_while(|entry| entry.own);
    state.store(Side::Target).is_open() && log.any(|entry| entry.own)
}

pub fn undone(_: &World, state: &State) -> bool {
    let target = state.register(Side::Target);
    state.store(Side::Source).is_open()
        && target.mode == Mode::Refused
        && target.epoch == state.register(Side::Source).epoch
}
