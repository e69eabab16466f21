//! The table of the audit log.

use std::os::unix::fs::MetadataExt as _;

use rusqlite::{OptionalExtension as _, Transaction, params};
use serde_json::Value;

use super::{Trouble, host, now};
use crate::Command;
use crate::audit::{
    AuditCheck, AuditId, AuditRecord, BEGINNING, Break, Fields, MOST_LISTED, hash, line,
};

/// A step that cannot be taken back was recorded before it is tried.
pub(super) const INTENT: &str = "intent.recorded";
/// What became of it.
pub(super) const SETTLED: &str = "intent.settled";
/// A person ordered something.
pub(super) const POSTED: &str = "command.posted";
/// The order was obeyed, or was not.
pub(super) const FINISHED: &str = "command.finished";
/// The order was taken back before a run took it.
pub(super) const WITHDRAWN: &str = "command.withdrawn";
/// The phase moved.
pub(super) const PHASE: &str = "phase";
/// The migration was paused, or goes on.
pub(super) const PAUSED: &str = "paused";
/// The right to run was taken from a process that stood still.
pub(super) const TAKEN_OVER: &str = "lease.taken_over";
/// A person said what a difference is.
pub(super) const CLASSIFIED: &str = "quarantine.classified";

/// Records that are checked in one transaction, so that writers need not wait for a long log.
const AT_ONCE: usize = 1000;

/// `user@host` of this process.
pub(super) fn person() -> String {
    let user = ["USER", "LOGNAME"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|user| !user.trim().is_empty())
        .or_else(|| {
            let own = std::fs::metadata("/proc/self").ok()?;
            Some(format!("uid {}", own.uid()))
        })
        .unwrap_or_else(|| "unknown".to_owned());
    format!("{user}@{}", host())
}

/// Who answers for a command.
pub(super) fn who_of(command: &Command) -> String {
    command.owner().map_or_else(person, str::to_owned)
}

/// Appends a record.
pub(super) fn append(
    t: &Transaction<'_>,
    kind: &str,
    who: &str,
    detail: Value,
) -> Result<AuditId, Trouble> {
    let last: Option<(i64, String)> = t
        .query_row(
            "SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1",
            [],
            |r| Ok((r.get(0)?, r.get(1)?)),
        )
        .optional()?;
    let (last, previous) = last.unwrap_or_else(|| (0, BEGINNING.to_owned()));
    let id = AuditId(last + 1);
    let line = line(id, now(), kind.trim(), who.trim(), detail);
    t.execute(
        "INSERT INTO audit (id, record, previous, hash) VALUES (?1, ?2, ?3, ?4)",
        params![id.0, line, previous, hash(&previous, &line)],
    )?;
    Ok(id)
}

pub(super) fn list(
    t: &Transaction<'_>,
    after: Option<AuditId>,
    limit: u32,
) -> Result<Vec<AuditRecord>, Trouble> {
    let mut records = Vec::new();
    for row in rows(t, after, limit.clamp(1, MOST_LISTED) as usize)? {
        let fields: Fields = serde_json::from_str(&row.record)?;
        records.push(AuditRecord {
            id: AuditId(row.id),
            at: fields.at,
            kind: fields.kind,
            who: fields.who,
            detail: fields.detail,
            previous: row.previous,
            hash: row.hash,
            record: row.record,
        });
    }
    Ok(records)
}

struct Row {
    id: i64,
    record: String,
    previous: String,
    hash: String,
}

fn rows(t: &Transaction<'_>, after: Option<AuditId>, limit: usize) -> Result<Vec<Row>, Trouble> {
    let mut statement = t.prepare(
        "SELECT id, record, previous, hash FROM audit WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?;
    let rows = statement.query_map(
        params![after.map_or(i64::MIN, |id| id.0), limit as i64],
        |r| {
            Ok(Row {
                id: r.get(0)?,
                record: r.get(1)?,
                previous: r.get(2)?,
                hash: r.get(3)?,
            })
        },
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A walk along the chain, some records a transaction.
#[derive(Default)]
pub(super) struct Walk {
    check: AuditCheck,
    last: Option<AuditId>,
    ended: bool,
}

impl Walk {
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    pub(super) fn check(self) -> AuditCheck {
        self.check
    }

    /// Checks the next records.
    pub(super) fn on(mut self, t: &Transaction<'_>) -> Result<Walk, Trouble> {
        let rows = rows(t, self.last, AT_ONCE)?;
        self.ended = rows.len() < AT_ONCE;
        for row in rows {
            let wanted = AuditId(self.last.map_or(0, |id| id.0) + 1);
            if let Some(what) = fault(&row, wanted, &self.check.head) {
                self.break_at(wanted, what);
                return Ok(self);
            }
            self.last = Some(wanted);
            self.check.records += 1;
            self.check.head = row.hash;
        }
        if self.ended {
            self.end(t)?;
        }
        Ok(self)
    }

    /// The highest number that ever was is the last record's.
    fn end(&mut self, t: &Transaction<'_>) -> Result<(), Trouble> {
        let highest: Option<i64> = t
            .query_row(
                "SELECT seq FROM sqlite_sequence WHERE name = 'audit'",
                [],
                |r| r.get(0),
            )
            .optional()?;
        let last = self.last.map_or(0, |id| id.0);
        if highest.unwrap_or(0) > last {
            let next = AuditId(last + 1);
            self.break_at(next, "records are missing from here to the end".to_owned());
        }
        Ok(())
    }

    fn break_at(&mut self, id: AuditId, what: String) {
        self.check.broken = Some(Break { id, what });
        self.ended = true;
    }
}

/// What is wrong with a record that is to be number `wanted` after the hash `head`.
fn fault(row: &Row, wanted: AuditId, head: &str) -> Option<String> {
    if row.id != wanted.0 {
        return Some(format!("the record is missing; the next is {}", row.id));
    }
    if row.previous != head {
        return Some("it does not name the hash of the record before".to_owned());
    }
    if row.hash != hash(head, &row.record) {
        return Some("its hash is not that of what it says".to_owned());
    }
    match serde_json::from_str::<Fields>(&row.record) {
        Ok(fields) if fields.id == wanted => None,
        Ok(fields) => Some(format!("it says that it is record {}", fields.id)),
        Err(_) => Some("it cannot be read".to_owned()),
    }
}
