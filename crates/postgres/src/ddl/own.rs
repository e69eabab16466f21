//! Types and sequences that a migration has made, and no table takes along when it goes.
//!
//! Nothing in the catalog says whose they are. So a record is kept of each, written in the transaction that makes it, with the
//! object's identity: one of the same name that somebody has made later is not ours.

use crossfade_store::{Made, Result};

use crate::connect::Client;
use crate::names::{OWN_SCHEMA, quote_literal};
use crate::tenure;

/// The kind of these records.
const RECORD: &str = "made";

/// What can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An enum, a domain, a composite or a range.
    Type,
    /// A sequence.
    Sequence,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Type => "type",
            Kind::Sequence => "sequence",
        }
    }

    fn lookup(self) -> &'static str {
        match self {
            Kind::Type => "to_regtype",
            Kind::Sequence => "to_regclass",
        }
    }
}

/// Makes something of this quoted name, and the record of it.
///
/// # Errors
/// The server's.
pub async fn make(
    client: &Client,
    migration: &str,
    kind: Kind,
    name: &str,
    doing: &str,
    definition: &str,
) -> Result<()> {
    if !tenure::has_tables(client).await? {
        return client.batch(doing, definition).await;
    }
    let (word, lookup) = (kind.word(), kind.lookup());
    let sql = format!(
        "BEGIN;
         {definition};
         INSERT INTO {OWN_SCHEMA}.record (migration, kind, id, body)
         VALUES ({migration}, '{RECORD}', '{word} ' || {name}, {lookup}({name})::oid::text)
         ON CONFLICT (migration, kind, id) DO UPDATE SET body = excluded.body;
         COMMIT",
        migration = quote_literal(migration),
        name = quote_literal(name),
    );
    let made = client.batch(doing, &sql).await;
    if made.is_err() {
        // the connection goes on after the failed transaction; its own error is the one to tell
        let _ended = client.batch("ending a transaction", "ROLLBACK").await;
    }
    made
}

/// Removes what the migration has made and nothing uses any more; sequences first, and types after those that are made of them.
///
/// # Errors
/// The server's. What is still used stays.
pub async fn remove(client: &Client, migration: &str) -> Result<Vec<Made>> {
    if !tenure::has_tables(client).await? {
        return Ok(Vec::new());
    }
    let mut removed = Vec::new();
    for kind in [Kind::Sequence, Kind::Type] {
        for name in ours(client, migration, kind).await? {
            let word = kind.word();
            let doing = format!("dropping {word} {name}");
            let sql = format!("DROP {word} {name}");
            match client.batch(&doing, &sql).await {
                // something that the migration did not make has come to use it
                Err(e) if e.server_code.as_deref() == Some("2BP01") => continue,
                dropped => dropped?,
            }
            removed.push(Made {
                kind: word.into(),
                name,
                detail: "that the migration made".into(),
            });
        }
    }
    Ok(removed)
}

/// The quoted names of what the migration has made and is still there, the last made first.
async fn ours(client: &Client, migration: &str, kind: Kind) -> Result<Vec<String>> {
    let (word, lookup) = (kind.word(), kind.lookup());
    let sql = format!(
        "SELECT name FROM (
             SELECT substr(id, length($3) + 2) AS name, body FROM {OWN_SCHEMA}.record
             WHERE migration = $1 AND kind = $2 AND starts_with(id, $3 || ' ')) r
         WHERE {lookup}(name)::oid::text = body ORDER BY body::oid DESC"
    );
    let rows = client
        .query(
            "looking for what the migration made",
            &sql,
            &[&migration, &RECORD, &word],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
