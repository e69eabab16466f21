//! One private MySQL or MariaDB server on the loopback, with a folder of its own, a row log and global transaction ids.

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::account::Account;
use super::flavor::Flavor;
use super::ready::{self, PATIENCE};
use super::server::{Durability, make_folder};
use super::{Installed, mysql_install, port};
use crate::failure::{Context, Failure, Result};
use crate::process::{capture, run};

/// How often a start is tried where the port was taken meanwhile.
const START_ATTEMPTS: u32 = 5;

/// The user that tests come as, and his password.
const USER: &str = "crossfade";

/// The database that a server begins with.
const DATABASE: &str = "crossfade_test";

/// What a server is to be.
#[derive(Clone, Debug)]
pub struct MysqlSpec {
    /// Its name, and its folder's.
    pub name: String,
    /// Which program.
    pub flavor: Flavor,
    /// Its number among servers that replicate from each other.
    pub number: u32,
    /// Further options, which win over the others.
    pub settings: Vec<String>,
}

impl MysqlSpec {
    /// One of a flavor, under its name.
    #[must_use]
    pub fn of(flavor: Flavor) -> Self {
        Self {
            name: flavor.name().to_owned(),
            flavor,
            number: 1,
            settings: Vec::new(),
        }
    }
}

/// A server, running or stopped.
#[derive(Debug)]
pub struct MysqlServer {
    name: String,
    flavor: Flavor,
    /// Its number among the servers that replicate from each other.
    number: u32,
    more: Vec<String>,
    folder: PathBuf,
    places: Vec<String>,
    program: PathBuf,
    port: u16,
    account: Account,
    child: Option<Child>,
}

impl MysqlServer {
    /// Makes the server's folder below `fleet`, its data a copy of the flavor's template; does not start it.
    ///
    /// # Errors
    /// When a folder or the data cannot be made.
    pub fn create(spec: &MysqlSpec, fleet: &Path, installed: &Installed) -> Result<Self> {
        let flavor = spec.flavor;
        let folder = fleet.join(&spec.name);
        make_folder(&folder, 0o711)?;
        let temporary = folder.join("tmp");
        make_folder(&temporary, 0o700)?;
        installed.account.own(&temporary)?;
        let server = Self {
            name: spec.name.clone(),
            flavor,
            number: spec.number,
            more: spec.settings.clone(),
            places: mysql_install::places(flavor, &installed.cache),
            program: flavor.program(&installed.cache),
            port: port::free()?,
            account: installed.account,
            folder,
            child: None,
        };
        capture(
            Command::new("cp")
                .args(["-a", "--reflink=auto", "--sparse=always"])
                .arg(flavor.template(&installed.cache))
                .arg(server.data()),
        )?;
        let init = server.folder.join("init.sql");
        fs::write(&init, server.users()).context(|| format!("cannot write {}", init.display()))?;
        server.account.own(&init)?;
        Ok(server)
    }

    /// Run by the server itself before it lets anybody in, at each start.
    fn users(&self) -> String {
        let identified = if self.flavor.is_mysql() {
            format!("IDENTIFIED WITH caching_sha2_password BY '{USER}'")
        } else {
            format!("IDENTIFIED BY '{USER}'")
        };
        format!(
            "CREATE USER IF NOT EXISTS '{USER}'@'127.0.0.1' {identified};\n\
             GRANT ALL ON *.* TO '{USER}'@'127.0.0.1' WITH GRANT OPTION;\n\
             CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4;\n"
        )
    }

    /// Starts the server and waits until it takes connections.
    ///
    /// # Errors
    /// When it ends by itself or takes too long; the message shows the end of its log.
    pub fn start(&mut self, durability: Durability) -> Result<()> {
        for attempt in 1.. {
            let Err(error) = self.start_once(durability) else {
                return Ok(());
            };
            let log = fs::read(self.log()).unwrap_or_default();
            let said = String::from_utf8_lossy(&log);
            if attempt == START_ATTEMPTS || !said.contains("Address already in use") {
                let lines: Vec<&str> = said.lines().collect();
                let last = lines[lines.len().saturating_sub(15)..].join("\n");
                return Err(Failure::new(format!("{error}\n{last}")));
            }
            self.port = port::free()?;
        }
        Ok(())
    }

    fn start_once(&mut self, durability: Durability) -> Result<()> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())
            .context(|| format!("cannot open {}", self.log().display()))?;
        let errors = log.try_clone().context(|| "cannot use the log twice")?;
        let child = self
            .account
            .detached_command(&self.program)
            .args(&self.places)
            .args(self.settings(durability))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .context(|| format!("cannot start {}", self.flavor))?;
        self.wait_ready(child)
    }

    fn settings(&self, durability: Durability) -> Vec<String> {
        let data = self.data();
        let flush = u8::from(durability == Durability::Durable);
        let mut settings = vec![
            format!("--datadir={}", data.display()),
            format!("--port={}", self.port),
            format!("--socket={}", data.join("socket").display()),
            format!("--pid-file={}", data.join("mysqld.pid").display()),
            // a server of MariaDB that starts removes what others have in a folder that they share
            format!("--tmpdir={}", self.folder.join("tmp").display()),
            format!("--init-file={}", self.folder.join("init.sql").display()),
            format!("--innodb-flush-log-at-trx-commit={flush}"),
            format!("--sync-binlog={flush}"),
            format!("--server-id={}", self.number),
        ];
        let fixed: &[&str] = &[
            "--bind-address=127.0.0.1",
            "--log-bin=binlog",
            "--binlog-format=ROW",
            "--binlog-row-image=FULL",
            "--binlog-row-metadata=FULL",
            "--local-infile=ON",
            "--skip-name-resolve",
            "--max-connections=200",
            "--innodb-buffer-pool-size=64M",
            "--innodb-log-buffer-size=8M",
            "--table-open-cache=400",
            "--performance-schema=OFF",
        ];
        settings.extend(fixed.iter().map(|&word| word.to_owned()));
        let own: &[&str] = if self.flavor.is_mysql() {
            &[
                "--gtid-mode=ON",
                "--enforce-gtid-consistency=ON",
                "--mysqlx=OFF",
                "--innodb-redo-log-capacity=64M",
            ]
        } else {
            &[
                "--gtid-strict-mode=ON",
                "--log-slave-updates=ON",
                "--innodb-log-file-size=64M",
            ]
        };
        settings.extend(own.iter().map(|&word| word.to_owned()));
        settings.extend(self.more.iter().cloned());
        settings
    }

    /// The server greets whoever connects once it is ready (MySQL documentation, "Connection Phase").
    fn wait_ready(&mut self, child: Child) -> Result<()> {
        let ready = |pid| self.pid() == Some(pid) && self.greets();
        let child = ready::wait(child, self.flavor.name(), ready)?;
        self.child = Some(child);
        Ok(())
    }

    fn greets(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) else {
            return false;
        };
        let _unset = stream.set_read_timeout(Some(Duration::from_secs(5)));
        stream.read_exact(&mut [0; 5]).is_ok()
    }

    /// Stops the server if it runs.
    ///
    /// # Errors
    /// When it does not stop in time.
    pub fn stop(&mut self) -> Result<()> {
        let began = Instant::now();
        if let Some(pid) = self.pid() {
            run(self
                .account
                .command("kill")
                .args(["-TERM", &pid.to_string()]))?;
            while self.pid().is_some() && !self.has_ended() {
                if began.elapsed() > PATIENCE {
                    return Err(Failure::new(format!("{} does not stop", self.flavor)));
                }
                sleep(Duration::from_millis(20));
            }
        }
        self.reap()
    }

    /// Kills the server as `kill -9` does, with no chance to write anything.
    ///
    /// # Errors
    /// When the server does not run or may not be killed.
    pub fn kill(&mut self) -> Result<()> {
        let pid = self
            .pid()
            .ok_or_else(|| Failure::new(format!("{} does not run", self.flavor)))?;
        run(self
            .account
            .command("kill")
            .args(["-KILL", &pid.to_string()]))?;
        self.reap()
    }

    fn reap(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child
                .wait()
                .context(|| format!("cannot wait for {}", self.flavor))?;
        }
        Ok(())
    }

    /// With a further option, from the next start on.
    pub fn set(&mut self, option: &str) {
        self.more.push(option.to_owned());
    }

    /// The statements by which this server becomes a replica of another, and takes all that is in its log.
    #[must_use]
    pub fn replicate(&self, from: &MysqlServer) -> Vec<String> {
        let port = from.port;
        if self.flavor.is_mysql() {
            vec![
                "RESET BINARY LOGS AND GTIDS".to_owned(),
                format!(
                    "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port}, SOURCE_USER = '{USER}', \
                     SOURCE_PASSWORD = '{USER}', SOURCE_AUTO_POSITION = 1, SOURCE_CONNECT_RETRY = 1, GET_SOURCE_PUBLIC_KEY = 1"
                ),
                "START REPLICA".to_owned(),
            ]
        } else {
            vec![
                "RESET MASTER".to_owned(),
                "SET GLOBAL gtid_slave_pos = ''".to_owned(),
                format!(
                    "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, MASTER_USER = '{USER}', \
                     MASTER_PASSWORD = '{USER}', MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1"
                ),
                "START SLAVE".to_owned(),
            ]
        }
    }

    fn has_ended(&mut self) -> bool {
        self.child
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(Some(_))))
    }

    /// The running server's process, found by its own file and checked to be this server's.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        let text = fs::read_to_string(self.data().join("mysqld.pid")).ok()?;
        let pid: u32 = text.trim().parse().ok()?;
        let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let own = format!("--datadir={}", self.data().display());
        words
            .split(|byte| *byte == 0)
            .any(|word| word == own.as_bytes())
            .then_some(pid)
    }

    /// The URL of a user with all rights, in a database of the tests.
    #[must_use]
    pub fn url(&self) -> String {
        format!("mysql://{USER}:{USER}@127.0.0.1:{}/{DATABASE}", self.port)
    }

    /// Its name among the servers of its fleet.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What server it is.
    #[must_use]
    pub fn flavor(&self) -> Flavor {
        self.flavor
    }

    /// The TCP port on the loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The server's log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("log")
    }
}
