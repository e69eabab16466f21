//! A set of servers in one folder, which live and end together.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Installed;
use super::flavor::Flavor;
use super::guard::Guard;
use super::mysql::{MysqlServer, MysqlSpec};
use super::ready;
use super::server::{Access, Durability, Server, Spec, StopMode, make_folder};
use super::version::Version;
use crate::failure::{Failure, Result};
use crate::process::remove_folder;

/// Where folders of servers are made: the servers' account can enter it, and unlike `/tmp` it is
/// never a file system in memory.
const PLACE: &str = "/var/tmp";
const PREFIX: &str = "crossfade-servers-";

/// Running servers. Dropping it stops all of them and removes their folder.
#[derive(Debug)]
pub struct Fleet {
    folder: PathBuf,
    servers: Vec<Server>,
    mysql: Vec<MysqlServer>,
    guard: Option<Guard>,
}

impl Fleet {
    /// The servers that the tests need: two of 15, one of 17, one of 18, and one of 15 with TLS.
    #[must_use]
    pub fn test_specs(durability: Durability) -> Vec<Spec> {
        let spec = |name: &str, version, access| Spec {
            name: name.to_owned(),
            version,
            durability,
            access,
            settings: Vec::new(),
        };
        vec![
            spec("pg15a", Version::V15, Access::Trust),
            spec("pg15b", Version::V15, Access::Trust),
            spec("pg17", Version::V17, Access::Trust),
            spec("pg18", Version::V18, Access::Trust),
            spec("tls", Version::V15, Access::Tls),
        ]
    }

    /// All servers that the tests need: those of [`Fleet::test_specs`] and one of each flavor of MySQL.
    ///
    /// # Errors
    /// As [`Fleet::start`].
    pub fn start_all(installed: &Installed, durability: Durability) -> Result<Self> {
        let mut fleet = Self::start(installed, &Self::test_specs(durability))?;
        fleet.start_mysql(installed, durability)?;
        Ok(fleet)
    }

    /// Starts one server of each flavor of MySQL beside the others.
    ///
    /// # Errors
    /// As [`Fleet::start`].
    pub fn start_mysql(&mut self, installed: &Installed, durability: Durability) -> Result<()> {
        self.add_mysql(installed, &Flavor::ALL.map(MysqlSpec::of), durability)
    }

    /// Starts servers of MySQL's protocol beside the others.
    ///
    /// # Errors
    /// As [`Fleet::start`].
    pub fn add_mysql(
        &mut self,
        installed: &Installed,
        specs: &[MysqlSpec],
        durability: Durability,
    ) -> Result<()> {
        let folder = &self.folder;
        ready::side_by_side(specs, &mut self.mysql, |spec| {
            let mut server = MysqlServer::create(spec, folder, installed)?;
            server.start(durability).map(|()| server)
        })
    }

    /// Makes and starts a further server of a flavor, which may replicate from others; `options` are the program's own.
    ///
    /// # Errors
    /// As [`Fleet::start`].
    pub fn add_further_mysql(
        &mut self,
        installed: &Installed,
        flavor: Flavor,
        (name, number): (&str, u32),
        options: &[&str],
    ) -> Result<()> {
        let spec = MysqlSpec {
            name: name.to_owned(),
            flavor,
            number,
            settings: options.iter().map(|option| (*option).to_owned()).collect(),
        };
        self.add_mysql(installed, &[spec], Durability::Fast)
    }

    /// The server of that name that speaks MySQL's protocol.
    ///
    /// # Errors
    /// When there is none.
    pub fn mysql_server(&mut self, name: &str) -> Result<&mut MysqlServer> {
        self.mysql
            .iter_mut()
            .find(|server| server.name() == name)
            .ok_or_else(|| unknown(name))
    }

    /// Makes and starts one server for each specification.
    ///
    /// # Errors
    /// When one does not start; none is left running then.
    pub fn start(installed: &Installed, specs: &[Spec]) -> Result<Self> {
        let folder = new_folder();
        make_folder(&folder, 0o711)?;
        let guard = match Guard::watch(&folder) {
            Ok(guard) => guard,
            Err(error) => {
                remove_folder(&folder)?;
                return Err(error);
            }
        };
        let mut fleet = Self {
            folder,
            servers: Vec::new(),
            mysql: Vec::new(),
            guard: Some(guard),
        };
        // Returning early drops the fleet, which stops those that did start.
        let folder = &fleet.folder;
        ready::side_by_side(specs, &mut fleet.servers, |spec| {
            let mut server = Server::create(spec, folder, &installed.cache, installed.account)?;
            server.start().map(|()| server)
        })?;
        Ok(fleet)
    }

    /// Makes and starts a streaming standby of a running server.
    ///
    /// # Errors
    /// When there is no such server, or the standby does not start.
    pub fn add_standby(&mut self, primary: &str, name: &str) -> Result<()> {
        let mut standby = self.server(primary)?.standby(name, &self.folder)?;
        standby.start()?;
        self.servers.push(standby);
        Ok(())
    }

    /// The server of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn server(&self, name: &str) -> Result<&Server> {
        self.servers
            .iter()
            .find(|server| server.name() == name)
            .ok_or_else(|| unknown(name))
    }

    /// The server of that name, to stop or restart it.
    ///
    /// # Errors
    /// When there is none.
    pub fn server_mut(&mut self, name: &str) -> Result<&mut Server> {
        self.servers
            .iter_mut()
            .find(|server| server.name() == name)
            .ok_or_else(|| unknown(name))
    }

    /// All servers, in the order of their specifications.
    #[must_use]
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// The servers that speak MySQL's protocol.
    #[must_use]
    pub fn mysql(&self) -> &[MysqlServer] {
        &self.mysql
    }

    /// The server of that name that speaks MySQL's protocol, to stop or restart it.
    pub fn mysql_mut(&mut self, name: &str) -> Option<&mut MysqlServer> {
        self.mysql.iter_mut().find(|server| server.name() == name)
    }

    /// The folder of all servers.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Stops all servers and removes their folder.
    ///
    /// # Errors
    /// When a server does not stop by request; it was ended by force then.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    /// Leaves the servers running when this process ends.
    #[must_use]
    pub fn detach(mut self) -> PathBuf {
        if let Some(guard) = self.guard.take() {
            guard.dismiss();
        }
        self.servers.clear();
        self.mysql.clear();
        std::mem::take(&mut self.folder)
    }

    fn end(&mut self) -> Result<()> {
        let results: Vec<Result<()>> = thread::scope(|scope| {
            let threads: Vec<_> = self
                .servers
                .drain(..)
                .map(|mut server| scope.spawn(move || server.stop(StopMode::Fast)))
                .collect();
            let mysql: Vec<_> = self
                .mysql
                .drain(..)
                .map(|mut server| scope.spawn(move || server.stop()))
                .collect();
            threads
                .into_iter()
                .chain(mysql)
                .map(|thread| thread.join().unwrap_or(Ok(())))
                .collect()
        });
        let Some(guard) = self.guard.take() else {
            return Ok(());
        };
        let stopped: Result<()> = results.into_iter().collect();
        let removed = stopped.and_then(|()| remove_folder(&self.folder));
        // Whatever would not go by request, the guard ends by force.
        if removed.is_ok() {
            guard.dismiss()
        } else {
            guard.release()
        }
        removed
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("while stopping the servers: {error}");
        }
    }
}

/// Stops the servers of a folder that another process started and left running.
///
/// # Errors
/// When `folder` is no folder of servers, or its guard cannot be started.
pub fn stop_left_running(folder: &Path) -> Result<()> {
    let is_ours = folder.parent() == Some(&place())
        && folder
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
    if !is_ours {
        return Err(Failure::new(format!(
            "{} is no folder of servers",
            folder.display()
        )));
    }
    if folder.exists() {
        Guard::watch(folder)?.release();
    }
    if folder.exists() {
        return Err(Failure::new(format!(
            "{} could not be removed",
            folder.display()
        )));
    }
    Ok(())
}

fn place() -> PathBuf {
    if fs::metadata(PLACE).is_ok_and(|found| found.is_dir()) {
        PathBuf::from(PLACE)
    } else {
        env::temp_dir()
    }
}

fn new_folder() -> PathBuf {
    let time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.subsec_nanos());
    place().join(format!("{PREFIX}{}-{time:08x}", process::id()))
}

fn unknown(name: &str) -> Failure {
    Failure::new(format!("there is no server {name}"))
}
