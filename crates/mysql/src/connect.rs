//! Connections: how they are made, and statements whose errors are the store's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossfade_store::{ErrorKind, Result, StoreError};
use mysql_async::prelude::Queryable;
use mysql_async::{ClientIdentity, Conn, DriverError, Error, OptsBuilder, Row, SslOpts, Value};

use crate::cleared::Cleared;
use crate::error;
use crate::server::{ASKED, Server};
use crate::session::{PRINTED_MODE, Purpose, SQL_MODE, UNLIMITED, settings};
use crate::url::{Address, SslMode};

/// Idle seconds after which the system asks whether the other side is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// The connections of a store's open sessions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sessions(Arc<Mutex<BTreeSet<u64>>>);

impl Sessions {
    fn all(&self) -> std::sync::MutexGuard<'_, BTreeSet<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Their ids.
    pub fn ids(&self) -> BTreeSet<u64> {
        self.all().clone()
    }
}

/// An open session's entry.
struct Entry(Sessions, u64);

impl Drop for Entry {
    fn drop(&mut self) {
        self.0.all().remove(&self.1);
    }
}

/// A session.
pub(crate) struct Client {
    conn: Conn,
    entry: Option<Entry>,
    pub label: Arc<str>,
    pub server: Arc<Server>,
    /// Whose positions this session's are: see [`crate::lineage`].
    pub succession: u32,
    /// What is known of the log's present file.
    pub cleared: Cleared,
}

/// What a statement did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Done {
    pub affected: u64,
    pub warnings: u16,
}

fn options(address: &Address, encrypted: bool, purpose: Purpose) -> OptsBuilder {
    let ssl = encrypted.then(|| {
        let mut ssl = SslOpts::default()
            .with_danger_accept_invalid_certs(address.ssl_mode < SslMode::VerifyCa)
            .with_danger_skip_domain_validation(address.ssl_mode < SslMode::VerifyIdentity);
        if let Some(ca) = &address.ssl_ca {
            ssl = ssl
                .with_root_certs(vec![ca.clone().into()])
                .with_disable_built_in_roots(true);
        }
        if let (Some(cert), Some(key)) = (&address.ssl_cert, &address.ssl_key) {
            ssl = ssl.with_client_identity(Some(ClientIdentity::new(
                cert.clone().into(),
                key.clone().into(),
            )));
        }
        ssl
    });
    OptsBuilder::default()
        .ip_or_hostname(address.host.clone())
        .tcp_port(address.port)
        .user(Some(address.user.clone()))
        .pass(address.password.as_ref().map(|p| p.0.clone()))
        .db_name(Some(address.database.clone()))
        .ssl_opts(ssl)
        // a socket of this machine would be another server where a port is forwarded
        .prefer_socket(Some(false))
        .tcp_keepalive(Some(KEEPALIVE))
        .stmt_cache_size(0)
        .client_found_rows(true)
        .connect_attribute("program_name", purpose.name())
}

/// Opens a connection, encrypted as the URL says.
async fn open(address: &Address, label: &Arc<str>, purpose: Purpose) -> Result<Conn> {
    let encrypted = address.ssl_mode != SslMode::Disabled;
    let opened = try_open(address, label, options(address, encrypted, purpose)).await?;
    let opened = match opened {
        Err(Error::Driver(DriverError::NoClientSslFlagFromServer))
            if address.ssl_mode == SslMode::Preferred =>
        {
            try_open(address, label, options(address, false, purpose)).await?
        }
        other => other,
    };
    opened.map_err(|e| match error::driver(label, "connecting", &e) {
        // whatever failed, nothing was under way
        e if e.kind == ErrorKind::Connection => {
            e.fix("Check that the server runs and can be reached")
        }
        e => e,
    })
}

async fn try_open(
    address: &Address,
    label: &Arc<str>,
    options: OptsBuilder,
) -> Result<std::result::Result<Conn, Error>> {
    tokio::time::timeout(address.connect_timeout, Conn::new(options))
        .await
        .map_err(|_| {
            StoreError::new(
                ErrorKind::Connection,
                "mysql.connect_timeout",
                &**label,
                format!("connecting took longer than {:?}", address.connect_timeout),
            )
            .fix("Check that the server runs and can be reached, or raise connect-timeout")
        })
}

impl Client {
    /// Opens a session and sets it up for its purpose.
    ///
    /// # Errors
    /// The connection's, and [`ErrorKind::Unsupported`] for a server that is neither MySQL nor MariaDB or is too old.
    pub async fn open(address: &Address, label: &Arc<str>, purpose: Purpose) -> Result<Client> {
        let mut conn = open(address, label, purpose).await?;
        let setting_up = async {
            let doing = "setting up the session";
            let failed = |e: Error| error::driver(label, doing, &e);
            conn.query_drop(UNLIMITED).await.map_err(failed)?;
            let variables: Vec<(String, String)> = conn.query(ASKED).await.map_err(failed)?;
            let variables: BTreeMap<String, String> = variables.into_iter().collect();
            let server = Server::new(variables).ok_or_else(|| {
                StoreError::new(
                    ErrorKind::Unsupported,
                    "mysql.flavor",
                    &**label,
                    "the server is neither MySQL nor MariaDB",
                )
            })?;
            refuse_old(&server, label)?;
            for statement in settings(&server, purpose) {
                conn.query_drop(statement).await.map_err(failed)?;
            }
            Ok(server)
        };
        let server = tokio::time::timeout(address.connect_timeout, setting_up)
            .await
            .map_err(|_| {
                StoreError::new(
                    ErrorKind::Connection,
                    "mysql.connect_timeout",
                    &**label,
                    "the server does not answer",
                )
            })??;
        Ok(Client {
            conn,
            entry: None,
            label: Arc::clone(label),
            server: Arc::new(server),
            succession: 0,
            cleared: Cleared::default(),
        })
    }

    /// Lists it among its store's sessions, as long as it lives.
    pub fn enter(&mut self, sessions: &Sessions) {
        let id = u64::from(self.conn.id());
        sessions.all().insert(id);
        self.entry = Some(Entry(sessions.clone(), id));
    }

    /// The connection itself.
    pub fn raw(&mut self) -> &mut Conn {
        &mut self.conn
    }

    /// An error of the driver.
    pub fn error(&self, doing: &str, e: &Error) -> StoreError {
        error::driver(&self.label, doing, e)
    }

    /// An error of this store.
    pub fn fault(
        &self,
        kind: ErrorKind,
        code: &'static str,
        what: impl Into<String>,
    ) -> StoreError {
        StoreError::new(kind, code, &*self.label, what)
    }

    /// Runs a statement that brings no rows.
    pub async fn run(&mut self, doing: &str, sql: &str) -> Result<Done> {
        match self.conn.query_drop(sql).await {
            Ok(()) => Ok(Done {
                affected: self.conn.affected_rows(),
                warnings: self.conn.get_warnings(),
            }),
            Err(e) => Err(self.error(doing, &e)),
        }
    }

    /// The rows of a query. For answers that are short.
    pub async fn rows(&mut self, doing: &str, sql: &str) -> Result<Vec<Row>> {
        let rows: std::result::Result<Vec<Row>, Error> = self.conn.query(sql).await;
        rows.map_err(|e| self.error(doing, &e))
    }

    /// The rows of a query as texts.
    pub async fn texts(&mut self, doing: &str, sql: &str) -> Result<Vec<Texts>> {
        let rows = self.rows(doing, sql).await?;
        Ok(rows.into_iter().map(Texts::new).collect())
    }

    /// The first row of a statement that is printed by the server, or was: under [`PRINTED_MODE`].
    pub async fn printed(&mut self, doing: &str, sql: &str) -> Result<Option<Texts>> {
        let rows = self.all_printed(doing, &[sql.to_owned()]).await?;
        Ok(rows.into_iter().next().flatten())
    }

    /// The first row of each of some statements, as [`Client::printed`].
    pub async fn all_printed(
        &mut self,
        doing: &str,
        statements: &[String],
    ) -> Result<Vec<Option<Texts>>> {
        let mode = |mode: &str| format!("SET SESSION sql_mode = '{mode}'");
        self.run(doing, &mode(PRINTED_MODE)).await?;
        let rows = self.first_rows(doing, statements).await;
        self.run(doing, &mode(SQL_MODE)).await?;
        rows
    }

    async fn first_rows(
        &mut self,
        doing: &str,
        statements: &[String],
    ) -> Result<Vec<Option<Texts>>> {
        let mut rows = Vec::with_capacity(statements.len());
        for sql in statements {
            rows.push(self.text_row(doing, sql).await?);
        }
        Ok(rows)
    }

    /// The first row of a query as texts.
    pub async fn text_row(&mut self, doing: &str, sql: &str) -> Result<Option<Texts>> {
        Ok(self.texts(doing, sql).await?.into_iter().next())
    }

    /// Ends the session.
    pub async fn close(self) {
        // the server ends it by itself where this fails
        let _closed = self.conn.disconnect().await;
    }
}

/// The oldest servers whose behaviour is known: MySQL 8.0.22 (`SHOW …` forms, roles), MariaDB 10.6.
fn refuse_old(server: &Server, label: &Arc<str>) -> Result<()> {
    use crate::server::Flavor;
    let (oldest, name) = match server.flavor {
        Flavor::Mysql => (80_022, "MySQL 8.0.22"),
        Flavor::Mariadb => (100_600, "MariaDB 10.6"),
    };
    if server.version >= oldest {
        return Ok(());
    }
    Err(StoreError::new(
        ErrorKind::Unsupported,
        "mysql.version",
        &**label,
        format!(
            "the server is {}; {name} is the oldest that is known",
            server.name()
        ),
    ))
}

/// A row of texts.
#[derive(Debug, Clone)]
pub(crate) struct Texts(Vec<Option<String>>);

impl Texts {
    fn new(row: Row) -> Texts {
        Texts(
            row.unwrap()
                .into_iter()
                .map(|value| match value {
                    Value::NULL => None,
                    Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
                    other => Some(other.as_sql(true)),
                })
                .collect(),
        )
    }

    /// The text at a place; empty for NULL.
    pub fn text(&self, at: usize) -> &str {
        self.get(at).unwrap_or_default()
    }

    /// The text at a place; `None` for NULL.
    pub fn get(&self, at: usize) -> Option<&str> {
        self.0.get(at).and_then(Option::as_deref)
    }

    /// The number at a place.
    pub fn number<N: std::str::FromStr>(&self, at: usize) -> Option<N> {
        self.get(at)?.parse().ok()
    }

    /// Whether a switch at a place is on.
    pub fn is_true(&self, at: usize) -> bool {
        matches!(self.text(at), "1" | "YES" | "ON")
    }
}
