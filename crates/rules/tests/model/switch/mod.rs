//! The switch and its way back: two stores, tools that are stopped, die, lose their latch or the replies to what they did, clients
//! that write wherever they were last sent, and the lanes between.

mod bug;
mod check;
mod store;
mod tool;
mod world;

use std::time::Instant;

use stateright::{Checker, Expectation, HasDiscoveries, Model};

use crate::full;
use bug::Bug;
use check::{ALONE, ENDS, EPOCHS, NO_FALSE_ALARM, NOTHING_LOST, ONE_AUTHORITY};
use world::World;

const fn world(tools: usize, epochs: u64, writes: usize, marks: bool) -> World {
    World {
        tools,
        epochs,
        writes,
        marks,
        reads: false,
        bug: None,
    }
}

/// The same, with registers read one after the other.
const fn reading(world: World) -> World {
    World {
        reads: true,
        ..world
    }
}

/// Explores a world whole: everything that must always hold does, and everything that must be possible is.
fn explore(world: World) {
    let (name, started) = (format!("{world:?}"), Instant::now());
    let checker = world.checker().threads(2).spawn_bfs().join();
    for property in checker.model().properties() {
        let found = checker.discovery(property.name);
        match property.expectation {
            Expectation::Sometimes => {
                assert!(found.is_some(), "{name}\nnever: {}", property.name);
            }
            _ => {
                if let Some(path) = found {
                    panic!("{name}\nbreaks: {}\n{path}", property.name);
                }
            }
        }
    }
    let (states, seconds) = (
        checker.unique_state_count(),
        started.elapsed().as_secs_f32(),
    );
    println!("switch, {name}: {states} states, {seconds:.1} s");
}

#[test]
fn no_interleaving_of_two_tools_breaks_a_switch() {
    explore(world(2, 2, 2, false));
    explore(world(2, 2, 1, true));
}

#[test]
fn authority_goes_there_and_back_and_there_again() {
    explore(world(1, 3, 2, false));
}

#[test]
fn registers_are_read_one_after_the_other() {
    explore(reading(world(2, 2, 0, true)));
}

#[test]
fn full_bounds_switch_of_two_tools() {
    if full() {
        for marks in [false, true] {
            explore(world(2, 5, 2, marks));
            explore(world(2, 3, 3, marks));
        }
    }
}

#[test]
fn full_bounds_switch_of_three_tools() {
    if full() {
        for marks in [false, true] {
            explore(world(3, 2, 2, marks));
            explore(reading(world(2, 3, 2, marks)));
        }
    }
}

/// Bug, world, and a property that must fail.
const SEEDED: &[(Bug, World, &str)] = &[
    (Bug::NoGiven, world(2, 1, 1, true), ONE_AUTHORITY),
    (Bug::UndoWithoutRefused, world(2, 1, 1, true), ONE_AUTHORITY),
    (Bug::RefusedUnoffered, world(2, 2, 1, true), ENDS),
    (Bug::ReleaseWithoutEpoch, world(2, 2, 1, true), EPOCHS),
    (Bug::ReleaseWithoutEpoch, world(2, 2, 1, true), ALONE),
    (Bug::SwapWithoutCompare, world(2, 1, 1, true), ONE_AUTHORITY),
    (Bug::SwapWithoutCompare, world(2, 2, 1, true), NOTHING_LOST),
    (Bug::SameEpoch, world(2, 1, 1, true), ENDS),
    (Bug::SameEpoch, world(2, 1, 2, false), NOTHING_LOST),
    (Bug::OpenBlind, world(2, 1, 1, true), ONE_AUTHORITY),
    (Bug::StaleGive, world(2, 1, 1, true), NOTHING_LOST),
    (Bug::FinishedFromMemory, world(2, 1, 1, true), ONE_AUTHORITY),
    (Bug::BarrierBeforeLatch, world(1, 1, 1, true), NOTHING_LOST),
    (Bug::ProceedOnTimeout, world(1, 1, 1, true), NOTHING_LOST),
    (Bug::FenceAfterLostLatch, world(1, 1, 1, true), NOTHING_LOST),
    (Bug::NotedBeforeFence, world(1, 2, 1, false), NOTHING_LOST),
    (Bug::NotedByStaleTool, world(2, 3, 1, true), NOTHING_LOST),
    (Bug::ReverseFromNow, world(1, 2, 1, true), NOTHING_LOST),
    (Bug::LaneOfOldTenure, world(1, 3, 1, false), NOTHING_LOST),
    (
        Bug::CarriedIntoAuthority,
        world(1, 1, 1, false),
        NOTHING_LOST,
    ),
    (Bug::SequencesNotRaised, world(1, 1, 2, true), NOTHING_LOST),
    (
        Bug::TornReading,
        reading(world(2, 2, 0, true)),
        NO_FALSE_ALARM,
    ),
];

#[test]
fn every_seeded_bug_of_the_switch_is_found() {
    let mut missed = Vec::new();
    for (bug, world, property) in SEEDED {
        let world = World {
            bug: Some(*bug),
            ..world.clone()
        };
        let until = HasDiscoveries::AnyOf([*property].into_iter().collect());
        let checker = world
            .checker()
            .threads(2)
            .finish_when(until)
            .spawn_bfs()
            .join();
        match checker.discovery(property) {
            Some(path) => println!(
                "{bug:?}: {property}: fails after {} events ({} states)",
                path.into_actions().len(),
                checker.unique_state_count()
            ),
            None => missed.push((bug, property)),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

#[test]
fn every_bug_of_the_switch_is_seeded() {
    for bug in Bug::ALL {
        assert!(SEEDED.iter().any(|(seeded, ..)| seeded == bug), "{bug:?}");
    }
}
