//! A PgBouncer of a trial's own, in transaction mode, before one database.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

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
        let mut command = if rustix::process::getuid().is_root() {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).expect("mode");
            let owned = Command::new("chown")
                .args(["-R", USER])
                .arg(folder.path())
                .status();
            assert!(owned.is_ok_and(|status| status.success()), "chown {USER}");
            let mut command = Command::new("setpriv");
            command.args([
                "--reuid",
                USER,
                "--clear-groups",
                "--pdeathsig",
                "KILL",
                program,
            ]);
            command
        } else {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", program]);
            command
        };
        let log = fs::File::create(folder.path().join("log")).expect("its log can be made");
        let child = command
            .arg("pgbouncer.ini")
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .expect("PgBouncer can be started");
        let bouncer = Self {
            folder,
            port,
            child,
        };
        wait_until("PgBouncer answers", PATIENCE, || {
            crate::postgres::connect(&bouncer.url(), None).is_ok()
        });
        bouncer
    }

    /// Where applications connect.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/shop", self.port)
    }

    /// The `[route]` of a migration file.
    #[must_use]
    pub fn route(&self) -> String {
        format!(
            "[route]\nkind = \"pgbouncer\"\nadmin = \"postgres://admin@127.0.0.1:{}/pgbouncer\"\ndatabase = \"shop\"\nconfig = \"{}\"\n",
            self.port,
            self.ini().display()
        )
    }

    /// Its configuration.
    #[must_use]
    pub fn ini(&self) -> PathBuf {
        self.folder.path().join("pgbouncer.ini")
    }

    /// A command of the admin console.
    ///
    /// # Panics
    /// When it fails.
    pub fn console(&self, command: &str) {
        let url = format!("postgres://admin@127.0.0.1:{}/pgbouncer", self.port);
        let mut client = crate::postgres::connect(&url, None).expect("the console answers");
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

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
    listener.local_addr().expect("it is bound").port()
}
