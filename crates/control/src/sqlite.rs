//! The control store of one operator's machine: a SQLite file beside the migration file.

mod audit;
mod commands;
mod intents;
mod quarantine;
mod schema;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use crossfade_plan::Phase;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};
use serde_json::{Value, json};

use crate::lock::{self, RunLock};
use crate::{
    AuditCheck, AuditEntry, AuditId, AuditRecord, Command, CommandId, ControlError, ControlState,
    ControlStore, Holder, Intent, IntentId, IntentState, Lease, PostedCommand,
};

/// How long another process's write is waited for.
const BUSY: Duration = Duration::from_secs(10);

/// A control store in a SQLite file. Beside it lies the run lock, `FILE.lock`.
pub struct SqliteControl {
    label: String,
    lock: PathBuf,
    connection: Arc<Mutex<Connection>>,
}

impl SqliteControl {
    /// The default place: the migration file's path with `.control` behind it.
    pub fn path_beside(migration_file: &Path) -> PathBuf {
        let mut name = migration_file.as_os_str().to_owned();
        name.push(".control");
        PathBuf::from(name)
    }

    /// Opens the store of `migration`; makes it where it is absent.
    ///
    /// # Errors
    /// A file that is no control store, was written by a newer version, or belongs to another migration.
    pub fn open(path: &Path, migration: &str) -> Result<SqliteControl, ControlError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Self::open_with(path, migration, flags)
    }

    /// Opens the store of `migration` where there is one; makes nothing.
    ///
    /// # Errors
    /// As [`SqliteControl::open`].
    pub fn open_existing(
        path: &Path,
        migration: &str,
    ) -> Result<Option<SqliteControl>, ControlError> {
        if !path.exists() {
            return Ok(None);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Self::open_with(path, migration, flags).map(Some)
    }

    /// Ends the process that holds the run lock if it was stopped, as one that stands still in the middle of a transaction lets nobody open
    /// the control store any more. Gives its number; `None` where there is none, it is not stopped, or the system does not tell.
    #[must_use]
    pub fn end_stopped(path: &Path) -> Option<u32> {
        lock::stopped::end(&lock::path_beside(path))
    }

    fn open_with(
        path: &Path,
        migration: &str,
        flags: OpenFlags,
    ) -> Result<SqliteControl, ControlError> {
        let label = path.display().to_string();
        let mut connection = Connection::open_with_flags(path, flags)
            .map_err(|e| failed(&label, "it cannot be opened", e))?;
        connection
            .busy_timeout(BUSY)
            .map_err(|e| failed(&label, "it cannot be set up", e))?;
        schema::prepare(&mut connection, &label, migration)?;
        Ok(SqliteControl {
            label,
            lock: lock::path_beside(path),
            connection: Arc::new(Mutex::new(connection)),
        })
    }

    /// Runs `work` in one transaction on a thread that may block.
    async fn transaction<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, ControlError> {
        let connection = self.connection.clone();
        let label = self.label.clone();
        let task = move || {
            // a poisoned connection is as good as before: an unfinished transaction was rolled back when it was dropped
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let done = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(Trouble::from)
                .and_then(|transaction| {
                    let value = work(&transaction)?;
                    transaction.commit()?;
                    Ok(value)
                });
            done.map_err(|trouble| trouble.at(&label))
        };
        tokio::task::spawn_blocking(task).await.unwrap_or_else(|e| {
            Err(ControlError::Failed {
                store: self.label.clone(),
                what: "a task ended early".to_owned(),
                cause: Some(Box::new(e)),
            })
        })
    }

    /// As [`Self::transaction`], for the holder of `lease` only.
    async fn held<T: Send + 'static>(
        &self,
        lease: &Lease,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, ControlError> {
        let held = lease.epoch;
        self.transaction(move |t| {
            let stored = epoch(t)?;
            if stored != held {
                return Err(Trouble::Control(ControlError::Superseded { held, stored }));
            }
            work(t)
        })
        .await
    }

    fn io(&self, error: std::io::Error) -> ControlError {
        ControlError::Failed {
            store: self.lock.display().to_string(),
            what: format!("the run lock cannot be used: {error}"),
            cause: Some(Box::new(error)),
        }
    }
}

/// What goes wrong inside a transaction.
enum Trouble {
    Sqlite(rusqlite::Error),
    Json(serde_json::Error),
    Control(ControlError),
    Missing(&'static str, i64),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Trouble::Sqlite(error)
    }
}

impl From<serde_json::Error> for Trouble {
    fn from(error: serde_json::Error) -> Self {
        Trouble::Json(error)
    }
}

impl Trouble {
    fn at(self, label: &str) -> ControlError {
        match self {
            Trouble::Sqlite(e) => failed(label, "reading or writing failed", e),
            Trouble::Json(e) => ControlError::NotControl {
                store: label.to_owned(),
                what: format!("an entry cannot be read: {e}"),
            },
            Trouble::Control(e) => e,
            Trouble::Missing(what, id) => ControlError::Missing {
                store: label.to_owned(),
                what: format!("{what} {id}"),
            },
        }
    }
}

fn failed(label: &str, what: &str, cause: rusqlite::Error) -> ControlError {
    if let rusqlite::Error::SqliteFailure(code, _) = &cause
        && matches!(
            code.code,
            rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt
        )
    {
        return ControlError::NotControl {
            store: label.to_owned(),
            what: cause.to_string(),
        };
    }
    ControlError::Failed {
        store: label.to_owned(),
        what: format!("{what}: {cause}"),
        cause: Some(Box::new(cause)),
    }
}

fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn epoch(t: &Transaction<'_>) -> Result<u64, Trouble> {
    Ok(
        t.query_row("SELECT epoch FROM migration", [], |r| r.get::<_, i64>(0))?
            .unsigned_abs(),
    )
}

fn phase(t: &Transaction<'_>) -> Result<Phase, Trouble> {
    let word: String = t.query_row("SELECT phase FROM migration", [], |r| r.get(0))?;
    word.parse().map_err(|()| {
        Trouble::Control(ControlError::Failed {
            store: "the control store".to_owned(),
            what: format!("the phase `{word}` is unknown to this version of crossfade"),
            cause: None,
        })
    })
}

fn holder(t: &Transaction<'_>) -> Result<Option<Holder>, Trouble> {
    let text: Option<String> = t.query_row("SELECT holder FROM migration", [], |r| r.get(0))?;
    Ok(text.map(|t| serde_json::from_str(&t)).transpose()?)
}

fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map_or_else(|| "this machine".to_owned(), |h| h.trim().to_owned())
}

#[async_trait]
impl ControlStore for SqliteControl {
    fn label(&self) -> &str {
        &self.label
    }

    async fn state(&self) -> Result<ControlState, ControlError> {
        let running = lock::is_held(&self.lock).map_err(|e| self.io(e))?;
        self.transaction(move |t| {
            let (migration, paused, progress_at, progress, report) = t.query_row(
                "SELECT name, paused, progress_at, progress, report FROM migration",
                [],
                |r| {
                    Ok((
                        r.get::<_, String>(0)?,
                        r.get::<_, bool>(1)?,
                        r.get::<_, Option<i64>>(2)?,
                        r.get::<_, Option<String>>(3)?,
                        r.get::<_, Option<String>>(4)?,
                    ))
                },
            )?;
            let json =
                |text: Option<String>| text.map(|t| serde_json::from_str::<Value>(&t)).transpose();
            Ok(ControlState {
                migration,
                phase: phase(t)?,
                paused,
                holder: holder(t)?,
                running,
                progress: progress_at.zip(json(progress)?),
                report: json(report)?,
                open_intents: intents::list(t, true)?,
                quarantine: quarantine::counts(t)?,
            })
        })
        .await
    }

    async fn acquire(&self) -> Result<Lease, ControlError> {
        let path = self.lock.clone();
        let taken = tokio::task::spawn_blocking(move || RunLock::take(&path))
            .await
            .unwrap_or_else(|e| Err(std::io::Error::other(e)))
            .map_err(|e| self.io(e))?;
        let Some(guard) = taken else {
            let holder = self.transaction(holder).await?;
            return Err(ControlError::Held { holder });
        };
        let epoch = self
            .transaction(|t| {
                let epoch = epoch(t)? + 1;
                let holder = Holder {
                    process: std::process::id(),
                    host: host(),
                    started: now(),
                    seen: now(),
                    epoch,
                };
                t.execute(
                    "UPDATE migration SET epoch = ?1, holder = ?2",
                    params![epoch.cast_signed(), serde_json::to_string(&holder)?],
                )?;
                commands::reopen(t)?;
                Ok(epoch)
            })
            .await?;
        Ok(Lease {
            epoch,
            _guard: Box::new(guard),
        })
    }

    async fn take_over(&self, owner: &str, seen: &Holder) -> Result<(), ControlError> {
        crate::switch::owner(owner)?;
        let (owner, seen) = (owner.to_owned(), seen.clone());
        self.transaction(move |t| {
            let stored = holder(t)?;
            if stored.as_ref() != Some(&seen) {
                return Err(Trouble::Control(ControlError::Held { holder: stored }));
            }
            let epoch = epoch(t)? + 1;
            t.execute("UPDATE migration SET epoch = ?1", [epoch.cast_signed()])?;
            let detail = json!({ "process": seen.process, "host": seen.host, "lease": epoch });
            audit::append(t, audit::TAKEN_OVER, &owner, detail)?;
            Ok(())
        })
        .await?;
        // it holds the right to write no more: what is left is that it seems to
        let path = self.lock.clone();
        tokio::task::spawn_blocking(move || lock::remove(&path))
            .await
            .unwrap_or_else(|e| Err(std::io::Error::other(e)))
            .map_err(|e| self.io(e))
    }

    async fn heartbeat(&self, lease: &Lease, progress: Option<Value>) -> Result<(), ControlError> {
        self.held(lease, move |t| {
            if let Some(mut holder) = holder(t)? {
                holder.seen = now();
                t.execute(
                    "UPDATE migration SET holder = ?1",
                    [serde_json::to_string(&holder)?],
                )?;
            }
            if let Some(progress) = progress {
                t.execute(
                    "UPDATE migration SET progress = ?1, progress_at = ?2",
                    params![progress.to_string(), now()],
                )?;
            }
            Ok(())
        })
        .await
    }

    async fn move_phase(&self, lease: &Lease, from: Phase, to: Phase) -> Result<(), ControlError> {
        self.held(lease, move |t| {
            let found = phase(t)?;
            if found != from {
                return Err(Trouble::Control(ControlError::PhaseMoved {
                    expected: from,
                    found,
                }));
            }
            t.execute("UPDATE migration SET phase = ?1", [to.word()])?;
            let detail = json!({ "from": from.word(), "to": to.word() });
            audit::append(t, audit::PHASE, &audit::person(), detail)?;
            Ok(())
        })
        .await
    }

    async fn set_paused(&self, lease: &Lease, paused: bool) -> Result<(), ControlError> {
        self.held(lease, move |t| {
            let changed = t.execute(
                "UPDATE migration SET paused = ?1 WHERE paused IS NOT ?1",
                [paused],
            )?;
            if changed == 1 {
                let detail = json!({ "paused": paused });
                audit::append(t, audit::PAUSED, &audit::person(), detail)?;
            }
            Ok(())
        })
        .await
    }

    async fn record_intent(
        &self,
        lease: &Lease,
        kind: &str,
        detail: Value,
    ) -> Result<IntentId, ControlError> {
        let kind = kind.to_owned();
        self.held(lease, move |t| intents::record(t, &kind, &detail))
            .await
    }

    async fn settle_intent(
        &self,
        lease: &Lease,
        intent: IntentId,
        state: IntentState,
    ) -> Result<(), ControlError> {
        self.held(lease, move |t| intents::settle(t, intent, &state))
            .await
    }

    async fn intents(&self) -> Result<Vec<Intent>, ControlError> {
        self.transaction(|t| intents::list(t, false)).await
    }

    async fn post(&self, command: Command) -> Result<CommandId, ControlError> {
        self.transaction(move |t| commands::post(t, &command)).await
    }

    async fn open_commands(&self) -> Result<Vec<PostedCommand>, ControlError> {
        self.transaction(commands::open).await
    }

    async fn acknowledge(&self, lease: &Lease, command: CommandId) -> Result<(), ControlError> {
        self.held(lease, move |t| commands::acknowledge(t, command))
            .await
    }

    async fn finish(
        &self,
        lease: &Lease,
        command: CommandId,
        result: Result<Value, String>,
    ) -> Result<(), ControlError> {
        self.held(lease, move |t| commands::finish(t, command, result))
            .await
    }

    async fn withdraw(&self, command: CommandId) -> Result<bool, ControlError> {
        // one that a run had taken which is gone would be obeyed by the next, long after whoever gave it was told that it failed
        let running = lock::is_held(&self.lock).map_err(|e| self.io(e))?;
        self.transaction(move |t| commands::withdraw(t, command, running))
            .await
    }

    async fn command(&self, command: CommandId) -> Result<PostedCommand, ControlError> {
        self.transaction(move |t| commands::get(t, command)).await
    }

    async fn forget_result(&self, command: CommandId) -> Result<(), ControlError> {
        self.transaction(move |t| commands::forget_result(t, command))
            .await
    }

    async fn store_report(&self, lease: &Lease, report: Value) -> Result<(), ControlError> {
        self.held(lease, move |t| {
            t.execute("UPDATE migration SET report = ?1", [report.to_string()])?;
            Ok(())
        })
        .await
    }

    async fn audit(
        &self,
        lease: Option<&Lease>,
        entry: AuditEntry,
    ) -> Result<AuditId, ControlError> {
        entry.check()?;
        let append = move |t: &Transaction<'_>| {
            let who = entry.who.unwrap_or_else(audit::person);
            audit::append(t, &entry.kind, &who, entry.detail)
        };
        match lease {
            Some(lease) => self.held(lease, append).await,
            None => self.transaction(append).await,
        }
    }

    async fn audit_log(
        &self,
        after: Option<AuditId>,
        limit: u32,
    ) -> Result<Vec<AuditRecord>, ControlError> {
        self.transaction(move |t| audit::list(t, after, limit))
            .await
    }

    async fn verify_audit(&self) -> Result<AuditCheck, ControlError> {
        let mut walk = audit::Walk::default();
        while !walk.has_ended() {
            walk = self.transaction(move |t| walk.on(t)).await?;
        }
        Ok(walk.check())
    }
}
