//! Private PostgreSQL, MySQL and MariaDB servers for tests, benchmarks and fault runs: installed without a service,
//! started on the loopback in folders of their own, and stopped by whoever started them.

pub mod account;
pub mod cache;
pub mod environment;
pub mod flavor;
pub mod fleet;
pub mod guard;
pub mod mysql;
mod mysql_install;
pub mod port;
mod ready;
pub mod server;
mod sources;
pub mod system;
pub mod tls;
pub mod unpack;
pub mod version;

use std::fs;
use std::path::PathBuf;

use crate::failure::{Context, Result};
use account::Account;
use environment::Recorded;
use flavor::Flavor;
use fleet::Fleet;
use server::Durability;
use version::Version;

/// What the machine has after an installation.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The folder of unpacked versions.
    pub cache: PathBuf,
    /// Who runs the servers.
    pub account: Account,
}

impl Installed {
    /// The folder of a version's programs.
    #[must_use]
    pub fn bin(&self, version: Version) -> PathBuf {
        version.bin(&self.cache)
    }

    /// The newest version's psql, which talks to servers of all versions.
    #[must_use]
    pub fn psql(&self) -> PathBuf {
        self.bin(Version::V18).join("psql")
    }
}

/// Brings everything that the servers need onto the machine; quick where it is there already.
///
/// # Errors
/// When packages are missing and cannot be had.
pub fn install() -> Result<Installed> {
    system::install()?;
    let account = Account::current()?;
    let cache = cache::folder(&account)?;
    let _lock = cache::lock(&cache)?;
    let installed = Installed { cache, account };
    for version in Version::ALL {
        unpack::install(version, &installed.cache)?;
        server::check_program(&installed.bin(version), version)?;
    }
    Ok(installed)
}

/// The same for MySQL and MariaDB.
///
/// # Errors
/// As [`install`].
pub fn install_mysql(installed: &Installed) -> Result<()> {
    let _lock = cache::lock(&installed.cache)?;
    for flavor in Flavor::ALL {
        mysql_install::install(flavor, &installed.cache, installed.account)?;
    }
    Ok(())
}

/// Starts the test servers for a developer and leaves them running; says where they are.
///
/// # Errors
/// When they cannot be installed or started.
pub fn start(durability: Durability) -> Result<()> {
    if let Some(recorded) = Recorded::read() {
        if recorded.all_run() {
            eprintln!("already running: source {}", environment::file().display());
            return Ok(());
        }
        stop()?;
    }
    let installed = install()?;
    install_mysql(&installed)?;
    let fleet = Fleet::start_all(&installed, durability)?;
    environment::write(&environment::variables(&installed, &fleet))?;
    for server in fleet.servers() {
        println!("{:<11} {}", server.name(), server.url());
    }
    for server in fleet.mysql() {
        println!("{:<11} {}", server.name(), server.url());
    }
    let folder = fleet.detach();
    eprintln!(
        "running in {}: source {}",
        folder.display(),
        environment::file().display()
    );
    Ok(())
}

/// Stops the servers that [`start`] left running; does nothing if there are none.
///
/// # Errors
/// When they cannot be stopped.
pub fn stop() -> Result<()> {
    let Some(recorded) = Recorded::read() else {
        eprintln!("no servers were started");
        return Ok(());
    };
    fleet::stop_left_running(&recorded.folder)?;
    fs::remove_file(environment::file()).context(|| "cannot remove the list of servers")?;
    eprintln!("stopped");
    Ok(())
}
