//! The audit log: what was intended, done, said and overridden, when and by whom. Appended to only, and chained by hashes.
//!
//! A record is one line of JSON, kept as it was written. Its hash is the SHA-256 of the hash before it (64 hexadecimal digits; 64 zeros
//! before the first), a line feed, and that line: `docs/audit.md` shows how to check it without this program.

use crossfade_model::hex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::ControlError;
use crate::quarantine::{LONGEST_NAME, written};

/// Characters of a kind at most.
pub const LONGEST_KIND: usize = 100;
/// Bytes of a detail as JSON at most; a longer one is recorded by its length and hash.
pub const LONGEST_DETAIL: usize = 256 << 10;
/// Records that [`crate::ControlStore::audit_log`] returns at once, at most.
pub const MOST_LISTED: u32 = 10_000;
/// What stands for the hash before the first record.
pub const BEGINNING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The number of a record: from 1, without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AuditId(pub i64);

impl std::fmt::Display for AuditId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What is to be recorded. Never a secret, never a cell's value.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// What it is about, a stable word such as `gate.override`.
    pub kind: String,
    /// Who answers for it; `None`: `user@host` of this process.
    pub who: Option<String>,
    /// What exactly.
    pub detail: Value,
}

impl AuditEntry {
    /// An entry of this process's user.
    pub fn new(kind: impl Into<String>, detail: Value) -> AuditEntry {
        AuditEntry {
            kind: kind.into(),
            who: None,
            detail,
        }
    }

    /// An entry that somebody else answers for.
    #[must_use]
    pub fn by(mut self, who: impl Into<String>) -> AuditEntry {
        self.who = Some(who.into());
        self
    }

    pub(crate) fn check(&self) -> Result<(), ControlError> {
        written("the kind of a record", &self.kind, LONGEST_KIND)?;
        match &self.who {
            Some(who) => {
                written("the name of who answers for a record", who, LONGEST_NAME).map(drop)
            }
            None => Ok(()),
        }
    }
}

/// A record of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Its number.
    pub id: AuditId,
    /// When, milliseconds since the Unix epoch.
    pub at: i64,
    /// What it is about.
    pub kind: String,
    /// Who answers for it.
    pub who: String,
    /// What exactly.
    pub detail: Value,
    /// The hash before it.
    pub previous: String,
    /// Its hash.
    pub hash: String,
    /// The line that was hashed: the fields above up to `detail`, as JSON.
    pub record: String,
}

/// Where a chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Break {
    /// The first record that does not hold; one beyond the last where records are missing at the end.
    pub id: AuditId,
    /// What does not hold, in a sentence.
    pub what: String,
}

/// What following the chain has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditCheck {
    /// Records that hold, from the first on.
    pub records: u64,
    /// The hash of the last of them. Who keeps it elsewhere sees later whether the records up to it were written anew.
    pub head: String,
    /// Where the chain is broken first; `None`: it holds.
    pub broken: Option<Break>,
}

/// Of a log without records.
impl Default for AuditCheck {
    fn default() -> AuditCheck {
        AuditCheck {
            records: 0,
            head: BEGINNING.to_owned(),
            broken: None,
        }
    }
}

/// The fields of a record that are hashed.
#[derive(Debug, Deserialize)]
pub(crate) struct Fields {
    pub id: AuditId,
    pub at: i64,
    pub kind: String,
    pub who: String,
    pub detail: Value,
}

/// The line that is hashed.
pub(crate) fn line(id: AuditId, at: i64, kind: &str, who: &str, detail: Value) -> String {
    json!({ "id": id, "at": at, "kind": kind, "who": who, "detail": bounded(detail) }).to_string()
}

/// A detail that is too long is named by its hash.
fn bounded(detail: Value) -> Value {
    let text = detail.to_string();
    if text.len() <= LONGEST_DETAIL {
        return detail;
    }
    json!({ "too_long": { "bytes": text.len(), "sha256": hex::encode(&Sha256::digest(&text)) } })
}

/// A record's hash.
pub(crate) fn hash(previous: &str, line: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update("\n");
    hasher.update(line);
    hex::encode(&hasher.finalize())
}
