//! PgBouncer: its admin console pauses a database, its file says where the database leads.
//!
//! Facts that this rests on, from pgbouncer(1) and from watching it: the reply to PAUSE comes once no client of the database has a
//! server connection, which may be never; the connection that asked may go, the database stays paused. RELOAD answers alike whether
//! all of the file was loaded or not. KILL ends clients and pauses. A killed PgBouncer starts unpaused, with the file. So nothing is
//! believed but what SHOW shows afterwards.

mod check;
mod console;
mod hold;
mod ini;
mod state;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio_postgres::Config;

use crate::file::replace::{self, Staged, beside};
use crate::file::{FileRoute, io_error};
use crate::pgbouncer::console::{Console, quoted};
use crate::pgbouncer::hold::Hold;
use crate::pgbouncer::ini::Address;
use crate::pgbouncer::state::Shown;
use crate::{
    Destination, End, Ends, FileConfig, Paused, PgBouncerConfig, PgBouncerEntry, Route, RouteError,
    RouteErrorKind, RouteFinding, RouteState, Side, Traffic,
};

/// How often to look while something is waited for.
const LOOK: Duration = Duration::from_millis(2);

/// How long PgBouncer may take for what waits for no client.
const PATIENCE: Duration = Duration::from_secs(5);

/// A file that is longer is none of PgBouncer's, in bytes.
const LONGEST: u64 = 16 << 20;

/// How long a database that is not paused may be held for loading the file.
const QUIET: Duration = Duration::from_secs(1);

/// The route.
#[derive(Clone)]
pub(crate) struct PgBouncerRoute {
    admin: Config,
    label: String,
    database: String,
    reads_database: Option<String>,
    config: PathBuf,
    end_clients: bool,
    source: Address,
    target: Address,
    /// Remembers epochs, beside PgBouncer's file.
    memory: FileRoute,
    /// Sides that are written with the route itself, not taken from the migration.
    fixed: (bool, bool),
}

impl PgBouncerRoute {
    pub(crate) fn new(
        config: &PgBouncerConfig,
        migration: &str,
        ends: &Ends,
    ) -> Result<PgBouncerRoute, RouteError> {
        let usage = |what: &str, fix: &str| {
            RouteError::new(RouteErrorKind::Usage, "route.usage", "pgbouncer", what).fix(fix)
        };
        let admin: Config = config.admin.parse().map_err(|_| {
            // the parser's own words may show parts of the URL
            usage(
                "its `admin` cannot be read as a PostgreSQL URL",
                "write `admin = \"postgres://USER@HOST:PORT/pgbouncer\"`",
            )
        })?;
        if admin.get_dbname() != Some("pgbouncer") {
            return Err(usage(
                "its `admin` is not the console",
                "the console is the database `pgbouncer`: write `admin = \"postgres://USER@HOST:PORT/pgbouncer\"`",
            ));
        }
        let both = |side: Side, entry: &PgBouncerEntry| {
            address(entry, ends.of(side)).ok_or_else(|| {
                usage(
                    &format!("how PgBouncer reaches the {side} is not known"),
                    "write `host`, `port` and `dbname` in the route's `source` and `target`",
                )
            })
        };
        let (source, target) = (
            both(Side::Source, &config.source)?,
            both(Side::Target, &config.target)?,
        );
        if source == target {
            return Err(usage(
                "source and target look the same to PgBouncer",
                "write how PgBouncer reaches each in the route's `source` and `target`",
            ));
        }
        let path = std::fs::canonicalize(&config.config).unwrap_or_else(|_| config.config.clone());
        let memory = FileConfig {
            path: beside(&path, &format!(".crossfade-{migration}.json")),
        };
        Ok(PgBouncerRoute {
            label: format!("pgbouncer database {}", config.database),
            admin,
            database: config.database.clone(),
            reads_database: config.reads_database.clone(),
            end_clients: config.end_clients,
            source,
            target,
            memory: FileRoute::new(&memory, migration, ends),
            config: path,
            fixed: (
                config.source != PgBouncerEntry::default(),
                config.target != PgBouncerEntry::default(),
            ),
        })
    }

    fn error(
        &self,
        kind: RouteErrorKind,
        code: &'static str,
        what: impl Into<String>,
    ) -> RouteError {
        RouteError::new(kind, code, self.label.clone(), what)
    }

    async fn console(&self) -> Result<Console, RouteError> {
        Console::connect(&self.admin, &self.label).await
    }

    fn address(&self, side: Side) -> &Address {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    fn hold<'a>(&'a self, console: &'a Console, name: &'a str) -> Hold<'a> {
        Hold {
            route: self,
            console,
            name,
        }
    }

    /// Where a destination is for PgBouncer: as the route says, else as the destination says.
    fn wanted(&self, side: Side, to: &Destination) -> Address {
        let fixed = match side {
            Side::Source => self.fixed.0,
            Side::Target => self.fixed.1,
        };
        let known = self.address(side);
        if fixed || side != to.side {
            return known.clone();
        }
        Address {
            host: to.host.clone().unwrap_or_else(|| known.host.clone()),
            port: to.port.unwrap_or(known.port),
            dbname: to.database.clone().unwrap_or_else(|| known.dbname.clone()),
        }
    }

    /// Writes the entry. Whether an older switch asks, and the file's replacement, are one step for all programs.
    fn write(
        &self,
        name: &str,
        wanted: &Address,
        to: &Destination,
        traffic: &Traffic,
    ) -> Result<(), RouteError> {
        let io = |what: &str, error| io_error(&self.label, what, error);
        let _lock = replace::lock(&self.config).map_err(|e| io("its file cannot be locked", e))?;
        self.memory.point_now(to, traffic)?;
        let text = self.text()?;
        let new =
            ini::rewrite(&text, name, wanted).map_err(|problem| self.bad_entry(name, &problem))?;
        if new == text {
            return Ok(());
        }
        Staged::prepare(&self.config, new.as_bytes(), 0o640)
            .and_then(Staged::publish)
            .map_err(|e| io("its file cannot be replaced", e))
    }

    fn text(&self) -> Result<String, RouteError> {
        use std::io::Read;
        let mut text = String::new();
        std::fs::File::open(&self.config)
            .and_then(|file| file.take(LONGEST).read_to_string(&mut text))
            .map_err(|error| io_error(&self.label, "its file cannot be read", error))?;
        Ok(text)
    }

    fn bad_entry(&self, name: &str, problem: &ini::IniProblem) -> RouteError {
        let what = format!("{name} in {}: {problem}", self.config.display());
        self.error(RouteErrorKind::Unsupported, "route.pgbouncer_entry", what)
            .fix("give it one line of its own in [databases], such as `shop = host=… port=… dbname=…`")
    }

    /// Makes PgBouncer go by its file, and waits until it shows that it does.
    async fn load(
        &self,
        console: &Console,
        name: &str,
        wanted: &Address,
    ) -> Result<(), RouteError> {
        let shown = state::expected(console, name, &self.label).await?;
        if shown.address != *wanted {
            self.reload(console, name, wanted, &shown).await?;
        }
        // RELOAD marks the old connections by itself
        if state::unmarked(console, name, wanted).await? {
            console.run(&format!("RECONNECT {}", quoted(name))).await?;
        }
        self.until_reconnected(console, name).await
    }

    /// Loads the file while no server connection is in use, if that can be had soon: PgBouncer closes connections that are in the middle of
    /// their login, takes that for a server that refuses logins, and tells clients so.
    async fn reload(
        &self,
        console: &Console,
        name: &str,
        wanted: &Address,
        before: &Shown,
    ) -> Result<(), RouteError> {
        let hold = self.hold(console, name);
        let quiet = !before.paused
            && !check::session_pooling(console, name).await?
            && hold.pause(Instant::now(), QUIET, false).await.is_ok();
        let loaded = async {
            console.run("RELOAD").await?;
            self.until_loaded(console, name, wanted).await
        }
        .await;
        if quiet {
            hold.resume().await?;
        }
        loaded
    }

    async fn until_loaded(
        &self,
        console: &Console,
        name: &str,
        wanted: &Address,
    ) -> Result<(), RouteError> {
        let end = Instant::now() + PATIENCE;
        loop {
            let shown = state::expected(console, name, &self.label).await?;
            if shown.address == *wanted {
                return Ok(());
            }
            if Instant::now() > end {
                let what = format!(
                    "RELOAD was answered, but it still leads to {} and not to {wanted}",
                    shown.address
                );
                return Err(self
                    .error(RouteErrorKind::Failed, "route.pgbouncer_reload", what)
                    .fix("its log says why: an error in the file keeps what stands behind it from being loaded"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn until_reconnected(&self, console: &Console, name: &str) -> Result<(), RouteError> {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = state::outdated(console, name).await?;
            if left == 0 {
                return Ok(());
            }
            if Instant::now() > end {
                let who = state::holders(console, name).await?;
                let what = format!(
                    "{left} server connections still go where it led before, used by {who}"
                );
                return Err(self.error(RouteErrorKind::Busy, "route.pgbouncer_outdated", what));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&PgBouncerRoute) -> Result<T, RouteError> + Send + 'static,
    ) -> Result<T, RouteError> {
        let route = self.clone();
        match tokio::task::spawn_blocking(move || work(&route)).await {
            Ok(done) => done,
            Err(error) => Err(self
                .error(
                    RouteErrorKind::Failed,
                    "route.file",
                    "its file was not written",
                )
                .cause(error)),
        }
    }
}

fn address(entry: &PgBouncerEntry, end: &End) -> Option<Address> {
    Some(Address {
        host: entry.host.clone().or_else(|| end.host.clone())?,
        port: entry.port.or(end.port).unwrap_or(5432),
        dbname: entry.dbname.clone().or_else(|| end.database.clone())?,
    })
}

#[async_trait]
impl Route for PgBouncerRoute {
    fn kind(&self) -> &'static str {
        "pgbouncer"
    }

    fn label(&self) -> String {
        self.label.clone()
    }

    fn can(&self, traffic: &Traffic) -> bool {
        match traffic {
            Traffic::Writes => true,
            Traffic::Reads { percent } => {
                self.reads_database.is_some() && [0, 100].contains(percent)
            }
            Traffic::ReadsOfTenant(_) => false,
        }
    }

    async fn check(&self) -> Result<Vec<RouteFinding>, RouteError> {
        check::check(self).await
    }

    async fn pause(&self, epoch: u64, within: Duration) -> Result<Paused, RouteError> {
        let began = Instant::now();
        let console = self.console().await?;
        if !self.end_clients && check::session_pooling(&console, &self.database).await? {
            return Err(self
                .error(
                    RouteErrorKind::Unsupported,
                    "route.pgbouncer_session",
                    "pools sessions: it would wait for every client to disconnect",
                )
                .fix(check::SESSION_FIX));
        }
        self.memory.pause(epoch, within).await?;
        let held = self.hold(&console, &self.database);
        let paused = held.pause(began, within, self.end_clients).await;
        if paused.is_err() {
            self.memory.resume(epoch).await?;
        }
        paused
    }

    async fn point(&self, to: &Destination, traffic: &Traffic) -> Result<(), RouteError> {
        let (name, side) = match (traffic, &self.reads_database) {
            (Traffic::Writes, _) => (self.database.clone(), to.side),
            (Traffic::Reads { percent: 0 }, Some(name)) => (name.clone(), to.side.other()),
            (Traffic::Reads { percent: 100 }, Some(name)) => (name.clone(), to.side),
            _ => {
                return Err(self.error(
                    RouteErrorKind::Unsupported,
                    "route.traffic",
                    format!("cannot lead {traffic} by itself"),
                ));
            }
        };
        let wanted = self.wanted(side, to);
        {
            let (name, wanted, to, traffic) =
                (name.clone(), wanted.clone(), to.clone(), traffic.clone());
            self.beside(move |route| route.write(&name, &wanted, &to, &traffic))
                .await?;
        }
        let console = self.console().await?;
        self.load(&console, &name, &wanted).await
    }

    async fn resume(&self, epoch: u64) -> Result<(), RouteError> {
        self.memory.not_stale(epoch).await?;
        let console = self.console().await?;
        let shown = state::expected(&console, &self.database, &self.label).await?;
        if shown.paused {
            self.hold(&console, &self.database).resume().await?;
        }
        // last: clients wait for nothing that is only remembered
        self.memory.resume(epoch).await
    }

    async fn shows(&self) -> Result<RouteState, RouteError> {
        let console = self.console().await?;
        let shown = state::expected(&console, &self.database, &self.label).await?;
        let side = |address: &Address| {
            [Side::Source, Side::Target]
                .into_iter()
                .find(|side| self.address(*side) == address)
        };
        let remembered = self.memory.shows().await?;
        let target_reads_percent = match &self.reads_database {
            None => None,
            Some(name) => {
                let reads = state::expected(&console, name, &self.label).await?;
                side(&reads.address).map(|side| if side == Side::Target { 100 } else { 0 })
            }
        };
        let writes = side(&shown.address);
        let whose = writes.map_or("neither side".to_owned(), |side| format!("the {side}"));
        let paused = if shown.paused { ", paused" } else { "" };
        Ok(RouteState {
            epoch: remembered.epoch,
            writes,
            target_reads_percent,
            tenants: remembered.tenants,
            paused: Some(shown.paused),
            detail: format!("leads to {} ({whose}){paused}", shown.address),
        })
    }
}
