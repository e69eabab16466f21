//! Which of MariaDB's answers about its commits are true.
//!
//! The server says how far its commits are by a place that two other things move, too, while commits may still wait for a replica
//! (semi-synchronous replication; the first seen on 10.11 and 11.8, the second concluded from a row that was lost on 11.8 under many small files):
//!
//! - **A new file.** A commit that makes the server begin one is at its beginning at once. Each file says, where it begins, the oldest file that
//!   holds transactions which are not committed; once all are, the server writes into the file that it is itself the oldest
//!   (MariaDB knowledge base, "Binlog Checkpoint Event"). Before, nothing that is said of this file counts.
//! - **That very event.** It moves the place to its own end, over all that was written before it. The next commit moves the place to the
//!   commit's own end, which is true. An answer that is the end of such an event counts only once the server is quiet: no commit waits for a
//!   replica and nothing was written for [`QUIET`], in which a commit that waits for nobody ends. Now and then the server counts a session as
//!   waiting for ever: none waits longer than the server lets it, so what was written before that is committed in any case.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossfade_mysql_binlog::{LogFile, LogPosition};
use crossfade_store::Result;

use crate::connect::Client;
use crate::names::literal;
use crate::position;

/// Events that are listed at once.
const LISTED: usize = 500;

/// How long a commit takes at most from the log to where readers see it, where it waits for no replica.
const QUIET: Duration = Duration::from_secs(1);

const DOING: &str = "looking at the log's file";

/// How far the events of the present file were looked through, shared by a store's sessions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cleared(Arc<Mutex<Looked>>);

#[derive(Debug, Clone, Default)]
struct Looked {
    file: u64,
    next: u64,
    /// The files before hold nothing that is not committed.
    is_cleared: bool,
    /// Transactions were seen in it.
    has_transactions: bool,
    /// The ends of events that move the place over transactions.
    moved: Vec<u64>,
    /// An answer that may be untrue.
    doubted: Option<Doubt>,
}

/// An answer at the log's end that may be untrue as long as a commit before it may wait.
#[derive(Debug, Clone)]
struct Doubt {
    answer: LogPosition,
    /// Nothing was written since.
    since: Instant,
    /// No commit waited for a replica since.
    quiet: Instant,
}

impl Doubt {
    fn new(answer: LogPosition, now: Instant) -> Doubt {
        Doubt {
            answer,
            since: now,
            quiet: now,
        }
    }

    /// Whether nothing can be waiting any more. `waits`: a commit waits now, if the server is right, and for so long at most.
    fn is_over(&mut self, waits: Option<Duration>, now: Instant) -> bool {
        match waits {
            Some(longest) => {
                self.quiet = now;
                now.duration_since(self.since) > longest.saturating_add(QUIET)
            }
            None => now.duration_since(self.quiet) > QUIET,
        }
    }
}

impl Cleared {
    fn looked(&self) -> MutexGuard<'_, Looked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether everything up to an answer in the present file is committed. `is_end`: the log ends there.
///
/// # Errors
/// The server's.
pub(crate) async fn is_true(
    client: &mut Client,
    answer: LogPosition,
    is_end: bool,
) -> Result<bool> {
    let looked = look(client, answer.file).await?;
    if !looked.is_cleared || !looked.moved.contains(&answer.offset) {
        return Ok(looked.is_cleared);
    }
    let waits = match is_end {
        true => waits(client).await?,
        false => None,
    };
    let cleared = client.cleared.clone();
    let mut looked = cleared.looked();
    if !is_end {
        looked.doubted = None;
        return Ok(false);
    }
    let now = Instant::now();
    let mut doubt = match looked.doubted.take() {
        Some(doubt) if doubt.answer == answer => doubt,
        _ => Doubt::new(answer, now),
    };
    let is_over = doubt.is_over(waits, now);
    looked.doubted = Some(doubt);
    Ok(is_over)
}

/// Whether the log holds nothing between an answer and its end but what says which files are committed: no commit moves the answer there.
///
/// # Errors
/// The server's.
pub(crate) async fn is_last(client: &mut Client, answer: LogPosition, end: u64) -> Result<bool> {
    const MOST: usize = 8;
    let Some(base) = position::base(&client.server) else {
        return Ok(false);
    };
    let name = LogFile {
        base: base.to_owned(),
        number: answer.file,
    }
    .name();
    let sql = format!(
        "SHOW BINLOG EVENTS IN {} FROM {} LIMIT {MOST}",
        literal(&name),
        answer.offset
    );
    let rows = client.texts(DOING, &sql).await?;
    let before = rows.iter().take_while(|row| row.number(1) < Some(end));
    let is_empty = before
        .into_iter()
        .all(|row| row.text(2) == "Binlog_checkpoint");
    let last: Option<u64> = rows.last().and_then(|row| row.number(4));
    Ok(is_empty && last >= Some(end))
}

/// How long a commit waits for a replica at most, where the server says that one does (MariaDB knowledge base, "Semisynchronous Replication":
/// `rpl_semi_sync_master_timeout`, in milliseconds).
async fn waits(client: &mut Client) -> Result<Option<Duration>> {
    let sql = "SHOW STATUS LIKE 'Rpl_semi_sync_master_wait_sessions'";
    let row = client.text_row(DOING, sql).await?;
    if row.is_none_or(|row| row.text(1) == "0") {
        return Ok(None);
    }
    let sql = "SHOW VARIABLES LIKE 'rpl_semi_sync_master_timeout'";
    let row = client.text_row(DOING, sql).await?;
    let longest = row.and_then(|row| row.number(1));
    Ok(Some(longest.map_or(Duration::MAX, Duration::from_millis)))
}

/// Looks through the events of a file, from where it was left, until it is known to be cleared.
async fn look(client: &mut Client, file: u64) -> Result<Looked> {
    let cleared = client.cleared.clone();
    let known = cleared.looked().clone();
    let mut looked = match known.file == file {
        true => known,
        false => Looked {
            file,
            next: 4,
            ..Looked::default()
        },
    };
    let Some(base) = position::base(&client.server) else {
        return Ok(looked);
    };
    let base = base.to_owned();
    let name = LogFile { base, number: file }.name();
    while !looked.is_cleared && list(client, &name, &mut looked).await? == LISTED {}
    *cleared.looked() = looked.clone();
    Ok(looked)
}

/// Looks through some more events; says how many there were.
async fn list(client: &mut Client, name: &str, looked: &mut Looked) -> Result<usize> {
    let sql = format!(
        "SHOW BINLOG EVENTS IN {} FROM {} LIMIT {LISTED}",
        literal(name),
        looked.next
    );
    let rows = client.texts(DOING, &sql).await?;
    for row in &rows {
        // file, offset, type, server, end, content
        let place = Place {
            begin: row.number(1),
            end: row.number(4),
        };
        looked.take(row.text(2), place, row.text(5) == name);
    }
    Ok(rows.len())
}

/// Where a listed event is. Within a transaction some servers tell no end: 0 (seen on 11.8).
#[derive(Debug, Clone, Copy)]
struct Place {
    begin: Option<u64>,
    end: Option<u64>,
}

impl Looked {
    fn take(&mut self, kind: &str, place: Place, names_itself: bool) {
        match kind {
            "Binlog_checkpoint" => {
                self.is_cleared |= names_itself;
                if self.has_transactions {
                    self.moved.extend(place.end);
                }
            }
            "Format_desc" | "Gtid_list" | "Start_encryption" => {}
            _ => self.has_transactions = true,
        }
        // an event without an end is listed once more
        self.next = place.end.max(place.begin).unwrap_or(self.next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_doubted_while_a_commit_may_wait() {
        let at = LogPosition { file: 1, offset: 4 };
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let mut doubt = Doubt::new(at, begun);
        assert!(!doubt.is_over(None, begun + QUIET));
        assert!(doubt.is_over(None, begun + QUIET + QUIET / 2));
        // who waits begins the quiet anew
        let mut doubt = Doubt::new(at, begun);
        let longest = Some(Duration::from_secs(10));
        assert!(!doubt.is_over(longest, after(5)));
        assert!(!doubt.is_over(None, after(6)));
        assert!(doubt.is_over(None, after(7)));
        // but nobody waits longer than the server lets him
        assert!(!doubt.is_over(longest, after(11)));
        assert!(doubt.is_over(longest, after(12)));
        assert!(!doubt.is_over(Some(Duration::MAX), after(1_000_000)));
    }

    #[test]
    fn an_event_behind_transactions_moves_the_place_over_them() {
        let mut looked = Looked::default();
        let at = |begin, end| Place {
            begin: Some(begin),
            end: Some(end),
        };
        looked.take("Format_desc", at(4, 256), false);
        looked.take("Binlog_checkpoint", at(256, 339), false);
        assert!(!looked.is_cleared);
        looked.take("Binlog_checkpoint", at(339, 379), false);
        looked.take("Gtid", at(379, 421), false);
        looked.take("Table_map", at(421, 0), false);
        assert_eq!(looked.next, 421);
        looked.take("Xid", at(430, 440), false);
        looked.take("Binlog_checkpoint", at(440, 461), true);
        assert!(looked.is_cleared);
        assert_eq!((looked.moved, looked.next), (vec![461], 461));
    }
}
