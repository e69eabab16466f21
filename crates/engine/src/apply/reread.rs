//! Rows read again by key, because the log's image of them is not whole.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crossfade_model::{TableId, TableMapping};
use crossfade_store::{ErrorKind, SourceSnapshot, StoreError};
use tokio::time::Instant;

use crate::apply::applier::ApplierTask;
use crate::apply::decide::{RereadRequest, Rereads, Sight, Verdict, decide};
use crate::apply::steps::NetKey;
use crate::error::EngineError;
use crate::kill;
use crate::verify::repair::RepairKey;

/// How long a row that must be read again may take to become visible.
const REREAD_PATIENCE: Duration = Duration::from_secs(600);
/// Keys read under one snapshot.
const KEYS_AT_ONCE: usize = 200;

/// What reading rows again came to.
pub(crate) enum Reread {
    /// They were read.
    Done,
    /// A table has another shape on the source by now: no row of it can be read as the log's changes need it.
    Altered(TableId),
}

impl ApplierTask {
    /// Reads rows again that a comparison has named, and writes them as the source has them, in a target transaction of their own
    /// that leaves the checkpoint where it is. Each has a durable frontier, so that changes which the reading saw are not
    /// applied again. The reading sees every transaction that was applied: an older row would stay.
    pub(super) async fn repair(&mut self, keys: Vec<RepairKey>) -> Result<u64, EngineError> {
        let session = Arc::clone(&self.session);
        self.forget_seen().await?;
        let unseen = session.lock().recent.clone();
        let mut requests = Vec::with_capacity(keys.len());
        for (table, cells) in &keys {
            let (mapping, encoder) = (session.table(*table)?, &self.encoders[table.0 as usize]);
            // a key that has no form on the source is no row of it
            if let Ok(key) = encoder.key_of(cells) {
                requests.push(RereadRequest {
                    table: *table,
                    key: NetKey::new(key, Cow::Owned(mapping.key_only(cells))),
                    transactions: unseen.clone(),
                });
            }
        }
        let rows = requests.len() as u64;
        for table in &mut session.lock().tables {
            table.frontier.discard_staged();
        }
        let mut rereads = Rereads::new();
        if let Reread::Altered(_) = self.reread(requests, &mut rereads).await? {
            // the stream comes to that by itself
            return Ok(0);
        }
        let verdict = {
            let mut state = session.lock();
            let nothing = std::iter::empty();
            decide(
                Sight::Shared(&mut state),
                session.tables(),
                &self.encoders,
                nothing,
                &rereads,
            )?
        };
        let Verdict::Decided(decided) = verdict else {
            return Err(EngineError::internal("a repair waits for a change"));
        };
        let checkpoint = session.lock().checkpoint;
        self.write(decided, checkpoint, checkpoint).await?;
        if let Some(proofs) = session.proofs().as_mut() {
            for (table, cells) in &keys {
                proofs.repaired(table.0 as usize, cells);
            }
        }
        Ok(rows)
    }

    /// Reads rows again by key, each at a snapshot that sees the transaction whose image was not whole.
    pub(super) async fn reread(
        &mut self,
        requests: Vec<RereadRequest>,
        rereads: &mut Rereads,
    ) -> Result<Reread, EngineError> {
        let session = Arc::clone(&self.session);
        let mut by_table: HashMap<TableId, Vec<RereadRequest>> = HashMap::new();
        for request in requests {
            by_table.entry(request.table).or_default().push(request);
        }
        for (table, requests) in by_table {
            let mapping = session.table(table)?;
            for some in requests.chunks(KEYS_AT_ONCE) {
                match self.reread_some(mapping, some, rereads).await {
                    Err(EngineError::Store(e))
                        if e.kind == ErrorKind::SchemaMismatch
                            && e.store == session.source.label() =>
                    {
                        return Ok(Reread::Altered(table));
                    }
                    read => read?,
                }
            }
        }
        Ok(Reread::Done)
    }

    async fn reread_some(
        &mut self,
        mapping: &TableMapping,
        some: &[RereadRequest],
        rereads: &mut Rereads,
    ) -> Result<(), EngineError> {
        let session = Arc::clone(&self.session);
        let index = mapping.id.0 as usize;
        let mut snapshot = self.seeing_all(mapping, some).await?;
        snapshot.wait_durable().await?;
        let keys: Vec<_> = some.iter().map(|r| r.key.cells(mapping)).collect();
        let rows = snapshot.read_keys(mapping, &keys).await?;
        kill::point("reread.read");
        let mut found = HashMap::new();
        for row in rows {
            let key = self.encoders[index]
                .key_of(&row)
                .map_err(|e| EngineError::internal(format!("a row read by key: {e}")))?;
            found.insert(key, row);
        }
        let (view, horizon) = (snapshot.snapshot().clone(), snapshot.horizon());
        {
            let mut state = session.lock();
            let at = &mut state.tables[index];
            for request in some {
                let key = request.key.key.clone();
                at.frontier
                    .stage_one_key(key.clone(), view.clone(), horizon);
                at.one_key_cells
                    .insert(key.clone(), request.key.cells(mapping));
                let row = found.get(&key).cloned();
                rereads.insert((mapping.id, key), (request.key.clone(), row));
            }
        }
        snapshot.close().await?;
        Ok(())
    }

    /// Opens snapshots until one sees the transactions of all requests.
    async fn seeing_all(
        &mut self,
        mapping: &TableMapping,
        some: &[RereadRequest],
    ) -> Result<Box<dyn SourceSnapshot>, EngineError> {
        let session = Arc::clone(&self.session);
        let begun = Instant::now();
        loop {
            let snapshot = session.source.open_snapshot(&[&mapping.source]).await?;
            let accepted = {
                let state = session.lock();
                let frontier = &state.tables[mapping.id.0 as usize].frontier;
                some.iter().all(|r| {
                    let view = snapshot.snapshot();
                    let accepts = |t| frontier.accept_one_key(&r.key.key, view, t).is_accepted();
                    accepts(None) && r.transactions.iter().all(|t| accepts(Some(t)))
                })
            };
            if accepted {
                return Ok(snapshot);
            }
            snapshot.close().await?;
            if begun.elapsed() > REREAD_PATIENCE {
                return Err(StoreError::new(
                    ErrorKind::Unavailable,
                    "engine.reread_patience",
                    session.source.label(),
                    "a committed transaction does not become visible to readers",
                )
                .table(&mapping.source.name)
                .fix("Look for a synchronous standby that does not answer")
                .into());
            }
            if session.stopping() {
                return Err(EngineError::Ending);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
