//! Connections: how they are made, with which session settings, and what became of one that broke.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossfade_store::{ErrorKind, Result, StoreError};
use rustls::ClientConfig;
use tokio::sync::oneshot;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Config, Connection, NoTls, Row, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::{ServerReport, from_driver};
use crate::session::{self, Purpose};
use crate::store::PostgresStore;
use crate::tls::{self, SslMode};
use crate::url::{ConnectUrl, Host, Password};

/// How long a dropped connection may take to say goodbye before its socket is closed.
const GOODBYE: Duration = Duration::from_secs(2);

/// Where and how to connect: a URL with its files read.
#[derive(Debug, Clone)]
pub struct ConnectTarget {
    /// Where to connect, and the name to verify in the server's certificate.
    pub host: Host,
    /// The address to connect to instead of looking up `host`.
    pub hostaddr: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// The role.
    pub user: String,
    /// The password, where there is one.
    pub password: Option<Password>,
    /// Why there is no password although a password file is there.
    pub password_note: Option<String>,
    /// The database.
    pub dbname: String,
    /// Time for one try to connect, authentication included.
    pub connect_timeout: Duration,
    /// Whether to encrypt; see [`ConnectTarget::attempts`].
    pub sslmode: SslMode,
    /// The TLS client's configuration; `None` where nothing is ever encrypted.
    pub tls: Option<Arc<ClientConfig>>,
    /// The URL without secrets, for messages.
    pub label: String,
}

impl ConnectTarget {
    /// From a URL; reads its certificate files.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for files that cannot be used.
    pub fn new(url: ConnectUrl, label: &str) -> Result<ConnectTarget> {
        // sslmode says nothing about a Unix-domain socket (PostgreSQL documentation, section 34.1.2)
        let sslmode = match url.host {
            Host::Unix(_) => SslMode::Disable,
            Host::Tcp(_) => url.sslmode,
        };
        Ok(ConnectTarget {
            tls: url.tls.configure(sslmode, label)?,
            host: url.host,
            hostaddr: url.hostaddr,
            port: url.port,
            user: url.user,
            password: url.password,
            password_note: url.password_note,
            dbname: url.dbname,
            connect_timeout: url.connect_timeout,
            sslmode,
            label: label.to_owned(),
        })
    }

    /// Another database of the same server. `label` is its URL without secrets.
    pub(crate) fn with_database(&self, dbname: &str, label: String) -> ConnectTarget {
        ConnectTarget {
            dbname: dbname.to_owned(),
            label,
            ..self.clone()
        }
    }

    /// What to try, in order: `true` is encrypted, `false` is plain. The next is tried after [`ConnectTarget::falls_back`].
    pub fn attempts(&self) -> &'static [bool] {
        self.sslmode.attempts()
    }

    /// True where the server's refusal of one way may be cured by the other: no matching line in `pg_hba.conf`, no TLS,
    /// a failed handshake. A wrong password is none of these.
    pub fn falls_back(error: &StoreError) -> bool {
        error.code.starts_with("postgres.tls")
            || error.server_code.as_deref()
                == Some(SqlState::INVALID_AUTHORIZATION_SPECIFICATION.code())
    }

    /// An authentication error with what is known about the password file.
    pub fn annotate(&self, mut error: StoreError) -> StoreError {
        if let (ErrorKind::Authentication, Some(note)) = (error.kind, &self.password_note) {
            error.fix = Some(match error.fix {
                Some(fix) => format!("{fix} ({note})"),
                None => note.clone(),
            });
        }
        error
    }

    fn config(&self, purpose: Purpose, encrypted: bool) -> Config {
        let mut config = Config::new();
        match &self.host {
            Host::Tcp(name) => config.host(name),
            Host::Unix(folder) => config.host_path(folder),
        };
        if let Some(address) = self.hostaddr {
            config.hostaddr(address);
        }
        if let Some(password) = &self.password {
            config.password(password.expose());
        }
        config
            .port(self.port)
            .user(&self.user)
            .dbname(&self.dbname)
            .application_name(purpose.application_name())
            .connect_timeout(self.connect_timeout)
            .tcp_user_timeout(Duration::from_secs(60))
            .keepalives(true)
            .keepalives_idle(Duration::from_secs(15))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3)
            .ssl_mode(if encrypted {
                tokio_postgres::config::SslMode::Require
            } else {
                tokio_postgres::config::SslMode::Disable
            });
        config
    }

    async fn connect_once(&self, purpose: Purpose, encrypted: bool) -> Result<Client> {
        let config = self.config(purpose, encrypted);
        let making = async {
            match (&self.tls, encrypted) {
                (Some(tls), true) => {
                    self.make(&config, MakeRustlsConnect::new(tls.as_ref().clone()))
                        .await
                }
                (None, true) => Err(tls::not_offered(&self.label)),
                (_, false) => self.make(&config, NoTls).await,
            }
        };
        let client = tokio::time::timeout(self.connect_timeout, making)
            .await
            .map_err(|_| self.timed_out())??;
        client
            .batch(
                "setting up the session",
                &session::settings_sql(purpose, client.version()),
            )
            .await?;
        Ok(client)
    }

    pub(crate) fn timed_out(&self) -> StoreError {
        StoreError::new(
            ErrorKind::Connection,
            "postgres.connect_timeout",
            &self.label,
            format!("no connection within {} s", self.connect_timeout.as_secs()),
        )
        .fix("Check host, port and firewalls; connect_timeout=SECONDS in the URL allows more time")
    }

    async fn make<T>(&self, config: &Config, tls: T) -> Result<Client>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: Send + 'static,
        T::TlsConnect: TlsConnect<Socket>,
    {
        let (inner, connection) = config.connect(tls).await.map_err(|e| {
            match from_driver(&self.label, "connecting", &e) {
                // whatever failed, nothing was under way
                e if e.kind == ErrorKind::Connection && e.fix.is_none() => {
                    e.fix("Check that the server runs and can be reached")
                }
                e => e,
            }
        })?;
        let version = connection
            .parameter("server_version")
            .and_then(session::version_number)
            .ok_or_else(|| {
                StoreError::new(
                    ErrorKind::Unsupported,
                    "postgres.version",
                    &self.label,
                    "the server does not say its version",
                )
            })?;
        let lost = Arc::new(OnceLock::new());
        let (alive, dropped) = oneshot::channel();
        tokio::spawn(drive(connection, Arc::clone(&lost), dropped));
        Ok(Client {
            inner,
            version,
            label: self.label.clone(),
            lost,
            _alive: alive,
        })
    }
}

/// Runs a connection until it ends, keeps why, and hurries it where the client was dropped amid a request.
async fn drive<S, T>(
    mut connection: Connection<S, T>,
    lost: Arc<OnceLock<Lost>>,
    dropped: oneshot::Receiver<()>,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let run = async {
        loop {
            // notices are passed over: they may quote values
            match poll_fn(|cx| connection.poll_message(cx)).await {
                Some(Ok(AsyncMessage::Notice(_) | AsyncMessage::Notification(_))) => {}
                Some(Ok(_)) => {}
                Some(Err(e)) => {
                    let _first_wins = lost.set(Lost::from(&e));
                    break;
                }
                None => break,
            }
        }
    };
    tokio::pin!(run);
    tokio::select! {
        () = &mut run => {}
        _ = dropped => {
            let _ended_or_cut = tokio::time::timeout(GOODBYE, run).await;
        }
    }
}

/// Why a connection broke.
#[derive(Debug, Clone)]
enum Lost {
    Server(ServerReport),
    Network(String),
}

impl From<&tokio_postgres::Error> for Lost {
    fn from(e: &tokio_postgres::Error) -> Lost {
        match e.as_db_error() {
            Some(report) => Lost::Server(ServerReport::from_driver(report)),
            None => {
                use std::error::Error as _;
                Lost::Network(match e.source() {
                    Some(cause) => format!("{e}: {cause}"),
                    None => e.to_string(),
                })
            }
        }
    }
}

/// A connection with pinned session settings. Dropping it ends the session; a request that is then under way is cut off.
#[derive(Debug)]
pub struct Client {
    inner: tokio_postgres::Client,
    version: u32,
    label: String,
    lost: Arc<OnceLock<Lost>>,
    _alive: oneshot::Sender<()>,
}

impl Client {
    /// The server's version as `server_version_num` has it (`150018`).
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The store, as messages name it.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The driver's client, for COPY and transactions. Pass its errors through [`Client::error`].
    pub fn raw(&self) -> &tokio_postgres::Client {
        &self.inner
    }

    /// As [`Client::raw`], exclusively.
    pub fn raw_mut(&mut self) -> &mut tokio_postgres::Client {
        &mut self.inner
    }

    /// True once the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// The driver's error as this store's; where the connection is gone, with why. `doing` completes "while …".
    pub fn error(&self, doing: &str, e: &tokio_postgres::Error) -> StoreError {
        match (e.is_closed(), self.lost.get()) {
            (true, Some(Lost::Server(report))) => report.clone().into_error(&self.label, doing),
            (true, Some(Lost::Network(why))) => StoreError::new(
                ErrorKind::Connection,
                "postgres.connection",
                &self.label,
                format!("while {doing}: the connection was lost: {why}"),
            ),
            _ => from_driver(&self.label, doing, e),
        }
    }

    /// Rows of a query.
    ///
    /// # Errors
    /// The server's, or the connection's.
    pub async fn query(
        &self,
        doing: &str,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        self.inner
            .query(sql, parameters)
            .await
            .map_err(|e| self.error(doing, &e))
    }

    /// The one row of a query.
    ///
    /// # Errors
    /// As [`Client::query`]; also for no row or several.
    pub async fn query_one(
        &self,
        doing: &str,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row> {
        self.inner
            .query_one(sql, parameters)
            .await
            .map_err(|e| self.error(doing, &e))
    }

    /// The row of a query, if there is one.
    ///
    /// # Errors
    /// As [`Client::query`]; also for several rows.
    pub async fn query_opt(
        &self,
        doing: &str,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>> {
        self.inner
            .query_opt(sql, parameters)
            .await
            .map_err(|e| self.error(doing, &e))
    }

    /// Runs a statement and returns how many rows it touched.
    ///
    /// # Errors
    /// As [`Client::query`].
    pub async fn execute(
        &self,
        doing: &str,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64> {
        self.inner
            .execute(sql, parameters)
            .await
            .map_err(|e| self.error(doing, &e))
    }

    /// Runs statements without parameters; several make one implicit transaction.
    ///
    /// # Errors
    /// As [`Client::query`].
    pub async fn batch(&self, doing: &str, sql: &str) -> Result<()> {
        self.inner
            .batch_execute(sql)
            .await
            .map_err(|e| self.error(doing, &e))
    }
}

impl PostgresStore {
    /// A connection with the session settings of `purpose`: one that was kept, or a new one.
    ///
    /// # Errors
    /// [`ErrorKind::Connection`], [`ErrorKind::Authentication`], [`ErrorKind::Unavailable`], [`ErrorKind::Missing`].
    pub async fn connect(&self, purpose: Purpose) -> Result<Client> {
        let target = self.connect_target();
        if let Some(client) = self.spares().take() {
            let sql = session::repurpose_sql(purpose);
            let turning = client.batch("setting up the session", &sql);
            // one that does not answer is given up; a new one says what is wrong
            if let Ok(Ok(())) = tokio::time::timeout(target.connect_timeout, turning).await {
                return Ok(client);
            }
        }
        self.connect_anew(purpose).await
    }

    /// A new connection, whichever are kept: to whom the address leads now.
    ///
    /// # Errors
    /// As [`PostgresStore::connect`].
    pub async fn connect_anew(&self, purpose: Purpose) -> Result<Client> {
        let target = self.connect_target();
        let mut last = None;
        for &encrypted in target.attempts() {
            match target.connect_once(purpose, encrypted).await {
                Ok(client) => return Ok(client),
                Err(e) if ConnectTarget::falls_back(&e) => last = Some(e),
                Err(e) => return Err(target.annotate(e)),
            }
        }
        Err(match last {
            Some(e) => target.annotate(e),
            None => target.timed_out(),
        })
    }
}
