//! Mutations: one corruption at a time is planted behind the program's back while a migration follows, and `verify` must
//! name exactly the rows that were corrupted, nothing else, and nothing once it is undone.

pub mod case;
mod judge;
pub mod kinds;
mod options;
pub mod pair;
mod rivals;
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
use rivals::{Contest, RIVALS, Rival};
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
    if options.rivals {
        table.note(rivals::SHARE.to_owned());
        for rival in RIVALS.iter().filter(|rival| rival.program().is_none()) {
            table.note(format!("{} could not be installed here", rival.name()));
        }
    }
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
    let contest = options.rivals.then(|| Contest::open(&scene)).flatten();
    for case in chosen(&scene, options, seed) {
        let (verdict, others) = plant(&mut scene, &case, contest.as_ref());
        for (rival, word) in others {
            table.put(case.kind, &format!("{} {}", pair.name, rival.name()), word);
        }
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

/// Plants one corruption, compares, undoes it, and compares again; with what the rivals say of it.
fn plant(
    scene: &mut Scene<'_>,
    case: &Case,
    contest: Option<&Contest>,
) -> (Verdict, Vec<(Rival, String)>) {
    let table = scene.table(case.table).expect("a case's table is there");
    let side = match case.side {
        Side::Source => &scene.source,
        Side::Target => &scene.target,
    };
    let before = side.rows(table);
    if let Err(error) = side.write(&case.sql) {
        let why = format!("cannot be planted: {error}\nin: {}", case.sql);
        return (Verdict::Failed(why), Vec::new());
    }
    let planted = side.rows(table) != before;
    let (verdict, others) = match &case.expected {
        // no corruption, no finding
        Expected::Named { rows, .. } if !planted && !rows.is_empty() => {
            (Verdict::NotHeld, Vec::new())
        }
        Expected::Named { .. } => (
            judge(case, &scene.verify()),
            contest.map_or_else(Vec::new, |contest| contest.ask(scene, table, case)),
        ),
        _ => (judge(case, &scene.verify()), Vec::new()),
    };
    side.restore(table);
    if let Some(sql) = case.back {
        side.write(sql).expect("a sequence can be set");
    }
    assert!(side.rows(table) == before, "{} was not undone", case.kind);
    (healed(scene, verdict), others)
}

/// The verdict, once the corruption is undone: the run must not have ended of it, and both sides must be equal again.
fn healed(scene: &mut Scene<'_>, verdict: Verdict) -> Verdict {
    let ended = scene.revive();
    let mut wrong = Vec::new();
    if let Verdict::Failed(why) = &verdict {
        wrong.push(why.clone());
    }
    if let Some(said) = ended {
        wrong.push(format!("the run has ended:\n{said}"));
    }
    if let Err(why) = equal(&scene.verify()) {
        wrong.push(format!("after it was undone: {why}"));
    }
    if wrong.is_empty() {
        verdict
    } else {
        Verdict::Failed(wrong.join("\n"))
    }
}
