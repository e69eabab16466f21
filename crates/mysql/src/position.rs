//! Positions in a server's binary log, and what a snapshot sees of it.
//!
//! # The decision
//! A [`Position`] is a place in one server's log, packed by [`LogPosition`]: positions of one server compare in commit order, which
//! is all that the engine asks of them. Those of a server that took its place lie behind all of them ([`crate::lineage`]). The set of
//! global transaction ids would be no order. A transaction's id is the position
//! behind its first byte: a big one must be named before its end was read, and no snapshot's position lies inside a transaction.
//!
//! A snapshot is [`Snapshot::Sequence`] of a position: it sees every transaction that ends at or before it. What lies behind differs:
//!
//! - **MariaDB** tells how far its commits are; asked before the snapshot opens, that is a lower bound of what it sees.
//! - **MySQL** has the transaction in its log before readers may see it. It owns the transaction's id from before it is in the
//!   log until after it is visible, and only then is the id in `gtid_executed`. So: the log's end is read, then the ids that are
//!   owned, and once none of these is owned any more the snapshot is opened. All that ends at or before that end is visible in it.
//!
//! On both it may see more. What ends between the position and the horizon, the log's end read after the snapshot opened, is uncertain:
//! it counts as not seen and is applied again, which whole images of keyed rows bear (an insert may find its row).
//!
//! **A snapshot is exact if its horizon is its own position.** Whoever needs both sides at one position must take another where it is not.

use crossfade_model::{Beginning, Position, Snapshot};
use crossfade_mysql_binlog::{LogFile, LogPosition};
use crossfade_store::{ErrorKind, Result};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::connect::Client;
use crate::server::{Flavor, Server};

/// How long transactions may be in the log before readers see them. A replica that must answer may hang (semi-synchronous replication).
const VISIBLE_PATIENCE: Duration = Duration::from_secs(30);

/// What makes every transaction have a name (MySQL documentation, "Enabling GTID Transactions Online").
pub(crate) const NAME_TRANSACTIONS: &str = "SET GLOBAL enforce_gtid_consistency = ON, then gtid_mode = OFF_PERMISSIVE, ON_PERMISSIVE and ON, one after another";

const PAUSE: Duration = Duration::from_millis(2);

const DOING: &str = "reading the log's position";

const OPEN: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";

/// A position from a file's name and an offset in it, in the log of a server that is the so many-th one followed.
pub(crate) fn encode(succession: u32, file: &str, offset: u64) -> Option<Position> {
    let file = LogFile::parse(file).ok()?.number;
    LogPosition { file, offset }.pack(succession).ok()
}

/// A beginning behind `before`: a lane that begins anew may have followed other servers of this source.
pub(crate) fn placed(beginning: Beginning, before: Option<Position>) -> Beginning {
    let Some(before) = before.filter(|before| *before > beginning.position) else {
        return beginning;
    };
    let place = LogPosition::unpack(beginning.position);
    let succession = LogPosition::succession(before);
    let moved = [succession, succession + 1]
        .into_iter()
        .filter_map(|succession| place.pack(succession).ok())
        .find(|position| *position >= before);
    match moved {
        Some(position) => Beginning {
            position,
            snapshot: Snapshot::Sequence(position.0),
            ..beginning
        },
        None => beginning,
    }
}

/// The base of the log files' names, where the server tells it.
pub(crate) fn base(server: &Server) -> Option<&str> {
    server.variable("log_bin_basename")?.rsplit('/').next()
}

/// For people.
pub(crate) fn show(position: Position) -> String {
    LogPosition::unpack(position).to_string()
}

/// The statement that shows the log's end, and which databases it leaves out.
pub(crate) fn status_statement(server: &Server) -> &'static str {
    match server.flavor {
        Flavor::Mysql if server.version >= 80_200 => "SHOW BINARY LOG STATUS",
        _ => "SHOW MASTER STATUS",
    }
}

/// The end of the log.
pub(crate) async fn log_end(client: &mut Client) -> Result<Position> {
    let sql = status_statement(&client.server);
    let row = client.text_row(DOING, sql).await?.ok_or_else(|| {
        client
            .fault(
                ErrorKind::Setting,
                "mysql.log_bin",
                "the server writes no binary log",
            )
            .fix("Set log_bin and restart the server")
    })?;
    position(client, row.text(0), row.number(1))
}

fn position(client: &Client, file: &str, offset: Option<u64>) -> Result<Position> {
    offset
        .and_then(|offset| encode(client.succession, file, offset))
        .ok_or_else(|| {
            client.fault(
                ErrorKind::Unsupported,
                "mysql.position",
                format!("the position in the log file {file} is beyond what is known here"),
            )
        })
}

/// Ids of transactions that are in the log, or will be at once, and that readers may not see.
pub(crate) async fn owned(client: &mut Client) -> Result<BTreeSet<String>> {
    let row = client.text_row(DOING, "SELECT @@GLOBAL.gtid_owned").await?;
    Ok(row.map(|row| parse_owned(row.text(0))).unwrap_or_default())
}

/// The same, where these are all of them: a transaction without a name is in no list. The server lets no mode be `ON` as long as such a one is
/// under way (MySQL documentation, "GTID mode"), so that the mode is asked together with the list.
async fn hidden(client: &mut Client) -> Result<BTreeSet<String>> {
    let sql = "SELECT @@GLOBAL.gtid_owned, @@GLOBAL.gtid_mode";
    let row = client.text_row(DOING, sql).await?;
    let mode = row.as_ref().map_or("", |row| row.text(1));
    if !mode.eq_ignore_ascii_case("ON") {
        return Err(client
            .fault(
                ErrorKind::Setting,
                "mysql.gtid_mode",
                format!(
                    "gtid_mode is {mode}: the server lists no transactions without names, so that it cannot be told what readers see of its log"
                ),
            )
            .fix(format!("{NAME_TRANSACTIONS}; then start again")));
    }
    Ok(row.map(|row| parse_owned(row.text(0))).unwrap_or_default())
}

/// `uuid:4#12:5#13,uuid:tag:7#9` as ids, each with its uuid and tag (MySQL documentation, `gtid_owned`).
fn parse_owned(text: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for group in text.split([',', '\n']).map(str::trim) {
        let mut whose = String::new();
        for part in group.split(':') {
            match part.split_once('#') {
                Some((number, _)) => {
                    out.insert(format!("{whose}{number}"));
                }
                None => {
                    whose.push_str(part);
                    whose.push(':');
                }
            }
        }
    }
    out
}

/// The end of the log where readers may not see everything up to it yet; without waiting.
pub(crate) async fn unseen_end(client: &mut Client) -> Result<Option<Position>> {
    let end = log_end(client).await?;
    let seen = match client.server.flavor {
        Flavor::Mysql => hidden(client).await?.is_empty(),
        Flavor::Mariadb => lower_bound(client).await?.is_some_and(|seen| seen >= end),
    };
    Ok((!seen).then_some(end))
}

/// Whether readers see everything of the log up to a place, to which it goes; waited for so long at most.
pub(crate) async fn is_visible(
    client: &mut Client,
    place: LogPosition,
    patience: Duration,
) -> Result<bool> {
    let begun = Instant::now();
    let mut waited_for: Option<BTreeSet<String>> = None;
    loop {
        let seen = match client.server.flavor {
            Flavor::Mysql => {
                let mut now = hidden(client).await?;
                if let Some(before) = &waited_for {
                    now.retain(|id| before.contains(id));
                }
                let seen = now.is_empty();
                waited_for = Some(now);
                seen
            }
            Flavor::Mariadb => lower_bound(client)
                .await?
                .is_some_and(|bound| LogPosition::unpack(bound) >= place),
        };
        if seen || begun.elapsed() > patience {
            return Ok(seen);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// How often a MariaDB server is asked where its commits are.
const ASKED_TIMES: usize = 5;

/// A position of MariaDB's up to which every snapshot sees everything that opens from now on; `None` where it is not known now.
///
/// The server tells where its commits are, or where a session's snapshot is that asks (MariaDB documentation, "START TRANSACTION", WITH
/// CONSISTENT SNAPSHOT). It keeps the answer in a place that all sessions share until it has sent it: whoever asks for the server's
/// status at the same time gets, or is given, another session's (seen on 10.11 and 11.8). Whose ever it is, it was true at some time
/// before: so it is asked *before* the snapshot opens, and is a lower bound of what that sees. Two things it must not be:
///
/// - of two sessions, the file of one and the offset of another: files then differ, so what is not in the log's present file, or lies
///   behind its end, is not taken; and the least of several answers is;
/// - moved there by something else than a commit: see [`crate::cleared`].
async fn lower_bound(client: &mut Client) -> Result<Option<Position>> {
    let end = log_end(client).await?;
    let mut least = end;
    for _ in 0..ASKED_TIMES {
        let answer = snapshot_position(client).await?;
        if LogPosition::unpack(answer).file != LogPosition::unpack(end).file {
            return Ok(None);
        }
        least = least.min(answer);
    }
    let answer = LogPosition::unpack(least);
    let is_true = crate::cleared::is_true(client, answer, least == end).await?;
    if is_true && least < end {
        let offset = LogPosition::unpack(end).offset;
        if crate::cleared::is_last(client, answer, offset).await? {
            return Ok(Some(end));
        }
    }
    Ok(is_true.then_some(least))
}

async fn snapshot_position(client: &mut Client) -> Result<Position> {
    let rows = client
        .texts("opening a snapshot", "SHOW STATUS LIKE 'binlog_snapshot_%'")
        .await?;
    let value = |name: &str| {
        rows.iter()
            .find(|row| row.text(0).eq_ignore_ascii_case(name))
            .map(|row| row.text(1).to_owned())
    };
    let file = value("Binlog_snapshot_file").unwrap_or_default();
    let offset = value("Binlog_snapshot_position").and_then(|p| p.parse().ok());
    position(client, &file, offset)
}

/// A position up to which readers see everything; on MySQL at or beyond the log's end of before the call.
pub(crate) async fn visible_end(client: &mut Client) -> Result<Position> {
    let begun = Instant::now();
    match client.server.flavor {
        Flavor::Mariadb => loop {
            if let Some(bound) = lower_bound(client).await? {
                return Ok(bound);
            }
            wait(client, begun, "commits of the log's last file").await?;
        },
        Flavor::Mysql => {
            let end = log_end(client).await?;
            let mut waited_for = hidden(client).await?;
            while !waited_for.is_empty() {
                let what = format!("{} transactions", waited_for.len());
                wait(client, begun, &what).await?;
                let now = hidden(client).await?;
                waited_for.retain(|id| now.contains(id));
            }
            Ok(end)
        }
    }
}

async fn wait(client: &Client, begun: Instant, what: &str) -> Result<()> {
    if begun.elapsed() > VISIBLE_PATIENCE {
        return Err(client
            .fault(
                ErrorKind::Busy,
                "mysql.not_visible",
                format!("{what} are in the log and readers do not see them after {VISIBLE_PATIENCE:?}"),
            )
            .fix("A replica that commits wait for (semi-synchronous replication) does not answer; look at it"));
    }
    tokio::time::sleep(PAUSE).await;
    Ok(())
}

/// Opens the session's snapshot; says what it sees, and its horizon.
pub(crate) async fn open_snapshot(client: &mut Client) -> Result<(Snapshot, Position)> {
    let seen = visible_end(client).await?;
    client.run("opening a snapshot", OPEN).await?;
    let horizon = log_end(client).await?;
    Ok((Snapshot::Sequence(seen.0), horizon))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn positions_compare_in_the_logs_order() {
        let at = |file: &str, offset| encode(0, file, offset).unwrap();
        assert!(at("binlog.000009", 4_000_000_000) < at("binlog.000010", 4));
        assert!(at("a.b.000010", 4) < at("a.b.000010", 5));
        assert_eq!(show(at("binlog.000010", 157)), "000010:157");
        assert!(at("binlog.000009", 1 << 32) < at("binlog.000010", 4));
        for (file, offset) in [("binlog", 4), ("binlog.x", 4), ("binlog.000001", 1 << 40)] {
            assert_eq!(encode(0, file, offset), None);
        }
    }

    #[test]
    fn owned_ids_are_read_with_their_owners_left_out() {
        let text = "3E11FA47-71CA-11E1-9E33-C80AA9429562:4#12:5#13,\n4E11:tag:7#9";
        let ids = parse_owned(text);
        assert!(
            ids.contains("3E11FA47-71CA-11E1-9E33-C80AA9429562:4"),
            "{ids:?}"
        );
        assert!(ids.contains("4E11:tag:7"), "{ids:?}");
        assert_eq!(ids.len(), 3);
        assert!(parse_owned("").is_empty());
    }
}
