//! The rules, explored exhaustively: every order of commits, visibility, loading, applying, crashes and
//! lost loaders, in small worlds. Every decision is made by the functions that ship.
//!
//! `CROSSFADE_MODEL_BOUNDS=full` explores every scenario with three transactions (run it with
//! `--release -- --nocapture`); the default takes two.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod applier;
mod bug;
mod check;
mod loader;
mod scenario;
mod source;
mod target;
mod world;

use stateright::{Checker, Model};

use scenario::Scenario;
use world::World;

fn explore(scenario: Scenario) -> usize {
    let name = scenario.name;
    let count = scenario.txns.len();
    let started = std::time::Instant::now();
    let checker = World::new(scenario, None)
        .checker()
        .threads(2)
        .spawn_bfs()
        .join();
    let states = checker.unique_state_count();
    println!(
        "{name}, {count} transactions: {states} states, depth {}, {:.1} s",
        checker.max_depth(),
        started.elapsed().as_secs_f32()
    );
    checker.assert_properties();
    states
}

#[test]
fn no_interleaving_breaks_an_invariant() {
    let full = std::env::var("CROSSFADE_MODEL_BOUNDS").is_ok_and(|bounds| bounds == "full");
    let states: usize = scenario::all()
        .into_iter()
        .map(|scenario| explore(scenario.take(if full { 3 } else { 2 })))
        .sum();
    println!("{states} states");
}
