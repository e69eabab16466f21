//! Programs that compare two databases, brought onto the machine for the mutations: from Debian, and from Python's registry
//! into environments of their own below `target`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Context, Result};
use crate::process::{capture, find_program};
use crate::servers::unpack::{Package, install_package};
use crate::servers::{Installed, system};
use crate::workspace::target;

/// Data-diff asks for versions of these that it does not run with.
const DATA_DIFF: [&str; 4] = [
    "data-diff[postgresql]==0.11.2",
    "dbt-core==1.7.19",
    "pydantic<2",
    "psycopg2-binary",
];
const RELADIFF: [&str; 2] = ["reladiff[postgresql]==0.6.0", "psycopg2-binary"];

/// Installs what can be had, and gives the variables that tell the mutations where each rival is. One that cannot be had is
/// left out, and why is said.
#[must_use]
pub fn variables(installed: &Installed) -> Vec<(String, String)> {
    told([
        ("PGCOPYDB", pgcopydb(&installed.cache)),
        ("DATA_DIFF", from_python("data-diff", &DATA_DIFF)),
        ("RELADIFF", from_python("reladiff", &RELADIFF)),
        ("PT_TABLE_SYNC", system::install_percona()),
    ])
}

/// The same, of those that are measured.
#[must_use]
pub fn measured(installed: &Installed) -> Vec<(String, String)> {
    told([
        ("PGCOPYDB", pgcopydb(&installed.cache)),
        ("DATA_DIFF", from_python("data-diff", &DATA_DIFF)),
        ("RELADIFF", from_python("reladiff", &RELADIFF)),
    ])
}

fn told<const N: usize>(rivals: [(&str, Result<PathBuf>); N]) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    for (name, place) in rivals {
        match place {
            Ok(program) => variables.push((
                format!("CROSSFADE_RIVAL_{name}"),
                program.display().to_string(),
            )),
            Err(why) => eprintln!("{name} cannot be had: {why}"),
        }
    }
    variables
}

/// The system's own release has one that cannot compare.
fn pgcopydb(cache: &Path) -> Result<PathBuf> {
    let prefix = cache.join("pgcopydb");
    install_package(&Package {
        names: &["pgcopydb"],
        suite: "trixie",
        prefix: &prefix,
        programs: &["usr/bin"],
        libraries: &[],
    })?;
    Ok(prefix.join("usr/bin/pgcopydb"))
}

fn from_python(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let folder = target().join("rivals").join(name);
    let program = folder.join("bin").join(name);
    let works = |program: &Path| capture(Command::new(program).arg("--version")).map(drop);
    if works(&program).is_ok() {
        return Ok(program);
    }
    eprintln!("installing {name} into {}", folder.display());
    fs::create_dir_all(&folder).context(|| format!("cannot make {}", folder.display()))?;
    let python = find_program("python3").unwrap_or_else(|| PathBuf::from("python3"));
    capture(
        Command::new(python)
            .args(["-m", "venv", "--clear"])
            .arg(&folder),
    )?;
    capture(
        Command::new(folder.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .args(packages),
    )?;
    works(&program).map(|()| program)
}
