//! The rules of proof: every order of commits, visibility, applying, comparing, repairing, failing, and of somebody
//! else's writes, in small worlds.

mod applier;
mod bug;
mod check;
mod compare;
mod meet;
mod seeded;
mod setting;
mod world;

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use crate::{full, scenario};
use bug::Bug;
use setting::Setting;
use world::World;

/// Explores a world whole; returns its count of states. `done`: the property that must be reachable.
fn explore<M>(name: &str, world: M, done: Option<&'static str>) -> usize
where
    M: Model + Sync + Send + 'static,
    M::State: std::fmt::Debug + std::hash::Hash + Clone + PartialEq + Send + Sync,
    M::Action: std::fmt::Debug + Clone + PartialEq,
{
    let checker = world.checker().threads(2).spawn_bfs().join();
    let expectation = |property: &str| {
        let properties = checker.model().properties();
        let named = properties.iter().find(|other| other.name == property);
        named.map(|property| property.expectation.clone())
    };
    for (property, path) in checker.discoveries() {
        let sometimes = expectation(property) == Some(stateright::Expectation::Sometimes);
        assert!(sometimes, "{name}\nbreaks: {property}\n{path}");
    }
    if let Some(done) = done {
        assert!(checker.discovery(done).is_some(), "{name}\nnever: {done}");
    }
    checker.unique_state_count()
}

fn explore_settings(title: &str, settings: Vec<Setting>) {
    let (all, count) = (Instant::now(), settings.len());
    let mut states = 0;
    for setting in settings {
        let (name, started) = (setting.scenario.name, Instant::now());
        let contents = format!("{name}: {:?}", setting.scenario.txns);
        let repairable = setting.garbled.is_none() || setting.repairs > 0;
        let world = World { setting, bug: None };
        let here = explore(&contents, world, repairable.then_some(check::DONE));
        if here > 100_000 {
            println!(
                "{name}: {here} states, {:.1} s",
                started.elapsed().as_secs_f32()
            );
        }
        states += here;
    }
    let seconds = all.elapsed().as_secs_f32();
    println!("{title}: {count} worlds, {states} states, {seconds:.1} s");
}

fn with(count: usize) -> Vec<Setting> {
    setting::all()
        .into_iter()
        .map(|setting| setting.take(count))
        .collect()
}

#[test]
fn no_interleaving_breaks_a_proof() {
    explore_settings("proof, two transactions", with(2));
}

#[test]
fn full_bounds_proofs_of_three_transactions() {
    if full() {
        explore_settings("proof, three transactions", with(3));
    }
}

#[test]
fn full_bounds_proofs_of_more_comparisons() {
    if full() {
        let longer = with(2).into_iter().map(Setting::longer).collect();
        explore_settings("proof, more comparisons", longer);
    }
}

#[test]
fn full_bounds_proofs_of_all_pairs() {
    if full() {
        explore_settings("proof, all pairs", setting::all_pairs());
    }
}

#[test]
fn a_target_meets_a_snapshot_exactly() {
    let mut states = 0;
    for scenario in scenario::contents() {
        let name = scenario.name;
        let world = meet::World {
            scenario,
            bug: None,
        };
        states += explore(name, world, Some(meet::MET));
    }
    println!("meeting a snapshot: {states} states");
}

fn finds<M>(bug: Bug, world: M, property: &'static str) -> bool
where
    M: Model + Sync + Send + 'static,
    M::State: std::fmt::Debug + std::hash::Hash + Clone + PartialEq + Send + Sync,
    M::Action: std::fmt::Debug + Clone + PartialEq,
{
    let until = HasDiscoveries::AnyOf([property].into_iter().collect());
    let checker = world
        .checker()
        .threads(2)
        .finish_when(until)
        .spawn_bfs()
        .join();
    let Some(path) = checker.discovery(property) else {
        return false;
    };
    println!(
        "{bug:?}: {property}: fails after {} events ({} states)",
        path.into_actions().len(),
        checker.unique_state_count()
    );
    true
}

#[test]
fn every_seeded_bug_of_proof_is_found() {
    let mut missed = Vec::new();
    for (bug, name, count, property) in seeded::SEEDED {
        let world = World {
            setting: setting::named(name).take(*count),
            bug: Some(*bug),
        };
        if !finds(*bug, world, property) {
            missed.push((*bug, *name));
        }
    }
    for bug in seeded::SEEDED_MEET {
        let world = meet::World {
            scenario: scenario::named("rows come, change, go"),
            bug: Some(*bug),
        };
        if !finds(*bug, world, meet::EXACT) {
            missed.push((*bug, "a query"));
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

#[test]
fn every_bug_of_proof_is_seeded() {
    for bug in Bug::ALL {
        let seeded = seeded::SEEDED.iter().map(|(seeded, ..)| seeded);
        assert!(
            seeded
                .chain(seeded::SEEDED_MEET)
                .any(|seeded| seeded == bug),
            "{bug:?}"
        );
    }
}
