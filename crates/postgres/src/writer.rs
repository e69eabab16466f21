//! A session that writes for a run: transactions that begin with the check of the run epoch, and records.

use std::collections::BTreeMap;

use crossfade_model::Position;
use crossfade_store::{ErrorKind, RecordKey, RecordWrite, Result, StoreError};
use tokio_postgres::Statement;

use crate::connect::Client;
use crate::names::{APPLY_SETTING, OWN_SCHEMA, quote_literal};
use crate::session::Purpose;
use crate::store::PostgresStore;

/// A session that writes for a run.
pub struct Writer {
    client: Client,
    label: String,
    migration: String,
    epoch: u64,
    check: Statement,
    put: Statement,
    remove: Statement,
    advance: Statement,
}

/// Constraints that can be deferred are checked at the commit: within a batch rows may pass through states that break them.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET CONSTRAINTS ALL DEFERRED";

const DIVISION_BY_ZERO: &str = "22012";

impl Writer {
    /// Opens the session. `lock` is the advisory lock by which a successor finds it.
    ///
    /// # Errors
    /// The connection's.
    pub async fn open(
        store: &PostgresStore,
        purpose: Purpose,
        migration: &str,
        epoch: u64,
        lock: i64,
    ) -> Result<Writer> {
        let doing = "setting up a writing session";
        let client = store.connect(purpose).await?;
        let sql = format!(
            "SELECT pg_advisory_lock_shared({lock});
             SELECT set_config('{APPLY_SETTING}', {}, false)",
            quote_literal(migration)
        );
        client.batch(doing, &sql).await?;
        // triggers and foreign keys fired and were checked on the source; where the role may not set this, plan says so
        let replica = client
            .batch(doing, "SET session_replication_role = replica")
            .await;
        match replica {
            Err(e) if e.kind != ErrorKind::Permission => return Err(e),
            _ => {}
        }
        let prepare = async |sql: String| {
            client
                .raw()
                .prepare(&sql)
                .await
                .map_err(|e| client.error(doing, &e))
        };
        // other writers of the run may hold this lock too, and the applier may move the checkpoint in the same row
        // (no key changes); only a successor that raises the epoch waits (FOR UPDATE)
        let check = prepare(format!(
            "SELECT epoch FROM {OWN_SCHEMA}.run WHERE migration = $1 FOR KEY SHARE"
        ))
        .await?;
        let put = prepare(format!(
            "INSERT INTO {OWN_SCHEMA}.record (migration, kind, id, body)
             SELECT $1, r.* FROM unnest($2::text[], $3::text[], $4::text[]) AS r
             ON CONFLICT (migration, kind, id) DO UPDATE SET body = excluded.body"
        ))
        .await?;
        let remove = prepare(format!(
            "DELETE FROM {OWN_SCHEMA}.record t USING unnest($2::text[], $3::text[]) AS r (kind, id)
             WHERE t.migration = $1 AND t.kind = r.kind AND t.id = r.id"
        ))
        .await?;
        // a statement that fails where it moved nothing: the COMMIT that is sent behind it then fails, too
        let advance = prepare(format!(
            "WITH moved AS (
                 UPDATE {OWN_SCHEMA}.run SET checkpoint = $1
                 WHERE migration = $2 AND epoch = $3 AND checkpoint IS NOT DISTINCT FROM $4
                 RETURNING 1)
             SELECT 1 / count(*) FROM moved"
        ))
        .await?;
        Ok(Writer {
            label: store.label().to_owned(),
            migration: migration.to_owned(),
            epoch,
            client,
            check,
            put,
            remove,
            advance,
        })
    }

    /// The connection.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The store's label.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Opens a transaction and locks and compares the run epoch.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`] once another run has begun.
    pub async fn begin(&self) -> Result<()> {
        let doing = "opening a transaction";
        let check = async {
            self.client
                .raw()
                .query_opt(&self.check, &[&self.migration])
                .await
                .map_err(|e| self.client.error(doing, &e))
        };
        // both are sent at once
        let (begun, row) = tokio::join!(biased; self.client.batch(doing, BEGIN), check);
        begun?;
        may_write(&self.label, self.epoch, row?.map(|row| row.get(0)))
    }

    /// Writes records; of several writes of one key the last counts.
    ///
    /// # Errors
    /// The server's.
    pub async fn records(&self, writes: &[RecordWrite]) -> Result<()> {
        let doing = "writing records";
        let mut last: BTreeMap<&RecordKey, Option<&str>> = BTreeMap::new();
        for write in writes {
            match write {
                RecordWrite::Put(record) => last.insert(&record.key, Some(&record.body)),
                RecordWrite::Remove(key) => last.insert(key, None),
            };
        }
        let (mut kinds, mut ids, mut bodies) = (Vec::new(), Vec::new(), Vec::new());
        let (mut gone_kinds, mut gone_ids) = (Vec::new(), Vec::new());
        for (key, body) in last {
            match body {
                Some(body) => {
                    kinds.push(key.kind.as_str());
                    ids.push(key.id.as_str());
                    bodies.push(body);
                }
                None => {
                    gone_kinds.push(key.kind.as_str());
                    gone_ids.push(key.id.as_str());
                }
            }
        }
        let raw = self.client.raw();
        let failed = |e: tokio_postgres::Error| self.client.error(doing, &e);
        let put = async {
            if kinds.is_empty() {
                return Ok(0);
            }
            raw.execute(&self.put, &[&self.migration, &kinds, &ids, &bodies])
                .await
        };
        let remove = async {
            if gone_kinds.is_empty() {
                return Ok(0);
            }
            raw.execute(&self.remove, &[&self.migration, &gone_kinds, &gone_ids])
                .await
        };
        let (put, removed) = tokio::join!(biased; put, remove);
        put.and(removed).map(drop).map_err(failed)
    }

    /// Moves the checkpoint by compare-and-swap and commits; both are sent at once.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`] where the checkpoint is not at `from`; otherwise as [`Writer::commit`].
    pub async fn advance_and_commit(&self, from: Option<Position>, to: Position) -> Result<()> {
        let signed = |number: u64| {
            i64::try_from(number).map_err(|_| {
                StoreError::new(
                    ErrorKind::Internal,
                    "postgres.state",
                    &self.label,
                    "a position or an epoch is too large to store",
                )
            })
        };
        let to = signed(to.0)?;
        let from = from.map(|p| signed(p.0)).transpose()?;
        let epoch = signed(self.epoch)?;
        let advance = async {
            let moved = self
                .client
                .raw()
                .query_one(&self.advance, &[&to, &self.migration, &epoch, &from])
                .await;
            moved
                .map(drop)
                .map_err(|e| self.client.error("moving the checkpoint", &e))
        };
        let (advanced, committed) = tokio::join!(biased; advance, self.commit());
        match advanced {
            Ok(()) => committed,
            Err(e) if e.server_code.as_deref() == Some(DIVISION_BY_ZERO) => Err(fenced(
                &self.label,
                "the checkpoint is not where this run left it".into(),
            )),
            // with the connection lost between the two, the commit may have been done
            Err(e) => Err(self.in_doubt(e)),
        }
    }

    /// Commits.
    ///
    /// # Errors
    /// [`ErrorKind::Connection`]: the outcome is unknown. Any other: it did not happen.
    pub async fn commit(&self) -> Result<()> {
        // a transaction that has failed answers a lone COMMIT with ROLLBACK and no error; a statement before it fails
        let committed = self.client.batch("committing", "SELECT; COMMIT").await;
        committed.map_err(|e| self.in_doubt(e))
    }

    /// A server that ends the session may have committed before.
    fn in_doubt(&self, mut e: StoreError) -> StoreError {
        if e.kind == ErrorKind::Unavailable || self.client.is_closed() {
            e.kind = ErrorKind::Connection;
        }
        e
    }

    /// Ends the transaction without effect.
    ///
    /// # Errors
    /// The connection's: then the server ends it.
    pub async fn rollback(&self) -> Result<()> {
        self.client.batch("rolling back", "ROLLBACK").await
    }
}

/// Compares the stored epoch with the held one.
///
/// # Errors
/// [`ErrorKind::Fenced`].
pub fn may_write(label: &str, held: u64, stored: Option<i64>) -> Result<()> {
    match stored {
        Some(stored) if u64::try_from(stored).is_ok_and(|stored| stored == held) => Ok(()),
        Some(stored) => Err(fenced(
            label,
            format!("run {stored} has taken over from run {held}"),
        )),
        None => Err(fenced(label, "the migration's row is gone".into())),
    }
}

fn fenced(label: &str, what: String) -> StoreError {
    StoreError::new(ErrorKind::Fenced, "postgres.fenced", label, what)
        .fix("Only one run of a migration may write; this one ends")
}
