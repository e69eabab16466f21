//! A PostgreSQL database as a store.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossfade_store::{Result, StoreError};

use crate::connect::{Client, ConnectTarget};
use crate::spare::Spares;
use crate::url::{self, ConnectUrl, Environment};

/// A PostgreSQL database. Cheap to clone; holds no connection but, once asked, that of the probe, and for a few seconds those
/// that work has just ended on.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    target: ConnectTarget,
    label: String,
    migration: Mutex<Option<String>>,
    /// The connection of the last probe, for the next one.
    prober: tokio::sync::Mutex<Option<Client>>,
    spares: Arc<Spares>,
    /// No pooler gives its sessions out by the transaction.
    direct: AtomicBool,
}

impl PostgresStore {
    /// A store by its URL, with what the process's environment adds. Reads certificate and password files; does not connect.
    ///
    /// # Errors
    /// [`crossfade_store::ErrorKind::Usage`] for a malformed URL or unusable files.
    pub fn open(url: &str) -> Result<PostgresStore> {
        PostgresStore::open_with(url, &url::process_environment)
    }

    /// As [`PostgresStore::open`], with another environment.
    ///
    /// # Errors
    /// As [`PostgresStore::open`].
    pub fn open_with(url: &str, environment: Environment<'_>) -> Result<PostgresStore> {
        let url = ConnectUrl::parse(url, environment)?;
        let label = url.label();
        Ok(PostgresStore::at(ConnectTarget::new(url, &label)?))
    }

    fn at(target: ConnectTarget) -> PostgresStore {
        PostgresStore {
            inner: Arc::new(Inner {
                label: target.label.clone(),
                target,
                migration: Mutex::new(None),
                prober: tokio::sync::Mutex::new(None),
                spares: Arc::default(),
                direct: AtomicBool::new(false),
            }),
        }
    }

    /// Another database of the same server, as the same role.
    pub(crate) fn other_database(&self, dbname: &str) -> PostgresStore {
        let own = self.connect_target();
        let head = own.label.rsplit_once('/').map_or("", |(head, _)| head);
        PostgresStore::at(own.with_database(dbname, format!("{head}/{dbname}")))
    }

    /// The URL without secrets.
    pub fn label(&self) -> &str {
        &self.inner.label
    }

    /// Where and how to connect, for a transport that makes its own socket.
    pub fn connect_target(&self) -> &ConnectTarget {
        &self.inner.target
    }

    /// Remembers for which migration the right to write was taken: what is made afterwards bears its name.
    pub(crate) fn set_migration(&self, migration: &str) {
        let mut kept = self
            .inner
            .migration
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *kept = Some(migration.to_owned());
    }

    /// The migration for which the right to write was taken last.
    pub(crate) fn migration(&self) -> Option<String> {
        let kept = self.inner.migration.lock();
        kept.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where the connection of the probe is kept: it is asked many times.
    pub(crate) fn prober(&self) -> &tokio::sync::Mutex<Option<Client>> {
        &self.inner.prober
    }

    /// Connections kept for the next use.
    pub(crate) fn spares(&self) -> &Spares {
        &self.inner.spares
    }

    /// Sessions were seen to be the server's own.
    pub(crate) fn is_direct(&self) -> bool {
        self.inner.direct.load(Ordering::Relaxed)
    }

    /// They were.
    pub(crate) fn set_direct(&self) {
        self.inner.direct.store(true, Ordering::Relaxed);
    }

    /// Keeps a connection for the next use. Its work must have ended well: no transaction open, no setting changed but
    /// `lock_timeout`, no session lock held, nothing temporary made. A connection that is dropped instead is closed.
    pub(crate) fn keep(&self, client: Client) {
        self.inner.spares.put(client);
    }

    /// The driver's error as this store's; `doing` completes "while …".
    pub fn error(&self, doing: &str, e: &tokio_postgres::Error) -> StoreError {
        crate::error::from_driver(&self.inner.label, doing, e)
    }
}
