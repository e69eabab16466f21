//! What a migration says of its routes: plain data, variables already put in. Debug output shows no secret.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// All routes of a migration, in the order in which they are paused, pointed and resumed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteConfig {
    /// The routes.
    pub routes: Vec<RouteKind>,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteKind {
    /// A JSON file.
    File(FileConfig),
    /// A program.
    Exec(ExecConfig),
    /// An HTTP address.
    Webhook(WebhookConfig),
    /// A PgBouncer.
    PgBouncer(PgBouncerConfig),
}

impl RouteKind {
    /// The kind's word.
    pub fn word(&self) -> &'static str {
        match self {
            RouteKind::File(_) => "file",
            RouteKind::Exec(_) => "exec",
            RouteKind::Webhook(_) => "webhook",
            RouteKind::PgBouncer(_) => "pgbouncer",
        }
    }
}

/// A JSON file that applications watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileConfig {
    /// Where it lies.
    pub path: PathBuf,
}

/// A program that is run for every action.
#[derive(Clone, PartialEq, Eq)]
pub struct ExecConfig {
    /// The program and its arguments; no shell is between.
    pub command: Vec<String>,
    /// How long one run may take; then its process group is killed.
    pub timeout: Duration,
    /// How often a failed run is tried again.
    pub retries: u32,
}

impl fmt::Debug for ExecConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // arguments may come from variables that hold secrets
        f.debug_struct("ExecConfig")
            .field("program", &self.command.first())
            .field("arguments", &self.command.len().saturating_sub(1))
            .field("timeout", &self.timeout)
            .field("retries", &self.retries)
            .finish()
    }
}

/// An HTTP address that is told of every action.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookConfig {
    /// The address; may hold secrets.
    pub url: String,
    /// Further headers; values may be secrets.
    pub headers: Vec<(String, String)>,
    /// Certificates (PEM) that are trusted in the place of Mozilla's list.
    pub ca_file: Option<PathBuf>,
    /// How long one request may take, its answer included.
    pub timeout: Duration,
    /// How often a failed request is tried again.
    pub retries: u32,
}

impl fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("WebhookConfig")
            .field("headers", &names)
            .field("ca_file", &self.ca_file)
            .field("timeout", &self.timeout)
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}

/// A PgBouncer whose `[databases]` entry is pointed to one side or the other.
#[derive(Clone, PartialEq, Eq)]
pub struct PgBouncerConfig {
    /// The admin console: `postgres://user:password@host:port/pgbouncer`.
    pub admin: String,
    /// The entry in `[databases]` that writing applications connect to.
    pub database: String,
    /// The entry for reading applications, where they have one of their own.
    pub reads_database: Option<String>,
    /// The file that holds the entries.
    pub config: PathBuf,
    /// End clients that keep PgBouncer from pausing once half of the time is over. Without it session pooling is refused.
    pub end_clients: bool,
    /// How PgBouncer reaches the source, where that differs from how this program does.
    pub source: PgBouncerEntry,
    /// How PgBouncer reaches the target.
    pub target: PgBouncerEntry,
}

impl fmt::Debug for PgBouncerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgBouncerConfig")
            .field("database", &self.database)
            .field("reads_database", &self.reads_database)
            .field("config", &self.config)
            .field("end_clients", &self.end_clients)
            .field("source", &self.source)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// What an entry says for one side; what is not given comes from the migration's URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PgBouncerEntry {
    /// Host, or a Unix socket's folder.
    pub host: Option<String>,
    /// Port.
    pub port: Option<u16>,
    /// The database's name on the server.
    pub dbname: Option<String>,
}
