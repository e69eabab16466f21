//! The whole test run: formatting, lints, every test against real servers, the demonstration.

use std::process::Command;

use crate::failure::Result;
use crate::phases::Phases;
use crate::process::run;
use crate::servers::{self, Installed, environment, fleet::Fleet, server::Durability};
use crate::workspace::{cargo, target};
use crate::{chaos, model, soak};

/// What to test.
#[derive(Debug, Default)]
pub struct Selection {
    /// For `cargo test`, in the place of `--workspace`: `-p crossfade-engine`.
    pub cargo: Vec<String>,
    /// For the test programs: parts of tests' names.
    pub filters: Vec<String>,
}

impl Selection {
    /// Arguments before `--` are cargo's, those after it the test programs'.
    #[must_use]
    pub fn new(arguments: &[String]) -> Self {
        let mut parts = arguments
            .splitn(2, |argument| argument == "--")
            .map(<[String]>::to_vec);
        Self {
            cargo: parts.next().unwrap_or_default(),
            filters: parts.next().unwrap_or_default(),
        }
    }

    fn is_everything(&self) -> bool {
        self.cargo.is_empty() && self.filters.is_empty()
    }
}

/// Runs all phases, or for a selection only its tests; servers are stopped however it ends.
///
/// # Errors
/// The first phase that fails.
pub fn test(selection: &Selection) -> Result<()> {
    let mut phases = Phases::new();
    let result = if selection.is_everything() {
        everything(&mut phases)
    } else {
        selected(&mut phases, selection)
    };
    eprint!("{}", phases.summary());
    result
}

/// Tests at a time: end to end they wait for servers and processes as long as they compute.
fn at_once() -> usize {
    2 * std::thread::available_parallelism().map_or(2, usize::from)
}

fn everything(phases: &mut Phases) -> Result<()> {
    phases.run("format", || run(cargo().args(["fmt", "--all", "--check"])))?;
    phases.run("lint", || {
        run(cargo().args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))
    })?;
    phases.run("build", || {
        run(cargo().args(["build", "--workspace", "--all-targets"]))
    })?;
    with_servers(phases, |phases, environment| {
        phases.run("tests", || {
            // the end-to-end tests drive the program that was just built
            let mut command = cargo();
            command
                .args(["test", "--workspace"])
                .env("RUST_TEST_THREADS", at_once().to_string())
                .env("CROSSFADE_BINARY", target().join("debug/crossfade"));
            run(with(&mut command, environment))
        })?;
        // The program that was just built, not `cargo run`: another selection of packages could
        // choose other features and build much of the workspace again.
        phases.run("demo", || {
            run(with(
                Command::new(target().join("debug/crossfade")).arg("demo"),
                environment,
            ))
        })
    })?;
    slices(phases)
}

/// Shortened runs of what is too long to run whole for every change.
fn slices(phases: &mut Phases) -> Result<()> {
    let arguments = ["--seeds", "10"].map(str::to_owned);
    phases.run("chaos", || chaos::built(&arguments))?;
    let arguments = ["switch", "--seeds", "8"].map(str::to_owned);
    phases.run("chaos of the switch", || chaos::built(&arguments))?;
    let arguments = ["--seconds", "30"].map(str::to_owned);
    phases.run("soak", || soak::built(&arguments))
}

fn selected(phases: &mut Phases, selection: &Selection) -> Result<()> {
    with_servers(phases, |phases, environment| {
        phases.run("tests", || {
            let mut command = cargo();
            command.arg("test");
            if selection.cargo.is_empty() {
                command.arg("--workspace");
            }
            command
                .args(&selection.cargo)
                .arg("--")
                .args(&selection.filters);
            run(with(&mut command, environment))
        })
    })
}

fn with_servers(
    phases: &mut Phases,
    work: impl FnOnce(&mut Phases, &[(String, String)]) -> Result<()>,
) -> Result<()> {
    let installed: Installed = phases.run("install servers", || {
        let installed = servers::install()?;
        servers::install_mysql(&installed)?;
        Ok(installed)
    })?;
    let fleet = phases.run("start servers", || {
        Fleet::start_all(&installed, Durability::Fast)
    })?;
    let mut environment = environment::variables(&installed, &fleet);
    environment.push((model::BOUNDS.to_owned(), "small".to_owned()));
    let worked = work(phases, &environment);
    let stopped = phases.run("stop servers", || fleet.stop());
    worked.and(stopped)
}

fn with<'a>(command: &'a mut Command, environment: &[(String, String)]) -> &'a mut Command {
    command.envs(environment.iter().map(|(name, value)| (name, value)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn select(words: &str) -> Selection {
        Selection::new(
            &words
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn arguments_are_parted_at_the_dashes() {
        assert!(select("").is_everything());
        assert!(select("--").is_everything());
        let both = select("-p crossfade-engine -- frontier -- --exact");
        assert_eq!(both.cargo, ["-p", "crossfade-engine"]);
        assert_eq!(both.filters, ["frontier", "--", "--exact"]);
        assert!(!select("-- frontier").is_everything());
    }
}
