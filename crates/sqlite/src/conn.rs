//! Connections: how they are opened, and how blocking work is kept off the async threads.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossfade_store::{ErrorKind, Result, StoreError};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::store_error;

/// How long a statement waits for somebody else's lock.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Page cache of a connection, in KiB: bounded, whatever the size of the file.
const CACHE_KIB: i64 = 16 * 1024;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Reads only.
    Read,
    /// Writes to a file that must be there.
    Write,
    /// Writes, and makes the file where there is none.
    Create,
}

/// A database file and its name for people.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub path: Arc<Path>,
    pub label: Arc<str>,
}

impl Place {
    pub fn new(path: PathBuf) -> Place {
        Place {
            label: format!("sqlite:{}", path.display()).into(),
            path: path.into(),
        }
    }

    /// An error of SQLite while doing `what`.
    pub fn failed<'a>(&'a self, what: &'a str) -> impl Fn(rusqlite::Error) -> StoreError + 'a {
        move |error| store_error(&self.label, what, error)
    }

    /// An error that is not SQLite's.
    pub fn error(
        &self,
        kind: ErrorKind,
        code: &'static str,
        what: impl Into<String>,
    ) -> StoreError {
        StoreError::new(kind, code, &*self.label, what)
    }

    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Opens a connection. Triggers do not run in it (they ran, or will run, on the source), foreign keys are not enforced
    /// in it (they are checked at the end), and a name in double quotes is never taken for a text.
    pub fn open(&self, purpose: Purpose) -> Result<Connection> {
        if purpose != Purpose::Create && !self.exists() {
            return Err(self
                .error(
                    ErrorKind::Missing,
                    "sqlite.missing",
                    "there is no such file",
                )
                .fix("Name an existing database file"));
        }
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if purpose == Purpose::Create {
            flags |= OpenFlags::SQLITE_OPEN_CREATE;
        }
        let failed = self.failed("cannot open the database");
        let conn = Connection::open_with_flags(&self.path, flags).map_err(&failed)?;
        self.prepare(&conn, purpose).map_err(&failed)?;
        Ok(conn)
    }

    fn prepare(&self, conn: &Connection, purpose: Purpose) -> rusqlite::Result<()> {
        conn.busy_timeout(PATIENCE)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
        conn.set_prepared_statement_cache_capacity(128);
        conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
        if purpose == Purpose::Read {
            conn.pragma_update(None, "query_only", true)?;
        }
        // the first read of the file's header: a file that is no database fails here
        conn.query_row("PRAGMA schema_version", [], |_| Ok(()))
    }

    /// The file's identity on its disk: another one under the same path was put there in place of it.
    pub fn inode(&self) -> Option<u64> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            std::fs::metadata(&self.path).ok().map(|m| m.ino())
        }
        #[cfg(not(unix))]
        None
    }

    /// A path beside the file.
    pub fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(suffix);
        name.into()
    }

    /// Puts on the disk what other processes have committed to the write-ahead log without a sync (`synchronous = NORMAL`):
    /// what crossfade has read must not be taken back by a loss of power. The database file itself is not opened: closing
    /// it would drop this process's locks on it (fcntl(2)).
    pub fn sync_log(&self) -> Result<()> {
        let synced = match std::fs::File::open(self.beside("-wal")) {
            Ok(file) => file.sync_data(),
            // no log: everything is in the database file, which was synced before the log went
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        };
        synced.map_err(|e| {
            self.error(
                ErrorKind::Connection,
                "sqlite.sync",
                format!("cannot sync the write-ahead log: {e}"),
            )
            .cause(e)
        })
    }
}

/// Runs blocking work on a thread for it.
pub(crate) async fn blocking<T: Send + 'static>(
    place: &Place,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(place.error(
            ErrorKind::Internal,
            "sqlite.thread",
            format!("a worker thread ended early: {e}"),
        )),
    }
}

/// Something blocking that one task at a time uses, from threads for blocking work. Work that a cancelled task left behind
/// ends before the next begins.
pub(crate) struct Shared<T> {
    place: Place,
    inner: Arc<Mutex<T>>,
}

impl<T: Send + 'static> Shared<T> {
    pub fn new(place: Place, inner: T) -> Shared<T> {
        Shared {
            place,
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    pub fn handle(&self) -> Arc<Mutex<T>> {
        Arc::clone(&self.inner)
    }

    pub async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut T) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let inner = self.handle();
        blocking(&self.place, move || {
            work(&mut inner.lock().unwrap_or_else(PoisonError::into_inner))
        })
        .await
    }
}
