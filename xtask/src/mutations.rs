//! The mutation suite: servers, the debug programs, and the rivals where they are asked for.

use std::process::Command;

use crate::failure::Result;
use crate::process::run;
use crate::rivals;
use crate::servers::fleet::Fleet;
use crate::servers::server::{Access, Durability, Spec};
use crate::servers::version::Version;
use crate::servers::{self, Installed, environment};
use crate::workspace::{cargo, target};

/// Builds the debug programs, starts a server of each version, and plants; `arguments` go to the program.
///
/// # Errors
/// When something cannot be built or started, or a corruption was missed.
pub fn mutations(arguments: &[String]) -> Result<()> {
    for package in ["crossfade", "crossfade-trials"] {
        run(cargo().args(["build", "--bins", "-p", package]))?;
    }
    let installed: Installed = servers::install()?;
    let rivals = if arguments.iter().any(|word| word == "--rivals") {
        rivals::variables(&installed)
    } else {
        Vec::new()
    };
    let fleet = Fleet::start(&installed, &specs(Durability::Fast))?;
    let built = target().join("debug");
    let ended = run(Command::new(built.join("mutations"))
        .args(arguments)
        .envs(environment::variables(&installed, &fleet))
        .envs(rivals)
        .env("CROSSFADE_BINARY", built.join("crossfade")));
    let stopped = fleet.stop();
    ended.and(stopped)
}

/// One server of each version.
pub fn specs(durability: Durability) -> Vec<Spec> {
    let versions = [
        ("pg15a", Version::V15),
        ("pg17", Version::V17),
        ("pg18", Version::V18),
    ];
    let spec = |(name, version): (&str, Version)| Spec {
        name: name.to_owned(),
        version,
        durability,
        access: Access::Trust,
        settings: Vec::new(),
    };
    versions.map(spec).into()
}
