//! Chaos runs: durable servers, which this process kills and starts again when the chaos program asks for it, one line
//! each, `kill pg17`; it answers `done` or what went wrong.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::failure::{Context, Failure, Result};
use crate::process::run;
use crate::servers::fleet::Fleet;
use crate::servers::mysql::MysqlServer;
use crate::servers::server::{Access, Durability, Spec, StopMode};
use crate::servers::version::Version;
use crate::servers::{self, Installed, environment};
use crate::workspace::{cargo, target};

/// Says to the chaos program that servers can be asked for.
const CONTROL: &str = "CROSSFADE_CHAOS_CONTROL";

/// Builds the debug programs, then runs chaos; `arguments` go to it.
///
/// # Errors
/// When something cannot be built or started, or a seed fails.
pub fn chaos(arguments: &[String]) -> Result<()> {
    for package in ["crossfade", "crossfade-trials"] {
        run(cargo().args(["build", "--bins", "-p", package]))?;
    }
    built(arguments)
}

/// Runs chaos with the debug programs that were built.
///
/// # Errors
/// When a server cannot be started, or a seed fails.
pub fn built(arguments: &[String]) -> Result<()> {
    let installed: Installed = servers::install()?;
    let specs = [
        ("pg15a", Version::V15),
        ("pg17", Version::V17),
        ("pg18", Version::V18),
    ]
    .map(|(name, version)| Spec {
        name: name.to_owned(),
        version,
        durability: Durability::Durable,
        access: Access::Trust,
        settings: Vec::new(),
    });
    servers::install_mysql(&installed)?;
    let mut fleet = Fleet::start(&installed, &specs)?;
    fleet.start_mysql(&installed, Durability::Durable)?;
    let ended = accompany(&installed, &mut fleet, arguments);
    let stopped = fleet.stop();
    ended.and(stopped)
}

fn accompany(installed: &Installed, fleet: &mut Fleet, arguments: &[String]) -> Result<()> {
    let built = target().join("debug");
    let mut child = Command::new(built.join("chaos"))
        .args(arguments)
        .envs(environment::variables(installed, fleet))
        .env("CROSSFADE_BINARY", built.join("crossfade"))
        .env(CONTROL, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context(|| "cannot start the chaos program")?;
    let pipes = child.stdin.take().zip(child.stdout.take());
    let (mut answers, orders) = pipes.ok_or_else(|| Failure::new("no pipes"))?;
    for order in BufReader::new(orders).lines() {
        let order = order.context(|| "cannot read an order")?;
        let answer = match obey(fleet, &order) {
            Ok(()) => "done".to_owned(),
            Err(error) => error.to_string().replace('\n', " "),
        };
        writeln!(answers, "{answer}").context(|| "cannot answer")?;
    }
    let status = child
        .wait()
        .context(|| "cannot wait for the chaos program")?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("chaos: {status}")))
}

fn obey(fleet: &mut Fleet, order: &str) -> Result<()> {
    let (word, name) = order
        .split_once(' ')
        .ok_or_else(|| Failure::new(format!("no order: {order}")))?;
    if let Some(server) = fleet.mysql_mut(name) {
        return obey_on_mysql(server, word);
    }
    let server = fleet.server_mut(name)?;
    match word {
        "kill" => server.kill(),
        "immediate" => server.stop(StopMode::Immediate),
        "fast" => server.stop(StopMode::Fast),
        "start" => {
            let port = server.port();
            server.start()?;
            same_port(name, port, server.port())
        }
        _ => Err(Failure::new(format!("no order: {order}"))),
    }
}

/// These servers know of no end between being killed and ending in order.
fn obey_on_mysql(server: &mut MysqlServer, word: &str) -> Result<()> {
    match word {
        "kill" | "immediate" => server.kill(),
        "fast" => server.stop(),
        "start" => {
            let port = server.port();
            server.start(Durability::Durable)?;
            same_port(server.name(), port, server.port())
        }
        _ => Err(Failure::new(format!("no order: {word}"))),
    }
}

fn same_port(name: &str, before: u16, now: u16) -> Result<()> {
    if before == now {
        return Ok(());
    }
    Err(Failure::new(format!("{name} had to take another port")))
}
