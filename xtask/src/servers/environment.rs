//! What tests and developers are told about running servers: environment variables, and the file
//! that a shell can read them from.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Installed;
use super::fleet::Fleet;
use super::server::Access;
use super::system;
use super::tls::CERTIFIED_USER;
use super::version::Version;
use crate::failure::{Context, Result};
use crate::process::shell_word;
use crate::workspace;

/// The variable with the folder of all servers.
const FOLDER: &str = "CROSSFADE_SERVERS_FOLDER";

/// Names and values for tests: `CROSSFADE_TEST_…` is what tests read; `CROSSFADE_SERVER_NAME_…`
/// says of each server its URL, port, programs, data folder and process.
#[must_use]
pub fn variables(installed: &Installed, fleet: &Fleet) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut set = |name: String, value: String| all.push((name, value));
    for server in fleet.servers() {
        let name = server.name().to_uppercase();
        match server.access() {
            Access::Trust => set(format!("CROSSFADE_TEST_{name}"), server.url()),
            Access::Tls => {
                set(format!("CROSSFADE_TEST_{name}_URL"), server.url());
                set(
                    format!("CROSSFADE_TEST_{name}_CERTIFIED_URL"),
                    server.url_as(CERTIFIED_USER),
                );
                set(
                    format!("CROSSFADE_TEST_{name}_DIR"),
                    server.tls_folder().display().to_string(),
                );
            }
        }
        let about = |what: &str| format!("CROSSFADE_SERVER_{name}_{what}");
        set(about("URL"), server.url());
        set(about("PORT"), server.port().to_string());
        set(about("BIN"), server.bin().display().to_string());
        set(about("DATA"), server.data().display().to_string());
        set(
            about("PID"),
            server.pid().map_or_else(String::new, |pid| pid.to_string()),
        );
    }
    for server in fleet.mysql() {
        let name = server.name().to_uppercase();
        set(format!("CROSSFADE_TEST_{name}"), server.url());
        let about = |what: &str| format!("CROSSFADE_SERVER_{name}_{what}");
        set(about("PORT"), server.port().to_string());
        set(about("DATA"), server.data().display().to_string());
        set(
            about("CLIENT"),
            server
                .flavor()
                .client(&installed.cache)
                .display()
                .to_string(),
        );
        set(
            about("PID"),
            server.pid().map_or_else(String::new, |pid| pid.to_string()),
        );
    }
    for version in Version::ALL {
        set(
            format!("CROSSFADE_TEST_PG_BIN_{version}"),
            installed.bin(version).display().to_string(),
        );
    }
    set(
        "CROSSFADE_TEST_PSQL".to_owned(),
        installed.psql().display().to_string(),
    );
    set(
        "CROSSFADE_TEST_PGBOUNCER".to_owned(),
        system::PGBOUNCER.to_owned(),
    );
    set(FOLDER.to_owned(), fleet.folder().display().to_string());
    all
}

/// The file in which the servers that run for a developer are written down.
#[must_use]
pub fn file() -> PathBuf {
    workspace::target().join("servers.env")
}

/// Writes the variables so that a shell can `source` them; only its owner may read the passwords in it.
///
/// # Errors
/// When the file cannot be written.
pub fn write(variables: &[(String, String)]) -> Result<()> {
    let path = file();
    let what = || format!("cannot write {}", path.display());
    let text: String = variables
        .iter()
        .map(|(name, value)| format!("export {name}={}\n", shell_word(value)))
        .collect();
    fs::create_dir_all(workspace::target()).context(what)?;
    fs::write(&path, "").context(what)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).context(what)?;
    fs::write(&path, text).context(what)
}

/// What the file says of servers that were started earlier.
#[derive(Debug)]
pub struct Recorded {
    /// The folder of all servers.
    pub folder: PathBuf,
    /// Each server's process and data folder.
    processes: Vec<(String, String)>,
}

impl Recorded {
    /// Reads the file; `None` if there is none, or it names no folder.
    #[must_use]
    pub fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string(file()).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let variables: Vec<(&str, String)> = text
            .lines()
            .filter_map(|line| line.strip_prefix("export ")?.split_once('='))
            .map(|(name, value)| (name, value.trim_matches('\'').to_owned()))
            .collect();
        let value = |wanted: &str| {
            variables
                .iter()
                .find(|(name, _)| *name == wanted)
                .map(|(_, value)| value.clone())
        };
        let processes = variables
            .iter()
            .filter_map(|(name, pid)| {
                Some((
                    pid.clone(),
                    value(&format!("{}_DATA", name.strip_suffix("_PID")?))?,
                ))
            })
            .collect();
        Some(Self {
            folder: PathBuf::from(value(FOLDER)?),
            processes,
        })
    }

    /// Whether every server that was started still runs.
    #[must_use]
    pub fn all_run(&self) -> bool {
        !self.processes.is_empty()
            && self.processes.iter().all(|(pid, data)| {
                let words =
                    fs::read(Path::new("/proc").join(pid).join("cmdline")).unwrap_or_default();
                !pid.is_empty()
                    && words.split(|byte| *byte == 0).any(|word| {
                        word.strip_prefix(b"--datadir=").unwrap_or(word) == data.as_bytes()
                    })
            })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn reads_back_what_a_shell_would() {
        let text = "export CROSSFADE_SERVER_PG17_PORT='20017'\nexport CROSSFADE_SERVER_PG17_DATA='/nowhere/data'\n\
                    export CROSSFADE_SERVER_PG17_PID='1'\nexport CROSSFADE_SERVERS_FOLDER='/nowhere'\n";
        let recorded = Recorded::parse(text).expect("parses");
        assert_eq!(recorded.folder, PathBuf::from("/nowhere"));
        assert_eq!(
            recorded.processes,
            [("1".to_owned(), "/nowhere/data".to_owned())]
        );
        assert!(!recorded.all_run(), "process 1 is no server of ours");
    }

    #[test]
    fn a_file_without_a_folder_names_no_servers() {
        assert!(Recorded::parse("export CROSSFADE_SERVER_PG17_PID='1'\n").is_none());
    }
}
