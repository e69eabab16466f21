//! PostgreSQL databases of the tests' own, on the servers that `cargo xtask` starts.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use postgres::{Client, NoTls, SimpleQueryMessage};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::database::{Engine, TextRow, shortened};

/// The value of a variable that the servers' starter sets.
///
/// # Panics
/// When it is not set.
#[must_use]
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask test`"))
}

/// A database, its roles and its server.
#[derive(Debug)]
pub struct PostgresDatabase {
    server: String,
    authority: Option<PathBuf>,
    name: String,
    roles: Mutex<Vec<String>>,
}

impl PostgresDatabase {
    /// Makes a database with a name of its own.
    ///
    /// # Panics
    /// When the server does not let it.
    #[must_use]
    pub fn create(engine: Engine) -> Self {
        Self::create_with(engine, "")
    }

    /// Makes one with options of `CREATE DATABASE`.
    ///
    /// # Panics
    /// When the server does not let it.
    #[must_use]
    pub fn create_with(engine: Engine, options: &str) -> Self {
        let authority = (engine == Engine::PgTls)
            .then(|| Path::new(&variable("CROSSFADE_TEST_TLS_DIR")).join("ca.crt"));
        Self::create_on(variable(engine.variable()), authority, options)
    }

    /// Makes one on a server of which the superuser's URL is given.
    ///
    /// # Panics
    /// When the server does not let it.
    #[must_use]
    pub fn create_at(server: &str) -> Self {
        Self::create_on(server.to_owned(), None, "")
    }

    fn create_on(server: String, authority: Option<PathBuf>, options: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let database = Self {
            server,
            authority,
            name: format!(
                "trial_{}_{}",
                std::process::id(),
                NEXT.fetch_add(1, Ordering::Relaxed)
            ),
            roles: Mutex::default(),
        };
        database.on_server(&format!("CREATE DATABASE {} {options}", database.name));
        database
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The superuser's URL.
    #[must_use]
    pub fn url(&self) -> String {
        let (head, _) = self.server.rsplit_once('/').expect("a URL has a path");
        format!("{head}/{}", self.name)
    }

    /// The URL of a role.
    #[must_use]
    pub fn url_of(&self, role: &str, password: &str) -> String {
        let url = self.url();
        let (_, address) = url.split_once('@').expect("a URL has a user");
        format!("postgres://{role}:{password}@{address}")
    }

    /// Makes a role by SQL that creates it and grants it what it needs, as an administrator would run it. Where both
    /// sides of a migration are on one server the role is there already, and only granted more. It is dropped with the
    /// database.
    ///
    /// # Panics
    /// When the server refuses the SQL.
    pub fn make_role(&self, role: &str, sql: &str) {
        // what is granted of the server as a whole stands in one row, which only one session can change at a time
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let mut client = self.client();
        let present = client
            .query_opt("SELECT FROM pg_roles WHERE rolname = $1", &[&role])
            .expect("a catalog can be read")
            .is_some();
        let create = format!("CREATE ROLE \"{role}\"");
        let lines: Vec<&str> = sql
            .lines()
            .filter(|line| !(present && line.starts_with(&create)))
            .collect();
        let sql = lines.join("\n");
        // a table that is truncated at the same time refuses it, and an administrator would try again
        let mut tries = 0;
        while let Err(error) = client.batch_execute(&sql) {
            let said = describe(&error);
            tries += 1;
            let again = said.contains("tuple concurrently updated") && tries < 20;
            assert!(again, "{said}\nin: {sql}");
        }
        self.roles.lock().unwrap().push(role.to_owned());
    }

    /// A session of the superuser.
    ///
    /// # Panics
    /// When the server does not let it in.
    #[must_use]
    pub fn client(&self) -> Client {
        self.try_client().unwrap_or_else(|error| panic!("{error}"))
    }

    /// A session of the superuser.
    ///
    /// # Errors
    /// The server's words.
    pub fn try_client(&self) -> Result<Client, String> {
        connect(&self.url(), self.authority.as_deref())
    }

    /// Runs statements in one session of the superuser.
    ///
    /// # Errors
    /// The server's words.
    pub fn try_run(&self, sql: &str) -> Result<(), String> {
        self.try_client()?
            .batch_execute(sql)
            .map_err(|error| describe(&error))
    }

    /// The rows of a query, by the types' output functions under pinned settings.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    #[must_use]
    pub fn rows(&self, sql: &str) -> Vec<TextRow> {
        let mut client = self.client();
        client
            .batch_execute(
                "SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres';
                 SET extra_float_digits = 3; SET bytea_output = 'hex'; SET lc_monetary = 'C'",
            )
            .expect("settings of a session");
        let messages = client
            .simple_query(sql)
            .unwrap_or_else(|error| panic!("{}\nin: {}", describe(&error), shortened(sql)));
        messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(
                    (0..row.len())
                        .map(|i| row.get(i).map(str::to_owned))
                        .collect(),
                ),
                _ => None,
            })
            .collect()
    }

    fn on_server(&self, sql: &str) {
        if let Err(error) = self.try_on_server(sql) {
            panic!("{error}\nin: {}", shortened(sql));
        }
    }

    fn try_on_server(&self, sql: &str) -> Result<(), String> {
        let mut client = connect(&self.server, self.authority.as_deref())?;
        client.batch_execute(sql).map_err(|error| describe(&error))
    }

    fn drop_all(&self) -> Result<(), String> {
        // a walsender that is still streaming keeps the slot, and the slot keeps the database
        let mut client = connect(&self.server, self.authority.as_deref())?;
        let name = &self.name;
        client
            .batch_execute(&format!(
                "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots
                 WHERE database = '{name}' AND active_pid IS NOT NULL"
            ))
            .map_err(|error| describe(&error))?;
        let mut last = String::new();
        for _ in 0..50 {
            match client.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")) {
                Ok(()) => {
                    last.clear();
                    break;
                }
                Err(error) => last = describe(&error),
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        if !last.is_empty() {
            return Err(last);
        }
        for role in self.roles.lock().unwrap().iter() {
            // the other side's database may still hold something of the role's: its end drops the role then
            let sql = format!("DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\"");
            let dropped = client.batch_execute(&sql);
            if let Err(error) = dropped
                && !["2BP01", "42704"].contains(&error.code().map_or("", |code| code.code()))
            {
                return Err(describe(&error));
            }
        }
        Ok(())
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        if let Err(error) = self.drop_all() {
            // the server's end removes it too
            eprintln!("database {} is left behind: {error}", self.name);
        }
    }
}

/// A session; by TLS where the authority that signed the server is given.
///
/// # Errors
/// The server's words.
pub fn connect(url: &str, authority: Option<&Path>) -> Result<Client, String> {
    let connected = match authority {
        None => Client::connect(url, NoTls),
        Some(authority) => {
            let url = format!("{url}?sslmode=require");
            Client::connect(&url, MakeRustlsConnect::new(tls(authority)))
        }
    };
    connected.map_err(|error| describe(&error))
}

fn tls(authority: &Path) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(authority).expect("the authority's file can be read")
    {
        roots
            .add(certificate.expect("a certificate"))
            .expect("a usable certificate");
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// An error with what the server said.
#[must_use]
pub fn describe(error: &postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("{} ({})", said.message(), said.code().code()),
        None => {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(error);
            while let Some(next) = cause {
                text.push_str(&format!(": {next}"));
                cause = next.source();
            }
            text
        }
    }
}
