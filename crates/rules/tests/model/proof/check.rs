//! What must hold in every state.

use crossfade_rules::proof::Status;

use super::world::{State, Which, World, bit};
use crate::source::KEYS;

pub const KEYS_EQUAL: &str = "a key that is proven and not touched since is equal";
pub const FENCE_EQUAL: &str = "everything proven at a quiet fence means equal";
pub const NO_FALSE_EQUAL: &str = "no comparison calls a difference equal";
pub const NO_FALSE_ALARM: &str = "no comparison finds a difference where there is none";
pub const NONE_FORGOTTEN: &str = "no reading of before forgets a difference found since";
pub const DONE: &str = "everything is proven at a quiet fence";

/// At every position, whatever else is under way, unless somebody else wrote the row since its reading began. A
/// decoder's error and a wrong repair are no excuse.
pub fn keys_equal(world: &World, state: &State) -> bool {
    let truth = world.truth(state);
    let proven = |range| matches!(state.book.status(range), Status::Proven { .. });
    state
        .book
        .ranges()
        .filter(|range| proven(*range))
        .all(|range| {
            world.keys_of(Which::Range(range)).all(|key| {
                let excused = state.excused & bit(key) != 0;
                excused
                    || state.is_touched(key)
                    || state.target[key as usize] == truth[key as usize]
            })
        })
}

/// What the switch relies on.
pub fn fence_equal(world: &World, state: &State) -> bool {
    let truth = world.truth(state);
    let equal = |key: usize| state.target[key] == truth[key];
    !done(world, state) || (0..KEYS).all(|key| state.excused & bit(key as u8) != 0 || equal(key))
}

pub fn done(world: &World, state: &State) -> bool {
    world.quiet(state) && state.outside.is_empty() && state.book.everything_proven()
}

pub fn no_false_equal(_: &World, state: &State) -> bool {
    state.fault != Some(NO_FALSE_EQUAL)
}

pub fn none_forgotten(_: &World, state: &State) -> bool {
    state.fault != Some(NONE_FORGOTTEN)
}

pub fn no_false_alarm(_: &World, state: &State) -> bool {
    state.fault != Some(NO_FALSE_ALARM)
}
