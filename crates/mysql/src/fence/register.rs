//! The register of a migration in this database: one row, which the fence's triggers lock and read.

use crossfade_model::{Beginning, Mode, Register, reverse_lane};
use crossfade_store::{ErrorKind, Result, Standing, StoreError};

use crate::connect::Client;
use crate::names::literal;
use crate::{own, strangers};

/// A row a migration: mode, epoch, where the database's own changes begin.
pub(crate) const REGISTER: &str = "_crossfade_register";
/// A row a fenced table.
pub(crate) const FENCED: &str = "_crossfade_fenced";
/// A row that is written to mark a place in the log.
pub(crate) const MARK: &str = "_crossfade_mark";

/// In the order in which they are dropped.
const ALL: [&str; 3] = [MARK, FENCED, REGISTER];

/// The migration that a lane belongs to: its register and triggers are named by it. See [`reverse_lane`].
pub(crate) fn migration_of(lane: &str) -> &str {
    lane.strip_suffix("-back").unwrap_or(lane)
}

/// Makes the tables where they are absent.
async fn create(client: &mut Client) -> Result<()> {
    for columns in [
        format!(
            "{REGISTER} (migration VARCHAR(128) NOT NULL, mode VARCHAR(16) NOT NULL, epoch BIGINT UNSIGNED NOT NULL,
             beginning LONGTEXT NULL, PRIMARY KEY (migration))"
        ),
        format!("{FENCED} (migration VARCHAR(128) NOT NULL, name VARCHAR(128) NOT NULL, PRIMARY KEY (migration, name))"),
        format!("{MARK} (migration VARCHAR(128) NOT NULL, marks BIGINT UNSIGNED NOT NULL, PRIMARY KEY (migration))"),
    ] {
        client
            .run(
                "making the register",
                &format!("CREATE TABLE IF NOT EXISTS {columns} {}", own::OPTIONS),
            )
            .await?;
    }
    Ok(())
}

/// Whether one of crossfade's tables is there.
pub(crate) async fn has(client: &mut Client, table: &str) -> Result<bool> {
    let row = client
        .text_row(
            "looking for the register",
            &format!(
                "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '{table}'"
            ),
        )
        .await?;
    Ok(row.is_some())
}

/// Makes the register where there is none.
pub(crate) async fn make(client: &mut Client, migration: &str, first: Register) -> Result<()> {
    create(client).await?;
    let name = literal(migration);
    let doing = "making the register";
    client
        .run(
            doing,
            &format!(
                "INSERT INTO {REGISTER} (migration, mode, epoch) VALUES ({name}, '{}', {})
                 ON DUPLICATE KEY UPDATE migration = migration",
                first.mode.word(),
                first.epoch
            ),
        )
        .await?;
    client
        .run(
            doing,
            &format!(
                "INSERT INTO {MARK} (migration, marks) VALUES ({name}, 0) ON DUPLICATE KEY UPDATE migration = migration"
            ),
        )
        .await
        .map(drop)
}

/// How a row is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    No,
    /// As writers lock it: it waits for whoever holds the latch.
    Shared,
    /// The latch.
    Exclusive,
}

/// Reads register and beginning; `None` where none was made. With a lock in the open transaction.
pub(crate) async fn read(
    client: &mut Client,
    migration: &str,
    lock: Lock,
) -> Result<Option<Standing>> {
    if !has(client, REGISTER).await? {
        return Ok(None);
    }
    let lock = match lock {
        Lock::No => "",
        Lock::Shared => " LOCK IN SHARE MODE",
        Lock::Exclusive => " FOR UPDATE",
    };
    let row = client
        .text_row(
            "reading the register",
            &format!(
                "SELECT mode, epoch, beginning FROM {REGISTER} WHERE migration = {}{lock}",
                literal(migration)
            ),
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let damaged = |what: &str| {
        client
            .fault(ErrorKind::Corrupt, "mysql.register", what)
            .fix("Crossfade's own tables were changed by somebody else; `crossfade status` says what the other store holds")
    };
    let mode: Mode = row
        .text(0)
        .parse()
        .map_err(|()| damaged("the register holds no known mode"))?;
    let epoch = row
        .number(1)
        .ok_or_else(|| damaged("the register's epoch is no number"))?;
    let beginning: Option<Beginning> = row
        .get(2)
        .map(serde_json::from_str)
        .transpose()
        .map_err(|_| damaged("the register's beginning cannot be read"))?;
    Ok(Some(Standing {
        register: Register::new(mode, epoch),
        beginning,
    }))
}

/// As [`read`]; an error where there is none.
pub(crate) async fn expect(client: &mut Client, migration: &str, lock: Lock) -> Result<Standing> {
    match read(client, migration, lock).await? {
        Some(standing) => Ok(standing),
        None => Err(client
            .fault(
                ErrorKind::Missing,
                "mysql.no_register",
                format!("the database has no register of migration {migration}"),
            )
            .fix("Let the migration begin; where it had begun, the database was restored from an older copy")),
    }
}

/// What the register is, in an error.
pub(crate) fn conflict(client: &Client, what: String) -> StoreError {
    client
        .fault(ErrorKind::Conflict, "mysql.register_changed", what)
        .fix("Another process changed it; run `crossfade status` and begin again from there")
}

/// Changes the register by compare-and-swap in the open transaction, which holds the latch; its epoch only rises.
pub(crate) async fn swap(
    client: &mut Client,
    migration: &str,
    from: Register,
    to: Register,
) -> Result<()> {
    let now = expect(client, migration, Lock::Exclusive).await?.register;
    if now != from || to.epoch < from.epoch {
        return Err(conflict(
            client,
            format!("the register says {now}; it cannot go from {from} to {to}"),
        ));
    }
    let doing = "changing the register";
    client
        .run(
            doing,
            &format!(
                "UPDATE {REGISTER} SET mode = '{}', epoch = {} WHERE migration = {}",
                to.mode.word(),
                to.epoch,
                literal(migration)
            ),
        )
        .await?;
    if to.mode == Mode::Open && own::exists(client).await? {
        // from the opening on nobody applies to this store by a right that was taken before
        client
            .run(
                doing,
                &format!(
                    "UPDATE {} SET epoch = epoch + 1 WHERE migration IN ({}, {})",
                    own::RUN,
                    literal(migration),
                    literal(&reverse_lane(migration))
                ),
            )
            .await?;
        strangers::pass(client, [migration, &reverse_lane(migration)]).await?;
    }
    Ok(())
}

/// Notes where the database's own changes begin, in the open transaction, which holds the latch.
pub(crate) async fn note(
    client: &mut Client,
    migration: &str,
    beginning: &Beginning,
) -> Result<()> {
    let standing = expect(client, migration, Lock::Exclusive).await?;
    let now = standing.register;
    let noted = standing.beginning.map(|b| b.epoch);
    // a process that comes late must not move the beginning of a tenure that lives, open or under a held fence
    let held = now.mode == Mode::Fenced && now.epoch > 0;
    if now.mode == Mode::Open
        || held
        || beginning.epoch <= now.epoch
        || noted > Some(beginning.epoch)
    {
        return Err(conflict(
            client,
            format!(
                "the register says {now}: its changes have begun already, or a later switch is at work"
            ),
        ));
    }
    let json = serde_json::to_string(beginning).map_err(|e| {
        client.fault(
            ErrorKind::Internal,
            "mysql.register",
            format!("the beginning could not be written: {e}"),
        )
    })?;
    client
        .run(
            "noting the beginning",
            &format!(
                "UPDATE {REGISTER} SET beginning = {} WHERE migration = {}",
                literal(&json),
                literal(migration)
            ),
        )
        .await
        .map(drop)
}

/// Writes the mark, in a transaction of its own.
pub(crate) async fn mark(client: &mut Client, migration: &str) -> Result<()> {
    let done = client
        .run(
            "marking the log",
            &format!(
                "UPDATE {MARK} SET marks = marks + 1 WHERE migration = {}",
                literal(migration)
            ),
        )
        .await?;
    if done.affected == 1 {
        return Ok(());
    }
    Err(client.fault(
        ErrorKind::Missing,
        "mysql.no_register",
        "the row that marks the log is gone",
    ))
}

/// Remembers a fenced table; before it is fenced.
pub(crate) async fn remember(client: &mut Client, migration: &str, table: &str) -> Result<()> {
    client
        .run(
            "noting a fenced table",
            &format!(
                "INSERT INTO {FENCED} (migration, name) VALUES ({}, {}) ON DUPLICATE KEY UPDATE name = name",
                literal(migration),
                literal(table)
            ),
        )
        .await
        .map(drop)
}

/// Forgets it.
pub(crate) async fn forget(client: &mut Client, migration: &str, table: &str) -> Result<()> {
    client
        .run(
            "forgetting a fenced table",
            &format!(
                "DELETE FROM {FENCED} WHERE migration = {} AND name = {}",
                literal(migration),
                literal(table)
            ),
        )
        .await
        .map(drop)
}

/// The tables that were fenced.
pub(crate) async fn fenced(client: &mut Client, migration: &str) -> Result<Vec<String>> {
    if !has(client, FENCED).await? {
        return Ok(Vec::new());
    }
    let rows = client
        .texts(
            "listing fenced tables",
            &format!(
                "SELECT name FROM {FENCED} WHERE migration = {} ORDER BY name",
                literal(migration)
            ),
        )
        .await?;
    Ok(rows.iter().map(|row| row.text(0).to_owned()).collect())
}

/// Removes the migration's rows, and the tables with the last one. Returns what is gone.
pub(crate) async fn remove(client: &mut Client, migration: &str) -> Result<Vec<&'static str>> {
    if !has(client, REGISTER).await? {
        return Ok(Vec::new());
    }
    own::forget_in(client, "removing the register", &ALL, REGISTER, migration).await
}
