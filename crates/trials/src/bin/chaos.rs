//! `chaos [switch] [--seeds N] [--from SEED] [--mysql]`: see `crossfade_trials::chaos`. `--mysql` takes the seeds with a MySQL or MariaDB
//! side, and N of those. Messages go to standard error; standard output is for the partner that controls the servers.

#![allow(clippy::panic)]

use std::process::ExitCode;

use crossfade_trials::chaos::{self, Seeds};

/// How many seeds a whole run has: half of them have a MySQL or MariaDB side.
const SEEDS: u64 = 400;
/// And one of the switch.
const SWITCH_SEEDS: u64 = 600;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    let switch = arguments.next_if(|word| word == "switch").is_some();
    let mut seeds = Seeds {
        from: 1,
        count: if switch { SWITCH_SEEDS } else { SEEDS },
        only_mysql: false,
    };
    while let Some(word) = arguments.next() {
        let place = match word.as_str() {
            "--seeds" => &mut seeds.count,
            "--from" => &mut seeds.from,
            "--mysql" => {
                seeds.only_mysql = true;
                continue;
            }
            _ => return usage(),
        };
        match arguments.next().and_then(|number| number.parse().ok()) {
            Some(number) => *place = number,
            None => return usage(),
        }
    }
    let failed = if switch {
        chaos::switch::run_seeds(&seeds)
    } else {
        chaos::run_seeds(&seeds)
    };
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn usage() -> ExitCode {
    eprintln!("chaos [switch] [--seeds N] [--from SEED] [--mysql]");
    ExitCode::from(3)
}
