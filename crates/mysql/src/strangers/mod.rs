//! Strangers: writes on a target that are not the migration's, as the target's own binary log has them.
//!
//! The guards refuse others' writes. What passes them (TRUNCATE and other definitions, cascades as far as the server logs them, a replica's
//! applier, whatever was written while somebody had taken the guards off) stands in the log, which is read each second from where the last look
//! ended ([`crate::stream::others`]). What was found is noted in a table of crossfade's own, in one transaction with how far the log was read:
//! each write is noted once, whenever the process ends.
//!
//! Which transactions are the migration's own is said by a row that each of them changes: the checkpoint, or where that stays, a
//! [`mark`]. What the server does not log (`sql_log_bin = 0`, cascades within InnoDB) is not seen.

mod noted;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossfade_model::{Mode, TableMapping, TableName};
use crossfade_mysql_binlog::LogPosition;
use crossfade_store::{ErrorKind, Result, StoreError, Strangers};

use crate::connect::Client;
use crate::fence::register;
use crate::names::literal;
use crate::own::{OPTIONS, forget_in};
use crate::server::Flavor;
use crate::stream::others::Others;
use crate::{MysqlStore, enlisted, findings, position, tenure};

/// Rows that only say whose a transaction is.
pub(crate) const MARK: &str = "_crossfade_writer";
/// What was found.
const STRANGER: &str = "_crossfade_stranger";
/// How far the log was read.
const LOOK: &str = "_crossfade_look";

/// In the order in which they are dropped.
const ALL: [&str; 3] = [LOOK, STRANGER, MARK];

/// How long one look reads; what is left is read by the next.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a look waits for readers to see what it has found.
const SEEN_PATIENCE: Duration = Duration::from_millis(500);

/// Looks that may fail one after another because the log's connection is lost, before that is an error.
const MOST_FAILURES: u32 = 5;

/// Bytes of the log after which the place is noted, even though nothing was found.
const NOTED_EVERY: u64 = 4 << 20;

/// Rows by which sessions mark their transactions: two of them hardly ever wait for each other.
const SLOTS: u32 = 1024;

const DOING: &str = "looking for strangers";

/// What a store watches for.
#[derive(Clone, Default)]
pub(crate) struct Watched(Arc<Mutex<Watching>>);

#[derive(Default)]
struct Watching {
    migration: String,
    tables: Vec<TableMapping>,
    /// The open log; `None` while a look has it.
    others: Option<Box<Others>>,
    failures: u32,
}

impl Watched {
    fn watching(&self) -> MutexGuard<'_, Watching> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No longer: the log's connection is closed.
    pub fn stop(&self) {
        *self.watching() = Watching::default();
    }

    fn start(&self, migration: &str, tables: &[TableMapping], others: Others) {
        *self.watching() = Watching {
            migration: migration.to_owned(),
            tables: tables.to_vec(),
            others: Some(Box::new(others)),
            failures: 0,
        };
    }

    /// Gives the log back, where it is still watched.
    fn put(&self, migration: &str, others: Box<Others>) {
        let mut watching = self.watching();
        if watching.migration == migration {
            watching.others = Some(others);
            watching.failures = 0;
        }
    }
}

/// Makes the tables where they are absent, with a row of the migration: they stay as long as one has any.
///
/// # Errors
/// The server's.
pub(crate) async fn create(client: &mut Client, migration: &str) -> Result<()> {
    if !has_tables(client).await? {
        make(client).await?;
    }
    mark(client, migration).await
}

async fn make(client: &mut Client) -> Result<()> {
    for columns in [
        format!(
            "{MARK} (migration VARCHAR(128) NOT NULL, slot INT UNSIGNED NOT NULL, marks BIGINT UNSIGNED NOT NULL,
             PRIMARY KEY (migration, slot))"
        ),
        format!(
            "{STRANGER} (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, migration VARCHAR(128) NOT NULL, name VARCHAR(64) NOT NULL,
             operation VARCHAR(16) NOT NULL, cells LONGTEXT NULL, at BIGINT NOT NULL, who VARCHAR(512) NOT NULL,
             told BOOLEAN NOT NULL, PRIMARY KEY (id), KEY (migration))"
        ),
        format!(
            "{LOOK} (migration VARCHAR(128) NOT NULL, server VARCHAR(512) NOT NULL, file BIGINT UNSIGNED NOT NULL,
             place BIGINT UNSIGNED NOT NULL, begun BIGINT UNSIGNED NOT NULL, PRIMARY KEY (migration))"
        ),
    ] {
        let statement = format!("CREATE TABLE IF NOT EXISTS {columns} {OPTIONS}");
        client.run("making crossfade's tables", &statement).await?;
    }
    Ok(())
}

async fn has_tables(client: &mut Client) -> Result<bool> {
    let names: Vec<String> = ALL.iter().map(|name| literal(name)).collect();
    let sql = format!(
        "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN ({})",
        names.join(", ")
    );
    let row = client.text_row(DOING, &sql).await?;
    Ok(row.and_then(|row| row.number(0)) == Some(ALL.len()))
}

/// Marks the open transaction as the migration's: the last thing that it does.
///
/// # Errors
/// The server's.
pub(crate) async fn mark(client: &mut Client, migration: &str) -> Result<()> {
    let sql = format!(
        "INSERT INTO {MARK} (migration, slot, marks) VALUES ({}, CONNECTION_ID() % {SLOTS}, 1)
         ON DUPLICATE KEY UPDATE marks = marks + 1",
        literal(migration)
    );
    client.run("marking a transaction", &sql).await.map(drop)
}

/// Forgets how far the log was read for these lanes: their database takes applications' writes now, and whoever watches it later begins at the
/// log's end.
///
/// # Errors
/// The server's.
pub(crate) async fn pass(client: &mut Client, lanes: [&str; 2]) -> Result<()> {
    if !register::has(client, LOOK).await? {
        return Ok(());
    }
    let sql = format!(
        "DELETE FROM {LOOK} WHERE migration IN ({}, {})",
        literal(lanes[0]),
        literal(lanes[1])
    );
    client.run(DOING, &sql).await.map(drop)
}

/// Removes what is noted of a migration; the tables too, where no other has any.
///
/// # Errors
/// The server's.
pub(crate) async fn remove(client: &mut Client, migration: &str) -> Result<Vec<&'static str>> {
    if !has_tables(client).await? {
        return Ok(Vec::new());
    }
    forget_in(
        client,
        "removing what is noted of strangers",
        &ALL,
        MARK,
        migration,
    )
    .await
}

async fn is_open(client: &mut Client, migration: &str) -> Result<bool> {
    let base = register::migration_of(migration);
    let standing = register::read(client, base, register::Lock::No).await?;
    Ok(standing.is_some_and(|standing| standing.register.mode == Mode::Open))
}

/// Begins to read the log, or goes on where the last process ended; true where what was written in between cannot be read any more.
///
/// # Errors
/// [`ErrorKind::Permission`] and [`ErrorKind::Setting`] where this server's log cannot show strangers, or not to this user; the connection's.
pub(crate) async fn watch(
    store: &MysqlStore,
    client: &mut Client,
    migration: &str,
    tables: &[TableMapping],
) -> Result<bool> {
    let watched = try_watch(store, client, migration, tables).await;
    watched.map_err(|error| match error.kind {
        ErrorKind::Permission => error.fix(
            "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* to the target's user (MariaDB: REPLICATION SLAVE, BINLOG MONITOR), and start `crossfade run` again",
        ),
        ErrorKind::Setting => match error.fix.clone() {
            Some(fix) => error.fix(format!("{fix}; then start `crossfade run` again")),
            None => error,
        },
        _ => error,
    })
}

async fn try_watch(
    store: &MysqlStore,
    client: &mut Client,
    migration: &str,
    tables: &[TableMapping],
) -> Result<bool> {
    store.watched.stop();
    if !has_tables(client).await? || is_open(client, migration).await? {
        return Ok(false);
    }
    if let Some(finding) = findings::unfit_log(client).await? {
        let mut error = client.fault(ErrorKind::Setting, "mysql.strangers", finding.what);
        error.fix = finding.fix;
        return Err(error);
    }
    let known = noted::place(client, migration).await?;
    if let Some(known) = &known {
        match Others::open(store, client, migration, tables, Some(known)).await {
            Ok(others) => {
                store.watched.start(migration, tables, others);
                return Ok(false);
            }
            Err(error) if is_lost(&error) => {
                tracing::warn!(%error, "the log cannot be read where it was left");
            }
            Err(error) => return Err(error),
        }
    }
    match begin(store, client, migration, tables).await {
        Ok(Some(others)) => store.watched.start(migration, tables, others),
        Ok(None) => return Ok(false),
        // the migration does without, as where the user may not read the log
        Err(mut error) if is_lost(&error) => {
            error.kind = ErrorKind::Setting;
            return Err(error);
        }
        Err(mut error) if is_refused(&error) => {
            error.kind = ErrorKind::Permission;
            return Err(error);
        }
        Err(error) => return Err(error),
    }
    Ok(known.is_some())
}

/// From the log's present end on; `None` where the store takes applications' writes meanwhile.
async fn begin(
    store: &MysqlStore,
    client: &mut Client,
    migration: &str,
    tables: &[TableMapping],
) -> Result<Option<Others>> {
    let mut others = Others::open(store, client, migration, tables, None).await?;
    let (_, place) = others.up_to(LogPosition {
        file: u64::MAX,
        offset: u64::MAX,
    });
    enlist(store, client, migration).await?;
    let begun = noted::begin(client, migration, &place).await?;
    Ok(begun.then_some(others))
}

/// Whoever opens the store ends a session that stands still with the place's row.
async fn enlist(store: &MysqlStore, client: &mut Client, migration: &str) -> Result<()> {
    let lock = tenure::lock_name(&store.address.database, migration);
    enlisted::enlist(client, &lock).await
}

/// What lies at a place of the log can be read by nobody, however often it is tried.
fn is_lost(error: &StoreError) -> bool {
    matches!(
        error.kind,
        ErrorKind::LogLost
            | ErrorKind::Setting
            | ErrorKind::Unsupported
            | ErrorKind::Corrupt
            | ErrorKind::WrongStore
            | ErrorKind::Internal
    )
}

fn is_refused(error: &StoreError) -> bool {
    matches!(
        error.kind,
        ErrorKind::Permission | ErrorKind::Authentication
    )
}

/// See [`crossfade_store::Target::strangers`]. Only the process that watches reads the log; any other tells what is noted.
///
/// # Errors
/// The connection's.
pub(crate) async fn strangers(
    store: &MysqlStore,
    client: &mut Client,
    migration: &str,
    seen: Option<&str>,
) -> Result<Strangers> {
    if !has_tables(client).await? {
        return Ok(Strangers::default());
    }
    let Looked { unseen, is_behind } = look(store, client, migration).await?;
    let seen = seen.and_then(|seen| seen.parse().ok()).unwrap_or_default();
    let (entries, last) = noted::read(client, migration, seen).await?;
    Ok(Strangers {
        entries,
        seen: Some(last.max(seen).to_string()),
        unseen,
        is_behind,
    })
}

/// What one look came to.
#[derive(Default)]
struct Looked {
    /// Tables of which something cannot be seen.
    unseen: Vec<TableName>,
    /// The log goes on behind what was read.
    is_behind: bool,
}

/// Reads the log on.
async fn look(store: &MysqlStore, client: &mut Client, migration: &str) -> Result<Looked> {
    let (tables, open) = {
        let mut watching = store.watched.watching();
        if watching.migration != migration {
            return Ok(Looked::default());
        }
        (watching.tables.clone(), watching.others.take())
    };
    match read(store, client, migration, &tables, open).await {
        Ok((others, is_behind)) => {
            if let Some(others) = others {
                store.watched.put(migration, others);
            }
            Ok(Looked {
                unseen: Vec::new(),
                is_behind,
            })
        }
        Err(error) if is_lost(&error) || is_refused(&error) => {
            tracing::warn!(%error, "the log cannot be read");
            if is_lost(&error) {
                let others = begin(store, client, migration, &tables).await;
                // else it is tried again by the next look, which finds it lost, too
                if let Ok(Some(others)) = others {
                    store.watched.put(migration, Box::new(others));
                }
            }
            Ok(Looked {
                unseen: tables.iter().map(|m| m.target.name.clone()).collect(),
                is_behind: false,
            })
        }
        Err(error) => {
            let mut watching = store.watched.watching();
            watching.failures += 1;
            match watching.failures > MOST_FAILURES {
                true => Err(error),
                // it is opened again by the next look
                false => Ok(Looked {
                    unseen: Vec::new(),
                    is_behind: true,
                }),
            }
        }
    }
}

/// Reads on, and notes what is found. Returns the log for the next look, and whether there is more of it.
async fn read(
    store: &MysqlStore,
    client: &mut Client,
    migration: &str,
    tables: &[TableMapping],
    open: Option<Box<Others>>,
) -> Result<(Option<Box<Others>>, bool)> {
    let end = LogPosition::unpack(position::log_end(client).await?);
    // in this order: whoever wrote by right before that end had found the register open, and so would this
    if is_open(client, migration).await? {
        return Ok((None, false));
    }
    let Some(known) = noted::place(client, migration).await? else {
        return Ok((None, false));
    };
    let mut others = match open {
        Some(others) => others,
        None => Box::new(Others::open(store, client, migration, tables, Some(&known)).await?),
    };
    others.read(end, PATIENCE).await?;
    // what is noted is read again at once, and must be there: a commit may wait for a replica between the log and its readers
    // without names of transactions nothing tells of that
    let is_told = client.server.flavor == Flavor::Mariadb || client.server.is_on("gtid_mode");
    if is_told
        && let Some(last) = others.last_found(end)
        && !position::is_visible(client, last, SEEN_PATIENCE).await?
    {
        tracing::info!(place = %last, "what strangers have written is not visible yet");
        return Ok((Some(others), true));
    }
    let (writes, place) = others.up_to(end);
    let is_behind = place.position < end;
    let moved = place.position.file != known.position.file
        || place.position.offset.saturating_sub(known.position.offset) >= NOTED_EVERY;
    if writes.is_empty() && !moved {
        return Ok((Some(others), is_behind));
    }
    enlist(store, client, migration).await?;
    let is_ours = noted::add(client, migration, &known, &place, &writes).await?;
    // where another process has noted, it has noted the same, and goes on from there
    Ok((is_ours.then_some(others), is_behind || !is_ours))
}

/// See [`crossfade_store::Target::told_strangers`].
///
/// # Errors
/// The connection's.
pub(crate) async fn told(client: &mut Client, migration: &str, entries: &[i64]) -> Result<()> {
    noted::told(client, migration, entries).await
}
