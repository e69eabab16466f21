//! One private PostgreSQL server on the loopback, with a folder of its own.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::account::Account;
use super::port;
use super::ready::{self, PATIENCE};
use super::tls;
use super::version::Version;
use crate::failure::{Context, Failure, Result};
use crate::process::{capture, run};

/// How often a start is tried: the port may have been taken meanwhile, or the processes of a killed
/// server may not all be gone yet.
const START_ATTEMPTS: u32 = 20;

/// What every server is told; a specification's own settings come after it and win.
const SETTINGS: &str = "\
listen_addresses = '127.0.0.1'
wal_level = logical
max_wal_senders = 40
max_replication_slots = 40
max_connections = 200
max_prepared_transactions = 40
wal_retrieve_retry_interval = '100ms'
log_line_prefix = '%m [%p] %a '
";

/// Whether a server may lose what it has committed when its machine dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// `fsync = off`: for tests that kill no server.
    Fast,
    /// As PostgreSQL ships it: for everything that kills servers or measures them.
    Durable,
}

/// How clients reach a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody on the loopback is who they say they are.
    Trust,
    /// Only TLS, with a password, and for one user a client certificate too.
    Tls,
}

/// What server is wanted.
#[derive(Clone, Debug)]
pub struct Spec {
    /// A short name, unique among the servers of one folder: `pg15a`.
    pub name: String,
    /// The major version.
    pub version: Version,
    /// Whether commits survive a crash of the machine.
    pub durability: Durability,
    /// How clients are let in.
    pub access: Access,
    /// Further settings, one `name = value` each.
    pub settings: Vec<String>,
}

/// How a server is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// Sessions are ended, then a checkpoint is written.
    Fast,
    /// As a crash: recovery follows at the next start.
    Immediate,
}

/// A server, running or stopped.
#[derive(Debug)]
pub struct Server {
    name: String,
    folder: PathBuf,
    bin: PathBuf,
    port: u16,
    access: Access,
    account: Account,
    /// The postmaster, while this process is its parent and has not waited for its end.
    child: Option<Child>,
}

impl Server {
    /// Makes the server's folder, files and (for TLS) certificates below `fleet`; does not start it.
    ///
    /// # Errors
    /// When a folder, the data or a certificate cannot be made.
    pub fn create(spec: &Spec, fleet: &Path, cache: &Path, account: Account) -> Result<Self> {
        let folder = fleet.join(&spec.name);
        let bin = spec.version.bin(cache);
        make_folder(&folder, 0o711)?;
        let server = Self {
            name: spec.name.clone(),
            folder,
            bin,
            port: port::free()?,
            access: spec.access,
            account,
            child: None,
        };
        make_folder(&server.data(), 0o700)?;
        account.own(&server.data())?;
        server.initialize(spec)?;
        Ok(server)
    }

    /// Makes a streaming standby of this running server below `fleet`, known to it as `name`; does not start it.
    ///
    /// # Errors
    /// When the base backup fails.
    pub(super) fn standby(&self, name: &str, fleet: &Path) -> Result<Self> {
        let folder = fleet.join(name);
        make_folder(&folder, 0o711)?;
        let standby = Self {
            name: name.to_owned(),
            folder,
            bin: self.bin.clone(),
            port: port::free()?,
            access: self.access,
            account: self.account,
            child: None,
        };
        make_folder(&standby.data(), 0o700)?;
        self.account.own(&standby.data())?;
        let mut backup = self.account.command(self.bin.join("pg_basebackup"));
        backup
            .args(["-R", "-X", "stream", "-c", "fast", "--no-sync", "-d"])
            .arg(format!("{}?application_name={name}", self.url()))
            .arg("-D")
            .arg(standby.data());
        capture(&mut backup)?;
        let settings = standby.data().join("crossfade.conf");
        let text = fs::read_to_string(&settings)
            .context(|| format!("cannot read {}", settings.display()))?;
        let own = standby.data();
        let text = format!("{text}unix_socket_directories = '{}'\n", own.display());
        standby.write_private(&settings, &text)?;
        Ok(standby)
    }

    fn initialize(&self, spec: &Spec) -> Result<()> {
        let mut initdb = self.account.command(self.bin.join("initdb"));
        initdb.arg("-D").arg(self.data()).args([
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]);
        match spec.access {
            Access::Trust => initdb.args(["-A", "trust"]),
            Access::Tls => {
                let file = self.folder.join("password");
                self.write_private(&file, &tls::new_password()?)?;
                initdb.args(["-A", "scram-sha-256", "--pwfile"]).arg(file)
            }
        };
        capture(&mut initdb)?;

        let mut settings = SETTINGS.to_owned();
        settings.push_str(&format!(
            "unix_socket_directories = '{}'\n",
            self.data().display()
        ));
        if spec.durability == Durability::Fast {
            settings.push_str("fsync = off\nfull_page_writes = off\n");
        }
        if spec.access == Access::Tls {
            tls::make_certificates(&self.tls_folder())?;
            settings.push_str(&tls::configure(self)?);
        }
        for line in &spec.settings {
            settings.push_str(line);
            settings.push('\n');
        }
        self.write_private(&self.data().join("crossfade.conf"), &settings)?;
        let main = self.data().join("postgresql.conf");
        let text =
            fs::read_to_string(&main).context(|| format!("cannot read {}", main.display()))?;
        // The port has a file of its own, because a new one may have to be chosen at a start.
        fs::write(
            &main,
            format!("{text}\ninclude 'crossfade.conf'\ninclude 'port.conf'\n"),
        )
        .context(|| format!("cannot write {}", main.display()))
    }

    /// Starts the server and waits until it takes connections.
    ///
    /// # Errors
    /// When it ends by itself or takes too long; the message shows the end of its log.
    pub fn start(&mut self) -> Result<()> {
        let mut failure = Failure::new("never tried");
        for attempt in 0..START_ATTEMPTS {
            self.write_private(
                &self.data().join("port.conf"),
                &format!("port = {}\n", self.port),
            )?;
            let log_begins = fs::metadata(self.log()).map_or(0, |found| found.len());
            match self.start_once() {
                Ok(()) => return self.finish_start(),
                Err(error) => failure = error,
            }
            let said = self.log_since(log_begins);
            if said.contains("Address already in use") {
                self.port = port::free()?;
            } else if !said.contains("is still in use") && !said.contains("already exists") {
                return Err(Failure::new(format!("{failure}\n{}", last_lines(&said))));
            }
            sleep(Duration::from_millis(100) * attempt.min(5));
        }
        Err(failure)
    }

    fn start_once(&mut self) -> Result<()> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())
            .context(|| format!("cannot open {}", self.log().display()))?;
        let errors = log.try_clone().context(|| "cannot use the log twice")?;
        let child = self
            .account
            .detached_command(self.bin.join("postgres"))
            .arg("-D")
            .arg(self.data())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .context(|| format!("cannot start {}", self.name))?;
        let child = ready::wait(child, &self.name, |pid| self.is_ready(pid))?;
        self.child = Some(child);
        Ok(())
    }

    /// The eighth line of the lock file says `ready` once the server of that process takes connections.
    fn is_ready(&self, pid: u32) -> bool {
        let lines = self.lock_file();
        lines.first().is_some_and(|line| *line == pid.to_string())
            && lines.get(7).is_some_and(|line| line == "ready")
    }

    /// A TLS server gets its users at its first start.
    fn finish_start(&self) -> Result<()> {
        let marker = self.folder.join("users-made");
        if self.access == Access::Tls && !marker.exists() {
            self.query(tls::MAKE_USERS)?;
            fs::write(&marker, "").context(|| "cannot note that the users were made")?;
        }
        Ok(())
    }

    /// Stops the server if it runs.
    ///
    /// # Errors
    /// When it does not stop in time.
    pub fn stop(&mut self, mode: StopMode) -> Result<()> {
        if self.pid().is_some() {
            let mode = if mode == StopMode::Fast {
                "fast"
            } else {
                "immediate"
            };
            let seconds = PATIENCE.as_secs().to_string();
            let mut command = self.account.command(self.bin.join("pg_ctl"));
            command
                .args(["stop", "-w", "-s", "-m", mode, "-t", &seconds, "-D"])
                .arg(self.data());
            capture(&mut command).context(|| format!("cannot stop {}", self.name))?;
        }
        self.reap()
    }

    /// Kills the postmaster as `kill -9` does, with no chance to write anything; the processes that it
    /// leaves behind notice and end by themselves.
    ///
    /// # Errors
    /// When the server does not run or may not be killed.
    pub fn kill(&mut self) -> Result<()> {
        let pid = self
            .pid()
            .ok_or_else(|| Failure::new(format!("{} does not run", self.name)))?;
        run(self.account.command(self.bin.join("pg_ctl")).args([
            "kill",
            "KILL",
            &pid.to_string(),
        ]))?;
        self.reap()
    }

    /// Waits for the end of our child: a process that nobody waited for would still look alive to
    /// the next start.
    fn reap(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child
                .wait()
                .context(|| format!("cannot wait for {}", self.name))?;
        }
        Ok(())
    }

    /// Runs SQL as the superuser and gives what it printed, one line a row, columns parted by `|`.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses the SQL.
    pub fn query(&self, sql: &str) -> Result<String> {
        let mut psql = self.account.command(self.bin.join("psql"));
        psql.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            &self.url(),
            "-c",
            sql,
        ]);
        if self.access == Access::Tls {
            psql.env("PGSSLMODE", "require")
                .env("PGSSLCERT", "/dev/null/none");
        }
        capture(&mut psql)
            .context(|| self.name.clone())
            .map(|printed| printed.trim_end().to_owned())
    }

    /// The running postmaster's process, found by the lock file and checked to be this server's.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        let pid: u32 = self.lock_file().first()?.parse().ok()?;
        let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let data = self.data();
        let is_ours = words
            .split(|byte| *byte == 0)
            .any(|word| word == data.as_os_str().as_encoded_bytes());
        is_ours.then_some(pid)
    }

    fn lock_file(&self) -> Vec<String> {
        let text = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    /// The superuser's URL. It holds the password where one is needed, and never says `sslmode`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_as("postgres")
    }

    /// The URL of `user`; on a TLS server all users have the superuser's password.
    #[must_use]
    pub fn url_as(&self, user: &str) -> String {
        match self.access {
            Access::Trust => format!("postgres://{user}@127.0.0.1:{}/postgres", self.port),
            Access::Tls => format!(
                "postgres://{user}:{}@localhost:{}/postgres",
                self.password(),
                self.port
            ),
        }
    }

    /// The password of a TLS server's users; empty on others.
    #[must_use]
    pub fn password(&self) -> String {
        fs::read_to_string(self.folder.join("password")).unwrap_or_default()
    }

    /// The specification's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The TCP port on the loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How clients are let in.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// The folder of the version's programs.
    #[must_use]
    pub fn bin(&self) -> &Path {
        &self.bin
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

    /// Where a TLS server's certificates for clients lie.
    #[must_use]
    pub fn tls_folder(&self) -> PathBuf {
        self.folder.join("tls")
    }

    /// Writes a file that only the server's account may read.
    pub(super) fn write_private(&self, path: &Path, text: &str) -> Result<()> {
        let what = || format!("cannot write {}", path.display());
        File::create(path).context(what)?;
        fs::set_permissions(path, Permissions::from_mode(0o600)).context(what)?;
        fs::write(path, text).context(what)?;
        self.account.own(path)
    }

    fn log_since(&self, begin: u64) -> String {
        let bytes = fs::read(self.log()).unwrap_or_default();
        let begin = usize::try_from(begin)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        String::from_utf8_lossy(&bytes[begin..]).into_owned()
    }
}

/// Makes a folder with exactly this mode, whatever the umask.
pub(super) fn make_folder(path: &Path, mode: u32) -> Result<()> {
    let what = || format!("cannot make {}", path.display());
    fs::DirBuilder::new()
        .mode(mode)
        .create(path)
        .context(what)?;
    fs::set_permissions(path, Permissions::from_mode(mode)).context(what)
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// Whether `program` of a server's folder runs and says the version that it should have.
///
/// # Errors
/// When it does not run or is of another version.
pub(super) fn check_program(bin: &Path, version: Version) -> Result<()> {
    let said = capture(Command::new(bin.join("postgres")).arg("--version"))?;
    let expected = format!("postgres (PostgreSQL) {version}");
    if said.starts_with(&expected) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} says {said:?}, expected {expected:?}",
        bin.display()
    )))
}
