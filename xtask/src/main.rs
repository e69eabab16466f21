//! `cargo xtask`: the workspace's developer commands.

use std::env;
use std::process::ExitCode;

use xtask::failure::{Failure, Result};
use xtask::servers::server::Durability;
use xtask::{bench, chaos, model, mutations, servers, soak, test, types};

const HELP: &str = "\
cargo xtask servers install            PostgreSQL 15, 17 and 18 and the tools of the tests, as root or through sudo
cargo xtask servers start [--durable]  private servers on the loopback; `source target/servers.env` to use them
cargo xtask servers stop               stops them and removes their data
cargo xtask test                       format, lint, build, every test against real servers, demo
cargo xtask test [-p CRATE] [-- FILTER…]
                                       only the tests of a crate, or with names that contain a filter
cargo xtask chaos [--built] [--seeds N] [--from SEED] [--mysql]
                                       migrations under live writes in which everything fails that can (400 seeds);
                                       --built: with the debug programs as they are
cargo xtask chaos [--built] switch [--seeds N] [--from SEED] [--mysql]
                                       switches and rollbacks that are disturbed at every point, while a bank is open (600 seeds)
cargo xtask mutations [--quick] [--pair NAME]… [--kind TEXT]… [--rivals]
                                       corruption planted one kind at a time behind a migration that follows: `verify`
                                       must name exactly those rows; --rivals: pgcopydb, data-diff, reladiff and pt-table-sync get the same
cargo xtask soak [--minutes N | --seconds N]
                                       comparisons one after another under full load, none of which may find a
                                       difference (60 minutes)
cargo xtask types                      writes docs/types.md from the code
cargo xtask model [ARGUMENT…]          explores the rules over their full bounds (long)
cargo xtask bench [--rounds N] [--only NAME] [--quick]
                                       crossfade and its rivals in turn on durable servers (long)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["servers", "install"] => servers::install().map(|installed| {
            eprintln!(
                "installed; unpacked versions are in {}",
                installed.cache.display()
            );
        }),
        ["servers", "start"] => servers::start(Durability::Fast),
        ["servers", "start", "--durable"] => servers::start(Durability::Durable),
        ["servers", "stop"] => servers::stop(),
        ["test", ..] => test::test(&test::Selection::new(&arguments[1..])),
        ["chaos", "--built", ..] => chaos::built(&arguments[2..]),
        ["chaos", ..] => chaos::chaos(&arguments[1..]),
        ["mutations", ..] => mutations::mutations(&arguments[1..]),
        ["soak", ..] => soak::soak(&arguments[1..]),
        ["model", ..] => model::full(&arguments[1..]),
        ["types"] => types::types(),
        ["bench", ..] => bench::bench(&arguments[1..]),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => Err(Failure::new(format!(
            "no such command: {}\n{HELP}",
            words.join(" ")
        ))),
    }
}
