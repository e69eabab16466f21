//! Mutations: one corruption at a time is planted behind the program's back while a migration follows, and `verify` must
//! name exactly the rows that were corrupted, nothing else, and nothing once it is undone.

pub mod case;
mod judge;
pub mod kinds;
mod options;
pub mod pair;
mod scene;
mod schema;
mod side;
mod table;
mod writer;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use rand::seq::SliceRandom;

use crate::seed::{generator, seed};
use case::{Case, Expected};
use judge::{Verdict, equal, judge};
use kinds::rows::Side;
use options::Options;
use pair::Pair;
use scene::Scene;
use table::Table;

/// Plants what the arguments ask for. Exit code 1 where something was missed, 3 for arguments that it does not know.
pub fn main(arguments: impl Iterator<Item = String>) -> ExitCode {
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("error: {problem}\n{}", options::HELP);
            return ExitCode::from(3);
        }
    };
    let seed = seed("mutations");
    let mut table = Table::default();
    let mut failed = Vec::new();
    for pair in &options.pairs {
        // the panic's own message was printed where it arose
        let ended = catch_unwind(AssertUnwindSafe(|| {
            on_pair(*pair, &options, seed, &mut table)
        }));
        match ended {
            Ok(missed) => failed.extend(missed),
            Err(_) => failed.push(format!("{}: ended before its time", pair.name)),
        }
    }
    println!("{}", table.text(case::kinds()));
    for line in &failed {
        println!("\nFAILED {line}");
    }
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Plants some kinds of one pair, as many as `most` says, chosen by the seed; gives those that were missed.
///
/// # Panics
/// When the migration cannot be run.
#[must_use]
pub fn some(pair: Pair, most: usize, seed: u64) -> Vec<String> {
    let options = Options {
        pairs: vec![pair],
        most: Some(most),
        kinds: Vec::new(),
        rivals: false,
    };
    let mut table = Table::default();
    let missed = on_pair(pair, &options, seed, &mut table);
    eprintln!("{}", table.text(case::kinds()));
    missed
}

fn on_pair(pair: Pair, options: &Options, seed: u64, table: &mut Table) -> Vec<String> {
    let trial = scene::prepare(pair);
    let mut scene = Scene::open(&trial, seed);
    let mut missed = Vec::new();
    if let Err(why) = equal(&scene.verify()) {
        missed.push(format!("{}, before anything is planted: {why}", pair.name));
    }
    for case in chosen(&scene, options, seed) {
        let verdict = plant(&mut scene, &case);
        eprintln!("{}, {}: {}", pair.name, case.kind, verdict.word());
        table.put(case.kind, pair.name, verdict.word());
        if let Verdict::Failed(why) = verdict {
            eprintln!("{why}");
            missed.push(format!("{}, {}: {why}", pair.name, case.kind));
        }
    }
    eprintln!(
        "{}: the writer made {} transactions",
        pair.name,
        scene.writer.done()
    );
    missed
}

fn chosen(scene: &Scene<'_>, options: &Options, seed: u64) -> Vec<Case> {
    let mut cases = case::cases(scene);
    cases.retain(|case| options.wants(case.kind));
    if let Some(most) = options.most {
        cases.shuffle(&mut generator(seed, 4_711));
        cases.truncate(most);
    }
    cases
}

/// Plants one corruption, compares, undoes it, and compares again.
fn plant(scene: &mut Scene<'_>, case: &Case) -> Verdict {
    let table = scene.table(case.table).expect("a case's table is there");
    let side = match case.side {
        Side::Source => &scene.source,
        Side::Target => &scene.target,
    };
    let before = side.rows(table);
    if let Err(error) = side.write(&case.sql) {
        return Verdict::Failed(format!("cannot be planted: {error}\nin: {}", case.sql));
    }
    let planted = side.rows(table) != before;
    let verdict = match &case.expected {
        // no corruption, no finding
        Expected::Named { rows, .. } if !planted && !rows.is_empty() => Verdict::NotHeld,
        _ => judge(case, &scene.verify()),
    };
    side.restore(table);
    if let Some(sql) = case.back {
        side.write(sql).expect("a sequence can be set");
    }
    assert!(side.rows(table) == before, "{} was not undone", case.kind);
    let ended = scene.revive();
    match (verdict, ended, equal(&scene.verify())) {
        (Verdict::Failed(why), Some(said), _) => {
            Verdict::Failed(format!("{why}\nThe run has ended:\n{said}"))
        }
        (Verdict::Failed(why), None, _) => Verdict::Failed(why),
        (_, Some(said), _) => Verdict::Failed(format!("the run has ended:\n{said}")),
        (_, None, Err(why)) => Verdict::Failed(format!("after it was undone: {why}")),
        (verdict, None, Ok(())) => verdict,
    }
}
