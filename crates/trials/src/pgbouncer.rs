//! A PgBouncer of a trial's own, in transaction mode, before one database.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use postgres::SimpleQueryMessage;
use rustix::process::{Pid, Signal, kill_process};

use crate::patience::wait_until;

/// The program's place.
pub const VARIABLE: &str = "CROSSFADE_TEST_PGBOUNCER";

/// The user that it runs as where the trial is root, which it refuses to be: whom Debian's package of PostgreSQL makes.
const USER: &str = "postgres";

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running PgBouncer. Dropping it kills it.
#[derive(Debug)]
pub struct PgBouncer {
    program: String,
    folder: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl PgBouncer {
    /// Starts one whose entry `shop` leads to `database` on a server of this machine. `program` is where it is installed.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(program: &str, server_port: u16, database: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("crossfade-pgbouncer-")
            .tempdir_in("/var/tmp")
            .expect("a folder can be made in /var/tmp");
        let port = free_port();
        let ini = format!(
            "[databases]\nshop = host=127.0.0.1 port={server_port} dbname={database} pool_size=8\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = users.txt\n\
             admin_users = admin\npool_mode = transaction\nserver_login_retry = 1\nmax_client_conn = 200\n"
        );
        for (file, text) in [
            ("pgbouncer.ini", ini.as_str()),
            ("users.txt", "\"admin\" \"\"\n\"postgres\" \"\"\n"),
        ] {
            fs::write(folder.path().join(file), text).expect("its files can be written");
        }
        if rustix::process::getuid().is_root() {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).expect("mode");
            let owned = Command::new("chown")
                .args(["-R", USER])
                .arg(folder.path())
                .status();
            assert!(owned.is_ok_and(|status| status.success()), "chown {USER}");
        }
        let child = launch(program, folder.path());
        let bouncer = Self {
            program: program.to_owned(),
            folder,
            port,
            child,
        };
        bouncer.wait();
        bouncer
    }

    fn wait(&self) {
        wait_until("PgBouncer answers", PATIENCE, || {
            crate::postgres::connect(&self.url(), None).is_ok()
        });
    }

    /// `kill -9`.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it can be waited for");
    }

    /// Starts it again as its configuration is now; returns once its console answers.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&mut self) {
        self.child = launch(&self.program, self.folder.path());
        wait_until("PgBouncer's console answers", PATIENCE, || {
            crate::postgres::connect(&self.admin(), None).is_ok()
        });
    }

    /// Stops the process where it stands, or lets it go on.
    ///
    /// # Panics
    /// When it has ended.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { Signal::STOP } else { Signal::CONT };
        kill_process(Pid::from_child(&self.child), signal).expect("it can be signalled");
    }

    /// Its console.
    #[must_use]
    pub fn admin(&self) -> String {
        format!("postgres://admin@127.0.0.1:{}/pgbouncer", self.port)
    }

    /// Where applications connect.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/shop", self.port)
    }

    /// The `[route]` of a migration file.
    #[must_use]
    pub fn route(&self) -> String {
        self.route_by(&self.admin())
    }

    /// The same with a console that is reached by another way.
    #[must_use]
    pub fn route_by(&self, admin: &str) -> String {
        format!(
            "[route]\nkind = \"pgbouncer\"\nadmin = \"{}\"\ndatabase = \"shop\"\nconfig = \"{}\"\n",
            admin,
            self.ini().display()
        )
    }

    /// Its configuration.
    #[must_use]
    pub fn ini(&self) -> PathBuf {
        self.folder.path().join("pgbouncer.ini")
    }

    /// Whether its entry holds transactions, or is about to.
    ///
    /// # Panics
    /// When the console does not say.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        let mut client =
            crate::postgres::connect(&self.admin(), None).expect("the console answers");
        let shown = client
            .simple_query("SHOW DATABASES")
            .expect("it shows its entries");
        shown.iter().any(|message| match message {
            SimpleQueryMessage::Row(row) => {
                row.get("name") == Some("shop") && row.get("paused") == Some("1")
            }
            _ => false,
        })
    }

    /// A command of the admin console.
    ///
    /// # Panics
    /// When it fails.
    pub fn console(&self, command: &str) {
        let mut client =
            crate::postgres::connect(&self.admin(), None).expect("the console answers");
        client
            .simple_query(command)
            .unwrap_or_else(|error| panic!("{command}: {error}"));
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // it may have ended by itself
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(program: &str, folder: &Path) -> Child {
    let mut command = Command::new("setpriv");
    if rustix::process::getuid().is_root() {
        command.args(["--reuid", USER, "--clear-groups"]);
    }
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .expect("its log can be made");
    command
        .args(["--pdeathsig", "KILL", program, "pgbouncer.ini"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a file can be shared"))
        .stderr(log)
        .spawn()
        .expect("PgBouncer can be started")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
    listener.local_addr().expect("it is bound").port()
}
