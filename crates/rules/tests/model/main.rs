//! The rules, explored exhaustively: every order of commits, visibility, loading, applying, crashes and
//! lost loaders, in small worlds. Every decision is made by the functions that ship. `proof/` has worlds of its
//! own, in which both sides are compared.
//!
//! `CROSSFADE_MODEL_BOUNDS=full` explores every scenario with three transactions, in every surrounding,
//! and all sequences of three changes; proofs also with more comparisons. It takes many minutes; run it with `--release -- --nocapture`.
//! The default takes two transactions.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod applier;
mod bug;
mod check;
mod commit;
mod loader;
mod proof;
mod scenario;
mod seeded;
mod source;
mod sweep;
mod switch;
mod target;
mod world;

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use bug::Bug;
use scenario::Scenario;
use world::{Rereads, World};

/// Explores a world whole; returns its count of states.
fn explore(scenario: Scenario, rereads: Rereads) -> usize {
    let name = format!("{}, {} transactions", scenario.name, scenario.txns.len());
    let contents = format!("{:?}", scenario.txns);
    let checker = World::new(scenario, None, rereads)
        .checker()
        .threads(2)
        .spawn_bfs()
        .join();
    for (property, path) in checker.discoveries() {
        let expected = property == check::DONE;
        assert!(expected, "{name}: {contents}\nbreaks: {property}\n{path}");
    }
    assert!(
        checker.discovery(check::DONE).is_some(),
        "{name}: {contents}\nis never done"
    );
    checker.unique_state_count()
}

fn explore_all(title: &str, scenarios: Vec<Scenario>, rereads: Rereads) {
    let (started, count) = (Instant::now(), scenarios.len());
    let mut states = 0;
    for scenario in scenarios {
        let (name, started) = (scenario.name, Instant::now());
        let here = explore(scenario, rereads);
        if here > 200_000 {
            println!(
                "{name}: {here} states, {:.1} s",
                started.elapsed().as_secs_f32()
            );
        }
        states += here;
    }
    let seconds = started.elapsed().as_secs_f32();
    println!("{title}: {count} worlds, {states} states, {seconds:.1} s");
}

fn full() -> bool {
    std::env::var("CROSSFADE_MODEL_BOUNDS").is_ok_and(|bounds| bounds == "full")
}

fn with(count: usize) -> Vec<Scenario> {
    scenario::all()
        .into_iter()
        .map(|scenario| scenario.take(count))
        .collect()
}

#[test]
fn no_interleaving_of_two_transactions_breaks_an_invariant() {
    explore_all("two transactions", with(2), Rereads::InPlace);
}

#[test]
fn no_interleaving_breaks_an_invariant_when_batches_are_decided_again() {
    let worlds = with(if full() { 3 } else { 2 });
    let needed = worlds.into_iter().filter(Scenario::reads_again).collect();
    explore_all("rows read again first", needed, Rereads::First);
}

#[test]
fn no_interleaving_of_three_transactions_breaks_an_invariant() {
    if full() {
        explore_all("three transactions", with(3), Rereads::InPlace);
        return;
    }
    let names = [
        "thin updates of one row",
        "two thin key changes meet",
        "truncate after a thin key change",
        "keys change while parts are loaded",
        "equal rows come and go",
    ];
    let worlds = || names.map(scenario::named).to_vec();
    explore_all("three transactions", worlds(), Rereads::InPlace);
    explore_all(
        "three transactions, rows read again first",
        worlds(),
        Rereads::First,
    );
}

#[test]
fn full_bounds_contents_in_all_surroundings() {
    if full() {
        explore_all(
            "contents in all surroundings",
            sweep::surrounded(3),
            Rereads::First,
        );
    }
}

#[test]
fn full_bounds_pairs_in_all_surroundings() {
    if full() {
        explore_all(
            "pairs in all surroundings",
            sweep::all_pairs(),
            Rereads::InPlace,
        );
        let again = sweep::all_pairs()
            .into_iter()
            .filter(Scenario::reads_again)
            .collect();
        explore_all(
            "pairs in all surroundings, rows read again first",
            again,
            Rereads::First,
        );
    }
}

#[test]
fn full_bounds_triples() {
    if full() {
        explore_all("triples", sweep::all_triples(), Rereads::InPlace);
    }
}

#[test]
fn every_seeded_bug_is_found() {
    let mut missed = Vec::new();
    for (bug, name, count, property) in seeded::SEEDED {
        let world = World::new(
            scenario::named(name).take(*count),
            Some(*bug),
            Rereads::InPlace,
        );
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
            None => missed.push((bug, name)),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

#[test]
fn every_bug_is_seeded() {
    for bug in Bug::ALL {
        assert!(
            seeded::SEEDED.iter().any(|(seeded, ..)| seeded == bug),
            "{bug:?}"
        );
    }
}
