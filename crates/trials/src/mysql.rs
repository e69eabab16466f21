//! Databases of the tests' own on the servers of MySQL and MariaDB that `cargo xtask` starts.
//!
//! Sessions speak as much of the other engines' SQL as the servers can: double quotes for names, `||`, no backslashes in texts.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Value};
use tokio::runtime::Runtime;

use crate::database::{Engine, TextRow, shortened};
use crate::postgres::variable;

/// The password of [`MysqlDatabase::own_administrator`].
const OWN_PASSWORD: &str = "not-a-secret";

/// Drives the sessions: tests are not asynchronous.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime for the sessions")
    })
}

/// What a server refused, or how a session was lost.
#[derive(Debug)]
pub struct Refusal {
    /// The server's number; `None` where there was no answer.
    pub code: Option<u16>,
    /// Its words.
    pub text: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:?})", self.text, self.code)
    }
}

fn refusal(error: &mysql_async::Error) -> Refusal {
    Refusal {
        code: match error {
            mysql_async::Error::Server(server) => Some(server.code),
            _ => None,
        },
        text: error.to_string(),
    }
}

/// A session.
pub struct Session(Conn);

impl Session {
    /// Opens one.
    ///
    /// # Errors
    /// The server's words.
    pub fn open(url: &str) -> Result<Self, Refusal> {
        let opts = Opts::from_url(url).expect("a URL of the tests' own");
        let opts = OptsBuilder::from_opts(opts).prefer_socket(Some(false));
        let mut session = runtime()
            .block_on(Conn::new(opts))
            .map(Self)
            .map_err(|e| refusal(&e))?;
        session.run(
            "SET SESSION sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO',
             time_zone = '+00:00', innodb_lock_wait_timeout = 5, autocommit = ON, default_storage_engine = InnoDB, sql_select_limit = 18446744073709551615;
             SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE; SET NAMES utf8mb4",
        )?;
        let recursion = if session.0.server_version() < (10, 0, 0) {
            "SET SESSION cte_max_recursion_depth = 1000000"
        } else {
            "SET SESSION max_recursive_iterations = 1000000"
        };
        session.run(recursion)?;
        Ok(session)
    }

    /// Runs statements, parted by semicolons.
    ///
    /// # Errors
    /// The server's words.
    pub fn run(&mut self, sql: &str) -> Result<(), Refusal> {
        runtime()
            .block_on(self.0.query_drop(sql))
            .map_err(|e| refusal(&e))
    }

    /// The rows of a query, as the server writes their values.
    ///
    /// # Errors
    /// The server's words.
    pub fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Option<Vec<u8>>>>, Refusal> {
        let rows: Vec<mysql_async::Row> = runtime()
            .block_on(self.0.query(sql))
            .map_err(|e| refusal(&e))?;
        Ok(rows
            .into_iter()
            .map(|row| {
                row.unwrap()
                    .into_iter()
                    .map(|value| match value {
                        Value::NULL => None,
                        Value::Bytes(bytes) => Some(bytes),
                        other => Some(other.as_sql(true).into_bytes()),
                    })
                    .collect()
            })
            .collect())
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "session {}", self.0.id())
    }
}

/// A database and its users.
#[derive(Debug)]
pub struct MysqlDatabase {
    server: String,
    name: String,
    users: Mutex<Vec<String>>,
}

impl MysqlDatabase {
    /// Makes a database with a name of its own.
    ///
    /// # Panics
    /// When the server does not let it.
    #[must_use]
    pub fn create(engine: Engine) -> Self {
        Self::create_at(variable(engine.variable()))
    }

    /// Makes a database on the server of a URL.
    ///
    /// # Panics
    /// When the server does not let it.
    #[must_use]
    pub fn create_at(server: String) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let database = Self {
            server,
            name: format!(
                "trial_{}_{}",
                std::process::id(),
                NEXT.fetch_add(1, Ordering::Relaxed)
            ),
            users: Mutex::default(),
        };
        database.on_server(&format!(
            "CREATE DATABASE {} CHARACTER SET utf8mb4",
            database.name
        ));
        database
    }

    /// The database of this name on another server, where a replica has made it.
    #[must_use]
    pub fn replicated(&self, server: String) -> Self {
        Self {
            server,
            name: self.name.clone(),
            users: Mutex::default(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The administrator's URL.
    #[must_use]
    pub fn url(&self) -> String {
        let (head, _) = self.server.rsplit_once('/').expect("a URL has a path");
        format!("{head}/{}", self.name)
    }

    /// The URL of a user.
    #[must_use]
    pub fn url_of(&self, user: &str, password: &str) -> String {
        let url = self.url();
        let (_, address) = url.split_once('@').expect("a URL has a user");
        format!("mysql://{user}:{password}@{address}")
    }

    /// Whether the server is MySQL, and not MariaDB.
    #[must_use]
    pub fn is_mysql(&self) -> bool {
        let version = self.rows("SELECT VERSION()");
        !version[0][0]
            .as_deref()
            .unwrap_or_default()
            .contains("MariaDB")
    }

    /// Makes a user by SQL that creates him and grants him what he needs, as an administrator would run it. He is dropped with the
    /// database.
    ///
    /// # Panics
    /// When the server refuses the SQL.
    pub fn make_user(&self, user: &str, sql: &str) {
        // both sides of a migration may be on one server
        let sql = sql.replace("CREATE USER ", "CREATE USER IF NOT EXISTS ");
        self.run(&sql);
        self.users
            .lock()
            .expect("nobody has panicked with it")
            .push(user.to_owned());
    }

    /// The URL of an administrator of this database's own, made at the first call: his sessions can be told from others'. He is
    /// dropped with the database.
    ///
    /// # Panics
    /// When the server does not let it.
    #[must_use]
    pub fn own_administrator(&self) -> String {
        let user = self.own_user();
        self.make_user(
            &user,
            &format!("CREATE USER '{user}'@'%' IDENTIFIED BY '{OWN_PASSWORD}'; GRANT ALL ON *.* TO '{user}'@'%' WITH GRANT OPTION"),
        );
        self.url_of(&user, OWN_PASSWORD)
    }

    fn own_user(&self) -> String {
        format!("crossfade_{}", self.name)
    }

    /// The numbers of the sessions that are not of [`MysqlDatabase::own_administrator`]. A session in a trigger is listed as the user
    /// who made that, so that the list is asked for some times.
    ///
    /// # Panics
    /// When the server cannot be asked.
    #[must_use]
    pub fn others_sessions(&self) -> Vec<String> {
        let user = self.own_user();
        let mut others = Vec::new();
        for _ in 0..10 {
            others.extend(self.sessions_where(|session| session[1].as_deref() != Some(&*user)));
            std::thread::sleep(Duration::from_millis(20));
        }
        others
    }

    /// The numbers of the sessions of [`MysqlDatabase::own_administrator`]; `holding`: only of those that hold locks on rows.
    /// Others who wait in a trigger that he made are among them.
    ///
    /// # Panics
    /// When the server cannot be asked.
    #[must_use]
    pub fn own_sessions(&self, holding: bool) -> Vec<String> {
        let user = self.own_user();
        let holders: Vec<Option<String>> = self
            .rows("SELECT trx_mysql_thread_id FROM information_schema.INNODB_TRX WHERE trx_rows_locked > 0")
            .into_iter()
            .flatten()
            .collect();
        self.sessions_where(|session| {
            session[1].as_deref() == Some(&*user) && (!holding || holders.contains(&session[0]))
        })
    }

    /// The numbers of sessions whose row of the server's list is this: number, user, host, database.
    ///
    /// # Panics
    /// When the server cannot be asked.
    #[must_use]
    pub fn sessions_where(&self, is: impl Fn(&TextRow) -> bool) -> Vec<String> {
        let sessions = self.rows("SHOW PROCESSLIST");
        let wanted = sessions.into_iter().filter(|session| is(session));
        wanted.filter_map(|mut row| row.swap_remove(0)).collect()
    }

    /// Ends a session; false if it has gone by itself.
    #[must_use]
    pub fn end_session(&self, session: &str) -> bool {
        self.try_run(&format!("KILL {session}")).is_ok()
    }

    /// A session of the administrator.
    ///
    /// # Panics
    /// When the server does not let it in.
    #[must_use]
    pub fn session(&self) -> Session {
        Session::open(&self.url()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn run(&self, sql: &str) {
        if let Err(error) = self.try_run(sql) {
            panic!("{error}\nin: {}", shortened(sql));
        }
    }

    /// Runs statements in one session of the administrator.
    ///
    /// # Errors
    /// The server's words.
    pub fn try_run(&self, sql: &str) -> Result<(), String> {
        Session::open(&self.url())
            .and_then(|mut session| session.run(sql))
            .map_err(|error| error.to_string())
    }

    /// The rows of a query; what is no UTF-8 has signs in its place.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    #[must_use]
    pub fn rows(&self, sql: &str) -> Vec<TextRow> {
        let rows = self
            .session()
            .rows(sql)
            .unwrap_or_else(|error| panic!("{error}\nin: {}", shortened(sql)));
        rows.into_iter()
            .map(|row| {
                row.into_iter()
                    .map(|cell| cell.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
                    .collect()
            })
            .collect()
    }

    fn on_server(&self, sql: &str) {
        let done = Session::open(&self.server).and_then(|mut session| session.run(sql));
        if let Err(error) = done {
            panic!("{error}\nin: {}", shortened(sql));
        }
    }
}

impl Drop for MysqlDatabase {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let users = std::mem::take(&mut *self.users.lock().expect("nobody has panicked with it"));
        self.on_server(&format!("DROP DATABASE IF EXISTS {}", self.name));
        for user in users {
            self.on_server(&format!("DROP USER IF EXISTS '{user}'@'%'"));
        }
    }
}
