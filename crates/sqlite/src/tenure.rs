//! The right to write to a target file for one migration: a lock beside the file, and the run epoch in it.

use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use crossfade_process::Process;
use crossfade_store::{Applier, ErrorKind, Loader, Result, TargetState, Tenure};
use rusqlite::{Connection, TransactionBehavior};

use crate::apply::SqliteApplier;
use crate::conn::{PATIENCE, Place, Purpose, blocking};
use crate::fence::holder;
use crate::fence::lock;
use crate::load::SqliteLoader;
use crate::own_tables;
use crate::writer::{Holder, Seat, Writer};

/// So long a transaction of a process that lives may last before it is looked at.
const WRITING: Duration = Duration::from_secs(5);

/// What a store and its tenure share.
#[derive(Default)]
pub(crate) struct Writers {
    /// Loaders, applier and builders of indexes take turns.
    pub turns: Arc<tokio::sync::Mutex<()>>,
    /// The newest tenure that this store gave.
    pub holder: Mutex<Option<Holder>>,
}

impl Writers {
    pub fn holder(&self) -> Option<Holder> {
        self.holder
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// A tenure.
pub(crate) struct SqliteTenure {
    place: Place,
    state: TargetState,
    holder: Holder,
    turns: Arc<tokio::sync::Mutex<()>>,
    /// Held with the process, or until this is dropped.
    _lock: File,
}

/// Where the lock of a migration is.
pub(crate) fn lock_path(place: &Place, migration: &str) -> PathBuf {
    let safe: String = migration
        .bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b == b'_' || b == b'-' {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect();
    place.beside(&format!("-crossfade-{safe}.lock"))
}

/// Takes the lock, makes the file and crossfade's tables where absent, and raises the epoch.
pub(crate) async fn acquire(
    place: &Place,
    writers: &Writers,
    migration: &str,
) -> Result<SqliteTenure> {
    let turn = Arc::clone(&writers.turns).lock_owned().await;
    let at = place.clone();
    let name = migration.to_owned();
    let (lock, state) = blocking(place, move || {
        // given back when the file is ready, not when the caller is gone
        let _turn = turn;
        let lock = take_lock(&at, &name)?;
        let mut connection = open_or_make(&at)?;
        Ok((lock, take_epoch(&mut connection, &at, &name)?))
    })
    .await?;
    let holder = Holder {
        migration: migration.to_owned(),
        epoch: state.epoch,
    };
    *writers
        .holder
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = Some(holder.clone());
    Ok(SqliteTenure {
        place: place.clone(),
        state,
        holder,
        turns: Arc::clone(&writers.turns),
        _lock: lock,
    })
}

/// Takings of a lock whose file others may be removing.
const ROUNDS: usize = 8;

fn take_lock(place: &Place, migration: &str) -> Result<File> {
    let path = lock_path(place, migration);
    let failed = |e: std::io::Error| {
        place
            .error(
                ErrorKind::Permission,
                "sqlite.lock_file",
                format!("cannot lock {}", path.display()),
            )
            .fix("Give this user the right to write in the file's directory")
            .cause(e)
    };
    for _ in 0..ROUNDS {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            // of a file that was taken away meanwhile it is nobody's lock
            Ok(()) if is_there(&file, &path) => {
                write_down(&file).map_err(failed)?;
                return Ok(file);
            }
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => break,
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
    }
    Err(place
        .error(
            ErrorKind::AlreadyRunning,
            "sqlite.already_running",
            format!("another process runs migration {migration}"),
        )
        .fix("Wait for it, or end it; `crossfade take-over` where it stands still"))
}

/// Whether the path still leads to this file.
fn is_there(file: &File, path: &std::path::Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let same = |own: std::fs::Metadata, there: std::fs::Metadata| {
            (own.dev(), own.ino()) == (there.dev(), there.ino())
        };
        (file.metadata().ok())
            .zip(std::fs::metadata(path).ok())
            .is_some_and(|(own, there)| same(own, there))
    }
    // an open file cannot be removed there
    #[cfg(not(unix))]
    {
        let _ = (file, path);
        true
    }
}

/// Who has the lock, for whoever finds it standing still with the write lock in its hand.
fn write_down(mut file: &File) -> std::io::Result<()> {
    let Some(this) = Process::this() else {
        return Ok(());
    };
    let json = serde_json::to_vec(&this).map_err(std::io::Error::other)?;
    file.set_len(0)?;
    file.write_all(&json)
}

/// Who took the right to write last, where it is known.
pub(crate) fn written_down(place: &Place, migration: &str) -> Option<Process> {
    let text = std::fs::read(lock_path(place, migration)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Ends whoever has the right to write; see [`crossfade_store::Target::end_tenure`].
pub(crate) fn end(place: &Place, migration: &str) -> Result<Option<String>> {
    if !place.exists() {
        return Ok(None);
    }
    let holder = written_down(place, migration);
    let path = lock_path(place, migration);
    if let Err(e) = std::fs::remove_file(&path)
        && e.kind() != std::io::ErrorKind::NotFound
    {
        return Err(place
            .error(
                ErrorKind::Permission,
                "sqlite.lock_file",
                format!("cannot take {} away", path.display()),
            )
            .fix("Give this user the right to write in the file's directory")
            .cause(e));
    }
    let connection = lock::open(place)?;
    let mut ended = None;
    if let Err(busy) = lock::begin(&connection, place, WRITING) {
        ended = holder
            .as_ref()
            .and_then(|p| holder::end_if_holding(p, place));
        if ended.is_none() {
            return Err(busy);
        }
        lock::begin(&connection, place, PATIENCE)?;
    }
    let failed = place.failed("cannot take the target over");
    if own_tables::are_there(&connection).map_err(&failed)? {
        own_tables::end_epoch(&connection, migration).map_err(&failed)?;
    }
    lock::commit(&connection, place, PATIENCE)?;
    Ok(ended.or_else(|| holder.as_ref().and_then(holder::name_if_alive)))
}

/// Opens the file. A new or empty one is put into WAL mode, so that readers and the writer do not shut each other out.
pub(crate) fn open_or_make(place: &Place) -> Result<Connection> {
    let connection = place.open(Purpose::Create)?;
    let failed = place.failed("cannot prepare the target file");
    let objects: u64 = connection
        .query_row("SELECT count(*) FROM sqlite_master", [], |r| r.get(0))
        .map_err(&failed)?;
    if objects == 0 {
        connection
            .query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
            .map_err(&failed)?;
    }
    connection
        .pragma_update(None, "synchronous", "FULL")
        .map_err(&failed)?;
    Ok(connection)
}

fn take_epoch(connection: &mut Connection, place: &Place, migration: &str) -> Result<TargetState> {
    let failed = place.failed("cannot take the target");
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(&failed)?;
    own_tables::create(&transaction).map_err(&failed)?;
    own_tables::raise_epoch(&transaction, migration).map_err(&failed)?;
    let state = own_tables::read(&transaction, migration).map_err(&failed)?;
    transaction.commit().map_err(&failed)?;
    state.ok_or_else(|| {
        place.error(
            ErrorKind::Internal,
            "sqlite.epoch",
            "the run epoch was not written",
        )
    })
}

#[async_trait]
impl Tenure for SqliteTenure {
    fn state(&self) -> &TargetState {
        &self.state
    }

    async fn check(&self) -> Result<()> {
        let (place, holder) = (self.place.clone(), self.holder.clone());
        blocking(&self.place, move || {
            let connection = place.open(Purpose::Read)?;
            own_tables::check_epoch(&connection, &place, &holder.migration, holder.epoch)
        })
        .await
    }

    async fn open_applier(&self) -> Result<Box<dyn Applier>> {
        Ok(Box::new(SqliteApplier(self.seat().await?)))
    }

    async fn open_loader(&self) -> Result<Box<dyn Loader>> {
        Ok(Box::new(SqliteLoader::new(&self.place, self.seat().await?)))
    }
}

impl SqliteTenure {
    async fn seat(&self) -> Result<Seat> {
        let (place, holder) = (self.place.clone(), self.holder.clone());
        let writer = blocking(&self.place, move || Writer::open(&place, holder)).await?;
        Ok(Seat::new(&self.place, writer, Arc::clone(&self.turns)))
    }
}
