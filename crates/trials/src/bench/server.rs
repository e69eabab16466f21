//! The two PostgreSQL servers of the benchmarks, and programs that work on them.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};

/// The server that rows come from; superuser's URL, ending in `/postgres`.
pub const SOURCE_VARIABLE: &str = "CROSSFADE_BENCH_SOURCE";
/// The server that they go to.
pub const TARGET_VARIABLE: &str = "CROSSFADE_BENCH_TARGET";
/// The folder of PostgreSQL's programs.
pub const PROGRAMS_VARIABLE: &str = "CROSSFADE_BENCH_PROGRAMS";
/// The program PgBouncer.
pub const PGBOUNCER_VARIABLE: &str = "CROSSFADE_BENCH_PGBOUNCER";
/// The program `data-diff`, where it could be installed.
pub const DATA_DIFF_VARIABLE: &str = "CROSSFADE_RIVAL_DATA_DIFF";
/// The program `reladiff`, where it could be installed.
pub const RELADIFF_VARIABLE: &str = "CROSSFADE_RIVAL_RELADIFF";
/// A `pgcopydb` that has `compare data`.
pub const PGCOPYDB_VARIABLE: &str = "CROSSFADE_RIVAL_PGCOPYDB";

/// One database of a server.
#[derive(Debug, Clone)]
pub struct Place {
    server: String,
    database: String,
}

impl Place {
    /// A database of the source's server.
    pub fn source(database: &str) -> Self {
        Self::of(SOURCE_VARIABLE, database)
    }

    /// A database of the target's server.
    pub fn target(database: &str) -> Self {
        Self::of(TARGET_VARIABLE, database)
    }

    fn of(variable: &str, database: &str) -> Self {
        let url = std::env::var(variable)
            .unwrap_or_else(|_| panic!("{variable} is not set: `cargo xtask bench` sets it"));
        let server = url.strip_suffix("/postgres").unwrap_or(&url).to_owned();
        Self {
            server,
            database: database.to_owned(),
        }
    }

    pub fn url(&self) -> String {
        format!("{}/{}", self.server, self.database)
    }

    /// The server's port.
    pub fn port(&self) -> u16 {
        let port = self.server.rsplit(':').next();
        port.and_then(|port| port.parse().ok())
            .unwrap_or_else(|| panic!("no port in {}", self.server))
    }

    /// A session of its own.
    pub fn connect(&self) -> Client {
        Client::connect(&self.url(), NoTls)
            .unwrap_or_else(|error| panic!("cannot connect to {}: {error}", self.url()))
    }

    fn administrator(&self) -> Client {
        Self {
            database: "postgres".to_owned(),
            ..self.clone()
        }
        .connect()
    }

    /// Runs statements, each in a transaction of its own.
    pub fn run(&self, statements: &[&str]) {
        let mut client = self.connect();
        for sql in statements {
            execute(&mut client, sql);
        }
    }

    /// The first column of the first row, as text.
    pub fn ask(&self, sql: &str) -> String {
        let rows = self
            .connect()
            .simple_query(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        rows.iter()
            .find_map(|message| match message {
                postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("").to_owned()),
                _ => None,
            })
            .unwrap_or_else(|| panic!("no row from {sql}"))
    }

    /// Removes the database if it is there.
    pub fn drop(&self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.database);
        execute(&mut self.administrator(), &sql);
    }

    /// Makes the database anew, as a copy of `template` where one is given.
    pub fn create(&self, template: Option<&Place>) {
        self.drop();
        let sql = match template {
            None => format!("CREATE DATABASE {}", self.database),
            Some(template) => {
                format!(
                    "CREATE DATABASE {} TEMPLATE {}",
                    self.database, template.database
                )
            }
        };
        execute(&mut self.administrator(), &sql);
    }

    /// Gives the database another name.
    pub fn rename(&self, to: &Place) {
        to.drop();
        let sql = format!("ALTER DATABASE {} RENAME TO {}", self.database, to.database);
        execute(&mut self.administrator(), &sql);
    }

    /// Waits until `sql` gives true; asks often, on one session.
    pub fn wait_until(&self, sql: &str, limit: Duration) {
        let came = self.wait_until_or(sql, limit, || false);
        assert!(came, "not true after {limit:?}: {sql}");
    }

    /// The same; returns false once the time is over or `vain` says that there is nothing left to wait for.
    pub fn wait_until_or(
        &self,
        sql: &str,
        limit: Duration,
        mut vain: impl FnMut() -> bool,
    ) -> bool {
        let mut client = self.connect();
        let statement = client
            .prepare(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let begun = Instant::now();
        loop {
            let row = client
                .query_opt(&statement, &[])
                .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            if row.is_some_and(|row| row.get::<_, Option<bool>>(0) == Some(true)) {
                return true;
            }
            if begun.elapsed() > limit || vain() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Runs one statement.
pub fn execute(client: &mut Client, sql: &str) {
    client
        .batch_execute(sql)
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// Writes out what both servers have in memory, so that no measurement pays for an earlier one.
pub fn settle() {
    for place in [Place::source("postgres"), Place::target("postgres")] {
        place.run(&["CHECKPOINT"]);
    }
}

/// A program of PostgreSQL's, from the servers' own version.
pub fn program(name: &str) -> PathBuf {
    let folder = std::env::var(PROGRAMS_VARIABLE)
        .unwrap_or_else(|_| panic!("{PROGRAMS_VARIABLE} is not set: `cargo xtask bench` sets it"));
    PathBuf::from(folder).join(name)
}

/// Runs a command to its end, silently.
pub fn run(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        // libpq's variables of whoever runs the benchmarks
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
