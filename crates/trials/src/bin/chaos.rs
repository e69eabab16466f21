//! `chaos [--seeds N] [--from SEED]`: see `crossfade_trials::chaos`. Messages go to standard error; standard output is
//! for the partner that controls the servers.

#![allow(clippy::panic)]

use std::process::ExitCode;

/// How many seeds a whole run has.
const SEEDS: u64 = 200;

fn main() -> ExitCode {
    let (mut from, mut count) = (1, SEEDS);
    let mut arguments = std::env::args().skip(1);
    while let Some(word) = arguments.next() {
        let place = match word.as_str() {
            "--seeds" => &mut count,
            "--from" => &mut from,
            _ => return usage(),
        };
        match arguments.next().and_then(|number| number.parse().ok()) {
            Some(number) => *place = number,
            None => return usage(),
        }
    }
    if crossfade_trials::chaos::seeds(from, count).is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn usage() -> ExitCode {
    eprintln!("chaos [--seeds N] [--from SEED]");
    ExitCode::from(3)
}
