//! Programs of the trials that work on servers of their own.

use std::process::Command;

use crate::failure::Result;
use crate::process::run;
use crate::servers::fleet::Fleet;
use crate::servers::server::{Access, Durability, Spec};
use crate::servers::version::Version;
use crate::servers::{self, Installed, environment};
use crate::workspace::{cargo, target};

/// Builds the debug programs.
///
/// # Errors
/// When one cannot be built.
pub fn build() -> Result<()> {
    for package in ["crossfade", "crossfade-trials"] {
        // one by one, so that the product is built with its own features only
        run(cargo().args(["build", "--bins", "-p", package]))?;
    }
    Ok(())
}

/// Starts servers, also one of each flavor of MySQL, and runs a program that was built; `further` may start more of them, and gives
/// the program further variables. The servers are stopped however it ends.
///
/// # Errors
/// When a server cannot be started, or the program fails.
pub fn run_on(
    installed: &Installed,
    servers: &[(&str, Version)],
    program: &str,
    arguments: &[String],
    further: impl FnOnce(&mut Fleet) -> Result<Vec<(String, String)>>,
) -> Result<()> {
    let spec = |(name, version): &(&str, Version)| Spec {
        name: (*name).to_owned(),
        version: *version,
        durability: Durability::Fast,
        access: Access::Trust,
        settings: Vec::new(),
    };
    let specs: Vec<Spec> = servers.iter().map(spec).collect();
    servers::install_mysql(installed)?;
    let mut fleet = Fleet::start(installed, &specs)?;
    fleet.start_mysql(installed, Durability::Fast)?;
    let variables = further(&mut fleet)?;
    let built = target().join("debug");
    let ended = run(Command::new(built.join(program))
        .args(arguments)
        .envs(environment::variables(installed, &fleet))
        .envs(variables)
        .env("CROSSFADE_BINARY", built.join("crossfade")));
    let stopped = fleet.stop();
    ended.and(stopped)
}
