//! The packages that the tests use from the system's own release.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Context, Failure, Result};
use crate::process::{capture, find_program, run};

/// How to see that a package is there.
enum Sign {
    File(&'static str),
    Program(&'static str),
}

/// The pooler that tests of routes start for themselves, each on a port of its own.
pub const PGBOUNCER: &str = "/usr/sbin/pgbouncer";

/// The programs that benchmarks compare with.
const RIVALS: [(Sign, &str); 2] = [
    (Sign::Program("pgcopydb"), "pgcopydb"),
    (Sign::Program("pgloader"), "pgloader"),
];

const NEEDED: [(Sign, &str); 9] = [
    (
        Sign::File("/usr/lib/postgresql/15/bin/postgres"),
        "postgresql-15",
    ),
    (
        Sign::File("/usr/lib/postgresql/15/bin/pg_dump"),
        "postgresql-client-15",
    ),
    (Sign::File(PGBOUNCER), "pgbouncer"),
    (Sign::Program("sqlite3"), "sqlite3"),
    (Sign::Program("openssl"), "openssl"),
    (Sign::Program("patchelf"), "patchelf"),
    // servers and processes under test are signalled by it
    (Sign::Program("kill"), "procps"),
    (
        Sign::File("/usr/share/keyrings/debian-archive-keyring.gpg"),
        "debian-archive-keyring",
    ),
    (Sign::File("/usr/share/zoneinfo/UTC"), "tzdata"),
];

/// Run as root. A policy-rc.d that answers 101 ("not allowed") keeps the packages' scripts from
/// starting a service; it is made only where there is none, and removed again.
const INSTALL: &str = r#"
set -e
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM HUP
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
lists() { ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1; }
refresh() { apt-get update -qq || echo "apt-get update failed; going on with the lists that are there" >&2; }
install() { apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=600 "$@"; }
lists || refresh
install "$@" || { refresh; install "$@"; }
"#;

/// Programs that benchmarks of MySQL compare with, and that write its load, which not every release has.
const MYSQL_RIVALS: [(Sign, &str); 2] = [
    (Sign::Program("mydumper"), "mydumper"),
    (Sign::Program("sysbench"), "sysbench"),
];

/// Installs what is missing of the tests' packages; does nothing where all of them are there.
///
/// # Errors
/// When packages are missing and cannot be installed, with the command that a person could run.
pub fn install() -> Result<()> {
    install_missing(&NEEDED)
}

/// The same for the programs that benchmarks compare with.
///
/// # Errors
/// As [`install`].
pub fn install_rivals() -> Result<()> {
    install_missing(&RIVALS)
}

/// The same for the programs that benchmarks of MySQL compare with: the benchmarks leave out what is not there.
pub fn install_mysql_rivals() {
    if let Err(why) = install_missing(&MYSQL_RIVALS) {
        eprintln!("{why}");
    }
}

/// The same for Percona's tools; gives the one that compares tables.
///
/// # Errors
/// As [`install`].
pub fn install_percona() -> Result<PathBuf> {
    const PROGRAM: &str = "pt-table-sync";
    install_missing(&[(Sign::Program(PROGRAM), "percona-toolkit")])?;
    find_program(PROGRAM).ok_or_else(|| Failure::new(format!("{PROGRAM} is not there")))
}

fn install_missing(needed: &[(Sign, &'static str)]) -> Result<()> {
    let missing: Vec<&str> = needed
        .iter()
        .filter(|(sign, _)| !is_there(sign))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("installing {}", missing.join(", "));
    let by_hand = || {
        format!(
            "cannot install packages; as root: apt-get install {}",
            missing.join(" ")
        )
    };
    let mut command = as_root().context(by_hand)?;
    run(command
        .args(["sh", "-c", INSTALL, "install"])
        .args(&missing)
        .stdin(Stdio::null()))
    .context(by_hand)?;
    match needed.iter().find(|(sign, _)| !is_there(sign)) {
        None => Ok(()),
        Some((_, package)) => Err(Failure::new(format!(
            "{package} was installed, but its files are not where they should be"
        ))),
    }
}

fn is_there(sign: &Sign) -> bool {
    match sign {
        Sign::File(path) => Path::new(path).exists(),
        Sign::Program(name) => find_program(name).is_some(),
    }
}

/// The beginning of a command that runs as root: itself when root, else sudo, which may ask for a
/// password only where a person is there to type it.
fn as_root() -> Result<Command> {
    if capture(Command::new("id").arg("-u"))?.trim() == "0" {
        return Ok(Command::new("env"));
    }
    let sudo = find_program("sudo")
        .ok_or_else(|| Failure::new("this account is not root and there is no sudo"))?;
    let mut command = Command::new(sudo);
    if !io::stdin().is_terminal() {
        command.arg("-n");
    }
    Ok(command)
}
