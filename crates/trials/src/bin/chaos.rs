//! `chaos [switch] [--seeds N] [--from SEED]`: see `crossfade_trials::chaos`. Messages go to standard error; standard output is
//! for the partner that controls the servers.

#![allow(clippy::panic)]

use std::process::ExitCode;

/// How many seeds a whole run has.
const SEEDS: u64 = 200;
/// And one of the switch.
const SWITCH_SEEDS: u64 = 300;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    let switch = arguments.next_if(|word| word == "switch").is_some();
    let (mut from, mut count) = (1, if switch { SWITCH_SEEDS } else { SEEDS });
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
    let failed = if switch {
        crossfade_trials::chaos::switch::seeds(from, count)
    } else {
        crossfade_trials::chaos::seeds(from, count)
    };
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn usage() -> ExitCode {
    eprintln!("chaos [switch] [--seeds N] [--from SEED]");
    ExitCode::from(3)
}
