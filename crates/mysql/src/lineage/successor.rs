//! Another server under the source's address: whether it can be followed, and from where.
//!
//! It must have every transaction that was applied, and every one that a snapshot of the old server may have shown. Then the place is
//! looked for in its log before which exactly the applied ones lie: the server itself leaves them out and begins with the first that was
//! not, and everything from there to the log's end is read once, so that nothing that was applied comes behind. Its rows are left
//! unread; nothing is applied before all of that is known.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossfade_model::Position;
use crossfade_mysql_binlog::{BinlogStream, Gtid, Item, LogPosition, Start};
use crossfade_store::{ErrorKind, Kept, Result, StoreError, Successor};

use super::applied::{Applied, Executed};
use super::ledger::Ledger;
use super::same::shortened;
use crate::MysqlStore;
use crate::cleared::Cleared;
use crate::connect::Client;
use crate::position;
use crate::server::{Flavor, Server};

/// How long the new server's log may bring nothing before its end.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the new server may take to apply what it was sent by the one before.
const APPLY_PATIENCE: Duration = Duration::from_secs(10);

/// How long readers may not see all that is in the new server's log.
const VISIBLE_PATIENCE: Duration = Duration::from_secs(30);

const FIX: &str = "Nothing was changed. Let the address lead to a server of the same topology that has all of it, or to the one before; \
                   else `abort` and begin again";

fn refused(label: &str, code: &'static str, what: String) -> StoreError {
    StoreError::new(ErrorKind::WrongStore, code, label, what).fix(FIX)
}

/// Looks at the server that answers instead of the known one. `Ok(None)` where it is not known what was applied: nothing can follow then.
///
/// # Errors
/// Why it cannot be followed.
pub(super) async fn find(
    store: &MysqlStore,
    client: &mut Client,
    kept: &Kept,
    applied: Option<Applied>,
) -> Result<Option<Successor>> {
    let Some(applied) = applied else {
        return Ok(None);
    };
    let executed = with_all(client, &applied, kept).await?;
    logs_all(client, &executed, &applied)?;
    // the client's own positions are of the server before until now
    client.succession = LogPosition::succession(kept.checkpoint) + 1;
    client.cleared = Cleared::default();
    let end = position::log_end(client).await?;
    let place = continuation(store, client, &applied, end).await?;
    let checkpoint = place
        .pack(client.succession)
        .map_err(|e| e.into_store(&store.label))?;
    wait_visible(client, end).await?;
    let mut ledger = Ledger::at(applied, checkpoint);
    if let Some(begun) = crate::stream::file_begun(store, client, place.file).await? {
        ledger.note_file(place.file, begun);
    }
    let server = Arc::clone(&client.server);
    let mark = serde_json::to_string(&ledger.mark(checkpoint)).ok();
    store.lineage.follow(&server, client.succession, ledger);
    Ok(Some(Successor {
        identity: store.identity_of(&server),
        checkpoint,
        mark,
        end,
    }))
}

/// What the server has, once it has everything that the target has: a replica may still be applying what it was sent.
async fn with_all(client: &mut Client, applied: &Applied, kept: &Kept) -> Result<Executed> {
    let begun = Instant::now();
    loop {
        let executed = Executed::read(client).await?;
        match has_all(client, &executed, applied, kept) {
            Ok(()) => return Ok(executed),
            Err(_) if begun.elapsed() < APPLY_PATIENCE => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(e) => return Err(e),
        }
    }
}

/// Whether the server has everything that the target has.
fn has_all(client: &Client, executed: &Executed, applied: &Applied, kept: &Kept) -> Result<()> {
    let ahead = |lacking: &str, how: &str| {
        refused(
            &client.label,
            "mysql.target_ahead",
            format!(
                "another server answers under this address, and the target is ahead of the source: transactions {how} that this server does \
                 not have: {}",
                shortened(lacking)
            ),
        )
    };
    let lacking = executed.lacks(applied);
    if !lacking.is_empty() {
        return Err(ahead(&lacking, "were applied"));
    }
    for seen in &kept.seen {
        let seen = (seen.as_deref()).and_then(|text| Applied::parse(client.server.flavor, text));
        let Some(seen) = seen else {
            return Err(refused(
                &client.label,
                "mysql.failover_unknown",
                "another server answers under this address, and it is not known which transactions rows stand for that were read from the one before"
                    .to_owned(),
            ));
        };
        let lacking = executed.lacks(&seen);
        if !lacking.is_empty() {
            return Err(ahead(&lacking, "may be in rows that were copied"));
        }
    }
    Ok(())
}

/// Whether the server's log has everything that was not applied yet.
fn logs_all(client: &Client, executed: &Executed, applied: &Applied) -> Result<()> {
    let gone = match (executed, applied) {
        (Executed::Mysql { purged, .. }, Applied::Mysql(set)) => purged.without(set).to_string(),
        // the server says so itself when it is asked for its log
        _ => String::new(),
    };
    if !gone.is_empty() {
        return Err(StoreError::new(
            ErrorKind::LogLost,
            "mysql.failover_purged",
            &*client.label,
            format!(
                "another server answers under this address, and its log does not hold transactions any more that were not applied yet: {}",
                shortened(&gone)
            ),
        )
        .fix(FIX));
    }
    let strict = client.server.flavor == Flavor::Mysql || client.server.is_on("gtid_strict_mode");
    if !strict {
        return Err(refused(
            &client.label,
            "mysql.failover_order",
            "another server answers under this address, and gtid_strict_mode is off there: its log may be in another order".to_owned(),
        )
        .fix("SET GLOBAL gtid_strict_mode = ON on all servers of the topology, before a failover; now let the address lead back, or `abort` and begin again"));
    }
    Ok(())
}

fn start(applied: &Applied) -> Start {
    match applied {
        Applied::Mysql(set) => Start::Mysql(set.clone()),
        Applied::Mariadb(position) => Start::Mariadb(position.clone()),
    }
}

/// The place before which exactly the applied transactions lie.
async fn continuation(
    store: &MysqlStore,
    client: &Client,
    applied: &Applied,
    end: Position,
) -> Result<LogPosition> {
    let end = LogPosition::unpack(end);
    let server: &Server = &client.server;
    let mut unseen = crate::stream::open_unread(store, server, &start(applied)).await?;
    read(store, &mut unseen, end, |stream, _| {
        Ok(stream.first_transaction().is_none())
    })
    .await?;
    let place = unseen
        .first_transaction()
        .map_or(end, |first| first.min(end));
    let start = Start::Place {
        base: unseen.base().to_owned(),
        position: place,
    };
    drop(unseen);
    if place < end {
        // whole, not without what was applied: the server leaves that out wherever it stands
        let mut all = crate::stream::open_unread(store, server, &start).await?;
        read(store, &mut all, end, |_, items| {
            items
                .iter()
                .try_for_each(|item| in_order(&store.label, applied, item))
                .map(|()| true)
        })
        .await?;
    }
    Ok(place)
}

/// Reads a stream up to a place, or until it is told to stop.
async fn read(
    store: &MysqlStore,
    stream: &mut BinlogStream,
    end: LogPosition,
    mut goes_on: impl FnMut(&BinlogStream, &[Item]) -> Result<bool>,
) -> Result<()> {
    let mut heard = Instant::now();
    loop {
        let items = stream
            .next()
            .await
            .map_err(|e| e.into_store(&store.label))?;
        // opening it may have read all of it already
        if !goes_on(stream, &items)? || stream.position() >= end {
            return Ok(());
        }
        if !items.is_empty() {
            heard = Instant::now();
        }
        if heard.elapsed() > PATIENCE {
            return Err(StoreError::new(
                ErrorKind::Unavailable,
                "mysql.failover",
                &*store.label,
                format!("the new server's log was not read up to its end at {end} in {PATIENCE:?}"),
            ));
        }
    }
}

/// Nothing that was applied may come behind what was not: it would be applied again over what is newer, or not be where it is expected.
fn in_order(label: &str, applied: &Applied, item: &Item) -> Result<()> {
    let again = |gtid: &Gtid| {
        refused(
            label,
            "mysql.failover_order",
            format!(
                "another server answers under this address, and its log has {gtid}, which was applied, behind transactions that were not: \
                 it took them in another order, or has transactions of its own"
            ),
        )
    };
    let gtid = match item {
        Item::Passed(end) | Item::Commit(end) | Item::Abort(end) => end.gtid.as_ref(),
        Item::Definition(definition) => definition.begin.gtid.as_ref(),
        Item::Begin(begin) => begin.gtid.as_ref(),
        Item::Change(_) | Item::Rewind { .. } => None,
    };
    match gtid {
        Some(gtid) if applied.has(gtid) => Err(again(gtid)),
        _ => Ok(()),
    }
}

/// Every later snapshot is to see all that is in the log now.
async fn wait_visible(client: &mut Client, end: Position) -> Result<()> {
    let begun = Instant::now();
    while position::visible_end(client).await? < end {
        if begun.elapsed() > VISIBLE_PATIENCE {
            let what = "readers of the new server do not see all that is in its log";
            return Err(client.fault(ErrorKind::Busy, "mysql.not_visible", what));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
