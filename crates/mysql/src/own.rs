//! Crossfade's own tables in a target database: a row per migration, its checkpoint, records, and what was made.
//!
//! The run epoch has a table of its own: every writing transaction locks its row shared, and only a new run changes it. The
//! checkpoint, which the applier moves in each transaction, would else make the applier wait for every loader.

use crossfade_model::Position;
use crossfade_store::{ErrorKind, Record, RecordKey, RecordWrite, Result, StoreError, TargetState};
use sha2::{Digest as _, Sha256};

use crate::connect::Client;
use crate::names::literal;
use crate::server::Flavor;

pub(crate) const RUN: &str = "_crossfade_run";
pub(crate) const CHECKPOINT: &str = "_crossfade_checkpoint";
pub(crate) const RECORD: &str = "_crossfade_record";
pub(crate) const MADE: &str = "_crossfade_made";

/// All of them, in the order in which they are dropped.
pub(crate) const ALL: [&str; 4] = [MADE, RECORD, CHECKPOINT, RUN];

pub(crate) const OPTIONS: &str =
    "ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";

/// Bytes of one statement that writes records.
const STATEMENT_BYTES: usize = 1 << 20;

/// Makes the tables where they are absent.
pub(crate) async fn create(client: &mut Client) -> Result<()> {
    if exists(client).await? {
        return Ok(());
    }
    for columns in [
        format!("{RUN} (migration VARCHAR(128) NOT NULL, epoch BIGINT UNSIGNED NOT NULL, PRIMARY KEY (migration))"),
        format!("{CHECKPOINT} (migration VARCHAR(128) NOT NULL, checkpoint BIGINT UNSIGNED NULL, PRIMARY KEY (migration))"),
        // names of records may be longer than an index takes
        format!(
            "{RECORD} (migration VARCHAR(128) NOT NULL, kind VARCHAR(64) NOT NULL, digest BINARY(32) NOT NULL,
             id LONGTEXT NOT NULL, body LONGTEXT NOT NULL, PRIMARY KEY (migration, kind, digest))"
        ),
        format!(
            "{MADE} (migration VARCHAR(128) NOT NULL, kind VARCHAR(64) NOT NULL, name VARCHAR(128) NOT NULL,
             PRIMARY KEY (migration, kind, name))"
        ),
    ] {
        client
            .run(
                "making crossfade's tables",
                &format!("CREATE TABLE IF NOT EXISTS {columns} {OPTIONS}"),
            )
            .await?;
    }
    Ok(())
}

/// True where all tables are there.
pub(crate) async fn exists(client: &mut Client) -> Result<bool> {
    let names: Vec<String> = ALL.iter().map(|name| literal(name)).collect();
    let row = client
        .text_row(
            "looking for crossfade's tables",
            &format!(
                "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN ({})",
                names.join(", ")
            ),
        )
        .await?;
    Ok(row.and_then(|row| row.number(0)) == Some(ALL.len()))
}

fn damaged(client: &Client, what: &str) -> StoreError {
    client
        .fault(ErrorKind::Corrupt, "mysql.own_tables", what)
        .fix("Crossfade's own tables were changed by somebody else; abort the migration and begin again")
}

/// What is durably held of a migration; `None` where nothing. To be called in a transaction that sees one moment, or holds the epoch.
pub(crate) async fn read(client: &mut Client, migration: &str) -> Result<Option<TargetState>> {
    let doing = "reading the migration's state";
    let migration = literal(migration);
    let run = client
        .text_row(
            doing,
            &format!(
                "SELECT r.epoch, c.checkpoint FROM {RUN} r LEFT JOIN {CHECKPOINT} c ON c.migration = r.migration
                 WHERE r.migration = {migration}"
            ),
        )
        .await?;
    let Some(run) = run else { return Ok(None) };
    let epoch = run
        .number(0)
        .ok_or_else(|| damaged(client, "the run epoch is no number"))?;
    let records = client
        .texts(
            doing,
            &format!("SELECT kind, id, body FROM {RECORD} WHERE migration = {migration} ORDER BY kind, id"),
        )
        .await?;
    Ok(Some(TargetState {
        epoch,
        checkpoint: run.number(1).map(Position),
        records: records
            .iter()
            .map(|row| Record {
                key: RecordKey::new(row.text(0), row.text(1)),
                body: row.text(2).to_owned(),
            })
            .collect(),
    }))
}

/// The checkpoint alone.
pub(crate) async fn read_checkpoint(
    client: &mut Client,
    migration: &str,
) -> Result<Option<Position>> {
    let row = client
        .text_row(
            "reading the checkpoint",
            &format!(
                "SELECT checkpoint FROM {CHECKPOINT} WHERE migration = {}",
                literal(migration)
            ),
        )
        .await?;
    Ok(row.and_then(|row| row.number(0)).map(Position))
}

/// Raises the epoch by one, from nothing to one, in a transaction, and reads the state. Waits for the writing transactions of
/// the run before; whatever begins after is refused.
pub(crate) async fn raise_epoch(client: &mut Client, migration: &str) -> Result<TargetState> {
    let doing = "raising the run epoch";
    let name = literal(migration);
    client.run(doing, "START TRANSACTION").await?;
    client
        .run(
            doing,
            &format!("INSERT INTO {RUN} (migration, epoch) VALUES ({name}, 1) ON DUPLICATE KEY UPDATE epoch = epoch + 1"),
        )
        .await?;
    client
        .run(
            doing,
            &format!(
                "INSERT INTO {CHECKPOINT} (migration, checkpoint) VALUES ({name}, NULL)
                 ON DUPLICATE KEY UPDATE migration = migration"
            ),
        )
        .await?;
    let state = read(client, migration).await?;
    client.run(doing, "COMMIT").await?;
    state.ok_or_else(|| damaged(client, "the run's row is not there after it was written"))
}

/// Locks the epoch shared for the transaction at hand and fails unless it is the newest.
pub(crate) async fn check_epoch(client: &mut Client, migration: &str, epoch: u64) -> Result<()> {
    let row = client
        .text_row(
            "checking the run epoch",
            &format!(
                "SELECT epoch FROM {RUN} WHERE migration = {} LOCK IN SHARE MODE",
                literal(migration)
            ),
        )
        .await?;
    may_write(client, epoch, row.and_then(|row| row.number(0)))
}

/// Fails unless `stored` is the epoch held.
pub(crate) fn may_write(client: &Client, held: u64, stored: Option<u64>) -> Result<()> {
    if stored == Some(held) {
        return Ok(());
    }
    let now = stored.map_or_else(|| "gone".to_owned(), |e| e.to_string());
    Err(client
        .fault(
            ErrorKind::Fenced,
            "mysql.fenced",
            format!(
                "this run holds epoch {held}, but the target's is {now}: another run took over"
            ),
        )
        .fix("Let the newer run go on"))
}

/// Moves the checkpoint by compare-and-swap, never backwards.
pub(crate) async fn move_checkpoint(
    client: &mut Client,
    migration: &str,
    from: Option<Position>,
    to: Position,
) -> Result<()> {
    let from = from.map_or_else(|| "NULL".to_owned(), |p| p.0.to_string());
    let done = client
        .run(
            "moving the checkpoint",
            &format!(
                "UPDATE {CHECKPOINT} SET checkpoint = {to} WHERE migration = {} AND checkpoint <=> {from}
                 AND (checkpoint IS NULL OR checkpoint <= {to})",
                literal(migration),
                to = to.0
            ),
        )
        .await?;
    if done.affected == 1 {
        return Ok(());
    }
    Err(client
        .fault(
            ErrorKind::Fenced,
            "mysql.checkpoint",
            "the target's checkpoint is not where this run left it: another run took over",
        )
        .fix("Let the newer run go on"))
}

fn digest(id: &str) -> String {
    format!(
        "x'{}'",
        crossfade_model::hex::encode(&Sha256::digest(id.as_bytes()))
    )
}

/// Writes records, in order.
pub(crate) async fn write_records(
    client: &mut Client,
    migration: &str,
    writes: &[RecordWrite],
) -> Result<()> {
    let name = literal(migration);
    let replaced = match client.server.flavor {
        Flavor::Mysql => " AS n ON DUPLICATE KEY UPDATE body = n.body",
        Flavor::Mariadb => " ON DUPLICATE KEY UPDATE body = VALUES(body)",
    };
    let mut puts = String::new();
    for write in writes {
        match write {
            RecordWrite::Put(Record { key, body }) => {
                if puts.is_empty() {
                    puts =
                        format!("INSERT INTO {RECORD} (migration, kind, digest, id, body) VALUES ");
                } else {
                    puts.push_str(", ");
                }
                puts.push_str(&format!(
                    "({name}, {}, {}, {}, {})",
                    literal(&key.kind),
                    digest(&key.id),
                    literal(&key.id),
                    literal(body)
                ));
                if puts.len() > STATEMENT_BYTES {
                    put(client, &mut puts, replaced).await?;
                }
            }
            RecordWrite::Remove(key) => {
                put(client, &mut puts, replaced).await?;
                client
                    .run(
                        "removing a record",
                        &format!(
                            "DELETE FROM {RECORD} WHERE migration = {name} AND kind = {} AND digest = {}",
                            literal(&key.kind),
                            digest(&key.id)
                        ),
                    )
                    .await?;
            }
        }
    }
    put(client, &mut puts, replaced).await
}

async fn put(client: &mut Client, puts: &mut String, replaced: &str) -> Result<()> {
    if puts.is_empty() {
        return Ok(());
    }
    let statement = format!("{}{replaced}", std::mem::take(puts));
    client.run("writing records", &statement).await.map(drop)
}

/// Remembers that this migration makes something; before it is made, so that nothing made is ever unknown.
pub(crate) async fn remember(
    client: &mut Client,
    migration: &str,
    kind: &str,
    name: &str,
) -> Result<()> {
    client
        .run(
            "noting what is made",
            &format!(
                "INSERT INTO {MADE} (migration, kind, name) VALUES ({}, {}, {}) ON DUPLICATE KEY UPDATE kind = kind",
                literal(migration),
                literal(kind),
                literal(name)
            ),
        )
        .await
        .map(drop)
}

/// Forgets that.
pub(crate) async fn forget_one(
    client: &mut Client,
    migration: &str,
    kind: &str,
    name: &str,
) -> Result<()> {
    client
        .run(
            "forgetting what was made",
            &format!(
                "DELETE FROM {MADE} WHERE migration = {} AND kind = {} AND name = {}",
                literal(migration),
                literal(kind),
                literal(name)
            ),
        )
        .await
        .map(drop)
}

/// What this migration made, of a kind.
pub(crate) async fn made(client: &mut Client, migration: &str, kind: &str) -> Result<Vec<String>> {
    let rows = client
        .texts(
            "listing what was made",
            &format!(
                "SELECT name FROM {MADE} WHERE migration = {} AND kind = {} ORDER BY name",
                literal(migration),
                literal(kind)
            ),
        )
        .await?;
    Ok(rows.iter().map(|row| row.text(0).to_owned()).collect())
}

/// Forgets the migration, and drops the tables with the last one. Returns the dropped ones.
pub(crate) async fn forget(client: &mut Client, migration: &str) -> Result<Vec<&'static str>> {
    forget_in(client, "removing crossfade's rows", &ALL, RUN, migration).await
}

/// Removes the migration's rows from the tables, and drops them once `first`, which has a row of every migration, has none left. Returns the
/// dropped ones.
pub(crate) async fn forget_in(
    client: &mut Client,
    doing: &str,
    tables: &[&'static str],
    first: &str,
    migration: &str,
) -> Result<Vec<&'static str>> {
    let migration = literal(migration);
    for table in tables {
        let delete = format!("DELETE FROM {table} WHERE migration = {migration}");
        client.run(doing, &delete).await?;
    }
    let left = client
        .text_row(doing, &format!("SELECT COUNT(*) FROM {first}"))
        .await?;
    if left.and_then(|row| row.number::<u64>(0)) != Some(0) {
        return Ok(Vec::new());
    }
    for table in tables {
        client
            .run(doing, &format!("DROP TABLE IF EXISTS {table}"))
            .await?;
    }
    Ok(tables.to_vec())
}
